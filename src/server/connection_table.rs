//! The open connections of a server, and the order in which they give way to new ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The time in which a new connection sends its first request, after a TLS handshake of a few round trips.
const NEW: Duration = Duration::from_secs(1);

/// The open connections of a server, at most a fixed number.
///
/// A new connection at the limit evicts another: the first in the order of [`Stage`], and the oldest in its stage. A
/// connection with a request in flight is never evicted. If all have a request in flight, the new connection waits, and
/// [`is_waiting`](Self::is_waiting) asks the others to close after their next answer.
///
/// An unused connection that is less than a second old is spared while an idle or unread one is older, because it may be in
/// its handshake. Otherwise, a client that keeps all other connections idle and opens new ones would evict those of an API
/// server before they can send a request. At most half of the connections are spared, so a client that opens many at once
/// evicts its own.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limit: usize,
    entries: Mutex<Entries>,
    /// Notified when a connection ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    open: usize,
    /// The connections in each stage of [`Stage::EVICTABLE`], in the order in which they entered it.
    evictable: [BTreeMap<u64, Evictable>; Stage::EVICTABLE.len()],
    /// The count of stages that were entered so far. It orders the connections in a stage.
    entered: u64,
    /// Whether a new connection waits, and no other could be evicted for it yet.
    waiting: bool,
}

#[derive(Debug)]
struct Evictable {
    /// When the connection entered its stage.
    since: Instant,
    evicted: CancellationToken,
}

/// The stage, and the place in it.
type Position = (Stage, u64);

/// The stage of a connection, in the order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The answer is sent, and the rest of the request's body is discarded.
    Discarding,
    /// No request has arrived since the connection was opened.
    Unused,
    /// Between two requests.
    Idle,
    /// The client does not read its answer.
    Unread,
    /// A request is being answered.
    InFlight,
}

impl Stage {
    /// The stages in which a connection can be evicted, in their order.
    const EVICTABLE: [Self; 4] = [Self::Discarding, Self::Unused, Self::Idle, Self::Unread];
}

/// One of the open connections. Its place becomes free when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    table: Arc<ConnectionTable>,
    position: Mutex<Position>,
    evicted: CancellationToken,
}

impl ConnectionTable {
    /// Creates a table without connections.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, entries: Mutex::default(), ended: Notify::new() }
    }

    /// Returns the slot of a new connection, for which another one may have to end. Called by one task only.
    pub(super) async fn admit(self: &Arc<Self>) -> ConnectionSlot {
        let mut evicting = false;
        loop {
            if let Some(slot) = self.take(&mut evicting) {
                return slot;
            }
            self.ended.notified().await;
        }
    }

    /// Returns whether a new connection waits because all others have a request in flight.
    pub(super) fn is_waiting(&self) -> bool {
        self.lock().waiting
    }

    fn take(self: &Arc<Self>, evicting: &mut bool) -> Option<ConnectionSlot> {
        let mut entries = self.lock();
        if entries.open >= self.limit {
            if !std::mem::replace(evicting, true) {
                entries.evict(self.limit);
            }
            return None;
        }
        entries.waiting = false;
        entries.open += 1;
        let evicted = CancellationToken::new();
        let position = entries.enter(Stage::Unused, &evicted);
        Some(ConnectionSlot { table: self.clone(), position: Mutex::new(position), evicted })
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Evicts a connection now or, if none can be evicted, the first one that enters a stage other than
    /// [`Stage::InFlight`].
    fn evict(&mut self, limit: usize) {
        match self.next(limit).and_then(|position| self.remove(position)) {
            Some(evictable) => evictable.evicted.cancel(),
            None => self.waiting = true,
        }
    }

    /// Returns the connection to evict next.
    fn next(&self, limit: usize) -> Option<Position> {
        let oldest = |stage: Stage| Some((stage, *self.evictable[stage as usize].first_key_value()?.0));
        let [discarding, unused, idle, unread] = Stage::EVICTABLE.map(oldest);
        let spared_for = unused.filter(|unused| self.is_spared(*unused, limit)).and_then(|(_, new)| {
            let older = |position: &Position| position.1 < new;
            idle.filter(older).or(unread.filter(older))
        });
        discarding.or(spared_for).or(unused).or(idle).or(unread)
    }

    /// Returns whether the oldest unused connection may be in its handshake.
    fn is_spared(&self, (stage, place): Position, limit: usize) -> bool {
        let unused = &self.evictable[stage as usize];
        unused.len() <= limit / 2 && unused.get(&place).is_some_and(|oldest| oldest.since.elapsed() < NEW)
    }

    fn enter(&mut self, stage: Stage, evicted: &CancellationToken) -> Position {
        self.entered += 1;
        if let Some(others) = self.evictable.get_mut(stage as usize) {
            if std::mem::take(&mut self.waiting) {
                evicted.cancel();
            } else {
                others.insert(self.entered, Evictable { since: Instant::now(), evicted: evicted.clone() });
            }
        }
        (stage, self.entered)
    }

    fn remove(&mut self, (stage, place): Position) -> Option<Evictable> {
        self.evictable.get_mut(stage as usize)?.remove(&place)
    }
}

impl ConnectionSlot {
    /// Moves the connection to a stage.
    pub(super) fn enter(&self, stage: Stage) {
        let mut entries = self.table.lock();
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        if position.0 == stage {
            return;
        }
        entries.remove(*position);
        if !self.evicted.is_cancelled() {
            *position = entries.enter(stage, &self.evicted);
            return;
        }
        position.0 = stage;
        if stage == Stage::InFlight {
            // A request has arrived at the moment of the eviction. It is answered, and another connection gives way.
            entries.evict(self.table.limit);
        }
    }

