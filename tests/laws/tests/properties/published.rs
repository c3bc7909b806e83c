//! Published manifests: every YAML and JSON file of some large Go modules is edited without other changes, or rejected if
//! libyaml rejects it too.
//!
//! The modules are those that the control plane of the tests is built from, so they have been downloaded already. libyaml
//! (`yaml_serde`) shares no code with our parser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, thread};

use colocate_manifest::{Document, Edit, EditRefusal, Manifest, ManifestObject, edited};
use serde::Deserialize as _;
use yaml_serde::Value;

/// Modules with a folder in each: Kubernetes with its test data, one object of each kind with all its fields, the pods of
/// its security standards, and Helm with hundreds of charts.
const MODULES: [(&str, &str); 4] = [
    ("k8s.io/kubernetes", ""),
    ("k8s.io/api", "testdata/HEAD"),
    ("k8s.io/pod-security-admission", ""),
    ("helm.sh/helm/v4", ""),
];

/// A scheduler that does not occur in any published file.
const SCHEDULER: &str = "colocate-test";

#[test]
fn published_manifests_are_read_as_libyaml_reads_them() {
    let started = Instant::now();
    let files: Vec<_> = MODULES.iter().flat_map(|(module, below)| manifests_in(&folder(module).join(below))).collect();
    // Two threads: test machines have at least two cores.
    let (left, right): (Vec<_>, Vec<_>) = files.iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let count = |files: Vec<(usize, &PathBuf)>| {
        files.into_iter().fold(Counts::default(), |counts, (_, file)| counts.and(&examine(file)))
    };
    let counts = thread::scope(|scope| {
        let other = scope.spawn(|| count(right));
        count(left).and(&other.join().unwrap())
    });
    println!("{counts:?} in {:.1} s", started.elapsed().as_secs_f32());
    assert!(
        counts.files > 5_000 && counts.edits > 4_000,
        "the modules contain fewer manifests than expected: {counts:?}"
    );
}

/// All YAML and JSON files below a folder, including Helm templates.
fn manifests_in(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = |path: PathBuf| match path.extension().and_then(|ending| ending.to_str()) {
        _ if path.is_symlink() => Vec::new(),
        _ if path.is_dir() => manifests_in(&path),
        Some("yaml" | "yml" | "json") => vec![path],
        _ => Vec::new(),
    };
    paths.into_iter().flat_map(files).collect()
}

#[derive(Debug, Default)]
struct Counts {
    files: usize,
    documents: usize,
    objects: usize,
    edits: usize,
    refused_edits: usize,
    /// The number of files that are not valid YAML.
    refused_files: usize,
    /// The number of those files with a duplicate key.
    duplicates: usize,
}

impl Counts {
    fn and(self, other: &Self) -> Self {
        Self {
            files: self.files + other.files,
            documents: self.documents + other.documents,
            objects: self.objects + other.objects,
            edits: self.edits + other.edits,
            refused_edits: self.refused_edits + other.refused_edits,
            refused_files: self.refused_files + other.refused_files,
            duplicates: self.duplicates + other.duplicates,
        }
    }
}

fn examine(file: &Path) -> Counts {
    let text = String::from_utf8(fs::read(file).unwrap()).unwrap();
    let manifest = Manifest::new(&text);
    // The first error in the text, as libyaml reports it.
    let (mut documents, mut rejected) = (Vec::new(), None);
    for document in manifest.documents() {
        match document {
            Ok(document) => {
                rejected = rejected.or_else(|| document.duplicate.clone().map(|error| (error, true)));
                documents.push(document);
            }
            Err(error) => rejected = rejected.or(Some((error, false))),
        }
    }
    if let Some((error, duplicate)) = rejected {
        let other =
            libyaml(&text).err().unwrap_or_else(|| panic!("only our parser rejects {}: {error}", file.display()));
        let is_duplicate = other.contains("duplicate entry");
        assert_eq!(duplicate, is_duplicate, "{}: {error}\nlibyaml: {other}", file.display());
        return Counts { files: 1, refused_files: 1, duplicates: usize::from(duplicate), ..Counts::default() };
    }
    let ranges: String = documents.iter().map(Document::text).collect();
    assert!(documents.is_empty() || ranges == text, "{}", file.display());

    let mut counts = Counts { files: 1, documents: documents.len(), ..Counts::default() };
    let mut made = Vec::new();
    for document in &documents {
        let objects = document.objects();
        let edits: Vec<_> = objects.iter().filter_map(|object| edit(document, object)).collect();
        counts.objects += objects.len();
        counts.refused_edits += edits.iter().filter(|edit| edit.is_err()).count();
        let checked = document.check_edits(edits.into_iter().flatten().collect());
        assert_eq!(checked.refused, [], "{}", file.display());
        made.extend(checked.made);
    }
    let after: String = edited(&text, &made).collect();
    counts.edits = made.len();
    if made.is_empty() {
        assert_eq!(after, text, "{}", file.display());
    } else {
        only_the_field_differs(file, &text, &after, made.len());
        second_run_changes_nothing(file, &after);
    }
    counts
}

