//! What is wrong with a table that stands all the same.

use super::label::GptCopy;
use super::rejection::Rejection;

/// One thing wrong with a [`PartitionTable`](super::PartitionTable) that was read nevertheless.
///
/// LBAs count sectors of the table's own sector size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The table describes a larger disk than the image holds.
    #[error("the image has {size} bytes, the table needs {needed}")]
    ImageTooShort {
        /// Bytes the table reaches to.
        needed: u64,
        /// Bytes the image has.
        size: u64,
    },
    /// The primary GPT is no good, and something else was used.
    #[error("primary GPT at LBA {lba}: {fault}")]
    PrimaryGpt {
        /// Where it should be.
        lba: u64,
        /// What is wrong with it.
        fault: GptFault,
    },
    /// The backup GPT was needed too, and is no good.
    #[error("backup GPT: {fault}")]
    BackupGpt {
        /// What is wrong with it.
        fault: GptFault,
    },
    /// Entries were taken from a GPT array whose checksums do not hold.
    #[error("the entries of the {copy} GPT are used although no checksum vouches for them")]
    GptUnverified {
        /// Which array.
        copy: GptCopy,
    },
    /// A GPT stands without a 0xEE entry at LBA 0.
    #[error("no protective MBR at LBA 0")]
    NoProtectiveMbr,
    /// The MBR half of a hybrid table is used, because its GPT is no good.
    #[error("hybrid MBR used without its GPT")]
    HybridWithoutGpt,
    /// A GPT entry ends before it starts; it does not count.
    #[error("GPT entry {number} ends at LBA {last}, before its start at LBA {first}")]
    EntryReversed {
        /// Linux's number of the partition.
        number: u32,
        /// First LBA.
        first: u64,
        /// Last LBA, included.
        last: u64,
    },
    /// A GPT entry leaves the range that its header allows; it counts all the same, as it does for Linux.
    #[error("GPT entry {number}, LBA {first} to {last}, is outside the usable LBA {first_usable} to {last_usable}")]
    EntryOutsideUsable {
        /// Linux's number of the partition.
        number: u32,
        /// First LBA.
        first: u64,
        /// Last LBA, included.
        last: u64,
        /// First usable LBA of the header.
        first_usable: u64,
        /// Last usable LBA of the header, included.
        last_usable: u64,
    },
    /// A link of the chain of logical partitions leads to an EBR already seen.
    #[error("the chain of logical partitions comes back to the EBR at LBA {lba}")]
    EbrCycle {
        /// The EBR.
        lba: u64,
    },
    /// No 0x55AA where the chain of logical partitions has an EBR.
    #[error("no EBR signature at LBA {lba}")]
    EbrSignature {
        /// Where it should be.
        lba: u64,
    },
    /// An EBR lies outside its extended partition. It is followed, as Linux does.
    #[error("the EBR at LBA {lba} is outside its extended partition")]
    EbrOutsideContainer {
        /// The EBR.
        lba: u64,
    },
    /// An EBR lies past the end of the image.
    #[error("the EBR at LBA {lba} is past the end of the image")]
    EbrPastEnd {
        /// The EBR.
        lba: u64,
    },
    /// An EBR could not be read.
    #[error("the EBR at LBA {lba} cannot be read: {message}")]
    EbrUnreadable {
        /// The EBR.
        lba: u64,
        /// What the image's reader said.
        message: String,
    },
    /// The chain has too many EBRs without a partition, or too many partitions.
    #[error("the chain of logical partitions is too long at LBA {lba}")]
    EbrChainTooLong {
        /// The first EBR not followed.
        lba: u64,
    },
    /// The driver descriptor in front of an Apple partition map is lost, or tells another block size than the map has.
    #[error("the driver descriptor at LBA 0 does not fit the map: it says {block_size} bytes a block")]
    DriverDescriptor {
        /// Bytes in a block, as it says; 0 where it is lost.
        block_size: u32,
    },
    /// An entry in the middle of an Apple partition map is lost. Reading went on behind it, where Linux stops.
    #[error("entry {number} of the partition map is lost")]
    MapEntryLost {
        /// Linux's number of the partition.
        number: u32,
    },
    /// An Apple partition map has another number of entries than it says.
    #[error("the partition map says that it has {count} entries, and the last one there is entry {last}")]
    MapCount {
        /// As the map says.
        count: u32,
        /// The last one that was found.
        last: u32,
    },
    /// A disklabel of the whole disk is used although something in it is wrong.
    #[error("disklabel: {flaw}")]
    Disklabel {
        /// What is wrong.
        flaw: Rejection,
    },
    /// The label inside an MBR slice is damaged. Without partitions of its own the slice counts as one.
    #[error("the label in MBR partition {number}: {flaw}")]
    NestedLabel {
        /// Linux's number of the slice.
        number: u32,
        /// What is wrong.
        flaw: Rejection,
    },
    /// The label inside an MBR slice could not be read.
    #[error("the label in MBR partition {number} cannot be read: {message}")]
    NestedUnreadable {
        /// Linux's number of the slice.
        number: u32,
        /// What the image's reader said.
        message: String,
    },
    /// The first block of a label does not have its checksum, and what it leads to does.
    #[error("the label's checksum is {computed:08x}, expected {stored:08x}")]
    LabelChecksum {
        /// As the label says; 0 for a sum that has to come to 0.
        stored: u32,
        /// Of the bytes that are there.
        computed: u32,
    },
    /// A block of a list of partitions is not what the list says it is.
    #[error("the list of partitions is broken at block {block}: {fault}")]
    ListBroken {
        /// The block, in blocks of the table.
        block: u64,
        /// What is wrong with it.
        fault: Rejection,
    },
    /// A list of partitions leads to a block already seen.
    #[error("the list of partitions comes back to block {block}")]
    ListCycle {
        /// The block, in blocks of the table.
        block: u64,
    },
    /// Something in the database of a dynamic disk does not hold.
    #[error("the LDM database is damaged: {part}: {fault}")]
    LdmDatabase {
        /// The structure, by its magic.
        part: &'static str,
        /// What is wrong with it.
        fault: Rejection,
    },
}

