//! Bytes to send, written literally or with a generator.

use serde::Deserialize;

use super::review;

/// A description of bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    /// A literal string.
    Plain(String),
    /// A concatenation.
    Joined(Vec<Text>),
    /// The output of a generator.
    Generated(Box<Generator>),
}

/// A generator, which is a mapping with these keys in a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Generator {
    /// Bytes as pairs of hexadecimal digits.
    Hex { hex: String },
    /// A text, repeated. `{n}` in it is replaced by the number of the copy.
    Repeat {
        repeat: Text,
        times: usize,
        #[serde(default)]
        between: String,
    },
    /// A text within nested brackets.
    Nest { nest: Text, within: (String, String), times: usize },
    /// A text without its last `by` bytes.
    Short { short: Text, by: usize },
    /// Bytes that parsers other than the server reject, or take long to read. The body on which a patch is tested contains
    /// `instead`.
    Odd { odd: Text, instead: Text },
    /// A `POST /mutate` of JSON with additional headers. `{length}` in a header is the length of the body.
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

/// The reader of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The server.
    Server,
    /// A parser that reads JSON into a tree, and rejects odd or deeply nested JSON.
    Anyone,
}

impl Text {
    /// Returns the bytes for a reader.
    pub(crate) fn bytes(&self, reader: Reader) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(reader, &mut bytes);
        bytes
    }

    fn write(&self, reader: Reader, bytes: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => bytes.extend(text.as_bytes()),
            Self::Joined(parts) => parts.iter().for_each(|part| part.write(reader, bytes)),
            Self::Generated(generator) => generator.write(reader, bytes),
        }
    }
}

impl Generator {
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
                    let header = String::from_utf8(header.bytes(reader)).expect("a header is UTF-8");
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

/// Splits a text at each `{n}`.
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

/// Parses pairs of hexadecimal digits, which may be separated by spaces.
fn from_hex(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|place| &digits[place..place + 2]);
    pairs
        .map(|pair| {
            u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("`{pair}` is not a byte in hexadecimal digits"))
        })
        .collect()
}
