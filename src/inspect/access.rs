//! What the user may read. The API server is asked once per verb, kind and namespace, before the first read.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::kinds::ResourceKind;
use super::pages::{self, Listed};
use crate::api::{ApiCause, ApiClient, ApiError, Resource};
use crate::engine::{dns, object};

const REVIEWS: Resource = Resource::new("authorization.k8s.io", "selfsubjectaccessreviews");
const REVIEWS_PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// A cluster as far as the user may read it.
pub(crate) struct Access {
    /// The client of the cluster.
    pub(crate) client: ApiClient,
    /// The answers of the API server.
    answers: HashMap<Permission, bool>,
    /// The resources that were read.
    pub(crate) seen: BTreeSet<String>,
    /// The facts that could not be read so far, in the order of the reads.
    pub(crate) not_seen: Vec<NotSeen>,
}

/// A verb on a kind, in a namespace or in all, and on one object or on all.
type Permission = (&'static str, ResourceKind, Option<String>, Option<String>);

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotSeen {
    /// The resource, as in `storageclasses.storage.k8s.io`.
    pub(crate) resource: String,
    /// The namespace, if the permission is needed there only.
    pub(crate) namespace: Option<String>,
    /// The verb that is not granted; `None` if there is another reason.
    pub(crate) verb: Option<&'static str>,
    /// The reason, as in `not permitted to list`.
    pub(crate) why: String,
    /// The consequence: what is not known, as in `which pods should be on another scheduler`.
    pub(crate) hides: String,
}

/// The answer to a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listing<T> {
    /// All objects.
    All(T),
    /// The API server does not serve the kind.
    NotServed,
    /// It was not readable, and is in [`Access::not_seen`].
    NotSeen,
}

