//! Values of scalars, as in the YAML parser of kubectl and Helm (sigs.k8s.io/yaml, based on go-yaml 2).
//!
//! It parses YAML 1.1: `yes`, `on` and `y` are true, and `017` is fifteen. Timestamps remain strings.

use std::borrow::Cow;

use serde_json::{Number, Value};

#[derive(Debug)]
pub(super) struct Scalar<'t> {
    /// The text without quotes, escapes and indentation.
    pub(super) text: Cow<'t, str>,
    pub(super) style: Style,
    pub(super) resolution: TagResolution,
}

/// The style of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// A literal or folded block.
    Block,
}

/// The way in which the type of a scalar is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagResolution {
    /// Resolved by its text.
    Plain,
    /// Always a string.
    Text,
    /// Resolved by the tag `!!merge`, which makes a key a merge key.
    Merge,
    /// Resolved by a tag of YAML's core schema.
    Tagged(Type),
    /// Resolved as a number, `true`, `false` or `null` of JSON.
    Json,
}

/// The type of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int,
    Float,
    Null,
}

impl Type {
    pub(super) fn from_tag(name: &str) -> Option<Self> {
        match name {
            "bool" => Some(Self::Bool),
            "int" => Some(Self::Int),
            "float" => Some(Self::Float),
            "null" => Some(Self::Null),
            _ => None,
        }
    }
}

impl Scalar<'_> {
    /// Returns the value, or an error if the text does not match its tag.
    pub(super) fn value(&self) -> Result<Value, String> {
        match self.resolution {
            TagResolution::Plain => Ok(plain(&self.text)),
            TagResolution::Text | TagResolution::Merge => Ok(Value::String(self.text.clone().into_owned())),
            TagResolution::Json => serde_json::from_str(&self.text).map_err(|error| error.to_string()),
            TagResolution::Tagged(wanted) => tagged(wanted, &self.text),
        }
    }
}

fn tagged(wanted: Type, text: &str) -> Result<Value, String> {
    let value = plain(text);
    let (fits, name) = match wanted {
        Type::Bool => (value.is_boolean(), "a boolean"),
        Type::Int => (value.is_i64() || value.is_u64(), "a whole number"),
        Type::Float => (value.is_number() || is_special_float(text), "a number"),
        Type::Null => (value.is_null(), "null"),
    };
    fits.then_some(value)
        .ok_or_else(|| format!("`{text}` is not {name}, as its tag requires: change or remove the tag"))
}

/// The value of a scalar without quotes and tag.
pub(super) fn plain(text: &str) -> Value {
    let resolved = match text.as_bytes().first() {
        None => Some(Value::Null),
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text).map(Value::Number),
        Some(b'~' | b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => word(text),
        Some(_) => None,
    };
    resolved.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn word(text: &str) -> Option<Value> {
    match text {
        "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(Value::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        _ => None,
    }
}

/// Parses a number. Those that JSON does not have (`.inf`, `.nan`) remain strings.
fn number(text: &str) -> Option<Number> {
    if text.starts_with('.') {
        return float(text);
    }
    let text = &text.replace('_', "");
    integer(text).or_else(|| float(text))
}

fn integer(text: &str) -> Option<Number> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (Some("-"), &text[1..]),
        b'+' => (Some(""), &text[1..]),
        _ => (None, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    // `from_str_radix` accepts a sign, which would be a second one.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    match i64::from_str_radix(&format!("{}{digits}", sign.unwrap_or_default()), radix) {
        Ok(integer) => Some(integer.into()),
        // Only a number without a sign may use all 64 bits.
        Err(_) if sign.is_none() => u64::from_str_radix(digits, radix).ok().map(Number::from),
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    if !(exponent_fits && mantissa_fits) {
        return None;
    }
    Number::from_f64(text.parse().ok()?)
}

fn is_special_float(text: &str) -> bool {
    let name = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(name, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_resolved_as_in_kubectl() {
        for text in ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"] {
            assert_eq!(plain(text), json!(true), "{text}");
        }
        for text in ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"] {
            assert_eq!(plain(text), json!(false), "{text}");
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(text), Value::Null, "{text}");
        }
        for text in ["yEs", "tRue", "nULL", "oN", "~~", "<<", "stork", "default-scheduler", "nil", "none", " "] {
            assert_eq!(plain(text), json!(text));
        }
    }

    #[test]
    fn numbers_are_resolved_as_in_kubectl() {
        for (text, value) in [
            ("0", json!(0)),
            ("-0", json!(0)),
            ("+12", json!(12)),
            ("1_000", json!(1000)),
            ("017", json!(15)),
            ("0o17", json!(15)),
            ("0O17", json!(15)),
            ("-017", json!(-15)),
            ("0x1F", json!(31)),
            ("-0x1f", json!(-31)),
            ("0b101", json!(5)),
            ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("08", json!(8.0)),
            ("1.", json!(1.0)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("-1.5e3", json!(-1500.0)),
            ("1E+2", json!(100.0)),
            ("100000000000000000000", json!(1e20)),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
        for text in [
            "1.2.3",
            "1e",
            "1e400",
            "0x",
            "0xg",
            "0b2",
            "--1",
            "+-1",
            "+9223372036854775808x",
            "1Gi",
            "2001-12-14",
            "12:30",
            ".",
            "..",
            "-",
            "+",
            ".e3",
            "-.inf",
            ".inf",
            ".nan",
            "1 2",
            "0x1.8p1",
            ".5_0",
            "-.",
            "٣",
        ] {
            assert_eq!(plain(text), json!(text));
        }
    }

    #[test]
    fn a_tag_that_does_not_match_is_an_error() {
        assert_eq!(tagged(Type::Int, "0x10"), Ok(json!(16)));
        assert_eq!(tagged(Type::Float, "1"), Ok(json!(1)));
        assert_eq!(tagged(Type::Float, "-.inf"), Ok(json!("-.inf")));
        assert_eq!(tagged(Type::Bool, "yes"), Ok(json!(true)));
        assert_eq!(tagged(Type::Null, ""), Ok(Value::Null));
        for (wanted, text, name) in [
            (Type::Int, "1.5", "a whole number"),
            (Type::Float, "x", "a number"),
            (Type::Bool, "1", "a boolean"),
            (Type::Null, "0", "null"),
        ] {
            let error = tagged(wanted, text).unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is not {name}, as its tag requires")), "{error}");
        }
    }
}
