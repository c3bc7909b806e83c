//! The names that Kubernetes allows, by RFC 1123.

/// Whether a namespace may be called so: a DNS label.
pub(super) fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_part(name)
}

/// Whether most other objects may be called so: a DNS subdomain. Kubernetes bounds the whole and not its labels.
pub(super) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    let plain = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.iter().all(|c| plain(c) || *c == b'-') && bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_api_server_takes() {
        let longest = "a".repeat(63);
        for name in ["a", "team-a", "7", "kube-system", &longest] {
            assert!(is_label(name) && is_subdomain(name), "{name}");
        }
        assert!(is_subdomain("a.b-c.7") && !is_label("a.b-c.7"));
        assert!(is_subdomain(&format!("{longest}a")) && !is_label(&format!("{longest}a")));
        for name in ["", "A", "-a", "a-", "a b", "a/b", "a_b", "ä", ".a", "a..b", "../a", &"a".repeat(254)] {
            assert!(!is_label(name) && !is_subdomain(name), "{name}");
        }
    }
}
