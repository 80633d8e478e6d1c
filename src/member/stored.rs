//! How many bytes of data are stored for a member, where its header and its PAX records disagree.
//!
//! A PAX `size` counts before the header's (POSIX.1-2017 pax, "pax Extended Header"), which is 0 then as a rule, because it has
//! no room for the number. But libarchive before 3.6 gave a sparse file of 8 GiB or more its real size there, and the
//! stored one in the header (libarchive, pull request 1653): GNU tar loses its way in such an archive. And the header's
//! size of a hard link says nothing as a rule (GNU tar, list.c, `read_header`), but that data follow where `pax -o linkdata` wrote it.
//!
//! So there may be two sizes: the one that counts by the rule, and another. The other one is taken only where the archive
//! bears it out and not the first: a sparse map does that which comes to exactly one of them, or else what stands behind the
//! data. A header there says more than zeros, which data are full of. What is nearer is looked at first, and often is enough;
//! what is farther makes whoever decodes the archive come back, so that only a few members of an archive may have it
//! looked at.

use super::blocks::Blocks;
use super::error::NumberProblem;
use super::header::{BLOCK, BLOCK_BYTES, Header, Kind, padded};
use super::pax::Records;
use super::seen::Seen;

/// Members of an archive of which what stands behind the larger size is looked at.
const MAX_FAR_LOOKS: u32 = 8;

/// The sizes that are given for a member's data, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The one that counts by the rule.
    pub rule: u64,
    /// Another one.
    pub other: Option<u64>,
}

/// What was learnt from the members before, about sizes that disagree.
#[derive(Default)]
pub(super) struct Doubt {
    /// Whether a header had a magic: then a block without one is not a header.
    pub saw_magic: bool,
    /// Whether it was found out of a member that its PAX size was wrong, and the header's was right.
    trusts_headers: bool,
    far_looks: u32,
}

impl Doubt {
    pub(super) fn new(saw_magic: bool) -> Self {
        Self { saw_magic, ..Self::default() }
    }

    /// Whether one more member may have it looked at what stands behind the larger size.
    fn may_look_far(&mut self) -> bool {
        self.far_looks += 1;
        self.far_looks <= MAX_FAR_LOOKS
    }
}

/// What stands behind a member's data, if they have a certain size: the more, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    /// The data would not all be there.
    Past,
    /// Something that is not a header.
    Data,
    /// Zeros, or the archive's end.
    End,
    Header,
}

impl Sizes {
    /// What the header and the records say. Of links, devices and FIFOs the header's size is not to be believed (POSIX.1-2017
    /// pax, typeflag), but GNU tar and bsdtar both believe a PAX one; GNU tar never believes a directory's.
    pub(super) fn of(header: &Header, kind: Kind, own: &Records, global: &Records) -> Result<Self, NumberProblem> {
        let has_data = kind.has_data(header.type_flag());
        let (rule, other) = if has_data {
            match (own.size.or(&global.size), header.size()) {
                (Some(&pax), header) => (pax, header.ok()),
                (None, header) => (header?, None),
            }
        } else {
            match own.size.own().filter(|_| kind != Kind::Directory) {
                Some(&pax) => (pax, Some(0)),
                None if kind == Kind::HardLink => (0, header.size().ok()),
                None => (0, None),
            }
        };
        Ok(Self { rule, other: other.filter(|&other| other != rule) })
    }

    /// The smaller one.
    pub(super) fn least(self) -> u64 {
        self.other.map_or(self.rule, |other| self.rule.min(other))
    }

    /// The larger one.
    pub(super) fn most(self) -> u64 {
        self.other.map_or(self.rule, |other| self.rule.max(other))
    }

    /// The size that the archive bears out of data that begin at `start`. `mapped` is what a sparse map comes to, itself
    /// included where it stands before the data.
    pub(super) fn settle(self, blocks: &mut Blocks<'_>, start: u64, mapped: Option<u64>, doubt: &mut Doubt) -> u64 {
        let Self { rule, other: Some(other) } = self else { return self.rule };
        if let Some(mapped) = mapped {
            let is_mapped = |size: u64| size.div_ceil(BLOCK_BYTES) == mapped.div_ceil(BLOCK_BYTES);
            match (is_mapped(rule), is_mapped(other)) {
                (true, _) => return rule,
                (false, true) => return other,
                (false, false) => {}
            }
        }
        let saw_magic = doubt.saw_magic;
        let mut behind = |size| Behind::of(blocks, start, size, saw_magic);
        let is_other = if rule < other {
            // Zeros behind both say nothing, for data are full of them; then the larger is believed, and no data are lost.
            let is_better = |of_rule, of_other| of_other > of_rule || of_other == Behind::End;
            let of_rule = behind(rule);
            of_rule < Behind::Header && doubt.may_look_far() && is_better(of_rule, behind(other))
        } else {
            match behind(other) {
                Behind::Past | Behind::Data => false,
                // A header that says 0 where PAX says more says nothing, and data that begin with zeros or with a header are
                // no proof that there are none.
                Behind::End if other == 0 => false,
                Behind::Header if other == 0 => doubt.may_look_far() && behind(rule) == Behind::Data,
                Behind::Header if doubt.trusts_headers => true,
                of_other => doubt.may_look_far() && behind(rule) < of_other,
            }
        };
        doubt.trusts_headers |= is_other && rule > other && other > 0;
        if is_other { other } else { rule }
    }
}

impl Behind {
    fn of(blocks: &mut Blocks<'_>, start: u64, size: u64, saw_magic: bool) -> Self {
        let Some((end, next)) = padded(start, size) else { return Self::Past };
        // What cannot be read proves nothing; whoever reads on gets the error.
        let Ok(block) = blocks.block(next, BLOCK) else { return Self::Past };
        match Seen::of(block) {
            Seen::Header(header) if header.has_magic() || !saw_magic => Self::Header,
            Seen::Zeros => Self::End,
            Seen::End { zeros: true, .. } if size == 0 || blocks.has_byte(end - 1).unwrap_or(false) => Self::End,
            Seen::Header(_) | Seen::Other(_) => Self::Data,
            Seen::End { .. } => Self::Past,
        }
    }
}
