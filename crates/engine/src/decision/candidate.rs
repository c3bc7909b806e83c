//! The rules that need no claims.

use std::sync::Arc;

use super::pending::{Pending, Question};
use super::{Decision, Examination};
use crate::driver::Driver;
use crate::opt_out::{OptOutKey, OptOutKeys};
use crate::owners::Owners;
use crate::patch;
use crate::pod::Template;
use crate::policy::{DEFAULT_SCHEDULER, Policy, Templates};
use crate::presence::{Away, LostLease, Presence};
use crate::reason::Reason;
use crate::review::Request;
use crate::topic::Topic;
use crate::warning::Warning;
use crate::workload::{Update, Workload, WorkloadObject};

/// An object with a pod template, to which the rules are applied.
#[derive(Debug)]
pub(super) struct Candidate<'r> {
    pub(super) policy: &'r Policy,
    pub(super) workload: &'r Workload,
    pub(super) object: &'r WorkloadObject<'r>,
    pub(super) template: &'r Template<'r>,
    opt_out: OptOutKeys<'r>,
    pub(super) dry_run: bool,
}

impl<'r> Candidate<'r> {
    pub(super) fn new(
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

    pub(super) fn created(self) -> Examination<'r> {
        self.ask(Question::Choose)
    }

    pub(super) fn updated(self, old_scheduler: Option<&'r str>) -> Examination<'r> {
        let dropped_scheduler = old_scheduler
            .filter(|old| self.policy.drivers.has_scheduler(old))
            .filter(|_| self.names_driver().is_none() && self.policy.replaceable.allow(self.template.scheduler()));
        if self.workload.update == Update::Rejected {
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
        if self.object.has_claims() {
            return Examination::Resolve(Pending { candidate: self, question });
        }
        match question {
            // The operator of a custom resource may add claims to the template.
            Question::Check(_) if !self.workload.custom => {
                Pending { candidate: self, question }.decide(Owners::default(), |_| Presence::Unknown).into()
            }
            _ => self.leave(reason.unwrap_or(Reason::NoClaims)).into(),
        }
    }

    /// Returns the reason to skip an object that no scheduler places, or that another writer owns.
    fn exclusion(&self) -> Option<Reason> {
        if self.workload.is_pod() {
            if self.template.is_mirror_pod() {
                return Some(Reason::MirrorPod);
            }
        } else if self.object.has_controller() {
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
        self.object.source_names_scheduler(self.workload).then_some(Reason::SourceNamesScheduler)
    }

    /// Returns the driver's scheduler that it names.
    fn names_driver(&self) -> Option<&'r str> {
        self.template.scheduler().filter(|scheduler| self.policy.drivers.has_scheduler(scheduler))
    }

    pub(super) fn leave(&self, reason: Reason) -> Decision<'r> {
        let mut warnings = self.opt_out_warnings();
        if reason == Reason::OptOutWithoutEffect {
            let key = self.opt_out.set.map_or("", OptOutKey::name);
            let scheduler = self.template.scheduler().unwrap_or_default();
            let text = format_args!(
                "{key} opts out, but schedulerName is still {scheduler}: in addition to the opt-out, set schedulerName: {DEFAULT_SCHEDULER}"
            );
            warnings.push(Warning::new(reason, text));
        }
        Decision { warnings, ..Decision::leave(reason) }
    }

    pub(super) fn opt_out_warnings(&self) -> Vec<Warning> {
        let Some((key, value)) = &self.opt_out.invalid else { return Vec::new() };
        let text = format_args!("{key} is ignored because {value} is not a boolean; use \"true\" to opt out");
        vec![Warning::new(Topic::OptOutInvalid, text)]
    }

    pub(super) fn inject(&self, reason: Reason, scheduler: &Arc<str>) -> Decision<'r> {
        Decision {
            reason,
            scheduler: Some(scheduler.clone()),
            patch: Some(patch::set_scheduler(&self.workload.path, scheduler)),
            warnings: self.opt_out_warnings(),
            owners: Owners::default(),
        }
    }

    /// Sets the scheduler of a driver, unless the scheduler is not running and the driver's policy is to skip. Of several
    /// Leases that are not renewed, each has its policy, and one that says skip is enough.
    pub(super) fn inject_driver(&self, reason: Reason, driver: &Driver, presence: Presence) -> Decision<'r> {
        let scheduler = &driver.scheduler;
        let Presence::Away(leases) = presence else { return self.inject(reason, scheduler) };
        let why = leases.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let is_pod = self.workload.is_pod();
        let skips = leases.iter().filter_map(|lease| match lease {
            LostLease::Absent(_) => (driver.when_absent == Away::Skip).then_some(Reason::SchedulerAbsent),
            LostLease::Stale(_) => (driver.when_stale == Away::Skip).then_some(Reason::SchedulerStale),
        });
        // An absent Lease decides the word: it is the likelier mistake in the configuration.
        let Some(skipped) = skips.max_by_key(|reason| *reason == Reason::SchedulerAbsent) else {
            let who = if is_pod { "the pod stays" } else { "its pods stay" };
            let text = format_args!("scheduler `{scheduler}` is not running ({why}): {who} Pending until it is back");
            let mut decision = self.inject(reason, scheduler);
            decision.warnings.push(Warning::new(Topic::SchedulerAway, text));
            return decision;
        };
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
        let text = format_args!("scheduler `{scheduler}` is not running ({why}){consequence}");
        let mut warnings = self.opt_out_warnings();
        warnings.push(Warning::new(skipped, text));
        Decision { warnings, ..Decision::leave(skipped) }
    }
}
