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

/// The time for which a list is reused for the names that it has, and a failure not repeated.
const TTL: Duration = Duration::from_secs(2);

/// The maximum number of lists per [`TTL`]. A review that names a strategy which the last list does not have costs one,
/// because the strategy may have been created since: one `kubectl apply` can create a strategy and a class that names it.
const MAX_LISTS: u32 = 8;

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
            started: TtlCounter::new(TTL, Start::First, 1),
            logged: TtlCounter::new(LOG_TTL, Start::First, 1),
        }
    }

    /// Returns the strategies, as far as they can be read in time, to look up these names. The cause of a failure is
    /// logged, not returned in a warning, because the user who creates the class or claim cannot fix it.
    ///
    /// A list answers for a name that it has. That a strategy does not exist follows only from a list that was started
    /// after the review arrived, so a review that shared an earlier one shares a second one.
    pub(super) async fn get(&self, names: &[Cow<'_, str>], deadlines: Deadlines) -> Strategies {
        let some = |known, why: &str| Strategies::Some { known, why: why.to_owned() };
        let arrived = Instant::now();
        let mut list = self.join(names, arrived);
        let mut result = timeout_at(deadlines.answer, list.result.clone()).await;
        if !list.is_decisive_on(names, arrived) {
            list = self.join(names, arrived);
            result = timeout_at(deadlines.answer, list.result.clone()).await;
        }
        let why = match result.as_deref() {
            Ok(Ok(Strategies::All(known))) if !list.is_decisive_on(names, arrived) => {
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

    /// Returns the latest list if it is recent and may answer a review that arrived at `arrived` and has these names, or
    /// if [`MAX_LISTS`] does not allow a new one. Otherwise starts a new one.
    fn join(&self, names: &[Cow<'_, str>], arrived: Instant) -> SharedList {
        let mut latest = self.latest();
        let recent = latest.as_ref().filter(|list| list.started.elapsed() < TTL);
        if let Some(list) = recent
            && (list.result.peek().is_none() || list.is_decisive_on(names, arrived))
        {
            return list.clone();
        }
        let allowed = self.started.increment(&(), MAX_LISTS).is_some();
        if let Some(list) = recent.filter(|_| !allowed) {
            return list.clone();
        }
        let client = self.client.clone();
        let result = async move { Arc::new(list(&client).await.map_err(|error| error.to_string())) }.boxed().shared();
        let list = SharedList { started: Instant::now(), result };
        *latest = Some(list.clone());
        list
    }

    fn latest(&self) -> MutexGuard<'_, Option<SharedList>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedList {
    /// Returns true if it has ended and answers a review that arrived at `arrived` and has these names: it has all of
    /// them, it was started since, or it is a failure.
    fn is_decisive_on(&self, names: &[Cow<'_, str>], arrived: Instant) -> bool {
        self.result.peek().is_some_and(|result| match &**result {
            Ok(strategies) => {
                let known = strategies.names();
                let has = |name: &Cow<'_, str>| known.is_some_and(|known| known.contains(&**name));
                self.started >= arrived || names.iter().all(has)
            }
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
    use tokio::time::{advance, sleep, timeout};
    use tower_test::mock;

    use super::*;

    /// The time between two reviews.
    const MOMENT: Duration = Duration::from_millis(1);

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
        for response in [Ok(&["spread"][..]), Err(403), Err(500)] {
            script.respond(response);
            let at_once = join_all((0..50).map(|_| get(&lists, "spread"))).await;
            let mut later = Vec::new();
            for _ in 0..50 {
                advance(MOMENT).await;
                later.push(get(&lists, "spread").await);
            }
            let expected = if let Ok(names) = response {
                all(names)
            } else {
                let why = "colocate cannot list them: see its log".to_owned();
                Strategies::Some { known: BTreeSet::new(), why }
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
        assert_eq!(get(&lists, "old").await, Strategies::NotInstalled);
        for names in [&["old"][..], &["old", "new"]] {
            let name = names.last().unwrap();
            // The same name was missing a moment before.
            script.respond(Ok(&names[..names.len() - 1]));
            advance(MOMENT).await;
            assert_eq!(get(&lists, name).await, all(&names[..names.len() - 1]));
            script.respond(Ok(names));
            advance(MOMENT).await;
            assert_eq!(get(&lists, name).await, all(names));
        }
        assert_eq!(script.lists(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_strategy_created_while_a_list_runs_is_found() {
        let (service, mut server) = mock::pair::<hyper::Request<Body>, hyper::Response<Body>>();
        let lists = StrategyLists::new(ApiClient::for_test(Client::new(service, "default")));
        let reviews = join_all((0..100).map(|number| {
            let lists = &lists;
            async move {
                // The first starts a list, and the others arrive while it runs.
                sleep(MOMENT * number).await;
                get(lists, "new").await
            }
        }));
        let script = async {
            for items in [json!([]), json!([{"metadata": {"name": "new"}}])] {
                let (_, send) = server.next_request().await.unwrap();
                sleep(MOMENT * 100).await;
                let body = Body::from(json!({"items": items}).to_string().into_bytes());
                send.send_response(hyper::Response::new(body));
            }
        };
        let both = timeout(Duration::from_mins(1), async { tokio::join!(reviews, script) });
        let (reviews, ()) = both.await.expect("there is a second list");
        let found = reviews.iter().filter(|strategies| **strategies == all(&["new"])).count();
        // The first may be older than the strategy.
        assert_eq!((found, &reviews[0]), (99, &all(&[])));
        drop(lists);
        assert!(server.next_request().await.is_none(), "the 99 shared the second list");
    }

    #[tokio::test(start_paused = true)]
    async fn missing_strategies_cost_a_limited_number_of_lists() {
        for invented in [false, true] {
            let (lists, script) = Script::start();
            script.respond(Ok(&["old"]));
            for number in 0..100 {
                advance(MOMENT).await;
                let name = if invented { format!("invented-{number}") } else { "missing".to_owned() };
                let strategies = get(&lists, &name).await;
                assert_eq!(strategies == all(&["old"]), number < MAX_LISTS, "{number}: {strategies:?}");
            }
            assert_eq!(get(&lists, "old").await, all(&["old"]));
            assert_eq!(script.lists(), MAX_LISTS as usize);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clusters_without_strategies_are_listed_a_limited_number_of_times() {
        let (lists, script) = Script::start();
        script.respond(Err(404));
        for _ in 0..100 {
            advance(MOMENT).await;
            assert_eq!(get(&lists, "spread").await, Strategies::NotInstalled);
        }
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
