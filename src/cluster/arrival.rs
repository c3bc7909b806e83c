//! A claim on its way. A pod and its claim are often made milliseconds apart, by different clients, and a pod's scheduler
//! cannot be changed later: so it is asked for, and waited for, within bounds.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::timeout;

use super::Cluster;
use super::kind::{Claims, Kind as _};
use crate::engine::{Owner, Unknown};
use crate::storage::{PersistentVolume, PersistentVolumeClaim};

/// Whoever has no seat may share the GET, and waits no longer than this for its answer.
const WITHOUT_SEAT: Duration = Duration::from_millis(500);

/// Claims whose owners a review asks for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The namespace of all of them.
    pub namespace: &'q str,
    /// How long the answer may take.
    pub patience: Duration,
    /// Whether to ask and wait for a claim that is not there.
    pub may_wait: bool,
}

/// How an owner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In the cache.
    Cached,
    /// By asking the API server.
    Fetched,
    /// By waiting for the watch.
    Waited,
    /// Not at all.
    Missing,
}

impl Found {
    /// How an owner is known that nobody was asked for.
    pub fn of(owner: &Owner) -> Self {
        if *owner == Owner::Missing { Self::Missing } else { Self::Cached }
    }

    /// The word, as a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Fetched => "fetched",
            Self::Waited => "waited",
            Self::Missing => "missing",
        }
    }
}

/// Whether something is still to come: the claim, the class that it names, or (where no class tells anything) the volume
/// that it will be bound to.
fn on_its_way(owner: &Owner) -> bool {
    use Unknown::{ClassMissing, NoDefaultClass, Unbound};
    matches!(owner, Owner::Missing | Owner::Unknown(ClassMissing(_) | Unbound | NoDefaultClass))
}

impl Cluster {
    /// The owners of the claims of these names, and how each was found. Ends as soon as `enough` says that these owners
    /// are, or there is nothing more to find out.
    pub(crate) async fn owners(
        &self,
        question: Question<'_>,
        names: &[&str],
        enough: impl Fn(&[Owner]) -> bool,
    ) -> Vec<(Owner, Found)> {
        let namespace = question.namespace;
        let mut owners: Vec<Owner> = {
            let inventory = self.inventory();
            names.iter().map(|name| inventory.owner(namespace, name)).collect()
        };
        let mut found: Vec<_> = owners.iter().map(Found::of).collect();
        let zip = |owners: Vec<_>, found| owners.into_iter().zip(found).collect();
        if question.patience.is_zero() || enough(&owners) {
            return zip(owners, found);
        }
        self.ask_volumes(question, names, &mut owners, &mut found).await;
        if !question.may_wait || enough(&owners) || !owners.iter().any(on_its_way) {
            return zip(owners, found);
        }
        self.await_claims(question, names, &mut owners, &mut found, &enough).await;
        // A claim that has only just come may be bound already.
        self.ask_volumes(question, names, &mut owners, &mut found).await;
        zip(owners, found)
    }

    /// Asks for the volumes that alone tell the owners of their claims. Volumes are not watched: few claims need one, and
    /// what a volume tells never changes, so that it is asked once and kept with its claim.
    async fn ask_volumes(&self, question: Question<'_>, names: &[&str], owners: &mut [Owner], found: &mut [Found]) {
        let namespace = question.namespace;
        let asked = owners.iter_mut().zip(names).zip(found).filter_map(|((owner, name), found)| {
            let Owner::Unknown(Unknown::VolumeMissing(volume)) = owner else { return None };
            let volume = volume.clone();
            Some(async move {
                let path = format!("/api/v1/persistentvolumes/{volume}");
                let Ok(Some(json)) = self.gets.get(&self.client, "persistentvolumes", path).await else { return };
                let Some(read) = decode::<PersistentVolume<'_>>("persistentvolume", &volume, &json) else { return };
                self.update(|inventory| inventory.volume_told(namespace, name, &volume, &read.facts()));
                let told = self.inventory().owner(namespace, name);
                if told != Owner::Missing {
                    (*owner, *found) = (told, Found::Fetched);
                }
            })
        });
        let asked: Vec<_> = asked.collect();
        if !asked.is_empty() {
            let _ = timeout(question.patience, join_all(asked)).await;
        }
    }

