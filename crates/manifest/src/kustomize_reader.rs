//! Reads what a kustomization may change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::FieldPath;
use super::document::{Document, Manifest};
use super::kustomize_effects::{Cause, DecisiveFields, Effects, Target, Touch};
use super::source::Source;

/// The fields of a kustomization that have patches.
const PATCHES: [&str; 3] = ["patchesStrategicMerge", "patches", "patchesJson6902"];

/// The fields that can change any object in any way.
const TRANSFORMERS: [&str; 2] = ["transformers", "configurations"];

/// The fields that add objects that are in no file.
const GENERATORS: [&str; 3] = ["generators", "helmCharts", "helmChartInflationGenerator"];

/// Reads what kustomizations may change. Each file of patches is read once.
#[derive(Debug)]
pub(super) struct EffectsReader {
    fields: DecisiveFields,
    files: HashMap<PathBuf, Arc<PatchFile>>,
}

/// The objects that a kustomization may change.
#[derive(Debug, Default)]
pub(super) struct KustomizationEffects {
    own: Effects,
    /// Those of files with patches that name their objects themselves.
    files: Vec<Arc<Effects>>,
    /// The first field that adds objects which are in no file.
    pub(super) adds: Option<Arc<Cause>>,
}

/// The patches of a text.
#[derive(Debug, Default)]
struct PatchFile {
    /// The effects on the objects that the patches themselves name.
    effects: Arc<Effects>,
    /// The effects on the objects of a target.
    touch: Touch,
    /// The same if the patches may also change names.
    touch_with_names: Touch,
    /// The first cause.
    first: Option<Arc<Cause>>,
}

impl KustomizationEffects {
    pub(super) fn all(&self) -> impl Iterator<Item = &Effects> {
        std::iter::once(&self.own).chain(self.files.iter().map(|file| &**file))
    }
}

impl EffectsReader {
    pub(super) fn new(fields: DecisiveFields) -> Self {
        Self { fields, files: HashMap::new() }
    }

    /// Reads the fields that may change objects. `unknown` are the paths of those that name what is not among the files.
    pub(super) fn read(
        &mut self,
        source: &Source,
        document: &Document<'_>,
        unknown: Vec<(FieldPath, String)>,
    ) -> KustomizationEffects {
        let name: Arc<str> = source.name.as_str().into();
        let reading = Reading { name: &name, source, document };
        let (mut read, value) = (KustomizationEffects::default(), &document.value);
        for (path, what) in unknown {
            let cause = reading.cause(&path, what);
            if path.to_string().starts_with("components") {
                read.own.add(Target::default(), Touch::ALL, || Arc::clone(&cause));
            }
            read.adds.get_or_insert(cause);
        }
        for field in GENERATORS.into_iter().filter(|field| is_set(&value[field])) {
            read.adds.get_or_insert_with(|| reading.cause(&FieldPath::of([field]), format!("`{field}`")));
        }
        for field in TRANSFORMERS.into_iter().filter(|field| is_set(&value[field])) {
            let cause = || reading.cause(&FieldPath::of([field]), format!("`{field}`"));
            read.own.add(Target::default(), Touch::ALL, cause);
        }
        let pairs = [("commonLabels", &value["commonLabels"]), ("commonAnnotations", &value["commonAnnotations"])];
        let labels = value["labels"].as_array().into_iter().flatten().map(|item| ("labels", &item["pairs"]));
        for (field, pairs) in pairs.into_iter().chain(labels) {
            let touch = self.fields.of_keys(pairs.as_object().into_iter().flatten().map(|(key, _)| key));
            let cause = || reading.cause(&FieldPath::of([field]), format!("`{field}`"));
            read.own.add(Target::default(), touch, cause);
        }
        let mut texts = HashMap::new();
        for field in PATCHES {
            for (index, item) in value[field].as_array().into_iter().flatten().enumerate() {
                self.add_patch(&mut read, reading, &FieldPath::of([field]).index(index), item, &mut texts);
            }
        }
        for (index, item) in value["replacements"].as_array().into_iter().flatten().enumerate() {
            let cause = || reading.cause(&FieldPath::of(["replacements"]).index(index), "the replacement".to_owned());
            self.add_replacements(&mut read.own, reading, item, &cause);
        }
        read
    }

