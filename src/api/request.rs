//! Requests to the API server: raw response bodies.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{AsyncBufRead, AsyncReadExt, TryStreamExt};
use http_body_util::BodyExt;
use hyper::header::{AUTHORIZATION, DATE, RETRY_AFTER};
use hyper::http::request::Builder;
use hyper::{Request, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use kube::client::Body;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::client::ApiClient;

mod error;

pub use self::error::ApiError;
pub(crate) use self::error::Cause;
use self::error::MAX_MESSAGE;
pub(super) use self::error::Status;

/// The maximum length of a response body, in bytes. The response of a gateway with 100,000 volumes is 300 MB long.
pub(super) const MAX_BODY: u64 = 512_000_000;

/// The maximum length of the body of an error response, in bytes. The rest is dropped.
const MAX_FAILURE: u64 = 1_000_000;

/// The longest time that a small request may take. An API server that needs longer counts as unavailable.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The statuses after which a command retries: the API server, or the load balancer before it, cannot answer now.
const RETRIED: [u16; 3] = [429, 503, 504];

/// The status after which a command calls a Service again: the API server limits requests. Other failures are those of the Service.
const RETRIED_FOR_SERVICES: [u16; 1] = [429];

/// The pause before the first retry. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The query by which `managedFields` names colocate as the writer.
pub(crate) const FIELD_MANAGER: &str = "fieldManager=colocate";

/// A resource of the Kubernetes API, as Roles name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    /// The API group; empty for the core group.
    pub(crate) group: &'static str,
    /// The plural name: `storageclasses`.
    pub(crate) name: &'static str,
}

impl Resource {
    /// Creates a resource of this group, which is empty for the core group.
    pub(crate) const fn new(group: &'static str, name: &'static str) -> Self {
        Self { group, name }
    }

    /// Decodes the response to a request with this verb.
    pub(crate) fn decode<'j, T: Deserialize<'j>>(self, verb: &'static str, json: &'j [u8]) -> Result<T, ApiError> {
        serde_json::from_slice(json).map_err(|error| self.failed(verb, error))
    }

    /// Limits the time of a request with this verb.
    pub(crate) async fn within<T>(
        self,
        verb: &'static str,
        limit: Duration,
        request: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        timeout(limit, request).await.unwrap_or_else(|_| Err(self.failed(verb, Cause::Timeout(limit.as_secs()))))
    }

    /// Creates the error of a failed request with this verb.
    pub(crate) fn failed(self, verb: &'static str, cause: impl Into<Cause>) -> ApiError {
        ApiError { verb, resource: self.to_string(), cause: cause.into(), server: None }
    }
}

/// The name in kubectl's messages: `storageclasses.storage.k8s.io`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, name } = self;
        if group.is_empty() { f.write_str(name) } else { write!(f, "{name}.{group}") }
    }
}

