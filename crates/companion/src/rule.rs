//! The table of rules. It is the source of docs/annotations.md, `colocate validate --list-rules` and the metric labels.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::severity::Severity;

/// Portworx's documentation of the annotations.
const DOCUMENTATION: &str =
    "https://docs.portworx.com/portworx-enterprise/operations/operate-kubernetes/storage-operations/hyperconvergence";

/// The source code of Stork's filtering and scoring of nodes.
const EXTENDER: &str = "https://github.com/libopenstorage/stork/blob/master/pkg/extender/extender.go";

/// The source code of Stork's own webhook, with its opt-outs.
const WEBHOOK: &str = "https://github.com/libopenstorage/stork/blob/master/pkg/webhookadmission/webhook.go";

/// The change that introduced `preferRemoteNodeOnly`, with the volumes it applies to.
const REMOTE_ONLY: &str = "https://github.com/libopenstorage/stork/pull/1222";

/// The release that introduced `preferRemoteNode`.
const REMOTE: &str = "https://github.com/libopenstorage/stork/releases/tag/v23.11.0";

const STRATEGIES: &str = "https://docs.portworx.com/portworx-enterprise/concepts/volume-placement-strategies";

/// The documentation of `commonAnnotations`.
const KUSTOMIZE: &str = "https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/commonannotations/";

const PARSE_BOOL: &str = "https://pkg.go.dev/strconv#ParseBool";

const ANNOTATIONS: &str = "https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/";

const USING_STORK: &str =
    "https://docs.portworx.com/portworx-enterprise/deploy-your-applications/stateful-applications/stork";

/// The source code of openstorage's parser of class parameters.
const PARAMETERS: &str = "https://github.com/libopenstorage/openstorage/blob/master/api/spec/spec_handler.go";

/// The source code of openstorage's CSI driver, which decides whether a volume is shared (`resolveSharedSpec`).
const SHARED: &str = "https://github.com/libopenstorage/openstorage/blob/master/csi/controller.go";

const FIRST_CONSUMER: &str = "https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode";

const PREEMPTION: &str = "https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#preemption";

/// The syntax of comments in manifests.
const COMMENTS: &str = "https://yaml.org/spec/1.2.2/#comments";

const AUTOSCALER: &str = "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-are-the-key-best-practices-for-running-cluster-autoscaler";

/// The facts that a rule needs in addition to the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Owner, access modes and annotations of the claims that the object's pods mount, or of the object itself as a claim.
    Claims,
    /// The claims, and the parameters and binding modes of their classes; for a class, the access modes of its claims.
    ClassParameters,
    /// The placement strategies that exist.
    Strategies,
    /// The opt-out of the object's Namespace.
    Namespace,
}

