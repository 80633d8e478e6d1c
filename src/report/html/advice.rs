//! What to do about an error, by its reason.

use crate::reason::Reason;

/// What a reason of the log means; nothing of another version's.
pub fn meaning(reason: &str) -> Option<String> {
    let (_, meaning) = Reason::ALL.iter().find(|(known, _)| known.as_str() == reason)?;
    Some(meaning.trim().replace('`', ""))
}

/// Whether `imgsieve inspect` shows more of it.
pub fn is_to_inspect(reason: &str) -> bool {
    use Reason::{EbrChainBroken, EntriesLost, GptDamaged, LdmDamaged, ListBroken, RescueMap, Undecidable, Unread};
    [GptDamaged, EbrChainBroken, ListBroken, EntriesLost, LdmDamaged, Undecidable, Unread, RescueMap]
        .iter()
        .any(|known| known.as_str() == reason)
}

/// What to do about an error of this reason; empty for one of another version's.
pub fn of(reason: &str) -> &'static str {
    let known = Reason::ALL.iter().map(|&(known, _)| known).find(|known| known.as_str() == reason);
    known.map_or("", of_known)
}

fn of_known(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::GptDamaged | R::EbrChainBroken | R::ListBroken | R::EntriesLost | R::LdmDamaged | R::Undecidable => {
            "Look at what is left of the table, or stage the images all the same: scan --resume --keep-undecided."
        }
        R::Unread => {
            "Read the medium further with its rescue map and archive it again, or stage the images as they are: scan \
             --resume --keep-undecided."
        }
        R::RescueMap => {
            "Repair the rescue map and archive the medium again, or stage the images as they are: scan --resume \
             --keep-undecided."
        }
        R::Container => "Open it with the program that the message names, and look at the image in it with inspect.",
        R::Name => "Take the image out under another name: imgsieve extract.",
        R::InTheWay | R::NotAFolder => "Move away what is in its place in staging, then scan with --resume.",
        R::MaxImageSize => "Allow larger images with --max-image-size, then scan with --resume.",
        R::NoSpace | R::LowSpace | R::MinFree => "Free space in staging, then scan with --resume.",
        R::MaxStaged => "Scan with --resume: each run may stage that much. A larger image needs a larger --max-staged.",
        R::TooLarge => "Stage to a larger file system (--staging), then scan with --resume.",
        R::StagingIo | R::Length => "Check the file system of staging, then scan with --resume.",
        R::Empty
        | R::Truncated
        | R::EndOfData
        | R::Checksum
        | R::Corrupt
        | R::TarTruncated
        | R::TarHeaderChecksum
        | R::TarNumber
        | R::TarSizeOverflow
        | R::TarExtensionTooLarge
        | R::TarPaxRecord
        | R::TarSparseMap
        | R::TarLoneExtension => "Restore the archive from another copy, or archive the medium again.",
        R::NotZstd | R::NotTar | R::NotAFile | R::NotAnArchive => {
            "It is not an archive: move it out of the collection, or put its hash on the skip list."
        }
        R::TrailingGarbage => "Find out what was appended to the archive; restore it from another copy.",
        R::Reference | R::Dictionary => {
            "Decompress it with the file or dictionary that it was made with, and compress it again without."
        }
        R::WindowTooLarge => "Allow a larger window with --max-window, if there is memory for it.",
        R::Changed => "Wait until nothing writes to it any more, then scan with --resume.",
        R::Io | R::TarIo => "Check permissions, the mount and the disk, then scan with --resume.",
        R::TooManyRewinds | R::Dear => "Decode it whole: scan --resume --engine decode.",
        R::TooManyImages => "Take the images out one by one: imgsieve extract.",
        R::Interrupted | R::Locked => "Scan again with --resume.",
        R::Panic => "This is a bug in imgsieve: report it with the message.",
        R::Hash | R::HashTaken => "Rename the archive, then scan with --resume.",
        R::ProcessRunning => "Wait for the program to end, or scan with --wait.",
        R::NotCleared => "Clear the folder, then scan again.",
        R::Only | R::Skip | R::Usage => "Correct the option or the site file, then scan again.",
        _ => "Correct what the message names, then scan again.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reason_means_is_prose() {
        for (reason, _) in Reason::ALL {
            let meaning = meaning(reason.as_str()).expect("a known reason");
            assert!(meaning.ends_with('.') && !meaning.contains('`'), "{meaning}");
        }
        assert_eq!((meaning("<b>"), of("<b>")), (None, ""));
    }

    #[test]
    fn what_trying_again_does_not_mend_is_not_tried_again() {
        let tried_again = |reason: &Reason| of_known(*reason).ends_with("then scan with --resume.");
        for reason in Reason::ALL.iter().map(|(reason, _)| reason).filter(|reason| !reason.may_pass()) {
            assert!(!tried_again(reason), "{reason}");
        }
    }
}
