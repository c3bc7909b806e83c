//! One webhook configuration, by its name: a GET and then a watch, for as long as the process lives.

use std::time::Duration;

use kube::Client;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::bundle::{Configuration, Kind};
use super::request::{self, Cause, Unanswered};
use super::watch::{Event, SILENCE, Status, WATCH_TIMEOUT};
use crate::engine::storage::{Named, Object as _};

/// The API group of webhook configurations.
pub(super) const GROUP: &str = "admissionregistration.k8s.io";

/// What was seen of a configuration.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) kind: Kind,
    /// `None`: it does not exist.
    pub(super) configuration: Option<Configuration>,
    /// Whether every change since the last sighting of the same watch was seen.
    pub(super) unbroken: bool,
}

/// Where one configuration is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl Place {
    /// Its path.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.list_path(), self.name)
    }

    fn list_path(&self) -> String {
        format!("/apis/{GROUP}/v1/{}", self.kind.resource())
    }

    /// Reads it now; `None` if it does not exist.
    pub(super) async fn read(&self) -> Result<Option<Configuration>, Unanswered> {
        let failed = |cause: Cause| Unanswered::new("get", self.kind.resource(), GROUP, cause);
        match request::get(&self.client, &self.path()).await.map_err(failed) {
            Ok(text) => Configuration::from_json(&text).map(Some).map_err(|error| failed(error.into())),
            Err(failure) if failure.code() == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Tells of every change, for ever.
    pub(super) async fn follow(self, sightings: Sender<Sighting>) {
        let mut backoff = DefaultBackoff::default();
        loop {
            let Err(failure) = self.read_and_watch(&sightings, &mut backoff).await else { continue };
            let pause = backoff.next().unwrap_or(SILENCE);
            tracing::warn!(configuration = self.name, "{failure}; trying again in {pause:.1?}");
            tokio::time::sleep(pause).await;
        }
    }

    async fn read_and_watch(
        &self,
        sightings: &Sender<Sighting>,
        backoff: &mut DefaultBackoff,
    ) -> Result<(), Unanswered> {
        let configuration = self.read().await?;
        let mut version = configuration.as_ref().map(|configuration| configuration.version.clone());
        self.tell(sightings, configuration, false).await;
        loop {
            let begun = tokio::time::Instant::now();
            let ended = self.watch(&mut version, sightings).await;
            if begun.elapsed() > Duration::from_mins(1) {
                backoff.reset();
            }
            match ended {
                // What came after that version is not known any more.
                Err(failure) if failure.code() == Some(410) => return Ok(()),
                ended => ended?,
            }
        }
    }

    /// Follows the changes until the API server ends the watch in order. From no version on, it begins with what there is.
    async fn watch(&self, version: &mut Option<String>, sightings: &Sender<Sighting>) -> Result<(), Unanswered> {
        let failed = |cause: Cause| Unanswered::new("watch", self.kind.resource(), GROUP, cause);
        let silent = || Cause::Silent(SILENCE.as_secs());
        let from = version.as_ref().map_or(String::new(), |version| format!("&resourceVersion={version}"));
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&fieldSelector=metadata.name%3D{}&timeoutSeconds={WATCH_TIMEOUT}{from}",
            self.list_path(),
            self.name
        );
        let opened = timeout(SILENCE, request::stream(&self.client, &path)).await;
        let mut stream = opened.unwrap_or_else(|_| Err(silent())).map_err(failed)?;
        let mut line = Vec::new();
        loop {
            let read = timeout(SILENCE, request::line(&mut stream, &mut line)).await;
            if !read.map_err(|_| failed(silent()))?.map_err(|error| failed(error.into()))? {
                return Ok(());
            }
            let event: Event<'_> = serde_json::from_slice(&line).map_err(|error| failed(error.into()))?;
            let json = event.object.get();
            if &*event.kind == "ERROR" {
                let Status { code, message } = serde_json::from_str(json).unwrap_or_default();
                return Err(failed(Cause::Event { code, message }));
            }
            let named: Named<'_> = serde_json::from_str(json).map_err(|error| failed(error.into()))?;
            if let Some(new) = named.resource_version() {
                *version = Some(new.to_owned());
            }
            match &*event.kind {
                "ADDED" | "MODIFIED" => {
                    let configuration = Configuration::from_json(json).map_err(|error| failed(error.into()))?;
                    self.tell(sightings, Some(configuration), true).await;
                }
                "DELETED" => self.tell(sightings, None, true).await,
                _ => {}
            }
        }
    }

    async fn tell(&self, sightings: &Sender<Sighting>, configuration: Option<Configuration>, unbroken: bool) {
        // Whoever listened is gone only when the process ends.
        let _ = sightings.send(Sighting { kind: self.kind, configuration, unbroken }).await;
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::sync::mpsc::channel;
    use tower_test::mock;

    use super::*;

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

    /// What is asked and answered, in order.
    fn script() -> Vec<(String, u16, String)> {
        let get = format!("{LIST}/zz");
        let watch = |from: &str| {
            format!(
                "{LIST}?watch=true&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dzz&timeoutSeconds=290{from}"
            )
        };
        let failure = |code: u16| json!({ "kind": "Status", "status": "Failure", "code": code, "message": "no" });
        vec![
            (get.clone(), 404, failure(404).to_string()),
            (watch(""), 200, event("ADDED", &configuration(4)) + &event("MODIFIED", &configuration(5))),
            (watch("&resourceVersion=5"), 200, event("BOOKMARK", &json!({ "metadata": { "resourceVersion": "7" } }))),
            (watch("&resourceVersion=7"), 200, event("ERROR", &failure(410))),
            (get.clone(), 200, configuration(9).to_string()),
            (watch("&resourceVersion=9"), 403, failure(403).to_string()),
            (get, 200, configuration(10).to_string()),
            (watch("&resourceVersion=10"), 200, event("DELETED", &configuration(11))),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn every_change_is_told_and_what_was_missed_is_looked_for() {
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
        let (sender, mut sightings) = channel(16);
        let client = Client::new(service, "default");
        let follow = tokio::spawn(Place { client, kind: Kind::Mutating, name: "zz".to_owned() }.follow(sender));
        let mut seen = Vec::new();
        for _ in 0..6 {
            let Sighting { kind, configuration, unbroken } = sightings.recv().await.unwrap();
            assert_eq!(kind, Kind::Mutating);
            seen.push((configuration.map(|configuration| configuration.version), unbroken));
        }
        let version = |version: &str| Some(version.to_owned());
        assert_eq!(
            seen,
            [
                (None, false),
                (version("4"), true),
                (version("5"), true),
                (version("9"), false),
                (version("10"), false),
                (None, true)
            ]
        );
        drop(server.await.unwrap());
        follow.abort();
    }
}
