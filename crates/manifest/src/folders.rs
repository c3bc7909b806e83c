//! The folders of files, and how near they are to each other.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path};

/// A folder, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FolderId(u32);

/// A tree of folders.
#[derive(Debug, Default)]
pub(super) struct Folders {
    folders: Vec<Folder>,
    ids: HashMap<(Option<FolderId>, OsString), FolderId>,
}

#[derive(Debug)]
struct Folder {
    parent: Option<FolderId>,
    depth: u32,
}

/// The nearness of a file to another. A greater value is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nearness {
    /// The depth of the deepest folder that contains both.
    common: u32,
    /// Whether it is directly in that folder.
    direct: bool,
}

impl Nearness {
    /// Returns true if the file is in the folder of the other one, or in a folder above.
    pub(super) fn is_upwards(self) -> bool {
        self.direct
    }
}

impl Folders {
    /// The folder of a file. Relative paths are relative to the working directory, and links to folders are followed if the
    /// folder exists.
    pub(super) fn of_file(&mut self, path: &Path) -> FolderId {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.into());
        let mut id = None;
        let root = Component::RootDir.as_os_str();
        for name in [root].into_iter().chain(folder.components().map(Component::as_os_str).filter(|name| *name != root))
        {
            let key = (id, name.to_owned());
            let next = FolderId(u32::try_from(self.folders.len()).unwrap_or(u32::MAX));
            let found = *self.ids.entry(key).or_insert(next);
            if found == next {
                let depth = id.map_or(0, |parent: FolderId| self.folders[parent.0 as usize].depth + 1);
                self.folders.push(Folder { parent: id, depth });
            }
            id = Some(found);
        }
        // The root is a folder, so there is at least one.
        id.unwrap_or(FolderId(0))
    }

    /// Returns the nearness of a file in the folder `other` to a file in the folder `own`.
    pub(super) fn nearness(&self, own: FolderId, other: FolderId) -> Nearness {
        let (mut a, mut b) = (own, other);
        while a != b {
            let (of_a, of_b) = (&self.folders[a.0 as usize], &self.folders[b.0 as usize]);
            if of_a.depth >= of_b.depth {
                a = of_a.parent.unwrap_or(b);
            }
            if of_b.depth >= of_a.depth {
                b = of_b.parent.unwrap_or(a);
            }
        }
        Nearness { common: self.folders[a.0 as usize].depth, direct: a == other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deeper_common_folder_is_nearer_and_direct_files_come_first() {
        let mut folders = Folders::default();
        let own = folders.of_file(Path::new("/app/overlays/dev/pod.yaml"));
        let mut others = [
            "/app/overlays/dev/claim.yaml",
            "/app/overlays/dev/storage/deep/claim.yaml",
            "/app/overlays/claim.yaml",
            "/app/overlays/prod/claim.yaml",
            "/app/claim.yaml",
            "/app/base/claim.yaml",
            "/claim.yaml",
            "/other/claim.yaml",
        ]
        .map(|path| (folders.of_file(Path::new(path)), path));
        let sorted = others.map(|(_, path)| path);
        others.reverse();
        others.sort_by_key(|(folder, _)| std::cmp::Reverse(folders.nearness(own, *folder)));
        assert_eq!(others.map(|(_, path)| path), sorted);
        assert_eq!(folders.of_file(Path::new("/app/overlays/dev/x.yaml")), own);
        let nearness = |a, b: &str, folders: &mut Folders| {
            let b = folders.of_file(Path::new(b));
            folders.nearness(a, b)
        };
        assert_eq!(
            nearness(own, "/app/overlays/dev/a/x.yaml", &mut folders),
            nearness(own, "/app/overlays/dev/b/c/x.yaml", &mut folders),
            "files below a folder are equally near"
        );
    }
}