    async fn await_claims(
        &self,
        question: Question<'_>,
        names: &[&str],
        owners: &mut [Owner],
        found: &mut [Found],
        enough: &impl Fn(&[Owner]) -> bool,
    ) {
        let Question { namespace, patience, .. } = question;
        let seat = self.seats.take(namespace);
        // From here on every change is seen: what comes while the API server is asked is not missed.
        let mut changed = self.changed.subscribe();
        let key = |name: &str| (namespace.to_owned(), name.to_owned());
        let mut open: Vec<bool> = owners
            .iter()
            .zip(names)
            .map(|(owner, name)| on_its_way(owner) && self.in_vain.get(&key(name)).is_none())
            .collect();
        let mut asked: FuturesUnordered<_> = (0..names.len())
            .filter(|index| open[*index] && owners[*index] == Owner::Missing)
            .map(|index| async move { (index, self.fetch(namespace, names[index]).await) })
            .collect();
        if seat.is_none() {
            owners.iter().zip(&mut open).for_each(|(owner, open)| *open &= *owner == Owner::Missing);
        }
        let arrivals = async {
            loop {
                for index in 0..names.len() {
                    if open[index] {
                        let owner = self.inventory().owner(namespace, names[index]);
                        open[index] = on_its_way(&owner);
                        // The watch may be behind what a GET has told.
                        if owner != Owner::Missing && owner != owners[index] {
                            (owners[index], found[index]) = (owner, Found::Waited);
                        }
                    }
                }
                if enough(owners) || !open.contains(&true) {
                    return;
                }
                tokio::select! {
                    Some((index, fetched)) = asked.next() => {
                        if let Some(owner) = fetched {
                            open[index] &= on_its_way(&owner);
                            (owners[index], found[index]) = (owner, Found::Fetched);
                        }
                        open[index] &= seat.is_some();
                    }
                    told = changed.changed() => if told.is_err() { return },
                }
            }
        };
        let patience = if seat.is_some() { patience } else { patience.min(WITHOUT_SEAT) };
        let in_vain = timeout(patience, arrivals).await.is_err() && seat.is_some();
        for (owner, name) in owners.iter().zip(names).filter(|(owner, _)| on_its_way(owner)) {
            if in_vain {
                self.in_vain.add(key(name), ());
            }
            if *owner == Owner::Missing && self.told.add(key(name), ()) {
                // A controller reads no warning: this line is all that an operator sees.
                tracing::warn!(
                    namespace,
                    claim = name,
                    "a pod was decided without its claim, which does not exist; its scheduler cannot be changed later"
                );
            }
        }
    }

    /// The owner of a claim by a live GET; `None` where there is no claim, or no answer.
    async fn fetch(&self, namespace: &str, name: &str) -> Option<Owner> {
        let path = Claims::object_path(namespace, name);
        let json = self.gets.get(&self.client, Claims::RESOURCE, path).await.ok()??;
        let claim = decode::<PersistentVolumeClaim<'_>>("persistentvolumeclaim", name, &json)?;
        Some(self.inventory().owner_of(&claim.facts()))
    }
}

