//! What RFC 8878 lays down: frames, blocks, their sections and codes, each rule checked where its field is read.

pub(super) mod bits;
pub(super) mod block;
pub(super) mod fault;
pub(super) mod frame;
pub(super) mod fse;
pub(super) mod huffman;
pub(super) mod literals;
pub(super) mod sequences;
