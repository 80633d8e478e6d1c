//! Work in its order, which workers take one by one.

use std::sync::{Mutex, PoisonError};

use super::Control;

/// Work still to be done. Once the run has to end, no more is given out.
pub struct Queue<'a, I> {
    control: &'a Control,
    items: Mutex<I>,
}

impl<'a, I: Iterator> Queue<'a, I> {
    /// `items`, given out in their order until `control` ends the run.
    pub fn new(control: &'a Control, items: I) -> Queue<'a, I> {
        Queue { control, items: Mutex::new(items) }
    }

    /// What `begin` returns for the next item. The queue is locked until then, so that items are begun in their order. None
    /// if there is no more, the run has to end, or `begin` returned none.
    pub fn next_with<T>(&self, begin: impl FnOnce(I::Item) -> Option<T>) -> Option<T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if self.control.is_stopped() { None } else { begin(items.next()?) }
    }

    /// The next item.
    pub fn next(&self) -> Option<I::Item> {
        self.next_with(Some)
    }

    /// Those that were not given out.
    pub fn left(self) -> I {
        self.items.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
