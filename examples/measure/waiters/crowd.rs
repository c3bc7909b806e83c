//! Pods that come at once, at the API server, and another user's GETs meanwhile.

use std::cell::Cell;
use std::time::Duration;

use colocate_harness::{Account, Api, Colocate, ControlPlane, Namespace, Namespaces, Rule, pair};
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

/// How many come at once, and how often that is.
const AT_ONCE: u32 = 500;
const WAVES: u32 = 4;

/// How many come in a second, one after another, and for how long: where each waits [`LONGEST`], 500 do at once.
const RATE: u32 = 160;
const TIME: Duration = Duration::from_secs(10);

/// The longest wait that colocate takes from the 5 s that the API server gives it.
const LONGEST: &str = "3200ms";

/// Another user asks so often, whether the last one was answered or not.
const GET_EVERY: Duration = Duration::from_millis(20);

/// How many make the pods: of one alone, the API server's flow control turns most away.
const MAKERS: u32 = 10;

/// The pods come to so many namespaces.
const NAMESPACES: u32 = 5;

/// What was seen.
pub(crate) struct Crowd {
    pub(crate) what: String,
    /// Whether targets are about it.
    pub(crate) is_target: bool,
    /// The most pods that were under way at one moment.
    pub(crate) most: usize,
    pub(crate) pods_refused: usize,
    /// How long each GET took; the shortest first.
    pub(crate) gets: Vec<Duration>,
    pub(crate) gets_refused: usize,
}

/// How pods come.
#[derive(Clone, Copy)]
enum Come {
    AtOnce,
    Steadily,
}

/// What their claims are.
#[derive(Clone, Copy)]
enum Mounting {
    Known,
    Never,
}

/// Whoever makes pods and whoever asks: accounts of services, which share a priority level.
struct Users {
    makers: Vec<Api>,
    reader: Api,
}

pub(crate) async fn measure(control_plane: &ControlPlane) -> Vec<Crowd> {
    Namespace::within(control_plane, "users");
    let account = |name: &str, rule| Account::new(control_plane, "users", name, &[rule]);
    let reader = Api::of(&account("reader", Rule::new("", "configmaps", &["get"]))).await;
    let mut makers = Vec::new();
    for number in 0..MAKERS {
        makers.push(Api::of(&account(&format!("maker-{number}"), Rule::new("", "pods", &["create"]))).await);
    }
    let users = Users { makers, reader };
    let bounded = Scene::new(control_plane, "bounded", "");
    let unbounded = format!("missingClaim: {{wait: {LONGEST}, maxWaiters: 10000, maxWaitersPerNamespace: 10000}}\n");
    let unbounded = Scene::new(control_plane, "unbounded", &unbounded);
    // Nobody schedules or runs the pods: what is left is the API server and colocate.
    for part in ["kube-scheduler", "kwok"] {
        control_plane.request(&format!("stop {part}"));
    }
    // The connections, and what grows at first.
    bounded.crowd(&users, Come::AtOnce, Mounting::Known, "warm").await;
    let never = |come| bounded.crowd(&users, come, Mounting::Never, "claims that never come");
    vec![
        Crowd { what: "none".to_owned(), ..gets_while(&users.reader, tokio::time::sleep(TIME)).await },
        bounded.crowd(&users, Come::Steadily, Mounting::Known, "claims known").await,
        Crowd { is_target: true, ..never(Come::Steadily).await },
        unbounded.crowd(&users, Come::Steadily, Mounting::Never, "the same without a limit on waiting pods").await,
        bounded.crowd(&users, Come::AtOnce, Mounting::Known, "claims known").await,
        Crowd { is_target: true, ..never(Come::AtOnce).await },
    ]
}

/// The claim that there is in each namespace.
const KNOWN: &str = "known";

/// A colocate and its namespaces.
struct Scene {
    namespaces: Vec<String>,
    _colocate: Colocate,
}

impl Scene {
    fn new(control_plane: &ControlPlane, name: &str, config: &str) -> Self {
        let names: Vec<_> = (0..NAMESPACES).map(|number| format!("{name}-{number}")).collect();
        let namespaces: Vec<_> = names.iter().map(|name| Namespace::within(control_plane, name)).collect();
        for namespace in &namespaces {
            namespace.kubectl().feed("create -f -", &pair::claim(KNOWN).to_string());
        }
        let colocate = Colocate::start(control_plane, &names[0], config);
        let selected: Vec<_> = names.iter().map(String::as_str).collect();
        colocate.admit(namespaces[0].kubectl(), Namespaces::Only(&selected));
        Self { namespaces: names, _colocate: colocate }
    }

    /// Makes pods while another user asks.
    async fn crowd(&self, users: &Users, come: Come, mounting: Mounting, what: &str) -> Crowd {
        let what = match come {
            Come::AtOnce => format!("{AT_ONCE} at once, {what}"),
            Come::Steadily => format!("{RATE} per second, {what}"),
        };
        eprintln!("{what}");
        let (now, most, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let make = async |number: u32| {
            let name = format!("{}-{number}", what.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
            let claim = match mounting {
                Mounting::Known => KNOWN,
                Mounting::Never => &name,
            };
            let mut pod = pair::pod(claim);
            pod["metadata"]["name"] = name.as_str().into();
            let path = pair::pods(&self.namespaces[(number % NAMESPACES) as usize]);
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            let status = users.makers[(number % MAKERS) as usize].create(&path, &pod).await.status;
            now.set(now.get() - 1);
            assert!(matches!(status.as_u16(), 201 | 429), "a pod is made or turned away: {status}");
            refused.set(refused.get() + usize::from(status == 429));
        };
        let pods = async {
            match come {
                Come::AtOnce => {
                    for wave in 0..WAVES {
                        join_all((0..AT_ONCE).map(|number| make(wave * AT_ONCE + number))).await;
                    }
                }
                Come::Steadily => {
                    let begun = Instant::now();
                    let count = RATE * u32::try_from(TIME.as_secs()).unwrap_or_default();
                    let pods = (0..count).map(async |number| {
                        sleep_until(begun + Duration::from_secs(1) * number / RATE).await;
                        make(number).await;
                    });
                    join_all(pods).await;
                }
            }
        };
        let seen = gets_while(&users.reader, pods).await;
        Crowd { most: most.get(), pods_refused: refused.get(), what: what.clone(), ..seen }
    }
}

/// Asks until `done`.
async fn gets_while(reader: &Api, done: impl Future<Output = ()>) -> Crowd {
    let mut asked = JoinSet::new();
    let asking = async {
        let mut clock = interval(GET_EVERY);
        loop {
            clock.tick().await;
            let reader = reader.clone();
            asked.spawn(async move {
                let begun = Instant::now();
                let reply = reader.get("/api/v1/namespaces/users/configmaps/kube-root-ca.crt").await;
                (begun.elapsed(), reply.status.as_u16())
            });
        }
    };
    tokio::select! { () = asking => {} () = done => {} }
    let answers = asked.join_all().await;
    let strange = answers.iter().find(|(_, status)| !matches!(status, 200 | 429));
    assert_eq!(strange, None, "a GET is answered or turned away");
    let refused = answers.iter().filter(|(_, status)| *status == 429).count();
    let mut took: Vec<_> = answers.into_iter().map(|(took, _)| took).collect();
    took.sort_unstable();
    Crowd { what: String::new(), is_target: false, most: 0, pods_refused: 0, gets: took, gets_refused: refused }
}