    /// Waits until the connection has to give way to a new one. If a request is in flight, the connection
    /// must answer it first.
    pub(super) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }

    /// Returns whether the connection must end after the answer, because it gives way or a new one waits.
    pub(super) fn must_close(&self) -> bool {
        self.evicted.is_cancelled() || self.table.is_waiting()
    }

    /// Returns whether a request is in flight.
    pub(super) fn is_in_flight(&self) -> bool {
        self.position.lock().unwrap_or_else(PoisonError::into_inner).0 == Stage::InFlight
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let position = *self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.table.lock();
        entries.remove(position);
        entries.open -= 1;
        drop(entries);
        self.table.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::Stage::{Discarding, Idle, InFlight, Unread, Unused};
    use super::*;

    fn table(limit: usize) -> Arc<ConnectionTable> {
        Arc::new(ConnectionTable::new(limit))
    }

    /// Fills a table with one connection in each of these stages.
    fn filled<const N: usize>(stages: [Stage; N]) -> (Arc<ConnectionTable>, [ConnectionSlot; N]) {
        let table = table(N);
        let slots = stages.map(|stage| {
            let slot = table.admit().now_or_never().unwrap();
            slot.enter(stage);
            slot
        });
        (table, slots)
    }

    fn evicted(slots: &[ConnectionSlot]) -> Vec<usize> {
        (0..slots.len()).filter(|index| slots[*index].evicted.is_cancelled()).collect()
    }

    /// Checks the order in which new connections evict these.
    fn assert_order(table: &Arc<ConnectionTable>, slots: &[ConnectionSlot], order: &[usize]) {
        for expected in order {
            let before = evicted(slots);
            // Each call is that of another new connection, which does not wait.
            assert!(table.admit().now_or_never().is_none());
            let now: Vec<_> = evicted(slots).into_iter().filter(|index| !before.contains(index)).collect();
            assert_eq!(now, [*expected]);
            assert!(!table.is_waiting());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_evicted_by_their_stage_and_then_by_age() {
        let (table, slots) = filled([InFlight, Unread, Idle, Unused, Unused, Idle, Discarding, InFlight]);
        advance(NEW).await;
        assert_order(&table, &slots, &[6, 3, 4, 2, 5, 1]);
        assert!(table.admit().now_or_never().is_none());
        assert!(table.is_waiting(), "only requests in flight are left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_spared_for_older_idle_and_unread_ones() {
        let (table, slots) = filled([Unread, Idle, Unused, Idle, Unused, Unread, InFlight, InFlight]);
        advance(NEW.checked_sub(Duration::from_nanos(1)).unwrap()).await;
        assert_order(&table, &slots, &[1, 0, 2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_spared_until_it_is_a_second_old() {
        let (table, slots) = filled([Idle, Idle, Unused, Idle]);
        assert_order(&table, &slots, &[0]);
        advance(NEW).await;
        assert_order(&table, &slots, &[2, 1, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_opens_many_connections_evicts_its_own() {
        let (table, slots) = filled([Idle, Unused, Idle, Unused, Unused]);
        assert_order(&table, &slots, &[1, 0, 2, 3, 4]);
    }

    #[test]
    fn the_age_is_the_time_in_the_stage() {
        let (table, slots) = filled([Stage::Idle, Stage::Idle]);
        slots[0].enter(Stage::InFlight);
        slots[0].enter(Stage::Idle);
        assert!(table.admit().now_or_never().is_none());
        assert_eq!(evicted(&slots), [1]);
    }

    #[tokio::test]
    async fn a_new_connection_is_admitted_when_another_ends() {
        let (table, slots) = filled([Stage::InFlight, Stage::Idle]);
        let [busy, idle] = slots;
        let mut admitted = std::pin::pin!(table.admit());
        assert!(admitted.as_mut().now_or_never().is_none());
        idle.evicted().await;
        assert!(admitted.as_mut().now_or_never().is_none(), "it has not ended yet");
        drop(idle);
        let new = admitted.await;
        assert_eq!(table.lock().open, 2);
        assert!(!busy.must_close() && !new.must_close());
    }

    #[test]
    fn the_first_to_be_answered_gives_way_if_all_are_in_flight() {
        let (table, slots) = filled([Stage::InFlight, Stage::InFlight]);
        assert!(table.admit().now_or_never().is_none());
        assert_eq!(evicted(&slots), [0; 0]);
        assert!(slots.iter().all(ConnectionSlot::must_close));
        slots[1].enter(Stage::Idle);
        slots[0].enter(Stage::Idle);
        assert_eq!(evicted(&slots), [1], "one suffices");
    }

    #[test]
    fn another_gives_way_if_a_request_arrives_at_the_moment_of_eviction() {
        let (table, slots) = filled([Stage::Idle, Stage::Idle]);
        assert!(table.admit().now_or_never().is_none());
        assert_eq!(evicted(&slots), [0]);
        slots[0].enter(Stage::InFlight);
        assert!(slots[0].is_in_flight() && slots[0].must_close());
        assert_eq!(evicted(&slots), [0, 1]);
    }

    #[test]
    fn a_dropped_connection_leaves_nothing_behind() {
        let (table, slots) = filled([Stage::Idle, Stage::InFlight]);
        drop(slots);
        let entries = table.lock();
        assert_eq!((entries.open, entries.evictable.each_ref().map(BTreeMap::len)), (0, [0; 4]));
    }
}
