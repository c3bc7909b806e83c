//! Errors of requests, which name a missing permission.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use serde::Deserialize;

use crate::engine::one_line;

/// The longest error message that is kept, in bytes: one line of a log or of `colocate probe`'s output.
pub(super) const MAX_MESSAGE: usize = 512;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {resource}: {}", self.reason())]
pub struct ApiError {
    /// The verb, as in a Role.
    pub(super) verb: &'static str,
    /// The resource, as kubectl's messages name it: `storageclasses.storage.k8s.io`.
    pub(super) resource: String,
    pub(super) cause: Cause,
    /// The API server that did not answer as one, for a command: its URL and the context.
    pub(super) server: Option<Arc<str>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error(transparent)]
    Client(#[from] kube::Error),
    #[error(transparent)]
    Broken(#[from] io::Error),
    #[error("cannot decode the response: {0}")]
    Undecodable(#[source] serde_json::Error),
    /// A `Status` other than success, in a response or in an ERROR event of a watch.
    #[error("{message}")]
    Status {
        code: u16,
        message: String,
        /// Whether nothing can be created because the namespace is being deleted. This is a 403, too.
        namespace_terminating: bool,
        /// The token with which an expired list can be continued, as of a later time.
        rest: Option<String>,
        /// Whether the body was a `Status`. API servers also answer with text, to requests for a group that they do not serve.
        is_object: bool,
    },
    #[error(
        "the server answered HTTP 404, so it is not a Kubernetes API server: check the server URL in the kubeconfig, including its path, and proxies"
    )]
    NotKubernetes,
    #[error("the response exceeds the limit of {} MB: check the server, and any proxy in front of it", .0 / 1_000_000)]
    TooLong(u64),
    #[error("the API server ended it at once")]
    EndedAtOnce,
    #[error("no answer within {0} s")]
    Timeout(u64),
    #[error("nothing received for {0} s, although a bookmark is sent every minute")]
    Silent(u64),
}

/// The object of a failed response, and of an ERROR event.
#[derive(Deserialize)]
#[serde(default)]
pub(in crate::api) struct Status {
    pub(super) kind: String,
    pub(in crate::api) code: u16,
    pub(in crate::api) message: String,
    pub(super) details: Option<StatusDetails>,
    pub(super) metadata: Option<StatusMetadata>,
}

#[derive(Deserialize)]
pub(super) struct StatusMetadata {
    #[serde(default, rename = "continue")]
    rest: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct StatusDetails {
    #[serde(default)]
    causes: Vec<StatusCause>,
}

#[derive(Deserialize)]
pub(super) struct StatusCause {
    #[serde(default)]
    reason: String,
}

impl Default for Status {
    fn default() -> Self {
        let message = "an error without a message".to_owned();
        Self { kind: String::new(), code: 500, message, details: None, metadata: None }
    }
}

impl Status {
    /// Makes the cause of an error.
    pub(in crate::api) fn into_cause(self) -> Cause {
        let Self { kind, code, message, details, metadata } = self;
        let mut causes = details.into_iter().flat_map(|details| details.causes);
        Cause::Status {
            code,
            message,
            namespace_terminating: causes.any(|cause| cause.reason == "NamespaceTerminating"),
            rest: metadata.and_then(|metadata| metadata.rest).filter(|rest| !rest.is_empty()),
            is_object: kind == "Status",
        }
    }
}

impl From<serde_json::Error> for Cause {
    fn from(error: serde_json::Error) -> Self {
        Self::Undecodable(error)
    }
}

impl ApiError {
    /// Returns the HTTP status of the response, if there was a response.
    pub(crate) fn code(&self) -> Option<u16> {
        match &self.cause {
            Cause::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Returns whether nothing can be created because the namespace is being deleted.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        matches!(self.cause, Cause::Status { namespace_terminating: true, .. })
    }

    /// Returns the token with which an expired list can be continued, as of a later time.
    pub(crate) fn rest(&self) -> Option<&str> {
        match &self.cause {
            Cause::Status { code: 410, rest, .. } => rest.as_deref(),
            _ => None,
        }
    }

    /// Returns whether the response has a `Status`, so that it is from an API server.
    pub(crate) fn has_status(&self) -> bool {
        matches!(self.cause, Cause::Status { is_object: true, .. })
    }

    /// Returns the API server's own message, or the chain of causes.
    pub(crate) fn message(&self) -> String {
        let mut text = self.cause.to_string();
        let mut source = self.cause.source();
        while let Some(error) = source {
            let cause = error.to_string();
            // Some errors repeat their cause in their own text.
            if !text.ends_with(&cause) {
                // Writing to a String cannot fail.
                let _ = write!(text, ": {cause}");
            }
            source = error.source();
        }
        if let Some(server) = &self.server {
            let _ = write!(text, " ({server})");
        }
        one_line(&text, MAX_MESSAGE)
    }

    fn reason(&self) -> String {
        let mut reason = self.message();
        if self.code() == Some(403) {
            let _ = write!(reason, " (grant the verb `{}` on `{}`)", self.verb, self.resource);
        }
        one_line(&reason, MAX_MESSAGE)
    }
}
