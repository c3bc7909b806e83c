//! Bytes to send, as a case writes them: as they are, or by how they are made.

use serde::Deserialize;

use super::review;

/// Bytes, by how they are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    /// These characters.
    Plain(String),
    /// One behind the other.
    Joined(Vec<Text>),
    /// What a generator makes.
    Made(Box<Maker>),
}

/// The generators. In a case each is a mapping with these keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Maker {
    /// These bytes, as pairs of digits.
    Hex { hex: String },
    /// A text so many times; `{n}` in it is the number of the copy.
    Repeat {
        repeat: Text,
        times: usize,
        #[serde(default)]
        between: String,
    },
    /// A text within so many pairs of brackets.
    Nest { nest: Text, within: (String, String), times: usize },
    /// A text without its last bytes.
    Short { short: Text, by: usize },
    /// Bytes that others than the server would refuse, or take long to read; what a patch is tried on has something else
    /// in their place.
    Odd { odd: Text, instead: Text },
    /// A `POST /mutate` of JSON with these further headers; `{length}` in one is the body's.
    Post {
        post: Vec<Text>,
        #[serde(default)]
        body: Text,
    },
    /// A review of `bases.yaml`.
    Review { review: String },
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

/// For whom bytes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The server.
    Server,
    /// Somebody who reads JSON into a tree, and refuses what is odd or deep.
    Anyone,
}

impl Text {
    /// The bytes.
    pub(crate) fn bytes(&self, reader: Reader) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(reader, &mut bytes);
        bytes
    }

    fn write(&self, reader: Reader, bytes: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => bytes.extend(text.as_bytes()),
            Self::Joined(parts) => parts.iter().for_each(|part| part.write(reader, bytes)),
            Self::Made(maker) => maker.write(reader, bytes),
        }
    }
}

impl Maker {
    fn write(&self, reader: Reader, bytes: &mut Vec<u8>) {
        match self {
            Self::Hex { hex } => bytes.extend(from_hex(hex)),
            Self::Repeat { repeat, times, between } => {
                let parts = parts(repeat.bytes(reader));
                if let ([text], "") = (&parts[..], &**between) {
                    return bytes.extend_from_slice(&text.repeat(*times));
                }
                for copy in 0..*times {
                    if copy > 0 {
                        bytes.extend_from_slice(between.as_bytes());
                    }
                    let number = copy.to_string();
                    for (place, part) in parts.iter().enumerate() {
                        bytes.extend_from_slice(if place > 0 { number.as_bytes() } else { &[] });
                        bytes.extend_from_slice(part);
                    }
                }
            }
            Self::Nest { nest, within: (open, close), times } => {
                let times = if reader == Reader::Anyone { 1 } else { *times };
                bytes.extend(open.repeat(times).as_bytes());
                nest.write(reader, bytes);
                bytes.extend(close.repeat(times).as_bytes());
            }
            Self::Short { short, by } => {
                short.write(reader, bytes);
                bytes.truncate(bytes.len() - by);
            }
            Self::Odd { odd, instead } => {
                let text = if reader == Reader::Server { odd } else { instead };
                text.write(reader, bytes);
            }
            Self::Post { post, body } => {
                let body = body.bytes(reader);
                bytes.extend(b"POST /mutate HTTP/1.1\r\nHost: colocate.test.svc\r\nContent-Type: application/json\r\n");
                for header in post {
                    let header = String::from_utf8(header.bytes(reader)).expect("a header is text");
                    bytes.extend(header.replace("{length}", &body.len().to_string()).as_bytes());
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"\r\n");
                bytes.extend(body);
            }
            Self::Review { review } => bytes.extend(review::base(review).text().as_bytes()),
        }
    }
}

/// What is between the places where `{n}` stands.
fn parts(mut text: Vec<u8>) -> Vec<Vec<u8>> {
    const NUMBER: &[u8] = b"{n}";
    let mut parts = Vec::new();
    while let Some(place) = text.windows(NUMBER.len()).position(|part| part == NUMBER) {
        let rest = text.split_off(place + NUMBER.len());
        text.truncate(place);
        parts.push(std::mem::replace(&mut text, rest));
    }
    parts.push(text);
    parts
}

/// The bytes of pairs of digits, with spaces wherever they help.
fn from_hex(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|place| &digits[place..place + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{pair} is no byte"))).collect()
}
