//! Handlers of requests, and their responses.

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::request_body::RequestBody;

/// A response whose body is complete.
pub(crate) type HttpResponse = hyper::Response<Full<Bytes>>;

/// Answers requests.
pub(crate) trait RequestHandler: Send + Sync + 'static {
    /// Answers one request. If it leaves a part of the body unread, the connection closes after the answer.
    fn answer(&self, head: &Parts, body: &mut RequestBody) -> impl Future<Output = HttpResponse> + Send;
}

/// Makes a text response of `line`, which may contain line breaks.
pub(super) fn text(status: StatusCode, line: &str) -> HttpResponse {
    response(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// Makes a response of this media type.
pub(super) fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = HttpResponse::new(Full::new(body.into()));
    *response.status_mut() = status;
    insert(&mut response, CONTENT_TYPE, media_type);
    response
}

/// Sets a header.
pub(super) fn insert(response: &mut HttpResponse, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
