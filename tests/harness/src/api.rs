//! A client of the API server, for tests in which starting kubectl would take too long.

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

/// A client as one account. Clones share its connections.
#[derive(Clone)]
pub struct Api(kube::Client);

/// A response, with any status.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The warnings that webhooks sent.
    pub warnings: Vec<String>,
    /// The body; null if it is not JSON.
    pub object: Object,
}

/// The events of a watch.
pub struct Watch(Pin<Box<dyn AsyncBufRead + Send>>);

/// A missing or incomplete response: the API server is unavailable.
#[derive(Debug)]
pub struct NoAnswer(String);

impl NoAnswer {
    /// Keeps all causes, because the last one is the most specific.
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
    /// Creates a client that acts as that account.
    pub async fn of(account: &Account) -> Self {
        Self::by(account.kubeconfig()).await
    }

    /// Creates a client that acts as the administrator.
    pub async fn administrator(control_plane: &ControlPlane) -> Self {
        Self::by(control_plane.kubeconfig()).await
    }

    /// Creates a client as the user of that kubeconfig.
    pub(crate) async fn by(kubeconfig: &Path) -> Self {
        // kube's client needs a default provider. Only a second call can fail.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig was written");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.expect("the kubeconfig has one cluster and one user");
        // A test that counts rejected requests must see each of them.
        config.default_retry = false;
        Self(kube::Client::try_from(config).expect("the certificate authority is valid"))
    }

    /// Gets the object or list at that path.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Request::get(path).body(Body::empty()).expect("the path is valid")).await
    }

    /// Creates an object in the collection at that path.
    pub async fn create(&self, path: &str, object: &Value) -> Reply {
        self.try_create(path, object).await.expect("the API server responds")
    }

    /// Like [`create`](Self::create), for an API server that may be unavailable.
    pub async fn try_create(&self, path: &str, object: &Value) -> Result<Reply, NoAnswer> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        self.attempt(request.body(Body::from(object.to_string().into_bytes())).expect("the path is valid")).await
    }

    /// Replaces the object at that path.
    pub async fn replace(&self, path: &str, object: &Value) -> Reply {
        let request = Request::put(path).header(CONTENT_TYPE, "application/json");
        self.ask(request.body(Body::from(object.to_string().into_bytes())).expect("the path is valid")).await
    }

    /// Applies a merge patch to the object at that path.
    pub async fn merge(&self, path: &str, change: &Value) -> Reply {
        self.try_merge(path, change).await.expect("the API server answers")
    }

    /// Like [`merge`](Self::merge), for an API server that may be unavailable.
    pub async fn try_merge(&self, path: &str, change: &Value) -> Result<Reply, NoAnswer> {
        let request = Request::patch(path).header(CONTENT_TYPE, "application/merge-patch+json");
        self.attempt(request.body(Body::from(change.to_string().into_bytes())).expect("the path is valid")).await
    }

    /// Deletes the object at that path. The API server may be unavailable.
    pub async fn try_delete(&self, path: &str) -> Result<Reply, NoAnswer> {
        self.attempt(Request::delete(path).body(Body::empty()).expect("the path is valid")).await
    }

    /// Starts a watch. The path must contain `watch=true`.
    pub async fn watch(&self, path: &str) -> Watch {
        let request = Request::get(path).body(Vec::new()).expect("the path is valid");
        Watch(Box::pin(self.0.request_stream(request).await.expect("the API server responds")))
    }

    /// The underlying client, for kube's typed API.
    pub(crate) fn client(&self) -> kube::Client {
        self.0.clone()
    }

    async fn ask(&self, request: Request<Body>) -> Reply {
        self.attempt(request).await.expect("the API server responds")
    }

    async fn attempt(&self, request: Request<Body>) -> Result<Reply, NoAnswer> {
        let answer = self.0.send(request).await.map_err(|error| NoAnswer::new(&error))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| NoAnswer::new(&error))?.to_bytes();
        let warnings = head.headers.get_all(WARNING);
        Ok(Reply {
            status: head.status,
            warnings: warnings.iter().map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned()).collect(),
            // A response from API Priority and Fairness is not JSON.
            object: Object(serde_json::from_slice(&body).unwrap_or_default()),
        })
    }
}

impl Watch {
    /// Returns the type (`ADDED`, `MODIFIED`, `DELETED`) and object of the next event; `None` at the end of the watch.
    pub async fn next(&mut self) -> Option<(String, Object)> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let mut event: Value = serde_json::from_str(&line).ok()?;
        let object = Object(event["object"].take());
        Some((event["type"].as_str()?.to_owned(), object))
    }
}
