//! The files of a client that are replaced while it runs: its token, and the CAs of its API server.
//!
//! kube can read both by itself. It does so about once a minute on an async worker, holding a lock and without limits, so that a
//! file system that hangs would block reviews and probes. Everything else that kube reads from files (the kubeconfig, client
//! certificates, the CAs that a kubeconfig names), it reads once, at the start. Credential plugins of a kubeconfig run on the
//! threads for blocking calls: one that hangs delays the requests to the API server, but no review and no probe.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::header::HeaderValue;
use kube::config::AuthInfo;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::sleep;

use crate::file::{self, SmallFile};
use crate::process::Process;

/// The interval at which the files are read. The kubelet replaces a token when a fifth of its life is left, which is two
/// minutes for the shortest one.
const INTERVAL: Duration = Duration::from_secs(10);

/// The means to send a request.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) kube: Client,
    /// The header `Authorization`; `None` if `kube` sets it, or there is none.
    pub(super) authorization: Option<HeaderValue>,
}

/// A file that a client depends on. What it held before stays in use while it cannot be used.
pub(super) struct ClientFile {
    file: SmallFile,
    contents: Contents,
    access: Arc<ArcSwap<Access>>,
}

/// The contents of a file, and the place for them.
enum Contents {
    /// The token of the client.
    Token,
    /// The CAs of the API server. A client for this configuration trusts those that were read last.
    Authorities(Box<Config>),
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} from {}: {source}", .path.display())]
pub struct ClientFileError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl ClientFile {
    /// Returns the client's token file, which has not been read yet.
    pub(super) fn token(path: PathBuf, access: Arc<ArcSwap<Access>>) -> Self {
        Self { file: SmallFile::new(path), contents: Contents::Token, access }
    }

    /// Returns the file of the CAs that the client for `config` trusts.
    pub(super) fn authorities(path: PathBuf, config: Config, access: Arc<ArcSwap<Access>>) -> Self {
        Self { file: SmallFile::new(path), contents: Contents::Authorities(Box::new(config)), access }
    }

    /// Returns its name in the metric, on `/readyz` and as a task.
    pub(super) fn name(&self) -> &'static str {
        match self.contents {
            Contents::Token => "token",
            Contents::Authorities(_) => "cluster-ca",
        }
    }

    /// Reads the file, and uses what it holds from the next request on.
    ///
    /// # Errors
    /// A file that cannot be used. Requests are sent as before.
    pub(super) async fn read(&mut self) -> Result<(), ClientFileError> {
        let applied = match self.file.read().await {
            Ok(bytes) => self.apply(bytes),
            Err(error) => Err(error),
        };
        applied.map_err(|source| {
            let what = match self.contents {
                Contents::Token => "a token",
                Contents::Authorities(_) => "the API server's CA certificates",
            };
            ClientFileError { what, path: self.file.path().to_owned(), source }
        })
    }

    /// Reads the file at intervals, forever.
    pub(super) async fn follow(mut self, process: Process) {
        let (metrics, detail) = (process.metrics, process.readiness.detail(self.name()));
        let mut logged = None;
        metrics.file_usable.set([self.name()], Some(true));
        loop {
            sleep(INTERVAL).await;
            let read = self.read().await;
            metrics.file_usable.set([self.name()], Some(read.is_ok()));
            let failure = read.err().map(|error| format!("{error}; what was read before stays in use"));
            detail.set(failure.clone());
            if let Some(failure) = &failure
                && logged.as_ref() != Some(failure)
            {
                tracing::error!("{failure}");
            }
            logged = failure;
        }
    }

    fn apply(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match &mut self.contents {
            Contents::Token => {
                let header = bearer(&file::to_string(bytes)?)?;
                self.access.rcu(|access| Access { authorization: Some(header.clone()), ..Access::clone(access) });
            }
            Contents::Authorities(config) => {
                let authorities = certificates(&bytes)?;
                if config.root_cert.as_ref() != Some(&authorities) {
                    let mut changed = config.clone();
                    changed.root_cert = Some(authorities);
                    let kube = Client::try_from((*changed).clone()).map_err(invalid)?;
                    self.access.rcu(|access| Access { kube: kube.clone(), ..Access::clone(access) });
                    *config = changed;
                    tracing::info!(file = %self.file.path().display(), "read new CA certificates of the API server");
                }
            }
        }
        Ok(())
    }
}

