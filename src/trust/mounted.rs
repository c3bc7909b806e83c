//! The CAs in a file, such as `ca.crt` of a mounted Secret.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::tls::{Certificate, read_authorities};

/// For how long a CA stays in a live configuration that this file does not have. The kubelet brings a changed Secret to the
/// replicas within a minute or two of each other: until then, none may take away what another one added.
const KEPT_FOR: Duration = Duration::from_mins(3);

/// CAs from a file.
#[derive(Debug)]
pub struct MountedCa {
    path: PathBuf,
    authorities: Vec<Certificate>,
    /// CAs in live configurations that the file does not have, and since when they are known.
    others: Vec<(Certificate, Instant)>,
}

impl MountedCa {
    /// How often the file is read.
    pub(super) const INTERVAL: Duration = Duration::from_secs(10);

    /// The CAs in this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path, authorities: Vec::new(), others: Vec::new() }
    }

    pub(super) fn ca_expiry(&self) -> Option<Timestamp> {
        // The last: another one that ends sooner is on its way out.
        self.authorities.iter().map(|authority| authority.validity().not_after()).max()
    }

    /// Reads the file again. One that cannot be used leaves what was read before.
    pub(super) fn read(&mut self) -> Result<(), String> {
        match read_authorities(&self.path) {
            Ok(authorities) => {
                if authorities != self.authorities {
                    tracing::info!(file = %self.path.display(), count = authorities.len(), "CAs were read");
                }
                self.authorities = authorities;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// What a configuration is to carry that carries `known` now.
    pub(super) fn bundle(&mut self, known: &[Certificate]) -> Option<Vec<Certificate>> {
        if self.authorities.is_empty() {
            return None;
        }
        let now = Instant::now();
        for certificate in known.iter().filter(|known| !self.authorities.contains(known)) {
            if !self.others.iter().any(|(other, _)| other == certificate) {
                self.others.push((certificate.clone(), now));
            }
        }
        let kept = |since: &Instant| now.saturating_duration_since(*since) < KEPT_FOR;
        let others = self.others.iter().filter(|(other, since)| kept(since) && known.contains(other));
        let bundle = self.authorities.iter().chain(others.map(|(other, _)| other)).cloned().collect();
        self.others.retain(|(other, since)| kept(since) || known.contains(other));
        Some(bundle)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tokio::time::advance;

    use super::*;
    use crate::tls::{Authority, Validity};

    fn authority() -> Authority {
        Authority::new("a", Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_file_has_is_added_at_once_and_what_it_has_not_goes_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let [ours, other] = [authority(), authority()];
        let [our_certificate, foreign] = [ours.certificate().clone(), other.certificate().clone()];
        let ours_alone = std::slice::from_ref(&our_certificate);
        let mut mounted = MountedCa::new(path.clone());
        assert_eq!(mounted.bundle(&[]), None);
        assert!(mounted.read().unwrap_err().contains("ca.crt"));
        std::fs::write(&path, ours.certificate_pem()).unwrap();
        mounted.read().unwrap();
        assert_eq!(mounted.bundle(&[]).unwrap(), ours_alone);
        let both = [our_certificate.clone(), foreign.clone()];
        assert_eq!(mounted.bundle(std::slice::from_ref(&foreign)).unwrap(), both);
        advance(KEPT_FOR.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert_eq!(mounted.bundle(&both).unwrap(), both);
        advance(Duration::from_secs(1)).await;
        assert_eq!(mounted.bundle(&both).unwrap(), ours_alone);
        std::fs::write(&path, "").unwrap();
        mounted.read().unwrap_err();
        assert_eq!(mounted.bundle(&[]).unwrap(), ours_alone);
    }
}
