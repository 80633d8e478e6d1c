//! ISO 9660, with Joliet, and High Sierra, which came before it.
//!
//! ECMA-119 sections 8.4 and 8.5; the Joliet specification of Microsoft. Label and date are libblkid's choice
//! (superblocks/iso9660.c).

use super::super::fields::{byte, has};
use super::content::Content;
use super::text;
use super::volume::Volume;

const DESCRIPTORS_AT: usize = 32 * 1024;
const DESCRIPTOR_BYTES: usize = 2048;
const MAX_DESCRIPTORS: usize = 16;

const TYPE_AT: usize = 0; // 1 byte
const PRIMARY: u8 = 1;
const SUPPLEMENTARY: u8 = 2;
const END: u8 = 255;
const ID_AT: usize = 1;
/// With the version behind it.
const ID: &[u8] = b"CD001\x01";
const LABEL_AT: usize = 40; // 32 bytes
const LABEL_LEN: usize = 32;
/// Levels 1 to 3 of UCS-2.
const ESCAPES_AT: usize = 88;
const JOLIET: [&[u8]; 3] = [b"%/@", b"%/C", b"%/E"];
const CREATED_AT: usize = 813; // 17 bytes: 16 digits, and quarters of an hour from UTC
const MODIFIED_AT: usize = 830;

// High Sierra has 8 bytes in front of the same.
const HIGH_SIERRA_ID_AT: usize = 9;
const HIGH_SIERRA_ID: &[u8] = b"CDROM\x01";
const HIGH_SIERRA_LABEL_AT: usize = 48;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head().get(DESCRIPTORS_AT..)?;
    if has(head, HIGH_SIERRA_ID_AT, HIGH_SIERRA_ID) {
        return Some(Content::new("iso9660").label(text::label_at(head, HIGH_SIERRA_LABEL_AT, LABEL_LEN)));
    }
    let descriptors = || {
        let sound = head.chunks(DESCRIPTOR_BYTES).take(MAX_DESCRIPTORS).take_while(|one| has(one, ID_AT, ID));
        sound.take_while(|one| byte(one, TYPE_AT) != END)
    };
    descriptors().next()?;
    let content = Content::new("iso9660");
    let Some(primary) = descriptors().find(|one| byte(one, TYPE_AT) == PRIMARY) else { return Some(content) };
    let is_joliet =
        |one: &&[u8]| byte(one, TYPE_AT) == SUPPLEMENTARY && JOLIET.iter().any(|escape| has(one, ESCAPES_AT, escape));
    let name = |one: &[u8]| one.get(LABEL_AT..LABEL_AT + LABEL_LEN).map(<[u8]>::to_vec);
    let ascii = name(primary)?;
    let label = match descriptors().find(is_joliet).and_then(name) {
        Some(joliet) => match merged(&joliet, &ascii) {
            Some(units) => text::utf16(&units, u16::from_be_bytes),
            None => text::utf16(&joliet, u16::from_be_bytes),
        },
        None => text::label(&ascii),
    };
    let uuid = date(primary, MODIFIED_AT).or_else(|| date(primary, CREATED_AT));
    Some(content.label(label).uuid(uuid))
}

/// The name of 16 UTF-16 characters that Joliet has, completed by that of 32 in the primary descriptor, where the one is
/// the beginning of the other but for case and for what ASCII cannot hold and has `_` instead.
fn merged(joliet: &[u8], ascii: &[u8]) -> Option<Vec<u8>> {
    let mut units = Vec::with_capacity(2 * LABEL_LEN);
    let mut rest = ascii.iter();
    let mut pairs = joliet.as_chunks().0.iter().peekable();
    while let Some(&[high, low]) = pairs.next() {
        let mut unit = [high, low];
        if matches!(high, 0xd8..=0xdb) && pairs.peek().is_some_and(|next: &&[u8; 2]| matches!(next[0], 0xdc..=0xdf)) {
            units.extend(unit);
            unit = *pairs.next()?;
        }
        let Some(&letter) = rest.next() else { break };
        match unit {
            _ if letter == b'_' => units.extend(unit),
            [0, b'_'] => units.extend([0, letter]),
            [0, low] if low.eq_ignore_ascii_case(&letter) => {
                units.extend([0, if letter.is_ascii_uppercase() { low } else { letter }]);
            }
            _ => return None,
        }
    }
    units.extend(rest.flat_map(|&letter| [0, letter]));
    Some(units)
}

/// A date as `YYYY-MM-DD-hh-mm-ss-cc`; `None` where it was not set.
fn date(descriptor: &[u8], at: usize) -> Option<String> {
    let field = descriptor.get(at..at + 17)?;
    let (offset, digits) = field.split_last()?;
    let is_unset = digits.iter().all(|&digit| digit == b'0') && *offset == 0 || digits.iter().all(|&digit| digit == 0);
    if is_unset {
        return None;
    }
    let mut date = String::with_capacity(22);
    for (index, digit) in String::from_utf8_lossy(digits).chars().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10 | 12 | 14) {
            date.push('-');
        }
        date.push(digit);
    }
    Some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged_text(joliet: &str, ascii: &str) -> Option<String> {
        let mut units: Vec<u8> = joliet.encode_utf16().flat_map(u16::to_be_bytes).collect();
        while units.len() < LABEL_LEN {
            units.extend([0, b' ']);
        }
        let ascii = format!("{ascii:<32}");
        merged(&units, ascii.as_bytes()).and_then(|units| text::utf16(&units, u16::from_be_bytes))
    }

    #[test]
    fn a_short_joliet_name_is_completed_by_the_primary_one() {
        let long = merged_text("Debian 12.0 mit ", "DEBIAN_12.0_MIT_NOCH_ETWAS");
        assert_eq!(long.as_deref(), Some("Debian 12.0 mit NOCH_ETWAS"));
        assert_eq!(merged_text("grüße", "GR__E").as_deref(), Some("grüße"));
        assert_eq!(merged_text("other", "NAME"), None);
    }
}
