//! A set whose members expire.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The maximum number of sweeps of expired members per TTL. A full set is not swept on every insert.
const SWEEPS_PER_TTL: u32 = 16;

/// A set of limited size whose members expire.
#[derive(Debug)]
pub(super) struct TtlSet<K> {
    members: Mutex<Members<K>>,
    ttl: Duration,
    /// The maximum number of members: users of a cluster can invent any number of names.
    capacity: usize,
}

#[derive(Debug)]
struct Members<K> {
    inserted: HashMap<K, Instant>,
    last_sweep: Option<Instant>,
}

impl<K: Eq + Hash> TtlSet<K> {
    pub(super) fn new(ttl: Duration, capacity: usize) -> Self {
        Self { members: Mutex::new(Members { inserted: HashMap::new(), last_sweep: None }), ttl, capacity }
    }

    /// Inserts a member. Returns `false` if it is in the set already, or the set is full.
    pub(super) fn insert(&self, member: K) -> bool {
        let now = Instant::now();
        let mut members = self.members();
        let Members { inserted, last_sweep } = &mut *members;
        let is_fresh = |since: &Instant| now - *since < self.ttl;
        let sweep_due = last_sweep.is_none_or(|last| now - last >= self.ttl / SWEEPS_PER_TTL);
        if inserted.len() >= self.capacity && sweep_due {
            inserted.retain(|_, since| is_fresh(since));
            *last_sweep = Some(now);
        }
        if inserted.get(&member).is_some_and(is_fresh) || inserted.len() >= self.capacity {
            return false;
        }
        inserted.insert(member, now);
        true
    }

    /// Returns whether it is in the set.
    pub(super) fn contains(&self, member: &K) -> bool {
        self.members().inserted.get(member).is_some_and(|since| since.elapsed() < self.ttl)
    }

    /// Removes a member before it expires.
    pub(super) fn remove(&self, member: impl FnOnce() -> K) {
        let inserted = &mut self.members().inserted;
        // Called for every event of a watch, where the set is nearly always empty.
        if !inserted.is_empty() {
            inserted.remove(&member());
        }
    }

    /// Removes all members.
    pub(super) fn clear(&self) {
        self.members().inserted.clear();
    }

    fn members(&self) -> MutexGuard<'_, Members<K>> {
        // A panic between two changes leaves a map that is still valid.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn members_expire_and_their_number_is_bounded() {
        let set = TtlSet::new(Duration::from_secs(30), 2);
        assert!(set.insert("a") && !set.insert("a"));
        advance(Duration::from_secs(20)).await;
        assert!(set.insert("b") && !set.insert("c"), "there is room for two");
        advance(Duration::from_secs(10)).await;
        assert!(!set.contains(&"a") && set.contains(&"b"));
        assert!(set.insert("c"));
        set.remove(|| "c");
        assert!(!set.contains(&"c"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_set_is_not_swept_on_every_insert() {
        let set = TtlSet::new(Duration::from_secs(16), 2);
        assert!(set.insert("a"));
        advance(Duration::from_millis(15_500)).await;
        assert!(set.insert("b") && !set.insert("c"), "this swept it");
        advance(Duration::from_millis(600)).await;
        assert!(!set.insert("c"), "the first has expired, but no sweep is due");
        advance(Duration::from_millis(400)).await;
        assert!(set.insert("c"));
    }
}
