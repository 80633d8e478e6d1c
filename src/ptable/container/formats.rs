//! Formats that hold an image in pieces, compressed or encoded: what they begin or end with, and what opens them.
//!
//! A format is told by its magic number and, where that is short, by fields behind it that have few values. One a line,
//! so that another costs a line.

use crate::ptable::fields::{be32, byte, has, le16, le32, le64};

/// Bytes at the start of an image that the tests look at.
pub(super) const HEAD_BYTES: usize = 4096;
/// Bytes at its end: the trailers of UDIF and of encrypted images of Apple.
pub(super) const END_BYTES: usize = 512;

/// A format.
pub(super) struct Format {
    /// As the start of a sentence: `a qcow2 container`.
    pub(super) what: &'static str,
    /// The program that opens it, as it is typed without the names of files.
    pub(super) opener: &'static str,
    /// Where it stands, and what stands there.
    magic: (usize, &'static [u8]),
    /// What else has to be so, of the same bytes.
    more: fn(&[u8]) -> bool,
}

impl Format {
    const fn new(
        what: &'static str,
        opener: &'static str,
        magic: (usize, &'static [u8]),
        more: fn(&[u8]) -> bool,
    ) -> Format {
        Format { what, opener, magic, more }
    }

    fn is_of(&self, bytes: &[u8]) -> bool {
        has(bytes, self.magic.0, self.magic.1) && (self.more)(bytes)
    }
}

/// The format of an image that begins with `head`.
pub(super) fn at_start(head: &[u8]) -> Option<&'static Format> {
    AT_START.iter().find(|format| format.is_of(head))
}

/// The format of an image that ends with `end`, of [`END_BYTES`].
pub(super) fn at_end(end: &[u8]) -> Option<&'static Format> {
    AT_END.iter().find(|format| format.is_of(end))
}

/// A magic number that needs no more.
const fn alone(_: &[u8]) -> bool {
    true
}

const QEMU_IMG: &str = "qemu-img convert -O raw";
const PARTCLONE: &str = "partclone.restore -C --restore_raw_file";
const EWF: &str = "ewfexport";

