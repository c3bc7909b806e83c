//! The `VolumePlacementStrategies` of a cluster. They are listed on demand and not watched, because there are few, they
//! rarely change, and few objects name one.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::deadlines::Deadlines;
use super::ttl_counter::{Start, TtlCounter};
use crate::api::{ApiClient, ApiError, Resource};
use crate::companion::Strategies;
use crate::engine::storage::{HasMetadata as _, Named};

const STRATEGIES: Resource = Resource::new("portworx.io", "volumeplacementstrategies");
const PATH: &str = "/apis/portworx.io/v1beta2/volumeplacementstrategies";

/// The longest time that a list may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which a list is reused, and a failure not repeated.
const TTL: Duration = Duration::from_secs(2);

/// The maximum number of lists per [`TTL`]. Every name that the last list does not have costs one, because the strategy
/// may have been created since: one `kubectl apply` can create a strategy and a class that names it.
const MAX_LISTS: u32 = 8;

/// The maximum number of names for which a list was started. An evicted name may cost another list.
const MAX_ASKED: usize = 1024;

/// The time for which a failure is not logged again.
const LOG_TTL: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct StrategyList<'a> {
    #[serde(borrow)]
    items: Vec<Named<'a>>,
}

/// Lists all of them.
pub(super) async fn list(client: &ApiClient) -> Result<Strategies, ApiError> {
    let mut json = Vec::new();
    match client.list(STRATEGIES, PATH, TIMEOUT, &mut json).await {
        Ok(()) => {
            let list: StrategyList<'_> = STRATEGIES.decode("list", &json)?;
            let names = list.items.iter().filter_map(|item| item.name().map(str::to_owned));
            Ok(Strategies::All(names.collect()))
        }
        // An empty list is HTTP 200. A 404 means that the CRD is not installed.
        Err(error) if error.code() == Some(404) => Ok(Strategies::NotInstalled),
        Err(error) => Err(error),
    }
}

/// Lists that reviews share.
pub(super) struct StrategyLists {
    client: ApiClient,
    latest: Mutex<Option<SharedList>>,
    /// Names that a list was started for.
    asked: TtlCounter,
    /// The lists that were started.
    started: TtlCounter,
    /// Failures that were logged.
    logged: TtlCounter,
}

#[derive(Clone)]
struct SharedList {
    started: Instant,
    result: Shared<BoxFuture<'static, Arc<Result<Strategies, String>>>>,
}

impl StrategyLists {
    pub(super) fn new(client: ApiClient) -> Self {
        Self {
            client,
            latest: Mutex::default(),
            asked: TtlCounter::new(TTL, Start::First, MAX_ASKED),
            started: TtlCounter::new(TTL, Start::First, 1),
            logged: TtlCounter::new(LOG_TTL, Start::First, 1),
        }
    }

