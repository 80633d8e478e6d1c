//! libzstd, frame by frame.

pub(super) mod decoder;
pub(super) mod history;
pub(super) mod input;