const AT_START: &[Format] = &[
    // libyal, "Expert Witness Compression Format specification" sections 2 and 3, "Expert Witness Compression Format 2" section 2.
    Format::new("an EWF container (E01)", EWF, (0, b"EVF\x09\x0d\x0a\xff\x00"), alone),
    Format::new("an EWF container of files (L01)", EWF, (0, b"LVF\x09\x0d\x0a\xff\x00"), alone),
    Format::new("an EWF 2 container (Ex01)", EWF, (0, b"EVF2\x0d\x0a\x81\x00"), alone),
    Format::new("an EWF 2 container of files (Lx01)", EWF, (0, b"LEF2\x0d\x0a\x81\x00"), alone),
    // AFFLIBv3 lib/afflib.h: AF_HEADER, AFF header of AFD and AFM members alike.
    Format::new("an AFF container", "affconvert -r", (0, b"AFF10\x0d\x0a\x00"), alone),
    // QEMU docs/interop/qcow2.rst, block/qcow.c, docs/interop/qed_spec.rst.
    Format::new("a qcow2 container", QEMU_IMG, (0, b"QFI\xfb"), |head| matches!(be32(head, 4), 2 | 3)),
    Format::new("a qcow container", QEMU_IMG, (0, b"QFI\xfb"), |head| be32(head, 4) == 1),
    Format::new("a QED container", QEMU_IMG, (0, b"QED\0"), |head| le32(head, 4).is_power_of_two()),
    // VMware, "Virtual Disk Format 5.0": hosted sparse extents, ESX sparse extents, the descriptor.
    Format::new("a VMDK container", QEMU_IMG, (0, b"KDMV"), |head| matches!(le32(head, 4), 1..=3)),
    Format::new("a VMDK container", QEMU_IMG, (0, b"COWD"), |head| le32(head, 4) == 1),
    Format::new("the descriptor of a VMDK", QEMU_IMG, (0, b"# Disk DescriptorFile"), alone),
    // VirtualBox src/VBox/Storage/VDICore.h: VDI_IMAGE_SIGNATURE.
    Format::new("a VDI container", QEMU_IMG, (64, &0xbeda_107f_u32.to_le_bytes()), |head| {
        matches!(le32(head, 68), 0x0000_0001 | 0x0001_0001)
    }),
    // Microsoft, "Virtual Hard Disk Image Format Specification": the copy of the footer; [MS-VHDX] section 2.2.1.
    Format::new("a VHD container", QEMU_IMG, (0, b"conectix"), |head| be32(head, 60) >= 3),
    Format::new("a VHDX container", QEMU_IMG, (0, b"vhdxfile"), alone),
    // QEMU docs/interop/parallels.rst, block/bochs.c.
    Format::new("a Parallels container", QEMU_IMG, (0, b"WithoutFreeSpace"), alone),
    Format::new("a Parallels container", QEMU_IMG, (0, b"WithouFreSpacExt"), alone),
    Format::new("a Bochs container", QEMU_IMG, (0, b"Bochs Virtual HD Image"), alone),
    // libyal, "Mac OS sparse image": one file; libvmdk's sibling libfvde has that of encrypted images.
    Format::new("a sparse image of Apple", "hdiutil convert -format UDTO", (0, b"sprs"), |head| be32(head, 4) == 3),
    Format::new("an encrypted image of Apple", "hdiutil attach", (0, b"encrcdsa"), alone),
    // PhotoRec src/file_gho.c: the first of several files, and those behind it; compression 0 to 10.
    Format::new("a Ghost container", "ghostexp", (0, b"\xfe\xef"), |head| {
        matches!(byte(head, 2), 1 | 9) && byte(head, 3) <= 10
    }),
    // partclone src/partclone.h: IMAGE_MAGIC.
    Format::new("a partclone image", PARTCLONE, (0, b"partclone-image"), alone),
    // ntfs-3g ntfsprogs/ntfsclone.c: IMAGE_MAGIC.
    Format::new("an ntfsclone image", "ntfsclone --restore-image --overwrite", (0, b"\0ntfsclone-image"), alone),
    // partimage src/shared/common.h: MAGIC_BEGIN_VOLUME; fsarchiver src/fsarchiver.h: FSA_MAGIC_VOLH.
    Format::new("a partimage image", "partimage restore", (0, b"PaRtImAgE-VoLuMe"), alone),
    Format::new("an fsarchiver archive", "fsarchiver restfs", (0, b"FsA0"), |head| has(head, 10, b"FsArCh_")),
    // Android system/core/libsparse/sparse_format.h.
    Format::new("an Android sparse image", "simg2img", (0, &0xed26_ff3a_u32.to_le_bytes()), |head| {
        le16(head, 4) == 1 && le16(head, 8) >= 28 && le16(head, 10) >= 12
    }),
    // MAME src/lib/util/chd.h; wimlib include/wimlib/header.h; cloop.h (its preamble is a script).
    Format::new("a CHD container", "chdman extracthd", (0, b"MComprHD"), alone),
    Format::new("a WIM archive", "wimlib-imagex apply", (0, b"MSWIM\0\0\0"), alone),
    Format::new("a cloop image", "extract_compressed_fs", (0, b"#!/bin/sh\n#V2.0 Format\n"), alone),
    Format::new("a cloop image", "extract_compressed_fs", (0, b"#!/bin/sh\n#V1.0 Format\n"), alone),
    // ECMA-130 section 14: the sync fields of two sectors with header and error correction.
    Format::new("an image of raw CD sectors", "bchunk", (0, CD_SYNC), |head| {
        has(head, CD_SECTOR, CD_SYNC) && matches!(byte(head, 15), 0..=2) && byte(head, 15) == byte(head, CD_SECTOR + 15)
    }),
    // RFC 1952 section 2.3.1: deflate, no reserved flag, a known level and system.
    Format::new("gzip data", "gunzip", (0, b"\x1f\x8b\x08"), |head| {
        byte(head, 3) & 0xe0 == 0 && matches!(byte(head, 8), 0 | 2 | 4) && matches!(byte(head, 9), 0..=13 | 255)
    }),
    // The .xz File Format 1.2.1 section 2.1.1: stream flags, and their CRC32.
    Format::new("xz data", "xz -d", (0, b"\xfd7zXZ\0"), |head| {
        head.get(6..8).is_some_and(|flags| crc32fast::hash(flags) == le32(head, 8))
    }),
    Format::new("zstd data", "zstd -d", (0, b"\x28\xb5\x2f\xfd"), has_zstd_block),
    // bzip2's format: a block's magic behind the header, or the end's where there is no block.
    Format::new("bzip2 data", "bunzip2", (0, b"BZh"), |head| {
        matches!(byte(head, 3), b'1'..=b'9')
            && (has(head, 4, b"\x31\x41\x59\x26\x53\x59") || has(head, 4, b"\x17\x72\x45\x38\x50\x90"))
    }),
    // LZ4 Frame Format 1.6.4: version 1, no reserved bit, a block size of 64 KB to 4 MB.
    Format::new("lz4 data", "lz4 -d", (0, b"\x04\x22\x4d\x18"), |head| {
        byte(head, 4) & 0xc2 == 0x40 && byte(head, 5) & 0x8f == 0 && byte(head, 5) >> 4 >= 4
    }),
    // lzip manual, "File format": version 1, a dictionary of 4 KiB to 512 MiB.
    Format::new("lzip data", "lzip -d", (0, b"LZIP\x01"), |head| matches!(byte(head, 5) & 0x1f, 12..=29)),
    // XZ Utils doc/lzma-file-format.txt: the usual properties, a dictionary that is a power of two, no impossible size.
    Format::new("lzma data", "xz -d", (0, b"\x5d\0\0"), |head| {
        le32(head, 1).is_power_of_two() && (le64(head, 5) == u64::MAX || (1..1 << 48).contains(&le64(head, 5)))
    }),
    Format::new("lzop data", "lzop -d", (0, b"\x89LZO\0\x0d\x0a\x1a\x0a"), alone),
    // 7-Zip DOC/7zFormat.txt: version 0, and the CRC of the start header.
    Format::new("a 7z archive", "7z x", (0, b"7z\xbc\xaf\x27\x1c\0"), |head| {
        head.get(12..32).is_some_and(|start| crc32fast::hash(start) == le32(head, 8))
    }),
    // PKWARE APPNOTE 6.3.10 sections 4.3.7 and 4.4: a version and a method that there are, and a name. AFF4 is a zip.
    Format::new("a zip archive", "unzip", (0, b"PK\x03\x04"), |head| {
        byte(head, 4) <= 63 && matches!(le16(head, 8), 0..=20 | 93..=99) && le16(head, 26) > 0
    }),
    // RAR 5.0 archive format; unrar's older signature; MS-CAB section 2.1.
    Format::new("a RAR archive", "unrar x", (0, b"Rar!\x1a\x07\x01\0"), alone),
    Format::new("a RAR archive", "unrar x", (0, b"Rar!\x1a\x07\0"), alone),
    Format::new("a cabinet", "cabextract", (0, b"MSCF\0\0\0\0"), |head| {
        le32(head, 8) > le32(head, 16) && le32(head, 12) == 0
    }),
    // POSIX.1-2017 pax, "ustar Interchange Format", and GNU's.
    Format::new("a tar archive", "tar -x", (257, b"ustar"), |head| {
        matches!(head.get(262..265), Some(b"\x0000" | b"  \0")) && byte(head, 0) != 0
    }),
];