/// Takes the token file out of a configuration, so that kube does not read it. Returns `None` if there is none, or the
/// configuration has credentials that kube prefers.
pub(super) fn take_token_file(auth: &mut AuthInfo) -> Option<PathBuf> {
    let path = auth.token_file.take()?;
    let has_password = auth.username.is_some() && auth.password.is_some();
    if auth.auth_provider.is_some() || has_password || auth.token.is_some() {
        return None;
    }
    // kube prefers a token file to a plugin.
    auth.exec = None;
    Some(path.into())
}

/// Returns the header for a token, which often ends with a line break.
fn bearer(token: &str) -> io::Result<HeaderValue> {
    let token = token.trim();
    if token.is_empty() {
        return Err(invalid("the file is empty"));
    }
    // The error does not contain the token.
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| invalid("not a token"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn certificates(pem: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let certificates = CertificateDer::pem_slice_iter(pem).map(|found| Ok(found.map_err(invalid)?.to_vec()));
    let certificates = certificates.collect::<io::Result<Vec<_>>>()?;
    if certificates.is_empty() { Err(invalid("no certificate in PEM form")) } else { Ok(certificates) }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use hyper::header::AUTHORIZATION;
    use hyper::{Request, Response};
    use jiff::{SignedDuration, Timestamp};
    use kube::client::Body;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tempfile::TempDir;
    use tokio::net::TcpListener;
    use tower_test::mock::{self, Handle};

    use super::*;
    use crate::api::ApiClient;
    use crate::tls::{Authority, Validity, testing};

    type Server = Handle<Request<Body>, Response<Body>>;

    const NAME: &str = "kubernetes.default.svc";

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        (folder, path)
    }

    fn client() -> (ApiClient, Server) {
        let (service, server) = mock::pair();
        (ApiClient::for_test(Client::new(service, "default")), server)
    }

    fn replace_by_pipe(path: &Path) {
        fs::remove_file(path).unwrap();
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    /// Returns the header `Authorization` of the next request.
    async fn sent(client: &ApiClient, server: &mut Server) -> Option<String> {
        let received = async {
            let (request, respond) = server.next_request().await.unwrap();
            respond.send_response(Response::new(Body::empty()));
            let header = request.headers().get(AUTHORIZATION)?;
            assert!(header.is_sensitive());
            Some(header.to_str().unwrap().to_owned())
        };
        tokio::join!(received, client.learn_time()).0
    }

    #[tokio::test(start_paused = true)]
    async fn requests_have_the_last_usable_token() {
        let (_folder, path) = folder();
        let (client, mut server) = client();
        assert_eq!(sent(&client, &mut server).await, None);
        let mut file = ClientFile::token(path.clone(), client.access.clone());
        fs::write(&path, "one\n").unwrap();
        file.read().await.unwrap();
        assert_eq!(sent(&client, &mut server).await.unwrap(), "Bearer one");
        for (unusable, part) in [("", "the file is empty"), (" \n", "the file is empty"), ("a\nb", "not a token")] {
            fs::write(&path, unusable).unwrap();
            let error = file.read().await.unwrap_err().to_string();
            assert!(error.ends_with(part), "{error}");
            assert_eq!(sent(&client, &mut server).await.unwrap(), "Bearer one", "{unusable:?}");
        }
        fs::write(&path, "two").unwrap();
        file.read().await.unwrap();
        assert_eq!(sent(&client, &mut server).await.unwrap(), "Bearer two");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_read_again_and_a_failure_is_reported() {
        let (_folder, path) = folder();
        let (client, mut server) = client();
        fs::write(&path, "one").unwrap();
        let process = Process::default();
        let mut file = ClientFile::token(path.clone(), client.access.clone());
        file.read().await.unwrap();
        process.tasks.spawn(file.name(), file.follow(process.clone()));
        let usable = |usable: u8| {
            let line = format!("colocate_file_usable{{file=\"token\"}} {usable}\n");
            process.metrics.encode().contains(&line)
        };
        sleep(INTERVAL / 2).await;
        assert!(process.readiness.details().is_empty() && usable(1));
        replace_by_pipe(&path);
        sleep(INTERVAL).await;
        let details = process.readiness.details();
        assert!(
            details[0].starts_with("token: cannot read a token from ") && details[0].ends_with("stays in use"),
            "{details:?}"
        );
        assert!(details[0].contains("not a regular file") && usable(0), "{details:?}");
        assert_eq!(sent(&client, &mut server).await.unwrap(), "Bearer one");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "two").unwrap();
        sleep(INTERVAL).await;
        assert!(process.readiness.details().is_empty() && usable(1));
        assert_eq!(sent(&client, &mut server).await.unwrap(), "Bearer two");
    }

    #[tokio::test]
    async fn the_client_trusts_the_cas_that_were_read_last() {
        let now = Timestamp::now() - SignedDuration::from_mins(1);
        let validity = Validity::new(now, SignedDuration::from_hours(1)).unwrap();
        let [old, new] = ["old", "new"].map(|name| Authority::new(name, validity).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
        config.root_cert = Some(certificates(old.certificate_pem().as_bytes()).unwrap());
        config.tls_server_name = Some(NAME.to_owned());
        config.default_retry = false;
        let client = ApiClient::for_test(Client::try_from(config.clone()).unwrap());
        let servers = [&old, &new].map(|ca| testing::server(&ca.issue(&[NAME.parse().unwrap()], validity).unwrap()));
        let trusted = async || {
            let mut trusted = [false; 2];
            for (server, trusted) in servers.iter().zip(&mut trusted) {
                let accept = async { server.accept(listener.accept().await.unwrap().0).await.is_ok() };
                *trusted = tokio::join!(accept, client.learn_time()).0;
            }
            trusted
        };
        assert_eq!(trusted().await, [true, false]);
        let (_folder, path) = folder();
        let mut file = ClientFile::authorities(path.clone(), config, client.access.clone());
        for (pem, expected) in [
            (String::new(), [true, false]),
            (old.certificate_pem() + &new.certificate_pem(), [true, true]),
            (new.certificate_pem(), [false, true]),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), [false, true]),
        ] {
            fs::write(&path, &pem).unwrap();
            let _ = file.read().await;
            assert_eq!(trusted().await, expected, "{pem}");
        }
        replace_by_pipe(&path);
        file.read().await.unwrap_err();
        assert_eq!(trusted().await, [false, true]);
    }

    #[test]
    fn a_token_file_is_used_as_by_kube() {
        let with = |change: fn(&mut AuthInfo)| {
            let mut auth = AuthInfo { token_file: Some("token".to_owned()), ..AuthInfo::default() };
            change(&mut auth);
            let taken = take_token_file(&mut auth);
            assert_eq!(auth.token_file, None);
            (taken.is_some(), auth.exec.is_some())
        };
        assert_eq!(with(|_| ()), (true, false));
        assert_eq!(with(|auth| auth.token = Some("inline".to_owned().into())), (false, false));
        assert_eq!(with(|auth| auth.username = Some("u".to_owned())), (true, false));
        let password = |auth: &mut AuthInfo| {
            auth.username = Some("u".to_owned());
            auth.password = Some("p".to_owned().into());
        };
        assert_eq!(with(password), (false, false));
        let plugin = |auth: &mut AuthInfo| auth.exec = serde_json::from_str(r#"{"command": "plugin"}"#).unwrap();
        assert_eq!(with(plugin), (true, false));
        assert_eq!(take_token_file(&mut AuthInfo::default()), None);
    }
}
