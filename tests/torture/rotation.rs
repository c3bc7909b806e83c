//! Rotations of the self-managed CA, and of a CA in files.

use std::sync::Arc;
use std::time::Duration;

use colocate::duration::GoDuration;
use colocate::tls::{Authority, Leaf, SubjectName, Validity};
use colocate::trust::Lifetimes;
use colocate_harness::{ControlPlane, Files, Mount, Namespace};
use jiff::{SignedDuration, Timestamp};

use crate::exclusive;
use crate::load::Clients;
use crate::observer::{Observations, Observer};
use crate::replicas::Replicas;
use crate::size::Size;

/// The observer's delay is the settle time divided by this. The delay is longer than that of any API server here, and
/// within the allowed limit.
const LAG: u32 = 2;

/// The time for which the live configuration must have carried the CA from the files before a certificate of this CA is
/// served.
const SETTLE: Duration = Duration::from_millis(1800);

#[test]
fn no_call_fails_during_rotations_of_the_self_managed_ca() {
    let (size, control_plane) = (Size::from_env(), ControlPlane::shared());
    let namespace = Namespace::new("torture-rotation");
    let _exclusive = exclusive();
    let Lifetimes { ca, leaf, settle } = size.lifetimes;
    let [ca, leaf, settle] = [ca, leaf, settle].map(|life| GoDuration(life.unsigned_abs()));
    let lifetimes = format!("lifetimes: {{ca: {ca}, leaf: {leaf}, settle: {settle}}}");
    let replicas = Replicas::start(control_plane, &namespace, &lifetimes, None, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();
    let observer = Observer::start(&replicas, settle.0 / LAG);

    let load = clients.start();
    for rotation in 1..=size.rotations {
        observer.wait_for_rotations(rotation);
    }
    load.wait_for_more(100);
    let (record, observations) = (load.stop(), observer.stop());

    record.print("own CA rotated", &notes(&observations));
    record.assert_nothing_failed();
    assert!(observations.refused.is_empty(), "{:#?}", observations.refused);
}

#[test]
fn no_call_fails_during_rotations_of_files() {
    let (size, control_plane) = (Size::from_env(), ControlPlane::shared());
    let namespace = Namespace::new("torture-files");
    let mut mount = Mount::new(control_plane.dir().join("torture-files"));
    let mut authorities = vec![authority(), authority()];
    mount.write(&files(&issue(&authorities[0], &namespace), &[&authorities[0], &authorities[1]]));
    let _exclusive = exclusive();
    let folder = Some(mount.folder().to_owned());
    let replicas = Replicas::start(control_plane, &namespace, "", folder, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();
    let observer = Observer::start(&replicas, SETTLE / LAG);

    let load = clients.start();
    for rotation in 1..=size.file_rotations {
        authorities.push(authority());
        let [old, current, next] = &authorities[rotation - 1..] else { unreachable!("each rotation adds one CA") };
        observer.wait_until_live_for(current.certificate(), SETTLE);
        mount.write(&files(&issue(current, &namespace), &[old, current, next]));
        observer.wait_for_rotations(rotation);
    }
    load.wait_for_more(100);
    let (record, observations) = (load.stop(), observer.stop());

    record.print("CA in files rotated", &notes(&observations));
    record.assert_nothing_failed();
    assert!(observations.refused.is_empty(), "{:#?}", observations.refused);
}

fn notes(observations: &Observations) -> String {
    let (rotations, leaves) = (observations.rotations(), observations.leaves());
    format!("{rotations} rotations, {leaves} certificates, seen by {} other connections", observations.handshakes)
}

fn authority() -> Authority {
    Authority::new("torture", hours(2)).expect("a CA can be generated")
}

fn issue(authority: &Authority, namespace: &Namespace) -> Leaf {
    let names = [format!("colocate.{}.svc", namespace.name()), "localhost".to_owned()];
    let names = names.map(|name| name.parse::<SubjectName>().expect("the DNS names are valid"));
    authority.issue(&names, hours(1)).expect("a leaf can be issued")
}

/// Returns the files of a certificate, with the CAs that clients must trust.
fn files(leaf: &Leaf, trusted: &[&Authority]) -> Files {
    let trusted: String = trusted.iter().map(|authority| authority.certificate_pem()).collect();
    let files = [("tls.crt", leaf.certificate_pem()), ("tls.key", leaf.key_pem()), ("ca.crt", trusted)];
    files.map(|(name, pem)| (name.to_owned(), pem.into())).into()
}

fn hours(hours: i64) -> Validity {
    Validity::new(Timestamp::now(), SignedDuration::from_hours(hours)).expect("the validity is within range")
}
