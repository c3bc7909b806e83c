//! The table of rules, from which docs/annotations.md, `colocate validate --list-rules` and the metric labels follow.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::severity::Severity;

/// Portworx' documentation of the annotations.
const DOCUMENTATION: &str =
    "https://docs.portworx.com/portworx-enterprise/operations/operate-kubernetes/storage-operations/hyperconvergence";

/// The source of Stork's filter and score of nodes.
const EXTENDER: &str = "https://github.com/libopenstorage/stork/blob/master/pkg/extender/extender.go";

/// The source of Stork's own webhook, with its opt-outs.
const WEBHOOK: &str = "https://github.com/libopenstorage/stork/blob/master/pkg/webhookadmission/webhook.go";

/// The change that introduced `preferRemoteNodeOnly`, with the volumes it is for.
const REMOTE_ONLY: &str = "https://github.com/libopenstorage/stork/pull/1222";

/// The release that introduced `preferRemoteNode`.
const REMOTE: &str = "https://github.com/libopenstorage/stork/releases/tag/v23.11.0";

const STRATEGIES: &str = "https://docs.portworx.com/portworx-enterprise/concepts/volume-placement-strategies";

const PARSE_BOOL: &str = "https://pkg.go.dev/strconv#ParseBool";

const ANNOTATIONS: &str = "https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/";

const USING_STORK: &str =
    "https://docs.portworx.com/portworx-enterprise/deploy-your-applications/stateful-applications/stork";

const AUTOSCALER: &str = "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-are-the-key-best-practices-for-running-cluster-autoscaler";

/// The facts that a rule needs besides the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// None: the object is enough.
    Nothing,
    /// The claims that the object's pods mount, or the object itself as a claim: owner, access modes and annotations.
    Claims,
    /// The parameters of the claims' classes, and the claims.
    ClassParameters,
    /// The placement strategies that exist.
    Strategies,
    /// The opt-out of the object's Namespace.
    Namespace,
}

