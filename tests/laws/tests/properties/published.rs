//! Published manifests: every YAML and JSON file of some large Go modules is edited without other changes, or rejected if
//! libyaml rejects it too.
//!
//! The modules are those that the control plane of the tests is built from, so they have been downloaded already. libyaml
//! (`yaml_serde`) shares no code with our parser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, thread};

use colocate_manifest::{self as manifest, Edit, Manifest, ManifestObject};
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
    let files: Vec<_> =
        MODULES.iter().flat_map(|(module, below)| manifest::expand(&folder(module).join(below)).unwrap()).collect();
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
    let manifest = match Manifest::parse(&text) {
        Ok(manifest) => manifest,
        Err(error) => {
            let other =
                libyaml(&text).err().unwrap_or_else(|| panic!("only our parser rejects {}: {error}", file.display()));
            let duplicates = usize::from(error.message.starts_with("duplicate key `"));
            let is_duplicate = other.contains("duplicate entry");
            assert_eq!(duplicates == 1, is_duplicate, "{}: {error}\nlibyaml: {other}", file.display());
            return Counts { files: 1, refused_files: 1, duplicates, ..Counts::default() };
        }
    };
    let ranges: String = manifest.documents.iter().map(|document| &text[document.range.clone()]).collect();
    assert!(manifest.documents.is_empty() || ranges == text, "{}", file.display());
    let unchanged = manifest.apply(&[]);
    assert_eq!((&*unchanged.text, unchanged.refused.len()), (&*text, 0), "{}", file.display());

    let objects = manifest.objects();
    let edits: Vec<_> = objects.iter().filter_map(|object| edit(&manifest, object)).collect();
    let refused_edits = edits.iter().filter(|edit| edit.is_err()).count();
    let edits: Vec<_> = edits.into_iter().flatten().collect();
    if !edits.is_empty() {
        let applied = manifest.apply(&edits);
        assert_eq!(applied.refused, [], "{}", file.display());
        only_the_field_differs(file, &text, &applied.text, edits.len());
        second_run_changes_nothing(file, &applied.text);
    }
    Counts {
        files: 1,
        documents: manifest.documents.len(),
        objects: objects.len(),
        edits: edits.len(),
        refused_edits,
        ..Counts::default()
    }
}

/// Returns the edit of an object with a pod template, even if the template is empty.
fn edit(manifest: &Manifest<'_>, object: &ManifestObject<'_>) -> Option<Result<Edit, manifest::EditRefusal>> {
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
    let edit = manifest.set_scheduler(object, template, SCHEDULER);
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
    let manifest = Manifest::parse(text).unwrap();
    let edits: Vec<_> = manifest.objects().iter().filter_map(|object| edit(&manifest, object)?.ok()).collect();
    assert_eq!(manifest.apply(&edits).text, text, "{}", file.display());
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
