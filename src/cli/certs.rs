//! `colocate certs`: certificates for development.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use tempfile::NamedTempFile;

use super::examples::{self, Examples};
use crate::tls::{Authority, Leaf, SubjectName, Validity};

const AUTHORITY: &str = "colocate development CA";
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

const CA_CERTIFICATE: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Issue a certificate for development: ca.crt, tls.crt and tls.key
///
/// The server certificate is for the given names, localhost and the loopback addresses, and is valid for a year. It is
/// issued by a new CA, whose key is discarded: no one can issue another certificate that a client of this ca.crt would
/// trust.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::text(&EXAMPLES))]
pub(super) struct Certs {
    /// The directory to write to; created if it does not exist
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// A DNS name, wildcard (*.example.com) or IP address of the server; may be repeated
    ///
    /// An API server calls it as SERVICE.NAMESPACE.svc.
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<SubjectName>,

    /// Replace ca.crt, tls.crt and tls.key if they exist
    #[arg(long)]
    force: bool,
}

const EXAMPLES: Examples = [
    ("Issue a certificate for a Service:", "colocate certs --dir certs --name colocate.colocate.svc"),
    (
        "Replace it with one for two addresses:",
        "colocate certs --dir certs --name 192.0.2.10 --name 192.0.2.11 --force",
    ),
];

impl Certs {
    /// Issues the certificates and prints their paths.
    ///
    /// # Errors
    /// If one of the files exists and `--force` is missing, or the directory cannot be written to. No file is written
    /// then.
    pub(super) fn run(self) -> anyhow::Result<()> {
        // The clock of the user's machine: this command contacts no API server.
        let report = self.issue(Timestamp::now())?;
        io::stdout().write_all(report.as_bytes())?;
        Ok(())
    }

    fn issue(self, now: Timestamp) -> anyhow::Result<String> {
        let names = with_loopback(self.names);
        let validity = Validity::new(now, LIFE)?;
        let authority = Authority::new(AUTHORITY, validity)?;
        let leaf = authority.issue(&names, validity)?;
        let targets = write(&self.dir, self.force, &authority, &leaf)?;
        let [ca_certificate, certificate, key] = targets.map(|target| target.display().to_string());
        let width = certificate.chars().count();
        Ok(format!(
            "{ca_certificate:width$}  the CA certificate for clients; the key of the CA was discarded\n\
             {certificate:width$}  for {}\n\
             {key:width$}  its private key\n\
             valid until {}\n",
            names.iter().map(SubjectName::to_string).collect::<Vec<_>>().join(", "),
            leaf.validity().not_after(),
        ))
    }
}

