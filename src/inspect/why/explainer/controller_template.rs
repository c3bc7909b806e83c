//! The template that a pod was made from: that of its controller, or one of an earlier revision.

use serde_json::Value;

use super::Explainer;
use crate::engine::Workload;
use crate::insight::{LivePod, Template};
use crate::inspect::access::Found;
use crate::inspect::kinds;
use crate::inspect::why::reader::text;
use crate::inspect::why::target::TargetKind;

/// The label with which a controller records the revision that a pod was made from: the name of a `ControllerRevision` of a
/// `StatefulSet`, and the end of the name of one of a `DaemonSet`.
const REVISION_LABEL: &str = "controller-revision-hash";

/// The template that a pod was made from.
pub(super) enum PodTemplate {
    Known(Template),
    /// The pod has no controller, or one of a kind whose pods are not made from a known template.
    Absent,
    /// Which one it was is not known, for this reason.
    NotKnown(String),
}

/// The answer to a read of a controller's template.
#[derive(Clone)]
pub(super) enum TemplateRead {
    Found(Box<ControllerTemplate>),
    Absent,
    NotKnown(String),
}

#[derive(Clone)]
pub(super) struct ControllerTemplate {
    kind: TargetKind,
    template: Template,
    /// The template as JSON.
    current: Value,
    /// The revision of the template, if the controller keeps several and has seen the last change.
    revision: Option<String>,
    /// Whether the template may have changed since the pod was created.
    may_change: bool,
}

