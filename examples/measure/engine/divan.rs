//! The output of divan: a tree of benches with their arguments, and below each its allocations.

use std::collections::BTreeMap;
use std::time::Duration;

/// The result of one bench for one argument.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// The fastest sample: the cost of the code when nothing else uses the core.
    pub(crate) fastest: Duration,
    /// The number of allocations and reallocations.
    pub(crate) allocations: u64,
}

/// The costs by bench, then by argument.
#[derive(Debug, Default)]
pub(crate) struct Costs(BTreeMap<String, BTreeMap<String, Cost>>);

impl Costs {
    /// Reads the tree, and ignores all other lines.
    pub(crate) fn parse<'t>(lines: impl IntoIterator<Item = &'t str>) -> Self {
        let mut costs = Self::default();
        let (mut bench, mut argument) = (String::new(), String::new());
        let mut counted = false;
        for line in lines {
            if let Some((depth, name, fastest)) = branch(line) {
                counted = false;
                if depth == 0 {
                    name.clone_into(&mut bench);
                } else if let Some(fastest) = fastest {
                    name.clone_into(&mut argument);
                    let cost = Cost { fastest, allocations: 0 };
                    costs.0.entry(bench.clone()).or_default().insert(argument.clone(), cost);
                }
                continue;
            }
            // `max alloc:` is the peak.
            let cell = cell(line);
            if cell.ends_with(':') {
                counted = cell == "alloc:" || cell == "grow:";
            } else if let (true, Ok(count)) = (counted, cell.parse::<u64>()) {
                // The line below the count has the bytes.
                counted = false;
                if let Some(cost) = costs.0.get_mut(&bench).and_then(|costs| costs.get_mut(&argument)) {
                    cost.allocations += count;
                }
            }
        }
        costs
    }

    /// Returns the result of `bench` for `argument`.
    pub(crate) fn cost(&self, bench: &str, argument: &str) -> Option<Cost> {
        self.0.get(bench)?.get(argument).copied()
    }

    /// Returns the arguments of a bench, in alphabetical order.
    pub(crate) fn arguments(&self, bench: &str) -> impl Iterator<Item = &str> {
        self.0.get(bench).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }
}

/// Returns the depth of a line's branch in the tree, its name, and the time in its first column.
fn branch(line: &str) -> Option<(usize, &str, Option<Duration>)> {
    let (indent, rest) = line.split_once(['├', '╰'])?;
    let (name, columns) = rest.trim_start_matches('─').trim_start().split_once(' ')?;
    let first = columns.split('│').next().unwrap_or_default();
    // A level is three characters wide.
    Some((indent.chars().count() / 3, name, duration(first.trim())))
}

/// Returns the first column of a line without a branch.
fn cell(line: &str) -> &str {
    let columns = line.trim_start_matches(['│', ' ']);
    columns.split('│').next().unwrap_or_default().trim()
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once(' ')?;
    let seconds = match unit {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
Timer precision: 20 ns
engine                      fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ skip                                   │               │               │               │         │
│  ├─ cronjob-create        3.254 µs      │ 5.1 µs        │ 3.3 µs        │ 3.4 µs        │ 100     │ 100
│  │                        975.7 MB/s    │ 622.5 MB/s    │ 962.1 MB/s    │ 933.8 MB/s    │         │
│  │                        max alloc:    │               │               │               │         │
│  │                          1           │ 1             │ 1             │ 1             │         │
│  │                          8 B         │ 8 B           │ 8 B           │ 8 B           │         │
│  │                        alloc:        │               │               │               │         │
│  │                          1           │ 1             │ 1             │ 1             │         │
│  │                          8 B         │ 8 B           │ 8 B           │ 8 B           │         │
│  ╰─ deployment-create     981 ns        │ 46.46 µs      │ 9.1 µs        │ 9.3 µs        │ 100     │ 100
│                           998 MB/s      │ 194 MB/s      │ 990.7 MB/s    │ 969.4 MB/s    │         │
╰─ together                               │               │               │               │         │
   ╰─ deployment-create     1.2 ms        │ 46.46 µs      │ 23.85 µs      │ 24.61 µs      │ 100     │ 100
                            max alloc:    │               │               │               │         │
                              12          │ 12            │ 12            │ 12            │         │
                              2.588 KB    │ 2.588 KB      │ 2.588 KB      │ 2.588 KB      │         │
                            alloc:        │               │               │               │         │
                              14          │ 14            │ 14            │ 14            │         │
                              2.665 KB    │ 2.665 KB      │ 2.665 KB      │ 2.665 KB      │         │
                            dealloc:      │               │               │               │         │
                              21          │ 21            │ 21            │ 21            │         │
                              2.746 KB    │ 2.746 KB      │ 2.746 KB      │ 2.746 KB      │         │
                            grow:         │               │               │               │         │
                              4           │ 4             │ 4             │ 4             │         │
                              593 B       │ 593 B         │ 593 B         │ 593 B         │         │
";

    #[test]
    fn times_and_allocations_are_read_from_the_tree() {
        let costs = Costs::parse(TREE.lines());
        let cost = |nanos, allocations| Some(Cost { fastest: Duration::from_nanos(nanos), allocations });
        assert_eq!(costs.cost("skip", "cronjob-create"), cost(3_254, 1));
        assert_eq!(costs.cost("skip", "deployment-create"), cost(981, 0));
        assert_eq!(costs.cost("together", "deployment-create"), cost(1_200_000, 18));
        assert_eq!(costs.cost("together", "cronjob-create"), None);
        assert_eq!(costs.arguments("skip").collect::<Vec<_>>(), ["cronjob-create", "deployment-create"]);
    }

    #[test]
    fn lines_outside_the_tree_have_no_costs() {
        let costs = Costs::parse(["", "running 0 tests", "│", "├─", "│  ├─ name soon │"]);
        assert_eq!(costs.arguments("").count(), 0);
    }
}
