//! The `caBundle` of a webhook configuration: the certificates that its entries carry, and the patch that corrects them.
//!
//! The patch is a JSON patch. Server-side apply would co-own the entries, and a later `helm upgrade` that drops or renames
//! one would fail. The patch tests the version, and the name of each entry that it writes to, so that it changes exactly
//! what was read or nothing. It writes only `clientConfig.caBundle`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation};
use serde::Deserialize;

use crate::api::Resource;
use crate::engine::Text;
use crate::engine::storage::{HasMetadata as _, Named};
use crate::tls::Certificate;

/// The API group of webhook configurations.
const GROUP: &str = "admissionregistration.k8s.io";

/// The two kinds of webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WebhookKind {
    Mutating,
    Validating,
}

impl WebhookKind {
    /// Both kinds.
    pub(super) const ALL: [Self; 2] = [Self::Mutating, Self::Validating];

    /// Returns the resource.
    pub(super) fn resource(self) -> Resource {
        let name = match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        };
        Resource::new(GROUP, name)
    }

    /// Returns the kind, as manifests have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }
}

/// The parts of a configuration that trust depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebhookConfiguration {
    pub(super) version: String,
    entries: Vec<WebhookEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct WebhookEntry {
    name: String,
    /// The `caBundle` in base64, as it is written.
    bundle: String,
}

#[derive(Deserialize)]
struct ConfigurationJson<'a> {
    #[serde(borrow)]
    webhooks: Option<Vec<WebhookJson<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookJson<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    client_config: Option<ClientConfigJson<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientConfigJson<'a> {
    #[serde(borrow)]
    ca_bundle: Option<Text<'a>>,
}

impl WebhookConfiguration {
    /// Reads a configuration from JSON.
    pub(super) fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        let named: Named<'_> = serde_json::from_slice(json)?;
        let ConfigurationJson { webhooks } = serde_json::from_slice(json)?;
        let entries = webhooks.unwrap_or_default().into_iter().map(|webhook| WebhookEntry {
            name: webhook.name.to_string(),
            bundle: webhook.client_config.and_then(|config| config.ca_bundle).map_or(String::new(), |b| b.to_string()),
        });
        Ok(Self { version: named.resource_version().unwrap_or_default().to_owned(), entries: entries.collect() })
    }

    /// Returns whether it has no entries, so that no call depends on it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the certificates that all entries carry.
    pub(super) fn carried_by_all(&self) -> Vec<Certificate> {
        let mut bundles = self.entries.iter().map(WebhookEntry::certificates);
        let mut carried = bundles.next().unwrap_or_default();
        for bundle in bundles {
            carried.retain(|certificate| bundle.contains(certificate));
        }
        carried
    }

    /// Returns the certificates that at least one entry carries.
    pub(super) fn carried_by_any(&self) -> Vec<Certificate> {
        self.entries.iter().flat_map(WebhookEntry::certificates).collect()
    }

    /// Returns the patch that gives this bundle to every entry that does not have it; `None` if all have it.
    pub(super) fn patch(&self, bundle: &str) -> Option<Patch> {
        let wanted = STANDARD.encode(bundle);
        let mut operations = vec![test(&["metadata", "resourceVersion"], &self.version)];
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.bundle != wanted) {
            let index = index.to_string();
            operations.push(test(&["webhooks", &index, "name"], &entry.name));
            operations.push(PatchOperation::Add(AddOperation {
                path: PointerBuf::from_tokens(["webhooks", &index, "clientConfig", "caBundle"]),
                value: wanted.clone().into(),
            }));
        }
        (operations.len() > 1).then_some(Patch(operations))
    }
}

impl WebhookEntry {
    /// Returns the certificates of the bundle; none if it is malformed.
    fn certificates(&self) -> Vec<Certificate> {
        let pem = STANDARD.decode(&self.bundle).unwrap_or_default();
        Certificate::all_from_pem(&pem).unwrap_or_default()
    }
}

