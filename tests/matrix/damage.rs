//! What happens to an image, and what of its table then has to be found: section 5 of the specification, state by state.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::made::{MIB, Spec, write};
use crate::peers::expected::Expected;

/// One thing that happened to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    FirstSectorZeroed,
    PrimaryHeaderZeroed,
    PrimaryEntriesZeroed,
    BackupMissing,
    HeadersZeroed,
    CutToHalf,
    CutBehindTable,
    BitFlipped,
    Grown,
}

impl Damage {
    pub const ALL: [Damage; 9] = [
        Damage::FirstSectorZeroed,
        Damage::PrimaryHeaderZeroed,
        Damage::PrimaryEntriesZeroed,
        Damage::BackupMissing,
        Damage::HeadersZeroed,
        Damage::CutToHalf,
        Damage::CutBehindTable,
        Damage::BitFlipped,
        Damage::Grown,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Damage::FirstSectorZeroed => "first-zeroed",
            Damage::PrimaryHeaderZeroed => "primary-zeroed",
            Damage::PrimaryEntriesZeroed => "entries-zeroed",
            Damage::BackupMissing => "backup-missing",
            Damage::HeadersZeroed => "headers-zeroed",
            Damage::CutToHalf => "cut-half",
            Damage::CutBehindTable => "cut-table",
            Damage::BitFlipped => "bit",
            Damage::Grown => "grown",
        }
    }

    /// Whether it happens to such an image, which is not damaged yet.
    pub fn is_for(self, spec: &Spec) -> bool {
        let is_gpt = spec.label == "gpt";
        let layout = spec.name.rsplit('-').next().unwrap_or_default();
        let is_common = ["1", "2", "many"].contains(&layout) || layout.contains('+') || spec.name.starts_with("sgdisk");
        is_common
            && match self {
                Damage::PrimaryHeaderZeroed
                | Damage::PrimaryEntriesZeroed
                | Damage::BackupMissing
                | Damage::HeadersZeroed => is_gpt,
                Damage::BitFlipped => Damage::flipped(spec).is_some(),
                _ => true,
            }
    }

    /// The byte of which the lowest bit is flipped: of the length of the second partition, or in its name.
    fn flipped(spec: &Spec) -> Option<u64> {
        if spec.partitions.len() < 2 || spec.group != spec.label {
            return None;
        }
        match spec.label {
            "dos" => Some(446 + 16 + 12),
            "gpt" => Some(1024 + 128 + 56),
            "sun" => Some(444 + 8 + 7),
            "sgi" => Some(312 + 12 + 3),
            "mac" => Some(3 * 512 + 12 + 3),
            _ => None,
        }
    }

    pub fn apply(self, path: &Path, spec: &Spec) {
        let (size, sector) = (spec.size, spec.sector_size);
        let zero = |offset: u64, len: u64| write(path, offset, &vec![0; usize::try_from(len).expect("small")]);
        let set_len = |len| OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(len)).expect("cut");
        match self {
            Damage::FirstSectorZeroed => zero(0, 512),
            Damage::PrimaryHeaderZeroed => zero(sector, 512),
            Damage::PrimaryEntriesZeroed => zero(entries_at(path, sector) * sector, 512),
            Damage::BackupMissing => zero(size - 33 * sector, 33 * sector),
            Damage::HeadersZeroed => {
                zero(sector, 512);
                zero(size - sector, 512);
            }
            Damage::CutToHalf => set_len(size / 2),
            Damage::CutBehindTable => set_len(table_end(spec)),
            Damage::Grown => set_len(size + 8 * MIB),
            Damage::BitFlipped => {
                let offset = Damage::flipped(spec).expect("it is for this image");
                let mut byte = [0];
                let file = OpenOptions::new().read(true).write(true).open(path).expect("an image");
                file.read_exact_at(&mut byte, offset).expect("read");
                file.write_all_at(&[byte[0] ^ 1], offset).expect("written");
            }
        }
    }

    /// What then has to be found.
    pub fn expected(self, spec: &Spec) -> Expected {
        let whole = Expected::exactly(spec.label, spec.partitions.clone());
        let gone = Expected { or_undecidable: true, ..Expected::none() };
        let any = Expected { or_undecidable: true, or_none: true, in_part: true, ..whole.clone() };
        let is_gpt = spec.label == "gpt";
        let is_cut = matches!(self, Damage::CutToHalf | Damage::CutBehindTable);
        let is_chain_cut = is_cut && spec.group == "dos, logical";
        // It has neither a magic nor a checksum, and hardly an image is left that it could be of.
        let is_atari_lost = self == Damage::CutBehindTable && spec.label == "atari";
        match self {
            // Two entries vouch for each other, one does not.
            Damage::HeadersZeroed if spec.partitions.len() < 2 || is_elsewhere(spec) => {
                Expected { or_undecidable: true, ..whole }
            }
            Damage::FirstSectorZeroed if spec.label == "dos" => gone,
            // No checksum: it is another length.
            Damage::BitFlipped if ["dos", "mac"].contains(&spec.label) => {
                let mut partitions = spec.partitions.clone();
                partitions[1].2 += 512;
                Expected::exactly(spec.label, partitions)
            }
            // A checksum fails, or a label has a part elsewhere: it may stand, and no other may be made of it.
            Damage::BitFlipped | Damage::FirstSectorZeroed if !is_gpt => any,
            _ if is_chain_cut => Expected { in_part: true, or_undecidable: true, ..whole },
            _ if is_atari_lost => any,
            _ => whole,
        }
    }
}

/// Whether the entries of a GPT are not where they usually are, or reach where they usually do not.
fn is_elsewhere(spec: &Spec) -> bool {
    ["sgdisk-moved", "sgdisk-entries-256", "sgdisk-entries-1024"].iter().any(|name| spec.name.starts_with(name))
}

/// The sector in which the entries of a GPT begin: UEFI 2.10 table 5-5.
fn entries_at(path: &Path, sector: u64) -> u64 {
    let mut lba = [0; 8];
    let file = OpenOptions::new().read(true).open(path).expect("an image");
    file.read_exact_at(&mut lba, sector + 72).expect("a header");
    u64::from_le_bytes(lba)
}

/// Behind which byte a table of this kind has nothing but its copies.
fn table_end(spec: &Spec) -> u64 {
    match spec.label {
        "gpt" if spec.name.starts_with("sgdisk") => MIB,
        "gpt" => 34 * spec.sector_size,
        "dos" | "sun" | "sgi" | "atari" => 1024,
        "mac" => 64 * 512,
        _ => 64 << 10,
    }
}
