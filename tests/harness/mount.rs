//! A `ConfigMap` or a Secret that is mounted: a folder whose files all change at once, as the kubelet swaps a symbolic link.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The files, by their names.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The folder.
pub(crate) struct Mount {
    folder: PathBuf,
    /// How often it was written.
    versions: usize,
}

impl Mount {
    /// That folder, which does not exist, without contents.
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("the control plane's folder is ours");
        Self { folder, versions: 0 }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Replaces all files.
    pub(crate) fn write(&mut self, files: &Files) {
        self.versions += 1;
        let version = self.folder.join(format!("..{}", self.versions));
        fs::create_dir(&version).expect("each version is new");
        for (name, content) in files {
            fs::write(version.join(name), content).expect("the folder is there");
        }
        let (new, data) = (self.folder.join("..data_tmp"), self.folder.join("..data"));
        symlink(version.file_name().expect("it has one"), &new).expect("the one before was renamed");
        fs::rename(new, data).expect("both are in one folder");
        // One that is gone leads to nothing from now on.
        for name in files.keys() {
            let link = self.folder.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).expect("there is none of that name");
            }
        }
    }
}
