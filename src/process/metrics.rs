//! What is counted, for Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    /// Locked while a text is made, and when a part of the process adds what it counts itself.
    registry: Mutex<Registry>,
    decisions: Family<DecisionLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
    claim_lookups: Family<LookupLabels, Counter>,
    schedulers: Family<SchedulerLabels, Gauge>,
    validations: Family<ValidationLabels, Counter>,
    findings: Family<FindingLabels, Counter>,
    config_reloads: Family<ReloadLabels, Counter>,
    expiries: Expiries,
    rotations: Family<CertificateLabels, Counter>,
    bundles: Family<ConfigurationLabels, Gauge>,
}

/// Until when the certificates in use are valid, by which one it is; how long that still is, is counted when it is asked for.
#[derive(Clone, Debug, Default)]
struct Expiries(Arc<Mutex<BTreeMap<&'static str, Timestamp>>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    certificate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConfigurationLabels {
    configuration: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    reason: &'static str,
    operation: &'static str,
    /// The kind, where it is one that is decided about; a request cannot make a new label.
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ValidationLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    rule: &'static str,
    severity: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SchedulerLabels {
    driver: String,
    scheduler: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("colocate");
        let decisions = Family::default();
        registry.register("decisions", "Admission requests decided, by reason, operation and kind", decisions.clone());
        let requests = Family::default();
        registry.register("http_requests", "HTTP requests answered, by status code", requests.clone());
        // From 50 us, the usual answer, to 10 s, the longest that an API server waits by default.
        let duration = Histogram::new([0.000_05, 0.000_2, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0]);
        let help = "Time from the whole request to the whole answer of a review, waits for claims included";
        registry.register_with_unit("review_duration", help, Unit::Seconds, duration.clone());
        let claim_lookups = Family::default();
        let help = "Claims of reviews, by how they were found: in the cache, by a GET, by waiting for the watch, or not at all";
        registry.register("claim_lookups", help, claim_lookups.clone());
        let validations = Family::default();
        let help = "Reviews validated, by what came of it: denied, warned, clean, or why nothing was looked at";
        registry.register("validations", help, validations.clone());
        let findings = Family::default();
        registry.register("findings", "Findings in validated objects, by rule and severity", findings.clone());
        let schedulers = Family::default();
        let help = "Whether the driver's scheduler renews its Lease; no series where that is unknown";
        registry.register("scheduler_alive", help, schedulers.clone());
        let expiries = Expiries::default();
        registry.register_collector(Box::new(expiries.clone()));
        let rotations = Family::default();
        let help = "Certificates that took the place of others in this process, or (ca) that it made current for all";
        registry.register("certificate_rotations", help, rotations.clone());
        let bundles = Family::default();
        let help = "Whether the live webhook configuration has the caBundle that it is to have; no series where it does not exist";
        registry.register("ca_bundle_in_sync", help, bundles.clone());
        let config_reloads = Family::default();
        for result in [APPLIED, REFUSED] {
            drop(config_reloads.get_or_create(&ReloadLabels { result }));
        }
        let help = "Changes of the configuration file, by whether they took effect";
        registry.register("config_reloads", help, config_reloads.clone());
        Self {
            registry: Mutex::new(registry),
            decisions,
            requests,
            duration,
            claim_lookups,
            validations,
            findings,
            schedulers,
            config_reloads,
            expiries,
            rotations,
            bundles,
        }
    }
}

