//! `/livez`, `/readyz` and `/metrics`, on a plain port of their own.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use crate::metrics::{self, Metrics};
use crate::readiness::Readiness;
use crate::server::{Response, Service, response, text};

/// The paths of the admin server.
#[derive(Debug)]
pub struct Admin {
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

impl Admin {
    /// Answers probes from `readiness` and scrapes from `metrics`.
    pub fn new(readiness: Readiness, metrics: Arc<Metrics>) -> Self {
        Self { readiness, metrics }
    }

    fn ready(&self) -> Response {
        match self.readiness.obstacles()[..] {
            [] => text(StatusCode::OK, "ok"),
            ref obstacles => {
                let line = format!("not ready: waiting for {}", obstacles.join(", "));
                text(StatusCode::SERVICE_UNAVAILABLE, &line)
            }
        }
    }
}

impl Service for Admin {
    async fn answer(&self, request: Request<Incoming>) -> Response {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here");
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok"),
            "/readyz" => self.ready(),
            "/metrics" => response(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.encode()),
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics here"),
        }
    }
}
