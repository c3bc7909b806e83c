//! The memory that an object takes while it is reviewed and validated, for any content.

use colocate_harness::process::Server;
use serde_json::json;

use super::review::{self, Document};
use super::{MEMORY, start};

/// The size of a large object. An API server accepts up to 3 MiB.
const OBJECT: usize = 2 * 1024 * 1024;

/// The maximum ratio of memory to text size, including the text itself. Most objects take less than twice their text. The rest
/// is memory that each thread keeps for the next object. (Before the optimization, these objects took 13 to 60 times their text.)
const MAX_RATIO: usize = 8;

/// The placeholder for a large text in a review.
const PLACEHOLDER: &str = "PLACEHOLDER";

/// Returns a review with as many entries as fit into the object, at this JSON pointer into the object.
fn with_many(of: &str, pointer: &str, brackets: [&str; 2], entry: impl Fn(usize) -> String) -> String {
    filled(base(of), pointer, &format!("{}{}{}", brackets[0], list(entry, OBJECT), brackets[1]))
}

fn filled(mut review: Document, pointer: &str, text: &str) -> String {
    review.put(&format!("/request/object{pointer}"), json!(PLACEHOLDER));
    review.text().replace(&json!(PLACEHOLDER).to_string(), text)
}

/// Returns a review of `bases.yaml`, with an annotation so that validation does not skip the object.
fn base(name: &str) -> Document {
    let mut review = review::base(name);
    let annotations = json!({"stork.libopenstorage.org/preferLocalNodeOnly": "true"});
    review.put("/request/object/metadata/annotations", annotations);
    review
}

/// Returns as many entries as fit, separated by commas.
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

/// Returns the growth of a server's peak memory in bytes, compared to that after the first request.
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
fn a_pod_with_only_volumes_takes_little_more_than_its_text() {
    let length = 20 * 1024 * 1024 - 1024;
    let volumes = list(|n| format!(r#"{{"portworxVolume":{{"n":{}}}}}"#, n % 10), length);
    let growth = growth(&["/mutate"], &[filled(base("pod"), "/spec/volumes", &format!("[{volumes}]"))]);
    assert!(growth < 3 * length, "{} MB", growth / 1_000_000);
}

#[test]
fn no_object_takes_much_more_than_its_text() {
    const LIST: [&str; 2] = ["[", "]"];
    let volumes = |entry: fn(usize) -> String| with_many("pod", "/spec/volumes", LIST, entry);
    let templates = |entry: fn(usize) -> String| with_many("statefulset", "/spec/volumeClaimTemplates", LIST, entry);
    let annotations = |entry: fn(usize) -> String| with_many("pod", "/metadata/annotations", ["{", "}"], entry);
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
        with_many("deployment", "/metadata/ownerReferences", LIST, |_| "{}".to_owned()),
        with_many("deployment", "/metadata/managedFields", LIST, |_| {
            r#"{"operation":"Apply","fieldsV1":1}"#.to_owned()
        }),
    ];
    let growth = growth(&["/mutate", "/validate"], &reviews);
    assert!(growth < MAX_RATIO * OBJECT, "{} kB", growth / 1000);
}
