//! Verdicts: one word for the cause of a live object's scheduler.

use std::fmt;

macro_rules! verdicts {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $advice:literal;)+) => {
        /// The cause of the scheduler of a live object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verdict {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Verdict {
            /// Every verdict, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word. It is stable: the JSON output and the documentation use it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The meaning, in one sentence.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// The remedy, in one sentence; empty if nothing is to be done.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)+ }
            }
        }
    };
}

verdicts! {
    /// The object has the scheduler that it should have.
    AsExpected = "as-expected", "";
    /// The pod was created before the webhook configuration of colocate.
    BeforeColocate = "before-colocate", "Create the pod again.";
    /// No replica of colocate was ready when the pod was created, and the failure policy is `Ignore`.
    ColocateAway = "colocate-away", "Create the pod again.";
    /// The webhook configuration excludes the object, so API servers do not call colocate for it.
    NotSent = "not-sent", "Change the named rule, selector or match condition, then create the pod again.";
    /// Another webhook, or the operator that created the pod, set another scheduler than the pod template names.
    SetByAnother = "set-by-another", "Exclude the pod from the other webhook, or set its scheduler there.";
    /// All claims that belong to a storage driver are younger than the pod, so its driver was not known.
    ClaimYounger = "claim-younger", "Create the pod again, now that its claims exist.";
    /// The opt-out was added after the pod got the driver's scheduler.
    OptedOutLater = "opted-out-later", "Add the opt-out to the manifest or the pod template, then create the pod again.";
    /// The pod template still names a driver's scheduler from an earlier injection; its source does not name one.
    InjectedEarlier = "injected-earlier", "Set `schedulerName: default-scheduler` in the pod template.";
    /// The kind of the pod's controller is listed in `optOut.owners`.
    OwnerOptedOut = "owner-opted-out", "";
    /// The configuration says `mode: audit`, so colocate changes nothing.
    AuditMode = "audit-mode", "";
    /// The pod or Job has ended, or the pod is being deleted, so its scheduler does not matter any more.
    Ended = "ended", "";
    /// The pod should have the driver's scheduler, and the cause is not known.
    Missed = "missed", "Create the pod again.";
    /// A fact that the decision depends on is not known.
    Unknown = "unknown", "Create the missing object or grant the missing permission, then run `colocate why` again.";
}

impl Verdict {
    /// Returns true if the scheduler of the object is the expected one, or does not matter any more.
    pub const fn is_expected(self) -> bool {
        matches!(self, Self::AsExpected | Self::OwnerOptedOut | Self::AuditMode | Self::Ended)
    }

    /// Returns true if a new pod in place of this one would get the expected scheduler.
    pub const fn is_fixed_by_recreation(self) -> bool {
        matches!(self, Self::BeforeColocate | Self::ColocateAway | Self::ClaimYounger | Self::Missed)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_unique_and_texts_are_one_sentence() {
        let words: HashSet<_> = Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect();
        assert_eq!(words.len(), Verdict::ALL.len());
        assert!(words.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        for verdict in Verdict::ALL {
            let (explanation, advice) = (verdict.explanation(), verdict.advice());
            assert!(explanation.ends_with('.') && !explanation.contains('\n'), "{verdict}: {explanation}");
            assert_eq!(advice.is_empty(), verdict.is_expected(), "{verdict}");
            assert!(advice.is_empty() || advice.ends_with('.'), "{verdict}: {advice}");
        }
    }
}
