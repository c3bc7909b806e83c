//! The layouts of the drivers' volumes, from their storage systems.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::http::HeaderValue;
use serde_json::Value;

use super::bound_volumes::BoundVolumes;
use super::service_proxy::{ServiceCall, TOKEN_SCHEME};
use super::{Layouts, SourceRow};
use crate::api::{ApiError, Resource};
use crate::inspect::access::{Access, Found, Listing};
use crate::inspect::audit::{ConfigSource, Rules};
use crate::inspect::kinds::{self, ResourceKind};
use crate::locality::{
    Adapter, CustomResource, Gap, Layout, NODES_PATH, Nodes, Service, StorageDriver, StorageNodes, TokenRef,
    VOLUMES_PATH, layout_of_affinity,
};

/// The list of API groups.
const GROUPS: Resource = Resource::new("", "apigroups");

/// Reads the layouts of some drivers. The first source that answers is used. An extender knows one pod at a time, and
/// is left for later.
///
/// # Errors
/// If the API server does not answer.
pub(super) async fn read(
    access: &mut Access,
    rules: &Rules,
    (volumes, drivers): (&BoundVolumes, &BTreeSet<Arc<str>>),
    nodes: Option<&Nodes>,
    progress: &mut impl FnMut(&'static str),
) -> Result<Layouts, ApiError> {
    let (mut layouts, mut extenders) = (HashMap::new(), HashMap::new());
    for StorageDriver { name: driver, adapters, .. } in &rules.drivers.0 {
        if !drivers.contains(driver) {
            continue;
        }
        let hides = format!("where the volumes of driver {driver} have their data");
        let mut found = (Layout::unknown(Gap::NoSource), None);
        for adapter in adapters {
            let layout = match adapter {
                Adapter::OpenStorage { service, token } => match callable(service, token.as_ref(), &rules.source) {
                    Ok(callable) => open_storage(access, &callable, token.as_ref(), &hides).await?,
                    Err(why) => {
                        access.unreadable(kinds::SECRETS, None, &why, &hides);
                        Err(Gap::NoAnswer(why.into()))
                    }
                },
                Adapter::CustomResource(resource) => custom_resource(access, resource, &hides, progress).await?,
                Adapter::NodeAffinity => match nodes {
                    Some(nodes) => Ok(layout_of_affinity(volumes.iter(), nodes)),
                    None => Err(Gap::NoPermission("list nodes".into())),
                },
                Adapter::Extender(service) => {
                    extenders.entry(driver.clone()).or_insert_with(|| service.clone());
                    continue;
                }
            };
            match layout {
                // Other names than those of Kubernetes would make each pod remote.
                Ok(layout) if nodes.is_some_and(|nodes| layout.is_foreign_to(nodes)) => {
                    found = (Layout::unknown(Gap::NodeNotNamed), None);
                    break;
                }
                Ok(layout) => {
                    found = (layout, Some(adapter.to_string()));
                    break;
                }
                Err(gap) if found.0.gap() == Some(&Gap::NoSource) => found.0 = Layout::unknown(gap),
                Err(_) => {}
            }
        }
        if found.1.is_some() {
            extenders.remove(driver);
        } else if found.0.gap() == Some(&Gap::NoSource) && extenders.contains_key(driver) {
            found.0 = Layout::unknown(Gap::NotAsked);
        }
        layouts.insert(driver.clone(), found);
    }
    Ok(Layouts { layouts, extenders })
}

impl Layouts {
    /// Adds the layouts of other drivers.
    pub(super) fn add(&mut self, other: Self) {
        let Self { layouts, extenders } = other;
        self.layouts.extend(layouts);
        self.extenders.extend(extenders);
    }

    /// Finds the layout of a driver.
    ///
    /// # Errors
    /// [`Gap::NotQueried`] if its storage system was not queried.
    pub(super) fn find(&self, driver: &str) -> Result<&Layout, Gap> {
        let layout = self.layouts.get(driver).map(|(layout, _)| layout);
        layout.ok_or(Gap::NotQueried)
    }

    /// The reason why the layout of a driver is not known, if it is not.
    pub(super) fn gap(&self, driver: &str) -> Option<&Gap> {
        self.layouts.get(driver).and_then(|(layout, _)| layout.gap())
    }

    /// The extender of a driver whose layout no other source knows.
    pub(super) fn extender(&self, driver: &str) -> Option<&Service> {
        self.extenders.get(driver)
    }

    /// The sources by the rank of their drivers. `answered` has the drivers whose extenders answered.
    pub(super) fn sources(&self, rules: &Rules, answered: &BTreeSet<Arc<str>>) -> Vec<SourceRow> {
        let row = |StorageDriver { name: driver, .. }: &StorageDriver| {
            let (layout, source) = self.layouts.get(driver)?;
            let extender = self.extender(driver).filter(|_| answered.contains(driver));
            let source = match (source, extender, layout.gap()) {
                (Some(source), ..) => Ok(source.clone()),
                (None, Some(service), _) => Ok(Adapter::Extender(service.clone()).to_string()),
                (None, None, gap) => Err(gap.map(ToString::to_string).unwrap_or_default()),
            };
            Some(SourceRow { driver: driver.clone(), source })
        };
        rules.drivers.0.iter().filter_map(row).collect()
    }
}

/// A Service, restricted to the namespaces that the token may be sent to.
struct Callable {
    /// The Service, with these namespaces only.
    service: Service,
    /// The reason why other namespaces were removed, if any were.
    left_out: Option<String>,
}

/// Asks the gateway of an `OpenStorage` SDK for its nodes and volumes.
async fn open_storage(
    access: &mut Access,
    Callable { service, left_out }: &Callable,
    token: Option<&TokenRef>,
    hides: &str,
) -> Result<Result<Layout, Gap>, ApiError> {
    let token = match token {
        Some(token) => match read_token(access, token, hides).await? {
            Ok(token) => Some(token),
            Err(gap) => return Ok(Err(gap)),
        },
        None => None,
    };
    let left_out = left_out.as_deref();
    let call = |path, body| ServiceCall { service, path, body, token: token.as_ref(), left_out, hides };
    let nodes = match call(NODES_PATH, None).send(access).await? {
        Ok(body) => body,
        Err(gap) => return Ok(Err(gap)),
    };
    let volumes = match call(VOLUMES_PATH, Some("{}".to_owned())).send(access).await? {
        Ok(body) => body,
        Err(gap) => return Ok(Err(gap)),
    };
    let layout = StorageNodes::parse(&String::from_utf8_lossy(&nodes))
        .and_then(|nodes| nodes.layout(&String::from_utf8_lossy(&volumes)));
    Ok(layout.map_err(|error| {
        let why = format!(
            "cannot decode the response of Service {}: {error}; check that it is an OpenStorage gateway",
            service.name
        );
        access.unreadable(kinds::SERVICE_PROXY, None, &why, hides);
        Gap::NoAnswer(why.into())
    }))
}

/// Restricts a Service to the namespaces that its token may be sent to. Anyone who can change the `ConfigMap` in the cluster must not
/// get a Secret of another namespace, which the user of the command may read.
///
/// # Errors
/// If no namespace is left.
fn callable(service: &Service, token: Option<&TokenRef>, source: &ConfigSource) -> Result<Callable, String> {
    let mut service = service.clone();
    let Some(TokenRef { namespace, name, .. }) = token.filter(|_| *source != ConfigSource::File) else {
        return Ok(Callable { service, left_out: None });
    };
    let (own, others): (Vec<_>, Vec<_>) = service.namespaces.into_iter().partition(|own| own == namespace);
    let why = format!(
        "the token of Secret {namespace}/{name} is not sent to Service {} in namespace {}, because a configuration in the cluster may only send a token within the namespace of its Secret: use a Secret in the namespace of the Service, or pass the configuration with --config",
        service.name,
        others.join(" or "),
    );
    service.namespaces = own;
    if service.namespaces.is_empty() {
        return Err(why);
    }
    Ok(Callable { service, left_out: Some(why).filter(|_| !others.is_empty()) })
}

/// Reads a bearer token.
async fn read_token(
    access: &mut Access,
    TokenRef { namespace, name, key }: &TokenRef,
    hides: &str,
) -> Result<Result<HeaderValue, Gap>, ApiError> {
    let why = match access.get(kinds::SECRETS, Some(namespace), name, hides).await? {
        Found::NotSeen => return Ok(Err(Gap::NoPermission(format!("get secrets {name} in {namespace}").into()))),
        Found::Absent => format!("there is no Secret {namespace}/{name} with the token"),
        Found::Object(json) => match token_of(&json, key) {
            Some(token) => return Ok(Ok(token)),
            None => format!("Secret {namespace}/{name} has no token under the key {key}"),
        },
    };
    access.unreadable(kinds::SECRETS, Some(namespace), &why, hides);
    Ok(Err(Gap::NoAnswer(why.into())))
}

/// Returns the header of a token in a Secret.
fn token_of(secret: &str, key: &str) -> Option<HeaderValue> {
    let secret: Value = serde_json::from_str(secret).ok()?;
    let token = BASE64_STANDARD.decode(secret.get("data")?.get(key)?.as_str()?).ok()?;
    let token = std::str::from_utf8(&token).ok()?.trim();
    let mut header = HeaderValue::from_str(&format!("{TOKEN_SCHEME}{token}")).ok().filter(|_| !token.is_empty())?;
    header.set_sensitive(true);
    Some(header)
}

/// Lists custom resources.
async fn custom_resource(
    access: &mut Access,
    resource: &CustomResource,
    hides: &str,
    progress: &mut impl FnMut(&'static str),
) -> Result<Result<Layout, Gap>, ApiError> {
    let not_served = || format!("the API server does not serve {resource}");
    let version = match &resource.version {
        Some(version) => Some(version.to_string()),
        None => preferred_version(access, &resource.group).await?,
    };
    let Some(version) = version else {
        let kind = ResourceKind::of_custom(&resource.group, "v1", &resource.resource);
        access.unreadable(kind, None, not_served(), hides);
        return Ok(Err(Gap::Absent(not_served().into())));
    };
    let kind = ResourceKind::of_custom(&resource.group, &version, &resource.resource);
    let listed = access.try_list(kind, None, hides, |layout: &mut Option<Layout>, item| {
        progress(kind.resource.name);
        resource.read(&serde_json::from_str(item)?, layout.get_or_insert_with(|| resource.layout()));
        Ok(())
    });
    Ok(match listed.await? {
        Listing::All(layout) => Ok(layout.unwrap_or_else(|| resource.layout())),
        Listing::NotServed => {
            access.unreadable(kind, None, not_served(), hides);
            Err(Gap::Absent(not_served().into()))
        }
        Listing::NotSeen => Err(Gap::NoPermission(format!("list {resource}").into())),
    })
}

/// Asks for the version of a group that the API server prefers; `None` if it does not serve the group, or does not say.
async fn preferred_version(access: &Access, group: &str) -> Result<Option<String>, ApiError> {
    let group = match access.client.get(GROUPS, &format!("/apis/{group}")).await {
        Ok(json) => json,
        Err(error) if matches!(error.code(), Some(403 | 404)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let group: Value = GROUPS.decode("get", &group)?;
    let version = group.pointer("/preferredVersion/version").and_then(Value::as_str);
    Ok(version.filter(|version| crate::engine::dns::is_label(version)).map(str::to_owned))
}
