//! Answers to the question whether an API server calls a webhook.

use std::fmt;

/// An answer, with its cause unless it is yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No, and the part that says so.
    No(String),
    /// Not known, and what would be needed.
    NotEvaluated(String),
}

impl Answer {
    /// Returns `Yes` if all answers are `Yes`. A `No` takes precedence over `NotEvaluated`.
    pub fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::Yes;
        for answer in answers {
            match (&all, answer) {
                (_, no @ Self::No(_)) => return no,
                (Self::Yes, unknown @ Self::NotEvaluated(_)) => all = unknown,
                _ => {}
            }
        }
        all
    }

    /// Returns `Yes` if any answer is `Yes`, or else the first `NotEvaluated`, or else the first `No`. Without answers, returns
    /// `No(none)`.
    pub fn any(answers: impl IntoIterator<Item = Self>, none: impl fmt::Display) -> Self {
        let mut any = None;
        for answer in answers {
            match (&any, answer) {
                (_, Self::Yes) => return Self::Yes,
                (Some(Self::NotEvaluated(_)), _) | (Some(Self::No(_)), Self::No(_)) => {}
                (_, answer) => any = Some(answer),
            }
        }
        any.unwrap_or_else(|| Self::No(none.to_string()))
    }

    /// Returns the cause of an answer other than `Yes`.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Yes => None,
            Self::No(cause) | Self::NotEvaluated(cause) => Some(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Answer::{No, NotEvaluated, Yes};
    use super::*;

    #[test]
    fn a_no_outweighs_what_is_not_known() {
        let no = || No("a".to_owned());
        let unknown = || NotEvaluated("b".to_owned());
        assert_eq!(Answer::all([]), Yes);
        assert_eq!(Answer::all([Yes, Yes]), Yes);
        assert_eq!(Answer::all([unknown(), Yes, no()]), no());
        assert_eq!(Answer::all([Yes, unknown(), NotEvaluated("c".to_owned())]), unknown());
    }

    #[test]
    fn a_yes_outweighs_all_other_answers() {
        let no = || No("a".to_owned());
        let unknown = || NotEvaluated("b".to_owned());
        assert_eq!(Answer::any([], "none"), No("none".to_owned()));
        assert_eq!(Answer::any([no(), unknown(), Yes], ""), Yes);
        assert_eq!(Answer::any([no(), unknown(), no()], ""), unknown());
        assert_eq!(Answer::any([no(), No("c".to_owned())], ""), no());
    }
}
