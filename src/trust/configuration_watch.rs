//! One webhook configuration, by its name: read, patched and watched.

use std::fmt;

use hyper::Request;
use hyper::header::CONTENT_TYPE;
use tokio::sync::mpsc::Sender;

use super::configuration::{WebhookConfiguration, WebhookKind};
use crate::api::{ApiClient, ApiError, FIELD_MANAGER, Resource, Watch, WatchEvent};

/// A configuration as the watch observed it.
#[derive(Debug)]
pub(super) struct ConfigurationUpdate {
    pub(super) kind: WebhookKind,
    /// `None` if it does not exist.
    pub(super) configuration: Option<WebhookConfiguration>,
    /// Whether every change since the last update of the same watch was observed.
    pub(super) unbroken: bool,
}

/// A reference to one configuration.
#[derive(Clone)]
pub(super) struct ConfigurationRef {
    pub(super) client: ApiClient,
    pub(super) kind: WebhookKind,
    pub(super) name: String,
}

/// A watch of one configuration, which sends each change.
pub(super) struct ConfigurationWatch {
    configuration: ConfigurationRef,
    updates: Sender<ConfigurationUpdate>,
}

impl ConfigurationRef {
    /// Returns the path of the configuration.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.list_path(), self.name)
    }

    fn list_path(&self) -> String {
        let Resource { group, name } = self.kind.resource();
        format!("/apis/{group}/v1/{name}")
    }

    /// Reads the configuration now; `None` if it does not exist.
    pub(super) async fn read(&self) -> Result<Option<WebhookConfiguration>, ApiError> {
        let resource = self.kind.resource();
        let json = self.client.get_opt(resource, &self.path()).await?;
        let read = json.map(|json| WebhookConfiguration::from_json(&json)).transpose();
        read.map_err(|error| resource.failed("get", error))
    }

    /// Patches the configuration, and returns the result.
    pub(super) async fn patch(&self, patch: &json_patch::Patch) -> Result<WebhookConfiguration, ApiError> {
        let resource = self.kind.resource();
        let failed = |error: serde_json::Error| resource.failed("patch", error);
        let request = Request::patch(format!("{}?{FIELD_MANAGER}", self.path()));
        let request = request.header(CONTENT_TYPE, "application/json-patch+json");
        let body = serde_json::to_vec(patch).map_err(failed)?;
        let json = self.client.call(("patch", resource), request, body).await?;
        WebhookConfiguration::from_json(&json).map_err(failed)
    }
}

impl fmt::Display for ConfigurationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

impl ConfigurationWatch {
    pub(super) fn new(configuration: ConfigurationRef, updates: Sender<ConfigurationUpdate>) -> Self {
        Self { configuration, updates }
    }

    async fn send(&self, configuration: Option<WebhookConfiguration>, unbroken: bool) {
        // The receiver is gone only when the process ends.
        let _ = self.updates.send(ConfigurationUpdate { kind: self.configuration.kind, configuration, unbroken }).await;
    }
}

impl Watch for ConfigurationWatch {
    fn resource(&self) -> Resource {
        self.configuration.kind.resource()
    }

    fn query(&self) -> String {
        let ConfigurationRef { name, .. } = &self.configuration;
        format!("{}?fieldSelector=metadata.name%3D{name}&", self.configuration.list_path())
    }

    fn name(&self) -> String {
        self.configuration.to_string()
    }

    async fn read(&mut self, _: &ApiClient) -> Result<String, ApiError> {
        let configuration = self.configuration.read().await?;
        let version = configuration.as_ref().map(|configuration| configuration.version.clone());
        self.send(configuration, false).await;
        Ok(version.unwrap_or_default())
    }

