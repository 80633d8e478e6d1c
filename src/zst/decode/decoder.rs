//! libzstd, driven frame by frame, forward from any frame's start.

use std::ops::Range;

use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name, is_error_kind};

use crate::zst::decode::history::{CHUNK_LEN, History};
use crate::zst::decode::input::Input;
use crate::zst::error::Error;
use crate::zst::format::frame::{self, FrameStart, HeaderError};
use crate::zst::options::Options;
use crate::zst::ranges::Ranges;
use crate::zst::source::Tail;
use crate::zst::tail;
use crate::zst::totals::Totals;
use crate::zst::trace::reference::{self, Decoded};

/// Smallest distance between two remembered frame starts, in decompressed bytes: 24 bytes of memory per 16 MiB.
const CHECKPOINT_DISTANCE: u64 = 16 << 20;
/// How often all that was decoded so far may be decoded again, before a reader that hops about is refused.
const REDECODE_FACTOR: u64 = 8;
/// Decoded again before the factor counts: small archives may be read in any order.
const REDECODE_FREE: u64 = 4 << 30;

/// What a [`Cheap`](crate::zst::Cheap) reader may have decoded again for one read: from a frame's start to what it asks for.
const CHEAP_COMPRESSED: u64 = 64 << 20;
const CHEAP_DECOMPRESSED: u64 = 4 << 30;

/// The start of a frame, from which decoding can begin anew.
#[derive(Clone, Copy, Default)]
struct Checkpoint {
    compressed: u64,
    decompressed: u64,
}

/// The shortest frame header, and `Block_Header` before every block (RFC 8878 sections 3.1.1 and 3.1.1.2).
const MIN_HEADER_LEN: usize = 6;
const BLOCK_HEADER_LEN: usize = 3;

/// How much input to give libzstd next so that no call has both output and an error in it: an error makes it forget the
/// output of the whole call, and with it the end of an image that is followed by no more than a checksum that fails.
/// `hint` is what it asks for: the rest of a block and the header of the next one. Nothing is given while it may still
/// hold output for which there was no room.
fn next_input(hint: usize, is_full: bool) -> usize {
    match hint {
        _ if is_full => 0,
        0..=BLOCK_HEADER_LEN => hint,
        _ => hint - BLOCK_HEADER_LEN,
    }
}

struct OpenFrame {
    start: Checkpoint,
    /// Where the frame before it ended: skippable frames may lie between.
    after: u64,
    checksum: bool,
    /// Most input that libzstd is given next, see [`next_input`].
    input: usize,
}

/// Bytes that cannot be had.
struct Failure {
    /// Compressed offset of the frame that they are in.
    frame: u64,
    /// Decompressed offset of the first of them.
    position: u64,
    error: Error,
}

pub(in crate::zst) struct Decoder {
    input: Input,
    context: DCtx<'static>,
    options: Options,
    frame: Option<OpenFrame>,
    history: History,
    /// Where decoding last began anew.
    begun: Checkpoint,
    /// Decompressed offset up to which every frame was decoded to its end since.
    closed: u64,
    /// Ascending. The first frame is always there.
    checkpoints: Vec<Checkpoint>,
    totals: Totals,
    /// Farthest compressed and decompressed offset ever reached.
    reached: Checkpoint,
    /// Decompressed bytes that were decoded.
    decoded: Ranges,
    /// Compressed bytes of the frames that were decoded to their end.
    finished: Ranges,
    /// Decompressed bytes that were handed over for good, and whose frame is still to be decoded to its end: the frame
    /// that is open, or would be if decoding went on.
    owed: Ranges,
    /// Decompressed bytes that were handed over for good, and whose frames were decoded to their end without error.
    intact: Ranges,
    /// Decompressed size, once the end was reached.
    size: Option<u64>,
    /// Where decoding last failed.
    failed: Option<Failure>,
}

