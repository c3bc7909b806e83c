//! `validation`: what is made of the companion's findings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::Invalid;
use super::or_default;
use crate::companion::{self, Severities};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Validation {
    #[serde(deserialize_with = "or_default")]
    mode: Mode,
    /// The rules whose severity is not their own.
    #[serde(deserialize_with = "or_default")]
    rules: BTreeMap<Rule, Level>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    #[default]
    Warn,
    Enforce,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Level {
    Off,
    Info,
    Warning,
    Error,
}

/// A rule by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Rule(companion::Rule);

impl TryFrom<String> for Rule {
    type Error = Invalid;

    fn try_from(id: String) -> Result<Self, Invalid> {
        id.parse().map(Self).map_err(|error: companion::NoSuchRule| Invalid(error.to_string()))
    }
}

impl From<Rule> for String {
    fn from(Rule(rule): Rule) -> Self {
        rule.id().to_owned()
    }
}

impl Validation {
    pub(super) fn to_companion(&self) -> companion::Validation {
        companion::Validation {
            enforcement: match self.mode {
                Mode::Warn => companion::Enforcement::Warn,
                Mode::Enforce => companion::Enforcement::Enforce,
                Mode::Off => companion::Enforcement::Off,
            },
            severities: Severities::new(self.rules.iter().map(|(rule, level)| (rule.0, level.to_companion()))),
        }
    }
}

impl Level {
    fn to_companion(self) -> companion::Level {
        match self {
            Self::Off => companion::Level::Off,
            Self::Info => companion::Level::Info,
            Self::Warning => companion::Level::Warning,
            Self::Error => companion::Level::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::companion::{Enforcement, Rule, Severity};
    use crate::config::Config;

    #[test]
    fn rules_keep_their_severity_unless_it_is_changed() {
        let text = "validation: {mode: enforce, rules: {HC003: off, HC004: error, HC022: warning}}";
        let config: Config = text.parse().unwrap();
        let validation = config.validation();
        assert_eq!(validation.enforcement, Enforcement::Enforce);
        let of = |rule| validation.severities.of(rule);
        assert_eq!(of(Rule::Misspelled), None);
        assert_eq!(of(Rule::UnknownKey), Some(Severity::Error));
        assert_eq!(of(Rule::OptOutRestore), Some(Severity::Warning));
        assert_eq!(of(Rule::NoBoolean), Some(Severity::Error));
        assert_eq!(Config::parse(&config.to_yaml().unwrap(), "printed").unwrap(), config);
        assert_eq!(Config::default().validation(), crate::companion::Validation::default());
    }

    #[test]
    fn what_is_no_rule_and_no_severity_is_named_with_its_place() {
        let error = |text: &str| Config::parse(text, "config.yaml").unwrap_err().to_string();
        let unknown = error("validation:\n  rules:\n    HC999: off\n");
        assert!(unknown.starts_with("config.yaml:3:5: `HC999` is no rule"), "{unknown}");
        let level = error("validation: {rules: {HC001: none}}");
        assert!(level.contains("`none` is not one of off, info, warning, error"), "{level}");
        let mode = error("validation: {mode: deny}");
        assert!(mode.contains("`deny` is not one of warn, enforce, off"), "{mode}");
    }
}
