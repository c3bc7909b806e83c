//! A case, as it is written in one of the files of this folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::review::{self, Order};
use super::text::{Reader, Text};

/// A case: what is sent, and what comes of it.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file that it is in, without its extension.
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What a case is about.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A body, sent as the API server sends one.
    Body(Body, Expected),
    /// A connection, byte by byte.
    Talk(Talk),
}

/// A body, and whether it is one or stands for many.
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

/// Many bodies made of one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Every {
    /// Each beginning of it, but not all of it.
    Beginning,
    /// It with each byte in turn replaced.
    Byte(Text),
}

/// What a body is answered with.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Refusal(Refusal),
    Decision(Decision),
    /// Either of the two, but by the rules for each.
    Either,
}

/// An HTTP status that is not 200, and words of the one line that says why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) says: String,
}

/// The answer to a review.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    pub(crate) reason: String,
    /// Where the scheduler is set, as a JSON pointer; absent if nothing is changed.
    pub(crate) patch: Option<String>,
    #[serde(default = "stork")]
    pub(crate) scheduler: String,
    /// The word that the one warning begins with.
    pub(crate) warning: Option<String>,
    /// A part of what is said of the claims.
    #[serde(default)]
    pub(crate) claims: String,
}

/// What is said on a connection, and by whom.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) over: Over,
    /// Whether it takes as long as a client may take.
    pub(crate) slow: bool,
    pub(crate) steps: Vec<Step>,
}

/// What a connection goes over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Over {
    Plain,
    Tls,
    /// TLS 1.2.
    Tls12,
    /// With these protocols offered.
    Alpn(Vec<String>),
    /// Without the server's name.
    NoName,
}

/// One thing that happens on a connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// These bytes are sent.
    Send(Text),
    /// These bytes are sent one by one, so slowly that the server sees each, until it closes.
    Drip(Text),
    /// An answer comes: the status, and words of it.
    Answer(Refusal),
    /// An answer to HEAD comes, which has no body.
    Head(u16),
    /// These bytes come.
    Bytes(Text),
    /// The client says that nothing more will come.
    Shut,
    /// The client goes.
    Leave,
    /// Nothing more comes: the server closes the connection.
    Closed,
    /// The server closes the connection, whatever it says before.
    Ends,
    /// It answers so and closes the connection; a client that still sends may be cut off before it sees the answer.
    CutOff(Refusal),
    /// A good review is answered on the same connection.
    Open,
}

/// A case as it stands in its file: which keys go together is checked afterwards.
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

/// Reads a file of this folder, `text`, as what it is to be.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> T {
    let read = || {
        let mut value: yaml_serde::Value = yaml_serde::from_str(text)?;
        value.apply_merge()?;
        // By way of JSON, in which a variant is a key and no tag.
        yaml_serde::from_value::<Value>(value)
    };
    let value = read().unwrap_or_else(|error| panic!("tests/serve/corpus/{file}: {error}"));
    serde_json::from_value(value).unwrap_or_else(|error| panic!("tests/serve/corpus/{file}: {error}"))
}

/// All cases, in the order of their files.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/corpus/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Case> {
    let group = file.file_stem().and_then(|stem| stem.to_str()).expect("a file has a name").to_owned();
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
            _ => return Err("a case has `of` with its changes, `body` or `talk`".to_owned()),
        };
        let expect = expect.ok_or("nothing is expected")?;
        Ok(Self::Body(Body { written, every }, Expected::try_from(expect)?))
    }
}

impl Body {
    /// Its bytes.
    pub(crate) fn bytes(&self, reader: Reader) -> Vec<u8> {
        match &self.written {
            Written::Text(text) => text.bytes(reader),
            Written::Review { text, replace } => {
                let mut bytes = text.clone().into_bytes();
                for (old, new) in replace {
                    let mut places = bytes.windows(old.len()).enumerate().filter(|(_, part)| *part == old.as_bytes());
                    let place = places.next().unwrap_or_else(|| panic!("{old} is not in {text}")).0;
                    assert!(places.next().is_none(), "{old} is in {text} more than once");
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
            // The reason alone.
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
    /// Whatever the answer says.
    pub(crate) fn of(status: u16) -> Self {
        Self { status, says: String::new() }
    }
}

impl TryFrom<Value> for Refusal {
    type Error = String;

    /// `400`, or `400 and words of the answer`.
    fn try_from(value: Value) -> Result<Self, String> {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (status, says) = text.split_once(' ').unwrap_or((&text, ""));
        let status = status.parse().map_err(|_| format!("{text} begins with no HTTP status"))?;
        Ok(Self { status, says: says.to_owned() })
    }
}
