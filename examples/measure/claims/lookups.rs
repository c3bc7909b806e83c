//! The cost of a lookup of a claim's owner, among few and among many claims.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use colocate::engine::{ClaimFacts, ClassFacts, Evidence, Inventory, Owner, StorageView as _};
use colocate_harness::{CLASSES, Population, scramble};

use crate::figure::median;

/// The number of lookups in a round.
const LOOKUPS: usize = 1_000_000;
const ROUNDS: usize = 5;

/// The cost of a lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    /// The time of a lookup, including the walk over the names.
    pub(crate) time: Duration,
    /// The time of the walk alone, times [`LOOKUPS`]: a single step takes less than a nanosecond, the resolution of
    /// [`Duration`].
    walk: Duration,
}

impl Lookup {
    /// Looks up every claim of `population`, in random order and equally often.
    pub(crate) fn measure(population: Population) -> anyhow::Result<Self> {
        let inventory = inventory(population);
        ensure!(inventory.claim_count() == population.size(), "the inventory has {} claims", inventory.claim_count());
        let keys = Keys::new(population);
        let found = |(namespace, name)| matches!(inventory.owner(namespace, name), Owner::Provisioner { .. });
        ensure!(keys.iter().all(found), "a claim is not found");

        let walk = round(&keys, |key| {
            black_box(key);
        });
        let time = round(&keys, |(namespace, name)| {
            black_box(inventory.owner(black_box(namespace), black_box(name)));
        });
        Ok(Self { time: time / u32::try_from(LOOKUPS)?, walk })
    }

    /// Returns how much of each lookup's time is spent walking over the names, in nanoseconds.
    pub(crate) fn walk(&self) -> f64 {
        self.walk.as_secs_f64() * 1e3
    }
}

/// Returns the median time of a round.
fn round<'q>(keys: &'q Keys, mut look_up: impl FnMut((&'q str, &'q str))) -> Duration {
    median((0..ROUNDS).map(|_| {
        let began = Instant::now();
        keys.iter().for_each(&mut look_up);
        began.elapsed()
    }))
}

fn inventory(population: Population) -> Inventory {
    let mut inventory = Inventory::default();
    for class in &CLASSES {
        let facts = ClassFacts { provisioner: class.provisioner.into(), ..ClassFacts::default() };
        inventory.insert_class(class.name, facts);
    }
    for number in 0..population.size() {
        let claim = population.claim(number);
        let class = claim.class();
        let facts = ClaimFacts {
            class: Some(class.name.into()),
            provisioner: Some((class.provisioner.into(), Evidence::BetaProvisionerAnnotation.into())),
            volume: Some(claim.volume().into()),
            ..ClaimFacts::default()
        };
        inventory.insert_claim(&claim.namespace, &claim.name, &facts);
    }
    inventory
}

/// Namespaces and names, stored one after another in the order of the lookups. The walk over them reads memory sequentially,
/// which processors prefetch, so that only the inventory causes cache misses.
struct Keys {
    text: String,
    /// The end offsets of each namespace and name.
    ends: Vec<(u32, u32)>,
}

impl Keys {
    fn new(population: Population) -> Self {
        let mut keys = Self { text: String::new(), ends: Vec::with_capacity(LOOKUPS) };
        let mut order: Vec<_> = (0..population.size()).collect();
        let mut shuffles = 0;
        while keys.ends.len() < LOOKUPS {
            // Each shuffle is different: processors learn a repeated order.
            order.sort_by_cached_key(|number| scramble(shuffles << 32 | *number as u64));
            shuffles += 1;
            for number in order.iter().take(LOOKUPS - keys.ends.len()) {
                let claim = population.claim(*number);
                let namespace = keys.push(&claim.namespace);
                let name = keys.push(&claim.name);
                keys.ends.push((namespace, name));
            }
        }
        keys
    }

    /// Appends a word, and returns the offset of its end.
    fn push(&mut self, word: &str) -> u32 {
        self.text.push_str(word);
        // The names for a million lookups take 50 MB.
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |(namespace, name)| {
            let (namespace, name) = (*namespace as usize, *name as usize);
            let key = (&self.text[begin..namespace], &self.text[namespace..name]);
            begin = name;
            key
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_claim_is_looked_up_equally_often_in_random_order() {
        let population = Population::new(1_000, 200);
        let keys = Keys::new(population);
        let mut counts = HashMap::new();
        for key in keys.iter() {
            *counts.entry(key).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 1_000);
        assert!(counts.values().all(|times| *times == LOOKUPS / 1_000));
        let first: Vec<_> = keys.iter().take(1_000).collect();
        assert!(!first.is_sorted() && keys.iter().skip(1_000).take(1_000).ne(first));
    }
}
