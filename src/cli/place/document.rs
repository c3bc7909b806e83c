//! The answers as one JSON document, which docs/schemas/place.json describes.

use serde_json::{Value, json};

use super::Outcome;
use crate::inspect::{PlacedNode, Placement};
use crate::locality::Locality;

/// Makes the document.
pub(super) fn document(outcome: &Outcome<'_>) -> Value {
    let Placement { namespace, pod, driver, scheduler, named, extender, refusal, nodes } = outcome.placement;
    json!({
        "apiVersion": "colocate/v1",
        "kind": "Place",
        "pod": {"namespace": namespace, "name": pod, "scheduler": named},
        "driver": &**driver,
        "scheduler": &**scheduler,
        "extender": extender,
        "refusal": refusal,
        "nodes": nodes.iter().map(node).collect::<Vec<_>>(),
        "notSeen": outcome.not_seen,
    })
}

fn node(PlacedNode { node, passes, why, score, data }: &PlacedNode) -> Value {
    json!({"node": node, "passes": passes, "why": why, "score": score, "locality": data.as_ref().map(Locality::as_str)})
}
