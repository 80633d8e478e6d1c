//! A look into the volumes of an image, in rounds.

use std::io;
use std::ops::Range;

use positioned_io::ReadAt;

use super::super::view::read_prefix;
use super::content::Content;
use super::probers::{WINDOW_BYTES, content_of, windows};
use super::volume::Volume;

/// Volumes that may be looked into at once: their starts are kept in memory while it lasts.
pub const TOGETHER: usize = 48;
/// A label that takes longer to find stays unknown: a chain of directories may be as long as a volume.
const MAX_ROUNDS: u32 = 8;

/// A look into some volumes of an image, at most [`TOGETHER`] of them. While something is [`wanted`](Look::wanted), it goes
/// on with [`read`](Look::read).
pub struct Look {
    seen: Vec<Seen>,
    ends: bool,
    rounds: u32,
    /// What the next round reads: of which volume, and where in it.
    wanted: Vec<(usize, Range<u64>)>,
}

struct Seen {
    start: u64,
    volume: Volume<'static>,
    content: Option<Content>,
}

impl Look {
    /// A look into volumes of an image of `image_size` bytes, each given as where it starts and how long it is. With
    /// `together`, their ends are wanted with their starts; otherwise last, so that the rest is not lost where ends cannot
    /// be had.
    #[must_use]
    pub fn new(volumes: impl IntoIterator<Item = (u64, u64)>, image_size: u64, together: bool) -> Look {
        let seen: Vec<Seen> = volumes
            .into_iter()
            .take(TOGETHER)
            .map(|(start, size)| Seen {
                start,
                volume: Volume::new(size, image_size.saturating_sub(start)).disk(start == 0 && size == image_size),
                content: None,
            })
            .collect();
        let first = |(index, seen): (usize, &Seen)| {
            let left = image_size.saturating_sub(seen.start);
            let least = seen.volume.size().min(WINDOW_BYTES).min(left);
            let ends = windows(0, seen.volume.size(), seen.volume.is_disk())
                .skip(1)
                .filter(move |end| together && end.end <= left);
            std::iter::once(0..least).chain(ends).map(move |range| (index, range)).collect::<Vec<_>>()
        };
        let mut wanted: Vec<_> = seen.iter().enumerate().flat_map(first).collect();
        wanted.retain(|(_, range)| !range.is_empty());
        Look { seen, ends: together, rounds: 0, wanted }
    }

    /// Ranges of the image that are read next, from the lowest up; none when there is nothing more to find.
    #[must_use]
    pub fn wanted(&self) -> Vec<Range<u64>> {
        let place = |(index, range): &(usize, Range<u64>)| {
            let start = self.seen.get(*index).map_or(0, |seen| seen.start);
            start.saturating_add(range.start)..start.saturating_add(range.end)
        };
        let mut ranges: Vec<_> = self.wanted.iter().map(place).collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// Reads what is wanted. What cannot be read stays unknown.
    ///
    /// # Errors
    /// What `image` says of the first start of a volume that it cannot read; the others were read all the same.
    pub fn read(&mut self, image: &dyn ReadAt) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.sort_by_key(|(index, range)| self.seen.get(*index).map(|seen| seen.start.saturating_add(range.start)));
        for (index, range) in wanted {
            let Some(Seen { start, volume, .. }) = self.seen.get_mut(index) else { continue };
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            let error = read_prefix(image, start.saturating_add(range.start), &mut bytes).1;
            match error {
                None if range.start == 0 && volume.head().is_empty() => volume.set_head(bytes),
                None => volume.put(range.start, Some(bytes)),
                Some(error) if range.start == 0 => outcome = outcome.and(Err(error)),
                Some(_) => volume.put(range.start, None),
            }
        }
        self.rounds += 1;
        self.probe();
        if self.wanted.is_empty() && !self.ends {
            self.ends = true;
            self.probe();
        }
        outcome
    }

    fn probe(&mut self) {
        for (index, Seen { volume, content, .. }) in self.seen.iter_mut().enumerate() {
            if volume.head().is_empty() {
                continue;
            }
            *content = content_of(volume, self.ends);
            let wanted = volume.take_wanted();
            if self.rounds < MAX_ROUNDS {
                self.wanted.extend(wanted.into_iter().map(|range| (index, range)));
            }
        }
    }

    /// What each of the volumes holds, as far as it was found.
    #[must_use]
    pub fn contents(self) -> Vec<Option<Content>> {
        self.seen.into_iter().map(|seen| seen.content).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(look: &mut Look, image: &[u8]) -> Vec<Vec<Range<u64>>> {
        std::iter::from_fn(|| {
            let wanted = look.wanted();
            look.read(&image).unwrap();
            (!wanted.is_empty()).then_some(wanted)
        })
        .collect()
    }

    #[test]
    fn ends_are_wanted_with_the_starts_or_last() {
        let image = vec![0; 8 << 20];
        let volumes = [(4 << 20, 4 << 20), (0, 4 << 20)];
        let starts = |mib: u64| (mib << 20)..(mib << 20) + WINDOW_BYTES;
        let mut look = Look::new(volumes, 8 << 20, true);
        let together = rounds(&mut look, &image);
        assert_eq!((together.len(), together[0].len()), (2, 10));
        assert!(together[0].is_sorted_by_key(|range| range.start));
        let mut look = Look::new(volumes, 8 << 20, false);
        let apart = rounds(&mut look, &image);
        assert_eq!(apart[0], [starts(0), starts(4)]);
        assert_eq!(apart.len(), 2);
        assert!(together[0][1..5].iter().all(|end| apart[1].contains(end)));
        assert_eq!(look.contents(), [None, None]);
    }

    #[test]
    fn a_volume_that_is_cut_short_is_looked_into_as_far_as_it_goes() {
        let mut image = vec![0; 80 << 10];
        image[(10 << 10) + 1024 + 56..][..2].copy_from_slice(b"\x53\xef");
        let mut look = Look::new([(10 << 10, 1 << 40), (1 << 40, 5)], 80 << 10, true);
        assert_eq!(look.wanted(), vec![10 << 10..80 << 10]);
        rounds(&mut look, &image);
        assert_eq!(look.contents(), [Some(Content::new("ext2")), None]);
    }

    #[test]
    fn what_cannot_be_read_is_asked_for_once() {
        // The image says that it is longer than it is, so that no end can be read.
        let image = vec![0; 100 << 10];
        let mut look = Look::new([(0, 4 << 20)], 4 << 20, false);
        assert_eq!(rounds(&mut look, &image).len(), 2);
        let mut look = Look::new([(0, 100)], 100, false);
        assert!(look.read(&&[0_u8; 10][..]).is_err() && look.wanted().is_empty());
    }
}
