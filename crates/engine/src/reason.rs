//! Reasons: one word per decision, the same in metrics, logs, audit annotations, warnings and explanations.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// The reason for a decision. Each decision has exactly one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word. It is stable: metrics, logs and audit annotations use it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The meaning of the word, in one sentence.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// One of its claims belongs to a storage driver, so that driver's scheduler was set.
    Injected = "injected",
    /// A claim does not exist or could not be read, so `missingClaim.then: inject` set the scheduler of the first driver.
    InjectedMissing = "injected-missing",
    /// An update dropped the driver's scheduler unintentionally; it was restored.
    Kept = "kept",
    /// In `mode: audit`: the scheduler would have been set.
    WouldInject = "would-inject",
    /// In `mode: audit`: the scheduler would have been restored.
    WouldKeep = "would-keep",
    /// `schedulerName` already names the scheduler of a configured driver.
    AlreadySet = "already-set",
    /// `schedulerName` names another scheduler, which is not in `replaceableSchedulers`.
    OtherScheduler = "other-scheduler",
    /// An annotation of the pod or template, or a label of the object, opts it out.
    OptedOut = "opted-out",
    /// The object opts out, but names a driver's scheduler, which still schedules it.
    OptOutWithoutEffect = "opt-out-without-effect",
    /// The kind of the pod's controller, or of the workload itself, is listed in `optOut.owners`.
    OwnerOptedOut = "owner-opted-out",
    /// The object's Namespace opts out by its label (for files only: in a cluster, the API server does not send such objects).
    NamespaceOptedOut = "namespace-opted-out",
    /// No volume of the pod can belong to a storage driver.
    NoClaims = "no-claims",
    /// Every claim was found, and none belongs to a configured driver.
    NoDriver = "no-driver",
    /// Every claim was found, and some belong to a driver, but the driver's scheduler recognizes none of those
    /// (`recognises`).
    NotRecognised = "not-recognised",
    /// A claim does not exist, and no other claim belongs to a driver.
    ClaimMissing = "claim-missing",
    /// A claim exists, but the class or volume that would identify its driver does not exist, and no other claim belongs to a
    /// driver.
    ClaimUnknown = "claim-unknown",
    /// A claim or its volume could not be read from the API server, and no other claim belongs to a driver.
    ClaimUnreadable = "claim-unreadable",
    /// The driver's scheduler has no Lease, so `whenAbsent: skip` left the object unchanged.
    SchedulerAbsent = "scheduler-absent",
    /// The driver's scheduler no longer renews its Lease, so `whenStale: skip` left the object unchanged.
    SchedulerStale = "scheduler-stale",
    /// The pod is the API server's copy of a static pod, which no scheduler places.
    MirrorPod = "mirror-pod",
    /// The pod or template sets `nodeName`, so no scheduler places it.
    NodeNameSet = "node-name-set",
    /// The pod belongs to a scheduling group, which needs one scheduler for all of its pods.
    SchedulingGroup = "scheduling-group",
    /// The workload has a controller, which would revert the template; its pods get their scheduler when they are created.
    ControllerOwned = "controller-owned",
    /// The manifest of the template sets `schedulerName`, so the template stays as written; its pods get their scheduler when they are created.
    SourceNamesScheduler = "source-names-scheduler",
    /// The configuration says `templates: leave`; pods get their scheduler when they are created.
    TemplatesLeft = "templates-left",
    /// The update does not change the pod template.
    TemplateUnchanged = "template-unchanged",
    /// The scheduler of an existing object of this kind cannot be changed.
    Immutable = "immutable",
    /// The object has no pod spec at the path of its kind.
    NoTemplate = "no-template",
    /// The object does not have the structure of its kind, or the one that `customWorkloads` describes.
    Unreadable = "unreadable",
    /// The kind is not one that colocate handles.
    UnsupportedKind = "unsupported-kind",
    /// The operation is neither CREATE nor UPDATE of the object itself.
    UnsupportedOperation = "unsupported-operation",
    /// The configuration says `mode: off`.
    Off = "off",
}

impl Reason {
    /// Returns true if a fact that the decision depends on is not known: the owner of a claim, or a readable object.
    pub const fn is_unresolved(self) -> bool {
        matches!(self, Self::ClaimMissing | Self::ClaimUnknown | Self::ClaimUnreadable | Self::Unreadable)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_unique_and_fit_a_metric_label() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        assert!(words.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }

    #[test]
    fn explanations_are_one_sentence() {
        for reason in Reason::ALL {
            let text = reason.explanation();
            assert!(text.ends_with('.') && !text.contains('\n'), "{reason}: {text}");
        }
    }
}
