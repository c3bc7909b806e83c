//! The rules that lead from a request to a decision, in the order in which they apply.
//!
//! Pods get their scheduler when they are created, regardless of their owner. Templates are changed too, so that a reader of the
//! workload sees the scheduler of its pods. They are not changed where that would trigger a rollout, fail an update, or
//! conflict with another writer. Each rule exists because a real cluster showed the rollout, error or conflict without it.

use std::borrow::Cow;
use std::sync::Arc;

use json_patch::Patch;

use super::annotation::LAST_APPLIED;
use super::claim::ClaimRef;
use super::decode;
use super::driver::Driver;
use super::opt_out::{OptOutKey, OptOutKeys};
use super::owner::{Absence, Owner, Unknown};
use super::owners::Owners;
use super::patch;
use super::pod::Template;
use super::policy::{DEFAULT_SCHEDULER, MissingClaim, Mode, Policy, Templates};
use super::presence::{Away, Presence};
use super::reason::Reason;
use super::review::{Request, RequestedChange};
use super::warning::Warning;
use super::workload::{Update, Workload, WorkloadObject};

/// The answer to a request, and the reason for it.
#[derive(Debug)]
pub struct Decision<'r> {
    /// The reason.
    pub reason: Reason,
    /// The scheduler that is set, or that `mode: audit` would set.
    pub scheduler: Option<Arc<str>>,
    /// The change; `None` if the object is not changed.
    pub patch: Option<Patch>,
    /// Warnings for the person who sent the request.
    pub warnings: Vec<Warning>,
    /// The claims that were looked up, with their owners; empty if none were.
    pub owners: Owners<'r>,
}

/// The result of examining a request before its claims are known.
#[derive(Debug)]
pub enum Examination<'r> {
    /// The decision. No claims need to be looked up.
    Decided(Decision<'r>),
    /// The decision depends on the owners of these claims.
    Resolve(Pending<'r>),
}

/// A decision that waits for the owners of claims.
#[derive(Debug)]
pub struct Pending<'r> {
    candidate: Candidate<'r>,
    question: Question<'r>,
}

/// The question that the owners of the claims answer.
#[derive(Clone, Copy, Debug)]
enum Question<'r> {
    /// Which driver's scheduler to set.
    Choose,
    /// Whether to restore this driver's scheduler, which the update dropped.
    Restore(&'r str),
    /// Whether a claim belongs to the driver of this scheduler, which the object names.
    Check(&'r str),
}

impl Decision<'_> {
    fn leave(reason: Reason) -> Self {
        Self { reason, scheduler: None, patch: None, warnings: Vec::new(), owners: Owners::default() }
    }
}

impl<'r> From<Decision<'r>> for Examination<'r> {
    fn from(decision: Decision<'r>) -> Self {
        Self::Decided(decision)
    }
}

/// Decides a request as far as possible before its claims are known.
pub fn examine<'r>(policy: &'r Policy, request: &'r Request<'r>) -> Examination<'r> {
    if policy.mode == Mode::Off {
        return Decision::leave(Reason::Off).into();
    }
    if request.namespace_opted_out {
        return Decision::leave(Reason::NamespaceOptedOut).into();
    }
    let examination = match &request.change {
        RequestedChange::Other => Decision::leave(unsupported(policy, request)).into(),
        RequestedChange::Unreadable(error) => unreadable(error).into(),
        RequestedChange::Unchanged => Decision::leave(Reason::TemplateUnchanged).into(),
        RequestedChange::Created(workload, object) => match Candidate::new(policy, request, workload, object) {
            Ok(candidate) => candidate.created(),
            Err(reason) => Decision::leave(reason).into(),
        },
        RequestedChange::Updated { workload, new, old_scheduler } => {
            match Candidate::new(policy, request, workload, new) {
                Ok(candidate) => candidate.updated(old_scheduler.as_deref()),
                Err(reason) => Decision::leave(reason).into(),
            }
        }
    };
    match examination {
        Examination::Decided(decision) => policy.apply_mode(decision).into(),
        pending @ Examination::Resolve(_) => pending,
    }
}

