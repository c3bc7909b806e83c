//! The certificates and bundles that the observer has seen.

use std::time::{Duration, Instant};

use colocate::tls::Certificate;
use jiff::Timestamp;

/// The observations of all replicas.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    /// The live bundles.
    pub(super) bundles: Bundles,
    /// The CAs whose certificates each replica has served, in order.
    authorities: Vec<Vec<Certificate>>,
    /// The certificates that each replica has served, in order.
    leaves: Vec<Vec<Certificate>>,
    /// The number of connections.
    pub(crate) handshakes: usize,
    /// Certificates that were served but not trusted, and why.
    pub(crate) refused: Vec<String>,
}

/// Bundles, each with the time at which it was first seen.
#[derive(Debug, Default)]
pub(super) struct Bundles(Vec<(Instant, Vec<Certificate>)>);

impl Observations {
    /// Returns empty observations of this number of replicas.
    pub(super) fn of(replicas: usize) -> Self {
        let (authorities, leaves) = (vec![Vec::new(); replicas], vec![Vec::new(); replicas]);
        Self { authorities, leaves, ..Self::default() }
    }

    /// Returns the number of times that every replica has changed the CA of its certificate.
    pub(crate) fn rotations(&self) -> usize {
        self.authorities.iter().map(|authorities| authorities.len().saturating_sub(1)).min().unwrap_or_default()
    }

    /// Returns the number of certificates that were served.
    pub(crate) fn leaves(&self) -> usize {
        self.leaves.iter().map(Vec::len).sum()
    }

    /// Records a certificate that a replica served, or an error.
    pub(super) fn add(&mut self, replica: usize, served: Result<Certificate, String>) {
        self.handshakes += 1;
        let now = Timestamp::now();
        // A client that receives changes at once must trust it, too.
        let newest = self.bundles.newest();
        let signed = served.and_then(|leaf| {
            let signer = newest.iter().find(|authority| leaf.chains_to([*authority], &[], now));
            let signer = signer.ok_or("its CA is no longer in the bundle")?.clone();
            Ok((leaf, signer))
        });
        match signed {
            Ok((leaf, authority)) => {
                push_new(&mut self.leaves[replica], leaf);
                push_new(&mut self.authorities[replica], authority);
            }
            Err(problem) => self.refused.push(format!("replica {replica}, at {now}: {problem}")),
        }
    }
}

/// Adds the certificate, unless it is already the last one.
fn push_new(certificates: &mut Vec<Certificate>, certificate: Certificate) {
    if certificates.last() != Some(&certificate) {
        certificates.push(certificate);
    }
}

impl Bundles {
    pub(super) fn add(&mut self, at: Instant, bundle: Vec<Certificate>) {
        if self.0.last().is_none_or(|(_, last)| *last != bundle) {
            self.0.push((at, bundle));
        }
    }

    pub(super) fn newest(&self) -> &[Certificate] {
        self.0.last().map(|(_, bundle)| bundle.as_slice()).unwrap_or_default()
    }

    /// Returns the bundle that a client with this delay has at `now`. If no bundle is old enough, it is the first.
    pub(super) fn as_of(&self, now: Instant, lag: Duration) -> &[Certificate] {
        let known = self.0.iter().rev().find(|(at, _)| *at + lag <= now);
        known.or(self.0.first()).map(|(_, bundle)| bundle.as_slice()).unwrap_or_default()
    }

    /// Returns the time since when every bundle has had the CA, or `None` if the last one lacks it.
    pub(super) fn live_since(&self, authority: &Certificate) -> Option<Instant> {
        let carrying = self.0.iter().rev().take_while(|(_, bundle)| bundle.contains(authority));
        carrying.last().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use colocate::tls::{Authority, Leaf, Validity};
    use jiff::SignedDuration;

    use super::*;

    fn validity() -> Validity {
        Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap()
    }

    fn authority() -> Authority {
        Authority::new("a", validity()).unwrap()
    }

    fn leaf(authority: &Authority) -> Certificate {
        let leaf: Leaf = authority.issue(&["colocate.a.svc".parse().unwrap()], validity()).unwrap();
        Certificate::from_pem(leaf.certificate_pem().as_bytes()).unwrap()
    }

    #[test]
    fn a_late_client_trusts_the_bundle_of_that_time() {
        let [one, two] = [authority(), authority()].map(|authority| authority.certificate().clone());
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut bundles = Bundles::default();
        let lag = Duration::from_secs(10);
        assert!(bundles.as_of(at(0), lag).is_empty() && bundles.newest().is_empty());
        let (first, both, last) = (vec![one.clone()], vec![one.clone(), two.clone()], vec![two.clone()]);
        for (second, bundle) in [(1, &first), (2, &first), (3, &both), (4, &last)] {
            bundles.add(at(second), bundle.clone());
        }
        for (second, known) in [(0, &first), (12, &first), (13, &both), (14, &last), (90, &last)] {
            assert_eq!(bundles.as_of(at(second), lag), known.as_slice(), "after {second} s");
        }
        assert_eq!(bundles.newest(), last.as_slice());
        assert_eq!((bundles.live_since(&one), bundles.live_since(&two)), (None, Some(at(3))));
    }

    #[test]
    fn a_rotation_counts_when_every_replica_has_it() {
        let [one, two] = [authority(), authority()];
        let mut observations = Observations::of(2);
        let both = vec![one.certificate().clone(), two.certificate().clone()];
        observations.bundles.add(Instant::now(), both);
        let (first, renewed, second) = (leaf(&one), leaf(&one), leaf(&two));
        for (replica, served, rotations) in
            [(0, &first, 0), (1, &first, 0), (0, &renewed, 0), (0, &second, 0), (0, &second, 0), (1, &second, 1)]
        {
            observations.add(replica, Ok(served.clone()));
            assert_eq!(observations.rotations(), rotations);
        }
        assert_eq!((observations.leaves(), observations.handshakes, observations.refused.len()), (5, 6, 0));
        observations.bundles.add(Instant::now(), vec![two.certificate().clone()]);
        observations.add(1, Ok(first));
        observations.add(1, Err("expired".to_owned()));
        assert_eq!((observations.rotations(), observations.refused.len()), (1, 2));
    }
}
