//! Objects that would exceed the API server's cost budget for match conditions.

use colocate_harness::Api;
use serde_json::{Map, Value, json};

use super::place::Holder;
use crate::conditions::kind::Kind;
use crate::conditions::shape::volume;
use crate::dry_run::{DryRun, store_all};

/// An entry that causes a finding. It stands where the conditions look last, so that all the rest is evaluated first.
const WRONG: (&str, &str) = ("stork.libopenstorage.org/preferLocalNodeOnly", "yes");

/// A number of keys of that length, in annotations and again in labels.
#[derive(Clone, Copy)]
struct Keys {
    count: usize,
    length: usize,
}

/// Returns new large objects.
pub(super) fn creations() -> impl Iterator<Item = DryRun> {
    let pods = [(30, 100, 30), (5, 100, 250), (199, 1, 100), (990, 1, 30), (1_000, 0, 0), (1_001, 0, 0)];
    let pods = pods.into_iter().map(|(volumes, count, length)| {
        Holder::Workload(Kind::Pod).create(&format!("large-{volumes}"), |pod| {
            let claims = (0..volumes).map(|number| ephemeral(number, &Keys { count, length }.metadata("new")));
            pod["spec"]["volumes"] = claims.collect();
            let last = &mut pod["spec"]["volumes"][volumes - 1]["ephemeral"]["volumeClaimTemplate"];
            last["metadata"]["labels"][WRONG.0] = WRONG.1.into();
        })
    });
    let sets = [(300, 10, 40), (40, 4, 100)].into_iter().map(|(count_of_claims, count, length)| {
        Holder::Workload(Kind::StatefulSet).create(&format!("large-{count_of_claims}"), |set| {
            let claim = set["spec"]["volumeClaimTemplates"][0].clone();
            let claims = (0..count_of_claims).map(|number| {
                let mut claim = claim.clone();
                claim["metadata"] = Keys { count, length }.metadata("new");
                claim["metadata"]["name"] = format!("claim-{number}").into();
                claim
            });
            set["spec"]["volumeClaimTemplates"] = claims.collect();
            let last = &mut set["spec"]["volumeClaimTemplates"][count_of_claims - 1]["metadata"];
            last["labels"][WRONG.0] = WRONG.1.into();
        })
    });
    pods.chain(sets)
}

/// Returns changes of all keys at all levels.
pub(super) fn updates(api: &Api) -> Vec<DryRun> {
    let holder = Holder::Workload(Kind::CronJob);
    let all = [Keys { count: 98, length: 250 }, Keys { count: 33, length: 100 }, Keys { count: 90, length: 40 }];
    let old = all.map(|keys| holder.create(&format!("large-{}", keys.count), |job| keys.write(job, "old")));
    let stored = store_all(api, old.into_iter().map(|old| (holder.collection(), old.object)));
    let changed = all.into_iter().zip(stored).map(|(keys, mut job)| {
        keys.write(&mut job, "new");
        job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"][WRONG.0] = WRONG.1.into();
        DryRun::update(&holder.collection(), job)
    });
    changed.collect()
}

impl Keys {
    fn metadata(self, word: &str) -> Value {
        json!({"annotations": self.map(word), "labels": self.map(word)})
    }

    fn map(self, word: &str) -> Map<String, Value> {
        // The name part of a key has at most 63 characters.
        let prefix = self.length.saturating_sub(24);
        let key = |number| format!("{:p<prefix$}/{word}-{number:0>19}", "p");
        (0..self.count).map(|number| (key(number), "v".into())).collect()
    }

    /// Writes the keys at all levels of a `CronJob`.
    fn write(self, job: &mut Value, word: &str) {
        for level in ["", "/spec/jobTemplate", "/spec/jobTemplate/spec/template"] {
            let metadata = job.pointer_mut(&format!("{level}/metadata")).expect("each level has metadata");
            metadata["annotations"] = self.map(word).into();
            metadata["labels"] = self.map(word).into();
        }
    }
}

fn ephemeral(number: usize, metadata: &Value) -> Value {
    let resources = json!({"requests": {"storage": "1Gi"}});
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": resources});
    let mut volume = volume("ephemeral", &json!({"volumeClaimTemplate": {"metadata": metadata, "spec": spec}}));
    volume["name"] = format!("v{number}").into();
    volume
}
