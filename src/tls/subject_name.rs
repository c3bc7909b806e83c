//! The name of a server, for which a certificate is issued.
//!
//! Its labels follow the rules for names in Kubernetes ([`dns`]) and are converted to lower case. A certificate can
//! also be for a wildcard or an IP address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::engine::dns::{self, LABEL_FORM, MAX_SUBDOMAIN};

/// A DNS name, one with a wildcard as its first label, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A DNS name in lower case, such as `colocate.default.svc` or `*.example.com`.
    Dns(String),
    /// An IP address. A client that connects to an address does not look for it among the DNS names.
    Ip(IpAddr),
}

/// The reason why a text is not a [`SubjectName`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum InvalidName {
    #[error("it is empty")]
    Empty,
    #[error("it is a URL or has a path: use only the host")]
    Url,
    #[error("it has a port: use only the host")]
    Port,
    #[error("it is longer than {MAX_SUBDOMAIN} characters")]
    TooLong,
    #[error("it ends with a dot: remove the dot")]
    TrailingDot,
    #[error("it has an empty part between dots")]
    EmptyLabel,
    #[error("`{0}` is not a DNS label: use {LABEL_FORM}")]
    Label(String),
    #[error("`*` is only allowed as the whole first part of a name, as in `*.example.com`")]
    Wildcard,
    #[error("`*` needs at least two parts after it, as in `*.example.com`: clients accept nothing else")]
    WideWildcard,
    #[error("it ends with a number but is not an IP address")]
    Number,
}

impl FromStr for SubjectName {
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
        if text.len() > MAX_SUBDOMAIN {
            return Err(InvalidName::TooLong);
        }
        if text.ends_with('.') {
            return Err(InvalidName::TrailingDot);
        }
        let text = text.to_ascii_lowercase();
        let host = match text.strip_prefix("*.") {
            // webpki and Go do not accept a certificate for a whole top-level domain.
            Some(parent) if !parent.contains('.') => return Err(InvalidName::WideWildcard),
            Some(parent) => parent,
            None => &text,
        };
        match host.split('.').find(|label| !dns::is_label(label)) {
            Some("") => return Err(InvalidName::EmptyLabel),
            Some(label) if label.contains('*') => return Err(InvalidName::Wildcard),
            Some(label) => return Err(InvalidName::Label(label.to_owned())),
            None => {}
        }
        if host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(InvalidName::Number);
        }
        Ok(Self::Dns(text))
    }
}

impl fmt::Display for SubjectName {
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
    use crate::engine::dns::MAX_LABEL;

    #[test]
    fn names_are_dns_names_wildcards_and_addresses() {
        for name in ["colocate", "colocate.default.svc", "a-b.c1.example", "1a.example", "*.default.svc"] {
            assert_eq!(name.parse(), Ok(SubjectName::Dns(name.into())));
        }
        assert_eq!("LocalHost".parse(), Ok(SubjectName::Dns("localhost".into())));
        for address in ["127.0.0.1", "::1", "fd00::12"] {
            assert_eq!(address.parse(), Ok(SubjectName::Ip(address.parse().unwrap())));
        }
        assert_eq!("[::1]".parse::<SubjectName>(), "::1".parse());
        assert!(format!("{}.svc", "a".repeat(MAX_LABEL)).parse::<SubjectName>().is_ok());
    }

    #[test]
    fn each_invalid_name_has_its_reason() {
        let long_label = "a".repeat(MAX_LABEL + 1);
        for (text, wrong) in [
            ("", InvalidName::Empty),
            ("https://localhost:8443/mutate", InvalidName::Url),
            ("localhost/mutate", InvalidName::Url),
            ("localhost:8443", InvalidName::Port),
            (&"a.".repeat(MAX_SUBDOMAIN), InvalidName::TooLong),
            ("colocate.default.svc.", InvalidName::TrailingDot),
            ("colocate..svc", InvalidName::EmptyLabel),
            (".svc", InvalidName::EmptyLabel),
            (&long_label, InvalidName::Label(long_label.clone())),
            ("-a.svc", InvalidName::Label("-a".into())),
            ("a-.svc", InvalidName::Label("a-".into())),
            ("colocate_1.svc", InvalidName::Label("colocate_1".into())),
            ("colo cate", InvalidName::Label("colo cate".into())),
            ("müsli.example", InvalidName::Label("müsli".into())),
            ("*", InvalidName::Wildcard),
            ("a*.example.com", InvalidName::Wildcard),
            ("a.*.com", InvalidName::Wildcard),
            ("*.svc", InvalidName::WideWildcard),
            ("300.1.1.1", InvalidName::Number),
            ("127.1", InvalidName::Number),
        ] {
            assert_eq!(text.parse::<SubjectName>(), Err(wrong), "{text}");
        }
    }
}
