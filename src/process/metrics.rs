//! The metrics of the process, for Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text::encode};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric, counter};
use prometheus_client::registry::{Registry, Unit};

use super::clock::Clock;
use crate::engine::{Reason, one_line};

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "colocate";

/// Declares the metrics: name, type, labels and help. Each becomes a field of [`Metrics`] that is registered by its type.
macro_rules! metrics {
    ($($name:ident: $type:ty, $labels:expr, $help:literal;)*) => {
        /// All metrics of the process, one per field.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $name: $type,)*
        }

        impl Metrics {
            fn register() -> Self {
                let mut registry = Registry::with_prefix(PREFIX);
                $(let $name = <$type>::register(&mut registry, stringify!($name), $labels, $help);)*
                Self { registry, $($name,)* }
            }

            /// Returns the names of all series, with their labels as `{one,two}`.
            pub fn names() -> Vec<String> {
                vec![$(full_name(stringify!($name), <$type>::SUFFIX, &$labels),)*]
            }
        }
    };
}

metrics! {
    decisions: Counter<3>, ["reason", "operation", "kind"], "Mutating reviews answered, by reason, operation and kind";
    http_requests: Counter<1>, ["code"], "HTTP requests answered, by status code";
    review_duration: Durations, [], "Time from the complete request to the complete response of a review, including waits for claims";
    claim_lookups: Counter<1>, ["result"], "Claims looked up for reviews, by result: found in the cache, by a GET, by waiting for the watch, not at all, or not readable";
    validations: Counter<1>, ["result"], "Reviews validated, by result: denied, warned, clean, or the reason why nothing was checked";
    findings: Counter<2>, ["rule", "severity"], "Findings in validated objects, by rule and severity";
    events: Counter<1>, ["result"], "Events on controllers of pods, by result: created, updated, failed (requests), or dropped (warnings without an Event)";
    scheduler_alive: Flag<2>, ["driver", "scheduler"], "Whether the driver's scheduler renews all of its Leases; no series if unknown";
    scheduler_lease_renewed: Flag<3>, ["driver", "scheduler", "lease"], "Whether a Lease of the driver's scheduler is renewed; no series if unknown";
    certificate_rotations: Counter<1>, ["certificate"], "Certificate rotations: `leaf` counts new certificates that this process has served, `ca` counts new CAs that it made current for all replicas";
    ca_bundle_in_sync: Flag<1>, ["configuration"], "Whether the live webhook configuration has the expected caBundle; no series if the configuration does not exist";
    certificate_valid: Flag<1>, ["certificate"], "Whether the certificate in use is valid by the API server's clock; no series if colocate does not maintain the caBundle";
    log_lines_dropped: Total, [], "Log lines that were dropped because standard error was not read in time";
    file_usable: Flag<1>, ["file"], "Whether the last read of the file could be used; if not, the previous contents stay in effect";
    config_reloads: Counter<1>, ["result"], "Changes of the configuration file, by result: applied or refused";
    certificate_expiry: Computed<1, SignedDuration>, ["certificate"], "Time until the certificate in use expires; negative once it has expired";
    certificate_renewal: Computed<1, SignedDuration>, ["certificate"], "Time until two thirds of the lifetime of the certificate in use have passed, when it should be renewed; negative if that is overdue";
    cached_objects: Computed<1, usize>, ["resource"], "Objects in the cache, by resource";
    clock_skew: Computed<0, SignedDuration>, [], "Time by which this machine's clock is ahead of the API server's; negative if it is behind; no series if unknown";
    watch_staleness: Computed<1, Duration>, ["resource"], "Time since a watch last heard from the API server, which sends a bookmark every minute, by resource";
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self::register();
        // Alerts check whether these numbers increased, so they must start at 0: a series that begins at 1 has not increased.
        for result in ["applied", "refused"] {
            drop(metrics.config_reloads.series([result]));
        }
        for reason in [Reason::ClaimMissing, Reason::ClaimUnknown, Reason::ClaimUnreadable] {
            drop(metrics.decisions.series([reason.as_str(), "CREATE", "Pod"]));
        }
        metrics
    }
}

