//! The URL of a webhook, in its parts.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use hyper::Uri;
use hyper::http::uri::{PathAndQuery, Scheme};
use rustls::pki_types::ServerName;

/// The path of our own mutating webhook.
const DEFAULT_PATH: &str = "/mutate";
const HTTPS: u16 = 443;

const NOT_A_URL: &str = "not a URL: use one such as https://localhost:8443/mutate";

/// The `https` URL of an admission webhook.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host and port as in a URL: without the default port, and with brackets around an IPv6 address.
    pub(super) host_and_port: String,
    /// The name that the server's certificate must have, which is also the host to connect to.
    pub(super) server_name: ServerName<'static>,
    pub(super) port: u16,
    pub(super) path: PathAndQuery,
}

impl Target {
    /// Adds the timeout to the query, as the API server does: `?timeout=10s`, in seconds rounded up. A URL that already
    /// has a `timeout` is not changed.
    #[must_use]
    pub fn with_timeout(mut self, timeout: std::time::Duration) -> Self {
        let query = self.path.query().unwrap_or_default();
        if query.split('&').any(|pair| pair.starts_with("timeout=")) {
            return self;
        }
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let separator = if query.is_empty() { "" } else { "&" };
        let path = format!("{}?{query}{separator}timeout={seconds}s", self.path.path());
        // Only characters that are allowed in a query were added.
        if let Ok(path) = path.parse() {
            self.path = path;
        }
        self
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        let parts = url.parse::<Uri>().context(NOT_A_URL)?.into_parts();
        let Some(authority) = parts.authority.filter(|_| parts.scheme == Some(Scheme::HTTPS)) else {
            bail!("admission webhooks speak https only: use a URL such as https://localhost:8443/mutate");
        };
        if authority.as_str().contains('@') {
            bail!("a user name is not supported: use a URL such as https://localhost:8443/mutate");
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            None | Some("") => HTTPS,
            Some(port) => {
                let port = port.trim_start_matches(':').parse().ok().filter(|port| *port != 0);
                port.context("its port is not a number from 1 to 65535")?
            }
        };
        let path = match parts.path_and_query {
            Some(path) if path.path() != "/" => path,
            path => {
                let query = path.as_ref().and_then(PathAndQuery::query).map(|query| format!("?{query}"));
                format!("{DEFAULT_PATH}{}", query.unwrap_or_default()).parse().context(NOT_A_URL)?
            }
        };
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server_name = ServerName::try_from(name).context("its host is neither a DNS name nor an IP address")?;
        let host_and_port = if port == HTTPS { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self { host_and_port, server_name, port, path })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.host_and_port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap()
    }

    #[test]
    fn a_url_has_a_host_a_port_and_a_path() {
        let local = target("https://localhost:8443/validate?a=b");
        assert_eq!(
            (&*local.server_name.to_str(), local.port, local.path.as_str()),
            ("localhost", 8443, "/validate?a=b")
        );
        assert_eq!(local.host_and_port, "localhost:8443");
        assert_eq!(local.to_string(), "https://localhost:8443/validate?a=b");
        let six = target("https://[::1]:9443");
        assert_eq!((&*six.server_name.to_str(), &*six.host_and_port), ("::1", "[::1]:9443"));
        assert!(matches!(six.server_name, ServerName::IpAddress(_)));
    }

    #[test]
    fn port_and_path_have_defaults() {
        for url in ["https://colocate.default.svc", "https://colocate.default.svc/", "https://colocate.default.svc:443"]
        {
            assert_eq!(target(url).to_string(), "https://colocate.default.svc/mutate");
            assert_eq!(target(url).port, 443);
        }
        assert_eq!(target("https://a.example/?x=1").path.as_str(), "/mutate?x=1");
    }

    #[test]
    fn the_timeout_is_added_to_the_query() {
        let path = |url: &str, timeout| target(url).with_timeout(timeout).path.to_string();
        assert_eq!(path("https://a.example", Duration::from_secs(10)), "/mutate?timeout=10s");
        assert_eq!(path("https://a.example", Duration::from_millis(1)), "/mutate?timeout=1s");
        assert_eq!(path("https://a.example/x?y", Duration::from_millis(1500)), "/x?y&timeout=2s");
        assert_eq!(path("https://a.example/x?timeout=3s", Duration::from_secs(10)), "/x?timeout=3s");
    }

    #[test]
    fn each_invalid_url_has_its_reason() {
        let wrong = |url: &str| url.parse::<Target>().unwrap_err().to_string();
        for url in ["localhost:8443", "localhost", "/mutate", "http://localhost:8443", "ftp://a.example/x"] {
            assert!(wrong(url).contains("https only"), "{url}");
        }
        for url in ["", "https://", "https:///mutate", "not a url", "https://a b/"] {
            assert_eq!(wrong(url), NOT_A_URL, "{url}");
        }
        assert!(wrong("https://me@a.example").contains("user name"));
        for url in ["https://a.example:0", "https://a.example:", "https://a.example:65536"] {
            assert!(wrong(url).contains("its port"), "{url}: {:?}", url.parse::<Target>());
        }
        assert!(wrong("https://-a.example").contains("its host"));
    }
}
