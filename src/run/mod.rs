//! What runs that survey and runs that reprocess have in common: the switch that ends them, those who are told, the queue
//! that workers take from, and what becomes of a panic.

pub mod control;
mod journal;
mod observers;
pub mod panics;
mod queue;

pub use control::{Control, Stop};
pub use observers::{Observer, Observers};
pub use queue::Queue;
