//! Which gear a read takes: what is in memory, libzstd going on, passing over and tracing, or libzstd from a frame's start.

use std::ops::Range;
use std::sync::Arc;

use crate::zst::decode::decoder::Decoder;
use crate::zst::decode::input::Input;
use crate::zst::error::Error;
use crate::zst::gears::{Gears, MAX_FETCHED, Miss};
use crate::zst::meter::Meter;
use crate::zst::options::{Engine, Options, Voucher};
use crate::zst::presumed::Presumed;
use crate::zst::source::Source;
use crate::zst::totals::Totals;
use crate::zst::trace::index::Passed;

/// What libzstd decodes sooner than a block can be found and traced, in decompressed bytes.
const NEAR: u64 = 1 << 20;
/// The same from the start of a frame, where the decoder has to begin anew.
const NEAR_START: u64 = 4 << 20;

/// Decompressed bytes to be passed over that are worth a presumption of the whole file.
const WORTH_PRESUMING: u64 = 8 << 20;

/// A file's decoder, and the gears in front of it.
pub(super) struct Reader {
    engine: Engine,
    max_window: u64,
    decoder: Decoder,
    /// None where everything is decoded.
    gears: Option<Gears>,
    /// What the gears had done when they were distrusted.
    done: Passed,
    traced: u64,
    /// Times that libzstd had to decode from a frame's start what could not be traced.
    fallbacks: u64,
    /// What was found to be dear when it was asked for together.
    dear: Vec<Range<u64>>,
    /// What is still to be presumed of; none once it was tried.
    presumable: Option<Presumable>,
    /// Presumptions that did not hold.
    refuted: u64,
}

/// A file of which nothing was presumed yet.
struct Presumable {
    source: Arc<Source>,
    meter: Arc<Meter>,
    voucher: Option<Voucher>,
}

/// Where the bytes at a position are.
enum Way {
    /// The decoder has them, or comes to them.
    Decoder,
    /// The gears have them in memory.
    Gears,
    /// Behind the end of the data.
    Nowhere,
}

impl Reader {
    pub fn new(source: &Arc<Source>, options: Options) -> Result<Reader, Error> {
        let Options { engine, max_window, ref meter, voucher } = options;
        let gears = (engine != Engine::Decode).then(|| Gears::new(Arc::clone(source), Arc::clone(meter)));
        let presumable = Presumable { source: Arc::clone(source), meter: Arc::clone(meter), voucher };
        Ok(Reader {
            engine,
            max_window,
            decoder: Decoder::new(Input::new(Arc::clone(source)), options)?,
            gears,
            done: Passed::default(),
            traced: 0,
            fallbacks: 0,
            dear: Vec::new(),
            // Where every byte has to come through a network, sizing the blocks on the way takes no longer, and a presumption
            // that is refuted would have all of it come twice.
            presumable: (!source.is_remote() && (engine == Engine::Auto || voucher.is_some())).then_some(presumable),
            refuted: 0,
        })
    }

    /// Bytes from `position` on, at least one unless the data end there. `wanted` is how many will be asked for in all. With
    /// `only_cheap`, [`Error::Dear`] where much would have to be decoded for them.
    pub fn run_at(&mut self, position: u64, wanted: u64, only_cheap: bool) -> Result<&[u8], Error> {
        match self.way(position, wanted, only_cheap)? {
            Way::Decoder => self.decoder.run_at(position),
            Way::Gears => Ok(self.gears.as_ref().map_or(&[], |gears| gears.in_memory(position))),
            Way::Nowhere => Ok(&[]),
        }
    }

