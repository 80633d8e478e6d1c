//! A directory that is a chain of clusters in a table of 32-bit entries, as FAT32 and exFAT have it.

use std::ops::ControlFlow;

use super::super::fields::le32;
use super::volume::Volume;

/// The first that can be used.
const FIRST_CLUSTER: u32 = 2;
/// Clusters and bytes of a directory that are searched: a label is nearly always among its first entries.
const MAX_CLUSTERS: u64 = 32;
const MAX_BYTES: u64 = 64 * 1024;
/// Bytes of a cluster that are searched.
const MAX_OF_CLUSTER: u64 = 16 * 1024;
/// The table is read in pieces of this, so that most of a chain is known at once.
const PIECE: u64 = 4096;

/// Where clusters and their table lie in a volume, in bytes.
pub(super) struct Clusters {
    pub table_at: u64,
    pub data_at: u64,
    pub cluster_bytes: u64,
    /// The bits of an entry that count.
    pub mask: u32,
    /// What is above this is no cluster, but the end, or a bad one.
    pub last: u32,
}

impl Clusters {
    /// Hands the clusters of the chain from `first` on to `search` until that breaks. `None` where one of them cannot be
    /// had, or not yet: they are wanted together.
    pub(super) fn search<T>(
        &self,
        volume: &Volume<'_>,
        first: u32,
        mut search: impl FnMut(&[u8]) -> ControlFlow<T>,
    ) -> Option<ControlFlow<T>> {
        let length = self.cluster_bytes.min(MAX_OF_CLUSTER);
        let (mut cluster, mut is_missing) = (first, false);
        for _ in 0..MAX_BYTES.checked_div(length)?.min(MAX_CLUSTERS) {
            if !(FIRST_CLUSTER..=self.last).contains(&cluster) {
                break;
            }
            let index = u64::from(cluster - FIRST_CLUSTER);
            let at = self.data_at.saturating_add(index.saturating_mul(self.cluster_bytes));
            match volume.read(at, usize::try_from(length).ok()?) {
                Some(entries) if !is_missing => {
                    if let end @ ControlFlow::Break(_) = search(entries) {
                        return Some(end);
                    }
                }
                Some(_) => {}
                None => is_missing = true,
            }
            cluster = self.next(volume, cluster)?;
        }
        (!is_missing).then_some(ControlFlow::Continue(()))
    }

    fn next(&self, volume: &Volume<'_>, cluster: u32) -> Option<u32> {
        let at = u64::from(cluster) * 4;
        let start = self.table_at.checked_add(at / PIECE * PIECE)?;
        let length = PIECE.min(volume.available().checked_sub(start)?);
        let piece = volume.read(start, usize::try_from(length).ok()?)?;
        let entry = piece.get(usize::try_from(at % PIECE).ok()?..)?.first_chunk::<4>()?;
        Some(le32(entry, 0) & self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rounds: the first cluster and the table; the rest of the chain; nothing.
    #[test]
    fn a_chain_is_known_once_its_table_is() {
        let clusters = Clusters { table_at: 0, data_at: 4096, cluster_bytes: 512, mask: 0x0fff_ffff, last: 100 };
        let mut bytes = vec![0; 1 << 20];
        for (cluster, next) in [(2, 7_u32), (7, 5), (5, 0xffff_ffff)] {
            bytes[4 * cluster..][..4].copy_from_slice(&next.to_le_bytes());
            bytes[4096 + 512 * (cluster - 2)] = u8::try_from(cluster).unwrap();
        }
        let mut volume = Volume::new(1 << 20, 1 << 20);
        let mut seen = Vec::new();
        let mut wanted = Vec::new();
        for _ in 0..3 {
            seen.clear();
            let end = clusters.search(&volume, 2, |entries| {
                seen.push(entries[0]);
                if entries[0] == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let ranges = volume.take_wanted();
            wanted.push((end.is_some(), ranges.len()));
            for range in ranges {
                let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
                volume.put(range.start, Some(bytes[start..end].to_vec()));
            }
        }
        assert_eq!(wanted, [(false, 2), (false, 2), (true, 0)]);
        assert_eq!(seen, [2, 7, 5]);
        let found = clusters.search(&volume, 2, |entries| match entries[0] {
            7 => ControlFlow::Break("found"),
            _ => ControlFlow::Continue(()),
        });
        assert_eq!(found, Some(ControlFlow::Break("found")));
    }
}
