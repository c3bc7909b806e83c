//! Reasons: one word for every decision, the same in metrics, logs, audit annotations, warnings and explanations.

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

            /// The word: stable, and part of the product's interface.
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
    /// The scheduler of the driver that owns a claim was set.
    Injected = "injected",
    /// A claim is missing, and the policy `missingClaim.then: inject` set the scheduler of the first driver.
    InjectedMissing = "injected-missing",
    /// An update dropped the driver's scheduler unintentionally; it was restored.
    Kept = "kept",
    /// In `mode: audit`: the scheduler would have been set.
    WouldInject = "would-inject",
    /// In `mode: audit`: the scheduler would have been restored.
    WouldKeep = "would-keep",
    /// The scheduler of a configured driver is named already.
    AlreadySet = "already-set",
    /// Another scheduler is named, and it is not in `replaceableSchedulers`.
    OtherScheduler = "other-scheduler",
    /// An annotation of the pod, or of the template, opts out.
    OptedOut = "opted-out",
    /// It opts out, but names a driver's scheduler, which therefore still schedules it.
    OptOutWithoutEffect = "opt-out-without-effect",
    /// The pod's controller, or the workload itself, is of a kind in `optOut.owners`.
    OwnerOptedOut = "owner-opted-out",
    /// The object's Namespace opts out by its label (in files; in a cluster, the API server does not ask about such objects).
    NamespaceOptedOut = "namespace-opted-out",
    /// No volume of the pod could be a storage driver's.
    NoClaims = "no-claims",
    /// Every claim was found, and none belongs to a configured driver.
    NoDriver = "no-driver",
    /// A claim does not exist, and no other one belongs to a driver.
    ClaimMissing = "claim-missing",
    /// A claim exists, but not the class or volume that leads to its driver, and no other claim belongs to a driver.
    ClaimUnknown = "claim-unknown",
    /// The driver's scheduler has no Lease, and its policy `whenAbsent: skip` left the object as it is.
    SchedulerAbsent = "scheduler-absent",
    /// The driver's scheduler does not renew its Lease any more, and its policy `whenStale: skip` left the object as it is.
    SchedulerStale = "scheduler-stale",
    /// The pod is the API server's picture of a static pod, which no scheduler places.
    MirrorPod = "mirror-pod",
    /// The pod, or the template, names its node: no scheduler places it.
    NodeNameSet = "node-name-set",
    /// The pod belongs to a scheduling group, which needs one scheduler for all of its pods.
    SchedulingGroup = "scheduling-group",
    /// The workload has a controller, which would fight for the template; its pods are decided when they come.
    ControllerOwned = "controller-owned",
    /// The manifest that the template comes from names `schedulerName`: it stays as written, and its pods are decided when they come.
    SourceNamesScheduler = "source-names-scheduler",
    /// The configuration says `templates: leave`; the pods are decided when they come.
    TemplatesLeft = "templates-left",
    /// The update leaves the pod template as it was.
    TemplateUnchanged = "template-unchanged",
    /// The update is of an object whose scheduler cannot change any more.
    Immutable = "immutable",
    /// The object holds no pod spec where its kind keeps it.
    NoTemplate = "no-template",
    /// The object is not built as its kind, or as `customWorkloads` says.
    Unreadable = "unreadable",
    /// The kind is not one of those that are decided about.
    UnsupportedKind = "unsupported-kind",
    /// The operation is neither CREATE nor UPDATE of the object itself.
    UnsupportedOperation = "unsupported-operation",
    /// The configuration says `mode: off`.
    Off = "off",
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
