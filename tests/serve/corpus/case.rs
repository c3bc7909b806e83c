//! Parses cases from the files in this folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::review::{self, Order};
use super::text::{Reader, Text};

/// A case: the input and the expected result.
#[derive(Debug)]
pub(crate) struct Case {
    /// The name of its file, without the extension.
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The kind of input.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A body that is sent as the API server sends it.
    Body(Body, Expected),
    /// The raw bytes of a connection.
    Talk(Talk),
}

/// A body, or a template for many bodies.
#[derive(Debug)]
pub(crate) struct Body {
    written: Written,
    pub(crate) every: Option<Every>,
}

#[derive(Debug)]
enum Written {
    Text(Text),
    Review { text: String, replace: BTreeMap<String, Text> },
}

/// The bodies that are derived from one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Every {
    /// Each prefix of the body, except the whole body.
    Beginning,
    /// The body with each of its bytes replaced in turn.
    Byte(Text),
}

/// The expected response to a body.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Refusal(Refusal),
    Decision(Decision),
    /// A rejection or a decision that follows the rules.
    Either,
}

/// An HTTP status other than 200, and words from the line that explains it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) says: String,
}

/// The expected decision about a review.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    pub(crate) reason: String,
    /// The JSON pointer at which the scheduler is set. `None` if nothing is patched.
    pub(crate) patch: Option<String>,
    #[serde(default = "stork")]
    pub(crate) scheduler: String,
    /// The word that starts the only warning.
    pub(crate) warning: Option<String>,
    /// A part of the audit annotation about the claims.
    #[serde(default)]
    pub(crate) claims: String,
}

/// The steps on a connection.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) over: Over,
    /// Whether the client is so slow that it runs into a timeout.
    pub(crate) slow: bool,
    pub(crate) steps: Vec<Step>,
}

/// The transport of a connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Over {
    Plain,
    Tls,
    /// TLS 1.2.
    Tls12,
    /// TLS with these ALPN protocols offered.
    Alpn(Vec<String>),
    /// TLS without SNI.
    NoName,
}

/// A step on a connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// The client sends these bytes.
    Send(Text),
    /// The client sends these bytes one by one, so slowly that the server reads each separately, until the server closes.
    Drip(Text),
    /// The server responds with this status and these words.
    Answer(Refusal),
    /// The server responds to HEAD, without a body.
    Head(u16),
    /// The server sends these bytes.
    Bytes(Text),
    /// The client shuts down its sending side.
    Shut,
    /// The client closes the connection.
    Leave,
    /// The server closes the connection without sending anything else.
    Closed,
    /// The server closes the connection, possibly after sending something.
    Ends,
    /// The server responds with this and closes the connection. A client that is still sending may not get the response.
    CutOff(Refusal),
    /// The server responds to a valid review on the same connection.
    Open,
}

/// A case in a file. The combination of keys is checked later.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "name")]
    _name: String,
    of: Option<String>,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    with: BTreeMap<String, Value>,
    #[serde(default)]
    object: BTreeMap<String, Value>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    replace: BTreeMap<String, Text>,
    body: Option<Text>,
    every: Option<Every>,
    expect: Option<Value>,
    over: Option<Over>,
    #[serde(default)]
    slow: bool,
    talk: Option<Vec<Step>>,
}

/// Parses `text`, the content of a file in this folder.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> T {
    let read = || {
        let mut value: yaml_serde::Value = yaml_serde::from_str(text)?;
        value.apply_merge()?;
        // Converted through JSON, in which an enum variant is a key instead of a YAML tag.
        yaml_serde::from_value::<Value>(value)
    };
    let value = read().unwrap_or_else(|error| panic!("tests/serve/corpus/{file}: {error}"));
    serde_json::from_value(value).unwrap_or_else(|error| panic!("tests/serve/corpus/{file}: {error}"))
}

