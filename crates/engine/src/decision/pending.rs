//! The rules that need the owners of claims.

use super::Decision;
use super::candidate::Candidate;
use crate::claim::ClaimRef;
use crate::driver::Driver;
use crate::owner::{Absence, Owner, Unknown};
use crate::owners::Owners;
use crate::policy::{DEFAULT_SCHEDULER, MissingClaim, Mode, Policy};
use crate::presence::Presence;
use crate::reason::Reason;
use crate::topic::Topic;
use crate::warning::Warning;

/// A decision that waits for the owners of claims.
#[derive(Debug)]
pub struct Pending<'r> {
    pub(super) candidate: Candidate<'r>,
    pub(super) question: Question<'r>,
}

/// The question that the owners of the claims answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'r> {
    /// Which driver's scheduler to set.
    Choose,
    /// Whether to restore this driver's scheduler, which the update dropped.
    Restore(&'r str),
    /// Whether a claim belongs to the driver of this scheduler, which the object names.
    Check(&'r str),
}

impl<'r> Pending<'r> {
    /// The policy of the decision.
    pub fn policy(&self) -> &'r Policy {
        self.candidate.policy
    }

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
            None if is_known(owners) => Some(self.scheduler_without_claim(scheduler, owners)),
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
        self.candidate.workload.is_pod().then(|| Warning::new(reason, text))
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
        Some(Warning::new(Topic::TwoDrivers, text))
    }

    /// Warns that the object names a driver's scheduler, although none of its claims belongs to a driver of this scheduler.
    fn scheduler_without_claim(&self, scheduler: &str, owners: &Owners<'_>) -> Warning {
        let drivers = self.candidate.policy.drivers.0.iter().filter(|driver| *driver.scheduler == *scheduler);
        let names = drivers.map(|driver| &*driver.name).collect::<Vec<_>>().join(" or ");
        let fitting = self.first_driver(owners).map_or(DEFAULT_SCHEDULER, |driver| &driver.scheduler);
        let text =
            format_args!("schedulerName is {scheduler}, but no claim belongs to {names}: set schedulerName: {fitting}");
        Warning::new(Topic::SchedulerWithoutClaim, text)
    }
}

/// Returns true if every claim is known to belong to a driver, or to none.
fn is_known(owners: &Owners<'_>) -> bool {
    owners.iter().all(|(_, owner)| !owner.is_open())
}