impl Damage {
    /// The kind of damage as one `snake_case` word, for the log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ImageTooShort { .. } => "image_too_short",
            Self::PrimaryGpt { .. } => "primary_gpt",
            Self::BackupGpt { .. } => "backup_gpt",
            Self::GptUnverified { .. } => "gpt_unverified",
            Self::NoProtectiveMbr => "no_protective_mbr",
            Self::HybridWithoutGpt => "hybrid_without_gpt",
            Self::EntryReversed { .. } => "entry_reversed",
            Self::EntryOutsideUsable { .. } => "entry_outside_usable",
            Self::EbrCycle { .. } => "ebr_cycle",
            Self::EbrSignature { .. } => "ebr_signature",
            Self::EbrOutsideContainer { .. } => "ebr_outside_container",
            Self::EbrPastEnd { .. } => "ebr_past_end",
            Self::EbrUnreadable { .. } => "ebr_unreadable",
            Self::EbrChainTooLong { .. } => "ebr_chain_too_long",
            Self::DriverDescriptor { .. } => "driver_descriptor",
            Self::MapEntryLost { .. } => "map_entry_lost",
            Self::MapCount { .. } => "map_count",
            Self::Disklabel { .. } => "disklabel",
            Self::NestedLabel { .. } => "nested_label",
            Self::NestedUnreadable { .. } => "nested_unreadable",
            Self::LabelChecksum { .. } => "label_checksum",
            Self::ListBroken { .. } => "list_broken",
            Self::ListCycle { .. } => "list_cycle",
            Self::LdmDatabase { .. } => "ldm_database",
        }
    }
}

/// Why one copy of a GPT does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GptFault {
    /// There is no header.
    #[error("no EFI PART signature")]
    NoSignature,
    /// The image ends before the place where it should be.
    #[error("it would lie past the end of the image")]
    PastEnd,
    /// It could not be read.
    #[error("it cannot be read at byte {offset}: {message}")]
    Unreadable {
        /// Byte of the image.
        offset: u64,
        /// What the image's reader said.
        message: String,
    },
    /// The header says it is shorter than a header, or longer than a sector.
    #[error("header size {size}")]
    HeaderSize {
        /// Bytes, as the header says.
        size: u32,
    },
    /// The header's checksum does not hold.
    #[error("header CRC {computed:08x}, expected {stored:08x}")]
    HeaderCrc {
        /// As the header says.
        stored: u32,
        /// Of the bytes that are there.
        computed: u32,
    },
    /// The header belongs to another place.
    #[error("the header at LBA {lba} says it is at LBA {my_lba}")]
    WrongPlace {
        /// Where it is.
        lba: u64,
        /// Where it says it is.
        my_lba: u64,
    },
    /// The usable range ends before it starts.
    #[error("usable range from LBA {first} to {last}")]
    UsableRange {
        /// First usable LBA.
        first: u64,
        /// Last usable LBA.
        last: u64,
    },
    /// The entry size is not 128 x 2^n, or is beyond all reason.
    #[error("entry size {size}")]
    EntrySize {
        /// Bytes, as the header says.
        size: u32,
    },
    /// The array has no entry, or more than any partitioning tool makes.
    #[error("{count} entries of {size} bytes")]
    EntryCount {
        /// Entries, as the header says.
        count: u32,
        /// Bytes each, as the header says.
        size: u32,
    },
    /// The image ends before the end of the entry array.
    #[error("the entry array at LBA {lba} reaches past the end of the image")]
    ArrayPastEnd {
        /// Where it starts.
        lba: u64,
    },
    /// The array's checksum does not hold.
    #[error("entry array CRC {computed:08x}, expected {stored:08x}")]
    ArrayCrc {
        /// As the header says.
        stored: u32,
        /// Of the bytes that are there.
        computed: u32,
    },
}
