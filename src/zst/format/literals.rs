//! The bytes of a block's literals section (RFC 8878 section 3.1.1.3.1).

use crate::zst::format::block::{LiteralsHeader, LiteralsKind};
use crate::zst::format::fault::Fault;
use crate::zst::format::huffman::Huffman;

/// The literals of a block with this header and `content`. For a treeless section `setter` is the content of the last
/// block before it whose literals came with a tree.
pub(in crate::zst) fn decode(header: &LiteralsHeader, content: &[u8], setter: Option<&[u8]>) -> Result<Vec<u8>, Fault> {
    let section = section(header, content)?;
    let regenerated = header.regenerated as usize;
    match header.kind {
        LiteralsKind::Raw => Ok(section.to_vec()),
        LiteralsKind::Rle => Ok(vec![*section.first().ok_or(Fault::BlockTooShort)?; regenerated]),
        LiteralsKind::Compressed => {
            let (tree, len) = Huffman::parse(section)?;
            streams(header, &tree, section.get(len..).ok_or(Fault::BlockTooShort)?)
        }
        LiteralsKind::Treeless => {
            let setter = setter.ok_or(Fault::NothingToRepeat)?;
            let theirs = LiteralsHeader::parse(setter)?;
            if theirs.kind != LiteralsKind::Compressed {
                return Err(Fault::NothingToRepeat);
            }
            let (tree, _) = Huffman::parse(self::section(&theirs, setter)?)?;
            streams(header, &tree, section)
        }
    }
}

/// What lies behind the header.
fn section<'a>(header: &LiteralsHeader, content: &'a [u8]) -> Result<&'a [u8], Fault> {
    content.get(header.header_len as usize..header.len()).ok_or(Fault::BlockTooShort)
}

fn streams(header: &LiteralsHeader, tree: &Huffman, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = vec![0; header.regenerated as usize];
    if header.four_streams {
        tree.decode_four(bytes, &mut out)?;
    } else {
        tree.decode_one(bytes, &mut out)?;
    }
    Ok(out)
}
