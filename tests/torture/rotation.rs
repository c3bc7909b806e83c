//! Rotations of the CA, one after the other: of colocate's own, and of one in files.

use std::sync::Arc;
use std::time::Duration;

use colocate::duration::GoDuration;
use colocate::tls::{Authority, Leaf, SubjectName, Validity};
use colocate::trust::Lifetimes;
use colocate_harness::{ControlPlane, Files, Mount, Namespace};
use jiff::{SignedDuration, Timestamp};

use crate::load::Clients;
use crate::observer::{Observer, Sight};
use crate::replicas::Replicas;
use crate::size::Size;
use crate::stage;

/// How late the observer hears of a change, as a part of the time for which a configuration has carried a CA before something
/// comes from it: later than any API server here, and sooner than it may.
const LAG: u32 = 2;

/// How long the files' CA is in the live configuration before something is served that comes from it.
const SETTLE: Duration = Duration::from_millis(1800);

#[test]
fn rotations_of_the_own_ca_lose_nothing() {
    let (size, control_plane) = (Size::wished(), ControlPlane::shared());
    let namespace = Namespace::new("torture-rotation");
    let _stage = stage();
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
    load.more(100);
    let (record, sight) = (load.stop(), observer.stop());

    record.print("own CA rotated", &beside(&sight));
    record.assert_nothing_failed();
    assert!(sight.refused.is_empty(), "{:#?}", sight.refused);
}

#[test]
fn rotations_of_files_lose_nothing() {
    let (size, control_plane) = (Size::wished(), ControlPlane::shared());
    let namespace = Namespace::new("torture-files");
    let mut mount = Mount::new(control_plane.dir().join("torture-files"));
    let mut authorities = vec![authority(), authority()];
    mount.write(&files(&issue(&authorities[0], &namespace), &[&authorities[0], &authorities[1]]));
    let _stage = stage();
    let folder = Some(mount.folder().to_owned());
    let replicas = Replicas::start(control_plane, &namespace, "", folder, size.grace);
    let clients = Arc::new(Clients::new(control_plane, &namespace));
    clients.wait_until_decided();
    let observer = Observer::start(&replicas, SETTLE / LAG);

    let load = clients.start();
    for rotation in 1..=size.file_rotations {
        authorities.push(authority());
        let [old, current, next] = &authorities[rotation - 1..] else { unreachable!("one is made for each rotation") };
        observer.wait_until_carried(current.certificate(), SETTLE);
        mount.write(&files(&issue(current, &namespace), &[old, current, next]));
        observer.wait_for_rotations(rotation);
    }
    load.more(100);
    let (record, sight) = (load.stop(), observer.stop());

    record.print("CA in files rotated", &beside(&sight));
    record.assert_nothing_failed();
    assert!(sight.refused.is_empty(), "{:#?}", sight.refused);
}

fn beside(sight: &Sight) -> String {
    let (rotations, leaves) = (sight.rotations(), sight.leaves());
    format!("{rotations} rotations, {leaves} certificates, seen by {} other connections", sight.handshakes)
}

fn authority() -> Authority {
    Authority::new("torture", hours(2)).expect("a key can be made")
}

fn issue(authority: &Authority, namespace: &Namespace) -> Leaf {
    let names = [format!("colocate.{}.svc", namespace.name()), "localhost".to_owned()];
    let names = names.map(|name| name.parse::<SubjectName>().expect("it is a name"));
    authority.issue(&names, hours(1)).expect("a key can be made")
}

/// A certificate, and the CAs that clients are to trust.
fn files(leaf: &Leaf, trusted: &[&Authority]) -> Files {
    let trusted: String = trusted.iter().map(|authority| authority.certificate_pem()).collect();
    let files = [("tls.crt", leaf.certificate_pem()), ("tls.key", leaf.key_pem()), ("ca.crt", trusted)];
    files.map(|(name, pem)| (name.to_owned(), pem.into())).into()
}

fn hours(hours: i64) -> Validity {
    Validity::new(Timestamp::now(), SignedDuration::from_hours(hours)).expect("it is a time of ours")
}
