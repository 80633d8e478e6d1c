//! What is remembered of a file's blocks: a place every 16 MiB of decompressed data, from which a pass can go on.
//!
//! 40 bytes a place, and 16 a frame that has a place inside it: at most 56 bytes per 16 MiB, 3.7 MB per TiB, whatever the
//! level and however small the blocks.

use std::num::NonZeroU64;

use crate::zst::error::Error;
use crate::zst::format::frame::{FrameStart, MAX_HEADER_LEN};
use crate::zst::pass::place::{OpenFrame, Place, Setters};
use crate::zst::source::Source;

/// Least distance of two places, in decompressed bytes.
pub(in crate::zst) const DISTANCE: u64 = 16 << 20;
/// A setter so far back that its distance has no room: the tables are then not known.
const TOO_FAR: u32 = u32::MAX;

/// A place, packed.
#[derive(Clone, Copy)]
struct Checkpoint {
    compressed: u64,
    decompressed: u64,
    /// 0 between two frames, otherwise the number of the frame it is in, from 1.
    frame: u32,
    /// How far back the headers of the blocks lie that set the tables in force, compressed: the three fields, then
    /// Huffman; 0 for none, and [`TOO_FAR`].
    setters: [u32; 4],
}

/// Where a frame begins that has places inside it.
#[derive(Clone, Copy)]
struct Frame {
    start: u64,
    origin: u64,
}

/// The places, in ascending order. The file's beginning is always one.
pub(in crate::zst) struct Map {
    checkpoints: Vec<Checkpoint>,
    frames: Vec<Frame>,
}

impl Map {
    /// A map that knows the beginning.
    pub fn new() -> Map {
        let start = Checkpoint { compressed: 0, decompressed: 0, frame: 0, setters: [0; 4] };
        Map { checkpoints: vec![start], frames: Vec::new() }
    }

    /// Takes note of a place that the pass has come to, where it is far enough from the last. Whether it is.
    pub fn note(&mut self, place: &Place) -> bool {
        let last = self.checkpoints.last().expect("the beginning is there");
        if place.decompressed < last.decompressed + DISTANCE {
            return false;
        }
        let mut setters = [0; 4];
        let frame = place.frame.map_or(0, |frame| {
            let Setters { fields: [ll, of, ml], huffman } = frame.setters;
            for (distance, setter) in setters.iter_mut().zip([ll, of, ml, huffman]) {
                let back = setter.map_or(0, |setter| place.compressed - setter.get());
                *distance = u32::try_from(back).unwrap_or(TOO_FAR);
            }
            if self.frames.last().is_none_or(|last| last.start != frame.start) {
                push(&mut self.frames, Frame { start: frame.start, origin: frame.origin });
            }
            u32::try_from(self.frames.len()).unwrap_or(0)
        });
        let Place { compressed, decompressed, .. } = *place;
        push(&mut self.checkpoints, Checkpoint { compressed, decompressed, frame, setters });
        true
    }

    /// The last place that is not behind the decompressed offset `position`, and the decompressed offset of the next one.
    /// `None` inside a frame whose tables were set too far back.
    pub fn before(&self, source: &Source, position: u64) -> Result<Option<(Place, Option<u64>)>, Error> {
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= position);
        let Checkpoint { compressed, decompressed, frame, setters } = self.checkpoints[later - 1];
        let next = self.checkpoints.get(later).map(|checkpoint| checkpoint.decompressed);
        let mut place = Place { compressed, decompressed, frame: None };
        if frame == 0 {
            return Ok(Some((place, next)));
        }
        if setters.contains(&TOO_FAR) {
            return Ok(None);
        }
        let Frame { start, origin } = self.frames[frame as usize - 1];
        let mut head = vec![0; usize::try_from(source.length() - start).unwrap_or(MAX_HEADER_LEN).min(MAX_HEADER_LEN)];
        source.read_exact_at(start, &mut head)?;
        let Ok(FrameStart::Data(header)) = FrameStart::parse(&head) else { return Ok(None) };
        let back = |distance: u32| match distance {
            0 => None,
            distance => NonZeroU64::new(compressed - u64::from(distance)),
        };
        let [ll, of, ml, huffman] = setters.map(back);
        place.frame = Some(OpenFrame { start, origin, header, setters: Setters { fields: [ll, of, ml], huffman } });
        Ok(Some((place, next)))
    }

    /// The last place between two frames that is not behind `position`: compressed and decompressed offset.
    pub fn frame_before(&self, position: u64) -> (u64, u64) {
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= position);
        match self.checkpoints[later - 1] {
            Checkpoint { compressed, decompressed, frame: 0, .. } => (compressed, decompressed),
            Checkpoint { frame, .. } => {
                let Frame { start, origin } = self.frames[frame as usize - 1];
                (start, origin)
            }
        }
    }
}

/// Appends without the doubling that would make the stated size untrue.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 16 + 16);
    }
    list.push(item);
}

const _: () = assert!(size_of::<Checkpoint>() == 40 && size_of::<Frame>() == 16);
