//! Many pods whose claims never appear, and other clients meanwhile. `make bench-waiters` measures the waiting times.

use colocate_harness::{Account, Api, Colocate, ControlPlane, Namespace, Namespaces, Rule, pair};
use futures_util::future::join_all;
use hyper::StatusCode;

const PODS: usize = 500;

/// The number of clients. The API server's flow control would reject most requests of a single one.
const MAKERS: usize = 10;

const NAMESPACES: [&str; 5] = ["waiters-1", "waiters-2", "waiters-3", "waiters-4", "waiters-5"];

#[tokio::test]
async fn all_500_pods_without_claims_are_admitted_with_a_warning() {
    let control_plane = ControlPlane::own(&[]);
    let namespaces = NAMESPACES.map(|name| Namespace::within(&control_plane, name));
    let colocate = Colocate::start(&control_plane, NAMESPACES[0], "");
    colocate.admit(namespaces[0].kubectl(), Namespaces::Only(&NAMESPACES));
    let account = |name: &str, rule| Account::new(&control_plane, NAMESPACES[0], name, &[rule]);
    let reader = Api::of(&account("reader", Rule::new("", "configmaps", &["get"]))).await;
    let mut makers = Vec::new();
    for number in 0..MAKERS {
        makers.push(Api::of(&account(&format!("maker-{number}"), Rule::new("", "pods", &["create"]))).await);
    }

    let pods = join_all((0..PODS).map(|number| {
        let (maker, path) = (&makers[number % MAKERS], pair::pods(NAMESPACES[number % NAMESPACES.len()]));
        async move { maker.create(&path, &pair::pod(&format!("pod-{number}"))).await }
    }));
    let mut answers = Vec::new();
    let others = async {
        let path = format!("/api/v1/namespaces/{}/configmaps/kube-root-ca.crt", NAMESPACES[0]);
        loop {
            answers.push(reader.get(&path).await.status);
        }
    };
    let pods = tokio::select! { pods = pods => pods, () = others => unreachable!("the reader never stops") };

    assert!(answers.len() > 10 && answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
    for pod in pods {
        assert_eq!(pod.status, StatusCode::CREATED, "{pod:?}");
        assert_eq!(pod.object.scheduler(), "default-scheduler");
        let [warning] = &pod.warnings[..] else { panic!("{pod:?}") };
        // A pod without a wait slot waits half a second for its GET, which 500 others may delay.
        let reasons = ["missing", "unreadable"].map(|reason| format!("colocate: claim-{reason}: claim `pod-"));
        assert!(reasons.iter().any(|reason| warning.contains(reason)), "{warning}");
    }
    assert_eq!(colocate.lookups("missing") + colocate.lookups("unreadable"), PODS as u64);
    drop(colocate);
    control_plane.end();
}
