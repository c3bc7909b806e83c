//! How much memory an object takes while it is decided, whatever is in it.

use super::process::Server;
use super::review;
use super::{MEMORY, start};

/// What an API server lets through of one object.
const OBJECT: usize = 3 * 1024 * 1024;

/// What is kept of an object, its text included, takes no more than so many times its text. Most takes less than twice; the
/// rest is that each thread keeps for the next object what it needed for one. (Before anything was done about it, the
/// least of these objects took 13 times its text, and the most 60 times.)
const TIMES: usize = 8;

/// The largest list of entries that fits.
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
fn growth(server: &Server, reviews: impl Iterator<Item = String>) -> usize {
    server.review(review::base("pod").text().as_bytes());
    let before = server.peak();
    for review in reviews {
        server.review(review.as_bytes());
    }
    assert!(server.peak() < MEMORY, "{} kB resident", server.peak());
    usize::try_from(server.peak() - before).unwrap() * 1024
}

#[test]
fn a_pod_of_nothing_but_volumes_takes_little_more_than_its_text() {
    let length = 20 * 1024 * 1024 - 1024;
    let volumes = list(|n| format!(r#"{{"portworxVolume":{{"n":{}}}}}"#, n % 10), length);
    let review =
        review::base("pod").text().replace(r#"{"name":"v","persistentVolumeClaim":{"claimName":"px"}}"#, &volumes);
    assert!(review.len() > length);
    let growth = growth(&start(), [review].into_iter());
    assert!(growth < 3 * length, "{} MB", growth / 1_000_000);
}

#[test]
fn no_object_takes_much_more_than_its_text() {
    let pod = |field: &str, old: &str, text: String| {
        let review = review::base("pod").text();
        assert!(review.contains(old), "{review}");
        review.replace(old, &format!("{field}{text}"))
    };
    let volumes = |entry: fn(usize) -> String| {
        pod("", r#"{"name":"v","persistentVolumeClaim":{"claimName":"px"}}"#, list(entry, OBJECT))
    };
    let metadata = |field: &str, end: &str, entry: fn(usize) -> String| {
        pod(field, r#""metadata":{"#, format!("{}{end},", list(entry, OBJECT)))
    };
    let templates = |entry: fn(usize) -> String| {
        let template = r#"{"metadata":{"name":"data"},"spec":{"storageClassName":"px"}}"#;
        review::base("statefulset").text().replace(template, &list(entry, OBJECT))
    };
    let reviews = [
        volumes(|n| format!(r#"{{"csi":{{"driver":"{n:x}"}}}}"#)),
        volumes(|n| format!(r#"{{"persistentVolumeClaim":{{"claimName":"{n:x}"}}}}"#)),
        volumes(|n| format!(r#"{{"ephemeral":{{"volumeClaimTemplate":{{"spec":{{"storageClassName":"{n:x}"}}}}}}}}"#)),
        volumes(|_| r#"{"ephemeral":{"volumeClaimTemplate":{}}}"#.to_owned()),
        templates(|_| "{}".to_owned()),
        templates(|n| format!(r#"{{"metadata":{{"name":"{n:x}"}}}}"#)),
        templates(|n| format!(r#"{{"spec":{{"volumeName":"{n:x}"}}}}"#)),
        metadata(r#""metadata":{"annotations":{"#, "}", |_| r#""":0"#.to_owned()),
        metadata(r#""metadata":{"annotations":{"#, "}", |n| format!(r#""{n:x}":"""#)),
        metadata(r#""metadata":{"ownerReferences":["#, "]", |_| "{}".to_owned()),
        metadata(r#""metadata":{"managedFields":["#, "]", |_| r#"{"operation":"Apply","fieldsV1":1}"#.to_owned()),
    ];
    assert!(reviews.iter().all(|review| review.len() > OBJECT));
    let growth = growth(&start(), reviews.into_iter());
    assert!(growth < TIMES * OBJECT, "{} kB", growth / 1000);
}