impl Metrics {
    /// A request was decided.
    pub fn decided(&self, reason: &'static str, operation: &'static str, kind: &str, took: Duration) {
        self.decisions.get_or_create(&DecisionLabels { reason, operation, kind: kind.to_owned() }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// An HTTP request was answered.
    pub fn answered(&self, code: u16) {
        self.requests.get_or_create(&RequestLabels { code }).inc();
    }

    /// A claim was looked for.
    pub fn looked_up(&self, result: &'static str) {
        self.claim_lookups.get_or_create(&LookupLabels { result }).inc();
    }

    /// A review was validated, or why it was not.
    pub fn validated(&self, result: &'static str) {
        self.validations.get_or_create(&ValidationLabels { result }).inc();
    }

    /// A rule found something.
    pub fn found(&self, rule: &'static str, severity: &'static str) {
        self.findings.get_or_create(&FindingLabels { rule, severity }).inc();
    }

    /// The configuration file changed, and took effect or was refused.
    pub fn reloaded(&self, applied: bool) {
        let result = if applied { APPLIED } else { REFUSED };
        self.config_reloads.get_or_create(&ReloadLabels { result }).inc();
    }

    /// Adds metrics that `collector` counts when they are asked for.
    pub fn collect(&self, collector: Box<dyn Collector>) {
        self.registry().register_collector(collector);
    }

    /// A driver's scheduler is there, is not, or nobody knows.
    pub fn scheduler_alive(&self, driver: &str, scheduler: &str, alive: Option<bool>) {
        let labels = SchedulerLabels { driver: driver.to_owned(), scheduler: scheduler.to_owned() };
        match alive {
            Some(alive) => {
                self.schedulers.get_or_create(&labels).set(alive.into());
            }
            None => {
                self.schedulers.remove(&labels);
            }
        }
    }

    /// A certificate in use is valid until then; `None` where there is none.
    pub fn certificate_expires(&self, certificate: &'static str, expiry: Option<Timestamp>) {
        let mut expiries = self.expiries.0.lock().unwrap_or_else(PoisonError::into_inner);
        match expiry {
            Some(expiry) => expiries.insert(certificate, expiry),
            None => expiries.remove(certificate),
        };
    }

    /// A certificate took the place of another.
    pub fn rotated(&self, certificate: &'static str) {
        self.rotations.get_or_create(&CertificateLabels { certificate }).inc();
    }

    /// A webhook configuration has the right `caBundle`, has not, or does not exist.
    pub fn bundle_in_sync(&self, configuration: &str, in_sync: Option<bool>) {
        let labels = ConfigurationLabels { configuration: configuration.to_owned() };
        match in_sync {
            Some(in_sync) => {
                self.bundles.get_or_create(&labels).set(in_sync.into());
            }
            None => {
                self.bundles.remove(&labels);
            }
        }
    }

    /// All metrics as text, in the `OpenMetrics` format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry());
        text
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // What is registered stays registered, whoever panicked.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Expiries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let expiries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Time until the certificate in use ends; negative since it has";
        let mut family =
            encoder.encode_descriptor("certificate_expiry", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (certificate, expiry) in expiries.iter() {
            let seconds = ConstGauge::new(expiry.duration_since(Timestamp::now()).as_secs());
            seconds.encode(family.encode_family(&[("certificate", *certificate)])?)?;
        }
        Ok(())
    }
}
const APPLIED: &str = "applied";

const REFUSED: &str = "refused";

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_every_metric() {
        let metrics = Metrics::default();
        metrics.decided("injected", "CREATE", "Pod", Duration::from_micros(60));
        metrics.answered(200);
        metrics.looked_up("cached");
        metrics.validated("clean");
        metrics.found("HC001", "error");
        metrics.scheduler_alive("portworx", "stork", Some(true));
        metrics.rotated("ca");
        metrics.bundle_in_sync("MutatingWebhookConfiguration/colocate", Some(false));
        metrics.reloaded(false);
        metrics.certificate_expires("leaf", Some(Timestamp::now() + jiff::SignedDuration::from_millis(3_600_500)));
        let text = metrics.encode();
        // The order of the series of a family is that of a hash table.
        let text = text.replace(
            "reloads_total{result=\"refused\"} 1\ncolocate_config_reloads_total{result=\"applied\"} 0",
            "reloads_total{result=\"applied\"} 0\ncolocate_config_reloads_total{result=\"refused\"} 1",
        );
        assert_eq!(text, include_str!("metrics/exposition.txt"));
    }

    #[test]
    fn certificates_and_bundles_have_a_series_while_they_are_there() {
        let metrics = Metrics::default();
        let series = |metrics: &Metrics, start: &str| {
            metrics.encode().lines().find(|line| line.starts_with(start)).map(str::to_owned)
        };
        let expiry = r#"colocate_certificate_expiry_seconds{certificate="leaf"} "#;
        assert_eq!(series(&metrics, expiry), None);
        metrics.certificate_expires("leaf", Some(Timestamp::now() - jiff::SignedDuration::from_hours(1)));
        let seconds: i64 = series(&metrics, expiry).unwrap()[expiry.len()..].parse().unwrap();
        assert!(seconds <= -3600 && seconds > -4000, "{seconds}");
        metrics.certificate_expires("leaf", None);
        assert_eq!(series(&metrics, expiry), None);
        metrics.rotated("ca");
        let rotations = r#"colocate_certificate_rotations_total{certificate="ca"}"#;
        assert_eq!(series(&metrics, rotations), Some(format!("{rotations} 1")));
        let bundle = r#"colocate_ca_bundle_in_sync{configuration="zz"}"#;
        for (in_sync, value) in [(Some(true), Some(1)), (Some(false), Some(0)), (None, None)] {
            metrics.bundle_in_sync("zz", in_sync);
            assert_eq!(series(&metrics, bundle), value.map(|value| format!("{bundle} {value}")));
        }
    }

    #[test]
    fn a_scheduler_has_a_series_while_something_is_known_of_it() {
        let metrics = Metrics::default();
        let series = |alive| {
            metrics.scheduler_alive("portworx", "stork", alive);
            let text = metrics.encode();
            let mut lines = text.lines().filter(|line| line.starts_with("colocate_scheduler_alive"));
            lines.next().map(str::to_owned)
        };
        let line = |value| Some(format!(r#"colocate_scheduler_alive{{driver="portworx",scheduler="stork"}} {value}"#));
        assert_eq!(series(None), None);
        assert_eq!(series(Some(true)), line(1));
        assert_eq!(series(Some(false)), line(0));
        assert_eq!(series(None), None);
    }
}
