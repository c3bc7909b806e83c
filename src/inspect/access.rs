//! What the user may read. The API server is asked once per verb, kind and namespace, before the first read.

use std::collections::HashMap;
use std::fmt;

use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::Kind;
use super::pages::{self, Listed};
use crate::api::{ApiClient, ApiError, Resource};
use crate::engine::object;

const REVIEWS: Resource = Resource::new("authorization.k8s.io", "selfsubjectaccessreviews");
const REVIEWS_PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// A cluster as far as the user may read it.
pub(crate) struct Access {
    /// The client of the cluster.
    pub(crate) client: ApiClient,
    /// The answers of the API server.
    answers: HashMap<(&'static str, Kind, Option<String>), bool>,
    /// What could not be read so far, in the order of the reads.
    pub(crate) not_seen: Vec<NotSeen>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotSeen {
    /// The resource, as in `storageclasses.storage.k8s.io`.
    pub(crate) resource: String,
    /// The namespace, if the right is needed there only.
    pub(crate) namespace: Option<String>,
    /// The verb that is not granted; `None` if there is another reason.
    pub(crate) verb: Option<&'static str>,
    /// The reason, as in `no right to list`.
    pub(crate) why: String,
    /// The consequence: what is not known, as in `which pods should be on another scheduler`.
    pub(crate) hides: String,
}

/// The answer to a read of one object.
#[derive(Debug)]
pub(crate) enum Found {
    /// The object as JSON.
    Object(Vec<u8>),
    /// The object does not exist, or the API server does not serve its kind.
    Absent,
    /// It was not readable, and is in [`Access::not_seen`].
    NotSeen,
}

#[derive(Deserialize)]
struct Review {
    #[serde(default, deserialize_with = "object")]
    status: Option<ReviewStatus>,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    allowed: bool,
}

impl Access {
    /// Creates the access with a client, which has read nothing yet.
    pub(crate) fn new(client: ApiClient) -> Self {
        Self { client, answers: HashMap::new(), not_seen: Vec::new() }
    }

    /// Lists the objects of a kind in a namespace, or else in all, and adds each to a `T`. A list that expires is read again
    /// from the start, with a new `T`. Returns `None` if the user may not list them: then `hides` is recorded. A kind that the
    /// API server does not serve has no objects. Objects that cannot be decoded are recorded, too.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn list<T: Default>(
        &mut self,
        kind: Kind,
        namespace: Option<&str>,
        hides: impl fmt::Display,
        add: impl FnMut(&mut T, &str) -> serde_json::Result<()>,
    ) -> Result<Option<T>, ApiError> {
        if !self.may("list", kind, namespace).await? {
            self.denied("list", kind, namespace, hides);
            return Ok(None);
        }
        match pages::list(&self.client, kind, namespace, add).await {
            Ok(Listed { value, undecodable, first_error }) => {
                if let Some(error) = first_error {
                    let why = format!("{undecodable} cannot be decoded; the first: {error}");
                    self.not_seen.push(NotSeen::new(kind, namespace, None, why, hides));
                }
                Ok(Some(value))
            }
            Err(error) if error.code() == Some(404) => Ok(Some(T::default())),
            // The API server may permit it by its answer, and an authorizer of a proxy deny it.
            Err(error) if error.code() == Some(403) => {
                self.denied("list", kind, namespace, hides);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Gets one object. The names must be legal.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn get(
        &mut self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        hides: impl fmt::Display,
    ) -> Result<Found, ApiError> {
        if !self.may("get", kind, namespace).await? {
            self.denied("get", kind, namespace, hides);
            return Ok(Found::NotSeen);
        }
        match self.client.get_opt(kind.resource, &kind.object_path(namespace, name)).await {
            Ok(Some(object)) => Ok(Found::Object(object)),
            Ok(None) => Ok(Found::Absent),
            Err(error) if error.code() == Some(403) => {
                self.denied("get", kind, namespace, hides);
                Ok(Found::NotSeen)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the API server whether the user has a right. If the user may not ask, the read itself will show it.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn may(
        &mut self,
        verb: &'static str,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Result<bool, ApiError> {
        let namespace = namespace.filter(|_| kind.namespaced);
        let key = (verb, kind, namespace.map(str::to_owned));
        if let Some(allowed) = self.answers.get(&key) {
            return Ok(*allowed);
        }
        let Resource { group, name } = kind.resource;
        let attributes = json!({"verb": verb, "group": group, "resource": name, "namespace": namespace.unwrap_or("")});
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let request = Request::post(REVIEWS_PATH).header(CONTENT_TYPE, "application/json");
        let answer = self.client.call(("create", REVIEWS), request, review.to_string().into_bytes()).await;
        let allowed = match answer {
            Ok(body) => {
                let review: Review = REVIEWS.decode("create", &body)?;
                review.status.is_some_and(|status| status.allowed)
            }
            Err(error) if matches!(error.code(), Some(403 | 404)) => true,
            Err(error) => return Err(error),
        };
        self.answers.insert(key, allowed);
        Ok(allowed)
    }

    /// Records that a right is missing, and what this hides.
    pub(crate) fn denied(&mut self, verb: &'static str, kind: Kind, namespace: Option<&str>, hides: impl fmt::Display) {
        self.not_seen.push(NotSeen::new(kind, namespace, Some(verb), format!("no right to {verb}"), hides));
    }
}

impl NotSeen {
    fn new(
        kind: Kind,
        namespace: Option<&str>,
        verb: Option<&'static str>,
        why: String,
        hides: impl fmt::Display,
    ) -> Self {
        let namespace = namespace.filter(|_| kind.namespaced).map(str::to_owned);
        Self { resource: kind.resource.to_string(), namespace, verb, why, hides: hides.to_string() }
    }
}

impl fmt::Display for NotSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, namespace, why, hides, .. } = self;
        let place = namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        write!(f, "{resource}: {why}{place} (hides {hides})")
    }
}
