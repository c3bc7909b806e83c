//! What was seen of certificates and of those that vouch for them.

use std::time::{Duration, Instant};

use colocate::tls::Certificate;
use jiff::Timestamp;

/// What an observer saw of the replicas.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The bundles that were live.
    pub(super) bundles: Bundles,
    /// The CAs of which each replica has served a certificate, in order.
    authorities: Vec<Vec<Certificate>>,
    /// The certificates that each replica has served, in order.
    leaves: Vec<Vec<Certificate>>,
    /// How many connections were made.
    pub(crate) handshakes: usize,
    /// What was served and not trusted, and why.
    pub(crate) refused: Vec<String>,
}

/// Bundles, with the time from which on each was seen.
#[derive(Debug, Default)]
pub(super) struct Bundles(Vec<(Instant, Vec<Certificate>)>);

impl Sight {
    /// Nothing yet, of so many replicas.
    pub(super) fn of(replicas: usize) -> Self {
        let (authorities, leaves) = (vec![Vec::new(); replicas], vec![Vec::new(); replicas]);
        Self { authorities, leaves, ..Self::default() }
    }

    /// How often every replica has changed the CA of its certificate.
    pub(crate) fn rotations(&self) -> usize {
        self.authorities.iter().map(|authorities| authorities.len().saturating_sub(1)).min().unwrap_or_default()
    }

    /// How many certificates were served.
    pub(crate) fn leaves(&self) -> usize {
        self.leaves.iter().map(Vec::len).sum()
    }

    /// A replica served something, or what it served was not trusted.
    pub(super) fn saw(&mut self, replica: usize, served: Result<Certificate, String>) {
        self.handshakes += 1;
        let now = Timestamp::now();
        // Who hears of changes at once must trust it too.
        let newest = self.bundles.newest();
        let signed = served.and_then(|leaf| {
            let signer = newest.iter().find(|authority| leaf.chains_to([*authority], &[], now));
            let signer = signer.ok_or("its CA is not in the bundle any more")?.clone();
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

/// Adds it, unless it is the last already.
fn push_new(certificates: &mut Vec<Certificate>, certificate: Certificate) {
    if certificates.last() != Some(&certificate) {
        certificates.push(certificate);
    }
}

impl Bundles {
    pub(super) fn saw(&mut self, at: Instant, bundle: Vec<Certificate>) {
        if self.0.last().is_none_or(|(_, last)| *last != bundle) {
            self.0.push((at, bundle));
        }
    }

    pub(super) fn newest(&self) -> &[Certificate] {
        self.0.last().map(|(_, bundle)| bundle.as_slice()).unwrap_or_default()
    }

    /// What somebody knows now who hears of everything so late; the first, where nothing is as old as that.
    pub(super) fn as_of(&self, now: Instant, lag: Duration) -> &[Certificate] {
        let known = self.0.iter().rev().find(|(at, _)| *at + lag <= now);
        known.or(self.0.first()).map(|(_, bundle)| bundle.as_slice()).unwrap_or_default()
    }

    /// Since when it is in every bundle; `None` if it is not in the last.
    pub(super) fn since(&self, authority: &Certificate) -> Option<Instant> {
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
    fn who_hears_late_trusts_what_was_there_then() {
        let [one, two] = [authority(), authority()].map(|authority| authority.certificate().clone());
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut bundles = Bundles::default();
        let lag = Duration::from_secs(10);
        assert!(bundles.as_of(at(0), lag).is_empty() && bundles.newest().is_empty());
        let (first, both, last) = (vec![one.clone()], vec![one.clone(), two.clone()], vec![two.clone()]);
        for (second, bundle) in [(1, &first), (2, &first), (3, &both), (4, &last)] {
            bundles.saw(at(second), bundle.clone());
        }
        for (second, known) in [(0, &first), (12, &first), (13, &both), (14, &last), (90, &last)] {
            assert_eq!(bundles.as_of(at(second), lag), known.as_slice(), "after {second} s");
        }
        assert_eq!(bundles.newest(), last.as_slice());
        assert_eq!((bundles.since(&one), bundles.since(&two)), (None, Some(at(3))));
    }

    #[test]
    fn a_rotation_is_one_when_every_replica_has_it_and_a_ca_that_went_too_early_is_refused() {
        let [one, two] = [authority(), authority()];
        let mut sight = Sight::of(2);
        let both = vec![one.certificate().clone(), two.certificate().clone()];
        sight.bundles.saw(Instant::now(), both);
        let (first, renewed, second) = (leaf(&one), leaf(&one), leaf(&two));
        for (replica, served, rotations) in
            [(0, &first, 0), (1, &first, 0), (0, &renewed, 0), (0, &second, 0), (0, &second, 0), (1, &second, 1)]
        {
            sight.saw(replica, Ok(served.clone()));
            assert_eq!(sight.rotations(), rotations);
        }
        assert_eq!((sight.leaves(), sight.handshakes, sight.refused.len()), (5, 6, 0));
        sight.bundles.saw(Instant::now(), vec![two.certificate().clone()]);
        sight.saw(1, Ok(first));
        sight.saw(1, Err("expired".to_owned()));
        assert_eq!((sight.rotations(), sight.refused.len()), (1, 2));
    }
}
