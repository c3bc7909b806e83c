//! Values that many records share. Each is stored once, while at least one record refers to it.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Reference-counted values with small handles. A handle that is not released leaks its value, and a cluster's users can
/// name any number of classes.
#[derive(Debug)]
pub(super) struct Interner<T: ?Sized> {
    /// A value and the number of its users; `None` for a free slot.
    slots: Vec<Option<(Arc<T>, u32)>>,
    handles: HashMap<Arc<T>, Handle>,
    free: Vec<Handle>,
}

/// A reference to a value of one interner. It takes 4 bytes, also inside an `Option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle(NonZeroU32);

impl Handle {
    fn new(index: usize) -> Self {
        // 2^32 values at once would exceed the memory.
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.unwrap_or(NonZeroU32::MAX))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), handles: HashMap::new(), free: Vec::new() }
    }
}

impl<T: ?Sized + Hash + Eq> Interner<T> {
    /// Returns the handle of `value`. A new value is created by `share`.
    pub(super) fn acquire(&mut self, value: &T, share: impl FnOnce() -> Arc<T>) -> Handle {
        if let Some(handle) = self.handles.get(value).copied() {
            if let Some(Some((_, users))) = self.slots.get_mut(handle.index()) {
                *users += 1;
            }
            return handle;
        }
        let shared = share();
        let handle = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Handle::new(self.slots.len() - 1)
        });
        self.slots[handle.index()] = Some((shared.clone(), 1));
        self.handles.insert(shared, handle);
        handle
    }

    /// The handle of a value in use.
    pub(super) fn find(&self, value: &T) -> Option<Handle> {
        self.handles.get(value).copied()
    }

    /// Ends one use of a value.
    pub(super) fn release(&mut self, handle: Handle) {
        let Some(slot) = self.slots.get_mut(handle.index()) else { return };
        let Some((value, users)) = slot else { return };
        *users -= 1;
        if *users == 0 {
            self.handles.remove(&**value);
            *slot = None;
            self.free.push(handle);
        }
    }

    /// The value of a handle that is in use.
    pub(super) fn get(&self, handle: Handle) -> Option<&Arc<T>> {
        self.slots.get(handle.index())?.as_ref().map(|(value, _)| value)
    }

    /// The number of values in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_handle_until_the_last_release() {
        let mut names = Interner::<str>::default();
        let acquire = |names: &mut Interner<str>, name: &str| names.acquire(name, || Arc::from(name));
        let (a, also_a, b) = (acquire(&mut names, "a"), acquire(&mut names, "a"), acquire(&mut names, "b"));
        assert_eq!(a.index(), also_a.index());
        assert_eq!((&**names.get(a).unwrap(), &**names.get(b).unwrap()), ("a", "b"));
        names.release(a);
        assert_eq!(&**names.get(a).unwrap(), "a");
        names.release(also_a);
        assert!(names.get(a).is_none());
        assert_eq!(acquire(&mut names, "c").index(), a.index(), "a free slot is reused");
        assert_eq!(names.slots.len(), 2);
    }

    #[test]
    fn an_optional_handle_is_four_bytes() {
        assert_eq!(size_of::<Option<Handle>>(), 4);
    }
}
