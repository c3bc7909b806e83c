//! A limit on the number of waiting pods. Each holds a seat of the API server's priority level (API Priority and
//! Fairness), and seats are scarce.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Slots for pods that wait: a number in all, and a number per namespace.
#[derive(Debug)]
pub(super) struct WaitSlots {
    total: usize,
    per_namespace: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_namespace: HashMap<Arc<str>, usize>,
}

/// A slot that is taken until this value is dropped.
#[derive(Debug)]
pub(super) struct WaitSlot<'s> {
    slots: &'s WaitSlots,
    namespace: Arc<str>,
}

impl WaitSlots {
    pub(super) fn new(total: usize, per_namespace: usize) -> Self {
        Self { total, per_namespace, taken: Mutex::default() }
    }

    /// Takes a slot, if one is free.
    pub(super) fn take(&self, namespace: &str) -> Option<WaitSlot<'_>> {
        let mut taken = self.taken();
        let own = taken.by_namespace.get(namespace).copied().unwrap_or_default();
        if taken.total >= self.total || own >= self.per_namespace {
            return None;
        }
        let namespace: Arc<str> = namespace.into();
        taken.total += 1;
        *taken.by_namespace.entry(namespace.clone()).or_default() += 1;
        Some(WaitSlot { slots: self, namespace })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // A panic between the changes of two numbers leaks one slot.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitSlot<'_> {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        taken.total -= 1;
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
    fn slots_are_limited_per_namespace_and_in_total() {
        let slots = WaitSlots::new(3, 2);
        let first = slots.take("a");
        let _second = slots.take("a");
        assert!(first.is_some() && slots.take("a").is_none(), "its share is taken");
        let _third = slots.take("b");
        assert!(slots.take("c").is_none(), "the total is taken");
        drop(first);
        assert!(slots.take("c").is_some());
        assert_eq!(slots.taken().by_namespace.len(), 2, "a namespace without slots is forgotten");
    }
}
