//! What is remembered of a file's blocks: a place every 16 MiB of decompressed data, from which a pass can go on.
//!
//! 40 bytes a place, and 24 a frame that has a place inside it: at most 64 bytes per 16 MiB, 4.2 MB per TiB, whatever the
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
/// For each table, of a place behind which all blocks are full, but the last of each frame.
const FULL: u32 = u32::MAX - 1;

/// A place, packed.
#[derive(Clone, Copy)]
struct Checkpoint {
    compressed: u64,
    decompressed: u64,
    /// 0 between two frames, otherwise the number of the frame it is in, from 1.
    frame: u32,
    /// How far back the headers of the blocks lie that set the tables in force, compressed: the three fields, then
    /// Huffman; 0 for none, [`TOO_FAR`] and [`FULL`].
    setters: [u32; 4],
}

/// How the blocks between a place and the next are found again.
pub(in crate::zst) enum Again {
    /// They are sized.
    Sized,
    /// They are full, but the last of each frame. Where the frame ends that the place is in, decompressed.
    Full { end: Option<u64> },
}

/// Where a frame begins that has places inside it.
#[derive(Clone, Copy)]
struct Frame {
    start: u64,
    origin: u64,
    /// Where it ends, decompressed, if all its blocks are full but the last.
    end: Option<NonZeroU64>,
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

    /// The same, of a file of which all blocks are full, but the last of each frame.
    pub fn full() -> Map {
        let start = Checkpoint { compressed: 0, decompressed: 0, frame: 0, setters: [FULL; 4] };
        Map { checkpoints: vec![start], frames: Vec::new() }
    }

    /// Takes note of a place that the pass has come to, where it is far enough from the last. Whether it is.
    pub fn note(&mut self, place: &Place) -> bool {
        if !self.is_far(place) {
            return false;
        }
        let mut setters = [0; 4];
        let frame = place.frame.map_or(0, |frame| {
            let Setters { fields: [ll, of, ml], huffman } = frame.setters;
            for (distance, setter) in setters.iter_mut().zip([ll, of, ml, huffman]) {
                let back = setter.map_or(0, |setter| place.compressed - setter.get());
                *distance = u32::try_from(back).ok().filter(|&back| back < FULL).unwrap_or(TOO_FAR);
            }
            self.number(&frame)
        });
        let Place { compressed, decompressed, .. } = *place;
        push(&mut self.checkpoints, Checkpoint { compressed, decompressed, frame, setters });
        true
    }

    /// The same of a pass over blocks that are all full, but the last of each frame. The beginning is made such a place by
    /// [`Map::full`].
    pub fn note_full(&mut self, place: &Place) -> bool {
        if !self.is_far(place) {
            return false;
        }
        let frame = place.frame.map_or(0, |frame| self.number(&frame));
        let Place { compressed, decompressed, .. } = *place;
        push(&mut self.checkpoints, Checkpoint { compressed, decompressed, frame, setters: [FULL; 4] });
        true
    }

    /// Takes note of where the frame ends, decompressed, that begins at a compressed offset: the last that was noted of, if
    /// it has a place inside it.
    pub fn end_full(&mut self, start: u64, end: u64) {
        if let Some(frame) = self.frames.last_mut().filter(|frame| frame.start == start) {
            frame.end = NonZeroU64::new(end);
        }
    }

    fn is_far(&self, place: &Place) -> bool {
        let last = self.checkpoints.last().expect("the beginning is there");
        place.decompressed >= last.decompressed + DISTANCE
    }

    /// The number of a frame, which is the last that was noted of, or comes behind it.
    fn number(&mut self, frame: &OpenFrame) -> u32 {
        if self.frames.last().is_none_or(|last| last.start != frame.start) {
            push(&mut self.frames, Frame { start: frame.start, origin: frame.origin, end: None });
        }
        u32::try_from(self.frames.len()).unwrap_or(0)
    }

    /// The last place that is not behind the decompressed offset `position`, the decompressed offset of the next one, and how
    /// to go from one to the other. `None` inside a frame whose tables were set too far back.
    pub fn before(&self, source: &Source, position: u64) -> Result<Option<(Place, Option<u64>, Again)>, Error> {
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= position);
        let Checkpoint { compressed, decompressed, frame, setters } = self.checkpoints[later - 1];
        let next = self.checkpoints.get(later).map(|checkpoint| checkpoint.decompressed);
        let mut place = Place { compressed, decompressed, frame: None };
        let is_full = setters.contains(&FULL);
        if frame == 0 {
            let again = if is_full { Again::Full { end: None } } else { Again::Sized };
            return Ok(Some((place, next, again)));
        }
        if setters.contains(&TOO_FAR) {
            return Ok(None);
        }
        let Frame { start, origin, end } = self.frames[frame as usize - 1];
        let mut head = vec![0; usize::try_from(source.length() - start).unwrap_or(MAX_HEADER_LEN).min(MAX_HEADER_LEN)];
        source.read_exact_at(start, &mut head)?;
        let Ok(FrameStart::Data(header)) = FrameStart::parse(&head) else { return Ok(None) };
        if is_full {
            place.frame = Some(OpenFrame { start, origin, header, setters: Setters::default() });
            return Ok(Some((place, next, Again::Full { end: end.map(NonZeroU64::get) })));
        }
        let back = |distance: u32| match distance {
            0 => None,
            distance => NonZeroU64::new(compressed - u64::from(distance)),
        };
        let [ll, of, ml, huffman] = setters.map(back);
        place.frame = Some(OpenFrame { start, origin, header, setters: Setters { fields: [ll, of, ml], huffman } });
        Ok(Some((place, next, Again::Sized)))
    }

    /// The last place between two frames that is not behind `position`: compressed and decompressed offset.
    pub fn frame_before(&self, position: u64) -> (u64, u64) {
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= position);
        match self.checkpoints[later - 1] {
            Checkpoint { compressed, decompressed, frame: 0, .. } => (compressed, decompressed),
            Checkpoint { frame, .. } => {
                let Frame { start, origin, .. } = self.frames[frame as usize - 1];
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

const _: () = assert!(size_of::<Checkpoint>() == 40 && size_of::<Frame>() == 24);