    /// Returns the strategies, as far as they can be read in time, to look up these names. The cause of a failure is
    /// logged, not returned in a warning, because the user who creates the class or claim cannot fix it.
    pub(super) async fn get(&self, names: &[Cow<'_, str>], deadlines: Deadlines) -> Strategies {
        let some = |known, why: &str| Strategies::Some { known, why: why.to_owned() };
        let (list, is_current) = self.join(names);
        let result = timeout_at(deadlines.answer, list.result).await;
        let why = match result.as_deref() {
            Ok(Ok(Strategies::All(known))) if !is_current => {
                return some(known.clone(), "colocate has listed them too often in the last seconds");
            }
            Ok(Ok(strategies)) => return strategies.clone(),
            Ok(Err(why)) => why,
            Err(_) => "the API server did not list them in time",
        };
        if self.logged.increment(&(), 1).is_some() {
            tracing::warn!(why, "cannot list the VolumePlacementStrategies");
        }
        some(BTreeSet::new(), "colocate cannot list them: see its log")
    }

    /// Returns the latest list if it is recent and covers these names, and a new one otherwise. The flag is false if
    /// the list does not cover these names and [`MAX_LISTS`] does not allow a new list.
    fn join(&self, names: &[Cow<'_, str>]) -> (SharedList, bool) {
        let mut latest = self.latest();
        let recent = latest.as_ref().filter(|list| list.started.elapsed() < TTL);
        if let Some(list) = recent {
            let covers = |name: &Cow<'_, str>| list.is_decisive_on(name) || self.asked.count(name) > 0;
            if names.iter().all(covers) {
                return (list.clone(), true);
            }
            if self.started.increment(&(), MAX_LISTS).is_none() {
                return (list.clone(), false);
            }
        } else {
            self.started.increment(&(), MAX_LISTS);
        }
        for name in names {
            self.asked.increment(name, 1);
        }
        let client = self.client.clone();
        let result = async move { Arc::new(list(&client).await.map_err(|error| error.to_string())) }.boxed().shared();
        let list = SharedList { started: Instant::now(), result };
        *latest = Some(list.clone());
        (list, true)
    }

    fn latest(&self) -> MutexGuard<'_, Option<SharedList>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedList {
    /// Returns true if the list has this name, or failed. A strategy that the list does not have may have been created
    /// since.
    fn is_decisive_on(&self, name: &str) -> bool {
        self.result.peek().is_some_and(|result| match &**result {
            Ok(Strategies::All(known)) => known.contains(name),
            Ok(_) => false,
            Err(_) => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;
    use tokio::time::advance;
    use tower_test::mock;

    use super::*;

    /// The response to each list, and the number of lists so far.
    #[derive(Default)]
    struct Script {
        /// The names of the strategies, or an HTTP status.
        response: Mutex<Option<Result<Vec<String>, u16>>>,
        lists: Mutex<usize>,
    }

    impl Script {
        fn start() -> (StrategyLists, Arc<Self>) {
            let (service, mut server) = mock::pair::<hyper::Request<Body>, hyper::Response<Body>>();
            let script = Arc::new(Self::default());
            let shared = script.clone();
            tokio::spawn(async move {
                while let Some((_, send)) = server.next_request().await {
                    *shared.lists.lock().unwrap() += 1;
                    let (status, body) = match shared.response.lock().unwrap().clone() {
                        Some(Ok(names)) => {
                            let items: Vec<_> = names.iter().map(|name| json!({"metadata": {"name": name}})).collect();
                            (200, json!({"items": items}))
                        }
                        Some(Err(code)) => (code, json!({"kind": "Status", "code": code, "message": "no"})),
                        None => continue,
                    };
                    let body = Body::from(body.to_string().into_bytes());
                    send.send_response(hyper::Response::builder().status(status).body(body).unwrap());
                }
            });
            (StrategyLists::new(ApiClient::for_test(Client::new(service, "default"))), script)
        }

        fn respond(&self, response: Result<&[&str], u16>) {
            let owned = response.map(|names| names.iter().map(ToString::to_string).collect());
            *self.response.lock().unwrap() = Some(owned);
        }

        fn lists(&self) -> usize {
            std::mem::take(&mut self.lists.lock().unwrap())
        }
    }

    async fn get(lists: &StrategyLists, name: &str) -> Strategies {
        let deadlines = Deadlines::new(Duration::from_secs(5), Duration::ZERO);
        lists.get(&[name.into()], deadlines.without_wait()).await
    }

    fn all(names: &[&str]) -> Strategies {
        Strategies::All(names.iter().map(ToString::to_string).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_reviews_share_one_list() {
        let (lists, script) = Script::start();
        for response in [Ok(&["spread"][..]), Ok(&[]), Err(404), Err(403), Err(500)] {
            script.respond(response);
            let at_once = join_all((0..50).map(|_| get(&lists, "spread"))).await;
            let mut later = Vec::new();
            for _ in 0..50 {
                later.push(get(&lists, "spread").await);
            }
            let expected = match response {
                Ok(names) => all(names),
                Err(404) => Strategies::NotInstalled,
                Err(_) => {
                    let why = "colocate cannot list them: see its log".to_owned();
                    Strategies::Some { known: BTreeSet::new(), why }
                }
            };
            assert!(at_once.iter().chain(&later).all(|strategies| *strategies == expected), "{later:?}");
            assert_eq!(script.lists(), 1, "{response:?}");
            advance(TTL).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_strategy_that_was_just_created_is_found() {
        let (lists, script) = Script::start();
        script.respond(Err(404));
        assert_eq!(get(&lists, "other").await, Strategies::NotInstalled);
        script.respond(Ok(&["old"]));
        assert_eq!(get(&lists, "old").await, all(&["old"]));
        script.respond(Ok(&["old", "new"]));
        assert_eq!(get(&lists, "new").await, all(&["old", "new"]));
        assert_eq!(script.lists(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn invented_names_cost_a_limited_number_of_lists() {
        let (lists, script) = Script::start();
        script.respond(Ok(&["old"]));
        for number in 0..100 {
            let strategies = get(&lists, &format!("invented-{number}")).await;
            assert_eq!(strategies == all(&["old"]), number < MAX_LISTS, "{number}: {strategies:?}");
        }
        assert_eq!(get(&lists, "old").await, all(&["old"]));
        assert_eq!(script.lists(), MAX_LISTS as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_outlives_the_review_that_started_it() {
        let (lists, script) = Script::start();
        let strategies = get(&lists, "spread").await;
        assert!(matches!(strategies, Strategies::Some { .. }), "there was no response: {strategies:?}");
        get(&lists, "spread").await;
        assert_eq!(script.lists(), 1);
    }
}
