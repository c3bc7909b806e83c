//! How much memory an object takes while it is decided about and validated, whatever is in it.

use colocate_harness::process::Server;
use serde_json::json;

use super::review::{self, Document};
use super::{MEMORY, start};

/// A large object; an API server lets up to 3 MiB through.
const OBJECT: usize = 2 * 1024 * 1024;

/// What is kept of an object, its text included, takes no more than so many times its text. Most takes less than twice; the
/// rest is that each thread keeps for the next object what it needed for one. (Before anything was done about it, the
/// least of these objects took 13 times its text, and the most 60 times.)
const TIMES: usize = 8;

/// What stands in a review where there is to be much.
const MUCH: &str = "MUCH";

/// A review with as many entries as fit into an object, in place of what is at this pointer into the object.
fn much(of: &str, pointer: &str, brackets: [&str; 2], entry: impl Fn(usize) -> String) -> String {
    filled(base(of), pointer, &format!("{}{}{}", brackets[0], list(entry, OBJECT), brackets[1]))
}

fn filled(mut review: Document, pointer: &str, text: &str) -> String {
    review.put(&format!("/request/object{pointer}"), json!(MUCH));
    review.text().replace(&json!(MUCH).to_string(), text)
}

/// A review of `bases.yaml`, of an object that validation does not let go at the first sight.
fn base(name: &str) -> Document {
    let mut review = review::base(name);
    let annotations = json!({"stork.libopenstorage.org/preferLocalNodeOnly": "true"});
    review.put("/request/object/metadata/annotations", annotations);
    review
}

/// As many entries as fit.
fn list(entry: impl Fn(usize) -> String, length: usize) -> String {
    let mut list = String::with_capacity(length);
    for entry in (0..).map(entry) {
        if list.len() + 1 + entry.len() > length {
            break;
        }
        list.push_str(if list.is_empty() { "" } else { "," });
        list.push_str(&entry);
    }
    list
}

/// The bytes by which a process has grown at the most since it was asked first.
fn growth(paths: &[&str], reviews: &[String]) -> usize {
    let server = start();
    ask(&server, paths, &base("pod").text());
    let before = server.peak();
    for review in reviews {
        ask(&server, paths, review);
    }
    assert!(server.peak() < MEMORY, "{} kB resident", server.peak());
    usize::try_from(server.peak() - before).unwrap() * 1024
}

fn ask(server: &Server, paths: &[&str], review: &str) {
    for path in paths {
        let answer = server.send(&format!("POST {path}"), review.as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
}

#[test]
fn a_pod_of_nothing_but_volumes_takes_little_more_than_its_text() {
    let length = 20 * 1024 * 1024 - 1024;
    let volumes = list(|n| format!(r#"{{"portworxVolume":{{"n":{}}}}}"#, n % 10), length);
    let growth = growth(&["/mutate"], &[filled(base("pod"), "/spec/volumes", &format!("[{volumes}]"))]);
    assert!(growth < 3 * length, "{} MB", growth / 1_000_000);
}

#[test]
fn no_object_takes_much_more_than_its_text() {
    const LIST: [&str; 2] = ["[", "]"];
    let volumes = |entry: fn(usize) -> String| much("pod", "/spec/volumes", LIST, entry);
    let templates = |entry: fn(usize) -> String| much("statefulset", "/spec/volumeClaimTemplates", LIST, entry);
    let annotations = |entry: fn(usize) -> String| much("pod", "/metadata/annotations", ["{", "}"], entry);
    let reviews = [
        volumes(|n| format!(r#"{{"csi":{{"driver":"{n:x}"}}}}"#)),
        volumes(|n| format!(r#"{{"persistentVolumeClaim":{{"claimName":"{n:x}"}}}}"#)),
        volumes(|n| format!(r#"{{"ephemeral":{{"volumeClaimTemplate":{{"spec":{{"storageClassName":"{n:x}"}}}}}}}}"#)),
        volumes(|_| r#"{"ephemeral":{"volumeClaimTemplate":{}}}"#.to_owned()),
        volumes(|_| r#"{"ephemeral":{"volumeClaimTemplate":{"metadata":{"annotations":{}}}}}"#.to_owned()),
        templates(|_| "{}".to_owned()),
        templates(|_| r#"{"metadata":{"annotations":{}}}"#.to_owned()),
        templates(|n| format!(r#"{{"metadata":{{"name":"{n:x}"}}}}"#)),
        templates(|n| format!(r#"{{"spec":{{"volumeName":"{n:x}"}}}}"#)),
        annotations(|_| r#""":"""#.to_owned()),
        annotations(|n| format!(r#""{n:x}":"""#)),
        annotations(|n| format!(r#""stork.libopenstorage.org/{n:x}":"""#)),
        much("deployment", "/metadata/ownerReferences", LIST, |_| "{}".to_owned()),
        much("deployment", "/metadata/managedFields", LIST, |_| r#"{"operation":"Apply","fieldsV1":1}"#.to_owned()),
    ];
    let growth = growth(&["/mutate", "/validate"], &reviews);
    assert!(growth < TIMES * OBJECT, "{} kB", growth / 1000);
}
