//! Kustomizations: which files are built together, and the namespaces that their objects get.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::source::Source;

/// The file names of a kustomization, as in kustomize's `konfig.RecognizedKustomizationFileNames`.
const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The kustomizations among the files of a run.
///
/// Only the fields that name other files or set the namespace are read. Resources that are URLs, or that do not exist, are skipped.
#[derive(Debug, Default)]
pub struct Kustomizations {
    files: HashMap<PathBuf, BuiltFile>,
}

/// The effect of kustomizations on a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BuiltFile {
    /// The outermost kustomizations that include it, by number.
    pub(super) builds: BTreeSet<usize>,
    /// The namespaces that its objects get; `None` stands for the one that each object names itself.
    pub(super) namespaces: BTreeSet<Option<Arc<str>>>,
    /// Whether it is a patch of other objects.
    pub(super) is_patch: bool,
}

/// The fields of a kustomization.
#[derive(Debug, Default)]
struct Kustomization {
    namespace: Option<Arc<str>>,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    patches: Vec<PathBuf>,
}

impl Kustomizations {
    /// Reads the kustomizations among `sources`. Those that cannot be read or parsed are skipped, because the caller reads all
    /// files anyway.
    pub fn read<'s>(sources: impl IntoIterator<Item = &'s Source>) -> Self {
        let mut all = HashMap::new();
        for source in sources {
            let Some(path) = source.path.as_deref().filter(|path| is_kustomization(path)) else { continue };
            let Some(folder) = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)) else {
                continue;
            };
            if let Some(kustomization) = Kustomization::read(source, &folder) {
                all.entry(folder).or_insert(kustomization);
            }
        }
        Self::build(&all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the effect of kustomizations on a file; `None` if no kustomization names the file.
    pub(super) fn file(&self, path: &Path) -> Option<&BuiltFile> {
        self.files.get(&path.canonicalize().ok()?)
    }

    fn build(all: &HashMap<PathBuf, Kustomization>) -> Self {
        let included: HashSet<&PathBuf> = all.values().flat_map(|kustomization| &kustomization.folders).collect();
        let mut roots: Vec<&PathBuf> = all.keys().filter(|folder| !included.contains(folder)).collect();
        roots.sort();
        let mut built = Self::default();
        for (build, root) in roots.into_iter().enumerate() {
            let mut seen: HashSet<(&PathBuf, Option<&Arc<str>>)> = HashSet::new();
            let mut open = VecDeque::from([(root, None)]);
            while let Some((folder, outer)) = open.pop_front() {
                let Some(kustomization) = all.get(folder).filter(|_| seen.insert((folder, outer))) else { continue };
                // An outer kustomization transforms the result of an inner one, so its namespace wins.
                let namespace = outer.or(kustomization.namespace.as_ref());
                for path in &kustomization.files {
                    let file = built.files.entry(path.clone()).or_default();
                    file.builds.insert(build);
                    file.namespaces.insert(namespace.cloned());
                }
                for path in &kustomization.patches {
                    let file = built.files.entry(path.clone()).or_default();
                    file.builds.insert(build);
                    file.namespaces.insert(namespace.cloned());
                    file.is_patch = true;
                }
                open.extend(kustomization.folders.iter().map(|folder| (folder, namespace)));
            }
        }
        built
    }
}

impl Kustomization {
    /// Reads the first document that is a mapping; `None` if there is none, or a document before it has an error.
    fn read(source: &Source, folder: &Path) -> Option<Self> {
        for chunk in source.chunks().ok()? {
            for document in chunk.ok()?.manifest().documents() {
                let value = document.ok()?.value;
                if value.is_object() {
                    return Some(Self::new(folder, &value));
                }
            }
        }
        None
    }

    fn new(folder: &Path, value: &Value) -> Self {
        let namespace = value["namespace"].as_str().filter(|name| !name.is_empty()).map(Arc::from);
        let mut own = Self { namespace, ..Self::default() };
        let paths = |key: &str| value[key].as_array().into_iter().flatten();
        for path in ["resources", "bases", "components"].into_iter().flat_map(paths) {
            let Some(path) = existing(folder, path) else { continue };
            if path.is_dir() { own.folders.push(path) } else { own.files.push(path) }
        }
        let by_path = ["patches", "patchesJson6902"].into_iter().flat_map(paths).map(|patch| &patch["path"]);
        own.patches = by_path.chain(paths("patchesStrategicMerge")).filter_map(|path| existing(folder, path)).collect();
        own
    }
}

/// The real path of a file or folder that a kustomization in `folder` names; `None` for a URL, an inline patch, or a path that
/// does not exist.
fn existing(folder: &Path, path: &Value) -> Option<PathBuf> {
    let path = path.as_str().filter(|path| !path.contains('\n'))?;
    folder.join(path).canonicalize().ok()
}

fn is_kustomization(path: &Path) -> bool {
    path.file_name().is_some_and(|name| FILE_NAMES.iter().any(|known| *known == name))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::FileSearch;

    /// Writes files into a directory of their own, and reads the kustomizations among them.
    pub(crate) fn read(files: &[(&str, &str)]) -> (tempfile::TempDir, Kustomizations) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = FileSearch::new(&[]).unwrap().find(&[directory.path().to_owned()]);
        let kustomizations = Kustomizations::read(&found.sources);
        (directory, kustomizations)
    }

    /// The namespaces and builds of a file, and whether it is a patch.
    fn of(file: &str, (directory, kustomizations): &(tempfile::TempDir, Kustomizations)) -> Option<String> {
        let BuiltFile { builds, namespaces, is_patch } = kustomizations.file(&directory.path().join(file))?;
        let namespaces: Vec<_> = namespaces.iter().map(|name| name.as_deref().unwrap_or("own")).collect();
        Some(format!("{} {builds:?} {is_patch}", namespaces.join(",")))
    }

    #[test]
    fn a_base_gets_the_namespace_of_each_outermost_overlay() {
        let files = read(&[
            ("base/kustomization.yaml", "namespace: base\nresources: [pod.yaml, https://example.test/x, missing.yaml]"),
            ("base/pod.yaml", ""),
            ("overlays/dev/kustomization.yml", "namespace: dev\nresources: [../../base, claim.yaml]"),
            ("overlays/dev/claim.yaml", ""),
            (
                "overlays/prod/kustomization.yaml",
                "bases: [../../base]\npatches: [{path: size.yaml}, {patch: 'a: b'}]\npatchesStrategicMerge: ['a: 1\n', b.yaml]",
            ),
            ("overlays/prod/size.yaml", ""),
            ("overlays/prod/b.yaml", ""),
            ("overlays/prod/unlisted.yaml", ""),
        ]);
        assert_eq!(of("base/pod.yaml", &files).unwrap(), "base,dev {0, 1} false");
        assert_eq!(of("overlays/dev/claim.yaml", &files).unwrap(), "dev {0} false");
        assert_eq!(of("overlays/prod/size.yaml", &files).unwrap(), "own {1} true");
        assert_eq!(of("overlays/prod/b.yaml", &files).unwrap(), "own {1} true");
        assert_eq!(of("overlays/prod/unlisted.yaml", &files), None);
    }

    #[test]
    fn a_cycle_of_kustomizations_terminates() {
        let files = read(&[
            ("kustomization.yaml", "namespace: a\nresources: [a]"),
            ("a/kustomization.yaml", "resources: [../b, x.yaml]"),
            ("a/x.yaml", ""),
            ("b/kustomization.yaml", "namespace: b\nresources: [../a]"),
        ]);
        assert_eq!(of("a/x.yaml", &files).unwrap(), "a {0} false");
    }
}