    /// Adds a patch. `texts` are the patches in the kustomization, of which aliases may repeat one often.
    fn add_patch<'v>(
        &mut self,
        read: &mut KustomizationEffects,
        reading: Reading<'_>,
        path: &FieldPath,
        item: &'v Value,
        texts: &mut HashMap<&'v str, Arc<PatchFile>>,
    ) {
        let (text, file) = match item {
            // The path of a file, or the text of a patch.
            Value::String(text) => (Some(text.as_str()), Some(text.as_str())),
            item => (item["patch"].as_str(), item["path"].as_str()),
        };
        let selector = Some(&item["target"]).filter(|target| !target.is_null());
        let file = file.filter(|file| !file.contains('\n')).and_then(|file| reading.file(file));
        let patches = match (file, text) {
            (Some(file), _) => self.patch_file(&file),
            (None, Some(text)) => {
                let read = || {
                    let mut patches = PatchFile::default();
                    self.add_text(&mut patches, text, || reading.cause(path, "the patch".to_owned()));
                    Arc::new(patches)
                };
                Arc::clone(texts.entry(text).or_insert_with(read))
            }
            (None, None) => Arc::new(PatchFile::unreadable(|| reading.cause(path, "the patch".to_owned()))),
        };
        let touch = if item["options"].is_null() { patches.touch } else { patches.touch_with_names };
        match (selector, &patches.first) {
            (Some(selector), Some(first)) => {
                read.own.add(Target::of_selector(selector), touch, || Arc::clone(first));
            }
            (None, Some(_)) if !read.files.iter().any(|known| Arc::ptr_eq(known, &patches.effects)) => {
                read.files.push(Arc::clone(&patches.effects));
            }
            _ => {}
        }
    }

    fn patch_file(&mut self, path: &Path) -> Arc<PatchFile> {
        if let Some(known) = self.files.get(path) {
            return Arc::clone(known);
        }
        let source = Source::of_file(path);
        let name: Arc<str> = source.name.as_str().into();
        let mut patches = PatchFile::default();
        let mut is_read = false;
        let whole = || {
            let position = super::Position { line: 1, column: 1 };
            Arc::new(Cause { what: "the patch".into(), file: Arc::clone(&name), position })
        };
        for chunk in source.chunks().into_iter().flatten() {
            let Ok(chunk) = chunk else {
                patches.add(Target::default(), Touch::ALL, Touch::ALL, whole);
                break;
            };
            for document in chunk.manifest().documents() {
                is_read = true;
                match document {
                    Ok(document) => {
                        let reading = Reading { name: &name, source: &source, document: &document };
                        let cause = || reading.cause(&FieldPath::default(), "the patch".to_owned());
                        self.add_document(&mut patches, &document, &cause);
                    }
                    Err(_) => patches.add(Target::default(), Touch::ALL, Touch::ALL, whole),
                }
            }
        }
        if !is_read {
            patches.add(Target::default(), Touch::ALL, Touch::ALL, whole);
        }
        let patches = Arc::new(patches);
        self.files.insert(path.to_owned(), Arc::clone(&patches));
        patches
    }

    fn add_text(&self, patches: &mut PatchFile, text: &str, cause: impl Fn() -> Arc<Cause>) {
        let mut is_read = false;
        for document in Manifest::new(text).documents() {
            is_read = true;
            match document {
                Ok(document) => self.add_document(patches, &document, &cause),
                Err(_) => patches.add(Target::default(), Touch::ALL, Touch::ALL, &cause),
            }
        }
        if !is_read {
            patches.add(Target::default(), Touch::ALL, Touch::ALL, &cause);
        }
    }

    /// Adds a document, which is a patch or a list of patches.
    fn add_document(&self, patches: &mut PatchFile, document: &Document<'_>, cause: &dyn Fn() -> Arc<Cause>) {
        let value = &document.value;
        let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        let items = match &value["items"] {
            Value::Array(items) if is_list => items.as_slice(),
            _ if value.is_null() => &[],
            _ => std::slice::from_ref(value),
        };
        for patch in items {
            let [touch, with_names] = [false, true].map(|may_rename| match document.duplicate {
                Some(_) => Touch::ALL,
                None => self.fields.of_patch(patch, may_rename),
            });
            patches.add(Target::of_object(patch), touch, with_names, cause);
        }
    }

    /// Adds a replacement, or the file with replacements that it names.
    fn add_replacements(
        &self,
        effects: &mut Effects,
        reading: Reading<'_>,
        item: &Value,
        cause: &dyn Fn() -> Arc<Cause>,
    ) {
        let Some(path) = item.get("path") else {
            return self.add_replacement(effects, item, cause);
        };
        let read = || {
            let path = reading.file(path.as_str()?)?;
            let source = Source::of_file(&path);
            let mut all = Vec::new();
            for chunk in source.chunks().ok()? {
                for document in chunk.ok()?.manifest().documents() {
                    all.push(document.ok()?.value);
                }
            }
            Some(all)
        };
        match read() {
            Some(values) => {
                let items = values.iter().flat_map(|value| match value {
                    Value::Array(items) => items.as_slice(),
                    value => std::slice::from_ref(value),
                });
                items.for_each(|item| self.add_replacement(effects, item, cause));
            }
            None => effects.add(Target::default(), Touch::ALL, cause),
        }
    }

    fn add_replacement(&self, effects: &mut Effects, item: &Value, cause: &dyn Fn() -> Arc<Cause>) {
        let Some(targets) = item["targets"].as_array() else {
            return effects.add(Target::default(), Touch::ALL, cause);
        };
        for target in targets {
            let touch = match &target["fieldPaths"] {
                Value::Array(paths) => paths.iter().fold(Touch::default(), |all, path| {
                    all.with(path.as_str().map_or(Touch::ALL, |path| self.fields.of_path(&field_path(path))))
                }),
                _ => Touch::ALL,
            };
            effects.add(Target::of_selector(&target["select"]), touch, cause);
        }
    }
}