macro_rules! rules {
    ($($name:ident $id:literal $severity:ident $title:literal, $(#[doc = $doc:literal])+ [$($needs:ident),*] $origin:ident;)+) => {
        /// A mistake in annotations that Stork does not report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub enum Rule {
            $($(#[doc = $doc])+ #[serde(rename = $id)] $name,)+
        }

        impl Rule {
            /// Every rule, in the order of ids.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The id, which is stable and never reused.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// A name of one word, which tools show next to the id.
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

            /// The reason for the rule.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// The facts about the object's surroundings that its findings depend on.
            pub const fn needs(self) -> &'static [Needs] {
                match self { $(Self::$name => &[$(Needs::$needs),*],)+ }
            }

            /// A link to the source of the rule.
            pub const fn origin(self) -> &'static str {
                match self { $(Self::$name => $origin,)+ }
            }
        }
    };
}

rules! {
    NoBoolean "HC001" Error "Stork does not recognize the value",
        /// Stork parses booleans with Go's `strconv.ParseBool`, and silently uses its default for any other value. colocate reads
        /// opt-outs in the same way.
        [] PARSE_BOOL;
    NoString "HC002" Error "the value is not a string",
        /// The values of annotations, labels and parameters are strings: the API server rejects `true` without quotes.
        [] ANNOTATIONS;
    Misspelled "HC003" Error "the key is misspelled",
        /// Keys are case-sensitive and must match exactly: Stork ignores a key that is nearly right.
        [Claims] EXTENDER;
    UnknownKey "HC004" Warning "the key is unknown",
        /// No known component reads a key of this name with Stork's prefix.
        [] EXTENDER;
    OnWorkload "HC005" Error "a pod annotation is set on the workload itself",
        /// Stork reads it from the pod, whose annotations come from `spec.template.metadata.annotations`.
        [] DOCUMENTATION;
    StorageKeyOnPod "HC006" Error "a volume setting is set on a pod",
        /// Stork reads it from the parameters of the StorageClass and the annotations of the claim.
        [] REMOTE_ONLY;
    PodKeyOnStorage "HC007" Error "a pod annotation is set on a class or a claim",
        /// Stork reads it from the pod's annotations.
        [] DOCUMENTATION;
    InLabels "HC008" Error "the key is set as a label",
        /// Stork reads annotations and the parameters of a StorageClass, but no labels.
        [] DOCUMENTATION;
    OnClassMetadata "HC009" Error "the key is set as an annotation of a StorageClass",
        /// Stork reads only the parameters of a StorageClass.
        [] REMOTE_ONLY;
    OnNamespace "HC010" Error "the key is set on a Namespace",
        /// On a Namespace, only the opt-out label has an effect, and only for colocate.
        [] WEBHOOK;
    LocalOnlyDisabled "HC011" Error "preferLocalNodeOnly contradicts disableHyperconvergence",
        /// `preferLocalNodeOnly` allows only nodes with the data; `disableHyperconvergence` treats all nodes alike. As an
        /// opt-out, `disableHyperconvergence` leaves the pod to a scheduler that reads neither annotation. If Stork schedules
        /// the pod anyway, it no longer scores nodes, but `preferLocalNodeOnly` still excludes nodes without the data.
        [] EXTENDER;
    LocalOnlyUnenforced "HC012" Error "nothing enforces preferLocalNodeOnly",
        /// Only Stork reads it, and Stork does not schedule this pod.
        [Namespace] EXTENDER;
    LocalOnlyWithoutClaim "HC013" Warning "preferLocalNodeOnly on a pod without a Portworx claim",
        /// It applies to the Portworx volumes of the pod, and the pod has none.
        [Claims] EXTENDER;
    LocalOnlyShared "HC014" Warning "preferLocalNodeOnly has no effect on a shared volume",
        /// Stork silently exempts sharedv4 service volumes. Portworx creates them for `ReadWriteMany` and `ReadOnlyMany` claims,
        /// whatever `sharedv4` says.
        [ClassParameters] SHARED;
    LocalOnlySeveral "HC015" Warning "preferLocalNodeOnly with several claims that nothing keeps together",
        /// One node must hold a replica of every volume, which only a VolumePlacementStrategy with `volumeAffinity` ensures.
        /// Without such a node, the pod stays Pending indefinitely.
        [ClassParameters] STRATEGIES;
    DisabledShared "HC016" Warning "disableHyperconvergence on a pod with a shared volume",
        /// According to the documentation, Stork then ignores `preferRemoteNode` and `preferRemoteNodeOnly` of the class.
        /// According to its code, it still enforces `preferRemoteNodeOnly` if it schedules the pod.
        [ClassParameters] DOCUMENTATION;
    RemoteOnlyCancelled "HC017" Error "preferRemoteNode: false cancels preferRemoteNodeOnly",
        /// `preferRemoteNode: "false"` turns off anti-hyperconvergence for the volume, and `preferRemoteNodeOnly` with it.
        [ClassParameters] REMOTE;
    RemoteNotShared "HC018" Warning "preferRemoteNode and preferRemoteNodeOnly are for shared volumes",
        /// Stork reads both for sharedv4 service volumes and ignores them for all others. Portworx creates such volumes for
        /// `ReadWriteMany` and `ReadOnlyMany` claims, whatever `sharedv4` says.
        [ClassParameters] SHARED;
    NotPortworx "HC019" Warning "the storage does not belong to Portworx",
        /// Stork considers only Portworx volumes.
        [Claims] EXTENDER;
    NoStrategy "HC020" Error "the VolumePlacementStrategy does not exist",
        /// Portworx cannot provision a volume with a strategy that does not exist: the claim stays Pending.
        [Strategies] STRATEGIES;
    ClaimAgainstClass "HC021" Warning "the claim contradicts its class",
        /// The claim's annotation wins.
        [ClassParameters] REMOTE_ONLY;
    OptOutRestore "HC022" Info "the opt-out prevents in-place restores of snapshots",
        /// A snapshot can only be restored in place if Stork schedules the pods that use the volume.
        [Claims] USING_STORK;
    OptOutHealth "HC023" Info "the opt-out disables Stork's health filter",
        /// Stork's health monitor deletes a pod on a node whose storage is down, and another scheduler may place it on the same
        /// node again: about every 210 s when this was measured.
        [Claims] USING_STORK;
    NamespaceLabel "HC024" Error "the opt-out label of the Namespace is not a boolean",
        /// The label has no effect if its value is not a boolean.
        [] PARSE_BOOL;
    LocalOnlyDaemonSet "HC025" Warning "preferLocalNodeOnly on a DaemonSet",
        /// A DaemonSet runs a pod on each node, and pods on nodes without a replica stay Pending.
        [ClassParameters] EXTENDER;
    LocalOnlyAutoscaler "HC026" Info "preferLocalNodeOnly with a cluster autoscaler",
        /// An autoscaler does not know Stork's rule: it assumes that the pod fits elsewhere, and adds no node, or one without
        /// the data.
        [ClassParameters] AUTOSCALER;
    LocalOnlyExternal "HC027" Error "preferLocalNodeOnly on a volume without replicas",
        /// With `backend: pure_block` or `pure_file`, or with `proxy_endpoint`, no node holds the data: once the volume exists, the
        /// pod stays Pending indefinitely.
        [ClassParameters] EXTENDER;
    LocalOnlyRemoteOnly "HC028" Warning "preferLocalNodeOnly and preferRemoteNodeOnly on one pod",
        /// One allows only nodes with the data of some volumes, and the other only nodes without the data of others. If no node
        /// satisfies both, the pod stays Pending indefinitely.
        [ClassParameters] EXTENDER;
    LocalOnlyWindows "HC029" Warning "preferLocalNodeOnly on a pod with a volume for Windows",
        /// Stork does not restrict a pod that mounts a volume with `winshare: "true"`, whatever its other volumes are.
        [ClassParameters] EXTENDER;
    Unrecognized "HC030" Warning "Stork does not recognize the volume",
        /// Stork's scheduler ignores generic ephemeral volumes (before 25.2.0), inline CSI volumes, static CSI volumes without
        /// `pv.kubernetes.io/provisioned-by`, claims whose driver is named only by
        /// `volume.kubernetes.io/storage-provisioner`, and bound claims of a class with the provisioner
        /// `kubernetes.io/no-provisioner`. If the configuration has a list `recognises` for Portworx, that list decides.
        [Claims] EXTENDER;
    LocalOnlyFirstConsumer "HC031" Warning "preferLocalNodeOnly on a volume that does not exist yet",
        /// With `volumeBindingMode: WaitForFirstConsumer`, the first pod is placed before its volume is created. Stork does not
        /// restrict that pod by this volume, whatever its class is.
        [ClassParameters] FIRST_CONSUMER;
    RestoreInProgress "HC032" Error "restore-in-progress is set on a claim",
        /// Stork sets the annotation during a restore. Until the annotation is removed, Stork rejects every pod that
        /// mounts the claim. An annotation that a manifest sets stays set. On a bound claim, the severity is at
        /// most warning, because a restore may be running.
        [] EXTENDER;
    LocalOnlyPreemption "HC033" Info "preferLocalNodeOnly disables preemption",
        /// If no allowed node has room, Stork answers with an error. The scheduler then reports `SchedulerError` and preempts no
        /// pod of a lower priority.
        [ClassParameters] PREEMPTION;
    RejectedParameter "HC034" Error "Portworx rejects the parameter",
        /// Portworx cannot provision a volume with such a value: the claims of the class stay Pending.
        [] PARAMETERS;
    NotRecognised "HC035" Info "Stork does not recognize the pod's volumes",
        /// Stork then places the pod by chance, and more slowly than the default scheduler. Stork does not read inline
        /// CSI volumes, the GA provisioner annotation, or the CSI driver of a manually created volume. It reads
        /// ephemeral volumes from 25.2.0 on. If the configuration has a list `recognises` for Portworx, that list decides. The
        /// rule is only about pods that colocate gives to Stork, or that name it.
        [Claims, Namespace] EXTENDER;
    Misplaced "HC036" Error "the key is in a place that Stork does not read",
        /// Stork reads its keys from the annotations of pods and claims and from the parameters of a StorageClass. A key in another
        /// field, or on an object of another kind, has no effect.
        [] DOCUMENTATION;
    OnEveryObject "HC037" Warning "kustomize adds the key to every object",
        /// `commonAnnotations` of a kustomization reach pods, claims, classes and all other objects, but Stork reads each key from some
        /// of them only.
        [] KUSTOMIZE;
    InvalidComment "HC038" Warning "the comment for colocate is not valid",
        /// A comment that ignores findings has the form `# colocate: ignore HC011 because REASON`. With a mistake in it, it
        /// ignores nothing. Only `colocate validate` reads comments, because the API server does not keep them.
        [] COMMENTS;
    UnusedComment "HC039" Warning "the comment ignores nothing",
        /// The object has no finding of the rule, so the comment would hide a future one. A rule that is off or that could not be
        /// checked is not reported.
        [] COMMENTS;
}

/// The error for an unknown rule id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rule `{0}`: use HC001 to {last}; `colocate validate --list-rules` lists them", last = Rule::ALL[Rule::ALL.len() - 1])]
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
    fn ids_ascend_and_parse() {
        assert!(Rule::ALL.is_sorted_by(|one, next| one.id() < next.id()));
        for rule in Rule::ALL {
            assert!(rule.id().len() == 5 && rule.id().starts_with("HC"), "{rule}");
            assert_eq!(Rule::try_from(rule.id().to_owned()), Ok(*rule));
        }
        let error = Rule::try_from("HC999".to_owned()).unwrap_err().to_string();
        assert!(error.contains("HC001 to HC039"), "{error}");
    }

    #[test]
    fn titles_have_no_period_and_explanations_have_one() {
        for rule in Rule::ALL {
            assert!(!rule.title().ends_with('.') && !rule.title().contains('|'), "{rule}");
            assert!(rule.explanation().ends_with('.') && !rule.explanation().contains(['\n', '|']), "{rule}");
            assert!(rule.origin().starts_with("https://"), "{rule}");
        }
    }
}
