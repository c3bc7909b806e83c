//! Label selectors, evaluated as API servers do.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::answer::Answer;

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A `LabelSelector`. An empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(default)]
    match_labels: Option<Labels>,
    #[serde(default)]
    match_expressions: Option<Vec<Requirement>>,
}

/// An entry of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Option<Vec<String>>,
}

impl LabelSelector {
    /// Returns whether these labels are selected, or else the first requirement that they do not meet.
    pub fn selects(&self, labels: &Labels) -> Answer {
        let equal = self.match_labels.iter().flatten().map(|(key, value)| {
            let found = labels.get(key);
            let met = found == Some(value);
            if met { Answer::Yes } else { no(&format_args!("{key}={value}"), key, found) }
        });
        let required =
            self.match_expressions.iter().flatten().map(|requirement| requirement.met_by(labels.get(&requirement.key)));
        Answer::all(equal.chain(required))
    }
}

impl LabelSelector {
    /// Returns the keys of the labels that it reads.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let equal = self.match_labels.iter().flatten().map(|(key, _)| key.as_str());
        equal.chain(self.match_expressions.iter().flatten().map(|requirement| requirement.key.as_str()))
    }

    /// Returns the keys of the requirements that these labels do not meet.
    pub fn unmet<'s>(&'s self, labels: &Labels) -> impl Iterator<Item = &'s str> + use<'s> {
        let equal = self.match_labels.iter().flatten().filter(|(key, value)| labels.get(*key) != Some(*value));
        let equal = equal.map(|(key, _)| key.as_str());
        let required = self.match_expressions.iter().flatten();
        let required =
            required.filter(|requirement| matches!(requirement.met_by(labels.get(&requirement.key)), Answer::No(_)));
        let keys: Vec<_> = equal.chain(required.map(|requirement| requirement.key.as_str())).collect();
        keys.into_iter()
    }
}

impl Requirement {
    fn met_by(&self, found: Option<&String>) -> Answer {
        let listed = found.is_some_and(|found| self.values.iter().flatten().any(|value| value == found));
        let met = match &*self.operator {
            "In" => listed,
            // A label that is absent has none of the values.
            "NotIn" => !listed,
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            other => return Answer::NotEvaluated(format!("the operator `{other}` is not known")),
        };
        if met { Answer::Yes } else { no(self, &self.key, found) }
    }
}

/// As kubectl shows a selector.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let values = || values.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        match &**operator {
            "In" => write!(f, "{key} in ({})", values()),
            "NotIn" => write!(f, "{key} notin ({})", values()),
            "DoesNotExist" => write!(f, "!{key}"),
            _ => f.write_str(key),
        }
    }
}

fn no(requirement: &dyn fmt::Display, key: &str, found: Option<&String>) -> Answer {
    Answer::No(match found {
        Some(value) => format!("the selector requires `{requirement}`, and the label is `{key}={value}`"),
        None => format!("the selector requires `{requirement}`, and there is no label `{key}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> Answer {
        let selector: LabelSelector = serde_json::from_str(selector).unwrap();
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        selector.selects(&labels)
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        for empty in ["{}", r#"{"matchLabels":null,"matchExpressions":null}"#, r#"{"matchExpressions":[]}"#] {
            assert_eq!(selects(empty, &[]), Answer::Yes);
        }
    }

    #[test]
    fn each_operator_selects_as_in_kubernetes() {
        let expression = |operator: &str, values: &str| {
            format!(r#"{{"matchExpressions":[{{"key":"a","operator":"{operator}","values":{values}}}]}}"#)
        };
        for (operator, values, with_x, with_z, without) in [
            ("In", r#"["x","y"]"#, true, false, false),
            ("NotIn", r#"["x","y"]"#, false, true, true),
            ("Exists", "null", true, true, false),
            ("DoesNotExist", "[]", false, false, true),
        ] {
            let selector = expression(operator, values);
            for (labels, expected) in [(&[("a", "x")][..], with_x), (&[("a", "z")], with_z), (&[("b", "x")], without)] {
                assert_eq!(selects(&selector, labels) == Answer::Yes, expected, "{operator} {labels:?}");
            }
        }
        assert!(matches!(selects(&expression("Gt", r#"["1"]"#), &[("a", "2")]), Answer::NotEvaluated(_)));
    }

    #[test]
    fn the_keys_of_unmet_requirements_are_listed() {
        let selector = r#"{"matchLabels":{"a":"x"},"matchExpressions":[{"key":"b","operator":"NotIn","values":["y"]},{"key":"c","operator":"Gt"}]}"#;
        let selector: LabelSelector = serde_json::from_str(selector).unwrap();
        assert_eq!(selector.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        let unmet = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            selector.unmet(&labels).collect::<Vec<_>>()
        };
        assert_eq!(unmet(&[("a", "x"), ("b", "z")]), [""; 0]);
        assert_eq!(unmet(&[("b", "y")]), ["a", "b"]);
    }

    #[test]
    fn the_requirement_that_is_not_met_is_named() {
        let selector =
            r#"{"matchLabels":{"a":"x"},"matchExpressions":[{"key":"b","operator":"NotIn","values":["y"]}]}"#;
        let no = |text: &str| Answer::No(text.to_owned());
        assert_eq!(selects(selector, &[("a", "x"), ("b", "z")]), Answer::Yes);
        assert_eq!(selects(selector, &[]), no("the selector requires `a=x`, and there is no label `a`"));
        assert_eq!(
            selects(selector, &[("a", "x"), ("b", "y")]),
            no("the selector requires `b notin (y)`, and the label is `b=y`")
        );
    }
}
