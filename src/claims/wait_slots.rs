//! A limit on the number of waiting pods. A waiting pod holds a seat of the API server's priority level, and there are few
//! of those.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Slots for pods that wait: a number in total, and a maximum per namespace. If all are taken, a namespace evicts the
/// newest waiter of the namespace with the most slots, provided that this one has at least two slots more than the
/// namespace that asks. So the shares of namespaces shrink as others arrive, and differ by at most one while all slots
/// are in demand.
#[derive(Debug)]
pub(super) struct WaitSlots {
    total: usize,
    per_namespace: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// The count of slots that were taken so far. It is also the number of the next slot.
    ever: u64,
    /// The slots of each namespace. Removing a slot's sender evicts its waiter.
    by_namespace: HashMap<Arc<str>, BTreeMap<u64, oneshot::Sender<()>>>,
}

/// A slot that is taken until it is dropped or its holder is evicted.
#[derive(Debug)]
pub(super) struct WaitSlot<'s> {
    slots: &'s WaitSlots,
    namespace: Arc<str>,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl WaitSlots {
    pub(super) fn new(total: usize, per_namespace: usize) -> Self {
        Self { total, per_namespace, taken: Mutex::default() }
    }

    /// Takes a slot that is free, or that the namespace with the most slots has to give up.
    pub(super) fn take(&self, namespace: &str) -> Option<WaitSlot<'_>> {
        let mut taken = self.taken();
        let own = taken.by_namespace.get(namespace).map_or(0, BTreeMap::len);
        if own >= self.per_namespace || (taken.count >= self.total && !taken.evict_beyond(own + 1)) {
            return None;
        }
        let namespace: Arc<str> = namespace.into();
        let number = taken.ever;
        taken.ever += 1;
        taken.count += 1;
        let (holder, evicted) = oneshot::channel();
        taken.by_namespace.entry(namespace.clone()).or_default().insert(number, holder);
        Some(WaitSlot { slots: self, namespace, number, evicted })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // A panic between two changes costs one slot.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Evicts the newest waiter of the namespace with the most slots, if it has more than `share`.
    fn evict_beyond(&mut self, share: usize) -> bool {
        let slots = |slots: &BTreeMap<u64, _>| (slots.len(), slots.last_key_value().map(|(number, _)| *number));
        let most = self.by_namespace.values_mut().max_by_key(|of_namespace| slots(of_namespace));
        let evicted = most.filter(|most| most.len() > share).and_then(BTreeMap::pop_last);
        self.count -= usize::from(evicted.is_some());
        evicted.is_some()
    }
}

impl WaitSlot<'_> {
    /// Waits until the slot goes to another namespace.
    pub(super) async fn evicted(&mut self) {
        // Nothing is sent; the sender is dropped.
        let _ = (&mut self.evicted).await;
    }
}

impl Drop for WaitSlot<'_> {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        let Some(of_namespace) = taken.by_namespace.get_mut(&self.namespace) else { return };
        let held = of_namespace.remove(&self.number).is_some();
        if of_namespace.is_empty() {
            taken.by_namespace.remove(&self.namespace);
        }
        taken.count -= usize::from(held);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn slots_are_limited_per_namespace_and_in_total() {
        let slots = WaitSlots::new(3, 2);
        let first = slots.take("a");
        let second = slots.take("a");
        assert!(first.is_some() && slots.take("a").is_none(), "its maximum is taken");
        let _third = slots.take("b");
        drop(first);
        assert!(slots.take("c").is_some());
        drop(second);
        assert_eq!(slots.taken().by_namespace.len(), 1, "a namespace without slots is forgotten");
        assert!(WaitSlots::new(0, 0).take("a").is_none());
    }

    #[test]
    fn shares_shrink_as_namespaces_arrive() {
        let slots = WaitSlots::new(64, 16);
        let is_evicted = |slot: &mut WaitSlot<'_>| slot.evicted().now_or_never().is_some();
        let mut floods: Vec<_> =
            ["a", "b", "c", "d"].into_iter().flat_map(|flood| (0..16).filter_map(|_| slots.take(flood))).collect();
        assert_eq!(floods.len(), 64);
        let fifth: Vec<_> = (0..16).filter_map(|_| slots.take("e")).collect();
        assert_eq!(fifth.len(), 12, "64 slots for five namespaces");
        let evicted: Vec<_> = (0..64).filter(|place| is_evicted(&mut floods[*place])).collect();
        assert!(evicted.len() == 12 && evicted.iter().all(|place| place % 16 >= 13), "the newest were: {evicted:?}");
        assert!(slots.take("a").is_none() && slots.take("b").is_none(), "no namespace takes a slot back");
        drop(floods);
        assert_eq!(slots.taken().count, 12);
    }

    #[test]
    fn more_namespaces_than_slots_evict_no_one() {
        let slots = WaitSlots::new(2, 2);
        let _held = [slots.take("a").unwrap(), slots.take("b").unwrap()];
        assert!(slots.take("c").is_none());
    }
}
