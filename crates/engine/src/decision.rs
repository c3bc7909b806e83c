//! From a request to a decision: the rules, in the order in which they hold.
//!
//! Pods are decided when they are created, whoever owns them. Templates are changed too, so that a person who reads the
//! workload sees what its pods will do, but never where that would roll pods that nobody asked to roll, fail an update, or
//! fight with another writer: each rule below was a rollout, an error or a fight on a real cluster before it was a rule.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use json_patch::Patch;

use super::annotation::{LAST_APPLIED, MIRROR_POD};
use super::claim::ClaimRef;
use super::driver::Driver;
use super::entries::KEPT;
use super::json;
use super::owner::Owner;
use super::owners::Owners;
use super::patch;
use super::pod::{Metadata, Template};
use super::policy::{DEFAULT_SCHEDULER, MissingClaim, Mode, OptOutAnnotation, Policy, Templates};
use super::presence::{Away, Presence};
use super::reason::Reason;
use super::review::{Request, Subject};
use super::warning::Warning;
use super::workload::{Object, Update, Workload};

/// What is done about a request, and why.
#[derive(Debug)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// The scheduler that is set, or would be in `mode: audit`.
    pub scheduler: Option<Arc<str>>,
    /// The change; `None` leaves the object as it is.
    pub patch: Option<Patch>,
    /// What the person who sent the request should know.
    pub warnings: Vec<Warning>,
    /// What was found of each claim, in one line; empty where none was looked at.
    pub found: String,
}

/// How far a request can be decided without knowing any claim.
#[derive(Debug)]
pub enum Step<'r> {
    /// To the end.
    Decided(Decision),
    /// As far as the owners of these claims.
    Resolve(Pending<'r>),
}

/// A decision that waits for the owners of claims.
#[derive(Debug)]
pub struct Pending<'r>(Case<'r>);

impl Decision {
    fn leave(reason: Reason) -> Self {
        Self { reason, scheduler: None, patch: None, warnings: Vec::new(), found: String::new() }
    }
}

impl From<Decision> for Step<'_> {
    fn from(decision: Decision) -> Self {
        Self::Decided(decision)
    }
}

/// Decides a request as far as its claims.
pub fn examine<'r>(policy: &'r Policy, request: &'r Request<'r>) -> Step<'r> {
    if policy.mode == Mode::Off {
        return Decision::leave(Reason::Off).into();
    }
    if request.namespace_opted_out {
        return Decision::leave(Reason::NamespaceOptedOut).into();
    }
    let step = match &request.subject {
        Subject::Other => Decision::leave(unsupported(policy, request)).into(),
        Subject::Unreadable(error) => unreadable(error).into(),
        Subject::Unchanged => Decision::leave(Reason::TemplateUnchanged).into(),
        Subject::Created(workload, object) => match Case::new(policy, request, workload, object) {
            Ok(case) => case.created(),
            Err(reason) => Decision::leave(reason).into(),
        },
        Subject::Updated { workload, new, old_scheduler } => match Case::new(policy, request, workload, new) {
            Ok(case) => case.updated(old_scheduler.as_deref()),
            Err(reason) => Decision::leave(reason).into(),
        },
    };
    match step {
        Step::Decided(decision) => policy.carry_out(decision).into(),
        pending @ Step::Resolve(_) => pending,
    }
}

fn unsupported(policy: &Policy, request: &Request<'_>) -> Reason {
    let kind = &request.kind;
    match policy.workloads.find(&kind.group, &kind.version, &kind.kind) {
        Some(_) => Reason::UnsupportedOperation,
        None => Reason::UnsupportedKind,
    }
}

fn unreadable(error: &serde_json::Error) -> Decision {
    let text = format_args!("the object is left as it is, since its pod template cannot be read: {error}");
    let warnings = vec![Warning::new(Reason::Unreadable.as_str(), text)];
    Decision { warnings, ..Decision::leave(Reason::Unreadable) }
}

