//! `drivers[].locality`: the sources of the layout of a driver's volumes.

use serde::{Deserialize, Serialize};

use crate::engine::dns;
use crate::locality::{Adapter, Condition, CustomResource, Service, Test, TokenRef};

/// A source, as in the file and as it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawAdapter", into = "RawAdapter")]
pub(super) struct AdapterEntry {
    raw: RawAdapter,
    pub(super) adapter: Adapter,
}

/// A source as written in the file. The kind decides which of the other keys it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawAdapter {
    kind: AdapterKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<ServiceEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenEntry>,
    /// The name of a custom resource that is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    volume: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    healthy: Option<HealthEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AdapterKind {
    OpenStorage,
    Extender,
    CustomResource,
    NodeAffinity,
}

/// A Service. Keys that are absent are those of Portworx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespaces: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    namespace: String,
    name: String,
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthEntry {
    path: String,
    values: Vec<String>,
}

/// A custom resource in full, for messages.
const EXAMPLE: &str = "{kind: customResource, group: example.com, version: v1, resource: replicas, volume: /spec/volumeName, node: /spec/nodeName}";

impl TryFrom<RawAdapter> for AdapterEntry {
    type Error = String;

    fn try_from(raw: RawAdapter) -> Result<Self, String> {
        raw.check_keys()?;
        let adapter = match raw.kind {
            AdapterKind::OpenStorage => Adapter::OpenStorage {
                service: service(raw.service.as_ref(), Service::portworx_api())?,
                token: raw.token.as_ref().map(token).transpose()?,
            },
            AdapterKind::Extender => Adapter::Extender(service(raw.service.as_ref(), Service::stork())?),
            AdapterKind::CustomResource => Adapter::CustomResource(Box::new(raw.custom_resource()?)),
            AdapterKind::NodeAffinity => Adapter::NodeAffinity,
        };
        Ok(Self { raw, adapter })
    }
}

impl From<AdapterEntry> for RawAdapter {
    fn from(entry: AdapterEntry) -> Self {
        entry.raw
    }
}

impl RawAdapter {
    /// Rejects keys that belong to another kind.
    fn check_keys(&self) -> Result<(), String> {
        let keys = [
            ("service", self.service.is_some()),
            ("token", self.token.is_some()),
            ("name", self.name.is_some()),
            ("group", self.group.is_some()),
            ("version", self.version.is_some()),
            ("resource", self.resource.is_some()),
            ("volume", self.volume.is_some()),
            ("node", self.node.is_some()),
            ("healthy", self.healthy.is_some()),
        ];
        let (kind, own): (_, &[&str]) = match self.kind {
            AdapterKind::OpenStorage => ("openStorage", &["service", "token"]),
            AdapterKind::Extender => ("extender", &["service"]),
            AdapterKind::CustomResource if self.name.is_some() => ("customResource with a `name`", &["name"]),
            AdapterKind::CustomResource => {
                ("customResource", &["group", "version", "resource", "volume", "node", "healthy"])
            }
            AdapterKind::NodeAffinity => ("nodeAffinity", &[]),
        };
        match keys.iter().find(|(key, is_set)| *is_set && !own.contains(key)) {
            Some((key, _)) => Err(format!("`locality` of kind {kind} has no key `{key}`: remove it")),
            None => Ok(()),
        }
    }

