//! The corpus as seeds for fuzzing: `SEEDS=fuzz/seeds cargo test --test corpus seeds -- --ignored`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::case::{self, Kind};
use super::text::Reader;

/// A fuzzer makes little of more.
const LARGEST: usize = 16 * 1024;

#[test]
#[ignore = "it writes files, and checks nothing"]
fn seeds() {
    let folder = std::env::var("SEEDS").expect("SEEDS names the folder that they are written to");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let write = |kind: &str, name: &str, bytes: &[u8]| {
        let folder = folder.join(kind);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    };
    for case in case::all() {
        let Kind::Body(body, _) = &case.kind else { continue };
        let bytes = body.bytes(Reader::Server);
        if bytes.len() > LARGEST {
            continue;
        }
        let name = file_name(&case.name);
        write("review", &format!("{name}.json"), &bytes);
        // Where others can read it, its object is a manifest, and so are its annotations.
        let Ok(review) = serde_json::from_slice::<Value>(&body.bytes(Reader::Anyone)) else { continue };
        let Some(object) = review.pointer("/request/object").filter(|object| object.is_object()) else { continue };
        write("manifest", &format!("{name}.json"), object.to_string().as_bytes());
        write("manifest", &format!("{name}.yaml"), yaml_serde::to_string(object).unwrap().as_bytes());
        for (place, pointer) in [("", "/metadata/annotations"), ("-template", "/spec/template/metadata/annotations")] {
            if let Some(annotations) = object.pointer(pointer) {
                write("annotation", &format!("{name}{place}.json"), annotations.to_string().as_bytes());
            }
        }
    }
}

/// A name with nothing in it that a file's cannot have.
fn file_name(name: &str) -> String {
    let mut file: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    while file.contains("--") {
        file = file.replace("--", "-");
    }
    file.trim_matches('-').to_owned()
}
