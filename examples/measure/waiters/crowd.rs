//! Many pods that are created at once at the API server, and another user's GETs at the same time.

use std::cell::Cell;
use std::time::Duration;

use colocate_harness::{Account, Api, Colocate, ControlPlane, Namespace, Namespaces, Rule, pair};
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

/// The number of pods that are created at once, and the number of times.
const AT_ONCE: u32 = 500;
const WAVES: u32 = 4;

/// The rate of pods per second, and the duration. If each waits [`LONGEST`], 500 wait at the same time.
const RATE: u32 = 160;
const TIME: Duration = Duration::from_secs(10);

/// The longest wait that colocate allows within the API server's 5 s.
const LONGEST: &str = "3200ms";

/// The interval between GETs by another user, whether or not the last one is answered.
const GET_EVERY: Duration = Duration::from_millis(20);

/// The number of clients that create the pods. The API server's flow control would reject most requests of a single one.
const MAKERS: u32 = 10;

/// The number of namespaces of the pods.
const NAMESPACES: u32 = 5;

/// The results of a scenario.
pub(crate) struct Crowd {
    pub(crate) label: String,
    /// Whether it has targets.
    pub(crate) is_target: bool,
    /// The largest number of pods in flight.
    pub(crate) most: usize,
    pub(crate) pods_refused: usize,
    /// The duration of each GET, sorted.
    pub(crate) gets: Vec<Duration>,
    pub(crate) gets_refused: usize,
}

/// The arrival of the pods.
#[derive(Clone, Copy)]
enum Arrival {
    AtOnce,
    Steadily,
}

/// The claims of the pods.
#[derive(Clone, Copy)]
enum Claims {
    Known,
    Never,
}

/// The users that create pods and send GETs: service accounts, which share a priority level.
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
    // Without scheduler and kubelet, only the API server and colocate use the CPU.
    for part in ["kube-scheduler", "kwok"] {
        control_plane.request(&format!("stop {part}"));
    }
    // A warm-up opens the connections and fills the caches.
    bounded.crowd(&users, Arrival::AtOnce, Claims::Known, "warm").await;
    let never = |arrival| bounded.crowd(&users, arrival, Claims::Never, "claims that never come");
    vec![
        Crowd { label: "none".to_owned(), ..gets_while(&users.reader, tokio::time::sleep(TIME)).await },
        bounded.crowd(&users, Arrival::Steadily, Claims::Known, "claims known").await,
        Crowd { is_target: true, ..never(Arrival::Steadily).await },
        unbounded.crowd(&users, Arrival::Steadily, Claims::Never, "the same without a limit on waiting pods").await,
        bounded.crowd(&users, Arrival::AtOnce, Claims::Known, "claims known").await,
        Crowd { is_target: true, ..never(Arrival::AtOnce).await },
    ]
}

/// The claim that exists in each namespace.
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

    /// Creates pods while another user sends GETs.
    async fn crowd(&self, users: &Users, arrival: Arrival, claims: Claims, label: &str) -> Crowd {
        let label = match arrival {
            Arrival::AtOnce => format!("{AT_ONCE} at once, {label}"),
            Arrival::Steadily => format!("{RATE} per second, {label}"),
        };
        eprintln!("{label}");
        let (now, most, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let make = async |number: u32| {
            let name = format!("{}-{number}", label.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
            let claim = match claims {
                Claims::Known => KNOWN,
                Claims::Never => &name,
            };
            let mut pod = pair::pod(claim);
            pod["metadata"]["name"] = name.as_str().into();
            let path = pair::pods(&self.namespaces[(number % NAMESPACES) as usize]);
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            let status = users.makers[(number % MAKERS) as usize].create(&path, &pod).await.status;
            now.set(now.get() - 1);
            assert!(matches!(status.as_u16(), 201 | 429), "a pod is created or rejected by flow control: {status}");
            refused.set(refused.get() + usize::from(status == 429));
        };
        let pods = async {
            match arrival {
                Arrival::AtOnce => {
                    for wave in 0..WAVES {
                        join_all((0..AT_ONCE).map(|number| make(wave * AT_ONCE + number))).await;
                    }
                }
                Arrival::Steadily => {
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
        let crowd = gets_while(&users.reader, pods).await;
        Crowd { most: most.get(), pods_refused: refused.get(), label: label.clone(), ..crowd }
    }
}

/// Sends GETs until `done` completes.
async fn gets_while(reader: &Api, done: impl Future<Output = ()>) -> Crowd {
    let mut requests = JoinSet::new();
    let sending = async {
        let mut clock = interval(GET_EVERY);
        loop {
            clock.tick().await;
            let reader = reader.clone();
            requests.spawn(async move {
                let begun = Instant::now();
                let reply = reader.get("/api/v1/namespaces/users/configmaps/kube-root-ca.crt").await;
                (begun.elapsed(), reply.status.as_u16())
            });
        }
    };
    tokio::select! { () = sending => {} () = done => {} }
    let answers = requests.join_all().await;
    let unexpected = answers.iter().find(|(_, status)| !matches!(status, 200 | 429));
    assert_eq!(unexpected, None, "a GET is answered or rejected by flow control");
    let refused = answers.iter().filter(|(_, status)| *status == 429).count();
    let mut took: Vec<_> = answers.into_iter().map(|(took, _)| took).collect();
    took.sort_unstable();
    Crowd { label: String::new(), is_target: false, most: 0, pods_refused: 0, gets: took, gets_refused: refused }
}
