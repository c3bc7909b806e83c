//! An event of an audit log: one request, as an API server records it.

use std::collections::BTreeMap;
use std::fmt;

use colocate_engine::{Text, object};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::kept;
use crate::controller::{Controller, controller};

/// The status code of a request that created an object.
const CREATED: u16 = 201;

/// The largest number of annotations of an event: 60 MB of short ones would take 500 MB.
pub(super) const MAX_ANNOTATIONS: usize = 10_000;

/// The resources whose scheduler cannot be changed: API servers reject updates that do.
const IMMUTABLE: [&str; 2] = ["pods", "jobs.batch"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) api_version: Text<'a>,
    #[serde(borrow, default, rename = "auditID")]
    pub(super) audit_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stage: Text<'a>,
    #[serde(borrow, default, rename = "requestURI")]
    pub(super) request_uri: Text<'a>,
    #[serde(borrow, default)]
    pub(super) verb: Text<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(super) user: Option<User<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(super) impersonated_user: Option<User<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(super) object_ref: Option<ObjectRef<'a>>,
    #[serde(default, deserialize_with = "object")]
    pub(super) response_status: Option<ResponseStatus>,
    /// The object, or the patch in any form.
    #[serde(borrow, default)]
    pub(super) request_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) response_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) request_received_timestamp: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stage_timestamp: Text<'a>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Annotations<'a>>,
}

/// The annotations, at most [`MAX_ANNOTATIONS`].
pub(super) struct Annotations<'a>(pub(super) BTreeMap<Text<'a>, Text<'a>>);

#[derive(Deserialize)]
pub(super) struct User<'a> {
    #[serde(borrow, default)]
    pub(super) username: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRef<'a> {
    #[serde(borrow, default)]
    pub(super) resource: Text<'a>,
    #[serde(borrow, default)]
    pub(super) api_group: Text<'a>,
    #[serde(borrow, default)]
    pub(super) api_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) subresource: Text<'a>,
    #[serde(borrow, default)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct ResponseStatus {
    #[serde(default)]
    pub(super) code: u16,
}

/// A logged object.
#[derive(Default, Deserialize)]
pub(super) struct Logged<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    pub(super) metadata: Option<LoggedMetadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(super) spec: Option<LoggedSpec<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedMetadata<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) generate_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) uid: Option<Text<'a>>,
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    pub(super) controller: Option<Controller<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedSpec<'a> {
    #[serde(borrow, default)]
    pub(super) scheduler_name: Option<Text<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = BTreeMap<Text<'de>, Text<'de>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut annotations = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    annotations.insert(key, value);
                    if annotations.len() > MAX_ANNOTATIONS {
                        return Err(M::Error::custom(format!("it has more than {MAX_ANNOTATIONS} annotations")));
                    }
                }
                Ok(annotations)
            }
        }

        deserializer.deserialize_map(Map).map(Annotations)
    }
}

impl<'a> Logged<'a> {
    /// Reads an object. A patch may be an array; it identifies nothing.
    pub(super) fn read(logged: Option<&'a RawValue>) -> Option<Self> {
        serde_json::from_str(logged?.get()).ok()
    }
}

impl Event<'_> {
    /// Returns true for the last stage of a request that changed an object.
    pub(super) fn is_admitted(&self) -> bool {
        let succeeded = self.response_status.as_ref().is_some_and(|status| (200..300).contains(&status.code));
        let query = self.request_uri.split_once('?').map_or("", |(_, query)| query);
        let is_dry_run =
            query.split('&').any(|pair| pair.strip_prefix("dryRun=").is_some_and(|value| !value.is_empty()));
        let has_subresource = self.object_ref.as_ref().is_some_and(|object| !object.subresource.is_empty());
        *self.stage == *"ResponseComplete" && succeeded && !is_dry_run && !has_subresource
    }

    /// Returns true if the request created the object. Server-side apply creates with the verb `patch`.
    pub(super) fn creates(&self) -> bool {
        *self.verb == *"create" || self.response_status.as_ref().is_some_and(|status| status.code == CREATED)
    }

    /// Returns true if the scheduler of the object could be set at the request.
    pub(super) fn may_set_scheduler(&self) -> bool {
        let updates = matches!(&*self.verb, "update" | "patch");
        self.creates() || updates && !IMMUTABLE.contains(&&*self.resource())
    }

    pub(super) fn namespace(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| &object.namespace)
    }

    pub(super) fn resource(&self) -> String {
        match &self.object_ref {
            Some(ObjectRef { resource, api_group, .. }) if !api_group.is_empty() => {
                format!("{}.{}", kept(resource), kept(api_group))
            }
            Some(ObjectRef { resource, .. }) => kept(resource),
            None => String::new(),
        }
    }

    pub(super) fn name(&self) -> String {
        let own = self.object_ref.as_ref().map(|object| &*object.name).filter(|name| !name.is_empty());
        if let Some(own) = own {
            return kept(own);
        }
        let metadata = |logged| Logged::read(logged).and_then(|object| object.metadata).unwrap_or_default();
        let (response, request) = (metadata(self.response_object), metadata(self.request_object));
        match Text::non_empty(response.name.as_ref()) {
            Some(name) => kept(name),
            None => format!("{}*", kept(Text::non_empty(request.generate_name.as_ref()).unwrap_or_default())),
        }
    }
}