fn test(path: &[&str], value: &str) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: PointerBuf::from_tokens(path.iter().copied()), value: value.into() })
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json};

    use super::*;
    use crate::tls::{Authority, Validity};

    fn certificate() -> Certificate {
        let validity = Validity::new(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(1)).unwrap();
        Authority::new("a", validity).unwrap().certificate().clone()
    }

    /// Returns a configuration with an entry for each bundle; `None` stands for an entry without the key.
    fn object(bundles: &[Option<&str>]) -> Value {
        let entry = |(index, bundle): (usize, Option<&str>)| {
            let mut config = json!({ "service": { "name": "colocate", "namespace": "storage" } });
            if let Some(bundle) = bundle {
                config["caBundle"] = STANDARD.encode(bundle).into();
            }
            json!({ "name": format!("w{index}.example.com"), "clientConfig": config, "sideEffects": "None" })
        };
        let webhooks: Vec<_> = bundles.iter().copied().enumerate().map(entry).collect();
        json!({ "kind": "MutatingWebhookConfiguration", "metadata": { "name": "zz", "resourceVersion": "7" }, "webhooks": webhooks })
    }

    fn read(object: &Value) -> WebhookConfiguration {
        WebhookConfiguration::from_json(object.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn entries_without_the_bundle_get_it_and_nothing_else_changes() {
        let mut object = object(&[None, Some("wanted"), Some("foreign"), Some("")]);
        let configuration = read(&object);
        let patch = configuration.patch("wanted").unwrap();
        let bundle = STANDARD.encode("wanted");
        assert_eq!(
            serde_json::to_value(&patch).unwrap(),
            json!([
                { "op": "test", "path": "/metadata/resourceVersion", "value": "7" },
                { "op": "test", "path": "/webhooks/0/name", "value": "w0.example.com" },
                { "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle },
                { "op": "test", "path": "/webhooks/2/name", "value": "w2.example.com" },
                { "op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": bundle },
                { "op": "test", "path": "/webhooks/3/name", "value": "w3.example.com" },
                { "op": "add", "path": "/webhooks/3/clientConfig/caBundle", "value": bundle },
            ])
        );
        let before = object.clone();
        json_patch::patch(&mut object, &patch).unwrap();
        assert!(read(&object).patch("wanted").is_none());
        for entry in object["webhooks"].as_array_mut().unwrap() {
            entry["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        }
        for (entry, before) in object["webhooks"].as_array().unwrap().iter().zip(before["webhooks"].as_array().unwrap())
        {
            assert_eq!((&entry["name"], &entry["sideEffects"]), (&before["name"], &before["sideEffects"]));
            assert_eq!(entry["clientConfig"]["service"], before["clientConfig"]["service"]);
        }
    }

    #[test]
    fn the_patch_fails_if_the_configuration_has_changed() {
        let patch = read(&object(&[None, None])).patch("wanted").unwrap();
        let mut newer = object(&[None, None]);
        newer["metadata"]["resourceVersion"] = "8".into();
        let mut renamed = object(&[None, None]);
        renamed["webhooks"][1]["name"] = "other.example.com".into();
        for mut other in [newer, renamed, object(&[None])] {
            assert!(json_patch::patch(&mut other, &patch).is_err(), "{other}");
        }
    }

    #[test]
    fn certificates_of_all_and_of_any_entry_are_distinguished() {
        let one = certificate();
        let two = certificate();
        let (both, first) = (one.pem() + &two.pem(), one.pem());
        let configuration = read(&object(&[Some(&both), Some(&first)]));
        assert_eq!(configuration.carried_by_all(), std::slice::from_ref(&one));
        assert_eq!(configuration.carried_by_any(), [one.clone(), two, one]);
        for without in [&[Some(&*both), None][..], &[Some(&both), Some("hello")], &[]] {
            assert_eq!(read(&object(without)).carried_by_all(), [], "{without:?}");
        }
        assert!(read(&object(&[])).is_empty() && read(&object(&[])).patch("anything").is_none());
    }
}
