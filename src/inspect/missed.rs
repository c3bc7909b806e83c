//! The missed objects of an audit log that still exist in the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::access::{Access, Listing};
use super::kinds::ResourceKind;
use crate::api::ApiError;
use crate::engine::dns::{is_label, is_subdomain};
use crate::insight::{Fate, LiveObject, MissedObject, Search};

/// The number of namespaces that are listed one by one. All namespaces are listed at once if there are more.
const MAX_NAMESPACES: usize = 10;

/// Returns what became of each missed object, in their order. `progress` is called with the resource for each object that is
/// read.
///
/// # Errors
/// If the API server does not answer. What the user may not read is in [`Access::not_seen`].
pub(crate) async fn fates(
    access: &mut Access,
    missed: &BTreeSet<MissedObject>,
    mut progress: impl FnMut(&'static str),
) -> Result<Vec<Fate>, ApiError> {
    let mut resources = BTreeMap::<(&str, &str), Vec<(usize, &MissedObject)>>::new();
    for (index, object) in missed.iter().enumerate() {
        resources.entry((&object.resource, &object.identity.version)).or_default().push((index, object));
    }
    let mut fates = vec![Fate::Unknown; missed.len()];
    for ((resource, version), objects) in resources {
        let Some(kind) = kind(resource, version) else { continue };
        let (indexes, objects): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        let namespaces: BTreeSet<_> = objects.iter().map(|object| &*object.namespace).collect();
        let scopes: Vec<_> = if namespaces.len() > MAX_NAMESPACES || !namespaces.iter().all(|name| is_label(name)) {
            vec![None]
        } else {
            namespaces.into_iter().map(Some).collect()
        };
        for scope in scopes {
            let is_in_scope = |object: &MissedObject| scope.is_none_or(|namespace| object.namespace == namespace);
            let in_scope = objects.iter().zip(&indexes).filter(|(object, _)| is_in_scope(object));
            let (objects, indexes): (Vec<&MissedObject>, Vec<usize>) = in_scope.unzip();
            let search = Search::new(objects);
            let hides = format!("which of the missed {resource} still exist");
            let live = access.try_list(kind, scope, hides, |kept: &mut Vec<LiveObject>, item| {
                progress(kind.resource.name);
                let live = LiveObject::read(item)?;
                if search.concerns(&live) {
                    kept.push(live);
                }
                Ok(())
            });
            match live.await? {
                Listing::All(live) => {
                    for (index, fate) in indexes.into_iter().zip(search.fates(live)) {
                        fates[index] = fate;
                    }
                }
                // The objects may exist in another version.
                Listing::NotServed => {
                    let why = format!("the API server does not serve the version {version} of the log");
                    let hides = format!("which of the missed {resource} still exist");
                    access.unreadable(kind, None, why, hides);
                    break;
                }
                Listing::NotSeen => {}
            }
        }
    }
    Ok(fates)
}

/// Returns the kind of a resource as in an audit log, `deployments.apps`; `None` if it is not a legal name, which must not become
/// a part of a path.
fn kind(resource: &str, version: &str) -> Option<ResourceKind> {
    let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
    let is_legal = is_label(name) && is_label(version) && (group.is_empty() || is_subdomain(group));
    is_legal.then(|| ResourceKind::of_custom(group, version, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::kinds::{DEPLOYMENTS, PODS};

    #[test]
    fn only_legal_names_become_a_path() {
        assert_eq!(kind("pods", "v1"), Some(PODS));
        assert_eq!(kind("deployments.apps", "v1"), Some(DEPLOYMENTS));
        for (resource, version) in
            [("", "v1"), ("pods", ""), ("../pods", "v1"), ("pods/x", "v1"), ("a.b/c", "v1"), ("pods", "v1?x")]
        {
            assert_eq!(kind(resource, version), None, "{resource} {version}");
        }
    }
}
