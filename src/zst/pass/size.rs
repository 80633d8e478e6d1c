//! How much compressed blocks regenerate, without regenerating it: the literals' size stands in their header, and the
//! match lengths are what the sequences say (RFC 8878 section 3.1.1.4). No literal is decoded and no offset resolved.
#![expect(clippy::inline_always, reason = "what is inlined is compiled for the instructions at hand, see `lanes`")]

use std::ops::Range;

use crate::zst::format::block::{Field, Mode};
use crate::zst::format::fault::Fault;
use crate::zst::format::fse::description_of;
use crate::zst::pass::lanes::{self, Deposit, LANES, Lane, Work};

/// Where the table descriptions of a block lie in the data: of one to be sized, or of one whose tables are used again.
#[derive(Debug, Clone)]
pub(in crate::zst) struct Descriptions {
    /// `Symbol_Compression_Modes`.
    pub modes: [Mode; 3],
    /// From the first description on, as far as they and the bitstream behind them may go.
    pub range: Range<usize>,
}

/// A compressed block with sequences.
#[derive(Debug, Clone)]
pub(in crate::zst) struct Job {
    /// Its own descriptions, and behind them, to the end of the range, its bitstream: an index into the descriptions.
    pub own: usize,
    /// By field, whose table it uses: indices into the descriptions.
    pub setters: [usize; 3],
    /// `Number_of_Sequences`, not 0.
    pub count: u32,
    /// `Regenerated_Size` of the literals.
    pub literals: u32,
}

/// No table.
const NONE: usize = usize::MAX;
/// The predefined one.
const PREDEFINED: usize = usize::MAX - 1;

/// A lane, and the job that is in it.
struct Seat {
    job: usize,
    /// Whose tables the lane has, by field.
    tables: [usize; 3],
}

/// Writes the regenerated size of each job to its place in `sizes`. [`lanes::PADDING`] bytes of `data` lie in front of
/// every range and behind it. Err: the job that is at fault, the first or not.
pub(in crate::zst) fn size_blocks(
    data: &[u8],
    descriptions: &[Descriptions],
    jobs: &[Job],
    sizes: &mut [u32],
) -> Result<(), (usize, Fault)> {
    assert_eq!(jobs.len(), sizes.len(), "a size for each job");
    lanes::with_fast_instructions(Sizing { data, descriptions, jobs, sizes })
}

/// What [`size_blocks`] is given.
struct Sizing<'a> {
    data: &'a [u8],
    descriptions: &'a [Descriptions],
    jobs: &'a [Job],
    sizes: &'a mut [u32],
}

impl Work for Sizing<'_> {
    type Output = Result<(), (usize, Fault)>;

    #[inline(always)]
    fn with<D: Deposit>(self, deposit: D) -> Self::Output {
        size_in_lanes(self, deposit)
    }
}

#[inline(always)]
fn size_in_lanes(sizing: Sizing, deposit: impl Deposit) -> Result<(), (usize, Fault)> {
    let Sizing { data, descriptions, jobs, sizes } = sizing;
    let mut lanes: Box<[Lane; LANES]> = Box::new(std::array::from_fn(|_| Lane::new()));
    let mut seats: [Seat; LANES] = std::array::from_fn(|_| Seat { job: NONE, tables: [NONE; 3] });
    let mut next = 0;
    loop {
        for (lane, seat) in lanes.iter_mut().zip(&mut seats) {
            if !lane.is_done() {
                continue;
            }
            if seat.job != NONE {
                sizes[seat.job] = regenerated(lane, &jobs[seat.job]).map_err(|fault| (seat.job, fault))?;
            }
            seat.job = NONE;
            if let Some(job) = jobs.get(next) {
                seat.job = next;
                load(lane, seat, job, data, descriptions).map_err(|fault| (next, fault))?;
                next += 1;
            }
        }
        if seats.iter().all(|seat| seat.job != NONE) {
            lanes::run(data, &mut lanes, deposit).map_err(|(lane, fault)| (seats[lane].job, fault))?;
            continue;
        }
        // The last blocks go alone.
        let Some(index) = seats.iter().position(|seat| seat.job != NONE) else { return Ok(()) };
        lanes::run(data, std::array::from_mut(&mut lanes[index]), deposit)
            .map_err(|(_, fault)| (seats[index].job, fault))?;
    }
}

#[inline(always)]
fn load(lane: &mut Lane, seat: &mut Seat, job: &Job, data: &[u8], descriptions: &[Descriptions]) -> Result<(), Fault> {
    let own = &descriptions[job.own];
    let Range { start: mut at, end } = own.range;
    for field in Field::ALL {
        let index = field as usize;
        let mode = own.modes[index];
        let setter = match mode {
            Mode::Predefined => PREDEFINED,
            Mode::Repeat => job.setters[index],
            Mode::Rle | Mode::Compressed => NONE,
        };
        if setter != NONE && seat.tables[index] == setter {
            continue;
        }
        if mode == Mode::Repeat {
            let Descriptions { modes, range } = &descriptions[setter];
            let bytes = data.get(range.clone()).ok_or(Fault::BlockTooShort)?;
            lane.set(field, modes[index], description_of(field, *modes, bytes)?)?;
            seat.tables[index] = setter;
        } else {
            at += lane.set(field, mode, data.get(at..end).ok_or(Fault::BlockTooShort)?)?;
            seat.tables[index] = if mode == Mode::Predefined { PREDEFINED } else { job.own };
        }
    }
    lane.begin(data, at..end, job.count)
}

fn regenerated(lane: &Lane, job: &Job) -> Result<u32, Fault> {
    let (literals, matches) = lane.sums();
    if literals > u64::from(job.literals) {
        return Err(Fault::TooManyLiterals);
    }
    u32::try_from(u64::from(job.literals) + matches).map_err(|_| Fault::BlockTooLarge)
}
