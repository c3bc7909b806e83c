//! The result as gauges in the `OpenMetrics` text format 1.0.

use std::fmt::Write as _;

use super::Outcome;
use crate::locality::Counts;

/// Renders the gauges. Without pods that can be listed, there are none.
pub(super) fn metrics(outcome: &Outcome<'_>) -> String {
    let Outcome { report, by, not_seen, .. } = outcome;
    let mut text = String::new();
    let mut family = |name: &str, help: &str, samples: &[(String, u64)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            let _ = writeln!(text, "{name}{braces} {value}");
        }
    };
    if let Some(shares) = &report.shares {
        let mut samples = Vec::new();
        for (values, counts) in by.groups(shares) {
            let labels: Vec<_> = by.labels().iter().zip(values).map(|(key, value)| label(key, value)).collect();
            let labels = labels.join(",");
            samples.extend(
                numbers(counts).map(|(word, number)| (format!("{labels},{}", label("locality", word)), number)),
            );
        }
        let help = "Running pods with claims of a driver, by whether they run on a node with their data.";
        family("colocate_locality_pods", help, &samples);
        let reasons: Vec<_> = shares.reasons.iter().map(|(word, pods)| (label("reason", word), *pods)).collect();
        family("colocate_locality_reasons", "Pods that are unknown or not local, by reason.", &reasons);
    }
    if let Some(gain) = report.gain {
        let help = "Pods that would be local if they were evicted now.";
        family("colocate_locality_gain_pods", help, &[(String::new(), gain.pods)]);
        let help = "Pods that might be local if they were evicted now; it is unknown whether they would get the driver's scheduler.";
        family("colocate_locality_gain_unknown_pods", help, &[(String::new(), gain.unknown)]);
    }
    if !report.not_counted.is_empty() {
        let samples = report.not_counted.iter().map(|(name, claims)| (label("provisioner", name), *claims));
        let help = "Bound claims of a storage system that no driver of the configuration names.";
        family("colocate_locality_claims_not_counted", help, &samples.collect::<Vec<_>>());
    }
    let help = "Things that could not be read.";
    family("colocate_locality_not_seen", help, &[(String::new(), not_seen.len() as u64)]);
    text + "# EOF\n"
}

fn numbers(counts: &Counts) -> [(&'static str, u64); 5] {
    let Counts { local, partly, remote, meant_to_be_remote, unknown } = *counts;
    [
        ("local", local),
        ("partly", partly),
        ("remote", remote),
        ("meant-to-be-remote", meant_to_be_remote),
        ("unknown", unknown),
    ]
}

/// Renders a label.
fn label(key: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{key}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(label("node", "a\"\\\n"), r#"node="a\"\\\n""#);
    }
}