impl ApiClient {
    /// Sends a request, and returns the response as soon as its head arrives with a success status. Every request to
    /// the API server goes through here. The caller limits the time, also that of retries.
    pub(crate) async fn send(
        &self,
        access: (&'static str, Resource),
        request: Builder,
        body: Vec<u8>,
    ) -> Result<Response<Body>, ApiError> {
        self.send_until(access, request, body, &RETRIED).await
    }

    /// Sends a request, and again while the response has one of the statuses `retried`, if this client retries.
    async fn send_until(
        &self,
        (verb, resource): (&'static str, Resource),
        request: Builder,
        body: Vec<u8>,
        retried: &[u16],
    ) -> Result<Response<Body>, ApiError> {
        let send = async {
            let access = self.access.load_full();
            let mut request = request.body(Bytes::from(body)).map_err(kube::Error::HttpError)?;
            if let Some(authorization) = &access.authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            let mut pause = FIRST_PAUSE;
            let response = loop {
                let sent = Instant::now();
                let response = access.kube.send(request.clone().map(Body::from)).await?;
                // A 5xx may come from a load balancer, which has its own clock.
                if !response.status().is_server_error()
                    && let Some(date) = date(&response)
                {
                    self.clock.record(date, sent);
                }
                if !self.retries || !retried.contains(&response.status().as_u16()) {
                    break response;
                }
                sleep(retry_after(&response).unwrap_or_default().max(pause)).await;
                pause = pause.saturating_mul(2);
            };
            if response.status().is_success() {
                return Ok(response);
            }
            let code = response.status().as_u16();
            let mut body = Vec::new();
            reader(response).take(MAX_FAILURE).read_to_end(&mut body).await?;
            Err(Status { code, ..status(&body) }.into_cause())
        };
        send.await.map_err(|cause: Cause| resource.failed(verb, cause))
    }

    /// Adds the API server to an error without a response of an API server.
    pub(crate) fn locate(&self, error: ApiError) -> ApiError {
        match error.cause {
            Cause::Status { .. } => error,
            _ => ApiError { server: self.server.clone(), ..error },
        }
    }

    /// Sends a small request, and returns the whole body of the response.
    pub(crate) async fn call(
        &self,
        access: (&'static str, Resource),
        request: Builder,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, ApiError> {
        self.exchange(access, request, body, (TIMEOUT, &RETRIED)).await
    }

    /// Calls a Service through the API server's proxy, and returns the whole body of the response. `within` limits the time.
    pub(crate) async fn call_service(
        &self,
        access: (&'static str, Resource),
        request: Builder,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Vec<u8>, ApiError> {
        self.exchange(access, request, body, (within, &RETRIED_FOR_SERVICES)).await
    }

    async fn exchange(
        &self,
        access: (&'static str, Resource),
        request: Builder,
        body: Vec<u8>,
        (within, retried): (Duration, &[u16]),
    ) -> Result<Vec<u8>, ApiError> {
        let mut answer = Vec::new();
        let call =
            async { self.read_body(access, self.send_until(access, request, body, retried).await?, &mut answer).await };
        access.1.within(access.0, within, call).await.map_err(|error| self.locate(error))?;
        Ok(answer)
    }

    /// Gets one object.
    pub(crate) async fn get(&self, resource: Resource, path: &str) -> Result<Vec<u8>, ApiError> {
        self.call(("get", resource), Request::get(path), Vec::new()).await
    }

    /// Gets one object; `None` if it does not exist.
    pub(crate) async fn get_opt(&self, resource: Resource, path: &str) -> Result<Option<Vec<u8>>, ApiError> {
        match self.get(resource, path).await {
            Ok(body) => Ok(Some(body)),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one page of a list into `body`, in place of its contents. `within` limits the time.
    pub(crate) async fn list(
        &self,
        resource: Resource,
        path: &str,
        within: Duration,
        body: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        let access = ("list", resource);
        let read =
            async { self.read_body(access, self.send(access, Request::get(path), Vec::new()).await?, body).await };
        access.1.within(access.0, within, read).await.map_err(|error| self.locate(error))
    }

    /// Opens a watch, and returns a reader of its lines. `within` limits the time until the head arrives.
    pub(super) async fn watch(
        &self,
        resource: Resource,
        path: &str,
        within: Duration,
    ) -> Result<impl AsyncBufRead + Unpin + use<>, ApiError> {
        let access = ("watch", resource);
        let response = access.1.within(access.0, within, self.send(access, Request::get(path), Vec::new())).await?;
        Ok(reader(response))
    }

    /// Reads the body of a response into `body`, in place of its contents.
    async fn read_body(
        &self,
        (verb, resource): (&'static str, Resource),
        response: Response<Body>,
        body: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        let limit = self.max_body;
        body.clear();
        let read = reader(response).take(limit + 1).read_to_end(body).await;
        let length = read.map_err(|error| resource.failed(verb, error))?;
        if length as u64 > limit { Err(resource.failed(verb, Cause::TooLong(limit))) } else { Ok(()) }
    }
}

/// Returns the `Date` of a response.
fn date(response: &Response<Body>) -> Option<Timestamp> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    DateTimeParser::new().parse_timestamp(date).ok()
}

/// Returns the pause that a response asks for.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn reader(response: Response<Body>) -> impl AsyncBufRead + Unpin {
    response.into_body().into_data_stream().map_err(io::Error::other).into_async_read()
}

/// Returns the `Status` in a body, or else one whose message is the beginning of the body.
fn status(body: &[u8]) -> Status {
    // Go's `http.Error` ends the text with a line break.
    let text = || String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE)]).trim_end().to_owned();
    serde_json::from_slice(body).unwrap_or_else(|_| Status { message: text(), ..Status::default() })
}

#[cfg(test)]
mod tests {
    use kube::Client;

    use super::*;
    use crate::process::clock::Clock;

    const NOW: &str = "2026-11-23T12:00:00Z";

    /// Returns the API server's time after a response with this status and `Date`.
    async fn time_after(status: u16, date: &'static str) -> Option<Timestamp> {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let clock = Clock::new(|| NOW.parse().unwrap());
        let client = ApiClient::for_test_with_clock(Client::new(service, "default"), clock.clone());
        let server = async {
            let (_, respond) = handle.next_request().await.unwrap();
            let response = Response::builder().status(status).header(DATE, date);
            respond.send_response(response.body(Body::empty()).unwrap());
        };
        tokio::join!(server, client.learn_time());
        clock.read().server
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_retries_what_the_api_server_cannot_answer_now() {
        for (is_service, status, retries, expected) in [
            (false, 503, true, 3),
            (false, 429, true, 3),
            (false, 504, true, 3),
            (false, 500, true, 1),
            (false, 503, false, 1),
            (true, 503, true, 1),
            (true, 504, true, 1),
            (true, 429, true, 3),
        ] {
            let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
            let mut client = ApiClient::for_test(Client::new(service, "default"));
            client.retries = retries;
            let (begin, pods) = (Instant::now(), Resource::new("", "pods"));
            let server = async {
                let mut count = 0;
                while let Some((request, respond)) = handle.next_request().await {
                    assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "{}");
                    count += 1;
                    let status = if count == 3 { 200 } else { status };
                    let response = Response::builder().status(status).header(RETRY_AFTER, "2");
                    respond.send_response(response.body(Body::empty()).unwrap());
                }
                count
            };
            let calls = async {
                let (request, body) = (Request::post("/a"), b"{}".to_vec());
                let answer = if is_service {
                    client.call_service(("create", pods), request, body, TIMEOUT).await
                } else {
                    client.call(("create", pods), request, body).await
                };
                // Ends the server.
                drop(client);
                answer
            };
            let (count, answer) = tokio::join!(server, calls);
            let case = (is_service, status, retries);
            assert_eq!((count, answer.is_ok()), (expected, expected == 3), "{case:?}");
            assert_eq!(begin.elapsed().as_secs(), if expected == 3 { 4 } else { 0 }, "{case:?}");
        }
    }

    #[tokio::test]
    async fn a_response_past_the_limit_is_not_read() {
        let pods = Resource::new("", "pods");
        for (length, is_read) in [(0, true), (8, true), (9, false), (100, false)] {
            let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
            let mut client = ApiClient::for_test(Client::new(service, "default"));
            assert_eq!(client.max_body, 512_000_000);
            client.max_body = 8;
            let server = async {
                for _ in 0..3 {
                    let (_, respond) = handle.next_request().await.unwrap();
                    respond.send_response(Response::new(Body::from(vec![b'x'; length])));
                }
            };
            let calls = async {
                let of_service = client.call_service(("get", pods), Request::get("/a"), Vec::new(), TIMEOUT).await;
                let object = client.get(pods, "/a").await;
                let mut page = b"an earlier page".to_vec();
                let list = client.list(pods, "/a", TIMEOUT, &mut page).await;
                (page.len(), [of_service.map(drop), object.map(drop), list])
            };
            let ((), (read, answers)) = tokio::join!(server, calls);
            assert_eq!(read, length.min(9));
            for answer in answers {
                let is_too_long = answer.as_ref().is_err_and(|error| matches!(error.cause, Cause::TooLong(8)));
                assert_eq!((answer.is_ok(), is_too_long), (is_read, !is_read), "{length}: {answer:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_api_servers_time_is_that_of_its_responses() {
        let eight = "Mon, 23 Nov 2026 20:00:00 GMT";
        let time = |text: &str| Some(text.parse().unwrap());
        for (status, date, expected) in [
            (200, eight, time("2026-11-23T20:00:00Z")),
            (403, eight, time("2026-11-23T20:00:00Z")),
            (404, eight, time("2026-11-23T20:00:00Z")),
            (200, "Mon, 23 Nov 2026 12:00:00 GMT", time(NOW)),
            (200, "Sat, 01 Nov 1986 12:00:00 GMT", time("1986-11-01T12:00:01Z")),
            (503, eight, None),
            (200, "yesterday", None),
        ] {
            assert_eq!(time_after(status, date).await, expected, "{status} {date}");
        }
    }
}
