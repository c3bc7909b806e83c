//! The parts of a changed configuration that need a restart.

use std::time::Duration;

use super::Config;
use crate::claims::ClaimLimits;

impl Config {
    /// Returns the parts that differ from `started` and are only read at startup.
    pub fn needs_restart(&self, started: &Self) -> Vec<&'static str> {
        let schedulers = |config: &Self| config.schedulers().collect::<Vec<_>>();
        let limits = |config: &Self| ClaimLimits { wait: Duration::ZERO, ..config.claim_limits() };
        let parts = [
            ("namespaces", self.namespaces != started.namespaces),
            ("the Leases of drivers' schedulers", schedulers(self) != schedulers(started)),
            ("missingClaim.max*", limits(self) != limits(started)),
            ("events", self.events != started.events),
            ("tls", self.tls != started.tls),
            ("drain", self.drain != started.drain),
        ];
        parts.into_iter().filter_map(|(part, differs)| differs.then_some(part)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_only_read_at_the_start_need_a_restart() {
        let changed = |text: &str| text.parse::<Config>().unwrap().needs_restart(&Config::default());
        for text in [
            "{}",
            "mode: audit",
            "missingClaim: {wait: 1s, then: inject}",
            "drivers: [{name: portworx, provisioners: [x]}]",
        ] {
            assert!(changed(text).is_empty(), "{text}");
        }
        for (text, part) in [
            ("namespaces: [a]", "namespaces"),
            ("drivers: [{name: portworx, scheduler: another}]", "the Leases of drivers' schedulers"),
            ("missingClaim: {maxGets: 1}", "missingClaim.max*"),
            ("events: {enabled: true}", "events"),
            ("tls: {names: [a.example.test]}", "tls"),
            ("drain: {grace: 1s}", "drain"),
        ] {
            assert_eq!(changed(text), [part], "{text}");
        }
    }
}
