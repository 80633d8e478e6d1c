//! An archive's beginning alone: for a first look, and for what can be expected of archives before their turn comes.
//!
//! libzstd decodes the first [`HEAD`] bytes of the tar and no more, for which hardly more than as many bytes of the file are
//! read: one request to an object store. A first look tells what the first image is where its bytes there settle it. A
//! verdict that asked for a byte behind them, be it of an EBR or of the backup of a GPT, is none, and neither is one that
//! rests on blank sectors, of which a rescue map behind the image may say that they were never read. Other sectors it may
//! call unread, too, and so a first look is no last word.

use std::cell::Cell;
use std::io;

use positioned_io::ReadAt;

use crate::archive;
use crate::cause::Cause;
use crate::finding::Finding;
use crate::images::{Images, Role};
use crate::member::{self, Archive, Content, Item, Member};
use crate::reason::Reason;
use crate::rescue::{Known, Maps};
use crate::zst::{self, ZstFile};

/// Bytes of the tar that are looked at: the sectors that tables begin in, behind headers and a map or two, and what the first
/// partition begins with, at 1 MiB of most disks. By that, an MBR's sectors are known to be of 512 bytes.
const HEAD: u64 = 2 << 20;

/// The beginning of an archive.
pub(super) struct Head<'a> {
    zst: &'a ZstFile,
    is_left: Cell<bool>,
}

impl<'a> Head<'a> {
    /// Of this archive, which is best read by [`zst::Engine::Decode`]: nothing is to be passed over.
    pub fn new(zst: &'a ZstFile) -> Head<'a> {
        Head { zst, is_left: Cell::new(false) }
    }

    /// The whole of it.
    pub fn zst(&self) -> &'a ZstFile {
        self.zst
    }

    /// Whether a byte behind it was asked for.
    pub fn is_left(&self) -> bool {
        self.is_left.get()
    }

    /// What is found in an image, of which `least` partitions are of interest, and why that is no verdict, if it is none.
    pub fn examine(&self, member: &Member, content: &Content, maps: &mut Maps, least: u32) -> (Finding, Option<Cause>) {
        maps.add_image(&member.path);
        let known = match maps.of(&member.path, self) {
            Known::Nothing => Known::Unusable(Cause::new(Reason::NotLookedAt, "a rescue map may lie behind the image")),
            known => known,
        };
        let mut finding = archive::examine(self, content, Some(least));
        let behind = archive::look_behind_unread(self, content, Some(least), &known, (&finding, least));
        finding = behind.unwrap_or(finding);
        let is_told = finding.count.is_some();
        finding.distrust_unread(&known, content.size(), least);
        let what = if self.is_left() {
            "what decides lies behind it"
        } else if is_told && finding.count.is_none() {
            "the answer rests on sectors that may not have been read"
        } else {
            return (finding, None);
        };
        let message = format!("only the beginning of the archive was looked at: {what}");
        let cause = Cause::new(Reason::NotLookedAt, message);
        finding.count = None;
        finding.undecidable = Some(cause.clone());
        (finding, Some(cause))
    }

    /// Whether the first image in it remains undecided.
    pub fn leaves_undecided(&self, mut images: Images, mut maps: Maps, least: u32) -> bool {
        let mut members = member::walk(self);
        while let Ok(Some(item)) = members.next() {
            let Item::Member(member) = item else { continue };
            match images.judge(&member) {
                Role::Image(content) => return self.examine(&member, &content, &mut maps, least).1.is_some(),
                Role::Other => {
                    maps.add_member(&member);
                }
                Role::NoImage(_) => {}
            }
        }
        false
    }
}

impl ReadAt for Head<'_> {
    /// Fills `buf` as far as the beginning goes. [`zst::Error::Dear`] of what lies behind.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = HEAD.saturating_sub(pos);
        if left == 0 && !buf.is_empty() {
            self.is_left.set(true);
            return Err(zst::Error::Dear { position: pos }.into());
        }
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.zst.read_at(pos, &mut buf[..len])
    }
}

impl Archive for Head<'_> {}
