//! `tls`: the certificate that is served, and the configurations that carry its CA.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::section::{Check, section};
use crate::duration::GoDuration;
use crate::engine::dns;
use crate::tls::SubjectName;
use crate::trust::Lifetimes;

/// The lower bound of `lifetimes.leaf`. Validity is in whole seconds, and a leaf that lives for two is renewed every
/// second.
const SHORTEST_LEAF: Duration = Duration::from_secs(2);

/// The upper bound of `lifetimes.ca`. A CA that outlives its cluster is never rotated, so a rotation that fails would go
/// unnoticed.
const LONGEST_CA: Duration = Duration::from_hours(10 * 365 * 24);

/// The lower bound of `lifetimes.settle`. API servers need some time to notice a changed configuration, so a new CA must not
/// sign at once.
const SHORTEST_SETTLE: Duration = Duration::from_millis(100);

section! {
    /// The section as written in the file.
    pub struct TlsSection {
        /// The Secret that keeps the self-managed CA.
        pub secret: SecretSection,
        /// The Service through which the API server calls.
        pub service: ServiceSection,
        /// The configurations that carry the `caBundle`.
        pub webhooks: Webhooks,
        names: Vec<NameEntry>,
        lifetimes: LifetimesSection,
    }
}

section! {
    /// The Secret of the self-managed CA.
    pub struct SecretSection {
        /// The namespace; `None` for that of the process.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub namespace: Option<String>,
        /// Its name.
        pub name: String = "colocate-ca".to_owned(),
        /// Whether to create the Secret if it does not exist.
        pub create: bool,
    }
}

section! {
    /// A Service.
    pub struct ServiceSection {
        /// The namespace; `None` for that of the process.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub namespace: Option<String>,
        /// Its name.
        pub name: String = "colocate".to_owned(),
    }
}

section! {
    /// The names of the webhook configurations. At least one of them must exist.
    ///
    /// The API server calls webhooks in the order of these names. By default, colocate is the last.
    pub struct Webhooks {
        /// The name of the `MutatingWebhookConfiguration`.
        pub mutating: String = "zz-colocate".to_owned(),
        /// The name of the `ValidatingWebhookConfiguration`.
        pub validating: String = "zz-colocate".to_owned(),
    }
}

section! {
    /// The lifetimes of certificates.
    struct LifetimesSection {
        ca: GoDuration = go(Lifetimes::default().ca),
        leaf: GoDuration = go(Lifetimes::default().leaf),
        settle: GoDuration = go(Lifetimes::default().settle),
    }
}

/// A DNS name or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct NameEntry(SubjectName);

impl TlsSection {
    /// Returns the lifetimes of certificates.
    pub fn lifetimes(&self) -> Lifetimes {
        let signed = |GoDuration(duration)| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let LifetimesSection { ca, leaf, settle } = self.lifetimes;
        Lifetimes { ca: signed(ca), leaf: signed(leaf), settle: signed(settle) }
    }

    /// Returns the name by which the API server calls the Service: `<service>.<namespace>.svc`. `own` is the namespace
    /// of the process.
    pub fn service_name(&self, own: &str) -> SubjectName {
        let ServiceSection { namespace, name } = &self.service;
        SubjectName::Dns(format!("{name}.{}.svc", namespace.as_deref().unwrap_or(own)))
    }

