//! What it costs to find the owner of a claim, among few claims and among many.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use colocate::engine::{ClaimFacts, ClassFacts, Inventory, Owner};
use colocate_harness::{CLASSES, Population, scramble};

use super::median;

/// The look-ups of a round.
const LOOKUPS: usize = 1_000_000;
const ROUNDS: usize = 5;

/// What one look-up costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    /// The walk over the names included.
    pub(crate) time: Duration,
    /// The walk alone, times [`LOOKUPS`], since one takes less than the nanosecond that a [`Duration`] can tell.
    walk: Duration,
}

impl Lookup {
    /// Looks up every claim of `population`, in random order and equally often.
    pub(crate) fn measure(population: Population) -> anyhow::Result<Self> {
        let inventory = inventory(population);
        ensure!(inventory.claim_count() == population.size(), "the inventory has {} claims", inventory.claim_count());
        let questions = Questions::new(population);
        let found = |(namespace, name)| matches!(inventory.owner(namespace, name), Owner::Provisioner { .. });
        ensure!(questions.iter().all(found), "a claim is not found");

        let walk = round(&questions, |question| {
            black_box(question);
        });
        let time = round(&questions, |(namespace, name)| {
            black_box(inventory.owner(black_box(namespace), black_box(name)));
        });
        Ok(Self { time: time / u32::try_from(LOOKUPS)?, walk })
    }

    /// What the walk over the names takes of each look-up, in nanoseconds.
    pub(crate) fn walk(&self) -> f64 {
        self.walk.as_secs_f64() * 1e3
    }
}

/// The median time of a round.
fn round<'q>(questions: &'q Questions, mut ask: impl FnMut((&'q str, &'q str))) -> Duration {
    median((0..ROUNDS).map(|_| {
        let began = Instant::now();
        questions.iter().for_each(&mut ask);
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
            provisioner: Some(class.provisioner.into()),
            volume: Some(claim.volume().into()),
            ..ClaimFacts::default()
        };
        inventory.insert_claim(&claim.namespace, &claim.name, &facts);
    }
    inventory
}

/// Namespaces and names, one behind the other in the order in which they are asked for: so the walk over them reads memory
/// from the front to the end, which processors foresee, and what has to be waited for is the inventory's.
struct Questions {
    text: String,
    /// The ends of each namespace and of each name.
    ends: Vec<(u32, u32)>,
}

impl Questions {
    fn new(population: Population) -> Self {
        let mut questions = Self { text: String::new(), ends: Vec::with_capacity(LOOKUPS) };
        let mut order: Vec<_> = (0..population.size()).collect();
        let mut shuffles = 0;
        while questions.ends.len() < LOOKUPS {
            // Another order each time: one that comes again is learned by the processor.
            order.sort_by_cached_key(|number| scramble(shuffles << 32 | *number as u64));
            shuffles += 1;
            for number in order.iter().take(LOOKUPS - questions.ends.len()) {
                let claim = population.claim(*number);
                let namespace = questions.push(&claim.namespace);
                let name = questions.push(&claim.name);
                questions.ends.push((namespace, name));
            }
        }
        questions
    }

    /// Adds a word, and returns where it ends.
    fn push(&mut self, word: &str) -> u32 {
        self.text.push_str(word);
        // A million questions have 50 MB.
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |(namespace, name)| {
            let (namespace, name) = (*namespace as usize, *name as usize);
            let question = (&self.text[begin..namespace], &self.text[namespace..name]);
            begin = name;
            question
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_claim_is_asked_for_equally_often_and_in_no_order() {
        let population = Population::new(1_000, 200);
        let questions = Questions::new(population);
        let mut asked = HashMap::new();
        for question in questions.iter() {
            *asked.entry(question).or_insert(0) += 1;
        }
        assert_eq!(asked.len(), 1_000);
        assert!(asked.values().all(|times| *times == LOOKUPS / 1_000));
        let first: Vec<_> = questions.iter().take(1_000).collect();
        assert!(!first.is_sorted() && questions.iter().skip(1_000).take(1_000).ne(first));
    }
}
