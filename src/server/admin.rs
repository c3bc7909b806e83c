//! `/livez`, `/readyz` and `/metrics`, on a plain port.

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::handler::{HttpResponse, RequestHandler, response, text};
use super::request_body::RequestBody;
use crate::process::Process;
use crate::process::metrics;

/// The handler of the admin server.
#[derive(Debug)]
pub struct Admin {
    process: Process,
}

impl Admin {
    /// Creates the handler of probes and scrapes of `process`.
    pub fn new(process: &Process) -> Self {
        Self { process: process.clone() }
    }

    fn ready(&self) -> HttpResponse {
        let (status, first) = match &self.process.readiness.obstacles()[..] {
            [] => (StatusCode::OK, "ok".to_owned()),
            obstacles => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: waiting for {}", obstacles.join(", "))),
        };
        let lines: Vec<_> = std::iter::once(first).chain(self.process.readiness.details()).collect();
        text(status, &lines.join("\n"))
    }
}

impl RequestHandler for Admin {
    async fn answer(&self, head: &Parts, _: &mut RequestBody) -> HttpResponse {
        if head.method != Method::GET && head.method != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed; use GET");
        }
        match head.uri.path() {
            "/livez" => text(StatusCode::OK, "ok"),
            "/readyz" => self.ready(),
            "/metrics" => response(StatusCode::OK, metrics::CONTENT_TYPE, self.process.metrics.encode()),
            _ => text(StatusCode::NOT_FOUND, "no such path; use /livez, /readyz or /metrics"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn ready(process: &Process) -> (u16, String) {
        let response = Admin::new(process).ready();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn details_are_lines_below_the_answer() {
        let process = Process::default();
        let detail = process.readiness.detail("scheduler stork");
        assert_eq!(ready(&process).await, (200, "ok\n".to_owned()));
        detail.set(Some("absent".to_owned()));
        assert_eq!(ready(&process).await, (200, "ok\nscheduler stork: absent\n".to_owned()));
        let _unmet = process.readiness.condition("claims");
        let text = "not ready: waiting for claims\nscheduler stork: absent\n".to_owned();
        assert_eq!(ready(&process).await, (503, text));
    }
}
