//! A Secret that is mounted: a folder whose files all change at once, as the kubelet swaps a symbolic link.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use colocate::tls::{Authority, Leaf};

/// The files of a certificate.
pub(crate) struct Mount {
    folder: PathBuf,
    /// How often it was written.
    versions: usize,
}

impl Mount {
    /// One in that folder, which does not exist, without contents.
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("the control plane's folder is ours");
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(file), folder.join(file)).expect("the folder is empty");
        }
        Self { folder, versions: 0 }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Replaces all files: a certificate, and the CAs that clients are to trust.
    pub(crate) fn write(&mut self, leaf: &Leaf, trusted: &[&Authority]) {
        self.versions += 1;
        let version = self.folder.join(format!("..{}", self.versions));
        fs::create_dir(&version).expect("each version is new");
        let trusted: String = trusted.iter().map(|authority| authority.certificate_pem()).collect();
        for (file, text) in [("tls.crt", leaf.certificate_pem()), ("tls.key", leaf.key_pem()), ("ca.crt", trusted)] {
            fs::write(version.join(file), text).expect("the folder is there");
        }
        let (new, data) = (self.folder.join("..data_tmp"), self.folder.join("..data"));
        symlink(version.file_name().expect("it has one"), &new).expect("the one before was renamed");
        fs::rename(new, data).expect("both are in one folder");
    }
}
