//! Who may wait: a pod that waits holds a seat of the API server's priority level, and those are few.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The seats for those who wait, so many in all and so many for each namespace.
#[derive(Debug)]
pub(super) struct Seats {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_namespace: HashMap<Arc<str>, usize>,
}

/// A seat that is taken, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Seat<'s> {
    seats: &'s Seats,
    namespace: Arc<str>,
}

impl Seats {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Mutex::default() }
    }

    /// A seat, if one is free.
    pub(super) fn take(&self, namespace: &str) -> Option<Seat<'_>> {
        let mut taken = self.taken();
        let own = taken.by_namespace.get(namespace).copied().unwrap_or_default();
        if taken.all >= self.all || own >= self.each {
            return None;
        }
        let namespace: Arc<str> = namespace.into();
        taken.all += 1;
        *taken.by_namespace.entry(namespace.clone()).or_default() += 1;
        Some(Seat { seats: self, namespace })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Two numbers: a panic between their changes costs a seat.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_namespace.get_mut(&self.namespace) {
            *own -= 1;
            if *own == 0 {
                taken.by_namespace.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_part_and_all_have_the_whole() {
        let seats = Seats::new(3, 2);
        let first = seats.take("a");
        let _second = seats.take("a");
        assert!(first.is_some() && seats.take("a").is_none(), "its part is taken");
        let _third = seats.take("b");
        assert!(seats.take("c").is_none(), "the whole is taken");
        drop(first);
        assert!(seats.take("c").is_some());
        assert_eq!(seats.taken().by_namespace.len(), 2, "who left is not remembered");
    }
}
