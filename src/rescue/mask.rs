//! An image without what was never read of its medium.

use std::io;

use positioned_io::ReadAt;

use super::RescueMap;

/// An image in which every byte that was never read is zero, whatever the image holds there: ddrescue leaves zeros, or
/// what the file held before, or with `--fill-mode` a pattern.
pub struct Masked<'a> {
    image: &'a dyn ReadAt,
    size: u64,
    map: &'a RescueMap,
}

impl<'a> Masked<'a> {
    /// `image`, which is `size` bytes long, as far as `map` says that it was read.
    #[must_use]
    pub fn new(image: &'a dyn ReadAt, size: u64, map: &'a RescueMap) -> Self {
        Self { image, size, map }
    }
}

impl ReadAt for Masked<'_> {
    /// Reads nothing of the image where all that is asked for was never read.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(pos);
        let len = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let buf = buf.get_mut(..len).unwrap_or_default();
        let range = pos..pos.saturating_add(len as u64);
        let unread: u64 = self.map.unread_in(&range).map(|area| area.end - area.start).sum();
        if unread == len as u64 {
            buf.fill(0);
            return Ok(len);
        }
        let read = self.image.read_at(pos, buf)?.min(len);
        for area in self.map.unread_in(&(pos..pos.saturating_add(read as u64))) {
            let within = [area.start, area.end].map(|at| usize::try_from(at - pos).unwrap_or(len));
            buf.get_mut(within[0]..within[1]).unwrap_or_default().fill(0);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts the bytes that are read.
    struct Counted(&'static [u8], Cell<usize>);

    impl ReadAt for Counted {
        fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read_at(pos, buf)?;
            self.1.set(self.1.get() + read);
            Ok(read)
        }
    }

    #[test]
    fn what_was_never_read_is_zero_and_is_not_asked_for() {
        let map = RescueMap::parse(b"0 +\n2 3 +\n5 1 -\n6 2 +\n").expect("a map");
        let image = Counted(b"abcdefghij", Cell::new(0));
        let masked = Masked::new(&image, 10, &map);
        let read = |pos, len| {
            let mut buf = vec![b'?'; len];
            let read = masked.read_at(pos, &mut buf).expect("memory");
            buf.truncate(read);
            buf
        };
        for (pos, len, expected) in [(0, 20, &b"\0\0cde\0gh\0\0"[..]), (4, 3, b"e\0g"), (3, 2, b"de")] {
            assert_eq!(read(pos, len), expected);
        }
        let so_far = image.1.get();
        for (pos, len, expected) in [(0, 2, 2), (5, 1, 1), (8, 9, 2), (10, 1, 0), (99, 1, 0), (u64::MAX, 9, 0)] {
            assert_eq!(read(pos, len), vec![0; expected]);
        }
        assert_eq!(image.1.get(), so_far);
    }
}
