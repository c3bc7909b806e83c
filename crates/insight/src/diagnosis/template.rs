//! The template that a pod is made from: the scheduler that it names, and the one that its source names.

use std::sync::Arc;

use colocate_engine::{DEFAULT_SCHEDULER, Source, Workload, WorkloadObject};
use serde_json::Value;

/// A pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The object, as in `ReplicaSet web-5d4`.
    pub object: String,
    /// The scheduler that it names.
    pub scheduler: Arc<str>,
    /// The scheduler in its sources; `None` if they are not known.
    pub source: Option<Source>,
}

impl Template {
    /// Reads the template of a live object. Its sources are those that `source` records: the object itself, or its controller;
    /// `None` if that could not be read.
    ///
    /// # Errors
    /// The JSON does not have the structure of the kind.
    pub fn read(
        object: String,
        (workload, json): (&Workload, &str),
        source: Option<(&Workload, &str)>,
    ) -> Result<Self, serde_json::Error> {
        let read = WorkloadObject::parse(json, workload)?;
        let scheduler = read.scheduler().unwrap_or(DEFAULT_SCHEDULER).into();
        let source = source.map(|(workload, json)| Ok(WorkloadObject::parse(json, workload)?.source(workload)));
        let source = source.transpose()?;
        Ok(Self { object, scheduler, source })
    }

    /// Reads an earlier template, of which only the pod template is recorded.
    pub fn of_revision(object: String, template: &Value) -> Self {
        let scheduler = template.pointer("/spec/schedulerName").and_then(Value::as_str);
        Self { object, scheduler: scheduler.unwrap_or(DEFAULT_SCHEDULER).into(), source: None }
    }

    /// Returns the JSON of a pod with the scheduler that its template names, in place of one that a webhook set.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn requested(&self, pod: &str) -> Result<String, serde_json::Error> {
        let mut pod: Value = serde_json::from_str(pod)?;
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("schedulerName".to_owned(), (*self.scheduler).into());
        }
        Ok(pod.to_string())
    }
}
