//! The CAs that the live webhook configurations carry, and since when.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::tls::Certificate;

/// The CAs that the live configurations carry, each with the time since which it has been carried without a break, as
/// one replica observed it.
///
/// Uses a monotonic clock that stops while the machine is suspended. A replica that resumes must not count the
/// suspended time as time in which the CA was carried.
#[derive(Clone, Debug)]
pub(super) struct Propagation {
    /// The configurations by name; `None` for one that has not been observed yet.
    configurations: BTreeMap<&'static str, Option<ObservedBundle>>,
}

/// The last observation of a configuration.
#[derive(Clone, Debug, Default)]
struct ObservedBundle {
    /// The `resourceVersion`; `None` if the configuration does not exist or has no entries, so that no call depends on it.
    version: Option<String>,
    /// The certificates that all of its entries carry, and since when.
    since: Vec<(Certificate, Instant)>,
}

/// A certificate that a configuration does not carry, or possibly does not carry.
struct NotCarried;

/// One observation of a configuration.
#[derive(Clone, Debug)]
pub(super) struct BundleObservation<'a> {
    /// The `resourceVersion`.
    pub(super) version: &'a str,
    /// The certificates that each of its entries carries.
    pub(super) carried: Vec<Certificate>,
    /// Whether every change since the last observation was observed, as on a watch.
    pub(super) unbroken: bool,
}

impl Propagation {
    /// Starts without an observation of these configurations.
    pub(super) fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self { configurations: names.into_iter().map(|name| (name, None)).collect() }
    }

    /// Records an observation; `None` if the configuration does not exist or has no entries.
    pub(super) fn record(&mut self, name: &str, observation: Option<BundleObservation<'_>>, at: Instant) {
        let Some(last) = self.configurations.get_mut(name) else { return };
        let Some(BundleObservation { version, carried, unbroken }) = observation else {
            *last = Some(ObservedBundle::default());
            return;
        };
        let before = last.take().unwrap_or_default();
        let continues = unbroken || before.version.as_deref() == Some(version);
        let since = |certificate: &Certificate| {
            let before = before.since.iter().find(|(carried, _)| continues && carried == certificate);
            before.map_or(at, |(_, since)| *since)
        };
        let since = carried.iter().map(|certificate| (certificate.clone(), since(certificate))).collect();
        *last = Some(ObservedBundle { version: Some(version.to_owned()), since });
    }

    /// Returns whether every configuration that exists carries the certificate; `false` until all were observed.
    pub(super) fn carries(&self, certificate: &Certificate) -> bool {
        self.since(certificate).is_ok()
    }

    /// Returns whether all configurations have carried the certificate for this time.
    pub(super) fn settled(&self, certificate: &Certificate, at: Instant, time: SignedDuration) -> bool {
        self.carried_for(certificate, at).is_some_and(|carried| carried >= time)
    }

    /// Returns how long all configurations have carried the certificate, or the maximum if none exists.
    fn carried_for(&self, certificate: &Certificate, at: Instant) -> Option<SignedDuration> {
        let since = self.since(certificate).ok()?;
        let time = since.map(|since| at.saturating_duration_since(since));
        Some(time.map_or(SignedDuration::MAX, |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)))
    }

    /// Returns the instant since which all configurations have carried the certificate; `None` if none exists.
    fn since(&self, certificate: &Certificate) -> Result<Option<Instant>, NotCarried> {
        let mut latest = None;
        for observed in self.configurations.values() {
            let observed = observed.as_ref().ok_or(NotCarried)?;
            if observed.version.is_some() {
                let (_, since) = observed.since.iter().find(|(carried, _)| carried == certificate).ok_or(NotCarried)?;
                latest = latest.max(Some(*since));
            }
        }
        Ok(latest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::tls::{Authority, Validity};

    fn certificate() -> Certificate {
        let validity = Validity::new(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(1)).unwrap();
        Authority::new("a", validity).unwrap().certificate().clone()
    }

    #[test]
    fn propagation_time_starts_when_all_bundles_have_the_ca() {
        let one = certificate();
        let other = certificate();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut propagation = Propagation::new(["mutating", "validating"]);
        let observed = |version, carried: &[&Certificate], unbroken| {
            Some(BundleObservation { version, carried: carried.iter().copied().cloned().collect(), unbroken })
        };
        let seconds = |propagation: &Propagation, now| {
            propagation.carried_for(&one, at(now)).map(|time| u64::try_from(time.as_secs()).unwrap())
        };
        assert_eq!(seconds(&propagation, 0), None);
        propagation.record("mutating", observed("1", &[&one], false), at(0));
        assert!(!propagation.carries(&one), "the other one has not been observed");
        propagation.record("validating", None, at(5));
        assert_eq!(seconds(&propagation, 10), Some(10));
        propagation.record("validating", observed("2", &[&one, &other], false), at(10));
        assert_eq!(seconds(&propagation, 30), Some(20));
        propagation.record("validating", observed("2", &[&one, &other], false), at(20));
        propagation.record("mutating", observed("3", &[&one, &other], true), at(20));
        assert_eq!(seconds(&propagation, 30), Some(20));
        propagation.record("validating", observed("4", &[&one], false), at(25));
        assert_eq!(seconds(&propagation, 30), Some(5), "a change between 2 and 4 may have been missed");
        propagation.record("mutating", observed("5", &[&other], true), at(30));
        assert!(!propagation.carries(&one));
        propagation.record("mutating", observed("6", &[&one], true), at(40));
        assert_eq!(seconds(&propagation, 41), Some(1));
        propagation.record("mutating", None, at(50));
        propagation.record("validating", None, at(50));
        assert_eq!(propagation.carried_for(&one, at(50)), Some(SignedDuration::MAX));
        propagation.record("another", observed("1", &[], false), at(50));
        assert!(propagation.carries(&one));
    }
}
