//! Checks the laws of the fuzz targets (`make fuzz`) on their seeds, on earlier findings, and on the corpus.

use std::path::Path;
use std::{fs, panic};

use colocate_laws::{annotation, manifest, review};

use super::seeds::{self, Seed, targets};

/// A function that takes any bytes and panics if the law does not hold.
type Law = fn(&[u8]);
const LAWS: [(&str, Law); 3] =
    [("review", review::hold), ("manifest", manifest::hold), ("annotation", annotation::hold)];

#[test]
fn the_laws_hold_for_all_seeds() {
    hold(&seeds::of_folders());
}

#[test]
fn the_laws_hold_for_the_corpus() {
    hold(&seeds::of_corpus());
}

fn hold(seeds: &[Seed]) {
    for (target, law) in LAWS {
        let seeds: Vec<_> = seeds.iter().filter(|seed| seed.target == target).collect();
        assert!(seeds.len() >= 5, "{target} has only {} seeds", seeds.len());
        for Seed { name, bytes, .. } in seeds {
            assert!(panic::catch_unwind(|| law(bytes)).is_ok(), "the law `{target}` does not hold for {name}");
        }
    }
}

#[test]
#[ignore = "writes the seeds for fuzzing and checks nothing"]
fn generate_corpus() {
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(seeds::WRITTEN);
    for Seed { target, name, bytes } in seeds::of_corpus() {
        fs::create_dir_all(written.join(target)).unwrap();
        fs::write(written.join(target).join(name), bytes).unwrap();
    }
}

#[test]
fn every_fuzz_target_uses_a_tested_law() {
    let manifest = include_str!("../../../fuzz/Cargo.toml");
    let bins: Vec<_> = manifest.lines().filter_map(|line| line.strip_prefix("name = ")).skip(1).collect();
    let names: Vec<_> = targets().iter().map(|(target, _)| format!("\"{target}\"")).collect();
    assert_eq!(bins, names);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (target, _) in targets() {
        let program = fs::read_to_string(root.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("use colocate_laws::{target};\n")), "{target}");
        assert!(program.contains(&format!("{target}::hold(")), "{target}");
        assert!(root.join(format!("dictionaries/{target}.dict")).is_file());
    }
    let serde_json = manifest.lines().find(|line| line.starts_with("serde_json = ")).unwrap();
    assert!(
        include_str!("../../../Cargo.toml").lines().any(|line| line == serde_json),
        "fuzz/Cargo.toml has another version of serde_json than Cargo.toml"
    );
}
