//! Volumes of claims of which only the GA annotation names the driver.

use super::*;

const VOLUME_PATH: &str = "/api/v1/persistentvolumes/pv";
const ANNOTATED: &str =
    r#"{"metadata":{"name":"pv","annotations":{"pv.kubernetes.io/provisioned-by":"pxd.portworx.com"}},"spec":{}}"#;

/// A policy whose driver has a scheduler that recognizes claims by these fields.
fn policy(recognises: &[Evidence]) -> Policy {
    let driver = Driver { recognises: recognises.to_vec(), ..Driver::portworx() };
    Policy { drivers: Drivers(vec![driver]), ..Policy::default() }
}

fn annotated(provisioner: &str) -> ClaimFacts<'_> {
    let annotated = (provisioner.into(), Evidence::GaProvisionerAnnotation.into());
    ClaimFacts { provisioner: Some(annotated), ..claim(Some(""), Some("pv")) }
}

/// Looks up a claim with only the GA annotation twice. Returns the number of requests.
async fn look_up(
    policy: &Policy,
    provisioner: &str,
    (status, body): (u16, &'static str),
) -> (Vec<(Owner, LookupResult)>, HashMap<String, usize>) {
    let (cache, server) = cache();
    cache.update(|inventory| inventory.insert_claim("demo", "one", &annotated(provisioner)));
    let asked = answer(server, status, body);
    let deadlines = deadlines().without_wait();
    let mut answers = ask_by(policy, pod_in("demo"), &cache, deadlines, &["one"]).await;
    if status == 200 {
        answers.extend(ask_by(policy, pod_in("demo"), &cache, deadlines, &["one"]).await);
    }
    drop(cache);
    (answers, asked.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_read_if_only_its_fields_are_recognised() {
    let policy = policy(&[Evidence::Class, Evidence::ProvisionedBy, Evidence::InTree]);
    for (body, recognised) in [(ANNOTATED, true), (VOLUME, false)] {
        let (answers, asked) = look_up(&policy, "pxd.portworx.com", (200, body)).await;
        for ((owner, result), expected) in answers.iter().zip([LookupResult::Fetched, LookupResult::Cached]) {
            assert_eq!((policy.first_driver([owner]).is_some(), *result), (recognised, expected), "{owner:?}");
        }
        assert_eq!(asked, HashMap::from([(VOLUME_PATH.to_owned(), 1)]), "once");
    }
    let (answers, _) = look_up(&policy, "pxd.portworx.com", (404, NOT_FOUND)).await;
    assert!(is_driver(&answers[0].0), "the volume is gone: {answers:?}");
    for status in [403, 500] {
        let (answers, _) = look_up(&policy, "pxd.portworx.com", (status, NOT_FOUND)).await;
        let unreadable = Owner::Unknown(Unknown::VolumeUnreadable("pv".into()));
        assert_eq!(answers, [(unreadable, LookupResult::Unreadable)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_not_read_if_the_answer_does_not_matter() {
    for (policy, provisioner) in [
        (Policy::default(), "pxd.portworx.com"),
        (policy(&[Evidence::GaProvisionerAnnotation]), "pxd.portworx.com"),
        (policy(&[Evidence::Class]), "pxd.portworx.com"),
        (policy(&[Evidence::ProvisionedBy]), "other.example.test"),
    ] {
        let (answers, asked) = look_up(&policy, provisioner, (200, ANNOTATED)).await;
        assert_eq!(answers[0].1, LookupResult::Cached);
        assert_eq!(asked, HashMap::new(), "{policy:?} {provisioner}");
    }
}
