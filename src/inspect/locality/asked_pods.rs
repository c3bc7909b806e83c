//! Pods whose data only the extender of a scheduler can locate. It is called for one pod at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Layouts;
use super::extender_call::{CandidateNodes, before_placement};
use super::pod_list::{JudgedPod, PodList};
use crate::api::ApiError;
use crate::inspect::access::Access;
use crate::locality::{Gap, Replicas, Service};

/// The most pods about which extenders are asked. Each takes two calls, and its JSON is kept until then.
pub(super) const MAX_ASKED: usize = 500;

/// The time after which no further pod is asked about. A fast extender answers about all of them in seconds.
const LONGEST: Duration = Duration::from_mins(2);

/// A pod about which an extender is to be asked.
pub(super) struct AskedPod<'a> {
    pub(super) pod: JudgedPod<'a>,
    pub(super) json: Box<str>,
}

/// The answers about a pod by the names of its drivers.
pub(super) type AnswersByDriver = HashMap<Arc<str>, Result<Replicas, Gap>>;

impl<'a> AskedPod<'a> {
    /// Returns the drivers whose extenders can fill the gaps of a pod; `None` if the pod would stay unknown, or has no gap.
    pub(super) fn drivers(pod: &JudgedPod<'a>, layouts: &Layouts) -> Option<Vec<Arc<str>>> {
        let mut drivers = Vec::new();
        for volume in pod.pod.counted().filter(|volume| volume.replicas.is_err()) {
            // Without a source, the gap is the same for all volumes. Another gap is that of this volume.
            layouts
                .extender(&volume.driver)
                .filter(|_| volume.replicas.as_ref().err() == layouts.gap(&volume.driver))?;
            if !drivers.contains(&volume.driver) {
                drivers.push(volume.driver.clone());
            }
        }
        Some(drivers).filter(|drivers| !drivers.is_empty())
    }
}

/// Asks the extenders about pods. A failure is not repeated for later pods.
///
/// # Errors
/// If the API server does not answer.
pub(super) async fn ask(
    access: &mut Access,
    layouts: &Layouts,
    asked: &[AskedPod<'_>],
    mut progress: impl FnMut(&'static str),
) -> Result<Vec<AnswersByDriver>, ApiError> {
    let mut failed: HashMap<Arc<str>, Gap> = HashMap::new();
    let nodes = if asked.is_empty() { None } else { CandidateNodes::read(access).await? };
    let mut all = Vec::with_capacity(asked.len());
    let begun = Instant::now();
    for AskedPod { pod, json } in asked {
        progress("pods asked about");
        let mut answers = AnswersByDriver::new();
        for driver in AskedPod::drivers(pod, layouts).unwrap_or_default() {
            let Some(service) = layouts.extender(&driver) else { continue };
            let answer = match (failed.get(&driver), &nodes) {
                (Some(gap), _) => Err(gap.clone()),
                (None, None) => Err(Gap::NoPermission("list nodes".into())),
                (None, Some(_)) if begun.elapsed() > LONGEST => {
                    let why = format!("extender {} is too slow to be asked about all pods", service.name);
                    Err(Gap::NoAnswer(why.into()))
                }
                (None, Some(nodes)) => {
                    let Ok(live) = serde_json::from_str::<Value>(json) else { continue };
                    let hides = format!("where the volumes of driver {driver} have their data");
                    match nodes.ask(access, service, &before_placement(&live), &hides).await? {
                        Ok(answers) => match (pod.pod.scored(&driver), answers.refusal) {
                            (_, Some(message)) => Err(refused(service, &message)),
                            (Some(scored), None) => answers.scores.replicas(scored, &answers.filter),
                            (None, None) => Err(Gap::Scores),
                        },
                        Err(gap) => {
                            failed.insert(driver.clone(), gap.clone());
                            Err(gap)
                        }
                    }
                }
            };
            answers.insert(driver, answer);
        }
        all.push(answers);
    }
    Ok(all)
}

/// The drivers whose extenders answered about a pod.
pub(super) fn answered(answers: &[AnswersByDriver]) -> BTreeSet<Arc<str>> {
    let all = answers.iter().flatten();
    all.filter(|(_, answer)| matches!(answer, Ok(_) | Err(Gap::Scores))).map(|(driver, _)| driver.clone()).collect()
}

fn refused(service: &Service, message: &str) -> Gap {
    Gap::NoAnswer(format!("extender {} refuses the pod: {message}", service.name).into())
}

impl<'a> PodList<'a> {
    /// Counts the pods with the answers about them.
    pub(super) fn add_asked(&mut self, asked: Vec<AskedPod<'a>>, answers: &'a [AnswersByDriver]) {
        for (AskedPod { mut pod, .. }, answers) in asked.into_iter().zip(answers) {
            for volume in &mut pod.pod.volumes {
                if let (Err(gap), Some(answer)) = (&volume.replicas, answers.get(&volume.driver)) {
                    // If the cluster has no extender, the gap of the other sources is the cause.
                    if matches!(answer, Err(Gap::Absent(_))) && *gap != Gap::NotAsked {
                        continue;
                    }
                    volume.replicas = answer.as_ref().map_err(Clone::clone);
                }
            }
            if let Some(locality) = pod.pod.locality() {
                pod.locality = locality;
            }
            self.count(pod);
        }
    }
}
