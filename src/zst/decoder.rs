//! libzstd, driven frame by frame, forward from any frame's start.

use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name, is_error_kind};

use super::Options;
use super::error::Error;
use super::frame::{self, FrameStart, HeaderError};
use super::history::{CHUNK_LEN, History};
use super::input::Input;

/// Smallest distance between two remembered frame starts, in decompressed bytes: 24 bytes of memory per 16 MiB.
const CHECKPOINT_DISTANCE: u64 = 16 << 20;
/// How often all that was decoded so far may be decoded again, before a reader that hops about is told off.
const REDECODE_FACTOR: u64 = 8;
/// Decoded again before the factor counts: small archives may be read in any order.
const REDECODE_FREE: u64 = 4 << 30;

/// What was seen of a file's frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Data frames decoded to their end.
    pub frames: u64,
    /// Those of them that carried a checksum, which held.
    pub checksummed_frames: u64,
    /// Times that decoding began anew at an earlier frame.
    pub rewinds: u64,
    /// Decompressed bytes that were decoded more than once.
    pub redecoded: u64,
}

/// The start of a frame, from which decoding can begin anew.
#[derive(Clone, Copy)]
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
    start: u64,
    checksum: bool,
    /// Most input that libzstd is given next, see [`next_input`].
    input: usize,
}

pub(super) struct Decoder {
    input: Input,
    context: DCtx<'static>,
    options: Options,
    frame: Option<OpenFrame>,
    history: History,
    checkpoints: Vec<Checkpoint>,
    totals: Totals,
    /// Farthest decompressed offset ever reached.
    reached: u64,
    /// Compressed and decompressed offset up to which every frame was decoded to its end.
    intact: Checkpoint,
    /// Decompressed size, once the end was reached.
    size: Option<u64>,
    /// The decompressed offset that cannot be had, and why.
    failed: Option<(u64, Error)>,
}

impl Decoder {
    pub fn new(input: Input, options: Options) -> Decoder {
        let mut context = DCtx::create();
        // The frame header is checked against the exact limit before libzstd sees it; this only has to be no lower.
        let log = options.max_window.max(1).next_power_of_two().ilog2().clamp(10, 31);
        context.set_parameter(DParameter::WindowLogMax(log)).expect("10..=31 is in range");
        Decoder {
            input,
            context,
            options,
            frame: None,
            history: History::new(),
            checkpoints: vec![Checkpoint { compressed: 0, decompressed: 0 }],
            totals: Totals::default(),
            reached: 0,
            intact: Checkpoint { compressed: 0, decompressed: 0 },
            size: None,
            failed: None,
        }
    }

    pub fn input(&self) -> &Input {
        &self.input
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    pub fn size(&self) -> Option<u64> {
        self.size
    }

    pub fn reached(&self) -> u64 {
        self.reached
    }

    pub fn intact_to(&self) -> u64 {
        self.intact.decompressed
    }

    pub fn is_ahead(&self, position: u64) -> bool {
        position >= self.history.start()
    }

    /// Decodes until the byte at `position` is in memory, and gives the run of bytes that begins with it; an empty run
    /// says that the data end before it.
    pub fn run_at(&mut self, position: u64) -> Result<&[u8], Error> {
        if self.size.is_some_and(|size| position >= size) {
            return Ok(&[]);
        }
        if let Some((at, error)) = &self.failed
            && position >= *at
        {
            return Err(error.clone());
        }
        if position < self.history.start() {
            self.rewind(position)?;
        }
        while self.history.end() <= position {
            match self.decode_some() {
                Ok(true) => {}
                Ok(false) => {
                    self.size = Some(self.history.end());
                    return Ok(&[]);
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    self.failed = Some((self.history.end(), error.clone()));
                    return Err(error);
                }
            }
        }
        Ok(self.history.run_at(position))
    }

    fn rewind(&mut self, position: u64) -> Result<(), Error> {
        let Totals { rewinds, redecoded, .. } = self.totals;
        if redecoded > self.reached.saturating_mul(REDECODE_FACTOR).max(REDECODE_FREE) {
            return Err(Error::TooManyRewinds { rewinds, redecoded });
        }
        let later = self.checkpoints.partition_point(|checkpoint| checkpoint.decompressed <= position);
        let checkpoint = self.checkpoints[later - 1];
        self.context.reset(ResetDirective::SessionOnly).expect("a session can always be dropped");
        self.frame = None;
        self.input.seek(checkpoint.compressed);
        self.history.restart(checkpoint.decompressed);
        self.totals.rewinds += 1;
        Ok(())
    }

    /// One step forward; `false` at the end of the last frame.
    fn decode_some(&mut self) -> Result<bool, Error> {
        if self.options.meter.is_stopped() {
            return Err(Error::Interrupted);
        }
        if self.frame.is_none() && !self.open_frame()? {
            return Ok(false);
        }
        let Some(OpenFrame { start, checksum, input }) = self.frame else { return Ok(true) };
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
            self.close_frame(checksum);
        } else if appended == 0 && taken == 0 && available == 0 {
            return Err(Error::Truncated { frame: start, offset: self.input.position() });
        }
        Ok(true)
    }

    fn count(&mut self, appended: usize) {
        let end = self.history.end();
        let start = end - appended as u64;
        self.totals.redecoded += self.reached.min(end).saturating_sub(start);
        self.reached = self.reached.max(end);
        self.options.meter.advance(self.input.position(), appended as u64);
    }

    fn close_frame(&mut self, checksum: bool) {
        self.frame = None;
        let here = Checkpoint { compressed: self.input.position(), decompressed: self.history.end() };
        if here.compressed <= self.intact.compressed {
            return;
        }
        self.intact = here;
        self.totals.frames += 1;
        self.totals.checksummed_frames += u64::from(checksum);
        if self.checkpoints.last().is_none_or(|last| here.decompressed >= last.decompressed + CHECKPOINT_DISTANCE) {
            self.checkpoints.push(here);
        }
    }

    /// Opens the next data frame, stepping over skippable ones; `false` when the file is at its end.
    fn open_frame(&mut self) -> Result<bool, Error> {
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
                    self.frame = Some(OpenFrame { start: offset, checksum: header.checksum, input: MIN_HEADER_LEN });
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
                _ => {
                    let found = frame::describe(self.input.peek(512)?);
                    return Err(if offset == 0 {
                        Error::NotZstd { found }
                    } else {
                        Error::TrailingGarbage { offset, length, found }
                    });
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