fn decode<'j, T: Deserialize<'j>>(what: &str, name: &str, json: &'j [u8]) -> Option<T> {
    serde_json::from_slice(json).inspect_err(|error| tracing::warn!(%error, name, "a {what} cannot be decoded")).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use kube::Client;
    use kube::client::Body;
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep};
    use tower_test::mock::{self, Handle};

    use super::*;
    use crate::config::ClaimLimits;
    use crate::engine::{Claim, Class};
    use crate::metrics::Metrics;

    type Server = Handle<hyper::Request<Body>, hyper::Response<Body>>;

    const PATIENCE: Duration = Duration::from_secs(2);
    const LIMITS: ClaimLimits =
        ClaimLimits { wait: PATIENCE, max_waiters: 4, max_waiters_per_namespace: 2, max_gets: 2 };
    const QUESTION: Question<'_> = Question { namespace: "demo", patience: PATIENCE, may_wait: true };

    const NOT_FOUND: &str = r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404,"message":"gone"}"#;
    const FOUND: &str = r#"{"metadata":{"name":"one","namespace":"demo"},"spec":{"storageClassName":"px"}}"#;
    const VOLUME: &str = r#"{"metadata":{"name":"pv"},"spec":{"csi":{"driver":"pxd.portworx.com"}}}"#;

    fn cluster() -> (Cluster, Server) {
        let (service, server) = mock::pair();
        let cluster = Cluster::new(Client::new(service, "default"), LIMITS, Arc::new(Metrics::default()));
        add_class(&cluster, "px");
        (cluster, server)
    }

    fn add_class(cluster: &Cluster, name: &str) {
        let none = |_: &str| None::<&str>;
        cluster.update(|inventory| inventory.insert_class(name, Class::new(none, "pxd.portworx.com", 0, none)));
        cluster.arrived(None, Some(name));
    }

    fn arrive(cluster: &Cluster, name: &str, class: &str) {
        let claim = Claim::new(|_| None::<&str>, Some(class), None);
        cluster.update(|inventory| inventory.insert_claim("demo", name, &claim));
        cluster.arrived(Some("demo"), Some(name));
    }

    fn respond(status: u16, body: &str) -> hyper::Response<Body> {
        hyper::Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap()
    }

    /// An API server that answers each GET with a status and a body, until the cluster is dropped, and counts them.
    fn answer(mut server: Server, status: u16, body: &'static str) -> JoinHandle<HashMap<String, usize>> {
        tokio::spawn(async move {
            let mut asked = HashMap::new();
            while let Some((request, send)) = server.next_request().await {
                *asked.entry(request.uri().path().to_owned()).or_default() += 1;
                send.send_response(respond(status, body));
            }
            asked
        })
    }

    fn is_driver(owner: &Owner) -> bool {
        matches!(owner, Owner::Provisioner { .. })
    }

    async fn ask(cluster: &Cluster, question: Question<'_>, names: &[&str]) -> Vec<(Owner, Found)> {
        cluster.owners(question, names, |owners| owners.iter().any(is_driver)).await
    }

    async fn found(cluster: &Cluster, names: &[&str]) -> Vec<Found> {
        ask(cluster, QUESTION, names).await.into_iter().map(|(_, found)| found).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_pods_ask_once_for_one_claim() {
        let (cluster, mut server) = cluster();
        let pods = join_all((0..1000).map(|_| ask(&cluster, QUESTION, &["one"])));
        let answer = async {
            let (request, send) = server.next_request().await.unwrap();
            assert_eq!(request.uri().path(), "/api/v1/namespaces/demo/persistentvolumeclaims/one");
            send.send_response(respond(200, FOUND));
        };
        let (answers, ()) = tokio::join!(pods, answer);
        assert!(answers.iter().flatten().all(|(owner, found)| is_driver(owner) && *found == Found::Fetched));
        drop(cluster);
        assert!(server.next_request().await.is_none(), "nobody asked again");
    }

    #[tokio::test(start_paused = true)]
    async fn claims_are_waited_for_together_and_one_of_a_driver_is_enough() {
        let (cluster, server) = cluster();
        let asked = answer(server, 404, NOT_FOUND);
        let begun = Instant::now();
        let arrival = async {
            sleep(Duration::from_millis(300)).await;
            arrive(&cluster, "two", "px");
        };
        let (found, ()) = tokio::join!(found(&cluster, &["one", "two"]), arrival);
        assert_eq!(begun.elapsed(), Duration::from_millis(300));
        assert_eq!(found, [Found::Missing, Found::Waited]);
        drop(cluster);
        assert!(asked.await.unwrap().values().all(|count| *count == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_whose_class_has_not_come_yet_waits_for_that() {
        let (cluster, server) = cluster();
        arrive(&cluster, "one", "later");
        let asked = answer(server, 404, NOT_FOUND);
        let arrival = async {
            sleep(Duration::from_millis(300)).await;
            add_class(&cluster, "later");
        };
        let (found, ()) = tokio::join!(found(&cluster, &["one"]), arrival);
        assert_eq!(found, [Found::Waited]);
        drop(cluster);
        assert_eq!(asked.await.unwrap(), HashMap::new(), "the claim is known");
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_nothing_but_its_volume_tells_of_waits_to_be_bound() {
        for class in [Some(""), None] {
            let (cluster, server) = cluster();
            let bind = |volume| {
                let claim = Claim::new(|_| None::<&str>, class, volume);
                cluster.update(|inventory| inventory.insert_claim("demo", "one", &claim));
                cluster.arrived(Some("demo"), Some("one"));
            };
            bind(None);
            let asked = answer(server, 200, VOLUME);
            let binding = async {
                sleep(Duration::from_millis(300)).await;
                bind(Some("pv"));
            };
            let begun = Instant::now();
            let (answers, ()) = tokio::join!(ask(&cluster, QUESTION, &["one"]), binding);
            assert!(is_driver(&answers[0].0) && answers[0].1 == Found::Fetched, "{class:?}: {answers:?}");
            assert_eq!(begun.elapsed(), Duration::from_millis(300));
            drop(cluster);
            assert_eq!(asked.await.unwrap(), HashMap::from([("/api/v1/persistentvolumes/pv".to_owned(), 1)]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_get_told_holds_although_the_watch_is_behind() {
        let (cluster, server) = cluster();
        answer(server, 200, r#"{"metadata":{"name":"one","namespace":"demo"},"spec":{"storageClassName":""}}"#);
        let unbound = Owner::Unknown(Unknown::Unbound);
        assert_eq!(ask(&cluster, QUESTION, &["one"]).await, [(unbound, Found::Fetched)]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_for_a_class_has_found_its_claim_in_the_cache() {
        let (cluster, _server) = cluster();
        arrive(&cluster, "one", "never");
        assert_eq!(found(&cluster, &["one"]).await, [Found::Cached]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_keeps_nobody_from_the_watch() {
        let (cluster, _server) = cluster();
        let arrival = async {
            sleep(Duration::from_millis(300)).await;
            arrive(&cluster, "one", "px");
        };
        let (found, ()) = tokio::join!(found(&cluster, &["one"]), arrival);
        assert_eq!(found, [Found::Waited]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_was_waited_for_in_vain_is_not_for_a_while_unless_it_comes() {
        let (cluster, server) = cluster();
        let asked = answer(server, 404, NOT_FOUND);
        for wait in [PATIENCE, Duration::ZERO] {
            let begun = Instant::now();
            assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
            assert_eq!(begun.elapsed(), wait);
        }
        // Another claim is.
        let begun = Instant::now();
        assert_eq!(found(&cluster, &["one", "two"]).await, [Found::Missing, Found::Missing]);
        assert_eq!(begun.elapsed(), PATIENCE);

        arrive(&cluster, "one", "px");
        cluster.update(|inventory| inventory.remove_claim("demo", "one"));
        let begun = Instant::now();
        assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
        assert_eq!(begun.elapsed(), PATIENCE, "it came and went");

        sleep(super::super::IN_VAIN_FOR).await;
        let begun = Instant::now();
        assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
        assert_eq!(begun.elapsed(), PATIENCE, "it is long ago");
        drop(cluster);
        let asked = asked.await.unwrap();
        assert_eq!(asked["/api/v1/namespaces/demo/persistentvolumeclaims/one"], 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_beside_another_asks_no_more_what_was_answered() {
        let (cluster, server) = cluster();
        let asked = answer(server, 404, NOT_FOUND);
        let second = async {
            sleep(Duration::from_millis(500)).await;
            found(&cluster, &["one"]).await
        };
        let begun = Instant::now();
        let (first, second) = tokio::join!(found(&cluster, &["one"]), second);
        assert_eq!((first, second), (vec![Found::Missing], vec![Found::Missing]));
        assert_eq!(begun.elapsed(), Duration::from_millis(2500), "the GET is spared, and not the wait");
        drop(cluster);
        assert_eq!(asked.await.unwrap().values().sum::<usize>(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_seat_the_answer_is_awaited_and_nothing_else() {
        let (cluster, server) = cluster();
        let seats = [cluster.seats.take("demo").unwrap(), cluster.seats.take("demo").unwrap()];
        let begun = Instant::now();
        assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
        assert_eq!(begun.elapsed(), WITHOUT_SEAT, "the API server does not answer");
        let asked = answer(server, 404, NOT_FOUND);
        let begun = Instant::now();
        assert_eq!(found(&cluster, &["two"]).await, [Found::Missing]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        drop(seats);
        drop(cluster);
        assert!(asked.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_wait_asks_for_no_claim() {
        let (cluster, server) = cluster();
        let asked = answer(server, 404, NOT_FOUND);
        let question = Question { may_wait: false, ..QUESTION };
        assert_eq!(ask(&cluster, question, &["one"]).await, [(Owner::Missing, Found::Missing)]);
        drop(cluster);
        assert_eq!(asked.await.unwrap(), HashMap::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_volume_that_alone_tells_the_owner_is_asked_once_also_by_who_may_not_wait() {
        let (cluster, server) = cluster();
        let claim = Claim::new(|_| None::<&str>, Some(""), Some("pv"));
        cluster.update(|inventory| inventory.insert_claim("demo", "one", &claim));
        let asked = answer(server, 200, VOLUME);
        let question = Question { may_wait: false, ..QUESTION };
        for found in [Found::Fetched, Found::Cached] {
            let answer = ask(&cluster, question, &["one"]).await;
            assert!(is_driver(&answer[0].0) && answer[0].1 == found, "{answer:?}");
        }
        drop(cluster);
        assert_eq!(asked.await.unwrap(), HashMap::from([("/api/v1/persistentvolumes/pv".to_owned(), 1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_get_ends_with_the_last_who_asks_and_the_next_one_begins_anew() {
        let (cluster, mut server) = cluster();
        // Who waits in vain without a seat may ask again.
        let _seats = [cluster.seats.take("demo").unwrap(), cluster.seats.take("demo").unwrap()];
        let question = Question { patience: Duration::from_millis(100), ..QUESTION };
        let (first, abandoned) = tokio::join!(ask(&cluster, question, &["one"]), server.next_request());
        assert_eq!((first[0].1, abandoned.is_some()), (Found::Missing, true));
        let answer = async {
            let (_, send) = server.next_request().await.unwrap();
            send.send_response(respond(200, FOUND));
        };
        let (second, ()) = tokio::join!(ask(&cluster, question, &["one"]), answer);
        assert_eq!(second[0].1, Found::Fetched);
    }
}
