//! Bytes without what lies before them: followed from match to match, down to literals.

pub(super) mod index;
pub(super) mod opened;
pub(super) mod provenance;
pub(super) mod reference;
pub(super) mod trail;
