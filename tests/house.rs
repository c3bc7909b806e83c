//! The house keeps its order: what may know what.

#![allow(clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::{Path, PathBuf};

/// The sources below a room of `src`, its own file and its folder's.
fn room(name: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join(format!("{name}.rs"))];
    let mut folders = vec![src.join(name)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn the_engine_is_pure() {
    let files = room("engine");
    assert!(files.len() > 10, "the engine is somewhere else: {files:?}");
    let forbidden =
        ["kube", "k8s_openapi", "hyper", "tokio", "rustls", "std::fs", "std::net", "std::io", "std::time", "std::env"];
    // `crate::engine` aside, the engine uses nothing of ours.
    let ours = "crate::";
    for file in files {
        let text = fs::read_to_string(&file).expect("a source can be read");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let words = forbidden
                .iter()
                .find(|word| line.contains(&format!("{word}::")) || line.contains(&format!("use {word}")));
            assert_eq!(words, None, "{}: {line}", file.display());
            assert!(!line.contains("async "), "{}: {line}", file.display());
            let outside = line.contains(ours) && !line.contains("crate::engine");
            assert!(!outside, "{}: {line}", file.display());
        }
    }
}

#[test]
fn nothing_points_up() {
    for (low, high) in [
        ("config", &["server", "cli", "cluster", "manifest", "claims"][..]),
        ("cluster", &["server", "cli", "admin", "config", "claims"]),
        ("manifest", &["server", "cli", "admin", "config", "cluster", "claims"]),
        ("tls", &["server", "cli", "admin", "config", "cluster", "engine"]),
        ("claims", &["server", "cli", "admin", "config"]),
        ("server", &["cli", "admin", "config", "cluster", "manifest", "tls"]),
        ("admin", &["cli", "config", "cluster", "manifest", "claims", "engine"]),
    ] {
        for file in room(low) {
            let text = fs::read_to_string(&file).expect("a source can be read");
            for name in high {
                assert!(!text.contains(&format!("crate::{name}")), "{} knows `{name}`", file.display());
            }
        }
    }
}
