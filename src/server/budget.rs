//! The memory budget of all request bodies in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The division of the memory for bodies, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BudgetSizes {
    /// The part of each body that takes nothing from the shared room. The limit on connections also limits the memory
    /// for these parts.
    pub(super) allowance: usize,
    /// The room for everything beyond the allowances.
    pub(super) shared: usize,
    /// The part of the shared room that only bodies of at most `medium` bytes may take.
    pub(super) reserve: usize,
    /// The largest body that may use the reserve.
    pub(super) medium: usize,
}

/// The free room. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct BodyBudget {
    sizes: BudgetSizes,
    free: Arc<AtomicUsize>,
}

/// The room that one body takes until this value is dropped.
#[derive(Debug)]
pub(super) struct BudgetShare {
    /// The bytes taken from the shared room.
    taken: usize,
    budget: BodyBudget,
}

impl BodyBudget {
    /// Creates a budget whose room is free.
    pub(super) fn new(sizes: BudgetSizes) -> Self {
        Self { sizes, free: Arc::new(AtomicUsize::new(sizes.shared)) }
    }

    /// Returns a share for a new body, which takes no room yet.
    pub(super) fn share(&self) -> BudgetShare {
        BudgetShare { taken: 0, budget: self.clone() }
    }

    /// Returns whether a body of `size` bytes would have room now.
    pub(super) fn has_room(&self, size: usize) -> bool {
        self.rest(self.free.load(Ordering::Relaxed), 0, size).is_some()
    }

    /// Returns what is left of `free` if a body that has taken `taken` grows to `size`; `None` if it has no room.
    fn rest(&self, free: usize, taken: usize, size: usize) -> Option<usize> {
        let more = size.saturating_sub(self.sizes.allowance).saturating_sub(taken);
        if more == 0 {
            return Some(free);
        }
        let kept = if size <= self.sizes.medium { 0 } else { self.sizes.reserve };
        free.checked_sub(more).filter(|rest| *rest >= kept)
    }
}

impl BudgetShare {
    /// Takes room for a body of `size` bytes in all, and returns whether there is any. A share never shrinks.
    pub(super) fn grow(&mut self, size: usize) -> bool {
        let rest = |free| self.budget.rest(free, self.taken, size);
        let Ok(before) = self.budget.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest) else {
            return false;
        };
        // The same calculation as above, on the value that was replaced.
        self.taken += before - rest(before).unwrap_or(before);
        true
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl BodyBudget {
    /// Returns the free bytes of the shared room.
    pub(super) fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: BudgetSizes = BudgetSizes { allowance: 10, shared: 100, reserve: 30, medium: 40 };

    /// A share of a body of this size, if it has room.
    fn take(budget: &BodyBudget, size: usize) -> Option<BudgetShare> {
        let mut share = budget.share();
        let has_room = budget.has_room(size);
        assert_eq!(share.grow(size), has_room);
        has_room.then_some(share)
    }

    #[test]
    fn a_share_grows_and_returns_its_bytes_when_it_is_dropped() {
        let budget = BodyBudget::new(SIZES);
        let mut share = budget.share();
        assert!(share.grow(5) && share.grow(50) && share.grow(80) && share.grow(60));
        assert!(!share.grow(81), "the reserve is not for large bodies");
        assert_eq!(budget.free(), 30);
        drop(share);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn large_bodies_leave_the_reserve_to_medium_ones() {
        let budget = BodyBudget::new(SIZES);
        let _large = take(&budget, 80).unwrap();
        assert!(take(&budget, 41).is_none());
        let _medium = take(&budget, 40).unwrap();
        assert!(take(&budget, 11).is_none());
    }

    #[test]
    fn a_body_within_its_allowance_always_has_room() {
        let budget = BodyBudget::new(SIZES);
        let all: Vec<_> = std::iter::from_fn(|| take(&budget, 30)).collect();
        assert_eq!((all.len(), budget.free()), (5, 0));
        let small: Vec<_> = (0..1000).map_while(|_| take(&budget, 10)).collect();
        assert_eq!(small.len(), 1000);
        assert!(take(&budget, 11).is_none());
    }
}
