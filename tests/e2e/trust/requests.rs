//! What was asked of the API server, as its audit log has it.

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
    /// When it came, and when its answer was complete.
    pub(super) received: Timestamp,
    pub(super) answered: Timestamp,
    dry_run: bool,
}

impl Request {
    /// All that the colocates at home in that namespace have asked so far.
    pub(super) fn of_colocate(home: &Namespace) -> Vec<Self> {
        // What stands in the log before this was asked before it.
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("so-far-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        home.run(&format!("create configmap {mark}"));
        let user = account(home.name(), "colocate");
        Self::until(home.name(), &mark).into_iter().filter(|request| request.user == user).collect()
    }

    /// All that mention that namespace, until the `ConfigMap` of that name was made in it.
    pub(super) fn until(home: &str, configmap: &str) -> Vec<Self> {
        let is_last = |event: &Value| {
            event["objectRef"]["namespace"] == home
                && Self::parse(event).is_some_and(|request| request.makes(configmap))
        };
        AuditLog::follow().mentioning(home, is_last).iter().filter_map(Self::parse).collect()
    }

    fn parse(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        (text("/stage") == "ResponseComplete").then(|| Self {
            user: text("/user/username").to_owned(),
            verb: text("/verb").to_owned(),
            resource: text("/objectRef/resource").to_owned(),
            name: text("/objectRef/name").to_owned(),
            code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
            received: text("/requestReceivedTimestamp").parse().expect("it is a timestamp"),
            answered: text("/stageTimestamp").parse().expect("it is a timestamp"),
            dry_run: text("/requestURI").contains("dryRun="),
        })
    }

    /// Whether it may have changed an object, or made one.
    pub(super) fn writes(&self) -> bool {
        matches!(&*self.verb, "create" | "update" | "patch") && self.code < 300 && !self.dry_run
    }

    /// Whether it makes the `ConfigMap` of that name.
    pub(super) fn makes(&self, configmap: &str) -> bool {
        self.verb == "create" && self.resource == "configmaps" && self.name == configmap
    }
}

/// The name of an account, as a user.
pub(super) fn account(home: &str, name: &str) -> String {
    format!("system:serviceaccount:{home}:{name}")
}
