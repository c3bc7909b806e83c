//! A corpus of bad input with the expected responses.
//!
//! For all cases, the server does not panic and responds in time. Malformed bodies get a 400 and never a denial. A patch applies
//! and is not repeated. The cases are in `corpus/cases`, and `corpus/README.md` explains how to write one.

mod answer;
mod case;
mod laws;
mod memory;
mod review;
mod seeds;
mod talk;
mod text;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use colocate_harness::process::Server;
use serde_json::Value;

use self::case::{Case, Kind};

/// The limit of resident memory in kB, for any input.
const MEMORY: u64 = 160_000;

/// The minimum number of cases.
const CASES: usize = 200;

fn start() -> Server {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/corpus");
    let config = std::fs::read_to_string(folder.join("config.yaml")).unwrap();
    Server::start_with(&config, |command| {
        command.arg("--manifests").arg(folder.join("known.yaml"));
    })
}

#[test]
fn cases_have_unique_names() {
    let (mut names, mut groups) = (BTreeMap::new(), BTreeMap::<_, usize>::new());
    for case in case::all() {
        let other = names.insert(case.name.clone(), case.group.clone());
        assert_eq!(other, None, "two cases are called `{}`", case.name);
        *groups.entry(case.group).or_default() += 1;
    }
    println!("{} cases: {groups:?}", names.len());
    assert!(names.len() >= CASES, "{} cases", names.len());
}

#[test]
fn every_body_gets_the_expected_response() {
    let server = start();
    run(
        |kind| matches!(kind, Kind::Body(..)),
        2,
        |case| {
            let Kind::Body(body, expected) = &case.kind else { return };
            answer::check(&server, body, expected);
        },
    );
    end(server);
}

#[test]
fn every_conversation_goes_as_expected() {
    let server = start();
    run(
        |kind| matches!(kind, Kind::Talk(talk) if !talk.slow),
        2,
        |case| {
            let Kind::Talk(talk) = &case.kind else { return };
            talk::check(&server, talk);
        },
    );
    end(server);
}

#[test]
fn every_slow_client_times_out() {
    let server = start();
    // All at once, because each takes the timeout of 10 s.
    run(
        |kind| matches!(kind, Kind::Talk(talk) if talk.slow),
        usize::MAX,
        |case| {
            let Kind::Talk(talk) = &case.kind else { return };
            talk::check(&server, talk);
        },
    );
    end(server);
}

/// Runs the cases, `at_once` in parallel, and reports all failures. `CASE` selects cases by a part of their names.
fn run(selects: impl Fn(&Kind) -> bool, at_once: usize, check: impl Fn(&Case) + Sync) {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let cases: Vec<_> =
        case::all().into_iter().filter(|case| selects(&case.kind) && case.name.contains(&wanted)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
                let case = format!("{}: {}", case.group, case.name);
                eprintln!("^ failed case: {case}");
                failed.push(case);
            }
        }
        failed
    };
    let failed: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.min(cases.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} of {} cases failed, see above:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Stops the server, and asserts that it used little memory and logged no error.
fn end(mut server: Server) {
    let peak = server.peak();
    assert!(peak < MEMORY, "{peak} kB resident");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    for line in server.rest_of_log() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a JSON log line: {line}"));
        assert_ne!(line["level"], "ERROR", "{line}");
    }
}
