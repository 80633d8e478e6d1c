//! Places that are presumed, and not yet proven: apart from all that is believed, until somebody vouches for them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use positioned_io::ReadAt;

use crate::zst::error::Error;
use crate::zst::gears::{Gears, Miss};
use crate::zst::meter::Meter;
use crate::zst::options::Voucher;
use crate::zst::source::Source;
use crate::zst::trace::index::Index;

/// A file as it is if all blocks are full but the last of each frame. Its bytes are given to nobody but a [`Voucher`].
pub(super) struct Presumed {
    gears: Mutex<Gears>,
    size: u64,
    is_proven: bool,
}

impl Presumed {
    /// Goes over the whole file by its block headers. `None` where a block is seen that is not full, where anything else
    /// is odd, or where nothing could prove the places without somebody who vouches for them.
    pub fn of(source: Arc<Source>, meter: &Arc<Meter>, can_vouch: bool) -> Result<Option<Presumed>, Error> {
        let index = Index::presume(source, Arc::clone(meter), can_vouch)?;
        Ok(index.map(|(index, is_proven)| {
            let size = index.reached();
            Presumed { gears: Mutex::new(Gears::over(index, Arc::clone(meter))), size, is_proven }
        }))
    }

    /// The gears that give the bytes at these places, if they are proven, or `voucher` vouches for them.
    pub fn into_proven(self, voucher: Option<Voucher>) -> Option<Gears> {
        let holds = self.is_proven || voucher.is_some_and(|vouches| vouches(&self, self.size));
        holds.then(|| self.gears.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReadAt for Presumed {
    /// Fills `buf` unless the data end first. [`Error::Dear`] where the bytes would cost much, or cannot be right.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut gears = self.gears.lock().unwrap_or_else(PoisonError::into_inner);
        let mut filled = 0;
        while filled < buf.len() {
            let Some(position) = pos.checked_add(filled as u64).filter(|&position| position < self.size) else { break };
            let (_, start) = gears.frame_before(position);
            let run =
                gears.read(position, (buf.len() - filled) as u64, position - start).map_err(|miss| match miss {
                    Miss::Read(error) => error,
                    Miss::Dear | Miss::Odd => Error::Dear { position },
                })?;
            if run.is_empty() {
                break;
            }
            buf[filled..filled + run.len()].copy_from_slice(run);
            filled += run.len();
        }
        Ok(filled)
    }
}