fn unsupported(policy: &Policy, request: &Request<'_>) -> Reason {
    let kind = &request.kind;
    match policy.workloads.find(&kind.group, &kind.version, &kind.kind) {
        Some(_) => Reason::UnsupportedOperation,
        None => Reason::UnsupportedKind,
    }
}

fn unreadable(error: &serde_json::Error) -> Decision<'static> {
    let text = format_args!("the object is unchanged because its pod template cannot be read: {error}");
    let warnings = vec![Warning::new(Reason::Unreadable.as_str(), text)];
    Decision { warnings, ..Decision::leave(Reason::Unreadable) }
}

/// An object with a pod template, to which the rules are applied.
#[derive(Debug)]
struct Candidate<'r> {
    policy: &'r Policy,
    workload: &'r Workload,
    object: &'r WorkloadObject<'r>,
    template: &'r Template<'r>,
    opt_out: OptOutKeys<'r>,
    dry_run: bool,
}

impl<'r> Candidate<'r> {
    fn new(
        policy: &'r Policy,
        request: &'r Request<'r>,
        workload: &'r Workload,
        object: &'r WorkloadObject<'r>,
    ) -> Result<Self, Reason> {
        if policy.templates == Templates::Leave && !workload.is_pod() {
            return Err(Reason::TemplatesLeft);
        }
        let template = object.template.as_ref().filter(|template| template.spec.is_some());
        let template = template.ok_or(Reason::NoTemplate)?;
        let opt_out = policy.opt_out.of_object(object);
        Ok(Self { policy, workload, object, template, opt_out, dry_run: request.dry_run })
    }

