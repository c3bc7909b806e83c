//! The claims of a request with their owners.

use std::fmt::Write as _;
use std::sync::Arc;

use super::claim::ClaimRef;
use super::entries::KEPT;
use super::line::{is_unsafe, one_line};
use super::owner::Owner;
use super::policy::Policy;
use super::visibility::Visibility;

/// The claims of a request with their owners, in the order of the request: the first `KEPT`, and of the others only those
/// that can affect the decision.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Owners<'r> {
    claims: Vec<ResolvedClaim<'r>>,
    /// Whether other claims were dropped.
    more: bool,
}

/// A claim with its owner.
#[derive(Debug, PartialEq, Eq)]
struct ResolvedClaim<'r> {
    claim: ClaimRef<'r>,
    owner: Owner,
    /// The name of its driver; set when all owners are final.
    driver: Option<Arc<str>>,
    /// Whether the driver's scheduler recognizes it.
    recognised: bool,
}

/// The usual length of the description of a claim with a class, in bytes.
const USUAL_DESCRIPTION: usize = 128;

/// The limit for the descriptions of all claims together, in bytes. The text goes into the API server's audit log, and
/// anyone who may create an object can name 100,000 claims in it.
pub(crate) const MAX_DESCRIPTION: usize = KEPT * USUAL_DESCRIPTION;

impl<'r> Owners<'r> {
    /// Looks up the owners of `claims`, and keeps those that can affect the decision.
    pub(crate) fn look_up(
        policy: &Policy,
        mut claims: impl Iterator<Item = ClaimRef<'r>>,
        mut look_up: impl FnMut(&ClaimRef<'r>) -> Owner,
    ) -> Self {
        let mut with_owner = |claim: ClaimRef<'r>| {
            let owner = look_up(&claim);
            ResolvedClaim { claim, owner, driver: None, recognised: false }
        };
        let mut owners = Self { claims: claims.by_ref().take(KEPT).map(&mut with_owner).collect(), more: false };
        if owners.claims.len() == KEPT {
            owners.add_decisive(policy, claims.map(with_owner));
        }
        owners
    }

    /// Adds the other claims that can affect the decision: for each driver, the first claim that the driver's scheduler
    /// recognizes and the first that it does not recognize; the first claim that gets its volume later; and claims that are
    /// looked up in the cluster, whose number is limited.
    fn add_decisive(&mut self, policy: &Policy, claims: impl Iterator<Item = ResolvedClaim<'r>>) {
        let rank =
            |owner: &Owner| policy.driver_of(owner).map(|(rank, _)| (rank, policy.recognising_driver(owner).is_some()));
        let mut ranks: Vec<_> = self.iter().filter_map(|(_, owner)| rank(owner)).collect();
        let (mut looked_up, mut has_late) = (0, false);
        for claim in claims {
            let is_open = claim.owner.is_incomplete() || policy.volume_to_read(&claim.owner).is_some();
            match rank(&claim.owner) {
                _ if is_open && looked_up < KEPT => looked_up += 1,
                Some(rank) if !ranks.contains(&rank) => ranks.push(rank),
                None if !is_open && claim.owner.is_open() && !has_late => has_late = true,
                _ => {
                    self.more = true;
                    continue;
                }
            }
            self.claims.push(claim);
        }
    }

    /// Each claim with its owner.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ClaimRef<'r>, &Owner)> + Clone {
        self.claims.iter().map(|resolved| (&resolved.claim, &resolved.owner))
    }

    /// Each claim with its owner, which the caller may update after further lookups.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&ClaimRef<'r>, &mut Owner)> {
        self.claims.iter_mut().map(|resolved| (&resolved.claim, &mut resolved.owner))
    }

    /// Returns true if claims were dropped that cannot affect the decision.
    #[cfg(test)]
    pub(crate) fn left_some_out(&self) -> bool {
        self.more
    }

    /// Sets the driver of each claim, when all owners are final.
    pub(crate) fn set_drivers(&mut self, policy: &Policy) {
        for resolved in &mut self.claims {
            resolved.driver = policy.driver_of(&resolved.owner).map(|(_, driver)| driver.name.clone());
            resolved.recognised = policy.recognising_driver(&resolved.owner).is_some();
        }
    }

    /// Describes each claim, its owner and its driver in one line. `visibility` is that of the inventory that was searched,
    /// and `namespace` is the namespace of the pod.
    ///
    /// The length is bounded: if there are too many claims, it describes the first ones and those that affect the decision.
    /// Names in an object that is being admitted have not been validated yet, so unsafe characters are replaced.
    pub fn describe(&self, visibility: &Visibility, namespace: &str) -> String {
        let mut line = String::with_capacity((USUAL_DESCRIPTION * self.claims.len()).min(MAX_DESCRIPTION));
        let mut more = self.more;
        for (index, resolved) in self.claims.iter().enumerate() {
            if line.len() >= MAX_DESCRIPTION || (index >= KEPT && resolved.driver.is_none()) {
                more = true;
                continue;
            }
            if !line.is_empty() {
                line.push_str("; ");
            }
            resolved.describe(visibility, namespace, &mut line);
        }
        if more {
            line.push_str("; and more");
        }
        if line.contains(is_unsafe) { one_line(&line, usize::MAX) } else { line }
    }
}

