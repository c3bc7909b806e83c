//! What happened a short while ago, forgotten by itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Things, and perhaps what is known of them, that are remembered for a time each, up to a number of them.
#[derive(Debug)]
pub(super) struct Memory<K, V = ()> {
    kept: Mutex<Kept<K, V>>,
    lasting: Duration,
    /// A cluster's users can invent as many names as they like.
    most: usize,
}

#[derive(Debug)]
struct Kept<K, V> {
    things: HashMap<K, (Instant, V)>,
    /// When those were thrown away last whose time is over.
    tidied: Option<Instant>,
}

/// A memory that is full is gone through so often in the time that a thing lasts, and not for each thing that comes.
const TIDIED: u32 = 16;

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    pub(super) fn new(lasting: Duration, most: usize) -> Self {
        Self { kept: Mutex::new(Kept { things: HashMap::new(), tidied: None }), lasting, most }
    }

    /// Remembers `thing` from now on. `false` where it is remembered already, or where there is no room for it.
    pub(super) fn add(&self, thing: K, value: V) -> bool {
        let now = Instant::now();
        let mut kept = self.kept();
        let Kept { things, tidied } = &mut *kept;
        let fresh = |since: &Instant| now - *since < self.lasting;
        if things.len() >= self.most && tidied.is_none_or(|tidied| now - tidied >= self.lasting / TIDIED) {
            things.retain(|_, (since, _)| fresh(since));
            *tidied = Some(now);
        }
        if things.get(&thing).is_some_and(|(since, _)| fresh(since)) || things.len() >= self.most {
            return false;
        }
        things.insert(thing, (now, value));
        true
    }

    /// What is remembered of it, if it is.
    pub(super) fn get(&self, thing: &K) -> Option<V> {
        let kept = self.kept();
        let (since, value) = kept.things.get(thing)?;
        (since.elapsed() < self.lasting).then(|| value.clone())
    }

    /// Forgets it before its time.
    pub(super) fn forget(&self, thing: impl FnOnce() -> K) {
        let things = &mut self.kept().things;
        // It is asked at every event of a watch, and nearly always there is nothing to forget.
        if !things.is_empty() {
            things.remove(&thing());
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.kept().things.clear();
    }

    fn kept(&self) -> MutexGuard<'_, Kept<K, V>> {
        // A panic between two changes leaves a map that is still a map.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test(start_paused = true)]
    async fn a_full_memory_is_not_gone_through_for_each_thing() {
        let memory = Memory::new(Duration::from_secs(16), 2);
        assert!(memory.add("a", ()));
        advance(Duration::from_millis(15_500)).await;
        assert!(memory.add("b", ()) && !memory.add("c", ()), "it has been gone through");
        advance(Duration::from_millis(600)).await;
        assert!(!memory.add("c", ()), "the time of the first is over, and nobody looked again");
        advance(Duration::from_millis(400)).await;
        assert!(memory.add("c", ()));
    }
}