    /// Returns all names that a leaf is issued for: the Service in its short and its long form, and those of `names`.
    pub fn names(&self, own: &str) -> Vec<SubjectName> {
        let service = self.service_name(own);
        let long = SubjectName::Dns(format!("{service}.cluster.local"));
        let mut names = vec![service, long];
        for NameEntry(name) in &self.names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

impl Check for TlsSection {}

impl Check for SecretSection {
    fn check(&self) -> Result<(), String> {
        check_namespace(self.namespace.as_deref())?;
        check_subdomain(&self.name, "a Secret", "colocate-ca")
    }
}

impl Check for ServiceSection {
    fn check(&self) -> Result<(), String> {
        check_namespace(self.namespace.as_deref())?;
        check_name(dns::is_label(&self.name), &self.name, "a Service", "colocate")
    }
}

impl Check for Webhooks {
    fn check(&self) -> Result<(), String> {
        check_subdomain(&self.mutating, "a webhook configuration", "zz-colocate")?;
        check_subdomain(&self.validating, "a webhook configuration", "zz-colocate")
    }
}

impl Check for LifetimesSection {
    fn check(&self) -> Result<(), String> {
        let Self { ca, leaf, settle } = self;
        if leaf.0 < SHORTEST_LEAF {
            return Err(format!("lifetimes.leaf is {leaf}: use at least {}", GoDuration(SHORTEST_LEAF)));
        }
        if ca.0 > LONGEST_CA {
            return Err(format!("lifetimes.ca is {ca}: use at most {} (10 years)", GoDuration(LONGEST_CA)));
        }
        if settle.0 < SHORTEST_SETTLE {
            return Err(format!(
                "lifetimes.settle is {settle}, so a new CA would sign before API servers trust it: use at least {}",
                GoDuration(SHORTEST_SETTLE)
            ));
        }
        // A rotation starts at 2/3 of a CA's life. The switch comes `settle` later, and the old CA then stays in the
        // bundle for up to 2 x `leaf`. All of that must end before the next rotation starts, 2/3 of a CA's life later.
        // Hence `leaf` <= `ca` / 4 and `settle` <= `ca` / 8.
        for (key, value, part) in [("leaf", leaf, 4), ("settle", settle, 8)] {
            if value.0 > ca.0 / part {
                return Err(format!(
                    "lifetimes.{key} ({value}) is more than 1/{part} of lifetimes.ca ({ca}), so a rotation would not end before the next one begins: use at most {}",
                    GoDuration(ca.0 / part)
                ));
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for NameEntry {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| format!("`{text}` is not a DNS name or IP address: {error}"))
    }
}

impl From<NameEntry> for String {
    fn from(NameEntry(name): NameEntry) -> Self {
        name.to_string()
    }
}

fn go(duration: SignedDuration) -> GoDuration {
    GoDuration(duration.unsigned_abs())
}

fn check_namespace(namespace: Option<&str>) -> Result<(), String> {
    let Some(name) = namespace else { return Ok(()) };
    check_name(dns::is_label(name), name, "a namespace", "storage")
}

fn check_subdomain(name: &str, what: &str, example: &str) -> Result<(), String> {
    check_name(dns::is_subdomain(name), name, what, example)
}

fn check_name(is_name: bool, name: &str, what: &str, example: &str) -> Result<(), String> {
    if is_name { Ok(()) } else { Err(format!("`{name}` is not the name of {what}: use one such as {example}")) }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn config(text: &str) -> Config {
        text.parse().unwrap()
    }

    #[test]
    fn a_printed_section_is_equivalent() {
        let config = config(
            "tls: {secret: {namespace: storage, create: true}, service: {name: a, namespace: b}, webhooks: {mutating: m}, names: [10.0.0.1, webhook.example.com], lifetimes: {ca: 16s, leaf: 4s, settle: 1s}}",
        );
        let seconds = SignedDuration::from_secs;
        assert_eq!(config.tls().lifetimes(), Lifetimes { ca: seconds(16), leaf: seconds(4), settle: seconds(1) });
        assert_eq!((&*config.tls().secret.name, &*config.tls().webhooks.validating), ("colocate-ca", "zz-colocate"));
        assert_eq!(Config::parse(&config.to_yaml().unwrap(), "printed").unwrap(), config);
        assert_eq!(Config::default().tls().lifetimes(), Lifetimes::default());
        assert_eq!(Config::parse("tls: {secret: , names: }", "x").unwrap(), Config::default());
    }

    #[test]
    fn a_leaf_is_for_the_service_and_further_names() {
        let names = |text: &str| config(text).tls().names("own").iter().map(SubjectName::to_string).collect::<Vec<_>>();
        assert_eq!(names("{}"), ["colocate.own.svc", "colocate.own.svc.cluster.local"]);
        let text = "tls: {service: {name: a, namespace: b}, names: ['::1', localhost, a.b.svc]}";
        assert_eq!(names(text), ["a.b.svc", "a.b.svc.cluster.local", "::1", "localhost"]);
    }

    #[test]
    fn an_invalid_value_is_rejected_with_a_remedy() {
        for (text, part) in [
            ("tls: {secret: {name: A B}}", "`A B` is not the name of a Secret: use one such as colocate-ca"),
            ("tls: {secret: {namespace: A}}", "`A` is not the name of a namespace"),
            ("tls: {service: {name: a.b}}", "`a.b` is not the name of a Service"),
            ("tls: {webhooks: {mutating: ../x}}", "`../x` is not the name of a webhook configuration"),
            ("tls: {names: ['https://x']}", "`https://x` is not a DNS name or IP address: it is a URL"),
            ("tls: {lifetimes: {leaf: 1s}}", "lifetimes.leaf is 1s: use at least 2s"),
            ("tls: {lifetimes: {ca: 24h}}", "lifetimes.leaf (168h) is more than 1/4 of lifetimes.ca (24h)"),
            ("tls: {lifetimes: {settle: 1h, ca: 4h, leaf: 1h}}", "use at most 30m"),
            ("tls: {lifetimes: {ca: 876000h}}", "lifetimes.ca is 876000h: use at most 87600h (10 years)"),
            (
                "tls: {lifetimes: {settle: 0s}}",
                "lifetimes.settle is 0s, so a new CA would sign before API servers trust it: use at least 100ms",
            ),
            ("tls: {secrets: {}}", "did you mean `secret`?"),
        ] {
            let error = Config::parse(text, "config.yaml").unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
