//! The requests to the API server, read from its audit log.

use std::sync::atomic::{AtomicU32, Ordering};

use colocate_harness::{AuditLog, Namespace};
use jiff::Timestamp;
use serde_json::Value;

/// A request that was answered.
pub(super) struct Request {
    pub(super) user: String,
    pub(super) verb: String,
    pub(super) resource: String,
    pub(super) name: String,
    pub(super) code: u64,
    /// The times at which it arrived and at which its response was complete.
    pub(super) received: Timestamp,
    pub(super) answered: Timestamp,
    dry_run: bool,
}

impl Request {
    /// Returns all requests so far of the colocates in that namespace.
    pub(super) fn of_colocate(home: &Namespace) -> Vec<Self> {
        // All events before this mark in the log belong to earlier requests.
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("so-far-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        home.run(&format!("create configmap {mark}"));
        let user = account(home.name(), "colocate");
        Self::until(home.name(), &mark).into_iter().filter(|request| request.user == user).collect()
    }

    /// Returns all requests that mention that namespace, until the creation of the `ConfigMap` with that name.
    pub(super) fn until(home: &str, configmap: &str) -> Vec<Self> {
        let is_last = |event: &Value| {
            event["objectRef"]["namespace"] == home
                && Self::parse(event).is_some_and(|request| request.makes(configmap))
        };
        AuditLog::follow().events_mentioning(home, is_last).iter().filter_map(Self::parse).collect()
    }

    fn parse(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        (text("/stage") == "ResponseComplete").then(|| Self {
            user: text("/user/username").to_owned(),
            verb: text("/verb").to_owned(),
            resource: text("/objectRef/resource").to_owned(),
            name: text("/objectRef/name").to_owned(),
            code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
            received: text("/requestReceivedTimestamp").parse().expect("audit events have RFC 3339 timestamps"),
            answered: text("/stageTimestamp").parse().expect("audit events have RFC 3339 timestamps"),
            dry_run: text("/requestURI").contains("dryRun="),
        })
    }

    /// Returns true if it may have changed or created an object.
    pub(super) fn writes(&self) -> bool {
        matches!(&*self.verb, "create" | "update" | "patch") && self.code < 300 && !self.dry_run
    }

    /// Returns true if it creates the `ConfigMap` with that name.
    pub(super) fn makes(&self, configmap: &str) -> bool {
        self.verb == "create" && self.resource == "configmaps" && self.name == configmap
    }
}

/// Returns the user name of a service account.
pub(super) fn account(home: &str, name: &str) -> String {
    format!("system:serviceaccount:{home}:{name}")
}
