//! A scripted API server with a large [`Population`] of claims. It generates pages on demand, and its watches send only
//! bookmarks until they expire.
//!
//! Benchmarks use it to measure the memory of caches, the time to fill them, and their recovery from an expired watch. It serves
//! lists, watches and single objects of claims, classes and volumes over plain HTTP. No volumes exist. Like Kubernetes
//! 1.33 with its defaults, it does not stream lists.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::population::{CLASSES, NamedClass, Population};

/// The interval of bookmarks, as in a real API server.
const BOOKMARK_INTERVAL: Duration = Duration::from_mins(1);

/// The revision of the first list, which is higher than that of every claim.
const FIRST_REVISION: u64 = 1_000_000_000;

/// An API server that runs until it is dropped.
pub struct PagingApi {
    address: SocketAddr,
    now: watch::Sender<Snapshot>,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// The objects at a revision.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    revision: u64,
    population: Population,
    /// The number of existing claims, which are the first ones of the population.
    claims: usize,
}

impl PagingApi {
    /// Starts a server with all claims of `population` on a free local port.
    pub fn start(population: Population) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (now, snapshots) = watch::channel(Snapshot::first(population));
        let end = CancellationToken::new();
        let ended = end.clone();
        let thread = thread::spawn(move || {
            runtime.block_on(ended.run_until_cancelled(serve(listener, snapshots)));
        });
        Ok(Self { address, now, end, thread: Some(thread) })
    }

    /// Returns a kubeconfig for the server.
    pub fn kubeconfig(&self) -> String {
        let server = self.address;
        format!(
            "apiVersion: v1
kind: Config
clusters: [{{name: scripted, cluster: {{server: 'http://{server}'}}}}]
users: [{{name: anonymous, user: {{}}}}]
contexts: [{{name: scripted, context: {{cluster: scripted, user: anonymous}}}}]
current-context: scripted
"
        )
    }

    /// Ends every watch with `410 Gone`, so that clients must list again. They then find the first `claims` claims of the
    /// population.
    pub fn expire(&self, claims: usize) {
        self.now.send_modify(|now| {
            now.revision += 1;
            now.claims = claims.min(now.population.size());
        });
    }
}

impl Drop for PagingApi {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, snapshots: watch::Receiver<Snapshot>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, snapshots.clone()));
    }
}

