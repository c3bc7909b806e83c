//! What happened a short while ago, forgotten by itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Things, and perhaps what is known of them, that are remembered for a time each, up to a number of them.
#[derive(Debug)]
pub(super) struct Memory<K, V = ()> {
    things: Mutex<HashMap<K, (Instant, V)>>,
    lasting: Duration,
    /// A cluster's users can invent as many names as they like.
    most: usize,
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    pub(super) fn new(lasting: Duration, most: usize) -> Self {
        Self { things: Mutex::default(), lasting, most }
    }

    /// Remembers `thing` from now on. `false` where it is remembered already, or where there is no room for it.
    pub(super) fn add(&self, thing: K, value: V) -> bool {
        let mut things = self.things();
        let fresh = |since: &Instant| since.elapsed() < self.lasting;
        if things.len() >= self.most {
            things.retain(|_, (since, _)| fresh(since));
        }
        if things.get(&thing).is_some_and(|(since, _)| fresh(since)) || things.len() >= self.most {
            return false;
        }
        things.insert(thing, (Instant::now(), value));
        true
    }

    /// What is remembered of it, if it is.
    pub(super) fn get(&self, thing: &K) -> Option<V> {
        let things = self.things();
        let (since, value) = things.get(thing)?;
        (since.elapsed() < self.lasting).then(|| value.clone())
    }

    /// Forgets it before its time.
    pub(super) fn forget(&self, thing: impl FnOnce() -> K) {
        let mut things = self.things();
        // It is asked at every event of a watch, and nearly always there is nothing to forget.
        if !things.is_empty() {
            things.remove(&thing());
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.things().clear();
    }

    fn things(&self) -> MutexGuard<'_, HashMap<K, (Instant, V)>> {
        // A panic between two changes leaves a map that is still a map.
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn things_are_forgotten_in_time_and_never_too_many_are_kept() {
        let memory = Memory::new(Duration::from_secs(30), 2);
        assert!(memory.add("a", 1) && !memory.add("a", 1));
        advance(Duration::from_secs(20)).await;
        assert!(memory.add("b", 2) && !memory.add("c", 3), "there is room for two");
        advance(Duration::from_secs(10)).await;
        assert!((memory.get(&"a"), memory.get(&"b")) == (None, Some(2)));
        assert!(memory.add("c", 3));
        memory.forget(|| "c");
        assert!(memory.get(&"c").is_none());
    }
}
