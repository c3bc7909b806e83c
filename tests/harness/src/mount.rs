//! A mounted `ConfigMap` or Secret. All files change at once, because the kubelet swaps a symbolic link.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The folder of a mount.
pub struct Mount {
    folder: PathBuf,
    /// The number of writes.
    versions: usize,
}

impl Mount {
    /// Creates that folder, which must not exist, as an empty mount.
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("the control plane's folder is writable");
        Self { folder, versions: 0 }
    }

    /// The path of the mount.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Replaces all files.
    pub fn write(&mut self, files: &Files) {
        self.versions += 1;
        let version = self.folder.join(format!("..{}", self.versions));
        fs::create_dir(&version).expect("each version is new");
        for (name, content) in files {
            fs::write(version.join(name), content).expect("the folder exists");
        }
        let (new, data) = (self.folder.join("..data_tmp"), self.folder.join("..data"));
        symlink(version.file_name().expect("the version has a name"), &new).expect("the previous link was renamed");
        fs::rename(new, data).expect("both are in the same folder");
        // The links of removed files stay, and dangle.
        for name in files.keys() {
            let link = self.folder.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).expect("the name is free");
            }
        }
    }
}
