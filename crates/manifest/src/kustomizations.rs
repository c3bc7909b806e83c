//! Kustomizations: which files are built together, and the namespaces that their objects get.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::kustomize_patch::KustomizePatch;
use super::source::Source;

/// The file names of a kustomization, as in kustomize's `konfig.RecognizedKustomizationFileNames`.
const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The most inclusions of one kustomization that are told apart. Kustomizations that include each other several times can have
/// exponentially many.
const MAX_INCLUSIONS: u32 = 1_000;

/// The kustomizations among the files of a run.
///
/// Only the fields that name other files, change namespaces and names, or patch objects are read. Resources that are URLs, or
/// that do not exist, are skipped.
#[derive(Debug, Default)]
pub struct Kustomizations {
    files: HashMap<PathBuf, BuiltFile>,
    inclusions: Vec<Inclusion>,
}

/// An inclusion, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InclusionId(u32);

/// An inclusion of a kustomization by another one. A kustomization that no other one includes has one without a parent: it is built
/// by itself. A component belongs to the inclusion of the kustomization that names it.
#[derive(Debug)]
pub(super) struct Inclusion {
    parent: Option<InclusionId>,
    /// The number of inclusions on the path to it, with itself.
    depth: u32,
    /// The namespace that objects get, from the outermost kustomization that sets one.
    namespace: Option<Arc<str>>,
    /// The namespace that its own kustomization sets.
    pub(super) own_namespace: Option<Arc<str>>,
    /// The prefixes and suffixes that its own kustomization and its components add to names, in order.
    pub(super) affixes: Vec<(Box<str>, Box<str>)>,
    /// The patches of its own kustomization and its components, in order.
    pub(super) patches: Vec<Arc<KustomizePatch>>,
}

/// The effect of kustomizations on a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BuiltFile {
    /// The inclusions of the kustomizations that name it, in order.
    pub(super) inclusions: Vec<InclusionId>,
    /// Whether it only patches other objects.
    pub(super) is_patch: bool,
}

/// The fields of a kustomization.
#[derive(Debug, Default)]
struct Kustomization {
    namespace: Option<Arc<str>>,
    /// The prefix and the suffix of names, if it sets any.
    affixes: Option<(Box<str>, Box<str>)>,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    components: Vec<PathBuf>,
    patch_files: Vec<PathBuf>,
    patches: Vec<Arc<KustomizePatch>>,
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

    /// The namespace that the objects of an inclusion get; `None` stands for the one that each object names itself.
    pub(super) fn namespace(&self, inclusion: InclusionId) -> Option<Arc<str>> {
        self.inclusion(inclusion).namespace.clone()
    }

    /// The inclusions from this one to the outermost one.
    pub(super) fn outwards(&self, inclusion: InclusionId) -> impl Iterator<Item = &Inclusion> {
        std::iter::successors(Some(self.inclusion(inclusion)), |own| own.parent.map(|id| self.inclusion(id)))
    }

    /// The number of inclusions that an inclusion shares with the nearest of `others`, from the outermost one; 0 if nothing builds
    /// them together.
    pub(super) fn common_depth(&self, own: InclusionId, others: &[InclusionId]) -> u32 {
        if others.binary_search(&own).is_ok() {
            return self.inclusion(own).depth;
        }
        let common = |other: &InclusionId| {
            let (mut a, mut b) = (Some(own), Some(*other));
            while let (Some(first), Some(second)) = (a, b) {
                // An inclusion has a greater number than the one that it is in.
                match first.cmp(&second) {
                    Ordering::Equal => return self.inclusion(first).depth,
                    Ordering::Greater => a = self.inclusion(first).parent,
                    Ordering::Less => b = self.inclusion(second).parent,
                }
            }
            0
        };
        others.iter().map(common).max().unwrap_or(0)
    }

    fn inclusion(&self, id: InclusionId) -> &Inclusion {
        &self.inclusions[id.0 as usize]
    }

