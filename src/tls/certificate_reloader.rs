//! Reloads a certificate when its files change.
//!
//! The files are polled and compared: the kubelet updates a mounted Secret by swapping a symbolic link, which a watch on the
//! file does not notice.

use std::time::Duration;

use jiff::Timestamp;

use super::{CertificateFileError, CertificateFiles, CertificateResolver};

/// The interval at which the files are read. The kubelet needs up to two minutes to update them.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the certificate of the files in a [`CertificateResolver`].
pub struct CertificateReloader<F> {
    files: CertificateFiles,
    resolver: CertificateResolver,
    /// Called with the end of each new certificate.
    renewed: F,
    /// The failure that was logged last.
    failure: Option<String>,
}

impl<F: Fn(Option<Timestamp>)> CertificateReloader<F> {
    /// Reads the files for the first time, and serves their certificate.
    ///
    /// # Errors
    /// If the files cannot be served.
    pub fn begin(
        files: CertificateFiles,
        resolver: CertificateResolver,
        renewed: F,
    ) -> Result<Self, CertificateFileError> {
        resolver.serve(files.read(Timestamp::now())?);
        renewed(resolver.expiry());
        Ok(Self { files, resolver, renewed, failure: None })
    }

    /// Reads the files at intervals, forever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.reload(Timestamp::now());
        }
    }

    /// Serves the certificate of the files if it is new and can be served.
    fn reload(&mut self, now: Timestamp) {
        match self.files.read(now) {
            Ok(read) => {
                self.failure = None;
                if self.resolver.served().is_none_or(|served| *served != read) {
                    tracing::info!(
                        file = %self.files.certificate.display(),
                        until = %read.certificate.validity().not_after(),
                        "serving a new certificate"
                    );
                    self.resolver.serve(read);
                    (self.renewed)(self.resolver.expiry());
                }
            }
            Err(error) => {
                let failure = error.to_string();
                // Each failure is logged once. A pair that is half written is complete the next time.
                if self.failure.as_ref() != Some(&failure) {
                    tracing::error!("{failure}; the previous certificate stays in use");
                    self.failure = Some(failure);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use jiff::SignedDuration;

    use super::*;
    use crate::tls::{Authority, Leaf, Validity};

    fn issue() -> Leaf {
        let validity = Validity::new(Timestamp::now(), SignedDuration::from_hours(2)).unwrap();
        let authority = Authority::new("a", validity).unwrap();
        authority.issue(&["colocate.storage.svc".parse().unwrap()], validity).unwrap()
    }

    fn write(folder: &Path, certificate: &Leaf, key: &Leaf) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("tls.crt"), certificate.certificate_pem()).unwrap();
        std::fs::write(folder.join("tls.key"), key.key_pem()).unwrap();
    }

    #[test]
    fn a_swapped_link_is_noticed_and_invalid_files_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let [first, second] = [issue(), issue()];
        write(&path("first"), &first, &first);
        write(&path("mixed"), &second, &first);
        write(&path("second"), &second, &second);
        let swap = |to: &str| {
            symlink(path(to), path("new")).unwrap();
            std::fs::rename(path("new"), path("data")).unwrap();
        };
        swap("first");
        let files = CertificateFiles {
            certificate: path("data/tls.crt"),
            key: path("data/tls.key"),
            name: Some("colocate.storage.svc".parse().unwrap()),
        };
        let (resolver, renewed) = (CertificateResolver::default(), Cell::new(0));
        let mut reloader =
            CertificateReloader::begin(files, resolver.clone(), |_| renewed.set(renewed.get() + 1)).unwrap();
        let served = || resolver.served().unwrap().certificate.pem();
        let now = Timestamp::now();
        reloader.reload(now);
        assert_eq!((served(), renewed.get()), (first.certificate_pem(), 1));
        swap("mixed");
        reloader.reload(now);
        assert_eq!((served(), renewed.get()), (first.certificate_pem(), 1));
        assert!(reloader.failure.as_ref().unwrap().contains("does not match"));
        swap("second");
        reloader.reload(now + SignedDuration::from_hours(3));
        assert_eq!(served(), first.certificate_pem());
        assert!(reloader.failure.as_ref().unwrap().contains("renew it"));
        reloader.reload(now);
        assert_eq!((served(), renewed.get()), (second.certificate_pem(), 2));
        assert_eq!(reloader.failure, None);
        std::fs::remove_file(path("data")).unwrap();
        reloader.reload(now);
        assert_eq!(served(), second.certificate_pem());
    }
}
