//! A colocate that manages its own trust, as the API server has it.

use crate::harness::{ControlPlane, Installation, Namespace, Namespaces, PORTWORX_CLASS, pair};

#[test]
fn it_fills_the_secret_that_was_made_for_it_and_is_called_by_the_bundle_that_it_wrote() {
    let namespace = Namespace::new("trust");
    let installation = Installation::new(ControlPlane::shared(), &namespace, "");
    let mut colocate = installation.start("one");
    assert!(!colocate.is_ready());

    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));

    colocate.wait_until_ready();
    assert!(colocate.is_ready());
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.apply(&pair::pod("data").to_string());
    assert_eq!(namespace.get("pod/data").scheduler(), "stork");

    colocate.signal("KILL");
    assert_eq!(colocate.wait(), 137);
}
