//! Names of Kubernetes objects, by RFC 1123 and with the length limits of Kubernetes' own validation.
//!
//! Names in certificates follow other rules: upper case, wildcards and addresses are allowed, and the length of each label
//! is limited.

/// The length of the longest label.
pub const MAX_LABEL: usize = 63;

/// The form of a label, for messages.
pub const LABEL_FORM: &str = "1 to 63 characters a-z, 0-9 and `-`, with no `-` at either end";

/// The length of the longest subdomain.
pub const MAX_SUBDOMAIN: usize = 253;

/// Returns true for the name of a namespace or a Service: a DNS label, as in Kubernetes' `IsDNS1123Label`.
pub fn is_label(name: &str) -> bool {
    name.len() <= MAX_LABEL && is_part(name)
}

/// Returns true for the name of most other objects: a DNS subdomain, as in Kubernetes' `IsDNS1123Subdomain`, which limits
/// the length of the whole name and not of its labels.
///
/// A name in an object that is being admitted has not been validated yet: it can be a path, a query or a megabyte.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= MAX_SUBDOMAIN && name.split('.').all(is_part)
}

/// Returns true for the key of a label: a name of at most 63 characters, with an optional prefix that is a DNS subdomain, as
/// in Kubernetes' `IsQualifiedName`. Some schedulers have such a name too.
pub fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let bytes = name.as_bytes();
    let at_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    prefix.is_none_or(is_subdomain)
        && name.len() <= MAX_LABEL
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && at_end(bytes.first())
        && at_end(bytes.last())
}

fn is_part(part: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.iter().all(|byte| is_plain(byte) || *byte == b'-')
        && bytes.first().is_some_and(is_plain)
        && bytes.last().is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names_are_accepted_as_by_the_api_server() {
        let longest = "a".repeat(MAX_LABEL);
        for name in ["a", "A_b.c-D", "gke.io/optimize-utilization-scheduler", "colocate/ignore", &longest] {
            assert!(is_qualified_name(name), "{name}");
        }
        let too_long = format!("{longest}a");
        for name in ["", "a/", "/a", "a/b/c", "A.b/c", "a b", "-a", "a_", "ä", "a\n", &too_long] {
            assert!(!is_qualified_name(name), "{name:?}");
        }
    }

    #[test]
    fn names_are_accepted_as_by_the_api_server() {
        let longest = "a".repeat(MAX_LABEL);
        for name in ["a", "team-a", "7", "data-mysql-0", &longest] {
            assert!(is_label(name) && is_subdomain(name), "{name}");
        }
        for name in ["a.b-c.7", "pvc-1.2", &format!("{longest}a"), &"a".repeat(MAX_SUBDOMAIN)] {
            assert!(is_subdomain(name) && !is_label(name), "{name}");
        }
        let too_long = "a".repeat(MAX_SUBDOMAIN + 1);
        for name in
            ["", "?watch=true", "../x", "a/b", "a b", "A", "-a", "a-", "a_b", ".a", "a.", "a..b", "ä", "a\n", &too_long]
        {
            assert!(!is_label(name) && !is_subdomain(name), "{name:?}");
        }
    }
}
