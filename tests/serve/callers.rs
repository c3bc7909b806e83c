//! Clients with and without a certificate.

use colocate_harness::process::{Connection, Server, manifests};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "clients");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, common: &str, alternative: &[&str]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let names: Vec<_> = alternative.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

fn server(authority: &Authority, names: &[&str]) -> (TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.crt");
    std::fs::write(&file, authority.0.pem()).unwrap();
    let server = Server::start_with("", |command| {
        command.arg("--manifests").arg(manifests()).arg("--client-ca").arg(&file);
        for name in names {
            command.args(["--client-name", name]);
        }
    });
    (folder, server)
}

#[test]
fn only_certificates_of_the_ca_with_an_allowed_name_are_accepted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_folder, server) = server(&authority, &["kube-apiserver", "api.example.com"]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let connect = |certificate| server.connect_as(&[version], certificate);
        let status = |mut connection: Connection| connection.send("POST /mutate", b"{}").status;
        assert_eq!(status(connect(Some(authority.issue("kube-apiserver", &[])))), 400);
        assert_eq!(status(connect(Some(authority.issue("another", &["api.example.com"])))), 400);

        let mut stranger = connect(Some(authority.issue("kubelet", &["node.example.com"])));
        let answer = stranger.send("POST /mutate", b"{}");
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains("is for node.example.com, kubelet, which"), "{}", answer.body);

        assert!(connect(None).is_refused());
        assert!(connect(Some(other.issue("kube-apiserver", &[]))).is_refused());
    }
    // Probes need no certificate.
    assert_eq!(server.admin("/readyz").status, 200);
}

#[test]
fn without_allowed_names_every_certificate_of_the_ca_is_accepted() {
    let authority = Authority::new();
    let (_folder, server) = server(&authority, &[]);
    let mut connection = server.connect_as(rustls::DEFAULT_VERSIONS, Some(authority.issue("any-client", &[])));
    assert_eq!(connection.send("POST /mutate", b"{}").status, 400);
}
