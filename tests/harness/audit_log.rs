//! The API server's audit log, which tells what it made of a webhook's answer.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::control_plane::ControlPlane;
use super::lines::Lines;

/// The audit log of the shared control plane, from its beginning.
pub(crate) struct AuditLog {
    lines: Lines,
    /// Ends when its standard input is closed, which it is when this is dropped.
    _tail: Child,
}

impl AuditLog {
    /// Begins to read.
    pub(crate) fn follow() -> Self {
        let control_plane = ControlPlane::shared();
        let mut tail = control_plane
            .command(Path::new("tail"))
            .args(["--lines=+1", "--follow"])
            .arg(control_plane.audit_log())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the control plane was built");
        Self { lines: Lines::of(tail.stdout.take().expect("it is piped")), _tail: tail }
    }

    /// All events so far, up to the first about `verb` on that object, once it is there.
    pub(crate) fn events_until(&self, verb: &str, resource: &str, namespace: &str, name: &str) -> Vec<Value> {
        let what = format!("the audit event of {verb} {resource} {namespace}/{name}");
        let mut events = Vec::new();
        self.lines.wait_for(&what, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let object = &event["objectRef"];
            let meant = object["resource"] == resource && object["namespace"] == namespace && object["name"] == name;
            let last = meant && object["subresource"].is_null() && event["verb"] == verb;
            events.push(event);
            last.then_some(())
        });
        events
    }

    /// All events so far with that text in them, up to the first that is the `last`, once it is there.
    pub(crate) fn mentioning(&self, text: &str, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        self.lines.wait_for(&format!("the last audit event about {text}"), |line| {
            // Most lines are about something else, and long.
            let event = line.contains(text).then(|| serde_json::from_str(line).ok()).flatten()?;
            let is_last = last(&event);
            events.push(event);
            is_last.then_some(())
        });
        events
    }

    /// The first event about `verb` on that object with that status code, once it is there.
    pub(crate) fn event(&self, verb: &str, resource: &str, namespace: &str, name: &str, code: u16) -> Value {
        let what = format!("the audit event of {verb} {resource} {namespace}/{name}");
        self.lines.wait_for(&what, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let object = &event["objectRef"];
            let about = object["resource"] == resource && object["namespace"] == namespace && object["name"] == name;
            let meant = about && object["subresource"].is_null() && event["verb"] == verb;
            (meant && event["responseStatus"]["code"] == code).then_some(event)
        })
    }
}
