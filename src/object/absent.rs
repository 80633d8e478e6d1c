//! Object storage in a build that has none.

use super::{Error, Identity, Listed, Stop, Traffic, Url};

/// An object; there is none.
pub struct Object(std::convert::Infallible);

impl Object {
    /// Says that there is no object storage.
    pub fn open(_: &Url, _: Stop) -> Result<Object, Error> {
        Err(Error::NotBuilt)
    }

    /// What makes it the same object.
    pub fn identity(&self) -> &Identity {
        match self.0 {}
    }

    /// Reads of it.
    pub fn read_some_at(&self, _: u64, _: &mut [u8]) -> Result<usize, Error> {
        match self.0 {}
    }

    /// Whether it is still the same.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        match self.0 {}
    }

    /// What was asked of the store.
    pub fn traffic(&self) -> Traffic {
        match self.0 {}
    }
}

impl positioned_io::ReadAt for Object {
    fn read_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<usize> {
        match self.0 {}
    }
}

/// Says that there is no object storage.
pub fn look(_: &Url, _: &Stop) -> Result<Identity, Error> {
    Err(Error::NotBuilt)
}

/// Says that there is no object storage.
pub fn list(_: &Url, _: bool, _: &Stop, _: &mut dyn FnMut(Listed) -> Result<(), Error>) -> Result<(), Error> {
    Err(Error::NotBuilt)
}
