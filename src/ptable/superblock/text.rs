//! Labels and UUIDs as `blkid` prints them.

use std::fmt::Write as _;

/// The whitespace of C's `isspace`, which `libblkid` cuts off the end of a label.
const SPACE: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

/// A label of bytes, up to the first zero; `None` where that leaves nothing.
pub(super) fn label(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    trimmed(&String::from_utf8_lossy(bytes.get(..end)?))
}

/// The label of `len` bytes at `at`.
pub(super) fn label_at(buf: &[u8], at: usize, len: usize) -> Option<String> {
    label(buf.get(at..at.checked_add(len)?)?)
}

/// A label in UTF-16, up to the first zero; `None` where that leaves nothing.
pub(super) fn utf16(bytes: &[u8], order: fn([u8; 2]) -> u16) -> Option<String> {
    let units = bytes.as_chunks().0.iter().map(|&unit| order(unit)).take_while(|&unit| unit != 0);
    let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    trimmed(&text)
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim_end_matches(SPACE);
    (!text.is_empty()).then(|| text.to_owned())
}

/// The 16 bytes at `at` as a UUID, in their order; `None` for zeros.
pub(super) fn uuid_at(buf: &[u8], at: usize) -> Option<String> {
    let bytes = buf.get(at..at.checked_add(16)?)?;
    if bytes.iter().all(|&byte| byte == 0) {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// `text` with hyphens in front of these of its characters, counted from 0.
pub(super) fn grouped(text: &str, starts: &[usize]) -> String {
    let mut groups = String::with_capacity(text.len() + starts.len());
    for (index, character) in text.chars().enumerate() {
        if starts.contains(&index) {
            groups.push('-');
        }
        groups.push(character);
    }
    groups
}

/// A volume serial number of DOS, as it shows it; `None` for 0.
pub(super) fn serial(number: u32) -> Option<String> {
    (number != 0).then(|| format!("{:04X}-{:04X}", number >> 16, number & 0xffff))
}

/// A volume serial number of Windows NT; `None` for 0.
pub(super) fn long_serial(number: u64) -> Option<String> {
    (number != 0).then(|| format!("{number:016X}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_end_at_a_zero_and_lose_trailing_space() {
        assert_eq!(label(b" a b \t\0c").as_deref(), Some(" a b"));
        assert_eq!((label(b"\0abc"), label(b"   "), label(b"")), (None, None, None));
        assert_eq!(label(b"\xffx").as_deref(), Some("\u{fffd}x"));
        assert_eq!(label_at(b"abc", 2, 2), None);
        assert_eq!(label_at(b"abc", usize::MAX, 2), None);
    }

    #[test]
    fn utf16_is_decoded_lossily() {
        assert_eq!(utf16(b"g\0\xfc\0\x3d\xd8\x00\xde \0\0\0x\0", u16::from_le_bytes).as_deref(), Some("gü😀"));
        assert_eq!(utf16(b"\xd8\x00\0a\0", u16::from_be_bytes).as_deref(), Some("\u{fffd}a"));
        assert_eq!(utf16(b"\0", u16::from_be_bytes), None);
    }

    #[test]
    fn numbers_are_spelt_as_blkid_does() {
        assert_eq!(serial(0x12_ABCD).as_deref(), Some("0012-ABCD"));
        assert_eq!(long_serial(0xAB).as_deref(), Some("00000000000000AB"));
        let bytes: Vec<u8> = (0..17).collect();
        assert_eq!(uuid_at(&bytes, 1).as_deref(), Some("01020304-0506-0708-090a-0b0c0d0e0f10"));
        assert_eq!(grouped("äbcd", &[1, 3, 4]), "ä-bc-d");
        assert_eq!((uuid_at(&[0; 16], 0), uuid_at(&bytes, 2), serial(0), long_serial(0)), (None, None, None, None));
    }
}
