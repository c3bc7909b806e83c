//! The times at which replicas of colocate were ready, as far as live objects show it.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::live_pod::{ContainerStatus, LivePod};
use super::managed_fields::ManagedFields;

/// The times that the Deployment of colocate, its pods and the Events about it show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The number of replicas that it should have.
    pub desired: usize,
    /// The last time at which this number may have been changed.
    pub resized: Option<Timestamp>,
    /// The end of its last rollout.
    pub rolled_out: Option<Timestamp>,
    /// The pods that exist now.
    pub replicas: Vec<Replica>,
    /// The `ReplicaSets`, with the time of their creation.
    pub replica_sets: Vec<(String, Timestamp)>,
    /// The Events about the sizes of its `ReplicaSets`. API servers keep Events for an hour by default.
    pub scalings: Vec<Scaling>,
}

/// A pod of colocate that exists now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The name.
    pub name: String,
    /// The name of its `ReplicaSet`.
    pub replica_set: String,
    /// The creation.
    pub created: Timestamp,
    /// The `Ready` condition and its last transition.
    pub ready: Option<(bool, Timestamp)>,
    /// The time between the end of a container and its next start, for each container that was restarted.
    pub pauses: Vec<(Timestamp, Timestamp)>,
}

/// An Event that a `ReplicaSet` was scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// The name of the `ReplicaSet`.
    pub replica_set: String,
    /// The number of replicas that it was scaled to.
    pub to: usize,
    /// Whether there are more replicas than before.
    pub up: bool,
    /// The times at which it was scaled so.
    pub times: Occurrences,
}

/// The times of an Event. Clients count equal Events instead of writing each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrences {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// The number of times; `None` if it is not exact.
    pub count: Option<u64>,
}

/// The endpoints of the Service that API servers call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The Service, as in `colocate/colocate`.
    pub service: String,
    /// Whether an endpoint is ready.
    pub ready: bool,
    /// Whether an endpoint responds, even if its pod is being deleted: it is used if none is ready.
    pub serving: bool,
    /// The last write to the `EndpointSlices`: they have been as they are since then.
    pub since: Timestamp,
}

/// The availability of replicas at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// A replica was ready.
    Ready(String),
    /// No replica was ready.
    Away(String),
    /// The objects that still exist do not show it.
    Unknown,
}

