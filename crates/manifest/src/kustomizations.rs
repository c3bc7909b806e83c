//! Kustomizations: which files are built together, the namespaces that their objects get, and what may change the objects.
//!
//! Kustomizations are not built. What they may change stays unresolved.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::FieldPath;
use super::description::DescriptionKind;
use super::document::Document;
use super::known_objects::Purpose;
use super::kustomize_effects::{Cause, DecisiveFields, Target, Touch};
use super::kustomize_reader::{EffectsReader, KustomizationEffects};
use super::position::Position;
use super::source::Source;
use colocate_engine::Policy;

/// The file names of a kustomization, as in kustomize's `konfig.RecognizedKustomizationFileNames`.
const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The most inclusions of one kustomization that are told apart. Kustomizations that include each other several times can have
/// exponentially many.
const MAX_INCLUSIONS: u32 = 1_000;

/// The kustomizations among the files of a run.
#[derive(Debug, Default)]
pub struct Kustomizations {
    files: HashMap<PathBuf, BuiltFile>,
    inclusions: Vec<Inclusion>,
    /// Those of each kustomization.
    effects: Vec<KustomizationEffects>,
    /// The builds, by the outermost inclusion.
    builds: HashMap<InclusionId, Build>,
}

/// An inclusion, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InclusionId(u32);

/// The prefix and the suffix that a kustomization adds to names.
type Affix = (Box<str>, Box<str>);

/// An inclusion of a kustomization by another one. A kustomization that no other one includes has one without a parent: it is built
/// by itself. A component belongs to the inclusion of the kustomization that names it.
#[derive(Debug)]
struct Inclusion {
    parent: Option<InclusionId>,
    /// The outermost one around it.
    root: InclusionId,
    /// The number of inclusions on the path to it, with itself.
    depth: u32,
    /// The namespace that objects get, from the outermost kustomization that sets one.
    namespace: Option<Arc<str>>,
    /// Whether its kustomization or one of its components changes names.
    has_affixes: bool,
    /// The numbers of its kustomization and of its components.
    parts: Vec<usize>,
    /// Something that may change all objects, because the inclusion is not known exactly.
    unknown: Option<Arc<Cause>>,
}