impl PatchFile {
    fn unreadable(cause: impl FnOnce() -> Arc<Cause>) -> Self {
        let mut patches = Self::default();
        patches.add(Target::default(), Touch::ALL, Touch::ALL, cause);
        patches
    }

    fn add(&mut self, target: Target<'_>, touch: Touch, with_names: Touch, cause: impl FnOnce() -> Arc<Cause>) {
        let is_harmless = self.touch.is_empty();
        self.touch = self.touch.with(touch);
        self.touch_with_names = self.touch_with_names.with(with_names);
        if touch.is_empty() && self.first.is_some() {
            return;
        }
        let cause = cause();
        if let Some(effects) = Arc::get_mut(&mut self.effects) {
            effects.add(target, touch, || Arc::clone(&cause));
        }
        if is_harmless || self.first.is_none() {
            self.first = Some(cause);
        }
    }
}

/// A kustomization, or a file with patches, that is read.
#[derive(Clone, Copy)]
struct Reading<'r> {
    name: &'r Arc<str>,
    source: &'r Source,
    document: &'r Document<'r>,
}

impl Reading<'_> {
    fn cause(self, path: &FieldPath, what: String) -> Arc<Cause> {
        let start = self.document.value_span(path).unwrap_or_default().start;
        let position = self.document.position(start);
        Arc::new(Cause { what: what.into(), file: Arc::clone(self.name), position })
    }

    /// A file that exists.
    fn file(self, path: &str) -> Option<PathBuf> {
        let folder = self.source.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        Some(folder.join(path)).filter(|path| path.is_file())
    }
}

/// Splits the path of a field in a replacement: dots separate fields, unless they are in brackets or escaped.
fn field_path(text: &str) -> Vec<String> {
    let (mut path, mut is_escaped, mut is_in_brackets) = (vec![String::new()], false, false);
    for c in text.chars() {
        let last = path.len() - 1;
        match c {
            _ if std::mem::take(&mut is_escaped) => path[last].push(c),
            '\\' => is_escaped = true,
            '[' => is_in_brackets = true,
            ']' => is_in_brackets = false,
            '.' if !is_in_brackets => path.push(String::new()),
            _ => path[last].push(c),
        }
    }
    path
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