#[derive(Deserialize)]
struct EndpointSlice {
    metadata: SliceMetadata,
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SliceMetadata {
    #[serde(default)]
    managed_fields: ManagedFields,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    conditions: EndpointConditions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EndpointConditions {
    ready: Option<bool>,
    serving: Option<bool>,
}

impl Replica {
    /// Reads a pod of colocate; `None` if it has no creation time.
    pub fn of(pod: &LivePod<'_>) -> Option<Self> {
        let ready = pod.status.condition("Ready");
        let pauses = pod.status.container_statuses.iter().filter_map(ContainerStatus::pause).collect();
        Some(Self {
            name: pod.metadata.name.clone(),
            replica_set: pod.metadata.controller.as_ref().map(|owner| owner.name.to_string()).unwrap_or_default(),
            created: pod.metadata.creation_timestamp?,
            ready: ready.and_then(|ready| Some((ready.status == "True", ready.last_transition_time?))),
            pauses,
        })
    }

    /// Returns true if it certainly was ready at this time. Times have a resolution of one second.
    fn was_ready(&self, time: Timestamp) -> bool {
        self.ready.is_some_and(|(ready, since)| ready && since < time)
    }

    /// Returns true if it certainly was not ready at this time.
    fn was_not_ready(&self, time: Timestamp) -> bool {
        let not_since = self.ready.is_some_and(|(ready, since)| !ready && since < time);
        let paused = self.pauses.iter().any(|(end, start)| *end < time && time < *start);
        self.created > time || not_since || paused
    }
}

impl Endpoints {
    /// Reads the `EndpointSlices` of a Service; `None` if there are none, or if their last writes are not recorded.
    pub fn of(service: String, slices: &[Value]) -> Option<Self> {
        let slices: Vec<_> = slices.iter().map(EndpointSlice::deserialize).collect::<Result<_, _>>().ok()?;
        let writes: Option<Vec<_>> =
            slices.iter().map(|slice| slice.metadata.managed_fields.last_write(None)).collect();
        let conditions: Vec<_> = slices
            .iter()
            .flat_map(|slice| slice.endpoints.iter().flatten())
            .map(|endpoint| &endpoint.conditions)
            .collect();
        // A condition that is not set counts as true, and `serving` has the value of `ready` then.
        let is_ready = |conditions: &EndpointConditions| conditions.ready != Some(false);
        let ready = conditions.iter().any(|conditions| is_ready(conditions));
        let serving = conditions.iter().any(|conditions| conditions.serving.unwrap_or_else(|| is_ready(conditions)));
        Some(Self { service, ready, serving, since: writes?.into_iter().max()? })
    }

    /// Returns whether a replica was ready at this time; `None` if the endpoints may have been others.
    pub fn at(&self, time: Timestamp) -> Option<Availability> {
        let Self { service, ready, serving, since } = self;
        let text = |what: &str| format!("Service {service} has had {what} endpoint since {since} (EndpointSlices)");
        match (ready, serving) {
            _ if *since >= time => None,
            (true, _) => Some(Availability::Ready(text("a ready"))),
            (false, false) => Some(Availability::Away(text("no ready"))),
            (false, true) => None,
        }
    }
}

impl Occurrences {
    /// Returns true if it may have occurred between these times, or at the first one.
    fn may_be_between(&self, from: Timestamp, to: Timestamp) -> bool {
        let Self { first, last, count } = *self;
        let is_between = |time: Timestamp| from <= time && time < to;
        // The times between the first and the last are not recorded.
        let may_be_inside = count.is_none_or(|count| count > 2) && first < to && from <= last;
        is_between(first) || is_between(last) || may_be_inside
    }
}

impl Scaling {
    /// Reads the message of an Event of a Deployment with the reason `ScalingReplicaSet`: `Scaled down replica set web-5d4 to 0
    /// from 2`, or in newer clusters `... web-5d4 from 2 to 0`.
    pub fn parse(message: &str, times: Occurrences) -> Option<Self> {
        let (up, rest) = match message.strip_prefix("Scaled up replica set ") {
            Some(rest) => (true, rest),
            None => (false, message.strip_prefix("Scaled down replica set ")?),
        };
        let (replica_set, numbers) = rest.split_once(' ')?;
        let words: Vec<_> = numbers.split(' ').collect();
        let to = words.iter().position(|word| *word == "to")?;
        let to = words.get(to + 1)?.parse().ok()?;
        Some(Self { replica_set: replica_set.to_owned(), to, up, times })
    }
}

impl History {
    /// Returns whether a replica was ready at this time.
    pub fn at(&self, time: Timestamp) -> Availability {
        if let Some(replica) = self.replicas.iter().find(|replica| replica.was_ready(time)) {
            let since = replica.ready.map(|(_, since)| since.to_string()).unwrap_or_default();
            return Availability::Ready(format!("colocate's pod {} has been ready since {since}", replica.name));
        }
        if !self.replicas.iter().all(|replica| replica.was_not_ready(time)) {
            return Availability::Unknown;
        }
        if let Some(since) = self.scaled_to_zero(time) {
            let until = self.first_ready_after(time);
            let source = "Events and conditions of its pods";
            return Availability::Away(format!("no replica of colocate was ready from {since} to {until} ({source})"));
        }
        let existed = self.replicas.iter().filter(|replica| replica.created <= time).count();
        // No other replica existed at that time, unless there was a rollout or a change of `replicas` later.
        let settled =
            self.rolled_out.is_some_and(|end| end < time) && self.resized.is_none_or(|resized| resized < time);
        if settled && existed > 0 && existed >= self.desired {
            let until = self.first_ready_after(time);
            let source = "conditions and restarts of its pods";
            return Availability::Away(format!("no replica of colocate was ready at {time}, until {until} ({source})"));
        }
        Availability::Unknown
    }

    /// Returns true if a replica is ready now.
    pub fn has_ready_replica(&self) -> bool {
        self.replicas.iter().any(|replica| replica.ready.is_some_and(|(ready, _)| ready))
    }

    /// Returns the time before `time` at which the last replica was removed, if none was added until then.
    fn scaled_to_zero(&self, time: Timestamp) -> Option<Timestamp> {
        let to_zero = self.scalings.iter().filter(|scaling| !scaling.up && scaling.to == 0);
        let to_zero = to_zero.filter_map(|scaling| Some((scaling, self.last_before(scaling.times, time)?)));
        let (last, since) = to_zero.max_by_key(|(_, since)| *since)?;
        // A step to zero may be of the same second as the last one above it, which is a scaling down, too.
        let is_followed = self.scalings.iter().any(|other| {
            let is_step = !other.up && other.times.last <= since;
            (other.up || other.to != 0) && !is_step && other.times.may_be_between(since, time)
        });
        if is_followed {
            return None;
        }
        // During a rollout or a rollback, another ReplicaSet has the replicas.
        let (_, created) = self.replica_sets.iter().find(|(name, _)| *name == last.replica_set)?;
        let is_newest = self.replica_sets.iter().all(|(name, other)| *name == last.replica_set || other < created);
        let others_grew = self
            .scalings
            .iter()
            .any(|scaling| scaling.up && scaling.replica_set != last.replica_set && scaling.times.last >= *created);
        (is_newest && !others_grew).then_some(since)
    }

    /// Returns the last time before this one at which an Event about a scaling to zero occurred.
    fn last_before(&self, Occurrences { first, last, count }: Occurrences, time: Timestamp) -> Option<Timestamp> {
        if last < time {
            return Some(last);
        }
        // Before the second time, replicas were added, and this was after `time`.
        let is_added = |other: &Scaling| {
            other.up && [other.times.first, other.times.last].iter().any(|up| time <= *up && *up <= last)
        };
        (first < time && count == Some(2) && self.scalings.iter().any(is_added)).then_some(first)
    }

    /// Describes the end of the time without a ready replica.
    fn first_ready_after(&self, time: Timestamp) -> impl fmt::Display + use<> {
        let ready = self.replicas.iter().filter_map(|replica| replica.ready.filter(|(ready, _)| *ready));
        let first = ready.map(|(_, since)| since).filter(|since| *since >= time).min();
        first.map_or_else(|| "now".to_owned(), |first| first.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A time on one day, as in `02:14:07`.
    fn at(time: &str) -> Timestamp {
        format!("2026-11-30T{time}Z").parse().unwrap()
    }

    fn replica(created: &str, ready: Option<(bool, &str)>, pause: Option<(&str, &str)>) -> Replica {
        Replica {
            name: format!("colocate-5d4-{}", &created[..2]),
            replica_set: "colocate-5d4".to_owned(),
            created: at(created),
            ready: ready.map(|(ready, since)| (ready, at(since))),
            pauses: pause.map(|(end, start)| (at(end), at(start))).into_iter().collect(),
        }
    }

    fn history(replicas: Vec<Replica>) -> History {
        History {
            desired: 2,
            resized: Some(at("00:00:00")),
            rolled_out: Some(at("00:10:00")),
            replicas,
            replica_sets: vec![("colocate-5d4".to_owned(), at("00:00:01"))],
            scalings: Vec::new(),
        }
    }

    fn scaling(message: &str, time: &str) -> Scaling {
        counted(message, [time, time], Some(1))
    }

    /// An Event with its first and last time.
    fn counted(message: &str, [first, last]: [&str; 2], count: Option<u64>) -> Scaling {
        Scaling::parse(message, Occurrences { first: at(first), last: at(last), count }).unwrap()
    }

    #[test]
    fn an_event_that_was_counted_hides_the_times_between() {
        let down = || counted("Scaled down replica set colocate-5d4 to 0 from 2", ["02:00:00", "02:00:00"], Some(1));
        let twice = || counted("Scaled down replica set colocate-5d4 to 0 from 2", ["02:00:00", "02:20:00"], Some(2));
        let up = |times, count| counted("Scaled up replica set colocate-5d4 to 2 from 0", times, count);
        let later = |time| scaling("Scaled down replica set colocate-5d4 to 1 from 2", time);
        for (scalings, is_away) in [
            (vec![down()], true),
            (vec![down(), up(["02:10:00", "02:30:00"], Some(2)), later("02:18:00")], false),
            (vec![down(), up(["00:00:01", "02:30:00"], Some(2))], true),
            (vec![down(), up(["00:00:01", "02:30:00"], Some(3))], false),
            (vec![down(), up(["00:00:01", "02:30:00"], None)], false),
            (vec![down(), up(["02:00:00", "02:00:00"], Some(1))], false),
            (vec![down(), later("02:00:00")], true),
            (vec![down(), later("02:00:01")], false),
            // It was scaled to zero twice. Replicas were added after the pod was created, or that is not known.
            (vec![twice(), up(["02:19:00", "02:30:00"], Some(2))], true),
            (vec![twice(), up(["02:10:00", "02:30:00"], Some(2))], false),
            (vec![twice()], false),
        ] {
            let mut found = history(vec![replica("02:30:50", Some((true, "02:31:00")), None)]);
            found.scalings = scalings;
            let state = found.at(at("02:14:07"));
            assert_eq!(matches!(state, Availability::Away(_)), is_away, "{:?}: {state:?}", found.scalings);
        }
    }

    #[test]
    fn a_replica_that_has_been_ready_since_was_ready() {
        let found = history(vec![replica("03:00:00", None, None), replica("01:00:00", Some((true, "01:00:05")), None)]);
        let ready = "colocate's pod colocate-5d4-01 has been ready since 2026-11-30T01:00:05Z";
        assert_eq!(found.at(at("02:14:07")), Availability::Ready(ready.to_owned()));
        // In the same second, either could have been first.
        assert_eq!(found.at(at("01:00:05")), Availability::Unknown);
    }

    #[test]
    fn replicas_that_no_longer_exist_may_have_been_ready() {
        let replicas = vec![replica("03:00:00", Some((true, "03:00:05")), None)];
        assert_eq!(history(replicas).at(at("02:14:07")), Availability::Unknown);
        assert_eq!(history(Vec::new()).at(at("02:14:07")), Availability::Unknown);
    }

    #[test]
    fn a_deployment_that_was_scaled_to_zero_was_away() {
        let mut found = history(vec![replica("02:30:50", Some((true, "02:31:00")), None)]);
        found.scalings = vec![
            scaling("Scaled up replica set colocate-5d4 to 2", "00:00:01"),
            scaling("Scaled down replica set colocate-5d4 to 0 from 2", "02:11:00"),
            scaling("Scaled up replica set colocate-5d4 from 0 to 2", "02:30:50"),
        ];
        let away = "no replica of colocate was ready from 2026-11-30T02:11:00Z to 2026-11-30T02:31:00Z (Events and conditions of its pods)";
        assert_eq!(found.at(at("02:14:07")), Availability::Away(away.to_owned()));
        // Before it was scaled down, and while the new replica started.
        assert_eq!(found.at(at("02:10:00")), Availability::Unknown);
        assert_eq!(found.at(at("02:30:55")), Availability::Unknown);
        // In a rollout or a rollback, the replicas of the other ReplicaSet are ready.
        let mut rollout = found.clone();
        rollout.replica_sets.push(("colocate-6f7".to_owned(), at("02:10:59")));
        assert_eq!(rollout.at(at("02:14:07")), Availability::Unknown);
        found.replica_sets.push(("colocate-4c3".to_owned(), at("00:00:00")));
        assert!(matches!(found.at(at("02:14:07")), Availability::Away(_)));
        found.scalings.push(scaling("Scaled up replica set colocate-4c3 to 2 from 0", "02:10:50"));
        assert_eq!(found.at(at("02:14:07")), Availability::Unknown);
    }

    #[test]
    fn replicas_that_were_all_stopped_were_away() {
        let away = |second: Option<(bool, &str)>, pause: Option<(&str, &str)>| {
            let first = replica("01:00:00", Some((true, "02:31:00")), Some(("02:11:00", "02:30:55")));
            history(vec![first, replica("01:00:01", second, pause)])
        };
        let text = "no replica of colocate was ready at 2026-11-30T02:14:07Z, until 2026-11-30T02:31:00Z (conditions and restarts of its pods)";
        let expected = Availability::Away(text.to_owned());
        assert_eq!(away(Some((true, "02:32:00")), Some(("02:12:00", "02:31:55"))).at(at("02:14:07")), expected);
        assert_eq!(away(Some((false, "02:13:00")), None).at(at("02:14:07")), expected);
        for (ready, pause) in [
            (Some((true, "02:32:00")), None),
            (Some((true, "02:32:00")), Some(("02:15:00", "02:31:55"))),
            // It was started before, and may have been ready for a while.
            (Some((true, "02:32:00")), Some(("02:12:00", "02:13:00"))),
            (Some((false, "02:15:00")), None),
            (None, None),
        ] {
            assert_eq!(away(ready, pause).at(at("02:14:07")), Availability::Unknown, "{ready:?} {pause:?}");
        }
        // A replica is missing, which may have been ready, or a rollout was going on.
        let mut found = away(Some((false, "02:13:00")), None);
        found.desired = 3;
        assert_eq!(found.at(at("02:14:07")), Availability::Unknown);
        found.desired = 2;
        let later = Some(at("02:20:00"));
        assert!(matches!(found.at(at("02:14:07")), Availability::Away(_)));
        let resized = History { resized: later, ..found.clone() };
        let rolled_out = History { rolled_out: later, ..found };
        for found in [resized, rolled_out] {
            assert_eq!(found.at(at("02:14:07")), Availability::Unknown);
        }
    }

    #[test]
    fn endpoint_slices_show_the_present_since_their_last_write() {
        let slice = |time: &str, conditions: &[&Value]| {
            let endpoints: Vec<_> = conditions.iter().map(|conditions| json!({"conditions": conditions})).collect();
            let entry = json!({"manager": "kube-controller-manager", "operation": "Update", "time": at(time)});
            json!({"metadata": {"managedFields": [entry]}, "endpoints": endpoints})
        };
        let read = |slices: &[Value]| Endpoints::of("a/b".to_owned(), slices);
        let state = |slices: &[Value]| read(slices).and_then(|endpoints| endpoints.at(at("02:14:07")));
        let ready = Availability::Ready(format!(
            "Service a/b has had a ready endpoint since {} (EndpointSlices)",
            at("02:11:00")
        ));
        let away = Availability::Away(format!(
            "Service a/b has had no ready endpoint since {} (EndpointSlices)",
            at("02:11:00")
        ));
        let (yes, no) = (json!({"ready": true, "serving": true}), json!({"ready": false, "serving": false}));
        let draining = json!({"ready": false, "serving": true, "terminating": true});
        for (slices, expected) in [
            (vec![slice("02:11:00", &[&no, &yes])], Some(&ready)),
            (vec![slice("02:11:00", &[&json!({})])], Some(&ready)),
            (vec![slice("02:11:00", &[&no])], Some(&away)),
            (vec![slice("02:11:00", &[])], Some(&away)),
            (vec![slice("02:00:00", &[&no]), slice("02:11:00", &[])], Some(&away)),
            (vec![slice("02:11:00", &[&json!({"ready": false})])], Some(&away)),
            (vec![slice("02:00:00", &[&yes]), slice("02:11:00", &[&no])], Some(&ready)),
            // It is used until it ends.
            (vec![slice("02:11:00", &[&draining])], None),
            (vec![slice("02:14:07", &[&no])], None),
            (vec![json!({"metadata": {}, "endpoints": null})], None),
            (vec![], None),
        ] {
            assert_eq!(state(&slices).as_ref(), expected, "{slices:?}");
        }
        assert!(
            !read(&[json!({"metadata": {"managedFields": [{"time": at("02:11:00")}]}, "endpoints": null})])
                .unwrap()
                .serving
        );
    }

    #[test]
    fn both_forms_of_the_message_are_read() {
        let times = Occurrences { first: at("01:00:00"), last: at("01:00:00"), count: Some(1) };
        for (message, expected) in [
            ("Scaled up replica set a-1 to 2", Some((2, true))),
            ("Scaled down replica set a-1 to 0 from 2", Some((0, false))),
            ("Scaled down replica set a-1 from 2 to 1", Some((1, false))),
            ("Scaled replica set a-1 to 2", None),
            ("Scaled up replica set a-1 to many", None),
            ("Scaled up replica set a-1", None),
        ] {
            let found = Scaling::parse(message, times);
            assert_eq!(found.map(|scaling| (scaling.to, scaling.up)), expected, "{message}");
        }
    }
}