    fn custom_resource(&self) -> Result<CustomResource, String> {
        if let Some(name) = &self.name {
            return name.parse();
        }
        let required = |key: &str, value: &Option<String>| {
            let value = value.clone().filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("`locality` of kind customResource lacks `{key}`: use {EXAMPLE}, or `name`"))
        };
        let (group, resource) = (required("group", &self.group)?, required("resource", &self.resource)?);
        if !dns::is_subdomain(&group) {
            return Err(format!("invalid group `{group}` of a custom resource: use one such as longhorn.io"));
        }
        let version = self.version.clone().filter(|version| !version.is_empty());
        let names = [
            ("resource", Some(&resource), "the plural name, such as replicas"),
            ("version", version.as_ref(), "one such as v1"),
        ];
        for (key, name, advice) in names {
            if let Some(name) = name.filter(|name| !dns::is_label(name)) {
                return Err(format!("invalid {key} `{name}` of a custom resource: use {advice}"));
            }
        }
        let path = |key: &str, path: &Option<String>| pointer(key, &required(key, path)?);
        let mut health = Vec::new();
        if let Some(HealthEntry { path, values }) = &self.healthy {
            if values.is_empty() {
                return Err("`healthy` has no values, so no replica would be healthy: list at least one".to_owned());
            }
            let values = values.iter().map(|value| value.as_str().into()).collect();
            health.push(Condition { path: pointer("healthy.path", path)?, test: Test::In(values) });
        }
        Ok(CustomResource {
            group: group.into(),
            version: version.map(Into::into),
            resource: resource.into(),
            volume: path("volume", &self.volume)?,
            node: path("node", &self.node)?,
            select: Vec::new(),
            health,
            ignore_case: false,
        })
    }
}

/// Checks a JSON pointer.
fn pointer(key: &str, path: &str) -> Result<Box<str>, String> {
    if path.starts_with('/') && !path.ends_with('/') {
        return Ok(path.into());
    }
    Err(format!("`{key}: {path}` is not a JSON pointer: use one such as /spec/nodeName"))
}

fn service(written: Option<&ServiceEntry>, default: Service) -> Result<Service, String> {
    let Some(ServiceEntry { namespaces, name, port, tls }) = written else { return Ok(default) };
    let namespaces: Vec<Box<str>> = match namespaces {
        Some(namespaces) => namespaces.iter().map(|namespace| namespace.as_str().into()).collect(),
        None => default.namespaces,
    };
    let name = name.as_deref().map_or(default.name, Into::into);
    if namespaces.is_empty() {
        return Err(format!("Service `{name}` has no namespace: use `namespaces: [portworx]`"));
    }
    if let Some(namespace) = namespaces.iter().find(|namespace| !dns::is_label(namespace)) {
        return Err(format!("invalid namespace `{namespace}` of Service `{name}`: use one such as portworx"));
    }
    if !dns::is_label(&name) {
        return Err(format!("invalid name `{name}` of a Service: use one such as portworx-api"));
    }
    let port = port.unwrap_or(default.port);
    if port == 0 {
        return Err(format!("invalid port 0 of Service `{name}`: use one from 1 to 65535"));
    }
    Ok(Service { namespaces, name, port, tls: tls.unwrap_or(default.tls) })
}