impl Decoder {
    pub fn new(input: Input, options: Options) -> Result<Decoder, Error> {
        let mut context = DCtx::try_create().ok_or(Error::Memory { frame: 0 })?;
        // The frame header is checked against the exact limit before libzstd sees it; this only has to be no lower.
        let log = options.max_window.max(1).next_power_of_two().ilog2().clamp(10, 31);
        context.set_parameter(DParameter::WindowLogMax(log)).expect("10..=31 is in range");
        Ok(Decoder {
            input,
            context,
            options,
            frame: None,
            history: History::new(),
            begun: Checkpoint::default(),
            closed: 0,
            checkpoints: vec![Checkpoint::default()],
            totals: Totals::default(),
            reached: Checkpoint::default(),
            decoded: Ranges::default(),
            finished: Ranges::default(),
            owed: Ranges::default(),
            intact: Ranges::default(),
            size: None,
            failed: None,
        })
    }

    pub fn totals(&self) -> Totals {
        Totals { decoded_once: self.decoded.total(), ..self.totals }
    }

    pub fn size(&self) -> Option<u64> {
        self.size
    }

    pub fn reached(&self) -> u64 {
        self.reached.decompressed
    }

    /// Whether the frames of `range`, all of which was handed over for good, were decoded to their end without error.
    pub fn is_intact(&self, range: &Range<u64>) -> bool {
        self.intact.covers(range)
    }

    /// Takes note that the bytes of `range`, the last of which were just given, were handed over for good: their frames
    /// will be decoded to their end.
    pub fn owe(&mut self, range: Range<u64>) {
        if self.intact.covers(&range) {
            return;
        }
        let closed = self.closed.clamp(range.start, range.end);
        self.intact.insert(range.start.max(self.begun.decompressed)..closed);
        self.owed.insert(closed..range.end);
    }

    /// Decodes the frame that is owed, if one is, to its end.
    pub fn settle(&mut self) -> Result<(), Error> {
        while !self.owed.is_empty() {
            self.step()?;
        }
        Ok(())
    }

