//! The walk over archives made by hand, odd ones and hostile ones: what makes and counts them, and what it reads.

use std::cell::{Cell, RefCell};
use std::io;

use positioned_io::ReadAt;

use super::*;

mod damage;
mod doubt;
mod ends;
mod extensions;
mod sizes;
mod sparse;

const END: [u8; 1024] = [0; 1024];
const SIZE: usize = 124;
const CHKSUM: usize = 148;
const GNU: &[u8; 8] = b"ustar  \0";

/// A header with a checksum that holds, changed by `edit` before that is set.
fn header_with(name: &str, flag: u8, size: u64, edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[SIZE] = 0x80;
    block[SIZE + 4..SIZE + 12].copy_from_slice(&size.to_be_bytes());
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    edit(&mut block);
    block[CHKSUM..CHKSUM + 8].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[CHKSUM..CHKSUM + 8].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn header(name: &str, flag: u8, size: u64) -> Vec<u8> {
    header_with(name, flag, size, |_| ())
}

fn padded(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(512), 0);
    data
}

fn member(name: &str, flag: u8, data: &[u8]) -> Vec<u8> {
    [header(name, flag, data.len() as u64), padded(data)].concat()
}

fn record(key: &str, value: &str) -> String {
    let bare = key.len() + value.len() + 3;
    let len = (1..20).map(|digits| bare + digits).find(|len| len.to_string().len() + bare == *len);
    format!("{} {key}={value}\n", len.expect("some length fits"))
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let body: String = records.iter().map(|(key, value)| record(key, value)).collect();
    member("x", b'x', body.as_bytes())
}

/// What the walk says of an archive: a line an item, the error that ended it last.
fn walked(archive: &dyn Archive) -> Vec<String> {
    let mut members = walk(archive);
    let mut lines = Vec::new();
    loop {
        match members.next() {
            Ok(None) => break,
            Ok(Some(Item::Member(member))) => {
                lines.extend(member.note.map(|note| note.code().to_string()));
                lines.push(format!("{} {} {}", member.path.escape_ascii(), member.kind, member.size));
            }
            Ok(Some(Item::Note(note))) => lines.push(note.code().to_string()),
            Ok(Some(Item::Bad(error))) => lines.push(format!("bad {}", error.code())),
            Err(error) => {
                lines.push(format!("end {}", error.code()));
                assert!(matches!(members.next(), Ok(None)), "an error ends the walk");
                break;
            }
        }
    }
    lines
}

fn lines(parts: &[&[u8]]) -> Vec<String> {
    walked(&parts.concat().as_slice())
}

/// An archive that counts what is read of it, and in which order.
struct Counted<'a> {
    archive: &'a dyn ReadAt,
    bytes: Cell<u64>,
    furthest_back: Cell<u64>,
    position: Cell<u64>,
    reads: RefCell<Vec<(u64, usize)>>,
}

impl<'a> Counted<'a> {
    fn new(archive: &'a dyn ReadAt) -> Self {
        let (bytes, furthest_back, position) = (Cell::new(0), Cell::new(0), Cell::new(0));
        Self { archive, bytes, furthest_back, position, reads: RefCell::default() }
    }
}

impl ReadAt for Counted<'_> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.archive.read_at(pos, buf)?;
        self.bytes.set(self.bytes.get() + got as u64);
        let back = self.position.get().saturating_sub(pos);
        self.furthest_back.set(self.furthest_back.get().max(back));
        self.position.set(pos + got as u64);
        self.reads.borrow_mut().push((pos, got));
        Ok(got)
    }
}

impl Archive for Counted<'_> {}

/// Zeros without end after `head`, up to `len` bytes in all.
struct Padded {
    head: Vec<u8>,
    len: u64,
}

impl ReadAt for Padded {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(pos)).map_or(buf.len(), |left| left.min(buf.len()));
        let buf = &mut buf[..left];
        buf.fill(0);
        if pos < self.head.len() as u64 {
            self.head.as_slice().read_at(pos, buf)?;
        }
        Ok(left)
    }
}

impl Archive for Padded {}

#[test]
fn member_data_is_not_read_and_reads_go_forward() {
    let head = [header("a", b'0', 1 << 40)].concat();
    let archive = Padded { head, len: (1 << 40) + 4096 };
    let counted = Counted::new(&archive);
    assert_eq!(walked(&counted), ["a file 1099511627776"]);
    assert!(counted.bytes.get() <= 4096);
    assert_eq!(counted.furthest_back.get(), 0);
}

#[test]
fn a_hundred_thousand_members_are_walked_a_block_at_a_time() {
    let archive = [header("f", b'0', 0).repeat(100_000), END.to_vec()].concat();
    let archive = archive.as_slice();
    let counted = Counted::new(&archive);
    let mut members = walk(&counted);
    let mut count = 0;
    while let Some(item) = members.next().expect("a good archive") {
        assert!(matches!(item, Item::Member(_)));
        count += 1;
    }
    assert_eq!(count, 100_000);
    assert_eq!(counted.bytes.get(), archive.len() as u64);
}

#[test]
fn a_read_error_says_where_and_keeps_its_cause() {
    struct Failing;
    impl ReadAt for Failing {
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("frame checksum"))
        }
    }
    impl Archive for Failing {}
    let error = walk(&Failing).next().expect_err("an error");
    assert!(matches!(&error, Error::Io { offset: 0, source } if source.to_string() == "frame checksum"));
    assert_eq!(error.to_string(), "archive could not be read at offset 0");
}

#[test]
fn names_in_messages_cannot_act_on_a_terminal() {
    let error = Error::SparseMap {
        offset: 512,
        path: b"\x1b[2J\xff\xe2\x80\xae.img".to_vec(),
        problem: SparseProblem::NoRealSize,
    };
    let text = error.to_string();
    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text}");
}
