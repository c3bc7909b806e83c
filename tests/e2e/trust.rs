//! A colocate with a self-managed CA, seen through the API server.

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

/// The kinds of webhook configuration.
const KINDS: [&str; 2] = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"];

/// Returns a CA that is not one of colocate's.
fn authority() -> Authority {
    let validity =
        Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).expect("one hour from now is a valid date");
    Authority::new("another authority", validity).expect("a CA can be generated")
}

/// Returns the value of a key of a Secret.
fn value(secret: &Object, key: &str) -> String {
    let text = STANDARD
        .decode(secret.0["data"][key].as_str().unwrap_or_default())
        .expect("the API server only stores valid base64");
    String::from_utf8(text).expect("the value is PEM")
}

/// Returns the value of a series, or `None` if it does not exist.
fn metric(colocate: &Colocate, series: &str) -> Option<f64> {
    let metrics = colocate.admin("/metrics");
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Returns the number of times that colocate wrote the Secret.
fn times_written(home: &Namespace) -> usize {
    let requests = Request::of_colocate(home).into_iter();
    requests.filter(|request| request.resource == "secrets" && request.writes()).count()
}