/// Returns the edit of an object with a pod template, even if the template is empty.
fn edit(document: &Document<'_>, object: &ManifestObject<'_>) -> Option<Result<Edit, EditRefusal>> {
    let template: &[&str] = match (object.api_version, object.kind) {
        ("v1", "Pod") => &[],
        ("v1", "PodTemplate") => &["template"],
        ("batch/v1" | "batch/v1beta1", "CronJob") => &["spec", "jobTemplate", "spec", "template"],
        ("v1", "ReplicationController")
        | ("batch/v1", "Job")
        | (
            "apps/v1" | "apps/v1beta1" | "apps/v1beta2" | "extensions/v1beta1",
            "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet",
        ) => &["spec", "template"],
        _ => return None,
    };
    let edit = document.set_scheduler(object, template, SCHEDULER);
    if let Err(refusal) = &edit {
        let spec = template.iter().chain(&["spec"]).fold(object.value, |value, key| &value[key]);
        let empty = spec.as_object().is_none_or(serde_json::Map::is_empty);
        assert!(empty, "{refusal}: {}", object.value);
    }
    Some(edit)
}

/// Asserts that the texts differ only in lines with the field, and that other parsers see only the field change.
fn only_the_field_differs(file: &Path, before: &str, after: &str, edits: usize) {
    let (mut old, mut changed) = (before.split_inclusive('\n').peekable(), 0);
    let mut new = after.split_inclusive('\n').peekable();
    while let Some(line) = new.next() {
        if old.next_if_eq(&line).is_some() {
            continue;
        }
        changed += line.matches(SCHEDULER).count();
        let inserted = old.peek() == new.peek() && old.peek().is_some();
        assert!(line.contains("schedulerName"), "{}: {line}", file.display());
        if !inserted {
            let replaced = old.next().unwrap();
            let unchanged = |line: &str| line.replace(SCHEDULER, "").replace("schedulerName: , ", "");
            let without = unchanged(line);
            let shared = without.chars().zip(replaced.chars()).take_while(|(a, b)| a == b).count();
            assert!(shared > 5, "{}: {line} instead of {replaced}", file.display());
        }
    }
    assert_eq!((old.next(), changed), (None, edits), "{}", file.display());

    let (mut old, new) = (other_reading(before), other_reading(after));
    assert_eq!(old.len(), new.len());
    let set = old.iter_mut().zip(&new).map(|(old, new)| set_where_new(old, new)).sum::<usize>();
    assert_eq!((set, old), (edits, new), "{}", file.display());
}

/// Sets the field in `old` wherever `new` has it with our scheduler. Returns the number of changes.
fn set_where_new(old: &mut Value, new: &Value) -> usize {
    match (old, new) {
        (Value::Mapping(old), Value::Mapping(new)) => {
            let mut set = 0;
            if new.get("schedulerName").and_then(Value::as_str) == Some(SCHEDULER) {
                old.insert("schedulerName".into(), SCHEDULER.into());
                set += 1;
            }
            set + old.iter_mut().filter_map(|(key, old)| Some(set_where_new(old, new.get(key)?))).sum::<usize>()
        }
        (Value::Sequence(old), Value::Sequence(new)) => {
            old.iter_mut().zip(new).map(|(old, new)| set_where_new(old, new)).sum()
        }
        _ => 0,
    }
}

fn second_run_changes_nothing(file: &Path, text: &str) {
    let (manifest, mut made) = (Manifest::new(text), Vec::new());
    for document in manifest.parse().unwrap() {
        let edits = document.objects().iter().filter_map(|object| edit(&document, object)?.ok()).collect();
        made.extend(document.check_edits(edits).made);
    }
    assert_eq!(edited(text, &made).collect::<String>(), text, "{}", file.display());
}

/// Parses the documents of a text with other parsers.
fn other_reading(text: &str) -> Vec<Value> {
    // Concatenated JSON values are not valid YAML.
    let json: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    json.unwrap_or_else(|_| libyaml(text).unwrap())
}

/// Parses the documents of a text with libyaml.
fn libyaml(text: &str) -> Result<Vec<Value>, String> {
    yaml_serde::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).map_err(|error| error.to_string()))
        .collect()
}

/// Returns the folder of a Go module that the control plane requires. Downloads the module if it is missing.
fn folder(module: &str) -> PathBuf {
    let go = |arguments: &[&str]| {
        let output = Command::new("go")
            .args(arguments)
            .arg(module)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../controlplane"))
            .envs([("GOFLAGS", "-mod=readonly"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")])
            .stderr(Stdio::inherit())
            .output()
            .expect("go is installed, as the control plane requires");
        assert!(output.status.success(), "go {arguments:?} {module} failed");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let folder = || go(&["list", "-m", "-f", "{{.Dir}}"]);
    let found = Some(folder()).filter(|folder| !folder.is_empty()).unwrap_or_else(|| {
        go(&["mod", "download"]);
        folder()
    });
    found.into()
}