fn token(TokenEntry { namespace, name, key }: &TokenEntry) -> Result<TokenRef, String> {
    if !dns::is_label(namespace) || !dns::is_subdomain(name) || key.is_empty() {
        return Err(format!(
            "invalid Secret `{namespace}/{name}`, key `{key}`, of a token: use {{namespace: portworx, name: px-user-token, key: auth-token}}"
        ));
    }
    Ok(TokenRef { namespace: namespace.as_str().into(), name: name.as_str().into(), key: key.as_str().into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(locality: &str) -> Result<Config, String> {
        let text = format!("drivers: [{{name: portworx, locality: {locality}}}]");
        text.parse::<Config>().map_err(|error| error.to_string())
    }

    fn adapters(locality: &str) -> Vec<Adapter> {
        let config = parse(locality).unwrap();
        let printed = config.to_yaml().unwrap();
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");
        assert!(config.needs_restart(&Config::default()).is_empty());
        let mut all = config.locality().0;
        assert_eq!((all.len(), &*all[0].name), (1, "portworx"));
        all.remove(0).adapters
    }

    #[test]
    fn a_driver_without_the_key_has_the_adapters_that_are_built_in() {
        let built_in = crate::locality::built_in(&["pxd.portworx.com"]);
        for nothing in ["", "~"] {
            assert_eq!(adapters(nothing), built_in, "{nothing}");
        }
        assert_eq!(adapters("[]"), []);
    }

    #[test]
    fn each_kind_has_its_keys() {
        let expected = Service { namespaces: vec!["px".into()], name: "gate".into(), port: 1, tls: true };
        let service = "service: {namespaces: [px], name: gate, port: 1, tls: true}";
        let token = TokenRef { namespace: "px".into(), name: "user".into(), key: "t".into() };
        let open_storage = Adapter::OpenStorage { service: expected.clone(), token: Some(token) };
        let written = format!("[{{kind: openStorage, {service}, token: {{namespace: px, name: user, key: t}}}}]");
        assert_eq!(adapters(&written), [open_storage]);
        assert_eq!(adapters(&format!("[{{kind: extender, {service}}}]")), [Adapter::Extender(expected)]);
        assert_eq!(
            adapters("[{kind: extender, service: {port: 80}}]"),
            [Adapter::Extender(Service { port: 80, ..Service::stork() })]
        );
        assert_eq!(adapters("[{kind: nodeAffinity}]"), [Adapter::NodeAffinity]);
        let longhorn = Adapter::CustomResource(Box::new("longhorn".parse().unwrap()));
        assert_eq!(adapters("[{kind: customResource, name: longhorn}]"), [longhorn]);
        let health = "healthy: {path: /status/state, values: [Ready]}";
        let written = format!("[{}, {health}}}]", EXAMPLE.strip_suffix('}').unwrap());
        let expected = CustomResource {
            group: "example.com".into(),
            version: Some("v1".into()),
            resource: "replicas".into(),
            volume: "/spec/volumeName".into(),
            node: "/spec/nodeName".into(),
            select: Vec::new(),
            health: vec![Condition { path: "/status/state".into(), test: Test::In(vec!["Ready".into()]) }],
            ignore_case: false,
        };
        assert_eq!(adapters(&written), [Adapter::CustomResource(Box::new(expected))]);
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_to_do() {
        for (locality, expected) in [
            ("[{kind: nodeAffinity, service: {}}]", "of kind nodeAffinity has no key `service`: remove it"),
            ("[{kind: extender, token: {namespace: a, name: b, key: c}}]", "of kind extender has no key `token`"),
            ("[{kind: customResource, name: longhorn, group: a}]", "with a `name` has no key `group`"),
            ("[{kind: customResource}]", "lacks `group`: use {kind: customResource, group: example.com,"),
            ("[{kind: customResource, name: ceph}]", "`ceph` is not a built-in custom resource: use one of longhorn,"),
            ("[{kind: customResource, group: A, resource: b}]", "invalid group `A` of a custom resource"),
            (
                "[{kind: customResource, group: a, resource: B/c}]",
                "invalid resource `B/c` of a custom resource: use the plural",
            ),
            (
                "[{kind: customResource, group: a, resource: b, version: V/1}]",
                "invalid version `V/1` of a custom resource: use one",
            ),
            ("[{kind: customResource, group: a, resource: b, volume: spec, node: /n}]", "`volume: spec` is not a JSON"),
            (
                "[{kind: customResource, group: a, resource: b, volume: /v, node: /n, healthy: {path: /s, values: []}}]",
                "`healthy` has no values",
            ),
            ("[{kind: openStorage, service: {namespaces: []}}]", "Service `portworx-api` has no namespace: use"),
            ("[{kind: openStorage, service: {namespaces: [A]}}]", "invalid namespace `A` of Service `portworx-api`"),
            ("[{kind: openStorage, service: {name: a/b}}]", "invalid name `a/b` of a Service"),
            ("[{kind: openStorage, service: {port: 0}}]", "invalid port 0 of Service `portworx-api`"),
            ("[{kind: openStorage, token: {namespace: a, name: b, key: ''}}]", "invalid Secret `a/b`, key ``"),
            ("[{kind: file}]", "`file` is not one of openStorage, extender, customResource, nodeAffinity"),
        ] {
            let error = parse(locality).unwrap_err();
            assert!(error.contains(expected), "{locality}: {error}");
        }
    }
}