    fn build(all: &HashMap<PathBuf, Kustomization>) -> Self {
        let included: HashSet<&PathBuf> =
            all.values().flat_map(|own| own.folders.iter().chain(&own.components)).collect();
        let resources: HashSet<&PathBuf> = all.values().flat_map(|kustomization| &kustomization.files).collect();
        let mut roots: Vec<&PathBuf> = all.keys().filter(|folder| !included.contains(*folder)).collect();
        roots.sort();
        let (mut built, mut folders, mut counts) = (Self::default(), Vec::new(), HashMap::new());
        let mut open: VecDeque<(&PathBuf, Option<InclusionId>)> = roots.into_iter().map(|root| (root, None)).collect();
        while let Some((folder, parent)) = open.pop_front() {
            let count: &mut u32 = counts.entry(folder).or_default();
            let outer = || std::iter::successors(parent, |id| built.inclusion(*id).parent);
            if *count == MAX_INCLUSIONS || outer().any(|id| folders[id.0 as usize] == folder) {
                continue;
            }
            let parts = with_components(all, folder);
            if parts.is_empty() {
                continue;
            }
            *count += 1;
            let id = InclusionId(u32::try_from(built.inclusions.len()).unwrap_or(u32::MAX));
            let parent_of = parent.map(|id| built.inclusion(id));
            // An outer kustomization transforms the result of an inner one, so its namespace wins.
            let namespace = parent_of.and_then(|parent| parent.namespace.clone());
            let own_namespace = parts.iter().rev().find_map(|part| part.namespace.clone());
            let namespace = namespace.or_else(|| own_namespace.clone());
            let patches = parts.iter().flat_map(|part| &part.patches).cloned().collect();
            let affixes = parts.iter().filter_map(|part| part.affixes.clone()).collect();
            let depth = parent_of.map_or(0, |parent| parent.depth) + 1;
            built.inclusions.push(Inclusion { parent, depth, namespace, own_namespace, affixes, patches });
            folders.push(folder);
            for part in parts {
                for path in part.files.iter().chain(&part.patch_files) {
                    let file = built.files.entry(path.clone()).or_default();
                    file.is_patch = !resources.contains(path);
                    if file.inclusions.last() != Some(&id) {
                        file.inclusions.push(id);
                    }
                }
                open.extend(part.folders.iter().map(|folder| (folder, Some(id))));
            }
        }
        built
    }
}

/// The kustomization in a folder, after the components that it includes, which kustomize applies first.
fn with_components<'a>(all: &'a HashMap<PathBuf, Kustomization>, folder: &'a PathBuf) -> Vec<&'a Kustomization> {
    let (mut parts, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![folder]);
    while let Some(folder) = open.pop() {
        let Some(part) = all.get(folder).filter(|_| seen.insert(folder)) else { continue };
        parts.push(part);
        open.extend(&part.components);
    }
    parts.reverse();
    parts
}

impl Kustomization {
    /// Reads the first document that is a mapping; `None` if there is none, or a document before it has an error.
    fn read(source: &Source, folder: &Path) -> Option<Self> {
        for chunk in source.chunks().ok()? {
            for document in chunk.ok()?.manifest().documents() {
                let document = document.ok()?;
                if document.value.is_object() {
                    let patches = KustomizePatch::all(source, &document).into_iter().map(Arc::new).collect();
                    return Some(Self { patches, ..Self::new(folder, &document.value) });
                }
            }
        }
        None
    }

    fn new(folder: &Path, value: &Value) -> Self {
        let namespace = value["namespace"].as_str().filter(|name| !name.is_empty()).map(Arc::from);
        let [prefix, suffix] = ["namePrefix", "nameSuffix"].map(|field| value[field].as_str().unwrap_or_default());
        let affixes = (!prefix.is_empty() || !suffix.is_empty()).then(|| (prefix.into(), suffix.into()));
        let mut own = Self { namespace, affixes, ..Self::default() };
        let paths = |key: &str| value[key].as_array().into_iter().flatten();
        for path in ["resources", "bases"].into_iter().flat_map(paths) {
            let Some(path) = existing(folder, path) else { continue };
            if path.is_dir() { own.folders.push(path) } else { own.files.push(path) }
        }
        own.components = paths("components").filter_map(|path| existing(folder, path)).collect();
        let by_path = ["patches", "patchesJson6902"].into_iter().flat_map(paths).map(|patch| &patch["path"]);
        own.patch_files =
            by_path.chain(paths("patchesStrategicMerge")).filter_map(|path| existing(folder, path)).collect();
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

    /// The namespace and the depth of each inclusion of a file, and whether it is a patch.
    fn of(file: &str, (directory, kustomizations): &(tempfile::TempDir, Kustomizations)) -> Option<String> {
        let BuiltFile { inclusions, is_patch } = kustomizations.file(&directory.path().join(file))?;
        let inclusions = inclusions.iter().map(|id| {
            let Inclusion { depth, namespace, .. } = kustomizations.inclusion(*id);
            format!("{}:{depth}", namespace.as_deref().unwrap_or("own"))
        });
        Some(format!("{} {is_patch}", inclusions.collect::<Vec<_>>().join(",")))
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
        assert_eq!(of("base/pod.yaml", &files).unwrap(), "dev:2,base:2 false");
        assert_eq!(of("overlays/dev/claim.yaml", &files).unwrap(), "dev:1 false");
        assert_eq!(of("overlays/prod/size.yaml", &files).unwrap(), "own:1 true");
        assert_eq!(of("overlays/prod/b.yaml", &files).unwrap(), "own:1 true");
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
        assert_eq!(of("a/x.yaml", &files).unwrap(), "a:2 false");
    }
}
