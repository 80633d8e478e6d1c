//! The log: JSON Lines, one typed record a line, written and read back.
//!
//! [`record`] has the format; [`Journal`] writes it, [`Logs`] read it.

mod copies;
mod form;
mod limit;
pub mod manual;
pub mod name;
mod read;
pub mod record;
mod rotation;
mod source;
mod write;

pub use name::Name;
pub use read::{At, Error, Head, Listener, Reading, Tail};
pub use record::{Entry, Record};
pub use rotation::is_folder_of_logs;
pub use source::Logs;
pub use write::{Journal, Lost, OpenError, new_run_id};
