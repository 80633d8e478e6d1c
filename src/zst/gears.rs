//! Reading without decoding: what lies before the wanted bytes is passed over, and they themselves are followed to their
//! source. What that cannot give, or only at a price above decoding, it leaves to libzstd.

use std::ops::Range;
use std::sync::Arc;

use crate::zst::error::Error;
use crate::zst::meter::Meter;
use crate::zst::pass::place::Stop;
use crate::zst::source::Source;
use crate::zst::trace::index::{Index, Passed};
use crate::zst::trace::provenance::{self, Budget, Memo, TraceError};

/// Compressed bytes of blocks that one read may open, however soon libzstd would be there: some 0.1 s.
const LEAST_BYTES: u64 = 32 << 20;
/// Share of the compressed bytes that libzstd would have to decode instead, as a divisor. Opening a block takes some four
/// times as long as decoding it.
const SHARE: u64 = 16;
/// Share of all compressed bytes passed that may be opened without finding anything, as a divisor, and how many may be in
/// any case.
const VAIN_SHARE: u64 = 10;
const LEAST_VAIN: u64 = 512 << 20;
/// Compressed bytes that one read may open when too many found nothing.
const BYTES_AFTER_VAIN: u64 = 2 << 20;
/// Pieces that one read may follow.
const MAX_STEPS: u64 = 8 << 20;
/// Reads that follow each other closer than this are taken for one that goes on.
const GOING_ON: u64 = 64 << 10;
/// Most that is read ahead of those, in bytes.
const MAX_AHEAD: u64 = 256 << 10;
/// What stands at a file's end is followed together, if it is no more than this, in bytes: the members behind an image and
/// the padding are read one by one, and have the same sources.
const TAIL: u64 = 16 << 10;
/// What one call may follow, in bytes: a longer read goes piece by piece.
const MAX_PIECE: u64 = 1 << 20;
/// Bytes that are kept because somebody said that he will ask for them.
pub(super) const MAX_FETCHED: u64 = 4 << 20;

/// Why bytes were not had.
#[derive(Debug)]
pub(super) enum Miss {
    /// The file cannot be read, or the run is to end.
    Read(Error),
    /// It would cost too much.
    Dear,
    /// Something is wrong with the file, or may be: libzstd has the word, on all of it.
    Odd,
}

impl From<Stop> for Miss {
    fn from(stop: Stop) -> Miss {
        match stop {
            Stop::Read(error) => Miss::Read(error),
            Stop::Odd(_) => Miss::Odd,
        }
    }
}

/// Bytes in memory, and where they belong.
struct Piece {
    start: u64,
    bytes: Vec<u8>,
}

impl Piece {
    fn at(&self, position: u64) -> &[u8] {
        let skip = position.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.bytes.get(skip..)).unwrap_or_default()
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// The gears between passing over and decoding, for one file.
pub(super) struct Gears {
    index: Index,
    memo: Memo,
    meter: Arc<Meter>,
    /// Compressed bytes that were opened so far without finding anything.
    vain: u64,
    /// Bytes that were followed to their source.
    traced: u64,
    /// What was read last, and a little more.
    last: Piece,
    /// How much more.
    ahead: u64,
    fetched: Vec<Piece>,
}

impl Gears {
    pub fn new(source: Arc<Source>, meter: Arc<Meter>) -> Gears {
        Gears::over(Index::new(source, Arc::clone(&meter)), meter)
    }

    /// Gears that give the bytes where `index` says that they are.
    pub fn over(index: Index, meter: Arc<Meter>) -> Gears {
        Gears {
            index,
            memo: Memo::new(),
            meter,
            vain: 0,
            traced: 0,
            last: Piece { start: 0, bytes: Vec::new() },
            ahead: 0,
            fetched: Vec::new(),
        }
    }

    /// What was passed over, and what was followed to its source.
    pub fn totals(&self) -> (Passed, u64) {
        (self.index.passed(), self.traced)
    }

    /// Whether anything was given that libzstd did not decode, or could have been: then it may be wrong.
    pub fn has_answered(&self) -> bool {
        self.index.passed() != Passed::default() || self.traced > 0
    }

    /// Decompressed offset up to which the file was passed over.
    pub fn reached(&self) -> u64 {
        self.index.reached()
    }

    /// Decompressed size of the file, once its end was reached.
    pub fn size(&self) -> Option<u64> {
        self.index.size()
    }

    /// The last known start of a frame that is not behind `position`: compressed and decompressed offset.
    pub fn frame_before(&self, position: u64) -> (u64, u64) {
        self.index.frame_before(position)
    }