async fn connection(stream: TcpStream, snapshots: watch::Receiver<Snapshot>) {
    // Nagle's algorithm would delay the last packet of a page.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let snapshots = snapshots.clone();
        async move { Ok::<_, Infallible>(respond(&request, snapshots)) }
    });
    // A client may disconnect at any time.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn respond(
    request: &Request<Incoming>,
    snapshots: watch::Receiver<Snapshot>,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let query = Query(request.uri().query().unwrap_or_default());
    let now = *snapshots.borrow();
    let answer = match request.method() {
        &Method::GET => now.answer(request.uri().path(), query),
        _ => Answer::status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "only GET is supported"),
    };
    let (status, body) = match answer {
        Answer::Json(status, text) => (status, Full::from(text).boxed_unsync()),
        Answer::Watch(kind) => {
            let lines = events(kind, query.revision().unwrap_or(now.revision), snapshots);
            (StatusCode::OK, StreamBody::new(frames(lines)).boxed_unsync())
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn frames(lines: impl Stream<Item = String>) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    lines.map(|line| Ok(Frame::data(Bytes::from(line))))
}

/// The lines of a watch that starts at a revision: a bookmark each minute, and an error when the revision expires.
fn events(kind: Kind, from: u64, snapshots: watch::Receiver<Snapshot>) -> impl Stream<Item = String> {
    stream::unfold(Some(snapshots), move |watching| async move {
        let mut snapshots = watching?;
        let is_past = |now: &Snapshot| now.revision > from;
        let expired = tokio::time::timeout(BOOKMARK_INTERVAL, snapshots.wait_for(is_past)).await.is_ok();
        if expired {
            let status = status(StatusCode::GONE, "Expired", &format!("too old resource version: {from}"));
            return Some((format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n"), None));
        }
        Some((kind.bookmark(from), Some(snapshots)))
    })
}

/// A response to a request.
#[derive(Debug)]
enum Answer {
    Json(StatusCode, String),
    Watch(Kind),
}

/// A kind of object.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    version: &'static str,
}

const CLAIM: Kind = Kind { name: "PersistentVolumeClaim", version: "v1" };
const VOLUME: Kind = Kind { name: "PersistentVolume", version: "v1" };
const CLASS: Kind = Kind { name: "StorageClass", version: "storage.k8s.io/v1" };

/// The query parameters of a request. The ones that this server reads are never escaped.
#[derive(Clone, Copy)]
struct Query<'q>(&'q str);

impl Snapshot {
    fn first(population: Population) -> Self {
        Self { revision: FIRST_REVISION, population, claims: population.size() }
    }

    fn answer(&self, path: &str, query: Query<'_>) -> Answer {
        let words: Vec<_> = path.trim_matches('/').split('/').collect();
        match words[..] {
            ["api", "v1", "persistentvolumeclaims"] => self.claims(0..self.claims, query),
            ["api", "v1", "namespaces", namespace, "persistentvolumeclaims"] => {
                let Range { start, end } = self.population.within(namespace);
                self.claims(start.min(self.claims)..end.min(self.claims), query)
            }
            ["api", "v1", "namespaces", namespace, "persistentvolumeclaims", name] => {
                let found = self.population.find(namespace, name);
                let found = found.filter(|claim| claim.number < self.claims);
                Answer::object(found.map(|claim| claim.object()), CLAIM, name)
            }
            ["api", "v1", "persistentvolumes"] => self.list(VOLUME, &[], "", query),
            ["api", "v1", "persistentvolumes", name] => Answer::object(None, VOLUME, name),
            ["apis", "storage.k8s.io", "v1", "storageclasses"] => {
                self.list(CLASS, &CLASSES.each_ref().map(NamedClass::object), "", query)
            }
            ["apis", "storage.k8s.io", "v1", "storageclasses", name] => {
                let found = CLASSES.iter().find(|class| class.name == name);
                Answer::object(found.map(NamedClass::object), CLASS, name)
            }
            _ => Answer::status(StatusCode::NOT_FOUND, "NotFound", "not found in the script"),
        }
    }

    /// Returns the requested page of these claims.
    fn claims(&self, numbers: Range<usize>, query: Query<'_>) -> Answer {
        let begin = match query.get("continue") {
            None => numbers.start,
            Some(token) => match self.place(token, &numbers) {
                Some(place) => place,
                None => return Answer::status(StatusCode::GONE, "Expired", "the continue token is too old"),
            },
        };
        let left = numbers.end - begin;
        let limit = query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
        let end = begin + left.min(limit.unwrap_or(left));
        let items: Vec<_> = (begin..end).map(|number| self.population.claim(number).item()).collect();
        let more = match numbers.end - end {
            0 => String::new(),
            rest => format!(r#","continue":"{}-{end}","remainingItemCount":{rest}"#, self.revision),
        };
        self.list(CLAIM, &items, &more, query)
    }

    /// Returns the position in a continue token; `None` if the token has expired.
    fn place(&self, token: &str, numbers: &Range<usize>) -> Option<usize> {
        let (revision, place) = token.split_once('-')?;
        let place = place.parse().ok().filter(|place| numbers.contains(place))?;
        (revision.parse() == Ok(self.revision)).then_some(place)
    }

    /// Returns a list, or a watch if requested. `more` is added to the metadata of a list.
    fn list(&self, kind: Kind, items: &[String], more: &str, query: Query<'_>) -> Answer {
        if query.get("sendInitialEvents") == Some("true") {
            let message = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            return Answer::status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        }
        if matches!(query.get("watch"), Some("true" | "1")) {
            return Answer::Watch(kind);
        }
        let Kind { name, version } = kind;
        let (revision, items) = (self.revision, items.join(","));
        Answer::Json(
            StatusCode::OK,
            format!(
                r#"{{"kind":"{name}List","apiVersion":"{version}","metadata":{{"resourceVersion":"{revision}"{more}}},"items":[{items}]}}"#
            ),
        )
    }
}

impl Answer {
    fn object(found: Option<String>, kind: Kind, name: &str) -> Self {
        match found {
            Some(object) => Self::Json(StatusCode::OK, object),
            None => Self::status(StatusCode::NOT_FOUND, "NotFound", &format!("there is no {} '{name}'", kind.name)),
        }
    }

    fn status(code: StatusCode, reason: &str, message: &str) -> Self {
        Self::Json(code, status(code, reason, message))
    }
}

impl Kind {
    fn bookmark(self, revision: u64) -> String {
        let Self { name, version } = self;
        format!(
            "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"{name}\",\"apiVersion\":\"{version}\",\
             \"metadata\":{{\"resourceVersion\":\"{revision}\",\"creationTimestamp\":null}}}}}}\n"
        )
    }
}

impl<'q> Query<'q> {
    fn get(self, key: &str) -> Option<&'q str> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).next_back()
    }

    fn revision(self) -> Option<u64> {
        self.get("resourceVersion")?.parse().ok()
    }
}

fn status(code: StatusCode, reason: &str, message: &str) -> String {
    let code = code.as_u16();
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","code":{code}}}"#
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::pin::pin;

    use serde_json::Value;

    use super::*;

    const POPULATION: Population = Population::new(1_203, 7);

    fn get(now: &Snapshot, path: &str, query: &str) -> (u16, Value) {
        match now.answer(path, Query(query)) {
            Answer::Json(status, text) => (status.as_u16(), serde_json::from_str(&text).unwrap()),
            Answer::Watch(kind) => panic!("a watch of {kind:?}"),
        }
    }

    /// Returns the names on all pages, and the number of pages.
    fn names(now: &Snapshot, path: &str) -> (Vec<String>, usize) {
        let (mut names, mut token) = (Vec::new(), String::new());
        for pages in 1.. {
            let (status, page) = get(now, path, &format!("limit=500{token}"));
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap();
            names.extend(items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()));
            match page["metadata"]["continue"].as_str() {
                Some(next) => token = format!("&continue={next}"),
                None => return (names, pages),
            }
        }
        unreachable!()
    }

    #[test]
    fn pages_have_every_claim_of_one_or_all_namespaces_once() {
        let now = Snapshot::first(POPULATION);
        let all: Vec<_> = (0..1_203).map(|number| POPULATION.claim(number).name).collect();
        assert_eq!(names(&now, "/api/v1/persistentvolumeclaims"), (all, 3));
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", POPULATION.claim(200).namespace);
        assert_eq!(names(&now, &path).0, (172..344).map(|number| POPULATION.claim(number).name).collect::<Vec<_>>());
        assert_eq!(names(&now, "/api/v1/namespaces/other/persistentvolumeclaims"), (Vec::new(), 1));
    }

    #[test]
    fn a_page_of_an_old_list_is_gone() {
        let mut now = Snapshot::first(POPULATION);
        let (_, page) = get(&now, "/api/v1/persistentvolumeclaims", "limit=500");
        assert_eq!(page["metadata"]["remainingItemCount"], 703);
        let next = format!("limit=500&continue={}", page["metadata"]["continue"].as_str().unwrap());
        now.revision += 1;
        assert_eq!(get(&now, "/api/v1/persistentvolumeclaims", &next).0, 410);
        assert_eq!(get(&now, "/api/v1/persistentvolumeclaims", "continue=once").0, 410);
    }

    #[test]
    fn single_objects_equal_those_in_lists() {
        let now = Snapshot { claims: 1_202, ..Snapshot::first(POPULATION) };
        let path = |number| {
            let claim = POPULATION.claim(number);
            format!("/api/v1/namespaces/{}/persistentvolumeclaims/{}", claim.namespace, claim.name)
        };
        let (status, claim) = get(&now, &path(1_201), "");
        assert_eq!((status, claim["kind"].as_str()), (200, Some("PersistentVolumeClaim")));
        assert_eq!(get(&now, &path(1_202), "").0, 404);
        let (_, classes) = get(&now, "/apis/storage.k8s.io/v1/storageclasses", "");
        assert_eq!(classes["items"].as_array().unwrap().len(), CLASSES.len());
        assert_eq!(get(&now, "/apis/storage.k8s.io/v1/storageclasses/px-db", "").1["provisioner"], "pxd.portworx.com");
        assert_eq!(get(&now, "/api/v1/persistentvolumes", "").1["items"], Value::Array(Vec::new()));
        for nothing in ["/api/v1/persistentvolumes/pvc-1", "/apis/coordination.k8s.io/v1/leases"] {
            assert_eq!(get(&now, nothing, "").1["reason"], "NotFound");
        }
    }

    #[test]
    fn lists_are_not_streamed() {
        let now = Snapshot::first(POPULATION);
        let (status, refused) = get(&now, "/api/v1/persistentvolumeclaims", "watch=true&sendInitialEvents=true");
        assert_eq!((status, refused["reason"].as_str()), (422, Some("Invalid")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_sends_bookmarks_until_it_expires() {
        let (now, snapshots) = watch::channel(Snapshot::first(POPULATION));
        let began = tokio::time::Instant::now();
        let mut lines = pin!(events(CLAIM, FIRST_REVISION, snapshots.clone()));
        for minute in 1..=3 {
            let bookmark: Value = serde_json::from_str(&lines.next().await.unwrap()).unwrap();
            assert_eq!((&bookmark["type"], &bookmark["object"]["kind"]), (&"BOOKMARK".into(), &CLAIM.name.into()));
            assert_eq!(began.elapsed(), BOOKMARK_INTERVAL * minute);
        }
        now.send_modify(|now| now.revision += 1);
        let error: Value = serde_json::from_str(&lines.next().await.unwrap()).unwrap();
        assert_eq!((&error["type"], &error["object"]["code"]), (&"ERROR".into(), &410.into()));
        assert_eq!(lines.next().await, None);
        assert_eq!(began.elapsed(), BOOKMARK_INTERVAL * 3);

        let late = pin!(events(CLAIM, FIRST_REVISION, snapshots)).next().await.unwrap();
        assert!(late.contains("410"), "{late}");
    }

    #[test]
    fn expiry_reaches_a_watch_over_the_socket() {
        let api = PagingApi::start(POPULATION).unwrap();
        assert!(api.kubeconfig().contains(&api.address.to_string()));
        let mut socket = std::net::TcpStream::connect(api.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(socket, "GET /api/v1/persistentvolumeclaims?watch=true HTTP/1.1\r\nHost: api\r\n\r\n").unwrap();
        let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("HTTP/1.1 200 OK"));
        api.expire(1_000);
        assert!(lines.any(|line| line.contains(r#""type":"ERROR""#)), "the watch continues");
        assert_eq!(names(&api.now.borrow(), "/api/v1/persistentvolumeclaims").0.len(), 1_000);
    }
}
