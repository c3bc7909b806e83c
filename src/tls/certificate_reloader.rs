//! A certificate from files, read again when they change.
//!
//! A mounted Secret changes by the swap of a symbolic link, which a watch on the file never sees: contents are compared.

use std::time::Duration;

use jiff::Timestamp;

use super::{CertificateFileError, CertificateFiles, CertificateResolver};

/// How often the files are looked at. The kubelet needs up to two minutes to bring a change.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps what the files hold in a [`CertificateResolver`].
pub struct CertificateReloader<F> {
    files: CertificateFiles,
    resolver: CertificateResolver,
    /// Told of the end of each new certificate.
    renewed: F,
    /// What was said last to be wrong.
    complaint: Option<String>,
}

impl<F: Fn(Option<Timestamp>)> CertificateReloader<F> {
    /// Reads the files for the first time, and serves what they hold.
    ///
    /// # Errors
    /// CertificateFiles that cannot be served.
    pub fn begin(
        files: CertificateFiles,
        resolver: CertificateResolver,
        renewed: F,
    ) -> Result<Self, CertificateFileError> {
        resolver.serve(files.read(Timestamp::now())?);
        renewed(resolver.expiry());
        Ok(Self { files, resolver, renewed, complaint: None })
    }

    /// Looks at the files again and again, for ever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.look(Timestamp::now());
        }
    }

    /// Serves what the files hold, if it can be served and is not served yet.
    fn look(&mut self, now: Timestamp) {
        match self.files.read(now) {
            Ok(read) => {
                self.complaint = None;
                if self.resolver.served().is_none_or(|served| *served != read) {
                    tracing::info!(
                        file = %self.files.certificate.display(),
                        until = %read.certificate().validity().not_after(),
                        "a new certificate is served"
                    );
                    self.resolver.serve(read);
                    (self.renewed)(self.resolver.expiry());
                }
            }
            Err(error) => {
                let complaint = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                // A pair that is half written is whole the next time, and one that stays wrong is said once.
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!("{complaint}; the certificate that was read before stays in use");
                    self.complaint = Some(complaint);
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
    fn a_swapped_link_is_seen_and_what_cannot_be_served_is_not_taken() {
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
        let served = || resolver.served().unwrap().certificate().pem();
        let now = Timestamp::now();
        reloader.look(now);
        assert_eq!((served(), renewed.get()), (first.certificate_pem(), 1));
        swap("mixed");
        reloader.look(now);
        assert_eq!((served(), renewed.get()), (first.certificate_pem(), 1));
        assert!(reloader.complaint.as_ref().unwrap().contains("does not serve with"));
        swap("second");
        reloader.look(now + SignedDuration::from_hours(3));
        assert_eq!(served(), first.certificate_pem());
        assert!(reloader.complaint.as_ref().unwrap().contains("renew it"));
        reloader.look(now);
        assert_eq!((served(), renewed.get()), (second.certificate_pem(), 2));
        assert_eq!(reloader.complaint, None);
        std::fs::remove_file(path("data")).unwrap();
        reloader.look(now);
        assert_eq!(served(), second.certificate_pem());
    }
}
