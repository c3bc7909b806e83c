//! The manifest of a Helm release, from the Secret in which Helm keeps a revision of it.

use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::engine::{Text, object};

/// The largest release that is read, decompressed. A Secret has 1 MiB, and text is seldom compressed to less than a twentieth.
const MAX_RELEASE: u64 = 32 << 20;

/// A revision of a Helm release.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct HelmRelease {
    /// The name.
    pub name: String,
    /// The namespace of its objects, unless they name another one.
    pub namespace: String,
    /// The number of the revision.
    #[serde(rename = "version")]
    pub revision: u32,
    /// The objects, as YAML documents. Hooks are not included.
    pub manifest: String,
}

/// A Secret that is not a revision of a Helm release.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelmReleaseError {
    /// The Secret has no `release` in its data.
    #[error("the Secret has no key `release`")]
    Missing,
    /// The JSON of the Secret or of the release cannot be decoded.
    #[error("the release cannot be decoded: {0}")]
    Json(#[from] serde_json::Error),
    /// The release is not Base64.
    #[error("the release is not Base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The release cannot be decompressed, or is too large.
    #[error("the release cannot be decompressed: {0}")]
    Gzip(#[from] io::Error),
}

#[derive(Deserialize)]
struct Secret<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    data: Option<SecretData<'a>>,
}

#[derive(Deserialize)]
struct SecretData<'a> {
    #[serde(borrow, default)]
    release: Option<Text<'a>>,
}

impl HelmRelease {
    /// Reads the Secret of a revision, as JSON. Helm compresses the release and encodes it in Base64, and the Secret encodes the
    /// result once more.
    ///
    /// # Errors
    /// The Secret is not a revision of a Helm release.
    pub(super) fn from_secret(secret: &str) -> Result<Self, HelmReleaseError> {
        let Secret { data } = serde_json::from_str(secret)?;
        let release = data.and_then(|data| data.release).ok_or(HelmReleaseError::Missing)?;
        let bytes = STANDARD.decode(STANDARD.decode(release.as_bytes())?)?;
        // Helm 2 and the first versions of Helm 3 did not compress.
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Ok(serde_json::from_slice(&bytes)?);
        }
        let mut json = Vec::new();
        GzDecoder::new(&*bytes).take(MAX_RELEASE + 1).read_to_end(&mut json)?;
        if json.len() as u64 > MAX_RELEASE {
            return Err(io::Error::other(format!("it has more than {} MiB", MAX_RELEASE >> 20)).into());
        }
        Ok(serde_json::from_slice(&json)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    fn secret(release: &[u8]) -> String {
        json!({"kind": "Secret", "data": {"release": STANDARD.encode(STANDARD.encode(release))}}).to_string()
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_revision_is_read_from_its_secret() {
        let release = json!({
            "name": "db", "namespace": "apps", "version": 3, "info": {"status": "deployed"},
            "chart": {"metadata": {"name": "mysql"}}, "manifest": "kind: Deployment\n",
        });
        let release = release.to_string();
        for bytes in [compressed(release.as_bytes()), release.clone().into_bytes()] {
            let read = HelmRelease::from_secret(&secret(&bytes)).unwrap();
            assert_eq!((&*read.name, &*read.namespace, read.revision), ("db", "apps", 3));
            assert_eq!(read.manifest, "kind: Deployment\n");
        }
    }

    #[test]
    fn a_secret_of_another_form_is_an_error() {
        let cut = &compressed(&[b'a'; 5_000])[..20];
        for (text, part) in [
            ("{".to_owned(), "cannot be decoded"),
            ("{}".to_owned(), "no key `release`"),
            (json!({"data": {"password": "eA=="}}).to_string(), "no key `release`"),
            (json!({"data": {"release": "%"}}).to_string(), "not Base64"),
            (json!({"data": {"release": STANDARD.encode("%")}}).to_string(), "not Base64"),
            (secret(cut), "cannot be decompressed"),
            (secret(b"no release"), "cannot be decoded"),
            (secret(b"{}"), "missing field"),
        ] {
            let error = HelmRelease::from_secret(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_release_that_expands_without_end_is_not_read() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let chunk = vec![b' '; 1 << 20];
        for _ in 0..33 {
            encoder.write_all(&chunk).unwrap();
        }
        let error = HelmRelease::from_secret(&secret(&encoder.finish().unwrap())).unwrap_err().to_string();
        assert!(error.ends_with("more than 32 MiB"), "{error}");
    }
}
