//! A name by which a server is reached: what a certificate is issued for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// RFC 1035, 2.3.4: 255 octets on the wire, which are 253 characters of text.
const MAX_NAME: usize = 253;
/// RFC 1035, 2.3.4.
const MAX_LABEL: usize = 63;

/// A DNS name, one with a wildcard as its first label, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A DNS name in lower case, such as `colocate.default.svc` or `*.example.com`.
    Dns(String),
    /// An IP address. A client that connects by address looks for it here, and never among the DNS names.
    Ip(IpAddr),
}

/// A text that is no [`Name`], and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum InvalidName {
    #[error("it is empty")]
    Empty,
    #[error("it is a URL or has a path: write the host alone")]
    Url,
    #[error("it has a port: write the host alone")]
    Port,
    #[error("it is longer than {MAX_NAME} characters")]
    TooLong,
    #[error("it ends with a dot: write it without")]
    TrailingDot,
    #[error("it has an empty part between dots")]
    EmptyLabel,
    #[error("`{0}` is longer than {MAX_LABEL} characters")]
    LongLabel(String),
    #[error("`{0}` begins or ends with a hyphen")]
    Hyphen(String),
    #[error("{0:?} is none of the letters a to z, digits and hyphens that a DNS name is made of")]
    Character(char),
    #[error("`*` stands for the whole first part of a name only, as in `*.example.com`")]
    Wildcard,
    #[error("`*` needs two parts or more behind it, as in `*.example.com`: clients accept no other")]
    WideWildcard,
    #[error("it ends with a number but is no IP address")]
    Number,
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Ip(address));
        }
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.contains('/') {
            return Err(InvalidName::Url);
        }
        if text.contains(':') {
            return Err(InvalidName::Port);
        }
        if text.len() > MAX_NAME {
            return Err(InvalidName::TooLong);
        }
        if text.ends_with('.') {
            return Err(InvalidName::TrailingDot);
        }
        let host = match text.strip_prefix("*.") {
            // webpki and Go agree: a certificate for a whole top-level domain is for nothing.
            Some(parent) if !parent.contains('.') => return Err(InvalidName::WideWildcard),
            Some(parent) => parent,
            None => text,
        };
        host.split('.').try_for_each(label)?;
        if host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(InvalidName::Number);
        }
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }
}

fn label(label: &str) -> Result<(), InvalidName> {
    if label.is_empty() {
        return Err(InvalidName::EmptyLabel);
    }
    match label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        Some('*') => return Err(InvalidName::Wildcard),
        Some(other) => return Err(InvalidName::Character(other)),
        None => {}
    }
    if label.len() > MAX_LABEL {
        return Err(InvalidName::LongLabel(label.into()));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(InvalidName::Hyphen(label.into()));
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_names_wildcards_and_addresses() {
        for name in ["colocate", "colocate.default.svc", "a-b.c1.example", "1a.example", "*.default.svc"] {
            assert_eq!(name.parse(), Ok(Name::Dns(name.into())));
        }
        assert_eq!("LocalHost".parse(), Ok(Name::Dns("localhost".into())));
        for address in ["127.0.0.1", "::1", "fd00::12"] {
            assert_eq!(address.parse(), Ok(Name::Ip(address.parse().unwrap())));
        }
        assert_eq!("[::1]".parse::<Name>(), "::1".parse());
        assert!(format!("{}.svc", "a".repeat(MAX_LABEL)).parse::<Name>().is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let long_label = "a".repeat(MAX_LABEL + 1);
        for (text, wrong) in [
            ("", InvalidName::Empty),
            ("https://localhost:8443/mutate", InvalidName::Url),
            ("localhost/mutate", InvalidName::Url),
            ("localhost:8443", InvalidName::Port),
            (&"a.".repeat(MAX_NAME), InvalidName::TooLong),
            ("colocate.default.svc.", InvalidName::TrailingDot),
            ("colocate..svc", InvalidName::EmptyLabel),
            (".svc", InvalidName::EmptyLabel),
            (&long_label, InvalidName::LongLabel(long_label.clone())),
            ("-a.svc", InvalidName::Hyphen("-a".into())),
            ("a-.svc", InvalidName::Hyphen("a-".into())),
            ("colocate_1.svc", InvalidName::Character('_')),
            ("colo cate", InvalidName::Character(' ')),
            ("müsli.example", InvalidName::Character('ü')),
            ("*", InvalidName::Wildcard),
            ("a*.example.com", InvalidName::Wildcard),
            ("a.*.com", InvalidName::Wildcard),
            ("*.svc", InvalidName::WideWildcard),
            ("300.1.1.1", InvalidName::Number),
            ("127.1", InvalidName::Number),
        ] {
            assert_eq!(text.parse::<Name>(), Err(wrong), "{text}");
        }
    }
}
