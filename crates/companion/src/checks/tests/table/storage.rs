//! Rows about the settings of classes and claims.

use super::{Row, row};
use crate::Rule;
use crate::checks::tests::objects::{
    MANY, ON_CLAIM, ON_CLASS, ONCE, REMOTE, REMOTE_ONLY, RESTORE, SKIP, claim, class, deployment, ephemeral, portworx,
    stateful, with, with_volumes,
};

#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            Rule::RemoteOnlyCancelled,
            &[
                (portworx(&[("sharedv4", "true"), (REMOTE, "false"), (REMOTE_ONLY, "true")]), ON_CLASS),
                // One of the two comes from the class.
                (claim("px-local", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (
                    claim("px-shared", MANY, &[(REMOTE, "false")]),
                    "metadata.annotations[stork.libopenstorage.org/preferRemoteNode]",
                ),
            ],
            &[
                portworx(&[("sharedv4", "true"), (REMOTE, "true"), (REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "true"), (REMOTE, "false")]),
                claim("px-local", MANY, &[(REMOTE_ONLY, "true"), (REMOTE, "true")]),
            ],
        ),
        row(
            Rule::RemoteNotShared,
            &[
                (portworx(&[("backend", "pure_file"), (REMOTE_ONLY, "true")]), ON_CLASS),
                (
                    portworx(&[("proxy_endpoint", "nfs://server"), ("sharedv4", "true"), (REMOTE_ONLY, "true")]),
                    ON_CLASS,
                ),
                (portworx(&[("shared", "true"), (REMOTE_ONLY, "true")]), ON_CLASS),
                (portworx(&[("winshare", "true"), (REMOTE_ONLY, "true")]), ON_CLASS),
                // All known claims of this class are ReadWriteOnce.
                (
                    with(portworx(&[("sharedv4", "true"), (REMOTE_ONLY, "true")]), "/metadata/name", "px-kept".into()),
                    ON_CLASS,
                ),
                (claim("px", ONCE, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (claim("px-shared", ONCE, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (claim("px-array", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (claim("px-windows", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
            ],
            &[
                // A claim may be ReadWriteMany.
                portworx(&[(REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "false"), (REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "true"), ("sharedv4_svc_type", ""), (REMOTE_ONLY, "true")]),
                with(portworx(&[(REMOTE_ONLY, "true")]), "/metadata/name", "px".into()),
                claim("px", "ReadOnlyMany", &[(REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "true"), ("sharedv4_svc_type", "ClusterIP"), (REMOTE_ONLY, "true")]),
                claim("px", MANY, &[(REMOTE_ONLY, "true")]),
                claim("px", ONCE, &[(SKIP, "true")]),
                claim("px", ONCE, &[(REMOTE_ONLY, "false"), (REMOTE, "true")]),
                portworx(&[(REMOTE, "true")]),
                portworx(&[("sharedv4_svc_type", "ClusterIP"), (REMOTE_ONLY, "true")]),
                claim("px", ONCE, &[]),
            ],
        ),
        row(
            Rule::NotPortworx,
            &[
                (class("ebs.csi.aws.com", &[(REMOTE_ONLY, "true")]), ON_CLASS),
                (claim("other", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
            ],
            &[
                portworx(&[("sharedv4", "true"), (REMOTE_ONLY, "true")]),
                class("ebs.csi.aws.com", &[("type", "gp3")]),
                claim("absent", MANY, &[(REMOTE_ONLY, "true")]),
            ],
        ),
        row(
            Rule::NoStrategy,
            &[
                (portworx(&[("placement_strategy", "togther")]), "parameters[placement_strategy]"),
                (claim("px", ONCE, &[("placement_strategy", "x")]), "metadata.annotations[placement_strategy]"),
            ],
            &[portworx(&[("placement_strategy", "together")]), portworx(&[("placement_strategy", "")]), portworx(&[])],
        ),
        row(
            Rule::ClaimAgainstClass,
            &[
                (claim("px-shared", MANY, &[(REMOTE_ONLY, "false")]), ON_CLAIM),
                (
                    claim("px-kept", ONCE, &[("placement_strategy", "apart")]),
                    "metadata.annotations[placement_strategy]",
                ),
            ],
            &[claim("px-shared", MANY, &[(REMOTE_ONLY, "T")]), claim("px", MANY, &[(REMOTE_ONLY, "true")])],
        ),
        row(
            Rule::RestoreInProgress,
            &[
                (
                    claim("px", ONCE, &[(RESTORE, "true")]),
                    "metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
                (
                    claim("px", MANY, &[(RESTORE, "true")]),
                    "metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
                // Stork reads it from every claim.
                (
                    claim("other", ONCE, &[(RESTORE, "true")]),
                    "metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
                (
                    stateful(&[(RESTORE, "true")], "px"),
                    "spec.volumeClaimTemplates[0].metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
            ],
            &[
                claim("px", ONCE, &[(RESTORE, "True")]),
                claim("px", ONCE, &[(RESTORE, "false")]),
                with_volumes(deployment(&[], &[]), ephemeral(&[(RESTORE, "true")])),
            ],
        ),
        row(
            Rule::RejectedParameter,
            &[
                (portworx(&[("sharedv4", "yes")]), "parameters[sharedv4]"),
                (portworx(&[("shared", "")]), "parameters[shared]"),
                (portworx(&[("sharedv4_svc_type", "clusterip")]), "parameters[sharedv4_svc_type]"),
            ],
            &[
                portworx(&[("sharedv4", "T"), ("shared", "0"), ("sharedv4_svc_type", "")]),
                portworx(&[("sharedv4_svc_type", "nodePort")]),
                class("other.example.test", &[("shared", "yes")]),
                claim("px", ONCE, &[("sharedv4", "yes")]),
            ],
        ),
    ]
}
