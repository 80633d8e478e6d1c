//! Which blocks of an object are in memory, which are on their way, and which are asked for next.
//!
//! Whoever has read on, block after block, reads on: with one block that was read behind the one that is read now, a few more
//! are asked for, and with two, [`AHEAD`]. Whoever jumps gets one. The latest [`KEPT`] that were read are kept for who
//! goes back: the sources of a match lie a window back at most, 8 MiB as a rule. So is the object's last block, where a
//! seek table is, and where the end is looked at before all is read.
//!
//! What is read ahead is bounded for all objects together by tickets, one a block. A reader that stands still keeps its
//! own, and others may find none left; so one block ahead of each object needs no ticket, and whoever reads on always has
//! the next block on its way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::task::AbortHandle;

use super::Error;

/// Most blocks of one object that are on their way, or there and not read yet.
pub const AHEAD: u64 = 8;
/// Blocks that were read and are kept, the one that is read among them.
pub const KEPT: usize = 5;
/// Blocks, of all objects that are read, that were asked for before anybody wanted a byte of them; and one of each besides.
const AHEAD_IN_ALL: usize = 32;
/// Blocks that are asked for ahead by whoever has read none behind, one, or more.
const AHEAD_BY_BEHIND: [u64; 3] = [0, 3, AHEAD];

static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Leave to hold a block that nobody has wanted yet.
#[derive(Debug)]
struct Ticket;

