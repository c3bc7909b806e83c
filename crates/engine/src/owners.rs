//! The claims of a request with their owners.

use super::claim::ClaimRef;
use super::entries::KEPT;
use super::owner::Owner;
use super::policy::Policy;

/// The claims of a request with their owners, in the order of the request: the first ones, and those of the others that
/// can make a difference.
#[derive(Debug, Default)]
pub struct Owners<'r> {
    claims: Vec<(ClaimRef<'r>, Owner)>,
    /// Whether others were left out.
    more: bool,
}

impl<'r> Owners<'r> {
    /// Looks up the owners of `claims`.
    pub(crate) fn look_up(
        policy: &Policy,
        mut claims: impl Iterator<Item = ClaimRef<'r>>,
        mut look_up: impl FnMut(&ClaimRef<'r>) -> Owner,
    ) -> Self {
        let mut with_owner = |claim: ClaimRef<'r>| {
            let owner = look_up(&claim);
            (claim, owner)
        };
        let mut owners = Self { claims: claims.by_ref().take(KEPT).map(&mut with_owner).collect(), more: false };
        if owners.claims.len() == KEPT {
            owners.add_what_matters(policy, claims.map(with_owner));
        }
        owners
    }

    /// Of a hundred thousand claims few decide: the first one of each driver, and those of which not all is known. Of these
    /// as many are kept as of all others, since a cluster is asked about each.
    fn add_what_matters(&mut self, policy: &Policy, claims: impl Iterator<Item = (ClaimRef<'r>, Owner)>) {
        let rank = |owner: &Owner| policy.driver_of(owner).map(|(rank, _)| rank);
        let mut ranks: Vec<_> = self.iter().filter_map(|(_, owner)| rank(owner)).collect();
        let mut incomplete = 0;
        for (claim, owner) in claims {
            match rank(&owner) {
                Some(rank) if !ranks.contains(&rank) => ranks.push(rank),
                None if owner.is_incomplete() && incomplete < KEPT => incomplete += 1,
                _ => {
                    self.more = true;
                    continue;
                }
            }
            self.claims.push((claim, owner));
        }
    }

    /// Each claim with its owner.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ClaimRef<'r>, &Owner)> + Clone {
        self.claims.iter().map(|(claim, owner)| (claim, owner))
    }

    /// The same, to put in what was found out since.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&ClaimRef<'r>, &mut Owner)> {
        self.claims.iter_mut().map(|(claim, owner)| (&*claim, owner))
    }

    /// Whether claims were left out that make no difference.
    pub(crate) fn left_some_out(&self) -> bool {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Driver, Drivers};

    const MANY: usize = 10 * KEPT;

    /// The owners of as many claims, of which some are not nobody's.
    fn owners(owner: impl Fn(usize) -> Owner) -> Owners<'static> {
        let linstor =
            Driver { provisioners: vec!["linstor".into()], scheduler: "linstor".into(), ..Driver::portworx() };
        let policy = Policy { drivers: Drivers::new(vec![Driver::portworx(), linstor]), ..Policy::default() };
        let claims = (0..MANY).map(|n| ClaimRef::Named(n.to_string().into()));
        Owners::look_up(&policy, claims, |claim| match claim {
            ClaimRef::Named(name) => owner(name.parse().unwrap()),
            _ => unreachable!("all have names"),
        })
    }

    /// Which claims behind the first ones were kept.
    fn kept(owners: &Owners<'_>) -> Vec<String> {
        owners.iter().skip(KEPT).map(|(claim, _)| claim.to_string()).collect()
    }

    fn of(provisioner: &str) -> Owner {
        Owner::Provisioner { class: None, provisioner: provisioner.into() }
    }

    #[test]
    fn claims_behind_the_first_ones_are_kept_only_where_they_decide() {
        let nobodys = owners(|_| Owner::Nobody);
        assert!(nobodys.iter().len() == KEPT && nobodys.left_some_out());
        let late = owners(|n| match n {
            1000 | 1001 => of("linstor"),
            2000 | 2001 => of("pxd.portworx.com"),
            _ => of("local"),
        });
        assert_eq!(kept(&late), ["claim `1000`", "claim `2000`"]);
        let early = owners(|n| of(if n == 3 { "pxd.portworx.com" } else { "stork-snapshot" }));
        assert_eq!(kept(&early), [""; 0], "the driver is there already, by whichever provisioner");
    }

    #[test]
    fn of_claims_that_are_not_known_a_bounded_number_is_kept() {
        let missing = owners(|n| if n % 2 == 0 { Owner::Missing } else { Owner::Nobody });
        let kept = kept(&missing);
        assert_eq!((kept.len(), &*kept[0], missing.left_some_out()), (KEPT, "claim `256`", true));
    }

    #[test]
    fn few_claims_are_all_there() {
        let claims = (0..KEPT).map(|n| ClaimRef::Named(n.to_string().into()));
        let owners = Owners::look_up(&Policy::default(), claims, |_| Owner::Nobody);
        assert!(owners.iter().len() == KEPT && !owners.left_some_out());
    }
}
