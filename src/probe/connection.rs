//! An open connection to a webhook.

use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Answer, Client, ProbeError, ProtocolVersion, Stage};

/// The longest answer that is read. A patch that replaces the largest object that an API server accepts (3 MiB) has 4 MiB
/// in base64.
pub(super) const MAX_ANSWER: usize = 16 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("colocate-probe/", env!("CARGO_PKG_VERSION")));

type HttpConnection = http1::Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>>;

/// An open connection to a webhook. Nothing runs in the background: it makes progress only during a call.
pub struct Connection {
    client: Client,
    tls: ProtocolVersion,
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<HttpConnection>,
}

impl Connection {
    pub(super) async fn new(client: Client, stream: TlsStream<TcpStream>) -> Result<Self, ProbeError> {
        let tls = stream.get_ref().1.protocol_version().unwrap_or(ProtocolVersion::Unknown(0));
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| ProbeError::Http { to: client.target.host_and_port(), source })?;
        Ok(Self { client, tls, sender, driver: Some(driver) })
    }

    /// Returns true if the webhook has closed the connection, as far as the last answer shows.
    pub fn is_closed(&self) -> bool {
        self.driver.is_none() || self.sender.is_closed()
    }

    /// Sends one review, within the client's timeout. After an error the connection cannot be used again.
    ///
    /// # Errors
    /// There is no answer. An answer that is an error is an answer.
    pub async fn ask(&mut self, review: Bytes) -> Result<Answer, ProbeError> {
        self.exchange(review, Instant::now()).await
    }

    pub(super) async fn exchange(&mut self, review: Bytes, since: Instant) -> Result<Answer, ProbeError> {
        let started = Instant::now();
        let request = self.request(review);
        let response = self.sender.send_request(request);
        let exchange = drive(&mut self.driver, async { read(response.await?).await });
        let received = self.client.hold(Stage::Answer, since, exchange).await?;
        let (response, body) = received.map_err(|broken| match broken {
            Broken::Http(source) => ProbeError::Http { to: self.client.target.host_and_port(), source },
            Broken::TooLong => ProbeError::TooLong,
        })?;
        let retry_after = response.headers().get(RETRY_AFTER);
        Ok(Answer {
            status: response.status(),
            retry_after: retry_after.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            body,
            took: started.elapsed(),
            tls: self.tls,
        })
    }

    fn request(&self, review: Bytes) -> Request<Full<Bytes>> {
        let target = &self.client.target;
        let mut request = Request::new(Full::new(review));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.path().clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, target.host_header().clone());
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, AGENT);
        request
    }

    /// Closes the TLS session in order, so that the webhook does not see a connection that broke.
    pub async fn close(self, since: Instant) {
        let Self { client, sender, driver, .. } = self;
        drop(sender);
        if let Some(driver) = driver {
            // The answer is complete, so that an error can be ignored.
            let _ = client.hold(Stage::Answer, since, driver).await;
        }
    }
}

/// The reason why an exchange failed.
enum Broken {
    Http(hyper::Error),
    TooLong,
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

async fn read(response: Response<Incoming>) -> Result<(Response<()>, Bytes), Broken> {
    let (head, body) = response.into_parts();
    let body =
        Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => Broken::Http(*error),
            Err(_) => Broken::TooLong,
        })?;
    Ok((Response::from_parts(head, ()), body.to_bytes()))
}

/// Drives the connection until the exchange that depends on it is complete.
async fn drive<T>(
    connection: &mut Option<HttpConnection>,
    exchange: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    let mut exchange = pin!(exchange);
    let Some(driver) = connection else { return exchange.await };
    if let Either::Left((answer, _)) = select(exchange.as_mut(), driver).await {
        return answer;
    }
    // The connection has ended. Dropping it wakes the exchange, which has the whole answer or the reason of the end.
    *connection = None;
    exchange.await
}
