//! Rows about the scheduler of pods.

use serde_json::json;

use super::{Row, row};
use crate::Rule;
use crate::checks::tests::objects::{
    DISABLE, LOCAL_ONLY, ON_TEMPLATE, ON_TEMPLATE_DISABLE, ON_VOLUMES, OPT_OUT, deployment, inline_claim, local,
    with_scheduler, with_volume,
};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            Rule::LocalOnlyUnenforced,
            &[
                (deployment(&[(LOCAL_ONLY, "true"), (OPT_OUT, "true")], &["data"]), ON_TEMPLATE),
                (with_scheduler(local(&["data"]), "my-scheduler"), ON_TEMPLATE),
            ],
            &[
                local(&["data"]),
                with_scheduler(local(&["data"]), "stork"),
                with_scheduler(local(&["data"]), "default-scheduler"),
                with_scheduler(deployment(&[(LOCAL_ONLY, "true"), (OPT_OUT, "true")], &["data"]), "stork"),
                with_scheduler(deployment(&[(LOCAL_ONLY, "false")], &["data"]), "my-scheduler"),
            ],
        ),
        row(
            Rule::OptOutRestore,
            &[(deployment(&[(DISABLE, "true")], &["data"]), ON_TEMPLATE_DISABLE)],
            &[
                deployment(&[(DISABLE, "false")], &["data"]),
                deployment(&[(DISABLE, "true")], &["other"]),
                with_scheduler(deployment(&[(DISABLE, "true")], &["data"]), "stork"),
            ],
        ),
        row(
            Rule::OptOutHealth,
            &[(deployment(&[(DISABLE, "true")], &["data"]), ON_TEMPLATE_DISABLE)],
            &[deployment(&[(DISABLE, "false")], &["data"]), deployment(&[(DISABLE, "true")], &["other"])],
        ),
        row(
            Rule::NotRecognised,
            &[
                (with_volume(json!({"csi": {"driver": "pxd.portworx.com"}}), &[], &[]), ON_VOLUMES),
                (with_volume(inline_claim(), &[], &[]), ON_VOLUMES),
                (deployment(&[], &["ga"]), ON_VOLUMES),
                (with_scheduler(with_volume(inline_claim(), &[(OPT_OUT, "true")], &[]), "stork"), ON_VOLUMES),
            ],
            &[
                deployment(&[], &["data"]),
                with_volume(inline_claim(), &[], &["data"]),
                with_volume(json!({"csi": {"driver": "secrets-store.csi.k8s.io"}}), &[], &[]),
                with_volume(json!({"portworxVolume": {"volumeID": "1"}}), &[], &[]),
                with_volume(inline_claim(), &[(OPT_OUT, "true")], &[]),
                with_scheduler(with_volume(inline_claim(), &[], &[]), "other-scheduler"),
            ],
        ),
    ]
}
