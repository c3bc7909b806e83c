//! The queue for the GETs of all reviews, which keeps one namespace from delaying the GETs of others.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A limited number of permits. A free permit goes to the queued namespace that holds the fewest, and to the first in
/// the queue among equals.
#[derive(Debug)]
pub(super) struct GetQueue {
    shares: Mutex<Shares>,
}

#[derive(Debug)]
struct Shares {
    free: usize,
    /// The count of permits that were requested so far. It is also the number of the next request.
    requested: u64,
    /// The namespaces that hold or wait for permits.
    by_namespace: HashMap<Arc<str>, Share>,
}

#[derive(Debug, Default)]
struct Share {
    held: usize,
    queued: BTreeMap<u64, oneshot::Sender<()>>,
}

/// A permit, or a place in the queue for one. Dropping it gives either back.
#[derive(Debug)]
pub(super) struct GetPermit<'q> {
    queue: &'q GetQueue,
    namespace: Arc<str>,
    number: u64,
}

impl GetQueue {
    /// Creates a queue for this number of permits.
    pub(super) fn new(permits: usize) -> Self {
        Self { shares: Mutex::new(Shares { free: permits, requested: 0, by_namespace: HashMap::new() }) }
    }

    /// Waits for a permit. The caller loses its place in the queue if it drops the future.
    pub(super) async fn acquire(&self, namespace: &str) -> GetPermit<'_> {
        let (permit, granted) = self.request(namespace);
        if let Some(granted) = granted {
            // The sender is kept until it has sent.
            let _ = granted.await;
        }
        permit
    }

    /// Takes a permit, or else a place in the queue. The receiver is signaled when the permit is granted.
    fn request(&self, namespace: &str) -> (GetPermit<'_>, Option<oneshot::Receiver<()>>) {
        let namespace: Arc<str> = namespace.into();
        let mut shares = self.shares();
        let number = shares.requested;
        shares.requested += 1;
        let granted = if shares.free > 0 {
            shares.free -= 1;
            shares.by_namespace.entry(namespace.clone()).or_default().held += 1;
            None
        } else {
            let (grant, granted) = oneshot::channel();
            shares.by_namespace.entry(namespace.clone()).or_default().queued.insert(number, grant);
            Some(granted)
        };
        (GetPermit { queue: self, namespace, number }, granted)
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // A panic between two changes costs at most one permit.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    /// Gives a free permit to the next in the queue, if there is one.
    fn grant(&mut self) {
        let queued = self.by_namespace.values_mut().filter(|share| !share.queued.is_empty());
        let next = queued.min_by_key(|share| (share.held, share.queued.first_key_value().map(|(number, _)| *number)));
        if let Some(share) = next
            && let Some((_, grant)) = share.queued.pop_first()
        {
            share.held += 1;
            self.free -= 1;
            // Sending can fail only if the caller is being cancelled. It has then dropped the receiver and will drop
            // its `GetPermit`, which returns the permit that was just granted.
            let _ = grant.send(());
        }
    }
}

impl Drop for GetPermit<'_> {
    fn drop(&mut self) {
        let mut shares = self.queue.shares();
        let Some(share) = shares.by_namespace.get_mut(&self.namespace) else { return };
        let was_queued = share.queued.remove(&self.number).is_some();
        if !was_queued {
            share.held -= 1;
        }
        if share.held == 0 && share.queued.is_empty() {
            shares.by_namespace.remove(&self.namespace);
        }
        if !was_queued {
            shares.free += 1;
            shares.grant();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_permit_goes_to_the_namespace_with_the_fewest() {
        let queue = GetQueue::new(2);
        let held: Vec<_> = ["flood", "flood"].map(|namespace| queue.acquire(namespace).now_or_never().unwrap()).into();
        let (flood, _flooded): (Vec<_>, Vec<_>) = (0..500).map(|_| queue.request("flood")).unzip();
        let (first, mut granted_first) = queue.request("shop");
        let (second, mut granted_second) = queue.request("shop");
        let mut is_granted = |of: usize| {
            let signal = [&mut granted_first, &mut granted_second][of].as_mut().unwrap();
            signal.try_recv().is_ok()
        };
        assert!(!is_granted(0), "both permits are held");
        let mut held = held.into_iter();
        drop(held.next());
        assert!(is_granted(0) && !is_granted(1), "the namespace without a permit comes before 500 GETs");
        drop(first);
        assert!(is_granted(1));
        drop((held, flood, second));
        let shares = queue.shares();
        assert_eq!((shares.free, shares.by_namespace.len()), (2, 0), "nothing is left behind");
    }

    #[test]
    fn a_dropped_place_in_the_queue_is_skipped() {
        let queue = GetQueue::new(1);
        let held = queue.acquire("a").now_or_never().unwrap();
        let mut abandoned = Box::pin(queue.acquire("a"));
        assert!(abandoned.as_mut().now_or_never().is_none());
        let mut next = Box::pin(queue.acquire("a"));
        assert!(next.as_mut().now_or_never().is_none());
        drop(abandoned);
        drop(held);
        assert!(next.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_grant_that_no_one_takes_is_given_on() {
        let queue = GetQueue::new(1);
        let held = queue.acquire("a").now_or_never().unwrap();
        let mut granted = Box::pin(queue.acquire("a"));
        assert!(granted.as_mut().now_or_never().is_none());
        drop(held);
        drop(granted);
        assert!(queue.acquire("b").now_or_never().is_some());
    }
}
