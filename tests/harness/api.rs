//! The API server, asked by one account, without the time that kubectl takes to start.

use std::path::Path;
use std::pin::Pin;

use futures_util::{AsyncBufRead, AsyncBufReadExt as _};
use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_TYPE, WARNING};
use hyper::{Request, StatusCode};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use super::{Account, ControlPlane, Object};

/// Asks as often as it is wanted, at once or one after another. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Api(kube::Client);

/// What was answered, whatever it is.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// The warnings that webhooks sent.
    pub(crate) warnings: Vec<String>,
    pub(crate) object: Object,
}

/// What a watch tells, one event after another.
pub(crate) struct Watch(Pin<Box<dyn AsyncBufRead + Send>>);

/// The API server is away: there was no answer, or not all of one.
#[derive(Debug)]
pub(crate) struct NoAnswer(String);

impl NoAnswer {
    /// With all the causes, of which the last one tells most.
    fn new(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        Self(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Api {
    /// As that account.
    pub(crate) async fn of(account: &Account) -> Self {
        Self::by(account.kubeconfig()).await
    }

    /// As the administrator.
    pub(crate) async fn administrator(control_plane: &ControlPlane) -> Self {
        Self::by(control_plane.kubeconfig()).await
    }

    async fn by(kubeconfig: &Path) -> Self {
        // For kube's client; only a second call can fail.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("it was written");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.expect("it names one cluster and one user");
        // Whoever counts refusals must see them.
        config.default_retry = false;
        Self(kube::Client::try_from(config).expect("the certificate authority is one"))
    }

    /// Asks for what is at that path.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Request::get(path).body(Body::empty()).expect("it is a path")).await
    }

    /// Makes an object in a collection at that path.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Reply {
        self.try_create(path, object).await.expect("the API server answers")
    }

    /// The same where the API server may be away.
    pub(crate) async fn try_create(&self, path: &str, object: &Value) -> Result<Reply, NoAnswer> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        self.attempt(request.body(Body::from(object.to_string().into_bytes())).expect("it is a path")).await
    }

    /// Replaces the object at that path.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Reply {
        let request = Request::put(path).header(CONTENT_TYPE, "application/json");
        self.ask(request.body(Body::from(object.to_string().into_bytes())).expect("it is a path")).await
    }

    /// Merges a patch into the object at that path.
    pub(crate) async fn merge(&self, path: &str, change: &Value) -> Reply {
        let request = Request::patch(path).header(CONTENT_TYPE, "application/merge-patch+json");
        self.ask(request.body(Body::from(change.to_string().into_bytes())).expect("it is a path")).await
    }

    /// Deletes the object at that path; the API server may be away.
    pub(crate) async fn try_delete(&self, path: &str) -> Result<Reply, NoAnswer> {
        self.attempt(Request::delete(path).body(Body::empty()).expect("it is a path")).await
    }

    /// Begins to watch; the path says `watch=true`.
    pub(crate) async fn watch(&self, path: &str) -> Watch {
        let request = Request::get(path).body(Vec::new()).expect("it is a path");
        Watch(Box::pin(self.0.request_stream(request).await.expect("the API server answers")))
    }

    /// kube's client, for what it brings along.
    pub(super) fn client(&self) -> kube::Client {
        self.0.clone()
    }

    async fn ask(&self, request: Request<Body>) -> Reply {
        self.attempt(request).await.expect("the API server answers")
    }

    async fn attempt(&self, request: Request<Body>) -> Result<Reply, NoAnswer> {
        let answer = self.0.send(request).await.map_err(|error| NoAnswer::new(&error))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| NoAnswer::new(&error))?.to_bytes();
        let warnings = head.headers.get_all(WARNING);
        Ok(Reply {
            status: head.status,
            warnings: warnings.iter().map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned()).collect(),
            // An answer of the flow control is no JSON.
            object: Object(serde_json::from_slice(&body).unwrap_or_default()),
        })
    }
}

impl Watch {
    /// The next object and what became of it: `ADDED`, `MODIFIED`, `DELETED`; `None` when the watch ends.
    pub(crate) async fn next(&mut self) -> Option<(String, Object)> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let mut event: Value = serde_json::from_str(&line).ok()?;
        let object = Object(event["object"].take());
        Some((event["type"].as_str()?.to_owned(), object))
    }
}
