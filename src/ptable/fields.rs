//! Fixed-width fields at named offsets of on-disk structures.
//!
//! Every offset passed here is a constant of ours; a buffer that ends before the field gives zeros, so that no input
//! can make a field access panic.

/// The `N` bytes at `at`, zeros where `buf` ends before them.
pub(super) fn bytes<const N: usize>(buf: &[u8], at: usize) -> [u8; N] {
    at.checked_add(N).and_then(|end| buf.get(at..end)).and_then(|field| field.try_into().ok()).unwrap_or([0; N])
}

/// Whether `magic` stands at `at`.
pub(super) fn has(buf: &[u8], at: usize, magic: &[u8]) -> bool {
    buf.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

pub(super) fn byte(buf: &[u8], at: usize) -> u8 {
    buf.get(at).copied().unwrap_or(0)
}

pub(super) fn le16(buf: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(buf, at))
}

pub(super) fn le32(buf: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(buf, at))
}

pub(super) fn le64(buf: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes(buf, at))
}

pub(super) fn be16(buf: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes(buf, at))
}

pub(super) fn be32(buf: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes(buf, at))
}

pub(super) fn be64(buf: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes(buf, at))
}

/// Whether every byte is zero: a sector never written, wiped, or never read by the recovery.
pub(super) fn all_zero(buf: &[u8]) -> bool {
    buf.iter().all(|&b| b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_past_the_end_reads_as_zero() {
        let buf = [1, 2, 3, 4, 5];
        assert_eq!(le32(&buf, 1), 0x0504_0302);
        assert_eq!(be16(&buf, 0), 0x0102);
        assert_eq!(le32(&buf, 2), 0);
        assert_eq!(le64(&buf, usize::MAX), 0);
        assert!(!has(&buf, 9, b"x"));
        assert!(has(&buf, 3, &[4, 5]));
    }
}
