//! The house keeps its order: what may know what.

#![allow(clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The sources below a room of `src`, its own file and its folder's, without files of tests. The engine's own file is in its folder.
fn room(name: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> = Some(src.join(format!("{name}.rs"))).filter(|file| file.exists()).into_iter().collect();
    let mut folders = vec![src.join(name)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
            // Tests may borrow from other rooms.
            let is_tests = path.file_stem().is_some_and(|name| name == "tests");
            match (is_tests, path.is_dir()) {
                (false, true) => folders.push(path),
                (false, false) if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
                _ => {}
            }
        }
    }
    files
}

/// The rooms that the code of a room names, however it writes it: `crate::a::B`, `use crate::{a, b::C}`.
fn used_by(name: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for file in room(name) {
        let text = fs::read_to_string(&file).expect("a source can be read");
        // Tests may borrow from other rooms.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (place, found) in code.match_indices("crate::") {
            let rest = &code[place + found.len()..];
            let names: Vec<_> = match rest.strip_prefix('{') {
                Some(group) => top_level(group),
                None => vec![rest],
            };
            let word =
                |name: &str| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
            used.extend(names.into_iter().map(word));
        }
    }
    used.remove(name);
    used.remove("");
    used
}

/// The parts of a group that is not nested in another: `a, b::{c, d}}` is `a` and `b::{c, d}`.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[begin..place]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts
}

#[test]
fn a_group_of_names_is_taken_apart() {
    assert_eq!(top_level("a, b::{c, d}, e}; f, g"), ["a", " b::{c, d}", " e"]);
}

#[test]
fn the_engine_and_the_companion_are_pure() {
    let (engine, companion) = (room("engine"), room("companion"));
    assert!(engine.len() > 10 && companion.len() > 10, "they are somewhere else: {engine:?} {companion:?}");
    let files: Vec<_> = engine.into_iter().chain(companion).collect();
    let forbidden =
        ["kube", "k8s_openapi", "hyper", "tokio", "rustls", "std::fs", "std::net", "std::io", "std::time", "std::env"];
    for file in files {
        let text = fs::read_to_string(&file).expect("a source can be read");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let word = forbidden.iter().find(|word| line.contains(&format!("{word}::")));
            assert_eq!(word, None, "{}: {line}", file.display());
            assert!(!line.contains("async "), "{}: {line}", file.display());
        }
    }
}

/// Each room, and the rooms that it may use: the table in `src/lib.rs`. The engine has none of them: it is a package of its own.
const MAY_USE: [(&str, &[&str]); 17] = [
    ("admin", &["server", "readiness", "metrics"]),
    ("server", &["claims", "presence", "companion", "engine", "duration", "metrics", "readiness", "shutdown", "tls"]),
    ("probe", &["engine", "duration"]),
    ("claims", &["cluster", "manifest", "companion", "engine", "metrics"]),
    (
        "cluster",
        &["config", "presence", "companion", "engine", "storage", "tls", "readiness", "tasks", "metrics", "duration"],
    ),
    ("manifest", &["companion", "engine", "storage"]),
    ("storage", &["engine"]),
    ("config", &["presence", "companion", "engine", "tls", "duration"]),
    ("presence", &["engine"]),
    ("tls", &[]),
    ("readiness", &[]),
    ("shutdown", &[]),
    ("tasks", &[]),
    ("metrics", &[]),
    ("log", &[]),
    ("duration", &[]),
    ("companion", &["engine", "storage"]),
];

#[test]
fn a_room_uses_what_the_map_says_and_nothing_else() {
    for (name, allowed) in MAY_USE {
        let allowed: BTreeSet<_> = allowed.iter().map(ToString::to_string).collect();
        let used = used_by(name);
        assert!(used.is_subset(&allowed), "{name} uses {:?}", used.difference(&allowed));
    }
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("there is a map");
    let rooms: Vec<_> =
        map.lines().filter_map(|line| line.split("mod ").nth(1)).map(|name| name.trim_end_matches(';')).collect();
    let known = MAY_USE.map(|(name, _)| name);
    let unknown: Vec<_> = rooms.iter().filter(|name| **name != "cli" && !known.contains(name)).collect();
    assert!(rooms.len() > known.len() && unknown.is_empty(), "rooms that are not on the list: {unknown:?}");
}
