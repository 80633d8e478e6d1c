//! Work in its order, which workers take one by one.

use std::sync::{Mutex, PoisonError};

use super::Control;

/// What is still to be done. Once the run is to end, nothing more is given out.
pub struct Queue<'a, I> {
    control: &'a Control,
    items: Mutex<I>,
}

impl<'a, I: Iterator> Queue<'a, I> {
    /// `items`, given out in their order until `control` ends the run.
    pub fn new(control: &'a Control, items: I) -> Queue<'a, I> {
        Queue { control, items: Mutex::new(items) }
    }

    /// What `begin` makes of the next item. The queue is locked until then: items are begun in their order. None where
    /// there is no more, or the run is to end, or `begin` gave none.
    pub fn next_with<T>(&self, begin: impl FnOnce(I::Item) -> Option<T>) -> Option<T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if self.control.is_stopped() { None } else { begin(items.next()?) }
    }

    /// The next item.
    pub fn next(&self) -> Option<I::Item> {
        self.next_with(Some)
    }

    /// How many were not given out.
    pub fn left(self) -> usize {
        self.items.into_inner().unwrap_or_else(PoisonError::into_inner).count()
    }
}