impl Metrics {
    /// Returns all metrics as text, in the `OpenMetrics` format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Series of a metric by the values of `N` labels.
#[derive(Debug)]
pub struct Labelled<const N: usize, M> {
    labels: [&'static str; N],
    family: Family<Labels<N>, M>,
}

type Labels<const N: usize> = [(&'static str, String); N];

/// Counts events.
pub type Counter<const N: usize> = Labelled<N, counter::Counter>;

/// Gauges that are 1 or 0.
pub type Flag<const N: usize> = Labelled<N, Gauge>;

impl<const N: usize, M> Labelled<N, M>
where
    M: TypedMetric + EncodeMetric + Default + fmt::Debug + Send + Sync + 'static,
{
    fn register(registry: &mut Registry, name: &str, labels: [&'static str; N], help: &str) -> Self {
        let family = Family::default();
        registry.register(name, help, family.clone());
        Self { labels, family }
    }

    fn labels(&self, values: [&str; N]) -> Labels<N> {
        // A name in the configuration or in the cluster may have any characters.
        std::array::from_fn(|i| (self.labels[i], one_line(values[i], usize::MAX)))
    }

    fn series(&self, values: [&str; N]) -> impl Deref<Target = M> {
        self.family.get_or_create(&self.labels(values))
    }
}

impl<const N: usize> Counter<N> {
    const SUFFIX: &str = "_total";

    /// Counts an event. Values come from a fixed set: a request must not be able to add a series.
    pub fn inc(&self, values: [&str; N]) {
        self.add(values, 1);
    }

    /// Counts several events.
    pub fn add(&self, values: [&str; N], count: u64) {
        self.series(values).inc_by(count);
    }
}

impl<const N: usize> Flag<N> {
    const SUFFIX: &str = "";

    /// Sets a gauge; `None` removes it.
    pub fn set(&self, values: [&str; N], value: Option<bool>) {
        match value {
            Some(value) => drop(self.series(values).set(value.into())),
            None => drop(self.family.remove(&self.labels(values))),
        }
    }
}

/// Counts events of one sort.
#[derive(Debug)]
pub struct Total(counter::Counter);

impl Total {
    const SUFFIX: &str = "_total";

    fn register(registry: &mut Registry, name: &str, _: [&'static str; 0], help: &str) -> Self {
        let counter = counter::Counter::default();
        registry.register(name, help, counter.clone());
        Self(counter)
    }

    /// Counts an event.
    pub fn inc(&self) {
        self.0.inc();
    }
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Durations(Histogram);

impl Durations {
    const SUFFIX: &str = "_seconds";

    fn register(registry: &mut Registry, name: &str, _: [&'static str; 0], help: &str) -> Self {
        // From 50 us, the usual answer, to 10 s, the longest that an API server waits by default.
        let histogram = Histogram::new([0.000_05, 0.000_2, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0]);
        registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        Self(histogram)
    }

    /// Records a duration.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

/// Gauges that are computed when they are scraped, by the values of `N` labels.
#[derive(Clone)]
pub struct Computed<const N: usize, T> {
    name: &'static str,
    labels: [&'static str; N],
    help: &'static str,
    series: Arc<Mutex<BTreeMap<[&'static str; N], Compute<T>>>>,
}

type Compute<T> = Box<dyn Fn() -> Option<T> + Send>;

/// The value of a computed gauge.
pub trait GaugeValue: Copy + 'static {
    /// Whether the unit is seconds.
    const SECONDS: bool;

    /// Encodes the value as a number.
    ///
    /// # Errors
    /// The errors of the encoder.
    fn encode(self, encoder: MetricEncoder<'_>) -> fmt::Result;
}

impl GaugeValue for usize {
    const SECONDS: bool = false;

    fn encode(self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl GaugeValue for Duration {
    const SECONDS: bool = true;

    fn encode(self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.as_secs_f64())
    }
}

impl GaugeValue for SignedDuration {
    const SECONDS: bool = true;

    fn encode(self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.as_secs())
    }
}

impl<const N: usize, T: GaugeValue> Computed<N, T> {
    const SUFFIX: &str = if T::SECONDS { "_seconds" } else { "" };

    fn register(registry: &mut Registry, name: &'static str, labels: [&'static str; N], help: &'static str) -> Self {
        let metric = Self { name, labels, help, series: Arc::default() };
        registry.register_collector(Box::new(metric.clone()));
        metric
    }

    /// Adds a gauge that `compute` computes, and that has no series while it computes `None`.
    pub fn set(&self, values: [&'static str; N], compute: impl Fn() -> Option<T> + Send + 'static) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.insert(values, Box::new(compute));
    }
}

impl Computed<1, SignedDuration> {
    /// Adds a gauge of the time until `end`; `None` removes it.
    pub fn set_end(&self, value: &'static str, end: Option<Timestamp>, clock: &Clock) {
        let clock = clock.clone();
        self.set([value], move || Some(end?.duration_since(clock.read().now())));
    }
}

impl<const N: usize, T: GaugeValue> Collector for Computed<N, T> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let values = series.iter().filter_map(|(labels, compute)| Some((labels, compute()?)));
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            return Ok(());
        }
        let unit = T::SECONDS.then_some(Unit::Seconds);
        let mut family = encoder.encode_descriptor(self.name, self.help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in values {
            if N == 0 {
                // The library writes `{}` for a family without labels.
                return value.encode(family);
            }
            let labels: [_; N] = std::array::from_fn(|i| (self.labels[i], labels[i]));
            value.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl<const N: usize, T> fmt::Debug for Computed<N, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Computed").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Returns the name of a metric's series, such as `colocate_http_requests_total{code}`.
fn full_name(name: &str, suffix: &str, labels: &[&str]) -> String {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    format!("{PREFIX}_{name}{suffix}{labels}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_every_metric() {
        let metrics = Metrics::default();
        metrics.decisions.inc(["injected", "CREATE", "Pod"]);
        metrics.http_requests.inc(["200"]);
        metrics.review_duration.observe(Duration::from_micros(60));
        metrics.claim_lookups.inc(["cached"]);
        metrics.validations.inc(["clean"]);
        metrics.findings.inc(["HC001", "error"]);
        metrics.events.inc(["created"]);
        metrics.scheduler_alive.set(["portworx", "stork"], Some(false));
        metrics.scheduler_lease_renewed.set(["portworx", "stork", "stork-scheduler"], Some(true));
        metrics.certificate_rotations.inc(["ca"]);
        metrics.ca_bundle_in_sync.set(["MutatingWebhookConfiguration/colocate"], Some(false));
        metrics.file_usable.set(["configuration"], Some(true));
        metrics.config_reloads.inc(["refused"]);
        metrics.certificate_valid.set(["leaf"], Some(true));
        let clock = Clock::system();
        let end = Timestamp::now() + SignedDuration::from_millis(3_600_500);
        metrics.certificate_expiry.set_end("leaf", Some(end), &clock);
        metrics.certificate_renewal.set_end("leaf", Some(end), &clock);
        metrics.cached_objects.set(["persistentvolumeclaims"], || Some(3));
        metrics.clock_skew.set([], || Some(SignedDuration::from_secs(-2)));
        metrics.watch_staleness.set(["persistentvolumeclaims"], || Some(Duration::from_millis(1500)));
        let text = metrics.encode();
        // The order of the series of a family is that of a hash table.
        let mut lines: Vec<_> = text.lines().collect();
        for family in lines.chunk_by_mut(|one, next| !one.starts_with('#') && !next.starts_with('#')) {
            // Those of the histogram are in order.
            if !family[0].contains("duration_seconds") {
                family.sort_unstable();
            }
        }
        assert_eq!(lines.join("\n") + "\n", include_str!("metrics/exposition.txt"));
        for name in Metrics::names() {
            let name = name.split('{').next().unwrap_or_default();
            assert!(text.contains(&format!("\n{name}")), "{name}");
        }
    }

    #[test]
    fn a_label_has_no_unsafe_characters() {
        let metrics = Metrics::default();
        // Compared with itself, because the order of series differs between two hash tables.
        let empty = metrics.encode();
        metrics.scheduler_alive.set(["a\u{202e}b\n\u{1b}", "stork"], Some(true));
        assert!(metrics.encode().contains("driver=\"a\u{fffd}b\u{fffd}\u{fffd}\""));
        metrics.scheduler_alive.set(["a\u{202e}b\n\u{1b}", "stork"], None);
        assert_eq!(metrics.encode(), empty);
    }

    #[test]
    fn a_removed_gauge_has_no_series() {
        let metrics = Metrics::default();
        let empty = metrics.encode();
        metrics.scheduler_alive.set(["portworx", "stork"], Some(true));
        let clock = Clock::new(|| Timestamp::UNIX_EPOCH);
        let end = Timestamp::UNIX_EPOCH - SignedDuration::from_hours(1);
        metrics.certificate_expiry.set_end("leaf", Some(end), &clock);
        let text = metrics.encode();
        assert!(text.contains("colocate_scheduler_alive{driver=\"portworx\",scheduler=\"stork\"} 1\n"), "{text}");
        assert!(text.contains("colocate_certificate_expiry_seconds{certificate=\"leaf\"} -3600\n"), "{text}");
        metrics.scheduler_alive.set(["portworx", "stork"], None);
        metrics.certificate_expiry.set_end("leaf", None, &clock);
        assert_eq!(metrics.encode(), empty);
    }
}