/// One object with a pod template, and what the rules ask about it.
#[derive(Debug)]
struct Case<'r> {
    policy: &'r Policy,
    workload: &'r Workload,
    object: &'r Object<'r>,
    template: &'r Template<'r>,
    opt_out: OptOutAnnotation<'r>,
    dry_run: bool,
    /// The scheduler that the update took away, where it is to be put back.
    taken_away: Option<&'r str>,
}

impl<'r> Case<'r> {
    fn new(
        policy: &'r Policy,
        request: &'r Request<'r>,
        workload: &'r Workload,
        object: &'r Object<'r>,
    ) -> Result<Self, Reason> {
        if policy.templates == Templates::Leave && !workload.is_pod() {
            return Err(Reason::TemplatesLeft);
        }
        let template = object.template.as_ref().filter(|template| template.spec().is_some());
        let template = template.ok_or(Reason::NoTemplate)?;
        let opt_out = policy.opt_out.read(|key| template.annotations()?.raw(key));
        Ok(Self { policy, workload, object, template, opt_out, dry_run: request.dry_run, taken_away: None })
    }

    fn created(self) -> Step<'r> {
        match self.left_alone().or_else(|| self.names_scheduler()) {
            Some(reason) => self.leave(reason).into(),
            None => self.resolve(),
        }
    }

    fn updated(mut self, old_scheduler: Option<&'r str>) -> Step<'r> {
        self.taken_away = old_scheduler
            .filter(|old| self.policy.drivers.schedule_with(old))
            .filter(|_| !self.names_driver() && self.policy.replaceable.allow(self.template.scheduler()));
        if self.workload.update() == Update::Refused {
            // A second `kubectl apply` of a file that says `default-scheduler` asks for a change that the API server would
            // refuse. There is nothing else that could still be decided: not even a driver's own opt-out changes a pod.
            return match self.taken_away {
                Some(scheduler) => self.keep(scheduler, String::new()).into(),
                None => Decision::leave(Reason::Immutable).into(),
            };
        }
        self.created()
    }

    /// Objects that no scheduler places, or that another writer owns.
    fn left_alone(&self) -> Option<Reason> {
        let metadata = self.object.metadata();
        let spec = self.template.spec()?;
        let controller = metadata.and_then(Metadata::controller);
        if self.workload.is_pod() {
            if self.template.annotations().is_some_and(|annotations| annotations.contains(MIRROR_POD)) {
                return Some(Reason::MirrorPod);
            }
        } else if controller.is_some() {
            return Some(Reason::ControllerOwned);
        }
        if spec.node_name().is_some() {
            return Some(Reason::NodeNameSet);
        }
        if spec.scheduling_group {
            return Some(Reason::SchedulingGroup);
        }
        None
    }

    /// What the object says about its scheduler, in its own words.
    fn names_scheduler(&self) -> Option<Reason> {
        if self.names_driver() {
            return Some(match self.opt_out.set {
                Some(_) => Reason::OptOutWithoutEffect,
                None => Reason::AlreadySet,
            });
        }
        if !self.policy.replaceable.allow(self.template.scheduler()) {
            return Some(Reason::OtherScheduler);
        }
        if self.opt_out.set.is_some() {
            return Some(Reason::OptedOut);
        }
        if self.owner_opted_out() {
            return Some(Reason::OwnerOptedOut);
        }
        if self.workload.is_pod() {
            return None;
        }
        self.source_names_scheduler().then_some(Reason::SourceNamesScheduler)
    }

    /// Whether the pod's controller, or the workload itself, is of a kind that is left alone.
    fn owner_opted_out(&self) -> bool {
        self.policy.opts_out_by_owner(self.workload, self.object)
    }

    /// Whether it names a driver's scheduler.
    fn names_driver(&self) -> bool {
        self.template.scheduler().is_some_and(|scheduler| self.policy.drivers.schedule_with(scheduler))
    }

    /// Whether the manifest that the template comes from names `schedulerName`: what Git says must stay what the cluster
    /// says, or the two differ for ever.
    fn source_names_scheduler(&self) -> bool {
        let Some(metadata) = self.object.metadata() else { return false };
        let last_applied = || {
            let annotations = metadata.annotations.as_ref()?;
            // Letters are never escaped by the encoders that write this annotation, so that most need not be decoded.
            annotations.raw(LAST_APPLIED).filter(|raw| raw.get().contains("schedulerName"))?;
            annotations.get(LAST_APPLIED)
        };
        if last_applied().is_some_and(|manifest| json::names(&manifest, &self.scheduler_path(""))) {
            return true;
        }
        let mut applied = metadata.applied_fields().peekable();
        // Few objects have an applier: the others need no path.
        applied.peek().is_some() && {
            let path = self.scheduler_path("f:");
            applied.any(|fields| json::names(fields, &path))
        }
    }

    /// The keys that lead from the object to `schedulerName`, each behind `prefix`.
    fn scheduler_path(&self, prefix: &str) -> Vec<Cow<'r, str>> {
        let keys = self.workload.path().iter().map(AsRef::as_ref).chain(["spec", "schedulerName"]);
        keys.map(|key| if prefix.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{prefix}{key}")) })
            .collect()
    }

    fn resolve(self) -> Step<'r> {
        if !self.object.has_claims() {
            return self.leave(Reason::NoClaims).into();
        }
        Step::Resolve(Pending(self))
    }

    fn leave(&self, reason: Reason) -> Decision {
        let mut warnings = self.opt_out_warnings();
        if reason == Reason::OptOutWithoutEffect {
            let key = self.opt_out.set.unwrap_or_default();
            let scheduler = self.template.scheduler().unwrap_or_default();
            let text = format_args!(
                "{key} opts out, but schedulerName is {scheduler}, which still schedules the pods; to leave it, write schedulerName: {DEFAULT_SCHEDULER}"
            );
            warnings.push(Warning::new(reason.as_str(), text));
        }
        Decision { warnings, ..Decision::leave(reason) }
    }

    fn opt_out_warnings(&self) -> Vec<Warning> {
        let Some((key, value)) = &self.opt_out.invalid else { return Vec::new() };
        let text =
            format_args!("{key} is {value}, which is no boolean: it opts nothing out; write \"true\" to opt out");
        vec![Warning::new("opt-out-invalid", text)]
    }

    fn inject(&self, reason: Reason, scheduler: &Arc<str>, found: String) -> Decision {
        Decision {
            reason,
            scheduler: Some(scheduler.clone()),
            patch: Some(patch::set_scheduler(self.workload.path(), scheduler)),
            warnings: self.opt_out_warnings(),
            found,
        }
    }

    /// Sets the scheduler of a driver, as far as the driver's policies allow where it is not there.
    fn give(&self, reason: Reason, driver: &Driver, presence: Presence, found: String) -> Decision {
        let (away, skipped) = match presence {
            Presence::Unknown | Presence::Alive => return self.inject(reason, &driver.scheduler, found),
            Presence::Absent => (driver.when_absent, Reason::SchedulerAbsent),
            Presence::Stale => (driver.when_stale, Reason::SchedulerStale),
        };
        let (is_pod, scheduler) = (self.workload.is_pod(), &driver.scheduler);
        if away == Away::Inject {
            let who = if is_pod { "the pod stays" } else { "its pods stay" };
            let text = format_args!("no scheduler `{scheduler}` is alive: {who} Pending until it is back");
            let mut decision = self.inject(reason, scheduler, found);
            decision.warnings.push(Warning::new("scheduler-away", text));
            return decision;
        }
        let own = self.template.scheduler().unwrap_or(DEFAULT_SCHEDULER);
        let then = if is_pod {
            "which cannot be changed later: start it, then create the pod again"
        } else {
            "and so do pods created before it is back: they cannot be changed later"
        };
        let who = if is_pod { "pod" } else { "template" };
        let text = format_args!("no scheduler `{scheduler}` is alive; the {who} keeps scheduler {own}, {then}");
        let mut warnings = self.opt_out_warnings();
        warnings.push(Warning::new(skipped.as_str(), text));
        Decision { warnings, found, ..Decision::leave(skipped) }
    }

    fn keep(&self, scheduler: &str, found: String) -> Decision {
        self.inject(Reason::Kept, &scheduler.into(), found)
    }
}