macro_rules! rules {
    ($($name:ident $id:literal $severity:ident $title:literal, $(#[doc = $doc:literal])+ $needs:ident $origin:ident;)+) => {
        /// A mistake in annotations that Stork does not report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub enum Rule {
            $($(#[doc = $doc])+ #[serde(rename = $id)] $name,)+
        }

        impl Rule {
            /// Every rule, in the order of their ids.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The id, which is stable and never reused.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// A name of one word, which programs show next to the id.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The default severity of its findings.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// The mistake, in one line.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// The reason why it matters.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// The facts about the object's surroundings that its findings depend on.
            pub const fn needs(self) -> Needs {
                match self { $(Self::$name => Needs::$needs,)+ }
            }

            /// A link to what the rule is derived from.
            pub const fn origin(self) -> &'static str {
                match self { $(Self::$name => $origin,)+ }
            }
        }
    };
}

rules! {
    NoBoolean "HC001" Error "the value is not one that Stork reads",
        /// Stork reads booleans as Go's `strconv.ParseBool` does, and takes its default for everything else, in silence.
        Nothing PARSE_BOOL;
    NoString "HC002" Error "the value is not a string",
        /// The values of annotations, labels and parameters are strings: the API server refuses `true` without quotes.
        Nothing ANNOTATIONS;
    Misspelled "HC003" Error "the key is misspelled",
        /// Keys are compared letter by letter, upper and lower case included; a key that is nearly right is read by nobody.
        Nothing EXTENDER;
    UnknownKey "HC004" Warning "the key is unknown",
        /// Nothing is known to read a key of this name behind Stork's prefix.
        Nothing EXTENDER;
    OnWorkload "HC005" Error "a pod's key stands on the workload itself",
        /// Stork reads it from the pod, whose annotations come from `spec.template.metadata.annotations`.
        Nothing DOCUMENTATION;
    StorageKeyOnPod "HC006" Error "a key of volumes stands on a pod",
        /// Stork reads it from the StorageClass' parameters and from the claim's annotations.
        Nothing REMOTE_ONLY;
    PodKeyOnStorage "HC007" Error "a pod's key stands on a class or a claim",
        /// Stork reads it from the pod's annotations.
        Nothing DOCUMENTATION;
    InLabels "HC008" Error "the key stands among the labels",
        /// Stork reads annotations and, of a StorageClass, parameters.
        Nothing DOCUMENTATION;
    OnClassMetadata "HC009" Error "the key stands among the annotations of a StorageClass",
        /// Of a StorageClass, Stork reads the parameters.
        Nothing REMOTE_ONLY;
    OnNamespace "HC010" Error "the key stands on a Namespace",
        /// Nothing reads it there: of a Namespace, only the opt-out label counts, and only for colocate.
        Nothing WEBHOOK;
    LocalOnlyDisabled "HC011" Error "preferLocalNodeOnly stands beside disableHyperconvergence",
        /// The one asks for nodes with the data and no others, the other for no difference between nodes: as an opt-out it
        /// leaves the pod to a scheduler that knows neither, and under Stork the scoring is off while the filter still holds.
        Nothing EXTENDER;
    LocalOnlyUnenforced "HC012" Error "nothing enforces preferLocalNodeOnly",
        /// Only Stork reads it, and this pod is not Stork's to schedule.
        Namespace EXTENDER;
    LocalOnlyWithoutClaim "HC013" Warning "preferLocalNodeOnly on a pod without a claim of Portworx",
        /// The rule is about the pod's Portworx volumes, and there are none.
        Claims EXTENDER;
    LocalOnlyShared "HC014" Warning "preferLocalNodeOnly has no effect on a shared volume",
        /// Stork leaves sharedv4 service volumes, which ReadWriteMany claims are by default, out of this rule without a word.
        ClassParameters EXTENDER;
    LocalOnlySeveral "HC015" Warning "preferLocalNodeOnly with several claims that nothing keeps together",
        /// One node must hold a replica of every volume, which only a VolumePlacementStrategy with `volumeAffinity` sees to; where
        /// there is none, the pod stays Pending for ever.
        ClassParameters STRATEGIES;
    DisabledShared "HC016" Warning "disableHyperconvergence on a pod with a shared volume",
        /// By the documentation, the class' `preferRemoteNode` and `preferRemoteNodeOnly` are ignored then; by Stork's code, the
        /// second is still enforced where Stork schedules the pod.
        ClassParameters DOCUMENTATION;
    RemoteOnlyCancelled "HC017" Error "preferRemoteNode: false cancels preferRemoteNodeOnly",
        /// `preferRemoteNode: "false"` turns anti-hyperconvergence off for the volume, and with it the hard rule.
        ClassParameters REMOTE;
    RemoteNotShared "HC018" Warning "preferRemoteNode and preferRemoteNodeOnly are for shared volumes",
        /// Stork reads both for sharedv4 service volumes and ignores them for all others.
        ClassParameters REMOTE_ONLY;
    NotPortworx "HC019" Warning "the storage is not Portworx'",
        /// Stork looks at Portworx' volumes only.
        Claims EXTENDER;
    NoStrategy "HC020" Error "the VolumePlacementStrategy does not exist",
        /// Portworx cannot provision a volume by a strategy that is not there: the claim stays Pending.
        Strategies STRATEGIES;
    ClaimAgainstClass "HC021" Warning "the claim contradicts its class",
        /// The claim's annotation wins.
        ClassParameters REMOTE_ONLY;
    OptOutRestore "HC022" Info "the opt-out keeps snapshots from being restored in place",
        /// An in-place restore of a snapshot requires that pods which use the volume are scheduled by Stork.
        Claims USING_STORK;
    OptOutHealth "HC023" Info "the opt-out gives up Stork's health filter",
        /// Nodes on which the storage driver is down are not avoided any more.
        Claims USING_STORK;
    NamespaceLabel "HC024" Error "the opt-out label of the Namespace does not parse",
        /// A value that is no boolean opts nothing out.
        Nothing PARSE_BOOL;
    LocalOnlyDaemonSet "HC025" Warning "preferLocalNodeOnly on a DaemonSet",
        /// A DaemonSet has a pod for each node, and those of nodes without a replica stay Pending.
        ClassParameters EXTENDER;
    LocalOnlyAutoscaler "HC026" Info "preferLocalNodeOnly where a cluster autoscaler is at work",
        /// An autoscaler does not know Stork's rule: it believes that the pod fits elsewhere, and adds no node, or one without
        /// the data.
        ClassParameters AUTOSCALER;
}

/// An id that does not belong to a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rule; `colocate validate --list-rules` has all of them, HC001 to {last}", last = Rule::ALL[Rule::ALL.len() - 1])]
pub struct NoSuchRule(String);

impl TryFrom<String> for Rule {
    type Error = NoSuchRule;

    fn try_from(id: String) -> Result<Self, NoSuchRule> {
        Self::ALL.iter().find(|rule| rule.id() == id).copied().ok_or(NoSuchRule(id))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_name_their_rules() {
        for (place, rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(rule.id(), format!("HC{:03}", place + 1));
            assert_eq!(Rule::try_from(rule.id().to_owned()), Ok(*rule));
        }
        let error = Rule::try_from("HC999".to_owned()).unwrap_err().to_string();
        assert!(error.contains("HC001 to HC026"), "{error}");
    }

    #[test]
    fn titles_are_phrases_explanations_sentences_and_origins_links() {
        for rule in Rule::ALL {
            assert!(!rule.title().ends_with('.') && !rule.title().contains('|'), "{rule}");
            assert!(rule.explanation().ends_with('.') && !rule.explanation().contains(['\n', '|']), "{rule}");
            assert!(rule.origin().starts_with("https://"), "{rule}");
        }
    }
}
