//! The choice of a pod's node: by its creator, or by a scheduler.

use colocate_engine::Text;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// The one who chose the node of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeChoice {
    /// No node is set, or the object is a template.
    None,
    Creator,
    Scheduler,
    /// The object has no `managedFields`.
    Unknown,
}

/// The fields of a live object that are read in addition to those that the engine reads.
#[derive(Deserialize)]
struct Live<'a> {
    #[serde(borrow, default)]
    metadata: Option<LiveMetadata<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LiveMetadata<'a> {
    #[serde(borrow, default)]
    managed_fields: Option<Vec<ManagedFields<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManagedFields<'a> {
    #[serde(borrow, default)]
    subresource: Text<'a>,
    #[serde(default)]
    fields_v1: Option<OwnedFields>,
}

#[derive(Deserialize)]
struct OwnedFields {
    #[serde(default, rename = "f:spec")]
    spec: Option<OwnedSpec>,
}

#[derive(Deserialize)]
struct OwnedSpec {
    #[serde(default, rename = "f:nodeName")]
    node_name: Option<IgnoredAny>,
}

/// Finds who chose the node. A scheduler binds a pod through the subresource `binding`, which records no field; a creator's
/// `nodeName` is recorded in `managedFields`.
pub(super) fn node_choice(object: &str, node: Option<&RawValue>) -> Result<NodeChoice, serde_json::Error> {
    if node.is_none_or(|node| matches!(node.get(), "null" | "\"\"")) {
        return Ok(NodeChoice::None);
    }
    let live: Live<'_> = serde_json::from_str(object)?;
    let Some(entries) = live.metadata.and_then(|metadata| metadata.managed_fields).filter(|list| !list.is_empty())
    else {
        return Ok(NodeChoice::Unknown);
    };
    let names_node = |fields: &OwnedFields| fields.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let owns_node =
        |entry: &ManagedFields<'_>| entry.subresource.is_empty() && entry.fields_v1.as_ref().is_some_and(names_node);
    Ok(if entries.iter().any(owns_node) { NodeChoice::Creator } else { NodeChoice::Scheduler })
}