    /// Whether little would have to be decoded again for the byte at `position`.
    pub fn is_cheap(&self, position: u64) -> bool {
        let start = self.start_for(position);
        if self.is_on_the_way(position, start) {
            return true;
        }
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= position);
        let end = self.checkpoints.get(later).unwrap_or(&self.reached);
        end.compressed.saturating_sub(start.compressed) <= CHEAP_COMPRESSED
            && position - start.decompressed <= CHEAP_DECOMPRESSED
    }

    /// Decodes until the byte at `position` is in memory, and gives the run of bytes that begins with it; an empty run
    /// says that the data end before it.
    pub fn run_at(&mut self, position: u64) -> Result<&[u8], Error> {
        if self.size.is_some_and(|size| position >= size) {
            return Ok(&[]);
        }
        let start = self.start_for(position);
        if !self.is_on_the_way(position, start) {
            if let Some(error) = self.failure_between(start, position) {
                return Err(error);
            }
            self.rewind(start)?;
        }
        while self.history.end() <= position {
            if !self.step()? {
                self.size = Some(self.history.end());
                return Ok(&[]);
            }
        }
        Ok(self.history.run_at(position))
    }

    /// Whether the byte at `position` is in memory.
    pub fn holds(&self, position: u64) -> bool {
        (self.history.start()..self.history.end()).contains(&position)
    }

    /// Whether the byte at `position` is among the next `distance`.
    pub fn is_near(&self, position: u64, distance: u64) -> bool {
        position.checked_sub(self.history.end()).is_some_and(|ahead| ahead < distance)
    }

    /// How many bytes would be decoded on the way to `position`, in a frame that starts at `start`.
    pub fn distance(&self, start: u64, position: u64) -> u64 {
        let here = self.history.end();
        position.saturating_sub(if (start..=position).contains(&here) { here } else { start })
    }

    /// If a frame is owed, decodes it until `position` is in memory or the frame ends.
    pub fn settle_towards(&mut self, position: u64) -> Result<(), Error> {
        while !self.owed.is_empty() && self.history.end() <= position {
            self.step()?;
        }
        Ok(())
    }

    /// Compressed and decompressed offset, where the decoder stands at the end of a frame.
    pub fn frame_end(&self) -> Option<(u64, u64)> {
        self.frame.is_none().then(|| (self.input.position(), self.history.end()))
    }

    /// Takes note of the start of a frame that the caller knows to be one.
    pub fn learn(&mut self, compressed: u64, decompressed: u64) {
        self.remember(Checkpoint { compressed, decompressed });
    }

    /// Forgets where frames were said to start, and begins at the beginning of the file.
    pub fn start_over(&mut self) -> Result<(), Error> {
        let start = Checkpoint::default();
        self.begin_at(start)?;
        self.checkpoints = vec![start];
        self.size = None;
        self.failed = None;
        self.reached = start;
        self.options.meter.go_back(start.compressed);
        self.decoded = Ranges::default();
        Ok(())
    }

    /// Goes on at the start of a frame that the caller knows to be one.
    pub fn restart_at(&mut self, compressed: u64, decompressed: u64) -> Result<(), Error> {
        let start = Checkpoint { compressed, decompressed };
        self.remember(start);
        if self.frame.is_none() && self.input.position() == compressed && self.history.end() == decompressed {
            return Ok(());
        }
        self.begin_at(start)
    }

    /// Tells whoever watches from where it is decoded up to `position`.
    pub fn tell_start(&self, position: u64) {
        let start = self.start_for(position);
        let is_ahead = self.is_on_the_way(position, start);
        self.options.meter.go_back(if is_ahead { self.input.position() } else { start.compressed });
    }

    /// The last known start of a frame that is not behind `position`.
    fn start_for(&self, position: u64) -> Checkpoint {
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= position);
        let known = self.checkpoints[later - 1];
        match &self.frame {
            Some(OpenFrame { start, .. }) if (known.decompressed..=position).contains(&start.decompressed) => *start,
            _ => known,
        }
    }

    /// Whether the byte at `position` is had by going on, rather than by beginning at `start`.
    fn is_on_the_way(&self, position: u64, start: Checkpoint) -> bool {
        let is_ahead = position >= self.history.start() && start.decompressed <= self.history.end();
        is_ahead && self.failure_between(self.begun, position).is_none()
    }

    /// What keeps decoding that begins at `start` from coming to the byte at `position`.
    fn failure_between(&self, start: Checkpoint, position: u64) -> Option<Error> {
        let failure = self.failed.as_ref()?;
        let is_between = start.compressed <= failure.frame && failure.position <= position;
        is_between.then(|| failure.error.clone())
    }

    fn rewind(&mut self, start: Checkpoint) -> Result<(), Error> {
        let Totals { rewinds, redecoded, .. } = self.totals;
        let limit = self.reached.decompressed.saturating_mul(REDECODE_FACTOR).max(REDECODE_FREE);
        if start.decompressed < self.history.end() && redecoded > limit {
            return Err(Error::TooManyRewinds { rewinds, redecoded });
        }
        self.begin_at(start)
    }

    fn begin_at(&mut self, start: Checkpoint) -> Result<(), Error> {
        // From the start of the frame that is owed its end is reached all the same.
        let is_same = self.frame.as_ref().is_some_and(|frame| frame.start.decompressed == start.decompressed);
        if !is_same && let Err(error) = self.settle() {
            if matches!(error, Error::Interrupted) {
                return Err(error);
            }
            // Its bytes will never be intact, which is how the failure shows.
            self.owed.clear();
        }
        self.totals.rewinds += u64::from(start.decompressed < self.history.end());
        self.context.reset(ResetDirective::SessionOnly).expect("a session can always be dropped");
        self.frame = None;
        self.input.seek(start.compressed);
        self.history.restart(start.decompressed);
        self.begun = start;
        self.closed = start.decompressed;
        Ok(())
    }

    /// One step forward; `false` at the end of the last frame. What fails, fails for good, but for an interruption.
    fn step(&mut self) -> Result<bool, Error> {
        if let Some(error) = self.failure_between(self.begun, self.history.end()) {
            return Err(error);
        }
        let outcome = self.decode_some().map_err(|error| self.explain(error));
        if let Err(error) = &outcome
            && !matches!(error, Error::Interrupted)
        {
            let frame = self.frame.as_ref().map_or(self.input.position(), |frame| frame.start.compressed);
            self.failed = Some(Failure { frame, position: self.history.end(), error: error.clone() });
        }
        outcome
    }

    /// The error, or a better word for it.
    fn explain(&self, error: Error) -> Error {
        let here = self.history.end();
        let (frame, offset, start) = match (&error, &self.frame) {
            (Error::Corrupt { frame, offset, .. }, Some(open)) => (*frame, *offset, open.start.decompressed),
            // More memory would not help.
            (Error::WindowTooLarge { frame, .. }, _) => (*frame, *frame, here),
            _ => return error,
        };
        let decoded = Decoded { compressed: frame..offset, decompressed: start..here };
        match reference::reach(self.input.source(), &self.options.meter, &decoded) {
            Some(reach) => Error::Reference { frame, reach },
            None => error,
        }
    }

    fn decode_some(&mut self) -> Result<bool, Error> {
        if self.options.meter.is_stopped() {
            return Err(Error::Interrupted);
        }
        if self.frame.is_none() && !self.open_frame()? {
            return Ok(false);
        }
        let Some(OpenFrame { start, input, .. }) = self.frame else { return Ok(true) };
        let start = start.compressed;
        let offset = self.input.position();
        let source = self.input.peek(1)?;
        let available = source.len();
        let mut consumed = InBuffer::around(&source[..available.min(input)]);
        let context = &mut self.context;
        let mut hint = 1;
        let mut is_full = false;
        let appended = self.history.append(|chunk| {
            let filled = chunk.len();
            let mut sink = OutBuffer::around_pos(chunk, filled);
            hint = context.decompress_stream(&mut sink, &mut consumed).map_err(|code| {
                if is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_checksum_wrong) {
                    Error::Checksum { frame: start }
                } else if is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
                    Error::Memory { frame: start }
                } else {
                    let detail = get_error_name(code).to_owned();
                    Error::Corrupt { frame: start, offset, detail }
                }
            })?;
            is_full = sink.pos() == sink.capacity();
            Ok(())
        })?;
        let taken = consumed.pos();
        self.input.consume(taken);
        self.count(appended);
        if let Some(frame) = &mut self.frame {
            frame.input = next_input(hint, is_full);
        }
        if hint == 0 {
            self.close_frame();
        } else if appended == 0 && taken == 0 && available == 0 {
            return Err(Error::Truncated { frame: start, offset: self.input.position() });
        }
        Ok(true)
    }

    fn count(&mut self, appended: usize) {
        let end = self.history.end();
        let start = end - appended as u64;
        let new = self.decoded.insert(start..end);
        self.totals.redecoded += end - start - new;
        self.reached.decompressed = self.reached.decompressed.max(end);
        self.reached.compressed = self.reached.compressed.max(self.input.position());
        self.options.meter.advance(self.input.position(), appended as u64);
    }

    fn close_frame(&mut self) {
        let Some(frame) = self.frame.take() else { return };
        let here = Checkpoint { compressed: self.input.position(), decompressed: self.history.end() };
        self.closed = here.decompressed;
        for range in self.owed.take_before(here.decompressed) {
            self.intact.insert(range);
        }
        let is_new = !self.finished.covers(&(frame.start.compressed..here.compressed));
        self.finished.insert(frame.after..here.compressed);
        if is_new {
            self.totals.frames += 1;
            self.totals.checksummed_frames += u64::from(frame.checksum);
        }
        self.remember(here);
    }

    /// Keeps the start of a frame in mind, unless another one lies near.
    fn remember(&mut self, start: Checkpoint) {
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= start.decompressed);
        let is_far = |other: &Checkpoint| other.decompressed.abs_diff(start.decompressed) >= CHECKPOINT_DISTANCE;
        if is_far(&self.checkpoints[later - 1]) && self.checkpoints.get(later).is_none_or(is_far) {
            self.checkpoints.insert(later, start);
        }
    }

    /// Opens the next data frame, stepping over skippable ones; `false` when the file is at its end.
    fn open_frame(&mut self) -> Result<bool, Error> {
        let after = self.input.position();
        loop {
            let offset = self.input.position();
            let length = self.input.remaining();
            let head = self.input.peek(frame::MAX_HEADER_LEN)?;
            if head.is_empty() {
                return Ok(false);
            }
            match FrameStart::parse(head) {
                Ok(FrameStart::Data(header)) => {
                    let limit = self.options.max_window;
                    if header.window > limit {
                        return Err(Error::WindowTooLarge { frame: offset, window: header.window, limit });
                    }
                    if let Some(id) = header.dictionary {
                        return Err(Error::Dictionary { frame: offset, id });
                    }
                    let start = Checkpoint { compressed: offset, decompressed: self.history.end() };
                    self.frame = Some(OpenFrame { start, after, checksum: header.checksum, input: MIN_HEADER_LEN });
                    return Ok(true);
                }
                Ok(FrameStart::Skippable { length: skipped }) if skipped <= length => {
                    self.input.seek(offset + skipped);
                    self.options.meter.advance(offset + skipped, 0);
                    if self.options.meter.is_stopped() {
                        return Err(Error::Interrupted);
                    }
                }
                Ok(FrameStart::Skippable { .. }) | Err(HeaderError::Incomplete) if is_frame_like(head) => {
                    return Err(Error::Truncated { frame: offset, offset: offset + length });
                }
                Err(HeaderError::ReservedBit) => {
                    let detail = "the frame header has a reserved bit set".to_owned();
                    return Err(Error::Corrupt { frame: offset, offset, detail });
                }
                _ if offset == 0 => {
                    let found = frame::describe(self.input.peek(frame::DESCRIBED_LEN)?);
                    return Err(Error::NotZstd { found });
                }
                _ => {
                    let source = self.input.source();
                    let Tail::Other(other) = tail::at(source, &self.options.meter, offset)? else { return Ok(false) };
                    let found = tail::describe(source, offset, other)?;
                    return Err(Error::TrailingGarbage { offset, length, found });
                }
            }
        }
    }
}