    fn created(self) -> Examination<'r> {
        self.ask(Question::Choose)
    }

    fn updated(self, old_scheduler: Option<&'r str>) -> Examination<'r> {
        let dropped_scheduler = old_scheduler
            .filter(|old| self.policy.drivers.has_scheduler(old))
            .filter(|_| self.names_driver().is_none() && self.policy.replaceable.allow(self.template.scheduler()));
        if self.workload.update == Update::Refused {
            // Reapplying a file with `schedulerName: default-scheduler` requests a change that the API server would reject.
            // No other rule applies to an immutable object: even an opt-out cannot change an existing pod.
            return match dropped_scheduler {
                Some(scheduler) => self.inject(Reason::Kept, &scheduler.into()).into(),
                None => Decision::leave(Reason::Immutable).into(),
            };
        }
        self.ask(dropped_scheduler.map_or(Question::Choose, Question::Restore))
    }

    /// Applies the rules that need no claim, and asks `question` if none of them decides.
    fn ask(self, question: Question<'r>) -> Examination<'r> {
        let reason = self.exclusion().or_else(|| self.scheduler_or_opt_out());
        let question = match (reason, self.names_driver()) {
            (None, _) => question,
            (Some(Reason::AlreadySet), Some(scheduler)) => Question::Check(scheduler),
            (Some(reason), _) => return self.leave(reason).into(),
        };
        if !self.object.has_claims() {
            return self.leave(reason.unwrap_or(Reason::NoClaims)).into();
        }
        Examination::Resolve(Pending { candidate: self, question })
    }

    /// Returns the reason to skip an object that no scheduler places, or that another writer owns.
    fn exclusion(&self) -> Option<Reason> {
        if self.workload.is_pod() {
            if self.template.is_mirror_pod() {
                return Some(Reason::MirrorPod);
            }
        } else if self.object.controller().is_some() {
            return Some(Reason::ControllerOwned);
        }
        self.template.exclusion()
    }

    /// Returns the reason to skip an object that names its scheduler or opts out.
    fn scheduler_or_opt_out(&self) -> Option<Reason> {
        let reason = self.policy.scheduler_exclusion(self.template, &self.opt_out);
        if reason.is_some() {
            return reason;
        }
        if self.policy.opt_out.covers_object(self.workload, self.object) {
            return Some(Reason::OwnerOptedOut);
        }
        if self.workload.is_pod() {
            return None;
        }
        self.source_names_scheduler().then_some(Reason::SourceNamesScheduler)
    }

    /// Returns the driver's scheduler that it names.
    fn names_driver(&self) -> Option<&'r str> {
        self.template.scheduler().filter(|scheduler| self.policy.drivers.has_scheduler(scheduler))
    }

    /// Returns true if the manifest that the template was applied from sets `schedulerName`. A change would then differ
    /// from Git forever.
    fn source_names_scheduler(&self) -> bool {
        let Some(metadata) = self.object.metadata() else { return false };
        let last_applied = || {
            let annotations = &metadata.annotations;
            // The encoders that write this annotation never escape letters, so an annotation whose raw text lacks
            // `schedulerName` need not be decoded. Most lack it.
            annotations.raw(LAST_APPLIED).filter(|raw| raw.get().contains("schedulerName"))?;
            annotations.get(LAST_APPLIED)
        };
        if last_applied().is_some_and(|manifest| decode::names(&manifest, &self.scheduler_path(""))) {
            return true;
        }
        // Few objects were applied server-side (have `applied_fields`), and the path is needed only for those.
        !metadata.applied_fields.is_empty() && {
            let path = self.scheduler_path("f:");
            metadata.applied_fields.iter().any(|fields| decode::names(fields.get(), &path))
        }
    }

    /// The keys that lead from the object to `schedulerName`, each with `prefix`.
    fn scheduler_path(&self, prefix: &str) -> Vec<Cow<'r, str>> {
        let keys = self.workload.path.iter().map(String::as_str).chain(["spec", "schedulerName"]);
        keys.map(|key| if prefix.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{prefix}{key}")) })
            .collect()
    }

    fn leave(&self, reason: Reason) -> Decision<'r> {
        let mut warnings = self.opt_out_warnings();
        if reason == Reason::OptOutWithoutEffect {
            let key = self.opt_out.set.map_or("", OptOutKey::name);
            let scheduler = self.template.scheduler().unwrap_or_default();
            let text = format_args!(
                "{key} opts out, but schedulerName is still {scheduler}: in addition to the opt-out, set schedulerName: {DEFAULT_SCHEDULER}"
            );
            warnings.push(Warning::new(reason.as_str(), text));
        }
        Decision { warnings, ..Decision::leave(reason) }
    }

    fn opt_out_warnings(&self) -> Vec<Warning> {
        let Some((key, value)) = &self.opt_out.invalid else { return Vec::new() };
        let text = format_args!("{key} is ignored because {value} is not a boolean; use \"true\" to opt out");
        vec![Warning::new("opt-out-invalid", text)]
    }

    fn inject(&self, reason: Reason, scheduler: &Arc<str>) -> Decision<'r> {
        Decision {
            reason,
            scheduler: Some(scheduler.clone()),
            patch: Some(patch::set_scheduler(&self.workload.path, scheduler)),
            warnings: self.opt_out_warnings(),
            owners: Owners::default(),
        }
    }

    /// Sets the scheduler of a driver, unless the scheduler is not running and the driver's policy is to skip.
    fn inject_driver(&self, reason: Reason, driver: &Driver, presence: Presence) -> Decision<'r> {
        let scheduler = &driver.scheduler;
        let (away, skipped, lease) = match presence {
            Presence::Unknown | Presence::Alive => return self.inject(reason, scheduler),
            Presence::Absent(lease) => {
                (driver.when_absent, Reason::SchedulerAbsent, format!("there is no Lease {lease}"))
            }
            Presence::Stale(lease) => {
                (driver.when_stale, Reason::SchedulerStale, format!("Lease {lease} is not renewed"))
            }
        };
        let is_pod = self.workload.is_pod();
        if away == Away::Inject {
            let who = if is_pod { "the pod stays" } else { "its pods stay" };
            let text = format_args!("scheduler `{scheduler}` is not running ({lease}): {who} Pending until it is back");
            let mut decision = self.inject(reason, scheduler);
            decision.warnings.push(Warning::new("scheduler-away", text));
            return decision;
        }
        let own = self.template.scheduler().unwrap_or(DEFAULT_SCHEDULER);
        let consequence = if is_pod {
            format!(
                "; the pod keeps scheduler {own}, which cannot be changed later: start `{scheduler}`, then create the pod again"
            )
        } else {
            format!(
                ": start it. The template keeps scheduler {own}, and pods created before `{scheduler}` runs keep {own} permanently"
            )
        };
        let text = format_args!("scheduler `{scheduler}` is not running ({lease}){consequence}");
        let mut warnings = self.opt_out_warnings();
        warnings.push(Warning::new(skipped.as_str(), text));
        Decision { warnings, ..Decision::leave(skipped) }
    }
}

