//! Single blocks, read and sized without their neighbours.

use crate::zst::format::block::{BLOCK_HEADER_LEN, BlockHeader, Field, Mode, Sections};
use crate::zst::format::fault::Fault;
use crate::zst::pass::lanes::PADDING;
use crate::zst::pass::place::Stop;
use crate::zst::pass::size::{self, Descriptions, Job};
use crate::zst::source::Source;

/// The sections of the compressed block whose header stands at a compressed offset, and its content.
pub(in crate::zst) fn read_sections(source: &Source, offset: u64, maximum: u64) -> Result<(Sections, Vec<u8>), Stop> {
    let mut header = [0; BLOCK_HEADER_LEN];
    source.read_exact_at(offset, &mut header)?;
    let block = BlockHeader::parse(header, maximum)?;
    let mut content = vec![0; block.content_len()];
    source.read_exact_at(offset + BLOCK_HEADER_LEN as u64, &mut content)?;
    Ok((Sections::parse(&content, maximum)?, content))
}

/// The size of the compressed block whose header stands at `offset`. `setter` gives the last block before it that set the
/// table of a field.
pub(in crate::zst) fn size_alone(
    source: &Source,
    offset: u64,
    maximum: u64,
    mut setter: impl FnMut(Field) -> Result<Option<(Sections, Vec<u8>)>, Stop>,
) -> Result<u32, Stop> {
    let mut header = [0; BLOCK_HEADER_LEN];
    source.read_exact_at(offset, &mut header)?;
    let content = PADDING..PADDING + BlockHeader::parse(header, maximum)?.content_len();
    let mut bytes = vec![0; content.end + PADDING];
    source.read_exact_at(offset + BLOCK_HEADER_LEN as u64, &mut bytes[content.clone()])?;
    let Sections { literals, sequences, tables_at } = Sections::parse(&bytes[content.clone()], maximum)?;
    if sequences.count == 0 {
        return Ok(literals.regenerated);
    }
    let mut descriptions = vec![Descriptions { modes: sequences.modes, range: PADDING + tables_at..content.end }];
    let mut job = Job { own: 0, setters: [0; 3], count: sequences.count, literals: literals.regenerated };
    for field in Field::ALL {
        if sequences.modes[field as usize] != Mode::Repeat {
            continue;
        }
        let (sections, content) = setter(field)?.ok_or(Fault::NothingToRepeat)?;
        let start = bytes.len();
        bytes.extend_from_slice(&content[sections.tables_at..]);
        job.setters[field as usize] = descriptions.len();
        descriptions.push(Descriptions { modes: sections.sequences.modes, range: start..bytes.len() });
        bytes.resize(bytes.len() + PADDING, 0);
    }
    let mut sizes = [0];
    size::size_blocks(&bytes, &descriptions, &[job], &mut sizes).map_err(|(_, fault)| fault)?;
    Ok(sizes[0])
}