    /// Start and `Window_Size` of the last known frame that is not behind `position`.
    pub fn window_before(&self, position: u64) -> Result<Option<(u64, u64)>, Error> {
        self.index.window_before(position)
    }

    /// Passes over whole frames that say how long they are, as far as it goes and not behind the byte at `position`.
    pub fn jump(&mut self, position: u64) -> Result<(), Miss> {
        self.index.jump(position).map_err(Miss::from)
    }

    /// Passes on until the byte at `position` is passed, or the file ends.
    pub fn advance(&mut self, position: u64) -> Result<(), Miss> {
        self.index.advance(position).map_err(Miss::from)
    }

    /// Goes on at the end of a frame that libzstd has decoded, if it lies ahead.
    pub fn resume(&mut self, compressed: u64, decompressed: u64) {
        self.index.resume(compressed, decompressed);
    }

    /// The bytes from `position` on that are in memory already.
    pub fn in_memory(&self, position: u64) -> &[u8] {
        let pieces = std::iter::once(&self.last).chain(&self.fetched);
        pieces.map(|piece| piece.at(position)).find(|bytes| !bytes.is_empty()).unwrap_or_default()
    }

    /// Bytes from `position` on, up to `wanted` of them; none where the file ends. All before was passed, and libzstd would
    /// have to decode `instead` bytes for them.
    pub fn read(&mut self, position: u64, wanted: u64, instead: u64) -> Result<&[u8], Miss> {
        if self.in_memory(position).is_empty() {
            let goes_on = position.checked_sub(self.last.end()).is_some_and(|gap| gap < GOING_ON);
            self.ahead = if goes_on { (self.ahead * 2).clamp(4 << 10, MAX_AHEAD) } else { 0 };
            let rest = self.index.size().map(|size| size.saturating_sub(position)).filter(|&rest| rest <= TAIL);
            let len = rest.unwrap_or_else(|| wanted.min(MAX_PIECE).max(self.ahead));
            let end = position.saturating_add(len).min(self.index.reached());
            if end <= position {
                return Ok(&[]);
            }
            let wanted = position..end;
            let mut pieces = self.follow(std::slice::from_ref(&wanted), instead)?;
            self.last = Piece { start: position, bytes: pieces.pop().unwrap_or_default() };
        }
        let bytes = self.in_memory(position);
        Ok(&bytes[..bytes.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))])
    }

    /// Brings `ranges` into memory, in one go; as [`Gears::read`].
    pub fn fetch(&mut self, ranges: &[Range<u64>], instead: u64) -> Result<(), Miss> {
        self.fetched.clear();
        let reached = self.index.reached();
        let passed = ranges.iter().map(|range| range.start..range.end.min(reached));
        let wanted: Vec<_> = passed.filter(|range| !range.is_empty()).collect();
        let pieces = self.follow(&wanted, instead)?;
        self.fetched = wanted.iter().zip(pieces).map(|(range, bytes)| Piece { start: range.start, bytes }).collect();
        Ok(())
    }

    /// Keeps bytes that libzstd gave, because somebody said that he will ask for them.
    pub fn keep_fetched(&mut self, start: u64, bytes: Vec<u8>) {
        self.fetched.push(Piece { start, bytes });
    }

    fn follow(&mut self, ranges: &[Range<u64>], instead: u64) -> Result<Vec<Vec<u8>>, Miss> {
        let (compressed, decompressed) = self.index.frontier();
        let is_vain = self.vain > (compressed / VAIN_SHARE).max(LEAST_VAIN);
        // At the ratio of what was passed so far.
        let instead = u128::from(instead) * u128::from(compressed) / u128::from(decompressed.max(1));
        let share = u64::try_from(instead).unwrap_or(u64::MAX) / SHARE;
        let allowed = if is_vain { BYTES_AFTER_VAIN } else { share.max(LEAST_BYTES) };
        let mut budget = Budget { bytes: allowed, steps: MAX_STEPS, meter: &self.meter };
        let outcome = provenance::trace(&mut self.index, ranges, &mut budget, &mut self.memo);
        if outcome.is_err() {
            self.vain += allowed - budget.bytes;
        }
        match outcome {
            Ok(pieces) => {
                self.traced += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                Ok(pieces)
            }
            Err(TraceError::OverBudget | TraceError::Read(Error::Dear { .. })) => Err(Miss::Dear),
            Err(TraceError::Read(error)) => Err(Miss::Read(error)),
            Err(TraceError::Fault { .. }) => Err(Miss::Odd),
        }
    }
}
