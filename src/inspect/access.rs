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
mod tests {
    use std::cell::Cell;

    use http_body_util::BodyExt as _;
    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::Value;

    use super::*;
    use crate::inspect::kinds::{CLASSES, CONFIG_MAPS, PODS, STRATEGIES};

    /// Lists pods in `shop` and classes, as [`read_kinds`].
    async fn read(
        answer: impl Fn(&str) -> (u16, Value),
    ) -> (Vec<Result<Listing<Vec<String>>, ApiError>>, Access, Vec<String>) {
        read_kinds([PODS, CLASSES], answer).await
    }

    /// Lists two kinds, each twice, with these answers by path. Returns their lists, the access, and the requested paths.
    async fn read_kinds(
        [one, other]: [ResourceKind; 2],
        answer: impl Fn(&str) -> (u16, Value),
    ) -> (Vec<Result<Listing<Vec<String>>, ApiError>>, Access, Vec<String>) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let mut access = Access::new(ApiClient::for_test(Client::new(service, "default")));
        let server = async {
            let mut paths = Vec::new();
            while let Some((request, respond)) = handle.next_request().await {
                let path = request.uri().path().to_owned();
                let (status, body) = answer(&path);
                let body = Body::from(body.to_string().into_bytes());
                respond.send_response(Response::builder().status(status).body(body).unwrap());
                paths.push(path);
            }
            paths
        };
        let client = async {
            let mut lists = Vec::new();
            for kind in [one, one, other, other] {
                let add = |names: &mut Vec<String>, item: &str| {
                    names.push(serde_json::from_str(item)?);
                    Ok(())
                };
                lists.push(access.try_list(kind, Some("shop"), "the rest", add).await);
            }
            // Ends the server.
            let (service, _) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
            access.client = ApiClient::for_test(Client::new(service, "default"));
            (lists, access)
        };
        let ((lists, access), paths) = tokio::join!(client, server);
        (lists, access, paths)
    }

    fn review(allowed: bool) -> (u16, Value) {
        (201, json!({"status": {"allowed": allowed}}))
    }

    fn rejection(code: u16) -> (u16, Value) {
        (code, json!({"kind": "Status", "code": code, "message": "no"}))
    }

    const PODS_PATH: &str = "/api/v1/namespaces/shop/pods";

    #[tokio::test]
    async fn each_permission_is_checked_once_before_the_first_read() {
        let (lists, access, paths) = read(|path| match path {
            REVIEWS_PATH => review(true),
            PODS_PATH => (200, json!({"items": ["a"]})),
            _ => (200, json!({"items": ["b", 1]})),
        })
        .await;
        let lists: Vec<_> = lists.into_iter().map(Result::unwrap).collect();
        let all = |name: &str| Listing::All(vec![name.to_owned()]);
        assert_eq!(lists, [all("a"), all("a"), all("b"), all("b")]);
        let classes = "/apis/storage.k8s.io/v1/storageclasses";
        assert_eq!(paths, [REVIEWS_PATH, PODS_PATH, PODS_PATH, REVIEWS_PATH, classes, classes]);
        assert_eq!(access.seen.iter().collect::<Vec<_>>(), ["pods", "storageclasses.storage.k8s.io"]);
        // What cannot be decoded is hidden, too.
        let why = "1 cannot be decoded; the first: invalid type: integer `1`, expected a string at line 1 column 1";
        assert_eq!(access.not_seen[0].why, why);
    }

    #[tokio::test]
    async fn a_missing_permission_is_one_entry_with_everything_that_it_hides() {
        let (_, mut access, _) = read(|_| review(false)).await;
        for hides in ["a claim", "the rest", "a claim"] {
            access.denied("list", PODS, Some("shop"), hides);
        }
        access.denied("get", PODS, Some("shop"), "a claim");
        let pods = access.not_seen.iter().filter(|one| one.resource == "pods");
        assert_eq!(pods.map(|one| &*one.hides).collect::<Vec<_>>(), ["the rest; a claim", "a claim"]);
    }

    #[tokio::test]
    async fn without_a_permission_nothing_is_requested() {
        let (lists, access, paths) = read(|_| review(false)).await;
        assert!(lists.into_iter().all(|list| list.unwrap() == Listing::NotSeen));
        assert_eq!(paths, [REVIEWS_PATH, REVIEWS_PATH]);
        let lines: Vec<_> = access.not_seen.iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], "pods: not permitted to list in namespace shop; not known as a result: the rest");
        assert_eq!(lines[1], "storageclasses.storage.k8s.io: not permitted to list; not known as a result: the rest");
        assert!(access.seen.is_empty());
    }

    #[tokio::test]
    async fn a_denied_read_is_not_seen_and_a_kind_that_is_not_served_is_known_to_be_absent() {
        // The user may not even ask.
        let (lists, access, _) = read_kinds([PODS, STRATEGIES], |path| match path {
            REVIEWS_PATH | PODS_PATH => rejection(403),
            // The answer for a group that is not served.
            _ => (404, "404 page not found".into()),
        })
        .await;
        let lists: Vec<_> = lists.into_iter().map(Result::unwrap).collect();
        assert_eq!(lists, [Listing::NotSeen, Listing::NotSeen, Listing::NotServed, Listing::NotServed]);
        assert!(access.not_seen.iter().all(|not_seen| not_seen.resource == "pods"));
    }

    #[tokio::test]
    async fn a_list_that_expires_again_and_again_is_not_seen_or_of_several_times() {
        let expired = |rest: &str| {
            (410, json!({"kind": "Status", "code": 410, "message": "too old", "metadata": {"continue": rest}}))
        };
        let list = async |token: &'static str| {
            // The query is not part of the path.
            let pages = Cell::new(0);
            read_kinds([PODS, PODS], move |path| {
                if path == REVIEWS_PATH {
                    return review(true);
                }
                pages.set(pages.get() + 1);
                match pages.get() {
                    1 | 3 => (200, json!({"metadata": {"continue": "next"}, "items": ["a"]})),
                    2 | 4 => expired(token),
                    _ => (200, json!({"items": ["b"]})),
                }
            })
            .await
        };
        let (mut lists, access, _) = list("").await;
        assert_eq!(lists.remove(0).unwrap(), Listing::NotSeen);
        assert_eq!(access.not_seen[0].why, "the list expired twice before its last page");
        assert_eq!(access.not_seen[0].hides, "the rest");
        let (mut lists, access, _) = list("later").await;
        assert_eq!(lists.remove(0).unwrap(), Listing::All(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(access.not_seen[0].why, "the list expired twice, so its last part is as of a later time");
        assert_eq!(access.not_seen.len(), 1);
    }

    #[tokio::test]
    async fn a_server_without_core_kinds_is_not_an_api_server() {
        for denies_reviews in [true, false] {
            let answer = |path: &str| match path {
                REVIEWS_PATH if denies_reviews => rejection(403),
                _ => rejection(404),
            };
            let (lists, _, _) = read_kinds([PODS, CLASSES], answer).await;
            for list in lists {
                let error = list.unwrap_err();
                assert_eq!(error.code(), None);
                assert!(error.to_string().contains("so it is not a Kubernetes API server"), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn an_object_is_absent_only_if_an_api_server_says_so() {
        let page: Value = "404 page not found".into();
        let status = rejection(404).1;
        for (kind, body, is_absent) in
            [(PODS, &status, true), (PODS, &page, false), (STRATEGIES, &page, true), (CONFIG_MAPS, &page, false)]
        {
            let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
            let mut access = Access::new(ApiClient::for_test(Client::new(service, "default")));
            let server = async {
                for (code, body) in [review(true), (404, body.clone())] {
                    let (_, respond) = handle.next_request().await.unwrap();
                    let body = Body::from(body.to_string().into_bytes());
                    respond.send_response(Response::builder().status(code).body(body).unwrap());
                }
            };
            let (found, ()) = tokio::join!(access.get(kind, Some("shop"), "a", "the rest"), server);
            assert_eq!(matches!(found, Ok(Found::Absent)), is_absent, "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_role_may_grant_one_object_by_name() {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let mut access = Access::new(ApiClient::for_test(Client::new(service, "default")));
        let server = async {
            let mut names = Vec::new();
            while let Some((request, respond)) = handle.next_request().await {
                let is_review = request.uri().path() == REVIEWS_PATH;
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
                let name = &asked["spec"]["resourceAttributes"]["name"];
                let (status, answer) =
                    if is_review { review(name == "own") } else { (200, json!({"kind": "ConfigMap"})) };
                names.extend(is_review.then(|| name.clone()));
                let answer = Body::from(answer.to_string().into_bytes());
                respond.send_response(Response::builder().status(status).body(answer).unwrap());
            }
            names
        };
        let client = async {
            let mut found = Vec::new();
            // The last name is not legal, so nothing is asked about it.
            for name in ["own", "other", "own", "../own"] {
                found.push(access.get(CONFIG_MAPS, Some("shop"), name, "the rest").await.unwrap());
            }
            drop(access);
            found
        };
        let (found, names) = tokio::join!(client, server);
        let expected = matches!(found[..], [Found::Object(_), Found::NotSeen, Found::Object(_), Found::Absent]);
        assert!(expected, "{found:?}");
        assert_eq!(names, [Value::Null, "own".into(), "other".into()]);
    }

    #[tokio::test]
    async fn another_failure_is_an_error() {
        let (lists, _, _) = read(|path| if path == REVIEWS_PATH { review(true) } else { rejection(500) }).await;
        assert!(lists.into_iter().all(|list| list.unwrap_err().code() == Some(500)));
        let (lists, _, _) = read(|_| rejection(401)).await;
        assert!(lists.into_iter().all(|list| list.unwrap_err().code() == Some(401)));
    }
}
