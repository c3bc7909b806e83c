//! The memory budget of all request bodies in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The free bytes. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct BodyBudget {
    free: Arc<AtomicUsize>,
    /// The bytes that only small shares may take.
    reserve: usize,
    /// The largest share that is small.
    small: usize,
}

/// Bytes that are taken until this value is dropped.
#[derive(Debug)]
pub(super) struct BudgetShare {
    bytes: usize,
    free: Arc<AtomicUsize>,
}

impl BodyBudget {
    /// Creates a budget of `bytes`, of which `reserve` are for shares of at most `small` bytes.
    pub(super) fn new(bytes: usize, reserve: usize, small: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(bytes)), reserve, small }
    }

    /// Takes `bytes`, if they are free.
    pub(super) fn take(&self, bytes: usize) -> Option<BudgetShare> {
        let kept = if bytes <= self.small { 0 } else { self.reserve };
        let rest = |free: usize| free.checked_sub(bytes).filter(|rest| *rest >= kept);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok()?;
        Some(BudgetShare { bytes, free: self.free.clone() })
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_share_returns_its_bytes() {
        let budget = BodyBudget::new(100, 0, 0);
        let share = budget.take(60).unwrap();
        assert!(budget.take(41).is_none());
        let other = budget.clone().take(40).unwrap();
        assert!(budget.take(1).is_none());
        drop(share);
        assert!(budget.take(61).is_none());
        drop((budget.take(60).unwrap(), other));
        assert!(budget.take(100).is_some());
    }

    #[test]
    fn large_shares_leave_the_reserve_to_small_ones() {
        let budget = BodyBudget::new(100, 30, 10);
        assert!(budget.take(71).is_none());
        let _large = budget.take(70).unwrap();
        assert!(budget.take(11).is_none());
        let _small: Vec<_> = (0..3).map(|_| budget.take(10).unwrap()).collect();
        assert!(budget.take(1).is_none());
    }
}
