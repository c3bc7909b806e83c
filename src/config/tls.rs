//! `tls`: the certificate that is served, and the configurations that are told to trust it.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::error::Invalid;
use super::or_default;
use crate::duration::GoDuration;
use crate::engine::dns;
use crate::tls::Name;
use crate::trust::Lifetimes;

/// A certificate counts in whole seconds; one that lives for two is renewed every second.
const SHORTEST_LEAF: Duration = Duration::from_secs(2);

/// The section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tls {
    /// Where the self-managed CA is.
    #[serde(deserialize_with = "or_default")]
    pub secret: Secret,
    /// By which Service the API server calls.
    #[serde(deserialize_with = "or_default")]
    pub service: Service,
    /// Which configurations carry the `caBundle`.
    #[serde(deserialize_with = "or_default")]
    pub webhooks: Webhooks,
    #[serde(deserialize_with = "or_default")]
    names: Vec<OneName>,
    #[serde(deserialize_with = "or_default")]
    lifetimes: Durations,
}

/// The Secret of the self-managed CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, try_from = "SecretFields")]
pub struct Secret {
    /// Its namespace; `None` for that of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether one that does not exist is created.
    pub create: bool,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, try_from = "ServiceFields")]
pub struct Service {
    /// Its namespace; `None` for that of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// The names of the webhook configurations. One that does not exist is not missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, try_from = "WebhooksFields")]
pub struct Webhooks {
    /// Of the `MutatingWebhookConfiguration`.
    pub mutating: String,
    /// Of the `ValidatingWebhookConfiguration`.
    pub validating: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretFields {
    namespace: Option<String>,
    name: Option<String>,
    create: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceFields {
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhooksFields {
    mutating: Option<String>,
    validating: Option<String>,
}

/// A name or an address, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct OneName(Name);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DurationFields")]
struct Durations {
    ca: GoDuration,
    leaf: GoDuration,
    settle: GoDuration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DurationFields {
    ca: Option<GoDuration>,
    leaf: Option<GoDuration>,
    settle: Option<GoDuration>,
}

impl Tls {
    /// How long certificates last.
    pub fn lifetimes(&self) -> Lifetimes {
        let Durations { ca, leaf, settle } = self.lifetimes;
        let signed = |GoDuration(duration)| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Lifetimes { ca: signed(ca), leaf: signed(leaf), settle: signed(settle) }
    }

    /// The name by which the API server calls the Service: `<service>.<namespace>.svc`. `own` is the namespace of the
    /// process.
    pub fn service_name(&self, own: &str) -> Name {
        let Service { namespace, name } = &self.service;
        Name::Dns(format!("{name}.{}.svc", namespace.as_deref().unwrap_or(own)))
    }

    /// All that a leaf is issued for: the Service by its name and its longer form, and what is configured beside.
    pub fn names(&self, own: &str) -> Vec<Name> {
        let service = self.service_name(own);
        let longer = Name::Dns(format!("{service}.cluster.local"));
        let mut names = vec![service, longer];
        for OneName(name) in &self.names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self { namespace: None, name: "colocate-ca".to_owned(), create: false }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self { namespace: None, name: "colocate".to_owned() }
    }
}

impl Default for Webhooks {
    /// The last that the API server calls: it calls them in the order of their names.
    fn default() -> Self {
        Self { mutating: "zz-colocate".to_owned(), validating: "zz-colocate".to_owned() }
    }
}

impl Default for Durations {
    fn default() -> Self {
        let Lifetimes { ca, leaf, settle } = Lifetimes::default();
        let go = |duration: SignedDuration| GoDuration(duration.unsigned_abs());
        Self { ca: go(ca), leaf: go(leaf), settle: go(settle) }
    }
}

impl TryFrom<SecretFields> for Secret {
    type Error = Invalid;

    fn try_from(SecretFields { namespace, name, create }: SecretFields) -> Result<Self, Invalid> {
        let default = Self::default();
        Ok(Self {
            namespace: self::namespace(namespace)?,
            name: subdomain(name.unwrap_or(default.name), "a Secret", "colocate-ca")?,
            create: create.unwrap_or(default.create),
        })
    }
}

impl TryFrom<ServiceFields> for Service {
    type Error = Invalid;

    fn try_from(ServiceFields { namespace, name }: ServiceFields) -> Result<Self, Invalid> {
        let name = name.unwrap_or(Self::default().name);
        if !dns::is_label(&name) {
            return Err(Invalid(format!("`{name}` is no name of a Service; write one such as colocate")));
        }
        Ok(Self { namespace: self::namespace(namespace)?, name })
    }
}

impl TryFrom<WebhooksFields> for Webhooks {
    type Error = Invalid;

    fn try_from(WebhooksFields { mutating, validating }: WebhooksFields) -> Result<Self, Invalid> {
        let default = Self::default();
        let name = |name| subdomain(name, "a webhook configuration", "zz-colocate");
        Ok(Self {
            mutating: name(mutating.unwrap_or(default.mutating))?,
            validating: name(validating.unwrap_or(default.validating))?,
        })
    }
}

impl TryFrom<String> for OneName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let wrong = |error| Invalid(format!("`{text}` is no DNS name or IP address: {error}"));
        text.parse().map(Self).map_err(wrong)
    }
}

impl From<OneName> for String {
    fn from(OneName(name): OneName) -> Self {
        name.to_string()
    }
}

impl TryFrom<DurationFields> for Durations {
    type Error = Invalid;

    fn try_from(DurationFields { ca, leaf, settle }: DurationFields) -> Result<Self, Invalid> {
        let default = Self::default();
        let ca = ca.unwrap_or(default.ca);
        let (leaf, settle) = (leaf.unwrap_or(default.leaf), settle.unwrap_or(default.settle));
        if leaf.0 < SHORTEST_LEAF {
            let shortest = GoDuration(SHORTEST_LEAF);
            return Err(Invalid(format!("lifetimes.leaf is {leaf}; write at least {shortest}")));
        }
        // From two thirds of its life on, a CA is followed by the next one, which takes `settle`, and stays in the bundle for
        // up to twice the life of a leaf: that must be over before the next one is to be followed, two thirds of a life later.
        for (key, value, part) in [("leaf", leaf, 4), ("settle", settle, 8)] {
            if value.0 > ca.0 / part {
                return Err(Invalid(format!(
                    "lifetimes.{key} ({value}) is more than 1/{part} of lifetimes.ca ({ca}): a rotation would not end before the next one begins; write at most {}",
                    GoDuration(ca.0 / part)
                )));
            }
        }
        Ok(Self { ca, leaf, settle })
    }
}

fn namespace(namespace: Option<String>) -> Result<Option<String>, Invalid> {
    match namespace {
        Some(name) if !dns::is_label(&name) => {
            Err(Invalid(format!("`{name}` is no name of a namespace; write one such as storage")))
        }
        namespace => Ok(namespace),
    }
}

fn subdomain(name: String, what: &str, example: &str) -> Result<String, Invalid> {
    if !dns::is_subdomain(&name) {
        return Err(Invalid(format!("`{name}` is no name of {what}; write one such as {example}")));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn config(text: &str) -> Config {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_printed_and_read_again() {
        let config = config(
            "tls: {secret: {namespace: storage, create: true}, service: {name: a, namespace: b}, webhooks: {mutating: m}, names: [10.0.0.1, webhook.example.com], lifetimes: {ca: 16s, leaf: 4s, settle: 1s}}",
        );
        let seconds = SignedDuration::from_secs;
        assert_eq!(config.tls().lifetimes(), Lifetimes { ca: seconds(16), leaf: seconds(4), settle: seconds(1) });
        assert_eq!((&*config.tls().secret.name, &*config.tls().webhooks.validating), ("colocate-ca", "zz-colocate"));
        assert_eq!(Config::parse(&config.to_yaml().unwrap(), "printed").unwrap(), config);
        assert_eq!(Config::default().tls().lifetimes(), Lifetimes::default());
        assert_eq!(super::super::Config::parse("tls: {secret: , names: }", "x").unwrap(), Config::default());
    }

    #[test]
    fn a_leaf_is_for_the_service_and_the_names_beside() {
        let names = |text: &str| config(text).tls().names("own").iter().map(Name::to_string).collect::<Vec<_>>();
        assert_eq!(names(""), ["colocate.own.svc", "colocate.own.svc.cluster.local"]);
        let text = "tls: {service: {name: a, namespace: b}, names: ['::1', localhost, a.b.svc]}";
        assert_eq!(names(text), ["a.b.svc", "a.b.svc.cluster.local", "::1", "localhost"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_write() {
        for (text, part) in [
            ("tls: {secret: {name: A B}}", "`A B` is no name of a Secret; write one such as colocate-ca"),
            ("tls: {secret: {namespace: A}}", "`A` is no name of a namespace"),
            ("tls: {service: {name: a.b}}", "`a.b` is no name of a Service"),
            ("tls: {webhooks: {mutating: ../x}}", "`../x` is no name of a webhook configuration"),
            ("tls: {names: ['https://x']}", "`https://x` is no DNS name or IP address: it is a URL"),
            ("tls: {lifetimes: {leaf: 1s}}", "lifetimes.leaf is 1s; write at least 2s"),
            ("tls: {lifetimes: {ca: 24h}}", "lifetimes.leaf (168h) is more than 1/4 of lifetimes.ca (24h)"),
            ("tls: {lifetimes: {settle: 1h, ca: 4h, leaf: 1h}}", "write at most 30m"),
            ("tls: {secrets: {}}", "did you mean `secret`?"),
        ] {
            let error = Config::parse(text, "config.yaml").unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
