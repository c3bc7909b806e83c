//! The fuzz targets (`make fuzz`) on all that they begin with and all that they ever found, without a fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by failing")]

use std::path::{Path, PathBuf};
use std::{fs, panic};

#[path = "laws/annotation.rs"]
mod annotation;
#[path = "laws/manifest.rs"]
mod manifest;
#[path = "laws/review.rs"]
mod review;

/// Each target, and the law that it holds bytes to.
type Law = fn(&[u8]);
const LAWS: [(&str, Law); 3] =
    [("review", review::hold), ("manifest", manifest::hold), ("annotation", annotation::hold)];

#[test]
fn what_holds_for_every_input_holds_for_the_seeds_and_the_findings() {
    for (target, seeds) in targets() {
        let (_, law) = LAWS.iter().find(|(name, _)| *name == target).expect("a target has its law");
        let files: Vec<_> = seeds.iter().flat_map(|folder| files(folder)).collect();
        assert!(files.len() > 5, "{target} has only {} seeds", files.len());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            assert!(panic::catch_unwind(|| law(&bytes)).is_ok(), "{target} does not hold for {}", file.display());
        }
    }
}

#[test]
fn what_only_a_fuzzer_builds_is_what_is_tested() {
    let manifest = include_str!("../fuzz/Cargo.toml");
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
    let ours = include_str!("../Cargo.toml");
    for line in dependencies.take_while(|line| !line.is_empty()) {
        assert!(ours.lines().any(|own| own == line), "the project has another: {line}");
    }
}

/// The targets with the folders of their seeds, as the fuzzer has them.
fn targets() -> Vec<(&'static str, Vec<PathBuf>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = include_str!("../fuzz/targets").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (target, folders) = line.split_once(' ').expect("a target has seeds");
            (target, folders.split_whitespace().map(|folder| root.join(folder)).collect())
        })
        .collect()
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
