//! The template of a pod's controller, and whether the pod was made from it.

use serde_json::Value;

use super::Explainer;
use crate::insight::{LivePod, Template};
use crate::inspect::why::reader::{Read, text};
use crate::inspect::why::target::TargetKind;

/// The answer to a read of a controller's template.
#[derive(Clone)]
pub(super) enum TemplateRead {
    Found(ControllerTemplate),
    /// The controller has no template, or another one than at the creation of the pod.
    Unknown,
    NotSeen,
}

#[derive(Clone)]
pub(super) struct ControllerTemplate {
    template: Template,
    /// The revision of the template, if the controller keeps several.
    revision: Option<String>,
    /// Whether the template may have changed since the pod was created.
    may_change: bool,
}

impl Explainer<'_> {
    /// Finds the template that a pod was made from, if it is certain, and whether it could not be read.
    pub(super) async fn template_of(&mut self, pod: &LivePod<'_>) -> anyhow::Result<(Option<Template>, bool)> {
        let Some(controller) = &pod.metadata.controller else { return Ok((None, false)) };
        let uid = controller.uid.to_string();
        if !self.templates.contains_key(&uid) {
            let found = match self.find_kind(&controller.api_version, &controller.kind) {
                Some(kind) => self.read_template(kind, &controller.name, &uid).await?,
                None => TemplateRead::Unknown,
            };
            self.templates.insert(uid.clone(), found);
        }
        let revision = pod.metadata.labels.get("controller-revision-hash");
        Ok(match self.templates.get(&uid) {
            Some(TemplateRead::Found(found)) => {
                let is_same = found.revision.is_some() && found.revision.as_ref() == revision;
                ((is_same || !found.may_change).then(|| found.template.clone()), false)
            }
            Some(TemplateRead::NotSeen) => (None, true),
            Some(TemplateRead::Unknown) | None => (None, false),
        })
    }

    async fn read_template(&mut self, kind: TargetKind, name: &str, uid: &str) -> anyhow::Result<TemplateRead> {
        let hides = "which scheduler the pod template names";
        let namespace = self.namespace.clone();
        let json = match self.reader.get(kind.api, Some(&namespace), name, hides).await? {
            Read::Object(json) => json,
            Read::Absent => return Ok(TemplateRead::Unknown),
            Read::NotSeen => return Ok(TemplateRead::NotSeen),
        };
        let object: Value = serde_json::from_str(&json)?;
        // A controller that was created again under the same name has another template.
        if text(&object, "/metadata/uid") != uid {
            return Ok(TemplateRead::Unknown);
        }
        // A custom resource may have no template at the configured path.
        let Some(workload) = self.workload_of(kind).filter(|workload| workload.has_pod_spec(&json)) else {
            return Ok(TemplateRead::Unknown);
        };
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let top = owners.into_iter().flatten().find(|owner| owner.get("controller") == Some(&Value::Bool(true)));
        let top = top.and_then(|owner| {
            let kind = self.find_kind(text(owner, "/apiVersion"), text(owner, "/kind"))?;
            Some((kind, text(owner, "/name").to_owned()))
        });
        let hides = "whether the manifest names a scheduler";
        let top = match top {
            Some((top, name)) => {
                let read = self.reader.get(top.api, Some(&namespace), &name, hides).await?;
                Some((read, self.workload_of(top)))
            }
            None => None,
        };
        let own = (&workload, &*json);
        let source = match &top {
            Some((Read::NotSeen, _)) => None,
            Some((Read::Object(json), Some(workload))) => Some((workload, &**json)),
            _ => Some(own),
        };
        let template = Template::read(format!("{} {name}", kind.name), own, source)?;
        let revision = Some(text(&object, "/status/updateRevision")).filter(|revision| !revision.is_empty());
        // The template of a ReplicaSet or a Job belongs to its controller, and is not edited.
        let may_change = !matches!(kind.name, "ReplicaSet" | "Job")
            && object.pointer("/metadata/generation").and_then(Value::as_u64) != Some(1);
        let revision = revision.map(str::to_owned);
        Ok(TemplateRead::Found(ControllerTemplate { template, revision, may_change }))
    }
}