    fn way(&mut self, position: u64, wanted: u64, only_cheap: bool) -> Result<Way, Error> {
        let dear = Err(Error::Dear { position });
        if only_cheap && self.dear.iter().any(|range| range.contains(&position)) {
            return dear;
        }
        let Some(gears) = &mut self.gears else {
            return if only_cheap && !self.decoder.is_cheap(position) { dear } else { Ok(Way::Decoder) };
        };
        if self.decoder.holds(position) {
            return Ok(Way::Decoder);
        }
        if !gears.in_memory(position).is_empty() {
            return Ok(Way::Gears);
        }
        // A frame that is owed is decoded to its end in any case.
        self.decoder.settle_towards(position)?;
        if self.decoder.holds(position) {
            return Ok(Way::Decoder);
        }
        if self.engine == Engine::Auto && self.decoder.is_near(position, NEAR) && self.can_decode(position)? {
            return Ok(Way::Decoder);
        }
        let last = position.saturating_add(wanted.saturating_sub(1));
        if !self.advance(last)? {
            return self.way(position, wanted, only_cheap);
        }
        let Some(gears) = &mut self.gears else { return Ok(Way::Decoder) };
        if gears.size().is_some_and(|size| position >= size) {
            return Ok(Way::Nowhere);
        }
        let (compressed, decompressed) = gears.frame_before(position);
        if self.engine == Engine::Auto && position - decompressed <= NEAR_START {
            self.decoder.restart_at(compressed, decompressed)?;
            if self.can_decode(position)? {
                return Ok(Way::Decoder);
            }
        }
        let Some(gears) = &mut self.gears else { return Ok(Way::Decoder) };
        let instead = self.decoder.distance(decompressed, position);
        match gears.read(position, wanted, instead) {
            Ok(_) => Ok(Way::Gears),
            Err(Miss::Read(error)) => Err(error),
            Err(_) if only_cheap => dear,
            Err(Miss::Dear) => {
                self.fallbacks += 1;
                self.decoder.learn(compressed, decompressed);
                self.decoder.tell_start(position);
                Ok(Way::Decoder)
            }
            Err(Miss::Odd) => {
                self.distrust()?;
                Ok(Way::Decoder)
            }
        }
    }

