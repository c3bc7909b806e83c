//! What became of the objects that colocate missed: which of them still exist.
//!
//! Audit logs below the level `RequestResponse` have neither the UID of a new object nor the name that the API server chose. The
//! object is then found by its name or its controller, and by the time of its creation.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use colocate_engine::{Text, object};
use serde::Deserialize;

use super::audit_log::{Identity, MissedObject};
use super::controller::{Controller, controller};

/// The present state of an object that was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It exists.
    Exists(LiveObject),
    /// An object of this name exists, and was created later.
    Recreated,
    /// It does not exist.
    Gone,
    /// The log or the permissions do not suffice to find it.
    Unknown,
}

/// An object of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveObject {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID.
    pub uid: String,
    /// The scheduler, if it is a pod.
    pub scheduler: Option<String>,
    /// The time of its creation.
    created: String,
    generate_name: Option<String>,
    /// The UID of its controller.
    controller: Option<String>,
}

#[derive(Deserialize)]
struct Live<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<LiveMetadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    spec: Option<LiveSpec<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LiveMetadata<'a> {
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(borrow, default)]
    creation_timestamp: Text<'a>,
    #[serde(borrow, default)]
    generate_name: Option<Text<'a>>,
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    controller: Option<Controller<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LiveSpec<'a> {
    #[serde(borrow, default)]
    scheduler_name: Option<Text<'a>>,
}

/// A search for missed objects of one resource among the live ones.
#[derive(Debug)]
pub struct Search<'a> {
    missed: Vec<&'a MissedObject>,
    /// The indexes of the objects with a name, in the order of time, by namespace and name.
    by_name: HashMap<(&'a str, &'a str), Vec<usize>>,
    /// The indexes in `creations` of the other ones.
    by_origin: HashMap<Origin<'a>, usize>,
    creations: Vec<Creations<'a>>,
}

/// The properties that a missed object with a generated name shares with its live object: the namespace, the prefix of the name, the UID of
/// the controller, and the scheduler; `None` if that may be any.
type Origin<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>);

/// The requests that created objects of one origin, for a sweep over the live objects in the order of their creation.
#[derive(Clone, Debug, Default)]
struct Creations<'a> {
    /// The indexes of the missed objects whose request is not reached, by the time of the request, the last one first.
    pending: Vec<usize>,
    /// The responses and the indexes of those whose request is reached, the earliest response first.
    begun: BinaryHeap<Reverse<(&'a str, usize)>>,
    /// The time of the last response.
    end: &'a str,
}

impl<'a> Search<'a> {
    /// Creates a search for objects in the order of time.
    pub fn new(missed: Vec<&'a MissedObject>) -> Self {
        let mut by_name = HashMap::<_, Vec<_>>::new();
        let mut by_origin = HashMap::new();
        let mut creations = Vec::<Creations<'_>>::new();
        for (index, object) in missed.iter().enumerate() {
            if !object.name.ends_with('*') {
                by_name.entry((&*object.namespace, &*object.name)).or_default().push(index);
            } else if let Some(origin) = object.origin() {
                let group = *by_origin.entry(origin).or_insert(creations.len());
                if group == creations.len() {
                    creations.push(Creations::default());
                }
                creations[group].pending.push(index);
                creations[group].end = creations[group].end.max(&object.time);
            }
        }
        for group in &mut creations {
            group.pending.sort_by_key(|index| Reverse(&missed[*index].identity.requested));
        }
        Self { missed, by_name, by_origin, creations }
    }

    /// Returns true if a live object may be a missed one, or has its name.
    pub fn concerns(&self, live: &LiveObject) -> bool {
        self.by_name.contains_key(&(&*live.namespace, &*live.name))
            || self.groups(live).into_iter().flatten().any(|group| {
                let Creations { pending, end, .. } = &self.creations[group];
                let first = pending.last().map(|index| &*self.missed[*index].identity.requested);
                first.is_some_and(|first| second(first) <= second(&live.created))
                    && second(&live.created) <= second(end)
            })
    }