impl Explainer<'_> {
    /// Finds the template that a pod was made from, if it is certain.
    pub(super) async fn template_of(&mut self, pod: &LivePod<'_>) -> anyhow::Result<PodTemplate> {
        let Some(controller) = &pod.metadata.controller else { return Ok(PodTemplate::Absent) };
        let uid = controller.uid.to_string();
        if !self.templates.contains_key(&uid) {
            let found = match self.find_kind(&controller.api_version, &controller.kind) {
                Some(kind) => self.read_template(kind, &controller.name, &uid).await?,
                None => TemplateRead::Absent,
            };
            self.templates.insert(uid.clone(), found);
        }
        let found = match self.templates.get(&uid) {
            Some(TemplateRead::Found(found)) => found.clone(),
            Some(TemplateRead::NotKnown(why)) => return Ok(PodTemplate::NotKnown(why.clone())),
            Some(TemplateRead::Absent) | None => return Ok(PodTemplate::Absent),
        };
        let revision = pod.metadata.labels.get(REVISION_LABEL);
        if !found.may_change || (found.revision.is_some() && found.revision.as_ref() == revision) {
            return Ok(PodTemplate::Known(found.template));
        }
        match revision.filter(|_| matches!(found.kind.name, "StatefulSet" | "DaemonSet")) {
            Some(revision) => self.read_revision(*found, &controller.name, &uid, revision).await,
            None => Ok(PodTemplate::NotKnown(changed(&found.template))),
        }
    }

    /// Reads the revision of a template that a pod was made from.
    async fn read_revision(
        &mut self,
        controller: ControllerTemplate,
        name: &str,
        uid: &str,
        revision: &str,
    ) -> anyhow::Result<PodTemplate> {
        let ControllerTemplate { template, current, .. } = controller;
        let is_name = revision.strip_prefix(name).is_some_and(|end| end.starts_with('-'));
        let revision = if is_name { revision.to_owned() } else { format!("{name}-{revision}") };
        let hides = "which scheduler an earlier pod template named";
        let namespace = self.namespace.clone();
        let changed = changed(&template);
        let json = match self.reader.access.get(kinds::CONTROLLER_REVISIONS, Some(&namespace), &revision, hides).await?
        {
            Found::Object(json) => json,
            Found::Absent => {
                let why = format!("{changed}, and ControllerRevision {revision} does not exist");
                return Ok(PodTemplate::NotKnown(why));
            }
            Found::NotSeen => {
                let why = format!("{changed}, and ControllerRevision {revision} could not be read");
                return Ok(PodTemplate::NotKnown(why));
            }
        };
        let object: Value = serde_json::from_str(&json)?;
        let earlier = object.pointer("/data/spec/template").filter(|_| is_owned_by(&object, uid));
        Ok(match earlier {
            Some(earlier) if comparable(earlier) == comparable(&current) => PodTemplate::Known(template),
            Some(earlier) => {
                // The controller records the sources of its present template only.
                PodTemplate::Known(Template::of_revision(format!("ControllerRevision {revision}"), earlier))
            }
            None => {
                PodTemplate::NotKnown(format!("{changed}, and ControllerRevision {revision} is not of its controller"))
            }
        })
    }

    async fn read_template(&mut self, kind: TargetKind, name: &str, uid: &str) -> anyhow::Result<TemplateRead> {
        let hides = "which scheduler the pod template names";
        let namespace = self.namespace.clone();
        let gone = || TemplateRead::NotKnown(format!("its {} {name} does not exist any more", kind.name));
        let json = match self.reader.access.get(kind.api, Some(&namespace), name, hides).await? {
            Found::Object(json) => json,
            Found::Absent => return Ok(gone()),
            Found::NotSeen => {
                return Ok(TemplateRead::NotKnown("the template of its controller could not be read".to_owned()));
            }
        };
        let object: Value = serde_json::from_str(&json)?;
        // A controller that was created again under the same name has another template.
        if text(&object, "/metadata/uid") != uid {
            return Ok(gone());
        }
        // A custom resource may have no template at the configured path.
        let Some(workload) = self.workload_of(kind).filter(|workload| workload.has_pod_spec(&json)) else {
            return Ok(TemplateRead::Absent);
        };
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let top = owners.into_iter().flatten().find(|owner| owner.get("controller") == Some(&Value::Bool(true)));
        let is_controlled = top.is_some();
        let top = top.and_then(|owner| {
            let kind = self.find_kind(text(owner, "/apiVersion"), text(owner, "/kind"))?;
            Some((kind, text(owner, "/name").to_owned()))
        });
        let hides = "whether the manifest names a scheduler";
        let top = match top {
            Some((top, name)) => {
                let read = self.reader.access.get(top.api, Some(&namespace), &name, hides).await?;
                Some((read, self.workload_of(top)))
            }
            None => None,
        };
        let own = (&workload, &*json);
        let source = match &top {
            Some((Found::NotSeen, _)) => None,
            Some((Found::Object(json), Some(workload))) => {
                let top: Value = serde_json::from_str(json)?;
                is_latest(&object, &top, workload).then_some((workload, &**json))
            }
            _ => Some(own),
        };
        let template = Template::read(format!("{} {name}", kind.name), own, source)?;
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
        let generation = number("/metadata/generation");
        // The status is of this generation, or of an earlier one.
        let is_observed = generation.is_some() && number("/status/observedGeneration") == generation;
        let revision =
            Some(text(&object, "/status/updateRevision")).filter(|revision| !revision.is_empty() && is_observed);
        // The template of a Job is immutable, and that of a ReplicaSet belongs to its Deployment.
        let is_fixed = kind.name == "Job" || (kind.name == "ReplicaSet" && is_controlled);
        let current = workload.path.iter().try_fold(&object, |value, key| value.get(key)).cloned().unwrap_or_default();
        Ok(TemplateRead::Found(Box::new(ControllerTemplate {
            kind,
            template,
            current,
            revision: revision.map(str::to_owned),
            may_change: !is_fixed && generation != Some(1),
        })))
    }
}

fn changed(template: &Template) -> String {
    format!("the template of {} may have changed since the pod was created", template.object)
}

/// Returns true if an object certainly has the present template of its controller, which records the sources of that one only.
fn is_latest(object: &Value, controller: &Value, kind: &Workload) -> bool {
    if controller.pointer("/metadata/generation").and_then(Value::as_u64) == Some(1) {
        return true;
    }
    let revision = |object: &Value| text(object, "/metadata/annotations/deployment.kubernetes.io~1revision").to_owned();
    let is_observed = controller.pointer("/status/observedGeneration") == controller.pointer("/metadata/generation");
    kind.kind == "Deployment" && is_observed && revision(object) == revision(controller)
}

fn is_owned_by(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| text(owner, "/uid") == uid)
}

/// Returns a template without what differs between a revision and its controller.
fn comparable(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(members) = template.as_object_mut() {
        members.remove("$patch");
    }
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.is_null());
    }
    template
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_revision_is_compared_without_the_form_of_a_patch() {
        let spec = json!({"schedulerName": "stork"});
        let revision = json!({"$patch": "replace", "metadata": {"creationTimestamp": null}, "spec": spec});
        assert_eq!(comparable(&revision), comparable(&json!({"metadata": {}, "spec": spec})));
        assert_ne!(comparable(&revision), comparable(&json!({"metadata": {"labels": {"a": "b"}}, "spec": spec})));
    }
}
