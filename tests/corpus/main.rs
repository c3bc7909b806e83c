//! Bad input, and what is answered to it, over the real socket of a real process.
//!
//! The rule for all: no panic, an answer in time, malformed is 400 and never a denial, a patch always applies and is never
//! given twice. The cases are in `cases/`, one list a file; README.md tells how to write one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

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

use case::{Case, Kind};

/// What a process may have resident, in kB, whatever is sent to it.
const MEMORY: u64 = 160_000;

/// What there has to be, at the least.
const CASES: usize = 200;

fn start() -> Server {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let config = std::fs::read_to_string(folder.join("config.yaml")).unwrap();
    Server::start_with(&config, |command| {
        command.arg("--manifests").arg(folder.join("known.yaml"));
    })
}

#[test]
fn there_are_so_many_cases_and_each_has_a_name_of_its_own() {
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
fn every_body_is_answered_as_its_case_says() {
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
fn every_connection_goes_as_its_case_says() {
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
fn every_slow_client_is_given_up_in_time() {
    let server = start();
    // All at the same moment: each takes the 10 s that a client is given.
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

/// Tries the cases, so many at once, and tells of all that fail. `CASE` chooses those whose name has these words.
fn run(is_one: impl Fn(&Kind) -> bool, at_once: usize, check: impl Fn(&Case) + Sync) {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let cases: Vec<_> =
        case::all().into_iter().filter(|case| is_one(&case.kind) && case.name.contains(&wanted)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
                let case = format!("{}: {}", case.group, case.name);
                eprintln!("^ that was {case}");
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

/// Ends the process, and sees that it had never failed.
fn end(mut server: Server) {
    let peak = server.peak();
    assert!(peak < MEMORY, "{peak} kB resident");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    for line in server.rest_of_log() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no line of a log: {line}"));
        assert_ne!(line["level"], "ERROR", "{line}");
    }
}