    /// Returns the fate of each missed object. `live` has all live objects that [`concern`](Self::concerns) it.
    pub fn fates(&self, mut live: Vec<LiveObject>) -> Vec<Fate> {
        let mut fates: Vec<_> = self.missed.iter().map(|missed| missed.without_live()).collect();
        let mut creations = self.creations.clone();
        live.sort_by(|one, other| one.created.cmp(&other.created));
        for live in live {
            let named = self.by_name.get(&(&*live.namespace, &*live.name)).map_or(&[][..], Vec::as_slice);
            let mut is_found = false;
            for (position, index) in named.iter().copied().enumerate().rev() {
                fates[index] = self.missed[index].fate_by_name(&live);
                let exists = matches!(fates[index], Fate::Exists(_));
                is_found |= exists;
                // There is one object of a name at a time: those of earlier requests were deleted.
                if exists && self.missed[index].creates {
                    named[..position].iter().for_each(|earlier| fates[*earlier] = Fate::Recreated);
                    break;
                }
            }
            if is_found {
                continue;
            }
            // Creation times have a resolution of one second, so several requests may match. The one that ended first is used,
            // because it cannot match an object that was created later.
            let first = self.groups(&live).into_iter().flatten().filter_map(|group| {
                let (time, index) = creations[group].earliest(second(&live.created), &self.missed)?;
                Some((time, index, group))
            });
            if let Some((_, index, group)) = first.min() {
                creations[group].begun.pop();
                fates[index] = Fate::Exists(live);
            }
        }
        fates
    }

    /// Returns the indexes in `creations` of the two origins that a live object can have.
    fn groups(&self, live: &LiveObject) -> [Option<usize>; 2] {
        let prefix = live.generate_name.as_deref().unwrap_or_default();
        let group =
            |scheduler| self.by_origin.get(&(&*live.namespace, prefix, live.controller.as_deref(), scheduler)).copied();
        [group(None), live.scheduler.as_deref().and_then(|scheduler| group(Some(scheduler)))]
    }
}

impl<'a> Creations<'a> {
    /// Returns the earliest response to a request during which a live object may have been created, and the index of the missed
    /// object. `created` is its creation time in whole seconds. It must not decrease from call to call.
    fn earliest(&mut self, created: &str, missed: &[&'a MissedObject]) -> Option<(&'a str, usize)> {
        while let Some(index) = self.pending.pop_if(|index| second(&missed[*index].identity.requested) <= created) {
            self.begun.push(Reverse((&missed[index].time, index)));
        }
        while self.begun.peek().is_some_and(|Reverse((time, _))| second(time) < created) {
            self.begun.pop();
        }
        self.begun.peek().map(|Reverse(first)| *first)
    }
}

impl MissedObject {
    /// The fate if no live object has its name or its prefix.
    fn without_live(&self) -> Fate {
        let is_identified = !self.name.ends_with('*') || self.identity.generate_name.is_some();
        if is_identified { Fate::Gone } else { Fate::Unknown }
    }

    fn fate_by_name(&self, live: &LiveObject) -> Fate {
        let is_same = match &self.identity.uid {
            Some(uid) => *uid == live.uid,
            None if self.creates => self.may_have_created(live),
            // It existed before the request.
            None => second(&live.created) <= second(&self.time),
        };
        if is_same {
            Fate::Exists(live.clone())
        } else if second(&live.created) < second(&self.identity.requested) {
            // The log is that of another cluster.
            Fate::Unknown
        } else {
            Fate::Recreated
        }
    }

    /// Returns the origin of an object with a generated name; `None` if the log does not have it.
    fn origin(&self) -> Option<Origin<'_>> {
        let Identity { generate_name, controller, .. } = &self.identity;
        Some((&self.namespace, generate_name.as_deref()?, controller.as_deref(), self.scheduler()))
    }

    /// Returns the scheduler that the live object must have; `None` if it may have any.
    fn scheduler(&self) -> Option<&str> {
        // Another webhook may set any scheduler.
        self.identity.scheduler.as_deref().filter(|_| self.set_by.is_none())
    }

    /// Returns true if the live object was created during the request, and has the scheduler of the request.
    fn may_have_created(&self, live: &LiveObject) -> bool {
        let created = second(&live.created);
        second(&self.identity.requested) <= created
            && created <= second(&self.time)
            && self.scheduler().is_none_or(|scheduler| live.scheduler.as_deref() == Some(scheduler))
    }
}

impl LiveObject {
    /// Reads an object of a list.
    ///
    /// # Errors
    /// The object does not have the structure of its kind.
    pub fn read(item: &str) -> serde_json::Result<Self> {
        let Live { metadata, spec } = serde_json::from_str(item)?;
        let metadata = metadata.unwrap_or_default();
        let text = |text: Option<&Text<'_>>| Text::non_empty(text).map(str::to_owned);
        Ok(Self {
            namespace: metadata.namespace.to_string(),
            name: metadata.name.to_string(),
            uid: metadata.uid.to_string(),
            scheduler: text(spec.as_ref().and_then(|spec| spec.scheduler_name.as_ref())),
            created: metadata.creation_timestamp.to_string(),
            generate_name: text(metadata.generate_name.as_ref()),
            controller: text(metadata.controller.as_ref().map(|controller| &controller.uid)),
        })
    }
}

