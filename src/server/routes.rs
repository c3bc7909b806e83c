//! The paths of the admission server: HTTP requests to reviews, and results to HTTP responses.

use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::bodies::{Bodies, BodyError};
use super::handler::{HttpResponse, RequestHandler, insert, response, text};
use super::limits::ServerLimits;
use super::mutate::MutateHandler;
use super::request_body::RequestBody;
use super::validate::ValidateHandler;
use crate::duration::GoDuration;
use crate::engine::one_line;
use crate::process::Process;
use crate::tls::NotAllowed;

/// The longest error line, in characters: about as much as the API server shows.
const MAX_LINE: usize = 512;

/// The default timeout of a webhook.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The handler of the admission server.
#[derive(Debug)]
pub struct Routes {
    mutate: MutateHandler,
    validate: ValidateHandler,
    bodies: Bodies,
    process: Process,
}

impl Routes {
    /// Routes `POST /mutate` to `mutate` and `POST /validate` to `validate`, while `process` is ready and not closing.
    pub fn new(mutate: MutateHandler, validate: ValidateHandler, process: &Process) -> Self {
        Self { mutate, validate, bodies: Bodies::new(ServerLimits::reviews().body), process: process.clone() }
    }

    async fn route(&self, head: &Parts, body: &mut RequestBody) -> Result<HttpResponse, Rejection> {
        if let Some(reason) = head.extensions.get::<NotAllowed>() {
            return Err(Rejection::Caller(reason.clone()));
        }
        let path = match head.uri.path() {
            "/mutate" => Endpoint::Mutate,
            "/validate" => Endpoint::Validate,
            other => return Err(Rejection::Path(other.to_owned())),
        };
        if head.method != Method::POST {
            return Err(Rejection::Method(head.method.clone()));
        }
        if !is_json(head) {
            return Err(Rejection::Type);
        }
        if self.process.shutdown.closing.is_cancelled() {
            return Err(Rejection::Ending);
        }
        if !self.process.readiness.can_answer() {
            return Err(Rejection::NotReady(self.process.readiness.obstacles()));
        }
        let body = self.bodies.read(body).await.map_err(Rejection::Body)?;
        let timeout = timeout(head.uri.query());
        let answer = match path {
            Endpoint::Mutate => self.mutate.review(&body, timeout).await,
            Endpoint::Validate => self.validate.review(&body, timeout).await,
        };
        let answer = answer.map_err(|error| Rejection::Malformed(error.to_string()))?;
        Ok(response(StatusCode::OK, "application/json", answer))
    }
}

impl RequestHandler for Routes {
    async fn answer(&self, head: &Parts, body: &mut RequestBody) -> HttpResponse {
        let response = match self.route(head, body).await {
            Ok(response) => response,
            Err(rejection) => {
                tracing::debug!(refusal = rejection.line(), "refused a request");
                rejection.into_response()
            }
        };
        self.process.metrics.http_requests.inc([response.status().as_str()]);
        response
    }
}

/// The paths that answer reviews.
#[derive(Clone, Copy, Debug)]
enum Endpoint {
    Mutate,
    Validate,
}

/// A request that gets an error response.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    #[error("no such path: {0}; send admission reviews to /mutate or /validate")]
    Path(String),
    #[error("method {0} not allowed; send admission reviews with POST")]
    Method(Method),
    #[error("unsupported Content-Type: send application/json")]
    Type,
    #[error("{0}")]
    Caller(NotAllowed),
    #[error("shutting down; try again")]
    Ending,
    #[error("not ready yet: waiting for {}", .0.join(", "))]
    NotReady(Vec<&'static str>),
    #[error("{0}")]
    Body(BodyError),
    #[error("{0}")]
    Malformed(String),
}

impl Rejection {
    /// Returns the line for the response and the log. It may contain text of the sender.
    fn line(&self) -> String {
        one_line(&self.to_string(), MAX_LINE)
    }

    fn into_response(self) -> HttpResponse {
        let (status, header) = match self {
            Self::Path(_) => (StatusCode::NOT_FOUND, None),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, "POST"))),
            Self::Type => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
            Self::Caller(_) => (StatusCode::FORBIDDEN, None),
            // The API server retries only if the response has this header, and only within the webhook's timeout.
            Self::NotReady(_) | Self::Ending | Self::Body(BodyError::NoRoom) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some((RETRY_AFTER, "1")))
            }
            Self::Body(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Body(BodyError::Late(_)) => (StatusCode::REQUEST_TIMEOUT, None),
            Self::Body(BodyError::Truncated(_)) | Self::Malformed(_) => (StatusCode::BAD_REQUEST, None),
        };
        let mut response = text(status, &self.line());
        if let Some((name, value)) = header {
            insert(&mut response, name, value);
        }
        response
    }
}

fn is_json(head: &Parts) -> bool {
    let value = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).map(str::trim);
    media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
}

/// Returns the timeout of the query, `?timeout=5s`, which the API server sends with every call.
fn timeout(query: Option<&str>) -> Duration {
    let value = query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("timeout="));
    value.and_then(|value| value.parse().ok()).map_or(DEFAULT_TIMEOUT, |GoDuration(timeout)| timeout)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::super::connection::{ServerState, converse};
    use super::super::{RequestConfig, SharedConfig};
    use super::*;
    use crate::claims::ClaimSource;
    use crate::companion::ValidationPolicy;
    use crate::engine::Policy;
    use crate::events::EventRecorder;
    use crate::schedulers::SchedulerRegistry;

    #[test]
    fn the_timeout_is_from_the_query_or_the_default() {
        assert_eq!(timeout(Some("timeout=5s")), Duration::from_secs(5));
        assert_eq!(timeout(Some("a=b&timeout=1m30s")), Duration::from_secs(90));
        for query in [None, Some(""), Some("timeout=soon"), Some("timeout=-1s")] {
            assert_eq!(timeout(query), DEFAULT_TIMEOUT, "{query:?}");
        }
    }

    /// A server of routes that know no claim.
    fn server(process: &Process) -> Arc<ServerState<Routes>> {
        let config = SharedConfig::new(RequestConfig {
            policy: Policy::default(),
            wait: Duration::ZERO,
            validation: ValidationPolicy::default(),
        });
        let claims = Arc::new(ClaimSource::Manifests(Box::default()));
        let registry = SchedulerRegistry::new(std::iter::empty());
        let mutate =
            MutateHandler::new(config.clone(), claims.clone(), registry, EventRecorder::off(), process.metrics.clone());
        let validate = ValidateHandler::new(config, claims, process.metrics.clone());
        let routes = Routes::new(mutate, validate, process);
        Arc::new(ServerState::new(routes, None, ServerLimits::reviews(), process.shutdown.draining.clone()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_does_not_wait_for_the_body() {
        let process = Process::default();
        let server = server(&process);
        let review = "POST /mutate HTTP/1.1\r\nContent-Type: application/json";
        let _unready = process.readiness.condition("claims");
        let began = Instant::now();
        for (head, status) in
            [("POST / HTTP/1.1", 404), ("PUT /mutate HTTP/1.1", 405), ("POST /validate HTTP/1.1", 415), (review, 503)]
        {
            let (mut client, stream) = duplex(1024);
            let slot = server.table.admit().await;
            tokio::spawn(converse(server.clone(), stream, None, slot, server.busy.token()));
            client
                .write_all(format!("{head}\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n{{").as_bytes())
                .await
                .unwrap();
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"));
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
