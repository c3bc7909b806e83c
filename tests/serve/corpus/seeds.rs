//! The seeds of the fuzz targets: the folders in `fuzz/targets`, and the corpus of bad input.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::case::{self, Kind};
use super::text::Reader;

/// The maximum size of a seed. Fuzzing longer inputs is slow and finds little.
const LARGEST: usize = 16 * 1024;

/// The folder in `fuzz` that the corpus is written to.
pub(crate) const WRITTEN: &str = "corpus/written";

/// A named input of a target.
pub(crate) struct Seed {
    pub(crate) target: &'static str,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Returns the fuzz targets with the folders of their seeds.
pub(crate) fn targets() -> Vec<(&'static str, Vec<PathBuf>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = include_str!("../../../fuzz/targets").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (target, folders) = line.split_once(' ').expect("the line has a target and folders");
            (target, folders.split_whitespace().map(|folder| root.join(folder)).collect())
        })
        .collect()
}

/// Returns the seeds in the folders of all targets.
pub(crate) fn of_folders() -> Vec<Seed> {
    let of_target = |(target, folders): (_, Vec<PathBuf>)| {
        let files: Vec<_> = folders.iter().flat_map(|folder| files(folder)).collect();
        files.into_iter().map(move |file| Seed {
            target,
            name: file.display().to_string(),
            bytes: fs::read(file).unwrap(),
        })
    };
    targets().into_iter().flat_map(of_target).collect()
}

/// Returns the bodies in the corpus, their objects as manifests, and the annotations of these objects.
pub(crate) fn of_corpus() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for case in case::all() {
        let Kind::Body(body, _) = &case.kind else { continue };
        let bytes = body.bytes(Reader::Server);
        if bytes.len() > LARGEST {
            continue;
        }
        let file = file_name(&case.name);
        let mut add = |target, name: String, bytes: Vec<u8>| seeds.push(Seed { target, name, bytes });
        add("review", format!("{file}.json"), bytes);
        // Only an object that other parsers accept can be a manifest.
        let Ok(review) = serde_json::from_slice::<Value>(&body.bytes(Reader::Anyone)) else { continue };
        let Some(object) = review.pointer("/request/object").filter(|object| object.is_object()) else { continue };
        add("manifest", format!("{file}.json"), object.to_string().into_bytes());
        add("manifest", format!("{file}.yaml"), yaml_serde::to_string(object).unwrap().into_bytes());
        for (place, pointer) in [("", "/metadata/annotations"), ("-template", "/spec/template/metadata/annotations")] {
            if let Some(annotations) = object.pointer(pointer) {
                add("annotation", format!("{file}{place}.json"), annotations.to_string().into_bytes());
            }
        }
    }
    seeds
}

/// Returns the files in a folder and its subfolders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Converts the name of a case to a file name.
fn file_name(name: &str) -> String {
    let mut file: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    while file.contains("--") {
        file = file.replace("--", "-");
    }
    file.trim_matches('-').to_owned()
}
