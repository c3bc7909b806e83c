//! From an HTTP request to a review, and from an answer or an error to an HTTP response.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, EXPECT, HeaderName, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::bodies::{Bodies, BodyError};
use super::limits::ServerLimits;
use super::{HttpResponse, MutateHandler, RequestHandler, ValidateHandler};
use crate::duration::GoDuration;
use crate::engine::one_line;
use crate::process::Process;
use crate::tls::NotAllowed;

/// As much as the API server shows of an answer that is an error, more or less, in characters.
const MAX_LINE: usize = 512;

/// The API server's own timeout for a webhook that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The paths of the admission server.
#[derive(Debug)]
pub struct Routes {
    mutate: MutateHandler,
    validate: ValidateHandler,
    bodies: Bodies,
    process: Process,
}

impl Routes {
    /// `POST /mutate` goes to `mutate` and `POST /validate` to `validate`, once `process` is ready and until it closes.
    pub fn new(mutate: MutateHandler, validate: ValidateHandler, process: &Process) -> Self {
        Self { mutate, validate, bodies: Bodies::new(ServerLimits::default().body), process: process.clone() }
    }

    async fn route(&self, head: &Parts, body: &mut Incoming, deadline: Instant) -> Result<HttpResponse, Rejection> {
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
        let body = self.bodies.read(body, deadline).await.map_err(Rejection::Body)?;
        let timeout = timeout(head.uri.query());
        let answer = match path {
            Endpoint::Mutate => self.mutate.review(&body, timeout).await,
            Endpoint::Validate => self.validate.review(&body, timeout).await,
        };
        Ok(response(
            StatusCode::OK,
            "application/json",
            answer.map_err(|error| Rejection::Malformed(error.to_string()))?,
        ))
    }
}

impl RequestHandler for Routes {
    async fn answer(&self, request: Request<Incoming>) -> HttpResponse {
        let deadline = self.bodies.deadline();
        let (head, mut body) = request.into_parts();
        let response = match self.route(&head, &mut body, deadline).await {
            Ok(response) => response,
            Err(rejection) => {
                tracing::debug!(rejection = rejection.line(), "refused a request");
                // Who asks before it sends need not send at all.
                if !head.headers.contains_key(EXPECT) {
                    self.bodies.discard(&mut body, deadline).await;
                }
                rejection.into_response()
            }
        };
        self.process.metrics.http_requests.inc([response.status().as_str()]);
        response
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Endpoint {
    Mutate,
    Validate,
}

/// Why a request got no answer to its question.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    #[error("there is nothing at {0}; admission reviews go to /mutate or /validate")]
    Path(String),
    #[error("{0} is not allowed here; admission reviews are sent with POST")]
    Method(Method),
    #[error("the body's type is not application/json")]
    Type,
    #[error("{0}")]
    Caller(NotAllowed),
    #[error("ending; another replica answers")]
    Ending,
    #[error("not ready yet: waiting for {}", .0.join(", "))]
    NotReady(Vec<&'static str>),
    #[error("{0}")]
    Body(BodyError),
    #[error("{0}")]
    Malformed(String),
}

impl Rejection {
    /// The one line that is answered and logged. Some of it is the sender's own text.
    fn line(&self) -> String {
        one_line(&self.to_string(), MAX_LINE)
    }

    fn into_response(self) -> HttpResponse {
        let (status, header) = match self {
            Self::Path(_) => (StatusCode::NOT_FOUND, None),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, "POST"))),
            Self::Type => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
            Self::Caller(_) => (StatusCode::FORBIDDEN, None),
            // With this header, and only with it, the API server tries again within the webhook's timeout.
            Self::NotReady(_) | Self::Ending | Self::Body(BodyError::NoRoom) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some((RETRY_AFTER, "1")))
            }
            Self::Body(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            // What is left of the body is not waited for: nothing else can be read from this connection.
            Self::Body(BodyError::Late(_)) => (StatusCode::REQUEST_TIMEOUT, Some((CONNECTION, "close"))),
            Self::Body(BodyError::Truncated(_)) | Self::Malformed(_) => (StatusCode::BAD_REQUEST, None),
        };
        let mut response = text(status, &self.line());
        if let Some((name, value)) = header {
            insert(&mut response, name, value);
        }
        response
    }
}

/// An answer of one line, or of lines with `\n` between them.
pub(crate) fn text(status: StatusCode, line: &str) -> HttpResponse {
    response(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

pub(crate) fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = HttpResponse::new(Full::new(body.into()));
    *response.status_mut() = status;
    insert(&mut response, CONTENT_TYPE, media_type);
    response
}

fn insert(response: &mut HttpResponse, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
}

fn is_json(head: &Parts) -> bool {
    let value = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).map(str::trim);
    media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
}

/// `?timeout=5s`, which the API server sends with every call.
fn timeout(query: Option<&str>) -> Duration {
    let value = query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("timeout="));
    value.and_then(|value| value.parse().ok()).map_or(DEFAULT_TIMEOUT, |GoDuration(timeout)| timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_is_the_querys_or_the_api_servers_default() {
        assert_eq!(timeout(Some("timeout=5s")), Duration::from_secs(5));
        assert_eq!(timeout(Some("a=b&timeout=1m30s")), Duration::from_secs(90));
        for query in [None, Some(""), Some("timeout=soon"), Some("timeout=-1s")] {
            assert_eq!(timeout(query), DEFAULT_TIMEOUT, "{query:?}");
        }
    }
}