/// Whether a few bytes could be the beginning of a frame that was cut short, rather than something else.
fn is_frame_like(head: &[u8]) -> bool {
    const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
    head.len() >= 4 || MAGIC.starts_with(head)
}

const _: () = assert!(CHUNK_LEN >= 128 << 10, "a chunk holds a whole block");

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use super::*;
    use crate::zst::source::Source;

    const FRAME: usize = 20 << 20;

    /// The bytes of a frame of [`FRAME`] bytes: which one it is, and its middle, where it is another one.
    fn frame(byte: u8) -> Vec<u8> {
        let mut content = vec![byte; FRAME];
        content[FRAME / 2..FRAME / 2 + 8].fill(byte + 100);
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("a level");
        encoder.include_checksum(true).expect("a parameter");
        encoder.write_all(&content).expect("memory");
        encoder.finish().expect("memory")
    }

    /// A decoder of the frames 0, 1 and 2, of which the one at `damaged` fails its checksum, and where they start.
    fn three_frames(damaged: Option<usize>) -> (Decoder, [u64; 3], tempfile::TempDir) {
        let mut frames = [0, 1, 2].map(frame);
        if let Some(index) = damaged {
            *frames[index].last_mut().expect("not empty") ^= 1;
        }
        let lengths = [&frames[0], &frames[1]].map(|frame| frame.len() as u64);
        let starts = [0, lengths[0], lengths[0] + lengths[1]];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("frames.zst");
        std::fs::write(&path, frames.concat()).expect("written");
        let input = Input::new(Arc::new(Source::open(&path).expect("opens")));
        (Decoder::new(input, Options::default()).expect("memory"), starts, folder)
    }

    fn at(frame: usize, within: usize) -> u64 {
        (frame * FRAME + within) as u64
    }

    fn byte(decoder: &mut Decoder, position: u64) -> u8 {
        decoder.run_at(position).expect("readable")[0]
    }

    #[test]
    fn decoding_goes_on_at_any_known_frame() {
        let (mut decoder, starts, _folder) = three_frames(None);
        decoder.restart_at(starts[2], at(2, 0)).expect("not interrupted");
        assert_eq!(byte(&mut decoder, at(2, FRAME / 2)), 102);
        decoder.restart_at(starts[1], at(1, 0)).expect("not interrupted");
        assert_eq!(byte(&mut decoder, at(1, 5)), 1);
        assert_eq!(byte(&mut decoder, at(0, 5)), 0);
        // Known by now, so the frame before it is not decoded.
        assert_eq!(byte(&mut decoder, at(2, 7)), 2);
        let positions: Vec<u64> = decoder.checkpoints.iter().map(|checkpoint| checkpoint.decompressed).collect();
        assert_eq!(positions, [0, at(1, 0), at(2, 0)]);
        let totals = decoder.totals();
        assert_eq!((totals.rewinds, totals.frames), (2, 0));
        assert!(totals.decoded_once < at(2, 0), "{totals:?}");
    }

    #[test]
    fn what_was_handed_over_is_intact_once_its_frame_has_ended() {
        let (mut decoder, starts, _folder) = three_frames(None);
        let range = at(0, 10)..at(1, 10);
        byte(&mut decoder, range.end - 1);
        decoder.owe(range.clone());
        assert!(decoder.is_intact(&(at(0, 10)..at(1, 0))));
        assert!(!decoder.is_intact(&range));
        // The frame that is left is decoded to its end first.
        decoder.restart_at(starts[2], at(2, 0)).expect("not interrupted");
        assert!(decoder.is_intact(&range));
        assert_eq!((decoder.totals().frames, decoder.totals().checksummed_frames), (2, 2));
    }

    #[test]
    fn a_frame_that_is_owed_may_be_begun_anew() {
        let (mut decoder, _, _folder) = three_frames(None);
        let range = at(0, 0)..at(0, FRAME / 2);
        byte(&mut decoder, range.end - 1);
        decoder.owe(range.clone());
        assert_eq!(byte(&mut decoder, 3), 0);
        assert!(!decoder.is_intact(&range));
        assert!(decoder.totals().decoded_once < at(1, 0));
        decoder.settle().expect("intact");
        assert!(decoder.is_intact(&range));
    }

    #[test]
    fn what_was_handed_over_of_a_frame_that_fails_is_never_intact() {
        let (mut decoder, starts, _folder) = three_frames(Some(0));
        let range = at(0, 0)..at(0, 100);
        byte(&mut decoder, 99);
        decoder.owe(range.clone());
        decoder.restart_at(starts[1], at(1, 0)).expect("not interrupted");
        assert_eq!(byte(&mut decoder, at(1, 0)), 1);
        assert!(!decoder.is_intact(&range));
        // The frame that failed does not stand before what is known to lie behind it.
        assert!(matches!(decoder.run_at(at(0, FRAME - 1)), Ok(_) | Err(Error::Checksum { frame: 0 })));
        assert_eq!(byte(&mut decoder, at(2, 0)), 2);
        assert!(matches!(decoder.settle(), Ok(())));
    }
}
