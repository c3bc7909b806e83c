//! A colocate that keeps the trust in itself, as the API server has it.

mod configurations;
mod files;
mod requests;
mod secret;
mod start;
mod steps;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate::tls::{Authority, Validity};
use colocate_harness::{Colocate, Namespace, Object};
use jiff::{SignedDuration, Timestamp};

use requests::Request;

/// Both kinds of configuration.
const KINDS: [&str; 2] = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"];

/// A CA that is none of colocate's.
fn authority() -> Authority {
    let validity = Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).expect("it is soon");
    Authority::new("another authority", validity).expect("the library makes it")
}

/// The value of a key of a Secret.
fn value(secret: &Object, key: &str) -> String {
    let text = STANDARD.decode(secret.0["data"][key].as_str().unwrap_or_default()).expect("the API server checked it");
    String::from_utf8(text).expect("it is PEM")
}

/// The value of a series; `None` if there is none.
fn metric(colocate: &Colocate, series: &str) -> Option<f64> {
    let metrics = colocate.admin("/metrics");
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// How often the Secret was written by colocate.
fn times_written(home: &Namespace) -> usize {
    let requests = Request::of_colocate(home).into_iter();
    requests.filter(|request| request.resource == "secrets" && request.writes()).count()
}
