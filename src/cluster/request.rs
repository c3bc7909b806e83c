//! Questions to the API server, answered in its own bytes, and what its refusals mean to an operator.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use futures_util::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use kube::Client;

use crate::engine::one_line;

/// As much of an error as a line of the log, or of a probe's answer, has room for.
const MAX_LINE: usize = 512;

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {resource}: {}", self.reason())]
pub struct Unanswered {
    /// The verb, as in a Role.
    verb: &'static str,
    /// The resource, as in a message of kubectl: `storageclasses.storage.k8s.io`.
    resource: String,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Client(#[from] kube::Error),
    #[error(transparent)]
    Broken(#[from] io::Error),
    #[error("the answer is not what Kubernetes answers: {0}")]
    Undecodable(String),
    /// An ERROR event of a watch.
    #[error("{message}")]
    Event { code: u16, message: String },
    #[error("it was ended at once")]
    EndedAtOnce,
    #[error("what came after the last version that is known is not known any more")]
    Expired,
    #[error("no answer within {0} s")]
    Timeout(u64),
    #[error("nothing came for {0} s, not even a bookmark, which comes every minute")]
    Silent(u64),
}

impl From<serde_json::Error> for Cause {
    fn from(error: serde_json::Error) -> Self {
        Self::Undecodable(error.to_string())
    }
}

impl Unanswered {
    pub(super) fn new(verb: &'static str, resource: &str, group: &str, cause: impl Into<Cause>) -> Self {
        let resource = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        Self { verb, resource, cause: cause.into() }
    }

    /// The HTTP status that says why, if one does.
    pub(super) fn code(&self) -> Option<u16> {
        match &self.cause {
            Cause::Client(kube::Error::Api(status)) => Some(status.code),
            Cause::Event { code, .. } => Some(*code),
            _ => None,
        }
    }

    fn reason(&self) -> String {
        let mut reason = match &self.cause {
            Cause::Client(kube::Error::Api(status)) => status.message.clone(),
            cause => {
                let mut text = cause.to_string();
                let mut source = cause.source();
                while let Some(error) = source {
                    // Writing to a String cannot fail.
                    let _ = write!(text, ": {error}");
                    source = error.source();
                }
                text
            }
        };
        if self.code() == Some(403) {
            let _ = write!(reason, " (grant the verb `{}` on `{}`)", self.verb, self.resource);
        }
        one_line(&reason, MAX_LINE)
    }
}

/// Asks for `path`, and returns where the answer is read from.
pub(super) async fn stream(client: &Client, path: &str) -> Result<impl AsyncBufRead + Unpin + use<>, Cause> {
    let request = hyper::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    Ok(Box::pin(client.request_stream(request).await?))
}

/// Asks for `path`, and reads the whole answer into `body`, in place of what was there.
pub(super) async fn read(client: &Client, path: &str, body: &mut Vec<u8>) -> Result<(), Cause> {
    body.clear();
    stream(client, path).await?.read_to_end(body).await?;
    Ok(())
}

/// How long the API server may take for what is small. One that needs longer is as good as away.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks for one small object.
pub(super) async fn get(client: &Client, path: &str) -> Result<String, Cause> {
    send(client, hyper::Request::get(path), Vec::new()).await
}

/// Sends one small object, or a change of one, and returns what the API server made of it.
pub(super) async fn send(
    client: &Client,
    request: hyper::http::request::Builder,
    body: Vec<u8>,
) -> Result<String, Cause> {
    let request = request.body(body).map_err(kube::Error::HttpError)?;
    let answer = tokio::time::timeout(PATIENCE, client.request_text(request)).await;
    Ok(answer.map_err(|_| Cause::Timeout(PATIENCE.as_secs()))??)
}

/// Reads the next line into `line`, in place of what was there; `false` at the end.
pub(super) async fn line(stream: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(stream.read_until(b'\n', line).await? > 0)
}
