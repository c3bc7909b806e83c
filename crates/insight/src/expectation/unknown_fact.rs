//! A fact that an expectation depends on and that could not be read.

/// A fact that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnknownFact {
    /// The configuration of colocate could not be read, so the pod may be as expected or not.
    Configuration,
    /// A claim, its class or its volume could not be read.
    Claims,
    /// The labels of the Namespace could not be read, so it may opt out.
    Namespace,
    /// The object has no `managedFields`, which show whether its creator or a scheduler chose the node.
    NodeName,
    /// The template of the pod or the source of the template is not known, so its scheduler may not be the choice of its author.
    Template,
    /// The webhook configurations or the labels that they select could not be read, so API servers may not send it to colocate.
    NotSent,
}

impl UnknownFact {
    /// The word, which is stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration-not-seen",
            Self::Claims => "claims-not-seen",
            Self::Namespace => "namespace-not-seen",
            Self::NodeName => "node-choice-not-seen",
            Self::Template => "template-not-seen",
            Self::NotSent => "webhooks-not-seen",
        }
    }

    /// The cause, as a clause.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Configuration => "the configuration of colocate could not be read (pass it with --config)",
            Self::Claims => "a claim, its class or its volume could not be read",
            Self::Namespace => "the labels of its Namespace could not be read, and may opt it out",
            Self::NodeName => "it has no managedFields, which show whether its creator or a scheduler chose its node",
            Self::Template => {
                "its pod template or the source of the template is not known, so who chose its scheduler is not known"
            }
            Self::NotSent => "what API servers send to colocate could not be read",
        }
    }
}
