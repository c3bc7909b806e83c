//! The fuzz targets (`make fuzz`) on all that they begin with and all that they ever found, without a fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by failing")]

#[path = "../laws/annotation.rs"]
mod annotation;
#[path = "../corpus"]
#[allow(dead_code, reason = "what is expected of a case is the business of the corpus' own test")]
mod corpus {
    pub(crate) mod case;
    mod review;
    pub(crate) mod text;
}
#[path = "../laws/manifest.rs"]
mod manifest;
#[path = "../laws/review.rs"]
mod review;
mod seeds;

use std::path::Path;
use std::{fs, panic};

use seeds::{Seed, targets};

/// Each target, and the law that it holds bytes to.
type Law = fn(&[u8]);
const LAWS: [(&str, Law); 3] =
    [("review", review::hold), ("manifest", manifest::hold), ("annotation", annotation::hold)];

#[test]
fn what_holds_for_every_input_holds_for_what_was_thought_of_and_found() {
    hold(&seeds::of_folders());
}

#[test]
fn what_holds_for_every_input_holds_for_the_corpus() {
    hold(&seeds::of_corpus());
}

fn hold(seeds: &[Seed]) {
    for (target, law) in LAWS {
        let seeds: Vec<_> = seeds.iter().filter(|seed| seed.target == target).collect();
        assert!(seeds.len() >= 5, "{target} has only {} seeds", seeds.len());
        for Seed { name, bytes, .. } in seeds {
            assert!(panic::catch_unwind(|| law(bytes)).is_ok(), "{target} does not hold for {name}");
        }
    }
}

#[test]
#[ignore = "it writes files, for a fuzzer, and checks nothing"]
fn write_the_corpus() {
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(seeds::WRITTEN);
    for Seed { target, name, bytes } in seeds::of_corpus() {
        fs::create_dir_all(written.join(target)).unwrap();
        fs::write(written.join(target).join(name), bytes).unwrap();
    }
}

#[test]
fn what_only_a_fuzzer_builds_is_what_is_tested() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let bins: Vec<_> = manifest.lines().filter_map(|line| line.strip_prefix("name = ")).skip(1).collect();
    let names: Vec<_> = targets().iter().map(|(target, _)| format!("\"{target}\"")).collect();
    assert_eq!(bins, names);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (target, _) in targets() {
        let program = fs::read_to_string(root.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("tests/laws/{target}.rs")) && program.contains(&format!("{target}::hold(")));
        assert!(root.join(format!("dictionaries/{target}.dict")).is_file());
    }
    let dependencies = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(3);
    let ours = include_str!("../../Cargo.toml");
    for line in dependencies.take_while(|line| !line.is_empty()) {
        assert!(ours.lines().any(|own| own == line), "the project has another: {line}");
    }
}