impl Fate {
    /// The word in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Exists(_) => "exists",
            Self::Recreated => "recreated",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        }
    }
}

/// The second of a time in RFC 3339, which has the resolution of creation times.
fn second(time: &str) -> &str {
    time.get(.."2026-11-30T02:14:07".len()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    /// A pod that a request created from 02:14:`from` to 02:14:`to`.
    fn missed(name: &str, from: &str, to: &str) -> MissedObject {
        let time = |seconds: &str| format!("2026-11-30T02:14:{seconds}00000Z");
        let scheduler = Some("default-scheduler".to_owned());
        MissedObject {
            time: time(to),
            resource: "pods".to_owned(),
            namespace: "db".to_owned(),
            name: name.to_owned(),
            verb: "create".to_owned(),
            creates: true,
            user: String::new(),
            set_by: None,
            audit_id: String::new(),
            identity: Identity { requested: time(from), scheduler, ..Identity::default() },
        }
    }

    fn generated(from: &str, to: &str, controller: &str) -> MissedObject {
        let mut missed = missed("web-*", from, to);
        missed.identity.generate_name = Some("web-".to_owned());
        missed.identity.controller = Some(controller.to_owned());
        missed
    }

    fn pod(name: &str, second: &str, scheduler: &str) -> Value {
        let created = format!("2026-11-30T02:14:{second}Z");
        let metadata =
            json!({"namespace": "db", "name": name, "uid": format!("uid-{name}"), "creationTimestamp": created});
        json!({"metadata": metadata, "spec": {"schedulerName": scheduler}})
    }

    fn owned(name: &str, second: &str, scheduler: &str, controller: &str) -> Value {
        let mut pod = pod(name, second, scheduler);
        pod["metadata"]["generateName"] = "web-".into();
        pod["metadata"]["ownerReferences"] = json!([{"uid": controller, "controller": true}]);
        pod
    }

    /// Returns the name of each object that exists, or the word of its fate.
    fn fates(missed: &[MissedObject], live: &[Value]) -> Vec<String> {
        let search = Search::new(missed.iter().collect());
        let live = live.iter().map(|object| LiveObject::read(&object.to_string()).unwrap());
        let fates = search.fates(live.filter(|live| search.concerns(live)).collect());
        let word = |fate| if let Fate::Exists(live) = fate { live.name } else { fate.as_str().to_owned() };
        fates.into_iter().map(word).collect()
    }

    #[test]
    fn a_named_object_is_found_by_the_time_of_its_creation() {
        let a = || missed("a", "06.9", "07.1");
        let default = "default-scheduler";
        for (live, expected) in [
            (vec![], "gone"),
            (vec![pod("b", "07", default)], "gone"),
            (vec![pod("a", "06", default)], "a"),
            (vec![pod("a", "07", default)], "a"),
            (vec![pod("a", "08", default)], "recreated"),
            // Deleted, and created again within the second, when colocate answered.
            (vec![pod("a", "07", "stork")], "recreated"),
            (vec![pod("a", "05", default)], "unknown"),
        ] {
            assert_eq!(fates(&[a()], &live), [expected], "{live:?}");
        }
        let set = MissedObject { set_by: Some("webhook".to_owned()), ..a() };
        assert_eq!(fates(&[set], &[pod("a", "07", "stork")]), ["a"]);
        let mut without_request = a();
        without_request.identity.scheduler = None;
        assert_eq!(fates(&[without_request], &[pod("a", "07", "stork")]), ["a"]);
    }

    #[test]
    fn a_uid_identifies_an_object_alone() {
        let with = |uid: &str| {
            let mut missed = missed("a", "06.9", "07.1");
            missed.identity.uid = Some(uid.to_owned());
            missed
        };
        let live = [pod("a", "07", "default-scheduler")];
        assert_eq!(fates(&[with("uid-a")], &live), ["a"]);
        assert_eq!(fates(&[with("uid-b")], &live), ["recreated"]);
    }

    #[test]
    fn of_two_objects_of_one_name_the_later_one_exists() {
        let both = [missed("a", "07.1", "07.2"), missed("a", "07.5", "07.6")];
        assert_eq!(fates(&both, &[pod("a", "07", "default-scheduler")]), ["recreated", "a"]);
        let both = [missed("a", "07.1", "07.2"), missed("a", "09.5", "09.6")];
        assert_eq!(fates(&both, &[pod("a", "09", "default-scheduler")]), ["recreated", "a"]);
        let update = |from, to| MissedObject { creates: false, ..missed("a", from, to) };
        let four =
            [missed("a", "07.1", "07.2"), update("07.3", "07.4"), missed("a", "07.5", "07.6"), update("07.7", "07.8")];
        assert_eq!(fates(&four, &[pod("a", "07", "default-scheduler")]), ["recreated", "recreated", "a", "a"]);
    }

    #[test]
    fn times_without_a_fraction_have_the_same_second() {
        let mut plain = missed("a", "06.9", "07.1");
        (plain.identity.requested, plain.time) = ("2026-11-30T02:14:06Z".to_owned(), "2026-11-30T02:14:07Z".to_owned());
        for (second, expected) in [("06", "a"), ("07", "a"), ("08", "recreated"), ("05", "unknown")] {
            assert_eq!(fates(&[plain.clone()], &[pod("a", second, "default-scheduler")]), [expected], "{second}");
        }
    }

    #[test]
    fn a_match_by_name_is_not_also_matched_by_prefix() {
        let whole = missed("web-1", "07.1", "07.2");
        let live = [owned("web-1", "07", "default-scheduler", "rs")];
        assert_eq!(fates(&[whole, generated("07.1", "07.3", "rs")], &live), ["web-1", "gone"]);
    }

    #[test]
    fn an_updated_object_exists_if_it_is_older_than_the_update() {
        let update = || MissedObject { creates: false, ..missed("a", "07.0", "07.1") };
        assert_eq!(fates(&[update(), update()], &[pod("a", "01", "")]), ["a", "a"]);
        assert_eq!(fates(&[update()], &[pod("a", "08", "")]), ["recreated"]);
    }

    #[test]
    fn a_generated_name_is_found_by_the_controller() {
        let default = "default-scheduler";
        let one = || vec![generated("07.1", "07.2", "rs")];
        for (live, expected) in [
            (owned("web-1", "07", default, "rs"), "web-1"),
            (owned("web-1", "08", default, "rs"), "gone"),
            (owned("web-1", "06", default, "rs"), "gone"),
            (owned("web-1", "07", default, "other"), "gone"),
            // colocate answered for this one.
            (owned("web-1", "07", "stork", "rs"), "gone"),
            (pod("web-1", "07", default), "gone"),
        ] {
            assert_eq!(fates(&one(), std::slice::from_ref(&live)), [expected], "{live}");
        }
        // The level Metadata does not identify it.
        assert_eq!(fates(&[missed("*", "07.1", "07.2")], &[owned("web-1", "07", default, "rs")]), ["unknown"]);
    }

    #[test]
    fn a_live_object_matches_at_most_one_missed_object() {
        let default = "default-scheduler";
        let three = [generated("07.1", "07.2", "rs"), generated("07.3", "08.1", "rs"), generated("08.2", "08.3", "rs")];
        let live = [owned("web-1", "08", default, "rs"), owned("web-2", "07", default, "rs")];
        assert_eq!(fates(&three, &live), ["web-2", "web-1", "gone"]);
        let live = [owned("web-1", "08", default, "rs"), owned("web-2", "08", default, "rs")];
        assert_eq!(fates(&three, &live), ["gone", "web-1", "web-2"]);
    }

    #[test]
    fn an_object_of_any_scheduler_is_found_next_to_those_of_one() {
        let set = MissedObject { set_by: Some("webhook".to_owned()), ..generated("07.1", "07.3", "rs") };
        let three = [generated("07.1", "07.2", "rs"), set, generated("07.1", "07.4", "rs")];
        let live = |name, scheduler| owned(name, "07", scheduler, "rs");
        assert_eq!(fates(&three, &[live("web-1", "stork")]), ["gone", "web-1", "gone"]);
        let default = ["web-1", "web-2", "web-3"].map(|name| live(name, "default-scheduler"));
        assert_eq!(fates(&three, &default), ["web-1", "web-2", "web-3"]);
    }

    /// The CPU time of this thread, which does not depend on the load.
    fn cpu_time() -> Duration {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    /// If each live object is compared with each missed one, this test takes half a minute of CPU time.
    #[test]
    fn many_objects_of_one_prefix_are_found() {
        const COUNT: usize = 10_000;
        let began = cpu_time();
        let missed = vec![generated("07.1", "07.2", "rs"); COUNT];
        let of = |second: &str, controller: &str| {
            let pod = |number| owned(&format!("web-{number}"), second, "default-scheduler", controller);
            fates(&missed, &(0..COUNT).map(pod).collect::<Vec<_>>())
        };
        assert_eq!(of("07", "rs"), (0..COUNT).map(|number| format!("web-{number}")).collect::<Vec<_>>());
        assert_eq!(of("07", "other"), vec!["gone"; COUNT]);
        assert_eq!(of("08", "rs"), vec!["gone"; COUNT]);
        let ended = cpu_time();
        assert!(ended < began + Duration::from_secs(10), "{began:?} to {ended:?}");
    }
}
