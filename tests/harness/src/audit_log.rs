//! The API server's audit log, with the results of webhook calls.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::control_plane::ControlPlane;
use super::lines::Lines;

/// The audit log of the shared control plane, from its beginning.
pub struct AuditLog {
    lines: Lines,
    /// The process ends when its standard input is closed, which happens when this value is dropped.
    _tail: Child,
}

impl AuditLog {
    /// Starts to read the log.
    pub fn follow() -> Self {
        let control_plane = ControlPlane::shared();
        let mut tail = control_plane
            .command(Path::new("tail"))
            .args(["--lines=+1", "--follow"])
            .arg(control_plane.audit_log())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the control plane was built");
        Self { lines: Lines::of(tail.stdout.take().expect("the stream is piped")), _tail: tail }
    }

    /// Waits for the first event about `verb` on that object, and returns all events up to it.
    pub fn events_until(&self, verb: &str, resource: &str, namespace: &str, name: &str) -> Vec<Value> {
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

    /// Waits for the first event for which `last` is true, and returns all events with that text up to it.
    pub fn events_mentioning(&self, text: &str, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        self.lines.wait_for(&format!("the last audit event about {text}"), |line| {
            // Parsing is slow: most lines are long and about other objects.
            let event = line.contains(text).then(|| serde_json::from_str(line).ok()).flatten()?;
            let is_last = last(&event);
            events.push(event);
            is_last.then_some(())
        });
        events
    }

    /// Calls `take` with each line until it returns a value. `what` is the subject of the panic message if no such line appears.
    pub fn wait_for<T>(&self, what: &str, take: impl FnMut(&str) -> Option<T>) -> T {
        self.lines.wait_for(what, take)
    }

    /// Waits for the first event about `verb` on that object with that status code.
    pub fn event(&self, verb: &str, resource: &str, namespace: &str, name: &str, code: u16) -> Value {
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