impl ResolvedClaim<'_> {
    fn describe(&self, visibility: &Visibility, namespace: &str, line: &mut String) {
        let Self { claim, owner, driver, recognised } = self;
        // Writing to a String cannot fail.
        let _ = write!(line, "{claim}: ");
        match owner {
            Owner::Provisioner { class, provisioner, .. } => {
                if let Some(class) = class {
                    line.extend(["class ", &*class.name, ", "]);
                }
                line.extend(["provisioner ", provisioner, ", driver ", driver.as_deref().unwrap_or("none")]);
                if driver.is_some() && !recognised {
                    line.push_str(", not recognized by its scheduler");
                }
            }
            Owner::NoProvisioner => line.push_str("bound to a volume without a driver"),
            Owner::Missing => line.push_str("missing"),
            Owner::Unknown(unknown) => {
                let absence = visibility.absence(namespace, claim.name(), owner);
                let _ = write!(line, "unknown: {}", unknown.explain(absence));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, Drivers, NO_PROVISIONER};
    use crate::evidence::Evidence;

    const MANY: usize = 10 * KEPT;

    /// Looks up the owners of `MANY` claims.
    fn owners(owner: impl Fn(usize) -> Owner) -> Owners<'static> {
        let linstor =
            Driver { provisioners: vec!["linstor".into()], scheduler: "linstor".into(), ..Driver::portworx() };
        let policy = Policy { drivers: Drivers(vec![Driver::portworx(), linstor]), ..Policy::default() };
        let claims = (0..MANY).map(|n| ClaimRef::Named(n.to_string().into()));
        Owners::look_up(&policy, claims, |claim| match claim {
            ClaimRef::Named(name) => owner(name.parse().unwrap()),
            _ => unreachable!("every claim has a name"),
        })
    }

    /// The claims after the first [`KEPT`] that were kept.
    fn kept(owners: &Owners<'_>) -> Vec<String> {
        owners.iter().skip(KEPT).map(|(claim, _)| claim.to_string()).collect()
    }

    fn of(provisioner: &str) -> Owner {
        Owner::Provisioner {
            class: None,
            provisioner: provisioner.into(),
            evidence: Evidence::Class.into(),
            unread_volume: None,
        }
    }

    #[test]
    fn later_claims_are_kept_only_if_they_affect_the_decision() {
        let unowned = owners(|_| Owner::NoProvisioner);
        assert!(unowned.iter().len() == KEPT && unowned.left_some_out());
        let late = owners(|n| match n {
            1000 | 1001 => of("linstor"),
            2000 | 2001 => of("pxd.portworx.com"),
            _ => of("local"),
        });
        assert_eq!(kept(&late), ["claim `1000`", "claim `2000`"]);
        let early = owners(|n| of(if n == 3 { "pxd.portworx.com" } else { "stork-snapshot" }));
        assert_eq!(kept(&early), [""; 0], "the driver is already present, with another provisioner");
    }

    #[test]
    fn later_claims_that_are_not_recognised_are_kept_once() {
        let static_csi = |provisioner: &str| of(provisioner).with_evidence(Evidence::StaticCsi);
        let driver = Driver { recognises: vec![Evidence::Class], ..Driver::portworx() };
        let policy = Policy { drivers: Drivers(vec![driver]), ..Policy::default() };
        let claims = (0..MANY).map(|n| ClaimRef::Named(n.to_string().into()));
        let owners = Owners::look_up(&policy, claims, |claim| match claim.name() {
            Some("1000" | "1001") => static_csi("pxd.portworx.com"),
            Some("2000" | "2001") => of("pxd.portworx.com"),
            _ => of("local"),
        });
        assert_eq!(kept(&owners), ["claim `1000`", "claim `2000`"]);
    }

    #[test]
    fn a_bounded_number_of_unknown_claims_is_kept() {
        let missing = owners(|n| if n % 2 == 0 { Owner::Missing } else { Owner::NoProvisioner });
        let kept = kept(&missing);
        assert_eq!((kept.len(), &*kept[0], missing.left_some_out()), (KEPT, "claim `256`", true));
    }

    #[test]
    fn claims_that_get_a_volume_later_leave_room_for_unknown_ones() {
        let late = owners(|n| if n == 2000 { Owner::Missing } else { of(NO_PROVISIONER) });
        assert_eq!(kept(&late), ["claim `256`", "claim `2000`"]);
    }

    #[test]
    fn all_claims_are_kept_up_to_the_limit() {
        let claims = (0..KEPT).map(|n| ClaimRef::Named(n.to_string().into()));
        let owners = Owners::look_up(&Policy::default(), claims, |_| Owner::NoProvisioner);
        assert!(owners.iter().len() == KEPT && !owners.left_some_out());
    }
}