    async fn apply(&mut self, event: &WatchEvent<'_>) -> Result<(), ApiError> {
        match &*event.kind {
            "ADDED" | "MODIFIED" => {
                let configuration = WebhookConfiguration::from_json(event.object.get().as_bytes());
                let configuration = configuration.map_err(|error| self.resource().failed("watch", error))?;
                self.send(Some(configuration), true).await;
            }
            "DELETED" => self.send(None, true).await,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::sync::mpsc::channel;
    use tower_test::mock;

    use super::*;
    use crate::api::{follow, requests_in_30_s};

    const LIST: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

    fn configuration(version: u64) -> Value {
        let version = version.to_string();
        json!({
            "metadata": { "name": "zz", "resourceVersion": version },
            "webhooks": [{ "name": "a.example.com", "clientConfig": {} }],
        })
    }

    fn event(kind: &str, object: &Value) -> String {
        format!("{}\n", json!({ "type": kind, "object": object }))
    }

    fn watch_of(client: ApiClient, updates: Sender<ConfigurationUpdate>) -> ConfigurationWatch {
        let configuration = ConfigurationRef { client, kind: WebhookKind::Mutating, name: "zz".to_owned() };
        ConfigurationWatch::new(configuration, updates)
    }

    /// Returns each request and its response, in order.
    fn script() -> Vec<(String, u16, String)> {
        let get = format!("{LIST}/zz");
        let watch = |from: &str| {
            format!(
                "{LIST}?fieldSelector=metadata.name%3Dzz&watch=true&allowWatchBookmarks=true&resourceVersion={from}&timeoutSeconds=290"
            )
        };
        let failure = |code: u16| json!({ "kind": "Status", "status": "Failure", "code": code, "message": "no" });
        vec![
            (get.clone(), 404, failure(404).to_string()),
            (watch(""), 200, event("ADDED", &configuration(4)) + &event("MODIFIED", &configuration(5))),
            (watch("5"), 200, event("BOOKMARK", &json!({ "metadata": { "resourceVersion": "7" } }))),
            (watch("7"), 200, event("ERROR", &failure(410))),
            (get.clone(), 200, configuration(9).to_string()),
            (watch("9"), 403, failure(403).to_string()),
            (watch("9"), 200, event("MODIFIED", &configuration(10))),
            // After three failures in a row, it is read again.
            (get, 200, configuration(10).to_string()),
            (watch("10"), 200, event("DELETED", &configuration(11))),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn every_change_is_sent_and_a_gap_is_marked() {
        let (service, mut handle) = mock::pair::<hyper::Request<Body>, hyper::Response<Body>>();
        let server = tokio::spawn(async move {
            for (path, status, body) in script() {
                let (request, send) = handle.next_request().await.unwrap();
                assert_eq!(request.uri().to_string(), path);
                let body = Body::from(body.into_bytes());
                send.send_response(hyper::Response::builder().status(status).body(body).unwrap());
            }
            handle
        });
        let (sender, mut updates) = channel(16);
        let client = ApiClient::for_test(kube::Client::new(service, "default"));
        let follow = tokio::spawn(follow(client.clone(), watch_of(client, sender)));
        let mut observed = Vec::new();
        for _ in 0..7 {
            let ConfigurationUpdate { kind, configuration, unbroken } = updates.recv().await.unwrap();
            assert_eq!(kind, WebhookKind::Mutating);
            observed.push((configuration.map(|configuration| configuration.version), unbroken));
        }
        let version = |version: &str| Some(version.to_owned());
        assert_eq!(
            observed,
            [
                (None, false),
                (version("4"), true),
                (version("5"), true),
                (version("9"), false),
                (version("10"), true),
                (version("10"), false),
                (None, true)
            ]
        );
        drop(server.await.unwrap());
        follow.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_or_expires_at_once_backs_off() {
        let expired = json!({ "kind": "Status", "code": 410, "message": "too old" }).to_string();
        let event = event("ERROR", &json!({ "kind": "Status", "code": 410, "message": "too old" }));
        for (status, body) in [(200, String::new()), (410, expired), (200, event)] {
            let (sender, mut sightings) = channel(16);
            let drain = tokio::spawn(async move { while sightings.recv().await.is_some() {} });
            let watch = |client: &ApiClient| watch_of(client.clone(), sender);
            let requests = requests_in_30_s(watch, &configuration(1).to_string(), (status, &body)).await;
            drain.await.unwrap();
            // Pauses of 0.8 s, doubled each time: five watches, and a GET after each that expired.
            assert!((4..=14).contains(&requests), "{requests} requests");
        }
    }
}