/// The facts that all files of one `kustomize build` have in common.
#[derive(Debug, Default)]
struct Build {
    /// The folder that is built.
    folder: Box<str>,
    /// The first cause for which an object of each kind may be in no file.
    adds: [Option<Arc<Cause>>; DescriptionKind::ALL.len()],
    /// The first cause for which the default class may be another one.
    default_class: Option<Arc<Cause>>,
    affixes: BTreeSet<Affix>,
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
#[derive(Debug)]
struct Kustomization {
    /// The name and the folder of its file.
    name: Arc<str>,
    folder: Box<str>,
    namespace: Option<Arc<str>>,
    affix: Option<Affix>,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    components: Vec<PathBuf>,
    patch_files: Vec<PathBuf>,
    /// The number of its effects.
    effects: usize,
}

impl Kustomizations {
    /// Reads the kustomizations among `sources`. Those that cannot be read or parsed are skipped, because the caller reads all
    /// files anyway.
    pub fn read<'s>(sources: impl IntoIterator<Item = &'s Source>, policy: &Policy, purpose: Purpose) -> Self {
        let sources: Vec<_> = sources.into_iter().collect();
        let real = |path: &Path| path.canonicalize().ok();
        let (mut own, mut all) = (Self::default(), HashMap::new());
        let kustomizations = sources.iter().filter_map(|source| Some((source, source.path.as_deref()?)));
        let kustomizations: Vec<_> = kustomizations
            .filter(|(_, path)| is_kustomization(path))
            .filter_map(|(source, path)| Some((*source, real(path)?.parent()?.to_owned())))
            .collect();
        if kustomizations.is_empty() {
            return own;
        }
        let folders = kustomizations.iter().map(|(_, folder)| folder.clone());
        let files: HashSet<_> =
            sources.iter().filter_map(|source| real(source.path.as_deref()?)).chain(folders).collect();
        let mut reader = EffectsReader::new(DecisiveFields::new(policy, purpose));
        for (source, folder) in kustomizations {
            if let Some((kustomization, effects)) =
                Kustomization::read(source, &folder, &files, own.effects.len(), &mut reader)
            {
                all.entry(folder).or_insert(kustomization);
                own.effects.push(effects);
            }
        }
        own.include(&all);
        own.collect_builds();
        own
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

    /// The first thing that may change an object in this respect if an inclusion is built.
    pub(super) fn change(&self, inclusion: InclusionId, object: Target<'_>, touch: Touch) -> Option<&Arc<Cause>> {
        let is_renamed = self.has_affixes(inclusion);
        self.outwards(inclusion).find_map(|own| {
            let mut effects = own.parts.iter().flat_map(|part| self.effects[*part].all());
            own.unknown.as_ref().or_else(|| effects.find_map(|effects| effects.find(object, is_renamed, touch)))
        })
    }

    /// The first cause for which the build of an inclusion may have an object of this kind that is in none of its files; without a
    /// name, the default class.
    pub(super) fn addition(&self, inclusion: InclusionId, kind: DescriptionKind, name: Option<&str>) -> Option<&Cause> {
        let build = self.build(inclusion)?;
        let index = DescriptionKind::ALL.iter().position(|own| *own == kind)?;
        let default_class = build.default_class.as_ref().filter(|_| name.is_none());
        default_class.or(build.adds[index].as_ref()).map(|cause| &**cause)
    }

    /// Returns true if an object in the build of an inclusion may get this name by a prefix or suffix.
    pub(super) fn may_be_prefixed(&self, inclusion: InclusionId, name: &str) -> bool {
        self.build(inclusion).is_some_and(|build| {
            build.affixes.iter().any(|(prefix, suffix)| name.starts_with(&**prefix) && name.ends_with(&**suffix))
        })
    }

    /// Returns true if a kustomization changes the names of the objects of an inclusion.
    pub(super) fn has_affixes(&self, inclusion: InclusionId) -> bool {
        self.outwards(inclusion).any(|own| own.has_affixes)
    }

    /// Returns true if objects of one of `others` have the name that their file gives them, as seen from `own`: every kustomization
    /// that changes it changes references to it as well.
    pub(super) fn keeps_names(&self, own: Option<InclusionId>, others: &[InclusionId]) -> bool {
        let around = |id: InclusionId| std::iter::successors(Some(id), |id| self.inclusion(*id).parent);
        let shared: HashSet<_> = own.into_iter().flat_map(around).collect();
        let keeps = |id: InclusionId| around(id).all(|id| !self.inclusion(id).has_affixes || shared.contains(&id));
        others.is_empty() || others.iter().any(|other| keeps(*other))
    }

    /// The advice to build what an inclusion belongs to.
    pub(super) fn advice(&self, inclusion: InclusionId) -> String {
        let folder = self.build(inclusion).map_or("DIR", |build| &build.folder);
        format!("use the output of `kustomize build {folder}`")
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

    /// The inclusions from this one to the outermost one.
    fn outwards(&self, inclusion: InclusionId) -> impl Iterator<Item = &Inclusion> {
        std::iter::successors(Some(self.inclusion(inclusion)), |own| own.parent.map(|id| self.inclusion(id)))
    }

    fn build(&self, inclusion: InclusionId) -> Option<&Build> {
        self.builds.get(&self.inclusion(inclusion).root)
    }

    /// Finds all inclusions.
    fn include(&mut self, all: &HashMap<PathBuf, Kustomization>) {
        let included: HashSet<&PathBuf> =
            all.values().flat_map(|own| own.folders.iter().chain(&own.components)).collect();
        let resources: HashSet<&PathBuf> = all.values().flat_map(|kustomization| &kustomization.files).collect();
        let mut roots: Vec<&PathBuf> = all.keys().filter(|folder| !included.contains(*folder)).collect();
        roots.sort();
        let (mut folders, mut counts) = (Vec::new(), HashMap::new());
        let mut open: VecDeque<(&PathBuf, Option<InclusionId>)> = roots.into_iter().map(|root| (root, None)).collect();
        // Those that only a cycle includes come last.
        let (mut rest, mut seen): (Vec<&PathBuf>, HashSet<&PathBuf>) = (all.keys().collect(), HashSet::new());
        rest.sort_by(|a, b| b.cmp(a));
        loop {
            let mut of_cycle = || std::iter::from_fn(|| rest.pop()).find(|folder| !seen.contains(folder));
            let Some((folder, parent)) = open.pop_front().or_else(|| Some((of_cycle()?, None))) else { break };
            let count: &mut u32 = counts.entry(folder).or_default();
            let mut outer = std::iter::successors(parent, |id| self.inclusion(*id).parent);
            // One more stands for all others.
            if *count > MAX_INCLUSIONS || outer.any(|id| folders[id.0 as usize] == folder) {
                continue;
            }
            let parts = with_components(all, folder, &mut seen);
            if parts.is_empty() {
                continue;
            }
            *count += 1;
            let is_last = *count > MAX_INCLUSIONS;
            let id = self.add_inclusion(parent, &parts, is_last);
            folders.push(folder);
            for part in parts {
                for path in part.files.iter().chain(&part.patch_files) {
                    let file = self.files.entry(path.clone()).or_default();
                    file.is_patch = !resources.contains(path);
                    if file.inclusions.last() != Some(&id) {
                        file.inclusions.push(id);
                    }
                }
                open.extend(part.folders.iter().map(|folder| (folder, Some(id))));
            }
        }
    }

    /// Adds an inclusion of the last of `parts`, after its components. The last one that is told apart `is_last`.
    fn add_inclusion(&mut self, parent: Option<InclusionId>, parts: &[&Kustomization], is_last: bool) -> InclusionId {
        let id = InclusionId(u32::try_from(self.inclusions.len()).unwrap_or(u32::MAX));
        let parent_of = parent.map(|id| self.inclusion(id));
        // An outer kustomization transforms the result of an inner one, so its namespace wins.
        let outer = parent_of.and_then(|parent| parent.namespace.clone());
        let own = parts.last().and_then(|part| part.namespace.clone());
        // The namespace of a component applies to what was read before it.
        let other = parts.iter().find(|part| part.namespace.is_some() && part.namespace != own);
        let cause = |part: &Kustomization, what: String| {
            Arc::new(Cause {
                what: what.into(),
                file: Arc::clone(&part.name),
                position: Position { line: 1, column: 1 },
            })
        };
        let unknown = match (other.filter(|_| outer.is_none()), parts.last()) {
            (Some(part), _) => Some(cause(part, "the namespace of the component".to_owned())),
            (None, Some(part)) if is_last => {
                Some(cause(part, format!("one of the more than {MAX_INCLUSIONS} builds of the kustomization")))
            }
            _ => None,
        };
        let namespace = outer.or(own).or_else(|| other.and_then(|part| part.namespace.clone()));
        let depth = parent_of.map_or(0, |parent| parent.depth) + 1;
        let root = parent_of.map_or(id, |parent| parent.root);
        let affixes: Vec<_> = parts.iter().filter_map(|part| part.affix.clone()).collect();
        let has_affixes = !affixes.is_empty();
        let effects = parts.iter().map(|part| part.effects).collect();
        let folder = parts.last().map(|part| part.folder.clone()).unwrap_or_default();
        let build = self.builds.entry(root).or_insert_with(|| Build { folder, ..Build::default() });
        build.affixes.extend(affixes);
        self.inclusions.push(Inclusion { parent, root, depth, namespace, has_affixes, parts: effects, unknown });
        id
    }

    /// Finds what may be in each build.
    fn collect_builds(&mut self) {
        let mut seen = HashSet::new();
        for own in &self.inclusions {
            let Some(build) = self.builds.get_mut(&own.root) else { continue };
            let parts =
                own.parts.iter().filter(|part| seen.insert((own.root, **part))).map(|part| &self.effects[*part]);
            for part in parts {
                let adds = || own.unknown.as_ref().or(part.adds.as_ref());
                for (kind, slot) in DescriptionKind::ALL.into_iter().zip(&mut build.adds) {
                    if slot.is_none() {
                        *slot = adds().or_else(|| part.all().find_map(|effects| effects.renames(kind))).cloned();
                    }
                }
                if build.default_class.is_none() {
                    let of_classes = || part.all().find_map(|effects| effects.of_classes());
                    build.default_class = adds().or_else(of_classes).cloned();
                }
            }
        }
    }
}

/// The kustomization in a folder, after the components that it includes, which kustomize applies first. Adds their folders to
/// `all_seen`.
fn with_components<'a>(
    all: &'a HashMap<PathBuf, Kustomization>,
    folder: &'a PathBuf,
    all_seen: &mut HashSet<&'a PathBuf>,
) -> Vec<&'a Kustomization> {
    let (mut parts, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![folder]);
    while let Some(folder) = open.pop() {
        let Some(part) = all.get(folder).filter(|_| seen.insert(folder)) else { continue };
        parts.push(part);
        open.extend(&part.components);
    }
    all_seen.extend(seen);
    parts.reverse();
    parts
}

