//! What surveying and reprocessing have in common: the switch that ends a run, its observers, the queue that workers take
//! from, and the handling of panics.

pub mod control;
mod end;
mod journal;
mod observers;
pub mod panics;
mod queue;

pub use control::{Control, Stop};
pub use end::End;
pub use observers::{Observer, Observers};
pub use queue::Queue;