const AT_END: &[Format] = &[
    // libyal libmodi, "Universal Disk Image Format": the file footer, version 4, of 512 bytes.
    Format::new("a UDIF container (dmg)", "dmg2img", (0, b"koly"), |end| be32(end, 4) == 4 && be32(end, 8) == 512),
    // The same: version 1 of encrypted images.
    Format::new("an encrypted image of Apple", "hdiutil attach", (END_BYTES - 8, b"cdsaencr"), alone),
];

/// Whether a zstd frame's header has no reserved bit set, and a block of a known type and a possible size follows it: RFC
/// 8878 sections 3.1.1.1 and 3.1.1.2.
fn has_zstd_block(head: &[u8]) -> bool {
    let descriptor = byte(head, 4);
    let is_single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 0x03)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        exponent => 1 << exponent,
    };
    let block = le32(head, 5 + usize::from(!is_single_segment) + dictionary + content_size) & 0x00ff_ffff;
    descriptor & 0x08 == 0 && block & 0x06 != 0x06 && block >> 3 <= 128 << 10
}

/// Bytes of a raw sector, and its sync field: ECMA-130 section 14.1.
const CD_SECTOR: usize = 2352;
const CD_SYNC: &[u8] = b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_number_of_few_bytes_is_not_enough() {
        for format in AT_START.iter().chain(AT_END) {
            let (at, magic) = format.magic;
            let mut bytes = vec![0; HEAD_BYTES];
            bytes[at..at + magic.len()].copy_from_slice(magic);
            let text = bytes[at..at + magic.len()].iter().filter(|&&byte| byte != 0).count();
            if text < 5 {
                bytes[at + magic.len()..].fill(0xa5);
                assert!(!format.is_of(&bytes), "{}", format.what);
            }
        }
    }

    #[test]
    fn zeros_ones_and_short_heads_are_no_container() {
        for len in [0, 1, 3, 4, 64, 511, 512, 2352, HEAD_BYTES] {
            assert!(at_start(&vec![0; len]).is_none() && at_end(&vec![0; len]).is_none());
            assert!(at_start(&vec![0xff; len]).is_none() && at_end(&vec![0xff; len]).is_none());
        }
    }

    #[test]
    fn every_format_names_itself_and_what_opens_it() {
        for format in AT_START.iter().chain(AT_END) {
            assert!(!format.what.is_empty() && !format.opener.is_empty());
            assert!(!format.what.ends_with('.') && format.magic.1.len() >= 2, "{}", format.what);
        }
    }
}