impl Kustomization {
    /// Reads the first document that is a mapping; `None` if there is none, or a document before it has an error. `known` are the
    /// files and folders that are read.
    fn read(
        source: &Source,
        folder: &Path,
        known: &HashSet<PathBuf>,
        effects: usize,
        reader: &mut EffectsReader,
    ) -> Option<(Self, KustomizationEffects)> {
        for chunk in source.chunks().ok()? {
            for document in chunk.ok()?.manifest().documents() {
                let document = document.ok()?;
                if document.value.is_object() {
                    let (own, unknown) = Self::new(source, folder, &document, known, effects);
                    return Some((own, reader.read(source, &document, unknown)));
                }
            }
        }
        None
    }

    /// Reads the fields. Also returns those that name what is not read.
    fn new(
        source: &Source,
        folder: &Path,
        document: &Document<'_>,
        known: &HashSet<PathBuf>,
        effects: usize,
    ) -> (Self, Vec<(FieldPath, String)>) {
        let value = &document.value;
        let [prefix, suffix] = ["namePrefix", "nameSuffix"].map(|field| value[field].as_str().unwrap_or_default());
        let parent = source.path.as_deref().and_then(Path::parent).map(|path| path.display().to_string());
        let mut own = Self {
            name: source.name.as_str().into(),
            folder: parent.filter(|folder| !folder.is_empty()).unwrap_or_else(|| ".".to_owned()).into(),
            namespace: value["namespace"].as_str().filter(|name| !name.is_empty()).map(Arc::from),
            affix: (!prefix.is_empty() || !suffix.is_empty()).then(|| (prefix.into(), suffix.into())),
            files: Vec::new(),
            folders: Vec::new(),
            components: Vec::new(),
            patch_files: Vec::new(),
            effects,
        };
        let mut unknown = Vec::new();
        for field in ["resources", "bases", "components"] {
            for (index, item) in value[field].as_array().into_iter().flatten().enumerate() {
                match existing(folder, item).filter(|path| known.contains(path)) {
                    Some(path) if field == "components" => own.components.push(path),
                    Some(path) if path.is_dir() => own.folders.push(path),
                    Some(path) => own.files.push(path),
                    None => {
                        let what = format!("`{}`, which is not among the files,", item.as_str().unwrap_or_default());
                        unknown.push((FieldPath::of([field]).index(index), what));
                    }
                }
            }
        }
        let items = |key: &str| value[key].as_array().into_iter().flatten();
        let by_path = ["patches", "patchesJson6902"].into_iter().flat_map(items).map(|patch| &patch["path"]);
        own.patch_files =
            by_path.chain(items("patchesStrategicMerge")).filter_map(|path| existing(folder, path)).collect();
        (own, unknown)
    }
}

/// The real path of a file or folder that a kustomization in `folder` names; `None` for a URL, an inline patch, or a path that
/// does not exist.
fn existing(folder: &Path, path: &Value) -> Option<PathBuf> {
    let path = path.as_str().filter(|path| !path.contains('\n'))?;
    folder.join(path).canonicalize().ok()
}

/// Returns true if a file is a kustomization by its name.
pub(super) fn is_kustomization(path: &Path) -> bool {
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
        let kustomizations = Kustomizations::read(&found.sources, &Policy::default(), Purpose::Mutate);
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
