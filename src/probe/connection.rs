//! An open connection to a webhook.

use std::error::Error;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::probe_error::MAX_ANSWER;
use super::{Answer, Client, ProbeError, ProtocolVersion};

const AGENT: &str = concat!("colocate-probe/", env!("CARGO_PKG_VERSION"));

type BoxError = Box<dyn Error + Send + Sync>;

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
            .map_err(|source| ProbeError::Http(client.target.host_and_port.clone(), source.into()))?;
        Ok(Self { client, tls, sender, driver: Some(driver) })
    }

    /// Returns true if the webhook has closed the connection, as far as the last answer shows.
    pub fn is_closed(&self) -> bool {
        self.driver.is_none() || self.sender.is_closed()
    }

    /// Sends one review, within the client's timeout. After an error the connection cannot be used again.
    ///
    /// # Errors
    /// If the webhook does not answer. An HTTP error counts as an answer.
    pub async fn ask(&mut self, review: Bytes) -> Result<Answer, ProbeError> {
        self.exchange(review, Instant::now()).await
    }

    pub(super) async fn exchange(&mut self, review: Bytes, since: Instant) -> Result<Answer, ProbeError> {
        let started = Instant::now();
        let target = &self.client.target;
        let failed = |source: BoxError| ProbeError::Http(target.host_and_port.clone(), source);
        let request = Request::post(target.path.clone())
            .header(HOST, &target.host_and_port)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, AGENT)
            .body(Full::new(review))
            .map_err(|error| failed(error.into()))?;
        let response = self.sender.send_request(request);
        let exchange = drive(&mut self.driver, async {
            let (head, body) = response.await?.into_parts();
            Ok((head, Limited::new(body, MAX_ANSWER).collect().await?.to_bytes()))
        });
        let (head, body) = self.client.hold("answer", since, exchange).await?.map_err(|source: BoxError| {
            if source.is::<LengthLimitError>() { ProbeError::TooLong } else { failed(source) }
        })?;
        let retry_after = head.headers.get(RETRY_AFTER);
        Ok(Answer {
            status: head.status,
            retry_after: retry_after.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            body,
            took: started.elapsed(),
            tls: self.tls,
        })
    }

    /// Closes the TLS session cleanly, so that the webhook does not see a broken connection.
    pub async fn close(self, since: Instant) {
        let Self { client, sender, driver, .. } = self;
        drop(sender);
        if let Some(driver) = driver {
            // The answer is complete, so an error can be ignored.
            let _ = client.hold("answer", since, driver).await;
        }
    }
}

/// Drives the connection until the exchange that depends on it is complete.
async fn drive<T>(
    connection: &mut Option<HttpConnection>,
    exchange: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    let mut exchange = pin!(exchange);
    let Some(driver) = connection else { return exchange.await };
    if let Either::Left((answer, _)) = select(exchange.as_mut(), driver).await {
        return answer;
    }
    // The connection has ended. Dropping it wakes the exchange, which has the whole answer or the cause of the end.
    *connection = None;
    exchange.await
}