/// Returns all cases, in the order of their files.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/corpus/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Case> {
    let group = file.file_stem().and_then(|stem| stem.to_str()).expect("the file has a name").to_owned();
    let entries: Vec<Value> = parse(&format!("cases/{group}.yaml"), &fs::read_to_string(file).unwrap());
    let case = |entry: Value| {
        let name = entry["name"].as_str().unwrap_or("(no name)").to_owned();
        let entry = serde_json::from_value::<Entry>(entry).map_err(|error| error.to_string());
        let kind = entry.and_then(Kind::try_from);
        let kind = kind.unwrap_or_else(|error| panic!("tests/serve/corpus/cases/{group}.yaml, `{name}`: {error}"));
        Case { group: group.clone(), name, kind }
    };
    entries.into_iter().map(case).collect()
}

impl TryFrom<Entry> for Kind {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let Entry { _name: _, of, order, with, object, without, replace, body, every, expect, over, slow, talk } =
            entry;
        let changed = !(with.is_empty() && object.is_empty() && without.is_empty() && replace.is_empty());
        let written = match (of, body, talk) {
            (Some(of), None, None) => {
                let mut document = review::base(&of);
                let object = object.into_iter().map(|(pointer, value)| (format!("/request/object{pointer}"), value));
                for (pointer, value) in with.into_iter().chain(object) {
                    document.put(&pointer, value);
                }
                for pointer in &without {
                    document.take(pointer);
                }
                Written::Review { text: document.text_in(order), replace }
            }
            (None, Some(body), None) if !changed => Written::Text(body),
            (None, None, Some(steps)) if !changed && every.is_none() && expect.is_none() => {
                return Ok(Self::Talk(Talk { over: over.unwrap_or(Over::Tls), slow, steps }));
            }
            _ => return Err("a case needs one of `of` (with changes), `body` or `talk`".to_owned()),
        };
        let expect = expect.ok_or("`expect` is missing")?;
        Ok(Self::Body(Body { written, every }, Expected::try_from(expect)?))
    }
}

impl Body {
    /// Returns the bytes for a reader.
    pub(crate) fn bytes(&self, reader: Reader) -> Vec<u8> {
        match &self.written {
            Written::Text(text) => text.bytes(reader),
            Written::Review { text, replace } => {
                let mut bytes = text.clone().into_bytes();
                for (old, new) in replace {
                    let mut places = bytes.windows(old.len()).enumerate().filter(|(_, part)| *part == old.as_bytes());
                    let place = places.next().unwrap_or_else(|| panic!("{old} does not occur in {text}")).0;
                    assert!(places.next().is_none(), "{old} occurs in {text} more than once");
                    bytes.splice(place..place + old.len(), new.bytes(reader));
                }
                bytes
            }
        }
    }
}

impl TryFrom<Value> for Expected {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::String(word) if word == "either" => Ok(Self::Either),
            // Only the reason.
            Value::String(word) if !word.starts_with(|c: char| c.is_ascii_digit()) => {
                Ok(Self::Decision(Decision { reason: word.clone(), ..Decision::default() }))
            }
            Value::Object(_) => {
                serde_json::from_value(value).map(Self::Decision).map_err(|error| format!("expect: {error}"))
            }
            _ => Refusal::try_from(value).map(Self::Refusal),
        }
    }
}

impl Default for Decision {
    fn default() -> Self {
        Self { reason: String::new(), patch: None, scheduler: stork(), warning: None, claims: String::new() }
    }
}

fn stork() -> String {
    "stork".to_owned()
}

impl Refusal {
    /// Returns a rejection with any text.
    pub(crate) fn of(status: u16) -> Self {
        Self { status, says: String::new() }
    }
}

impl TryFrom<Value> for Refusal {
    type Error = String;

    /// Parses `400`, or `400 some words of the response`.
    fn try_from(value: Value) -> Result<Self, String> {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (status, says) = text.split_once(' ').unwrap_or((&text, ""));
        let status = status.parse().map_err(|_| format!("`{text}` does not start with an HTTP status"))?;
        Ok(Self { status, says: says.to_owned() })
    }
}
