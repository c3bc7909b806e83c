//! Quantities of resources, such as `500m` and `2Gi`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Amounts by the name of the resource, such as `cpu`, in billionths of its unit. Kubernetes accepts no finer amounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources(BTreeMap<Box<str>, i128>);

/// The number of digits after the decimal point that are kept.
const SCALE: i32 = 9;

impl Resources {
    /// No resources.
    pub const NONE: Self = Self(BTreeMap::new());

    /// The amount of a resource; 0 if there is none.
    pub fn get(&self, name: &str) -> i128 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The amounts by the name of the resource.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i128)> {
        self.0.iter().map(|(name, amount)| (&**name, *amount))
    }

    /// Adds one piece of a resource, such as a pod.
    #[must_use]
    pub fn with_one(mut self, name: &str) -> Self {
        *self.0.entry(name.into()).or_default() += 10_i128.pow(SCALE.unsigned_abs());
        self
    }

    /// Adds the amounts of `other`.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_default();
            *own = own.saturating_add(*amount);
        }
    }

    /// Takes away the amounts of `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_default();
            *own = own.saturating_sub(*amount);
        }
    }

    /// Keeps the larger amount of each resource.
    pub fn max(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_default();
            *own = (*own).max(*amount);
        }
    }

    /// Replaces the amounts that `other` has.
    pub fn replace(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl<'de> Deserialize<'de> for Resources {
    /// Reads a `ResourceList`. An amount that is not a quantity is left out: API servers do not store one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list: Option<BTreeMap<Box<str>, Value>> = Option::deserialize(deserializer)?;
        let amount = |value: &Value| match value {
            Value::String(text) => parse_quantity(text),
            // YAML written by hand may have a number.
            Value::Number(number) => parse_quantity(&number.to_string()),
            _ => None,
        };
        let list = list.into_iter().flatten();
        Ok(Self(list.filter_map(|(name, value)| Some((name, amount(&value)?))).collect()))
    }
}

/// Parses a quantity into billionths, rounded up like in Kubernetes (`k8s.io/apimachinery/pkg/api/resource`); `None` if it is not
/// a quantity.
pub fn parse_quantity(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (exponent, factor) = scale_of(suffix)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = exponent + SCALE - i32::try_from(fraction.len()).ok()?;
    let scaled = digits.checked_mul(factor)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let amount = if shift >= 0 {
        scaled.checked_mul(power?)?
    } else {
        // Below all that is kept, any amount is rounded up to one.
        power.map_or(i128::from(scaled > 0), |power| scaled / power + i128::from(scaled % power > 0))
    };
    Some(if negative { -amount } else { amount })
}

/// The power of ten and the factor of a suffix.
fn scale_of(suffix: &str) -> Option<(i32, i128)> {
    const DECIMAL: [(&str, i32); 10] =
        [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some((_, exponent)) = DECIMAL.iter().find(|(own, _)| *own == suffix) {
        return Some((*exponent, 1));
    }
    if let Some(index) = BINARY.iter().position(|own| *own == suffix) {
        return Some((0, 1 << (10 * (index + 1))));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    // Larger ones overflow anyway.
    (-100..=100).contains(&exponent).then_some((exponent, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        const ONE: i128 = 1_000_000_000;
        for (text, amount) in [
            ("1", ONE),
            ("0.5", ONE / 2),
            ("500m", ONE / 2),
            (".5", ONE / 2),
            ("5.", 5 * ONE),
            ("+2k", 2000 * ONE),
            ("-1", -ONE),
            ("1n", 1),
            ("0.1n", 1),
            ("1e3", 1000 * ONE),
            ("1E-3", ONE / 1000),
            ("1e-99", 1),
            ("1E", 1_000_000_000_000_000_000 * ONE),
            ("2Gi", (2 << 30) * ONE),
            ("1.5Ki", 1536 * ONE),
            ("8Ei", (8 << 60) * ONE),
        ] {
            assert_eq!(parse_quantity(text), Some(amount), "{text}");
        }
        for text in ["", "m", ".", "1.2.3", "1x", "1ki", "e3", "1e", "--1", "1 ", "9e99", "1e1000"] {
            assert_eq!(parse_quantity(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_keeps_what_is_a_quantity() {
        let list: Resources = serde_json::from_str(r#"{"cpu":"250m","pods":110,"x":true,"y":"?"}"#).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [("cpu", 250_000_000), ("pods", 110_000_000_000)]);
        assert_eq!(serde_json::from_str::<Resources>("null").unwrap(), Resources::default());
    }
}