/// The answer to a read of one object.
#[derive(Debug)]
pub(crate) enum Found {
    /// The object as JSON.
    Object(String),
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
        Self { client, answers: HashMap::new(), seen: BTreeSet::new(), not_seen: Vec::new() }
    }

    /// Lists the objects of a kind in a namespace, or else in all, and adds each to a `T`. A list that expires is read again
    /// from the start, with a new `T`. If it expires once more, its rest is read as of a later time, and this is recorded. If the user may not list them, or if some cannot be decoded, `hides` is recorded.
    ///
    /// # Errors
    /// If the API server does not answer, or is none: it does not serve a kind that every API server serves.
    pub(crate) async fn try_list<T: Default>(
        &mut self,
        kind: ResourceKind,
        namespace: Option<&str>,
        hides: impl fmt::Display,
        add: impl FnMut(&mut T, &str) -> serde_json::Result<()>,
    ) -> Result<Listing<T>, ApiError> {
        if !self.may("list", kind, namespace).await? {
            self.denied("list", kind, namespace, hides);
            return Ok(Listing::NotSeen);
        }
        match pages::list(&self.client, kind, namespace, add).await {
            Ok(Listed { value, undecodable, first_error, is_inconsistent }) => {
                if is_inconsistent {
                    let why = "the list expired twice, so its last part is as of a later time";
                    let hides = "some of the objects that were created or deleted during the list";
                    self.not_seen.push(NotSeen::new(kind, namespace, None, why.to_owned(), hides));
                }
                if let Some(error) = first_error {
                    let why = format!("{undecodable} cannot be decoded; the first: {error}");
                    self.not_seen.push(NotSeen::new(kind, namespace, None, why, hides));
                }
                self.seen.insert(kind.resource.to_string());
                Ok(Listing::All(value))
            }
            Err(error) if error.code() == Some(404) && kind.is_always_served() => {
                Err(self.not_kubernetes("list", kind.resource))
            }
            Err(error) if error.code() == Some(404) => Ok(Listing::NotServed),
            // The permission may have been revoked since, or a proxy denies what the API server permits.
            Err(error) if error.code() == Some(403) => {
                self.denied("list", kind, namespace, hides);
                Ok(Listing::NotSeen)
            }
            Err(error) if error.code() == Some(410) => {
                let why = "the list expired twice before its last page".to_owned();
                self.not_seen.push(NotSeen::new(kind, namespace, None, why, hides));
                Ok(Listing::NotSeen)
            }
            Err(error) => Err(error),
        }
    }

    /// Lists as [`try_list`](Self::try_list). Returns `None` if the user may not list the objects. A kind that the API server
    /// does not serve has no objects.
    ///
    /// # Errors
    /// Those of [`try_list`](Self::try_list).
    pub(crate) async fn list<T: Default>(
        &mut self,
        kind: ResourceKind,
        namespace: Option<&str>,
        hides: impl fmt::Display,
        add: impl FnMut(&mut T, &str) -> serde_json::Result<()>,
    ) -> Result<Option<T>, ApiError> {
        Ok(match self.try_list(kind, namespace, hides, add).await? {
            Listing::All(listed) => Some(listed),
            Listing::NotServed => Some(T::default()),
            Listing::NotSeen => None,
        })
    }

    /// Gets one object. One whose name is not legal cannot exist. The namespace must be legal.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn get(
        &mut self,
        kind: ResourceKind,
        namespace: Option<&str>,
        name: &str,
        hides: impl fmt::Display,
    ) -> Result<Found, ApiError> {
        if !dns::is_subdomain(name) {
            return Ok(Found::Absent);
        }
        if !self.may_on("get", kind, namespace, name).await? {
            self.denied("get", kind, namespace, hides);
            return Ok(Found::NotSeen);
        }
        match self.client.get(kind.resource, &kind.object_path(namespace, name)).await {
            Ok(object) => {
                self.seen.insert(kind.resource.to_string());
                Ok(Found::Object(String::from_utf8_lossy(&object).into_owned()))
            }
            Err(error) if error.code() == Some(404) && kind.is_always_served() && !error.has_status() => {
                Err(self.not_kubernetes("get", kind.resource))
            }
            Err(error) if error.code() == Some(404) => Ok(Found::Absent),
            Err(error) if error.code() == Some(403) => {
                self.denied("get", kind, namespace, hides);
                Ok(Found::NotSeen)
            }
            Err(error) => Err(error),
        }
    }

    /// Checks whether the user has a permission. If the check itself is forbidden, the read will show it.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn may(
        &mut self,
        verb: &'static str,
        kind: ResourceKind,
        namespace: Option<&str>,
    ) -> Result<bool, ApiError> {
        self.may_named(verb, kind, namespace, None).await
    }

    /// Checks the permission for one object, which a role can grant by name, or for all.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn may_on(
        &mut self,
        verb: &'static str,
        kind: ResourceKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<bool, ApiError> {
        Ok(self.may(verb, kind, namespace).await? || self.may_named(verb, kind, namespace, Some(name)).await?)
    }

    /// Checks the permission for one object, or for all.
    async fn may_named(
        &mut self,
        verb: &'static str,
        kind: ResourceKind,
        namespace: Option<&str>,
        object: Option<&str>,
    ) -> Result<bool, ApiError> {
        let namespace = namespace.filter(|_| kind.namespaced);
        let key = (verb, kind, namespace.map(str::to_owned), object.map(str::to_owned));
        if let Some(allowed) = self.answers.get(&key) {
            return Ok(*allowed);
        }
        let Resource { group, name } = kind.resource;
        let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
        let mut attributes =
            json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace.unwrap_or("")});
        if !subresource.is_empty() {
            attributes["subresource"] = subresource.into();
        }
        if let Some(object) = object {
            attributes["name"] = object.into();
        }
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
            Err(error) if error.code() == Some(403) => true,
            Err(error) if error.code() == Some(404) => return Err(self.not_kubernetes("create", REVIEWS)),
            Err(error) => return Err(error),
        };
        self.answers.insert(key, allowed);
        Ok(allowed)
    }

    fn not_kubernetes(&self, verb: &'static str, resource: Resource) -> ApiError {
        self.client.locate(resource.failed(verb, ApiCause::NotKubernetes))
    }

    /// Records a missing permission, in one entry with everything that is not known as a result.
    pub(crate) fn denied(
        &mut self,
        verb: &'static str,
        kind: ResourceKind,
        namespace: Option<&str>,
        hides: impl fmt::Display,
    ) {
        let not_seen = NotSeen::new(kind, namespace, Some(verb), format!("not permitted to {verb}"), hides);
        let is_same = |other: &&mut NotSeen| {
            (&other.resource, &other.namespace, other.verb) == (&not_seen.resource, &not_seen.namespace, not_seen.verb)
        };
        match self.not_seen.iter_mut().find(is_same) {
            Some(other) if other.hides.split("; ").any(|named| named == not_seen.hides) => {}
            Some(other) => other.hides = format!("{}; {}", other.hides, not_seen.hides),
            None => self.not_seen.push(not_seen),
        }
    }

    /// Records that an object cannot be decoded, and what is not known as a result.
    pub(crate) fn unreadable(
        &mut self,
        kind: ResourceKind,
        namespace: Option<&str>,
        error: impl fmt::Display,
        hides: impl fmt::Display,
    ) {
        self.not_seen.push(NotSeen::new(kind, namespace, None, error.to_string(), hides));
    }
}

impl Found {
    /// Returns the object.
    pub(crate) fn object(self) -> Option<String> {
        match self {
            Self::Object(json) => Some(json),
            Self::Absent | Self::NotSeen => None,
        }
    }
}

impl NotSeen {
    fn new(
        kind: ResourceKind,
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
        let place = namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        write!(f, "{resource}: {why}{place}; not known as a result: {hides}")
    }
}

#[cfg(test)]
mod tests;