impl<'r> Pending<'r> {
    /// The claims whose owners are asked for. There may be a million of them.
    pub fn claims(&self) -> impl Iterator<Item = ClaimRef<'r>> + use<'r> {
        let object = self.0.object;
        object.claims()
    }

    /// Looks up their owners, and keeps those that can make a difference.
    pub fn look_up(&self, owner: impl FnMut(&ClaimRef<'r>) -> Owner) -> Owners<'r> {
        Owners::look_up(self.0.policy, self.claims(), owner)
    }

    /// Whether it is worth waiting for a claim that does not exist yet. A template's pods will be asked about again, and
    /// neither a dry run nor an audit must cost anyone time.
    pub fn may_wait(&self) -> bool {
        self.0.workload.is_pod() && !self.0.dry_run && self.0.policy.mode == Mode::Inject
    }

    /// Whether one of these owners is a driver, so that no other claim needs to be waited for.
    pub fn has_driver<'o>(&self, owners: impl IntoIterator<Item = &'o Owner>) -> bool {
        owners.into_iter().any(|owner| self.0.policy.driver_of(owner).is_some())
    }

    /// Decides, with the owners of its [`claims`](Self::claims) and with what is known of the scheduler of a driver.
    pub fn decide(self, owners: &Owners<'_>, presence: impl Fn(&Driver) -> Presence) -> Decision {
        let policy = self.0.policy;
        let found = self.found(owners);
        let decision = match self.0.taken_away {
            // Whether the scheduler is there makes no difference: leaving it out would roll the pods.
            Some(scheduler) => self.put_back(scheduler, owners, found),
            None => self.choose(owners, presence, found),
        };
        policy.carry_out(decision)
    }

    /// An update took the driver's scheduler away: `kubectl replace` of the original file does so, and must not roll the
    /// pods. Only claims that are all known, and none of them a driver's, let it go.
    fn put_back(&self, scheduler: &str, owners: &Owners<'_>, found: String) -> Decision {
        let known = owners.iter().all(|(_, owner)| !owner.is_incomplete());
        if known && !self.has_driver(owners.iter().map(|(_, owner)| owner)) {
            return Decision { found, ..self.0.leave(Reason::NoDriver) };
        }
        self.0.keep(scheduler, found)
    }

    fn choose(&self, owners: &Owners<'_>, presence: impl Fn(&Driver) -> Presence, found: String) -> Decision {
        let policy = self.0.policy;
        let drivers = owners.iter().filter_map(|(_, owner)| policy.driver_of(owner));
        if let Some((_, driver)) = drivers.clone().min_by_key(|(rank, _)| *rank) {
            let mut decision = self.0.give(Reason::Injected, driver, presence(driver), found);
            // Two drivers may share one scheduler, which then knows the data of both.
            let other = drivers.clone().find(|(_, other)| other.scheduler != driver.scheduler);
            if let Some((_, other)) = other.filter(|_| decision.scheduler.is_some()) {
                decision.warnings.push(two_drivers(driver, other));
            }
            return decision;
        }
        let mut reason = Reason::NoDriver;
        let mut warnings = self.0.opt_out_warnings();
        if let Some((claim, _)) = owners.iter().find(|(_, owner)| matches!(owner, Owner::Missing)) {
            let fallback = policy.drivers.first().filter(|_| policy.missing_claim == MissingClaim::Inject);
            if let Some(driver) = fallback.filter(|_| self.0.workload.is_pod()) {
                return self.0.give(Reason::InjectedMissing, driver, presence(driver), found);
            }
            reason = Reason::ClaimMissing;
            warnings.extend(self.pod_warning(reason, format_args!("{claim} does not exist")));
        } else if let Some((claim, why)) = owners.iter().find_map(|(claim, owner)| match owner {
            Owner::Unknown(why) => Some((claim, why)),
            _ => None,
        }) {
            reason = Reason::ClaimUnknown;
            warnings.extend(self.pod_warning(reason, format_args!("{claim}: {why}")));
        }
        Decision { warnings, found, ..Decision::leave(reason) }
    }

    /// A template earns none: its claims may come before its pods do.
    fn pod_warning(&self, reason: Reason, what: std::fmt::Arguments<'_>) -> Option<Warning> {
        let scheduler = self.0.template.scheduler().unwrap_or(DEFAULT_SCHEDULER);
        let text = format_args!(
            "{what}; the pod keeps scheduler {scheduler}, which cannot be changed later: mend this, then create the pod again"
        );
        self.0.workload.is_pod().then(|| Warning::new(reason.as_str(), text))
    }

    /// What is said of each claim; where there are more of them than anyone would read, of the first ones, and of those
    /// that decide.
    fn found(&self, owners: &Owners<'_>) -> String {
        let mut line = String::with_capacity((USUAL_FOUND * owners.iter().len()).min(MOST_FOUND));
        let mut more = owners.left_some_out();
        for (place, (claim, owner)) in owners.iter().enumerate() {
            let driver = self.0.policy.driver_of(owner).map(|(_, driver)| driver);
            if line.len() >= MOST_FOUND || (place >= KEPT && driver.is_none()) {
                more = true;
                continue;
            }
            if !line.is_empty() {
                line.push_str("; ");
            }
            // Writing to a String cannot fail.
            let _ = write!(line, "{claim}: ");
            let _ = match owner {
                Owner::Provisioner { class, provisioner } => {
                    if let Some(class) = class {
                        let _ = write!(line, "class {class}, ");
                    }
                    let driver = driver.map_or("none", |driver| &driver.name);
                    write!(line, "provisioner {provisioner}, driver {driver}")
                }
                Owner::Nobody => write!(line, "bound to a volume of no driver"),
                Owner::Missing => write!(line, "missing"),
                Owner::Unknown(why) => write!(line, "unknown: {why}"),
            };
        }
        if more {
            line.push_str("; and more");
        }
        line
    }
}

/// The bytes of what is said of a claim by class: it is seldom longer.
const USUAL_FOUND: usize = 128;

/// Where what is said of all claims together ends, in bytes: it goes into the API server's audit log, and whoever may create
/// one object can name 100,000 in it.
const MOST_FOUND: usize = KEPT * USUAL_FOUND;

fn two_drivers(winner: &Driver, other: &Driver) -> Warning {
    let (name, scheduler, other) = (&winner.name, &winner.scheduler, &other.name);
    let text = format_args!(
        "claims of {name} and {other} in one pod: {scheduler} schedules it, and knows nothing of {other}'s data; use one driver a pod"
    );
    Warning::new("two-drivers", text)
}

impl Policy {
    /// Whether the pod's controller, or the workload itself, is of a kind that is left alone.
    pub fn opts_out_by_owner(&self, workload: &Workload, object: &Object<'_>) -> bool {
        if !workload.is_pod() {
            return self.opt_out.covers(workload.group(), workload.kind());
        }
        let controller = object.metadata().and_then(Metadata::controller);
        controller.is_some_and(|owner| self.opt_out.covers(owner.group(), owner.kind()))
    }

    /// The driver that Stork belongs to: the one that owns Portworx' volumes, or else the built-in one.
    pub fn portworx(&self) -> Driver {
        let built_in = Driver::portworx();
        let owner = built_in.provisioners.iter().find_map(|provisioner| self.drivers.owning(provisioner));
        owner.map_or(built_in.clone(), |(_, driver)| driver.clone())
    }

    pub(crate) fn driver_of(&self, owner: &Owner) -> Option<(usize, &Driver)> {
        match owner {
            Owner::Provisioner { provisioner, .. } => self.drivers.owning(provisioner),
            Owner::Nobody | Owner::Missing | Owner::Unknown(_) => None,
        }
    }

    /// In `mode: audit` nothing is changed, and nobody is told.
    fn carry_out(&self, decision: Decision) -> Decision {
        if self.mode != Mode::Audit {
            return decision;
        }
        let reason = match decision.reason {
            Reason::Injected | Reason::InjectedMissing => Reason::WouldInject,
            Reason::Kept => Reason::WouldKeep,
            other => other,
        };
        Decision { reason, patch: None, warnings: Vec::new(), ..decision }
    }
}

#[cfg(test)]
mod tests;