impl Ticket {
    fn take() -> Option<Ticket> {
        let more = |taken| (taken < AHEAD_IN_ALL).then_some(taken + 1);
        TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok().then(|| Ticket)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the bytes of a block are.
#[derive(Debug)]
pub enum Content {
    /// Asked for.
    Coming,
    /// Here.
    Here(Bytes),
    /// Not to be had.
    Failed(Error),
}

#[derive(Debug)]
struct Block {
    content: Content,
    /// Whether any of it was asked for.
    is_read: bool,
    /// When that was last, by the clock of the blocks.
    used: u64,
    ticket: Option<Ticket>,
    task: Option<AbortHandle>,
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The blocks of one object.
#[derive(Debug)]
pub struct Blocks {
    by_index: BTreeMap<u64, Block>,
    /// How many the object has.
    count: u64,
    clock: u64,
}

impl Blocks {
    /// An object of `count` blocks, none of them here.
    pub fn new(count: u64) -> Blocks {
        Blocks { by_index: BTreeMap::new(), count, clock: 0 }
    }

    /// Takes note that a byte of a block is wanted. Gives the blocks that are to be asked for; they are taken to be.
    pub fn want(&mut self, index: u64) -> Vec<u64> {
        self.clock += 1;
        if let Some(block) = self.by_index.get_mut(&index).filter(|block| block.is_read) {
            block.used = self.clock;
            return Vec::new();
        }
        let was_read = |index| self.by_index.get(&index).is_some_and(|block: &Block| block.is_read);
        let behind = (1..).take_while(|&back| index.checked_sub(back).is_some_and(was_read));
        let ahead = AHEAD_BY_BEHIND[behind.take(AHEAD_BY_BEHIND.len() - 1).count()];
        let mut asked = Vec::new();
        if let Some(block) = self.by_index.get_mut(&index) {
            (block.is_read, block.used, block.ticket) = (true, self.clock, None);
        } else {
            self.insert(index, true, None);
            asked.push(index);
        }
        for next in index + 1..(index + 1 + ahead).min(self.count) {
            if self.by_index.contains_key(&next) {
                continue;
            }
            let ticket = Ticket::take();
            if ticket.is_none() && (next > index + 1 || self.has_ticketless_ahead()) {
                break;
            }
            self.insert(next, false, ticket);
            asked.push(next);
        }
        self.forget(index);
        asked
    }

    fn insert(&mut self, index: u64, is_read: bool, ticket: Option<Ticket>) {
        let block = Block { content: Content::Coming, is_read, used: self.clock, ticket, task: None };
        self.by_index.insert(index, block);
    }

    fn has_ticketless_ahead(&self) -> bool {
        self.by_index.values().any(|block| !block.is_read && block.ticket.is_none())
    }

    /// Lets go of what is over the limits, with the block at `index` in hand.
    fn forget(&mut self, index: u64) {
        let last = self.count.saturating_sub(1);
        loop {
            let unread = self.by_index.iter().filter(|(_, block)| !block.is_read);
            let (count, farthest) =
                unread.fold((0, None), |(count, far), (&at, _)| (count + 1, far.max(Some((at.abs_diff(index), at)))));
            match farthest {
                Some((_, at)) if count > AHEAD => self.by_index.remove(&at),
                _ => break,
            };
        }
        let is_read = |(_, block): &(&u64, &Block)| block.is_read;
        while self.by_index.iter().filter(is_read).count() > KEPT {
            let is_spare = |&(&at, block): &(&u64, &Block)| {
                block.is_read && matches!(block.content, Content::Here(_)) && at != index && at != last
            };
            let oldest = self.by_index.iter().filter(is_spare).min_by_key(|(_, block)| block.used);
            let Some((&at, _)) = oldest else { break };
            self.by_index.remove(&at);
        }
    }

    /// Says by which task a block is asked for.
    pub fn set_task(&mut self, index: u64, task: AbortHandle) {
        match self.by_index.get_mut(&index) {
            Some(block) => block.task = Some(task),
            None => task.abort(),
        }
    }

    /// Takes in what came, or why nothing did, unless nobody waits for it any more.
    pub fn put(&mut self, index: u64, came: Result<Bytes, Error>) {
        if let Some(block) = self.by_index.get_mut(&index) {
            block.content = match came {
                Ok(bytes) => Content::Here(bytes),
                Err(error) => Content::Failed(error),
            };
        }
    }

    /// What there is of a block that was asked for; none if it was let go of since.
    pub fn get(&self, index: u64) -> Option<&Content> {
        self.by_index.get(&index).map(|block| &block.content)
    }

    /// Whether nothing will come any more of a block that was asked for.
    pub fn is_lost(&self, index: u64) -> bool {
        let block = self.by_index.get(&index).filter(|block| matches!(block.content, Content::Coming));
        block.and_then(|block| block.task.as_ref()).is_some_and(AbortHandle::is_finished)
    }

    /// Lets go of a block, so that it can be asked for anew.
    pub fn remove(&mut self, index: u64) {
        self.by_index.remove(&index);
    }

    /// Lets go of all.
    pub fn clear(&mut self) {
        self.by_index.clear();
    }

    #[cfg(test)]
    fn in_memory(&self) -> usize {
        self.by_index.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wants each of `order`, and has what is asked for arrive at once. Gives what was asked for, in order.
    fn read(blocks: &mut Blocks, order: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut asked = Vec::new();
        for index in order {
            let next = blocks.want(index);
            for &index in &next {
                blocks.put(index, Ok(Bytes::new()));
            }
            asked.extend(next);
        }
        asked
    }

    // One test: what is asked for hangs on what others have asked for in the process.
    #[test]
    fn blocks_are_asked_for_once_and_further_ahead_the_longer_they_are_read_on() {
        {
            let mut blocks = Blocks::new(100);
            assert_eq!(blocks.want(0), [0]);
            assert_eq!(blocks.want(1), [1, 2, 3, 4]);
            assert_eq!(blocks.want(2), [5, 6, 7, 8, 9, 10]);
            assert_eq!(blocks.want(3), [11]);
            assert_eq!(TAKEN.load(Ordering::Relaxed), 8);
        }
        {
            let mut blocks = Blocks::new(1000);
            assert_eq!(read(&mut blocks, 0..500), (0..508).collect::<Vec<_>>());
            assert!(blocks.in_memory() <= KEPT + 8, "{}", blocks.in_memory());

            // Back by a few costs nothing, back by many a block each; what is far ahead is not asked for.
            assert!(read(&mut blocks, [498, 497, 496]).is_empty());
            assert_eq!(read(&mut blocks, [50, 20, 700]), [50, 20, 700]);
            assert!(blocks.in_memory() <= KEPT + 8);
        }
        {
            // The end first, as a seek table is looked for: it is still there when the end is come to.
            let mut blocks = Blocks::new(50);
            assert_eq!(read(&mut blocks, [0, 49].into_iter().chain(1..50)).len(), 50);
        }
        {
            // Many objects at once share what is asked for ahead, each has what it wants, and one more.
            let mut all: Vec<Blocks> = (0..100).map(|_| Blocks::new(1000)).collect();
            for index in 0..20 {
                for blocks in &mut all {
                    read(blocks, [index]);
                    assert!(index == 0 || blocks.get(index + 1).is_some());
                }
            }
            let held: usize = all.iter().map(Blocks::in_memory).sum();
            assert!(held <= all.len() * (KEPT + 1) + AHEAD_IN_ALL, "{held}");
            // However one of them is jumped about in, it is one more and not several.
            let blocks = &mut all[99];
            for index in [100, 101, 200, 201, 300, 301] {
                read(blocks, [index]);
                assert!(blocks.by_index.values().filter(|b| !b.is_read && b.ticket.is_none()).count() <= 1);
            }
        }
        assert_eq!(TAKEN.load(Ordering::Relaxed), 0);
    }
}
