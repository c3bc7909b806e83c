//! Scheduling settings of Stork, and the class parameters of Portworx that determine how Stork treats a volume.

/// A key of a claim's annotations or a class's parameters that affects where Stork schedules a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Setting {
    /// Allows only nodes without a replica (sharedv4 service volumes).
    PreferRemoteNodeOnly,
    /// Gives nodes without a replica a higher score (sharedv4 service volumes).
    PreferRemoteNode,
    /// Excludes the volume from scoring.
    SkipSchedulerScoring,
    /// `"true"` during a restore, while Stork does not schedule the pod (claims only).
    RestoreInProgress,
    /// The `VolumePlacementStrategy` of the replicas.
    PlacementStrategy,
    /// The volume is shared over NFS (classes only). For a CSI volume, its access modes override the value.
    Sharedv4,
    /// The type of service for a shared volume (classes only).
    Sharedv4ServiceType,
    /// The volume is shared in the way that preceded sharedv4 (classes only).
    Shared,
    /// The volume is shared with Windows nodes (classes only).
    Winshare,
    /// The storage array that holds the data: `pure_block` or `pure_file` (classes only).
    Backend,
    /// The file server or object store that holds the data (classes only).
    ProxyEndpoint,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 11] = [
        Self::PreferRemoteNodeOnly,
        Self::PreferRemoteNode,
        Self::SkipSchedulerScoring,
        Self::RestoreInProgress,
        Self::PlacementStrategy,
        Self::Sharedv4,
        Self::Sharedv4ServiceType,
        Self::Shared,
        Self::Winshare,
        Self::Backend,
        Self::ProxyEndpoint,
    ];

    /// The key in an object.
    pub const fn key(self) -> &'static str {
        match self {
            Self::PreferRemoteNodeOnly => "stork.libopenstorage.org/preferRemoteNodeOnly",
            Self::PreferRemoteNode => "stork.libopenstorage.org/preferRemoteNode",
            Self::SkipSchedulerScoring => "stork.libopenstorage.org/skipSchedulerScoring",
            Self::RestoreInProgress => "stork.libopenstorage.org/restore-in-progress",
            Self::PlacementStrategy => "placement_strategy",
            Self::Sharedv4 => "sharedv4",
            Self::Sharedv4ServiceType => "sharedv4_svc_type",
            Self::Shared => "shared",
            Self::Winshare => "winshare",
            Self::Backend => "backend",
            Self::ProxyEndpoint => "proxy_endpoint",
        }
    }
}

/// The settings of one claim or class, with unparsed values. Most claims have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings(Box<[(Setting, Box<str>)]>);

/// Truncates a text to the length of the longest object name in Kubernetes, to bound the memory of a million claims.
pub(super) fn short(text: &str) -> &str {
    const LONGEST: usize = 253;
    &text[..text.floor_char_boundary(LONGEST)]
}

impl Settings {
    /// Reads all settings through `value`, which returns the value of a key.
    pub fn read<V: AsRef<str>>(value: impl Fn(&str) -> Option<V>) -> Self {
        let found = Setting::ALL.into_iter().filter_map(|setting| {
            let value = value(setting.key())?;
            Some((setting, short(value.as_ref()).into()))
        });
        Self(found.collect())
    }

    /// The unparsed value of one setting.
    pub fn get(&self, setting: Setting) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == setting).map(|(_, value)| &**value)
    }

    /// Returns true if there are no settings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_truncated() {
        let settings = Settings::read(|_| Some("ä".repeat(1000)));
        assert_eq!(settings.get(Setting::PlacementStrategy).map(str::len), Some(252));
    }

    #[test]
    fn present_settings_are_kept_unparsed() {
        let written = [("placement_strategy", "spread"), (Setting::PreferRemoteNode.key(), "False"), ("other", "x")];
        let settings = Settings::read(|key| written.iter().find(|(own, _)| *own == key).map(|(_, value)| value));
        assert_eq!(settings.get(Setting::PlacementStrategy), Some("spread"));
        assert_eq!(settings.get(Setting::PreferRemoteNode), Some("False"));
        assert_eq!(settings.get(Setting::PreferRemoteNodeOnly), None);
        assert!(!settings.is_empty() && Settings::default().is_empty());
    }
}
