//! The URL of a webhook, in its parts.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{InvalidUri, PathAndQuery, Scheme};
use rustls::pki_types::ServerName;

/// The path of our own mutating webhook.
const DEFAULT_PATH: &str = "/mutate";
const HTTPS: u16 = 443;

/// The `https` URL of an admission webhook.
#[derive(Clone, Debug)]
pub struct Target {
    /// As in a URL, with brackets around an IPv6 address.
    host: String,
    port: u16,
    path: PathAndQuery,
    host_header: HeaderValue,
    server_name: ServerName<'static>,
}

/// The reason why a text is not the URL of an admission webhook.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTarget {
    /// It is not a URL.
    #[error("not a URL: write one such as https://localhost:8443/mutate")]
    Syntax(#[source] InvalidUri),
    /// Its scheme is not https, or is missing.
    #[error("admission webhooks speak https only: write a URL such as https://localhost:8443/mutate")]
    Scheme,
    /// It has a user name before the host.
    #[error("a user name is not supported: write a URL such as https://localhost:8443/mutate")]
    User,
    /// Its port is not a port.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// Its host is not a name that a certificate can be issued for.
    #[error("its host is neither a DNS name nor an IP address")]
    Host,
}

impl Target {
    /// The host to connect to: a DNS name or an IP address.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The TCP port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name that the server's certificate must have.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// Host and port as in a URL, without the default port.
    pub fn host_and_port(&self) -> String {
        host_and_port(&self.host, self.port)
    }

    /// [`host_and_port`](Self::host_and_port) as the value of the header `Host`.
    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// The path and the query of the request.
    pub fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// Adds the timeout to the query, as the API server does: `?timeout=10s`, in seconds rounded up. A URL that has a
    /// `timeout` of its own stays as it is.
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
    type Err = InvalidTarget;

    fn from_str(url: &str) -> Result<Self, InvalidTarget> {
        let parts = url.parse::<Uri>().map_err(InvalidTarget::Syntax)?.into_parts();
        let Some(authority) = parts.authority.filter(|_| parts.scheme == Some(Scheme::HTTPS)) else {
            return Err(InvalidTarget::Scheme);
        };
        if authority.as_str().contains('@') {
            return Err(InvalidTarget::User);
        }
        let host = authority.host().to_owned();
        let port = match authority.as_str().strip_prefix(&host) {
            None | Some("") => HTTPS,
            Some(port) => {
                let port = port.trim_start_matches(':').parse().ok().filter(|port| *port != 0);
                port.ok_or(InvalidTarget::Port)?
            }
        };
        let path = match parts.path_and_query {
            Some(path) if path.path() == "/" => match path.query() {
                None => PathAndQuery::from_static(DEFAULT_PATH),
                Some(query) => format!("{DEFAULT_PATH}?{query}").parse().map_err(InvalidTarget::Syntax)?,
            },
            Some(path) => path,
            None => PathAndQuery::from_static(DEFAULT_PATH),
        };
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server_name = ServerName::try_from(name).map_err(|_| InvalidTarget::Host)?;
        let host_header = host_and_port(&host, port).parse().map_err(|_| InvalidTarget::Host)?;
        Ok(Self { host, port, path, host_header, server_name })
    }
}

fn host_and_port(host: &str, port: u16) -> String {
    if port == HTTPS { host.to_owned() } else { format!("{host}:{port}") }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.host_and_port(), self.path)
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
        assert_eq!((local.host(), local.port(), local.path().as_str()), ("localhost", 8443, "/validate?a=b"));
        assert_eq!(local.host_and_port(), "localhost:8443");
        assert_eq!(local.to_string(), "https://localhost:8443/validate?a=b");
        let six = target("https://[::1]:9443");
        assert_eq!((six.host(), six.host_and_port().as_str()), ("::1", "[::1]:9443"));
        assert!(matches!(six.server_name(), ServerName::IpAddress(_)));
    }

    #[test]
    fn port_and_path_have_defaults() {
        for url in ["https://colocate.default.svc", "https://colocate.default.svc/", "https://colocate.default.svc:443"]
        {
            assert_eq!(target(url).to_string(), "https://colocate.default.svc/mutate");
            assert_eq!(target(url).port(), 443);
        }
        assert_eq!(target("https://a.example/?x=1").path().as_str(), "/mutate?x=1");
    }

    #[test]
    fn the_timeout_is_added_to_the_query() {
        let path = |url: &str, timeout| target(url).with_timeout(timeout).path().to_string();
        assert_eq!(path("https://a.example", Duration::from_secs(10)), "/mutate?timeout=10s");
        assert_eq!(path("https://a.example", Duration::from_millis(1)), "/mutate?timeout=1s");
        assert_eq!(path("https://a.example/x?y", Duration::from_millis(1500)), "/x?y&timeout=2s");
        assert_eq!(path("https://a.example/x?timeout=3s", Duration::from_secs(10)), "/x?timeout=3s");
    }

    #[test]
    fn each_invalid_url_has_its_reason() {
        let wrong = |url: &str| url.parse::<Target>().unwrap_err();
        for url in ["localhost:8443", "localhost", "/mutate", "http://localhost:8443", "ftp://a.example/x"] {
            assert!(matches!(wrong(url), InvalidTarget::Scheme), "{url}");
        }
        for url in ["", "https://", "https:///mutate", "not a url", "https://a b/"] {
            assert!(matches!(wrong(url), InvalidTarget::Syntax(_)), "{url}: {:?}", wrong(url));
        }
        assert!(matches!(wrong("https://me@a.example"), InvalidTarget::User));
        for url in ["https://a.example:0", "https://a.example:", "https://a.example:65536"] {
            assert!(matches!(wrong(url), InvalidTarget::Port), "{url}: {:?}", url.parse::<Target>());
        }
        assert!(matches!(wrong("https://-a.example"), InvalidTarget::Host));
    }
}