    /// Has libzstd decode up to `position`, unless it must not have the memory for that.
    fn can_decode(&mut self, position: u64) -> Result<bool, Error> {
        match self.decoder.run_at(position) {
            Ok(_) => Ok(true),
            Err(Error::WindowTooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Passes on until the byte at `position` is passed, or the file ends. False if something is wrong on the way, and all
    /// is decoded from now on.
    fn advance(&mut self, position: u64) -> Result<bool, Error> {
        let Some(gears) = &mut self.gears else { return Ok(false) };
        if let Some((compressed, decompressed)) = self.decoder.frame_end() {
            gears.resume(compressed, decompressed);
        }
        self.presume(position)?;
        let Some(gears) = &mut self.gears else { return Ok(false) };
        match gears.advance(position) {
            Ok(()) => Ok(true),
            Err(Miss::Read(error)) => Err(error),
            Err(Miss::Odd | Miss::Dear) => {
                self.distrust()?;
                Ok(false)
            }
        }
    }

    /// Takes all blocks for full, once for the whole file, where it is far to `position`; and forgets it unless that is proven.
    fn presume(&mut self, position: u64) -> Result<(), Error> {
        let Some(gears) = &mut self.gears else { return Ok(()) };
        // Whatever is wrong is found again on the way.
        if self.presumable.is_none() || gears.jump(position).is_err() {
            return Ok(());
        }
        let ahead = position.saturating_sub(gears.reached().max(self.decoder.reached()));
        let is_worth_it = self.engine != Engine::Auto || ahead >= WORTH_PRESUMING;
        if !is_worth_it || gears.reached() > position || gears.size().is_some() {
            return Ok(());
        }
        let Some(Presumable { source, meter, voucher }) = self.presumable.take() else { return Ok(()) };
        let presumed = match Presumed::of(source, &meter, voucher.is_some()) {
            Ok(presumed) => presumed,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            // What cannot be read is told by whoever comes there on the way.
            Err(_) => None,
        };
        if let Some(proven) = presumed.and_then(|presumed| presumed.into_proven(voucher)) {
            *gears = proven;
        } else {
            self.refuted += 1;
            meter.refute_walk();
        }
        Ok(())
    }

    /// From now on, has libzstd decode everything. Whether something was given that it did not.
    pub fn distrust(&mut self) -> Result<bool, Error> {
        let Some(gears) = self.gears.take() else { return Ok(false) };
        (self.done, self.traced) = gears.totals();
        let has_answered = gears.has_answered();
        if has_answered {
            // Where it stands may be another place than it was taken for.
            self.fallbacks += 1;
            self.decoder.start_over()?;
        }
        Ok(has_answered)
    }

    /// Whether libzstd decodes everything from now on.
    pub fn decodes_all(&self) -> bool {
        self.gears.is_none()
    }

    /// Brings `ranges` into memory in one go, where that is cheaper than one by one.
    pub fn fetch(&mut self, ranges: &[Range<u64>], only_cheap: bool) -> Result<(), Error> {
        self.dear.clear();
        let Some(end) = ranges.iter().map(|range| range.end).max() else { return Ok(()) };
        let is_near = |range: &Range<u64>| {
            self.engine == Engine::Auto && (self.decoder.holds(range.start) || self.decoder.is_near(range.start, NEAR))
        };
        if self.gears.is_none() || ranges.iter().all(is_near) || !self.advance(end)? {
            return Ok(());
        }
        let (engine, decoder) = (self.engine, &self.decoder);
        let Some(gears) = &mut self.gears else { return Ok(()) };
        let is_far = |range: &&Range<u64>| {
            let (_, start) = gears.frame_before(range.start);
            let is_near = decoder.is_near(range.start, NEAR) || range.start.saturating_sub(start) <= NEAR_START;
            !decoder.holds(range.start) && (engine != Engine::Auto || !is_near)
        };
        let mut far: Vec<Range<u64>> = ranges.iter().filter(is_far).cloned().collect();
        let mut kept = 0;
        far.retain(|range| {
            kept += range.end.saturating_sub(range.start);
            kept <= MAX_FETCHED
        });
        let instead = far.iter().map(|range| range.end).max().map_or(0, |end| {
            let (_, start) = gears.frame_before(end);
            decoder.distance(start, end)
        });
        match gears.fetch(&far, instead) {
            Ok(()) => Ok(()),
            Err(Miss::Read(error)) => Err(error),
            Err(_) if only_cheap => {
                self.dear = far;
                Ok(())
            }
            Err(Miss::Odd) => self.distrust().map(|_| ()),
            Err(Miss::Dear) => {
                self.fallbacks += 1;
                far.sort_by_key(|range| range.start);
                far.into_iter().try_for_each(|range| self.decode_fetched(&range))
            }
        }
    }

    fn decode_fetched(&mut self, range: &Range<u64>) -> Result<(), Error> {
        let Some(gears) = &mut self.gears else { return Ok(()) };
        let (compressed, decompressed) = gears.frame_before(range.start);
        self.decoder.learn(compressed, decompressed);
        let mut bytes = Vec::new();
        let mut position = range.start;
        while position < range.end {
            let run = self.decoder.run_at(position)?;
            if run.is_empty() {
                break;
            }
            let wanted = usize::try_from(range.end - position).unwrap_or(usize::MAX);
            bytes.extend_from_slice(&run[..run.len().min(wanted)]);
            position = range.start + bytes.len() as u64;
        }
        gears.keep_fetched(range.start, bytes);
        Ok(())
    }

    /// The decoder, told where the frame begins that holds `position`: for bytes that have to come from libzstd, whatever was
    /// passed over on the way to it.
    pub fn decoder_for(&mut self, position: u64) -> &mut Decoder {
        if let Some(gears) = &self.gears {
            let (compressed, decompressed) = gears.frame_before(position);
            self.decoder.learn(compressed, decompressed);
        }
        self.decoder.tell_start(position);
        &mut self.decoder
    }

    /// Whether libzstd may have the memory to decode the byte at `position`, as far as that is known without trying.
    pub fn check_window(&self, position: u64) -> Result<(), Error> {
        let Some(gears) = &self.gears else { return Ok(()) };
        let limit = self.max_window;
        match gears.window_before(position)? {
            Some((frame, window)) if window > limit => Err(Error::WindowTooLarge { frame, window, limit }),
            _ => Ok(()),
        }
    }

    /// The decoder, as it stands.
    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Comes to the end of the file; gives the decompressed size.
    pub fn finish(&mut self) -> Result<u64, Error> {
        self.decoder.settle()?;
        if self.size().is_none() {
            self.advance(u64::MAX)?;
        }
        loop {
            if let Some(size) = self.size() {
                return Ok(size);
            }
            let reached = self.decoder.reached();
            self.decoder.run_at(reached)?;
        }
    }

    /// Decompressed size, known once the end has been reached.
    pub fn size(&self) -> Option<u64> {
        self.decoder.size().or_else(|| self.gears.as_ref()?.size())
    }

    /// Farthest decompressed offset that was decoded or passed over.
    pub fn reached(&self) -> u64 {
        self.decoder.reached().max(self.gears.as_ref().map_or(0, Gears::reached))
    }

    pub fn totals(&self) -> Totals {
        let (Passed { sized, jumped, presumed, sequences }, traced) =
            self.gears.as_ref().map_or((self.done, self.traced), Gears::totals);
        let (fallbacks, refuted) = (self.fallbacks, self.refuted);
        Totals { sized, jumped, presumed, refuted, sequences, traced, fallbacks, ..self.decoder.totals() }
    }
}
