//! A permission that colocate lacks. (All other tests show that it needs no more than the permissions of the harness.)

use colocate_harness::{Account, COLOCATE, Colocate, ControlPlane, Namespace, Namespaces, PORTWORX_CLASS, Rule, pair};

/// All permissions except those on `StorageClasses`.
const WITHOUT_CLASSES: &[Rule] = &[
    Rule::new("", "persistentvolumeclaims", &["get", "list", "watch"]),
    Rule::new("coordination.k8s.io", "leases", &["get"]),
];

#[test]
fn a_missing_permission_is_named_and_granting_it_suffices() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("right-missing");
    namespace.add_claim("data", PORTWORX_CLASS);
    let account = Account::new(control_plane, namespace.name(), "colocate", WITHOUT_CLASSES);
    let colocate = Colocate::start_as(&account, control_plane, namespace.name(), "");

    let line = colocate.wait_for_line("(grant the verb `list` on `storageclasses.storage.k8s.io`)");
    assert!(line.contains("cannot list storageclasses.storage.k8s.io: ") && line.contains("WARN"), "{line}");
    colocate.wait_for_message("listed", 1);
    let ready = colocate.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(
        ready.contains("not ready: waiting for list of storage classes\nwatch of storageclasses: lost; "),
        "{ready}"
    );
    assert!(ready.contains("cannot list storageclasses.storage.k8s.io: "), "{ready}");
    assert!(ready.contains("(grant the verb `list` on `storageclasses.storage.k8s.io`)"), "{ready}");

    account.grant(COLOCATE);

    colocate.wait_for_message("heard from the API server again", 1);
    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
    let ready = colocate.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 ") && !ready.contains("watch of "), "{ready}");
    assert_eq!(namespace.apply(&pair::pod("data").to_string()).stderr, "");
    assert_eq!(namespace.get("pod/data").scheduler(), "stork");
}
