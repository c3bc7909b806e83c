//! From an HTTP request to a review, and from an answer or an error to an HTTP response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};

use super::{Admission, Response, Service};
use crate::duration::GoDuration;
use crate::engine::one_line;
use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// The API server sends up to 17.4 MB (measured: an object of 3 MiB with managed fields, its characters escaped).
const MAX_BODY: usize = 20 * 1024 * 1024;

/// As much as the API server shows of an answer that is an error, more or less, in characters.
const MAX_LINE: usize = 512;

/// The API server's own timeout for a webhook that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The paths of the admission server.
#[derive(Debug)]
pub struct Routes {
    admission: Admission,
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

impl Routes {
    /// `POST /mutate` goes to `admission`, once `readiness` lets it answer.
    pub fn new(admission: Admission, readiness: Readiness, metrics: Arc<Metrics>) -> Self {
        Self { admission, readiness, metrics }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response, Refusal> {
        if request.uri().path() != "/mutate" {
            return Err(Refusal::Path(request.uri().path().to_owned()));
        }
        if request.method() != Method::POST {
            return Err(Refusal::Method(request.method().clone()));
        }
        if !is_json(&request) {
            return Err(Refusal::Type);
        }
        if !self.readiness.can_answer() {
            return Err(Refusal::NotReady(self.readiness.obstacles()));
        }
        let timeout = timeout(request.uri().query());
        let body = Limited::new(request.into_body(), MAX_BODY)
            .collect()
            .await
            .map_err(|error| Refusal::body(&*error))?
            .to_bytes();
        let answer =
            self.admission.review(&body, timeout).await.map_err(|error| Refusal::Malformed(error.to_string()))?;
        Ok(response(StatusCode::OK, "application/json", answer))
    }
}

impl Service for Routes {
    async fn answer(&self, request: Request<Incoming>) -> Response {
        let response = self.route(request).await.unwrap_or_else(|refusal| {
            tracing::debug!(refusal = refusal.line(), "refused a request");
            refusal.into_response()
        });
        self.metrics.answered(response.status().as_u16());
        response
    }
}

/// Why a request got no answer to its question.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is nothing at {0}; admission reviews go to /mutate")]
    Path(String),
    #[error("{0} is not allowed here; admission reviews are sent with POST")]
    Method(Method),
    #[error("the body's type is not application/json")]
    Type,
    #[error("not ready yet: waiting for {}", .0.join(", "))]
    NotReady(Vec<&'static str>),
    #[error("the body is larger than {} MiB", MAX_BODY / 1024 / 1024)]
    TooLarge,
    #[error("the body ended early: {0}")]
    Truncated(String),
    #[error("{0}")]
    Malformed(String),
}

impl Refusal {
    fn body(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        if error.is::<LengthLimitError>() { Self::TooLarge } else { Self::Truncated(error.to_string()) }
    }

    /// The one line that is answered and logged. Some of it is the sender's own text.
    fn line(&self) -> String {
        one_line(&self.to_string(), MAX_LINE)
    }

    fn into_response(self) -> Response {
        let (status, header) = match self {
            Self::Path(_) => (StatusCode::NOT_FOUND, None),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, "POST"))),
            Self::Type => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
            // With this header, and only with it, the API server tries again within the webhook's timeout.
            Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, Some((RETRY_AFTER, "1"))),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Truncated(_) | Self::Malformed(_) => (StatusCode::BAD_REQUEST, None),
        };
        let mut response = text(status, &self.line());
        if let Some((name, value)) = header {
            insert(&mut response, name, value);
        }
        response
    }
}

/// An answer of one line, or of lines with `\n` between them.
pub(crate) fn text(status: StatusCode, line: &str) -> Response {
    response(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

pub(crate) fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    insert(&mut response, CONTENT_TYPE, media_type);
    response
}

fn insert(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
}

fn is_json(request: &Request<Incoming>) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
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