impl<'r> Pending<'r> {
    /// The claims that need an owner. There may be a million of them.
    pub fn claims(&self) -> impl Iterator<Item = ClaimRef<'r>> + use<'r> {
        let object = self.candidate.object;
        object.claims()
    }

    /// Looks up their owners, and keeps those that can affect the decision.
    pub fn look_up(&self, owner: impl FnMut(&ClaimRef<'r>) -> Owner) -> Owners<'r> {
        Owners::look_up(self.candidate.policy, self.claims(), owner)
    }

    /// Returns true if it is worth waiting for a claim that does not exist yet. A template's pods are reviewed later, and a
    /// dry run, `mode: audit` or a mere warning must not delay a request.
    pub fn may_wait(&self) -> bool {
        let Self { candidate, question } = self;
        let can_change = !matches!(question, Question::Check(_));
        can_change && candidate.workload.is_pod() && !candidate.dry_run && candidate.policy.mode == Mode::Inject
    }

    /// The UID of the controller that creates the pod.
    pub fn controller_uid(&self) -> Option<&str> {
        self.candidate.object.controller()?.uid()
    }

    /// Returns true if one of these owners decides the request, so that no other claim is worth a lookup: a driver whose
    /// scheduler recognizes the claim, or the driver whose scheduler the object names or named.
    pub fn has_driver<'o>(&self, owners: impl IntoIterator<Item = &'o Owner>) -> bool {
        let policy = self.candidate.policy;
        let mut owners = owners.into_iter();
        match self.question {
            Question::Choose => owners.any(|owner| policy.recognising_driver(owner).is_some()),
            Question::Restore(scheduler) | Question::Check(scheduler) => {
                owners.filter_map(|owner| policy.driver_of(owner)).any(|(_, driver)| *driver.scheduler == *scheduler)
            }
        }
    }

    /// Decides with the owners of its [`claims`](Self::claims) and the presence of each driver's scheduler.
    pub fn decide(self, mut owners: Owners<'r>, presence: impl Fn(&Driver) -> Presence) -> Decision<'r> {
        let policy = self.candidate.policy;
        let decision = match self.question {
            Question::Choose => self.choose(&owners, presence),
            Question::Restore(scheduler) => self.restore(scheduler, &owners, presence),
            Question::Check(scheduler) => self.check(scheduler, &owners),
        };
        owners.set_drivers(policy);
        policy.apply_mode(Decision { owners, ..decision })
    }

    /// Restores the driver's scheduler after an update that dropped it. `kubectl replace` of the original file drops it, and
    /// must not trigger a rollout. The update is treated like a new object only if all claims are known and none
    /// belongs to that driver: then the object's data moved to another driver.
    fn restore(&self, scheduler: &str, owners: &Owners<'_>, presence: impl Fn(&Driver) -> Presence) -> Decision<'r> {
        let Some(own) = self.driver_with_claim(scheduler, owners) else {
            if is_known(owners) {
                return self.choose(owners, presence);
            }
            return self.candidate.inject(Reason::Kept, &scheduler.into());
        };
        // Restored even if the scheduler is not running: dropping it would trigger a rollout.
        let mut decision = self.candidate.inject(Reason::Kept, &own.scheduler);
        decision.warnings.extend(self.two_drivers(own, owners));
        decision
    }

    /// Checks the driver's scheduler that the object names. It is never changed, because it may be intended.
    fn check(&self, scheduler: &str, owners: &Owners<'_>) -> Decision<'r> {
        let mut decision = self.candidate.leave(Reason::AlreadySet);
        let warning = match self.driver_with_claim(scheduler, owners) {
            Some(own) => self.two_drivers(own, owners),
            None if is_known(owners) => self.scheduler_without_claim(scheduler, owners),
            None => None,
        };
        decision.warnings.extend(warning);
        decision
    }

    fn choose(&self, owners: &Owners<'_>, presence: impl Fn(&Driver) -> Presence) -> Decision<'r> {
        let policy = self.candidate.policy;
        if let Some(driver) = self.first_driver(owners) {
            let mut decision = self.candidate.inject_driver(Reason::Injected, driver, presence(driver));
            if decision.scheduler.is_some() {
                decision.warnings.extend(self.two_drivers(driver, owners));
            }
            return decision;
        }
        let first = |kind: fn(&Owner) -> bool| owners.iter().find(|(_, owner)| kind(owner));
        let missing = first(|owner| *owner == Owner::Missing);
        let unreadable = first(|owner| *owner == Owner::Unknown(Unknown::ClaimUnreadable));
        let fallback = policy.drivers.0.first().filter(|_| policy.missing_claim == MissingClaim::Inject);
        if let (Some(driver), Some(_)) = (fallback.filter(|_| self.candidate.workload.is_pod()), missing.or(unreadable))
        {
            return self.candidate.inject_driver(Reason::InjectedMissing, driver, presence(driver));
        }
        let unresolved = missing.or(unreadable).or_else(|| first(Owner::is_incomplete));
        let reason = match unresolved {
            Some((_, Owner::Missing)) => Reason::ClaimMissing,
            Some((_, Owner::Unknown(Unknown::ClaimUnreadable | Unknown::VolumeUnreadable(_)))) => {
                Reason::ClaimUnreadable
            }
            Some(_) => Reason::ClaimUnknown,
            None if owners.iter().any(|(_, owner)| policy.driver_of(owner).is_some()) => Reason::NotRecognised,
            None => Reason::NoDriver,
        };
        let gap = unresolved.and_then(|(claim, owner)| owner.gap(claim, Absence::default()));
        let mut warnings = self.candidate.opt_out_warnings();
        warnings.extend(gap.and_then(|gap| self.pod_warning(reason, &gap)));
        Decision { warnings, ..Decision::leave(reason) }
    }

    /// Warns about a pod, but not about a template, whose claims may be created before its pods.
    fn pod_warning(&self, reason: Reason, gap: &str) -> Option<Warning> {
        let scheduler = self.candidate.template.scheduler().unwrap_or(DEFAULT_SCHEDULER);
        let text = format_args!(
            "{gap}; the pod keeps scheduler {scheduler}, which cannot be changed later: fix this, then create the pod again"
        );
        self.candidate.workload.is_pod().then(|| Warning::new(reason.as_str(), text))
    }

    /// Each driver that owns a claim of the object and whose scheduler recognizes this claim, with the driver's rank,
    /// in the order of the claims.
    fn drivers(&self, owners: &Owners<'_>) -> impl Iterator<Item = (usize, &'r Driver)> {
        let policy = self.candidate.policy;
        owners.iter().filter_map(move |(_, owner)| policy.recognising_driver(owner))
    }

    /// The first configured driver among them.
    fn first_driver(&self, owners: &Owners<'_>) -> Option<&'r Driver> {
        self.candidate.policy.first_driver(owners.iter().map(|(_, owner)| owner))
    }

    /// A driver with this scheduler that owns a claim, whether or not its scheduler recognizes the claim.
    fn driver_with_claim(&self, scheduler: &str, owners: &Owners<'_>) -> Option<&'r Driver> {
        let policy = self.candidate.policy;
        let mut drivers = owners.iter().filter_map(|(_, owner)| policy.driver_of(owner)).map(|(_, driver)| driver);
        drivers.find(|driver| *driver.scheduler == *scheduler)
    }

    /// Warns if a claim belongs to a driver other than the one whose scheduler places the pod. Two drivers may share
    /// one scheduler, which then places pods by the data of both.
    fn two_drivers(&self, winner: &Driver, owners: &Owners<'_>) -> Option<Warning> {
        let (_, other) = self.drivers(owners).find(|(_, other)| other.scheduler != winner.scheduler)?;
        let (name, scheduler, other) = (&winner.name, &winner.scheduler, &other.name);
        let text = format_args!(
            "the pod mounts claims of {name} and {other}: {scheduler} schedules it and ignores {other}'s data; use one driver per pod"
        );
        Some(Warning::new("two-drivers", text))
    }

    /// Warns that the object names a driver's scheduler, although none of its claims belongs to that driver.
    fn scheduler_without_claim(&self, scheduler: &str, owners: &Owners<'_>) -> Option<Warning> {
        let driver = self.candidate.policy.drivers.0.iter().find(|driver| *driver.scheduler == *scheduler)?;
        let fitting = self.first_driver(owners).map_or(DEFAULT_SCHEDULER, |driver| &driver.scheduler);
        let text = format_args!(
            "schedulerName is {scheduler}, but no claim belongs to {}: set schedulerName: {fitting}",
            driver.name
        );
        Some(Warning::new("scheduler-without-claim", text))
    }
}

/// Returns true if the owner of every claim is known.
fn is_known(owners: &Owners<'_>) -> bool {
    owners.iter().all(|(_, owner)| !owner.is_incomplete())
}

impl Policy {
    /// The driver whose scheduler pods with claims of these owners get: the first configured one whose scheduler recognises
    /// a claim.
    pub fn first_driver<'o>(&self, owners: impl IntoIterator<Item = &'o Owner>) -> Option<&Driver> {
        let drivers = owners.into_iter().filter_map(|owner| self.recognising_driver(owner));
        drivers.min_by_key(|(rank, _)| *rank).map(|(_, driver)| driver)
    }

    /// The driver that Stork belongs to: the configured driver for Portworx volumes, or else the built-in one.
    pub fn portworx(&self) -> Driver {
        let built_in = Driver::portworx();
        let owner = built_in.provisioners.iter().find_map(|provisioner| self.drivers.owning(provisioner));
        owner.map_or(built_in.clone(), |(_, driver)| driver.clone())
    }

    /// Returns the driver that owns a claim, whether or not its scheduler recognizes the claim.
    pub(crate) fn driver_of(&self, owner: &Owner) -> Option<(usize, &Driver)> {
        match owner {
            Owner::Provisioner { provisioner, .. } => self.drivers.owning(provisioner),
            Owner::NoProvisioner | Owner::Missing | Owner::Unknown(_) => None,
        }
    }

    /// Returns the driver of a claim that the driver's scheduler recognizes.
    pub(crate) fn recognising_driver(&self, owner: &Owner) -> Option<(usize, &Driver)> {
        self.driver_of(owner).filter(|(_, driver)| driver.recognises_owner(owner))
    }

    /// Drops the change and the warnings in `mode: audit`.
    fn apply_mode<'r>(&self, decision: Decision<'r>) -> Decision<'r> {
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
