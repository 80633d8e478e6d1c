//! The seek table of the Zstandard seekable format: how long each frame is, compressed and decompressed, in a skippable
//! frame at the end of the file (zstd, `contrib/seekable_format/zstd_seekable_compression_format.md`, version 0.1.0).
//!
//! It is read along with the frames, a few entries at a time, however many it claims. What it says of a frame is only a
//! hint, which whoever follows it holds against the frame's blocks.

use crate::zst::error::Error;
use crate::zst::source::Source;

/// `Skippable_Magic_Number` of the frame that holds the table.
const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
/// `Seekable_Magic_Number`, the last four bytes of the file.
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
/// Magic and size field of a skippable frame.
const HEADER_LEN: u64 = 8;
/// `Number_Of_Frames`, `Seek_Table_Descriptor`, `Seekable_Magic_Number`.
const FOOTER_LEN: usize = 9;
/// Entries that are read at once.
const BATCH: u64 = 512;

/// A table, and how far it was read.
pub(in crate::zst) struct SeekTable {
    /// Where the entries stand in the file, and how long each is: 8 bytes, or 12 with a checksum.
    entries_at: u64,
    entry_len: usize,
    count: u64,
    /// The entry that comes next, and the compressed offset of its frame.
    next: u64,
    offset: u64,
    /// Entries read ahead, and which of them is the first.
    batch: Vec<u8>,
    batch_first: u64,
}

/// What the table says of a frame, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct Entry {
    /// The whole frame.
    pub compressed: u64,
    /// What it holds.
    pub decompressed: u64,
}

impl SeekTable {
    /// The table at the end of the file, if there is one.
    pub fn find(source: &Source) -> Result<Option<SeekTable>, Error> {
        let length = source.length();
        let Some(footer_at) = length.checked_sub(FOOTER_LEN as u64) else { return Ok(None) };
        let mut footer = [0; FOOTER_LEN];
        source.read_exact_at(footer_at, &mut footer)?;
        let [n0, n1, n2, n3, descriptor, m0, m1, m2, m3] = footer;
        // Checksum_Flag, and five bits that are reserved.
        let (has_checksums, reserved) = (descriptor & 0b1000_0000 != 0, descriptor & 0b0111_1100);
        if u32::from_le_bytes([m0, m1, m2, m3]) != SEEKABLE_MAGIC || reserved != 0 {
            return Ok(None);
        }
        let count = u64::from(u32::from_le_bytes([n0, n1, n2, n3]));
        let entry_len = if has_checksums { 12 } else { 8 };
        let content_len = count * entry_len as u64 + FOOTER_LEN as u64;
        let Some(table_at) = length.checked_sub(HEADER_LEN + content_len) else { return Ok(None) };
        let mut header = [0; 8];
        source.read_exact_at(table_at, &mut header)?;
        let [g0, g1, g2, g3, l0, l1, l2, l3] = header;
        let is_table = u32::from_le_bytes([g0, g1, g2, g3]) == SKIPPABLE_MAGIC
            && u64::from(u32::from_le_bytes([l0, l1, l2, l3])) == content_len;
        Ok(is_table.then(|| SeekTable {
            entries_at: table_at + HEADER_LEN,
            entry_len,
            count,
            next: 0,
            offset: 0,
            batch: Vec::new(),
            batch_first: 0,
        }))
    }

    /// What is said of the frame at the compressed offset `offset`. Offsets are asked for in ascending order.
    pub fn entry_at(&mut self, source: &Source, offset: u64) -> Result<Option<Entry>, Error> {
        while self.next < self.count && self.offset <= offset {
            let entry = self.read(source)?;
            let begins_at = self.offset;
            if begins_at == offset && entry.compressed > 0 {
                return Ok(Some(entry));
            }
            self.next += 1;
            self.offset = begins_at.saturating_add(entry.compressed);
        }
        Ok(None)
    }

    fn read(&mut self, source: &Source) -> Result<Entry, Error> {
        let batch_len = (self.batch.len() / self.entry_len) as u64;
        if !(self.batch_first..self.batch_first + batch_len).contains(&self.next) {
            let count = BATCH.min(self.count - self.next);
            self.batch.resize(usize::try_from(count).expect("at most BATCH") * self.entry_len, 0);
            self.batch_first = self.next;
            source.read_exact_at(self.entries_at + self.next * self.entry_len as u64, &mut self.batch)?;
        }
        let at = usize::try_from(self.next - self.batch_first).expect("at most BATCH") * self.entry_len;
        let field = |at: usize| {
            let bytes = self.batch.get(at..).and_then(|tail| tail.first_chunk()).expect("the batch has whole entries");
            u64::from(u32::from_le_bytes(*bytes))
        };
        Ok(Entry { compressed: field(at), decompressed: field(at + 4) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(u32, u32)], checksums: bool) -> Vec<u8> {
        let mut content = Vec::new();
        for (compressed, decompressed) in entries {
            content.extend(compressed.to_le_bytes());
            content.extend(decompressed.to_le_bytes());
            content.extend(&[0xCC; 4][..if checksums { 4 } else { 0 }]);
        }
        content.extend(u32::try_from(entries.len()).expect("few").to_le_bytes());
        content.push(if checksums { 0x80 } else { 0 });
        content.extend(SEEKABLE_MAGIC.to_le_bytes());
        let mut frame = SKIPPABLE_MAGIC.to_le_bytes().to_vec();
        frame.extend(u32::try_from(content.len()).expect("short").to_le_bytes());
        frame.extend(content);
        frame
    }

    fn with_source<R>(bytes: &[u8], test: impl FnOnce(&Source) -> R) -> R {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).expect("written");
        test(&Source::open(&path).expect("opens"))
    }

    #[test]
    fn entries_are_found_by_the_offset_of_their_frame() {
        let entries: Vec<(u32, u32)> = (0..2000).map(|i| (i % 7 + 1, i)).collect();
        for checksums in [false, true] {
            with_source(&table(&entries, checksums), |source| {
                let mut table = SeekTable::find(source).expect("read").expect("there");
                let mut offset = 0;
                for (index, &(compressed, decompressed)) in entries.iter().enumerate() {
                    let expected = Entry { compressed: compressed.into(), decompressed: decompressed.into() };
                    if index % 3 == 0 {
                        assert_eq!(table.entry_at(source, offset).expect("read"), Some(expected));
                    }
                    offset += u64::from(compressed);
                }
                assert_eq!(table.entry_at(source, offset).expect("read"), None);
            });
        }
    }

    #[test]
    fn an_offset_inside_a_frame_is_not_in_the_table() {
        with_source(&table(&[(10, 100), (10, 100)], false), |source| {
            let mut table = SeekTable::find(source).expect("read").expect("there");
            assert_eq!(table.entry_at(source, 5).expect("read"), None);
            assert_eq!(table.entry_at(source, 10).expect("read").map(|entry| entry.decompressed), Some(100));
        });
    }

    #[test]
    fn a_table_that_claims_more_than_the_file_is_none() {
        let mut bytes = table(&[(10, 100)], false);
        let count_at = bytes.len() - FOOTER_LEN;
        bytes[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        with_source(&bytes, |source| assert!(SeekTable::find(source).expect("read").is_none()));
        with_source(b"short", |source| assert!(SeekTable::find(source).expect("read").is_none()));
    }
}
