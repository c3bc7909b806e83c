//! The CAs in a file, such as `ca.crt` of a mounted Secret.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::trust_error::TrustError;
use crate::file::SmallFile;
use crate::tls::{Certificate, read_authorities};

/// The time for which a CA that the file does not have stays in a live configuration. The kubelet updates a mounted
/// Secret on all replicas within a minute or two of each other. Until then, no replica may remove what another one
/// added.
const FOREIGN_CA_KEPT: Duration = Duration::from_mins(3);

/// CAs from a file.
#[derive(Debug)]
pub struct MountedCa {
    file: SmallFile,
    authorities: Vec<Certificate>,
    /// CAs in live configurations that the file does not have, with the time when each was first observed.
    foreign: Vec<(Certificate, Instant)>,
}

impl MountedCa {
    /// The interval at which the file is read.
    pub(super) const INTERVAL: Duration = Duration::from_secs(10);

    /// Creates the source for this file, which has not been read yet.
    pub fn new(path: PathBuf) -> Self {
        Self { file: SmallFile::new(path), authorities: Vec::new(), foreign: Vec::new() }
    }

    /// Returns the CAs of the file, as it was read last.
    pub(super) fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    /// Returns the place of the CAs, for messages.
    pub(super) fn place(&self) -> String {
        self.file.path().display().to_string()
    }

    /// Reads the file. If it cannot be used, the CAs that were read before stay.
    pub(super) async fn read(&mut self) -> Result<(), TrustError> {
        let authorities = read_authorities(&mut self.file).await?;
        if authorities != self.authorities {
            tracing::info!(file = %self.file.path().display(), count = authorities.len(), "read the CAs");
        }
        self.authorities = authorities;
        Ok(())
    }

    /// Returns the certificates for a configuration that carries `carried` now; `None` if the file has not been read yet.
    pub(super) fn bundle(&mut self, carried: &[Certificate]) -> Option<Vec<Certificate>> {
        if self.authorities.is_empty() {
            return None;
        }
        let now = Instant::now();
        for certificate in carried.iter().filter(|carried| !self.authorities.contains(carried)) {
            if !self.foreign.iter().any(|(foreign, _)| foreign == certificate) {
                self.foreign.push((certificate.clone(), now));
            }
        }
        let kept = |since: &Instant| now.saturating_duration_since(*since) < FOREIGN_CA_KEPT;
        let foreign = self.foreign.iter().filter(|(foreign, since)| kept(since) && carried.contains(foreign));
        let bundle = self.authorities.iter().chain(foreign.map(|(foreign, _)| foreign)).cloned().collect();
        self.foreign.retain(|(foreign, since)| kept(since) || carried.contains(foreign));
        Some(bundle)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use tokio::time::advance;

    use super::*;
    use crate::tls::{Authority, Validity};

    fn authority() -> Authority {
        Authority::new("a", Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn cas_of_the_file_are_added_at_once_and_others_removed_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let [ours, other] = [authority(), authority()];
        let [our_certificate, foreign] = [ours.certificate().clone(), other.certificate().clone()];
        let ours_alone = std::slice::from_ref(&our_certificate);
        let mut mounted = MountedCa::new(path.clone());
        assert_eq!(mounted.bundle(&[]), None);
        assert!(mounted.read().await.unwrap_err().to_string().contains("ca.crt"));
        std::fs::write(&path, ours.certificate_pem()).unwrap();
        mounted.read().await.unwrap();
        assert_eq!(mounted.bundle(&[]).unwrap(), ours_alone);
        let both = [our_certificate.clone(), foreign.clone()];
        assert_eq!(mounted.bundle(std::slice::from_ref(&foreign)).unwrap(), both);
        advance(FOREIGN_CA_KEPT.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert_eq!(mounted.bundle(&both).unwrap(), both);
        advance(Duration::from_secs(1)).await;
        assert_eq!(mounted.bundle(&both).unwrap(), ours_alone);
        std::fs::write(&path, "").unwrap();
        mounted.read().await.unwrap_err();
        assert_eq!(mounted.bundle(&[]).unwrap(), ours_alone);
    }
}