fn with_loopback(mut names: Vec<SubjectName>) -> Vec<SubjectName> {
    names.push(SubjectName::Dns("localhost".into()));
    names.push(SubjectName::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    names.push(SubjectName::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    let mut distinct = Vec::with_capacity(names.len());
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

/// Writes all three files or none, and returns their paths.
fn write(dir: &Path, force: bool, authority: &Authority, leaf: &Leaf) -> anyhow::Result<[PathBuf; 3]> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create the directory {}", dir.display()))?;
    let targets = [CA_CERTIFICATE, CERTIFICATE, KEY].map(|name| dir.join(name));
    refuse_to_overwrite(&targets, force)?;
    let stage = |mode, contents: &str| stage(dir, mode, contents).with_context(|| cannot_write(dir));
    // Complete under temporary names first, so that only the renames can fail.
    let staged = [
        stage(0o644, &authority.certificate_pem())?,
        stage(0o644, &leaf.certificate_pem())?,
        stage(0o600, &leaf.key_pem())?,
    ];
    place(staged, &targets, force)?;
    Ok(targets)
}

/// Writes a complete file under a temporary name.
pub(super) fn stage(dir: &Path, mode: u32, contents: &str) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(dir)?;
    file.write_all(contents.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Gives the files their names. Without `force`, a file that was created in the meantime stays.
fn place(staged: [NamedTempFile; 3], targets: &[PathBuf; 3], force: bool) -> anyhow::Result<()> {
    for (placed, (staged, target)) in staged.into_iter().zip(targets).enumerate() {
        let named = if force { staged.persist(target) } else { staged.persist_noclobber(target) };
        if let Err(error) = named {
            for file in &targets[..placed] {
                // It is better to have no pair than one that does not match. With `--force`, the replaced files are
                // lost.
                let _ = fs::remove_file(file);
            }
            return Err(error.error).with_context(|| cannot_write(target));
        }
    }
    Ok(())
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn refuse_to_overwrite(targets: &[PathBuf], force: bool) -> anyhow::Result<()> {
    let existing: Vec<_> = targets.iter().filter(|target| target.symlink_metadata().is_ok()).collect();
    if let Some(folder) = existing.iter().find(|target| target.is_dir()) {
        bail!("{} is a directory: remove it, or choose another --dir", folder.display());
    }
    if force || existing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = existing.iter().map(|target| target.display().to_string()).collect();
    let exist = if names.len() == 1 { "exists" } else { "exist" };
    bail!("{} already {exist}: use --force to replace {CA_CERTIFICATE}, {CERTIFICATE} and {KEY}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, FromArgMatches as _};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;
    use crate::tls::testing;

    fn parse(arguments: &[&str]) -> Result<Certs, clap::Error> {
        let command = Certs::augment_args(clap::Command::new("certs").no_binary_name(true));
        Certs::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    fn issue(dir: &Path, more: &[&str]) -> anyhow::Result<String> {
        let arguments = [&["--dir", dir.to_str().unwrap(), "--name", "colocate.default.svc"], more].concat();
        parse(&arguments).unwrap().issue(Timestamp::now())
    }

    fn files(dir: &Path) -> BTreeSet<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_certificate_is_valid_for_its_names_and_loopback() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("made/by/it");
        let report = issue(&dir, &["--name", "10.0.0.7"]).unwrap();
        assert!(report.contains("for colocate.default.svc, 10.0.0.7, localhost, 127.0.0.1, ::1\n"), "{report}");
        assert_eq!(files(&dir), [CA_CERTIFICATE, CERTIFICATE, KEY].map(String::from).into());

        let client = testing::client(&fs::read_to_string(dir.join(CA_CERTIFICATE)).unwrap(), Timestamp::now());
        let server = testing::acceptor(
            CertificateDer::from_pem_file(dir.join(CERTIFICATE)).unwrap(),
            PrivateKeyDer::from_pem_file(dir.join(KEY)).unwrap(),
            rustls::ALL_VERSIONS,
        );
        for name in ["colocate.default.svc", "10.0.0.7", "localhost", "127.0.0.1", "::1"] {
            testing::handshake(&client, &server, name).await.unwrap();
        }
        assert!(testing::handshake(&client, &server, "colocate").await.is_err());
    }

    #[test]
    fn only_the_owner_reads_the_key() {
        let dir = tempfile::tempdir().unwrap();
        issue(dir.path(), &[]).unwrap();
        assert_eq!(mode(&dir.path().join(KEY)), 0o600);
        fs::set_permissions(dir.path().join(KEY), fs::Permissions::from_mode(0o666)).unwrap();
        issue(dir.path(), &["--force"]).unwrap();
        assert_eq!(mode(&dir.path().join(KEY)), 0o600);
    }

    #[test]
    fn a_staged_key_is_readable_only_by_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let staged = stage(dir.path(), 0o600, "a key").unwrap();
        assert_eq!(mode(staged.path()), 0o600);
        drop(staged);
        assert!(files(dir.path()).is_empty());
    }

    #[test]
    fn nothing_is_written_if_one_of_the_files_exists() {
        for existing in [CA_CERTIFICATE, CERTIFICATE, KEY] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(existing), "mine").unwrap();
            let error = issue(dir.path(), &[]).unwrap_err().to_string();
            assert!(error.contains(existing) && error.contains("--force"), "{error}");
            assert_eq!(files(dir.path()), [existing.to_owned()].into());
            assert_eq!(fs::read_to_string(dir.path().join(existing)).unwrap(), "mine");
            issue(dir.path(), &["--force"]).unwrap();
            assert_ne!(fs::read_to_string(dir.path().join(existing)).unwrap(), "mine");
            assert_eq!(files(dir.path()).len(), 3);
        }
    }

    #[test]
    fn a_dangling_link_counts_as_an_existing_file() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join(KEY)).unwrap();
        let error = issue(dir.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("already exists"), "{error}");
        assert_eq!(files(dir.path()).len(), 1);
    }

    #[test]
    fn force_does_not_replace_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(KEY)).unwrap();
        let error = issue(dir.path(), &["--force"]).unwrap_err().to_string();
        assert!(error.contains("tls.key is a directory"), "{error}");
        assert_eq!(files(dir.path()), [KEY.to_owned()].into());
    }

    #[test]
    fn if_one_file_cannot_be_placed_all_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let targets = [CA_CERTIFICATE, CERTIFICATE, KEY].map(|name| dir.path().join(name));
        let staged = [(); 3].map(|()| stage(dir.path(), 0o600, "ours").unwrap());
        fs::write(&targets[2], "theirs").unwrap();
        place(staged, &targets, false).unwrap_err();
        assert_eq!(files(dir.path()), [KEY.to_owned()].into());
        assert_eq!(fs::read_to_string(&targets[2]).unwrap(), "theirs");
    }

    #[test]
    fn an_invalid_name_is_a_usage_error_with_a_reason() {
        let error = parse(&["--dir", "certs", "--name", "localhost:8443"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("it has a port"), "{error}");
        assert_eq!(parse(&["--dir", "certs"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_repeated_name_is_certified_once() {
        let names = with_loopback(vec!["localhost".parse().unwrap(), "a".parse().unwrap(), "a".parse().unwrap()]);
        assert_eq!(
            names.iter().map(SubjectName::to_string).collect::<Vec<_>>(),
            ["localhost", "a", "127.0.0.1", "::1"]
        );
    }
}
