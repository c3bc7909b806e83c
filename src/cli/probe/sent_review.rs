//! The `AdmissionReview` that is sent, byte for byte as in its file.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use serde_json::Value;

use crate::engine::{API_VERSION, KIND};

/// The review that an API server sends for `kubectl apply` of the Deployment `mysql`, which mounts the claim `mysql-data`.
const MYSQL: &str = include_str!("mysql-deployment.json");

/// An `AdmissionReview`, with the parts that are shown.
#[derive(Debug)]
pub(super) struct SentReview {
    /// The bytes that are sent.
    pub(super) body: Bytes,
    /// The `uid`, which the answer must repeat.
    pub(super) uid: String,
    request: Value,
}

impl SentReview {
    /// Returns the built-in review.
    pub(super) fn mysql() -> anyhow::Result<Self> {
        Self::parse("the built-in review", MYSQL.trim_end().into())
    }

    /// Reads a review from a file, or from standard input for `-`.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        if file == "-" {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
            return Self::parse("standard input", text.into());
        }
        let name = file.display().to_string();
        let text = fs::read(file).with_context(|| format!("cannot read {name}"))?;
        Self::parse(&name, text.into())
    }

    fn parse(name: &str, body: Bytes) -> anyhow::Result<Self> {
        let mut review: Value = match serde_json::from_slice(&body) {
            Ok(review) => review,
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                let text = error.to_string();
                let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
                bail!("{name}:{line}:{column}: not JSON: {what}");
            }
        };
        let word = |field| review.get(field).and_then(Value::as_str).unwrap_or("none");
        let (kind, api_version) = (word("kind"), word("apiVersion"));
        if kind != KIND || api_version != API_VERSION {
            bail!("{name}: not an {KIND} of {API_VERSION}: its kind is {kind}, its apiVersion {api_version}");
        }
        let request = review.get_mut("request").map(Value::take).unwrap_or_default();
        let Some(uid) = request.get("uid").and_then(Value::as_str).map(ToOwned::to_owned) else {
            bail!("{name}: the {KIND} has no request.uid: send a request, not a response");
        };
        Ok(Self { body, uid, request })
    }

    /// Returns the object that a patch applies to; null if the request has no object, as for DELETE.
    pub(super) fn object(&self) -> &Value {
        self.request.get("object").unwrap_or(&Value::Null)
    }

    /// Returns the operation, the object and the size: `CREATE Deployment default/mysql (apps/v1), 3921 bytes`. A name
    /// that the API server will generate ends with an asterisk.
    pub(super) fn summary(&self) -> String {
        let with_slash = |pointer| self.word(pointer).map(|word| format!("{word}/")).unwrap_or_default();
        let operation = self.word("/operation").unwrap_or("no operation");
        let kind = self.word("/kind/kind").unwrap_or("object without a kind");
        let sub_resource = self.word("/subResource").map(|word| format!("/{word}")).unwrap_or_default();
        let name = self.word("/name").or_else(|| self.word("/object/metadata/name")).map(ToOwned::to_owned);
        let generated = || self.word("/object/metadata/generateName").map(|prefix| format!("{prefix}*"));
        let name = with_slash("/namespace") + &name.or_else(generated).unwrap_or_else(|| "without a name".into());
        let version = with_slash("/kind/group") + self.word("/kind/version").unwrap_or("no version");
        let dry_run = if self.request.get("dryRun") == Some(&Value::Bool(true)) { ", a dry run" } else { "" };
        format!("{operation} {kind}{sub_resource} {name} ({version}), {} bytes{dry_run}", self.body.len())
    }

    fn word(&self, pointer: &str) -> Option<&str> {
        self.request.pointer(pointer).and_then(Value::as_str).filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(text: &str) -> String {
        SentReview::parse("review.json", text.to_owned().into()).unwrap_err().to_string()
    }

    fn sent(request: &Value) -> SentReview {
        let review = json!({"kind": KIND, "apiVersion": API_VERSION, "request": request});
        SentReview::parse("review.json", review.to_string().into()).unwrap()
    }

    #[test]
    fn the_built_in_review_is_the_mysql_deployment() {
        let mysql = SentReview::mysql().unwrap();
        assert!(mysql.summary().starts_with("CREATE Deployment default/mysql (apps/v1), "), "{}", mysql.summary());
        let claim = "/spec/template/spec/volumes/0/persistentVolumeClaim/claimName";
        assert_eq!(mysql.object().pointer(claim), Some(&json!("mysql-data")));
        let scheduler = "/spec/template/spec/schedulerName";
        assert_eq!(mysql.object().pointer(scheduler), Some(&json!("default-scheduler")));
        assert_eq!(mysql.body, MYSQL.trim_end());
    }

    #[test]
    fn invalid_json_is_rejected_with_its_position() {
        assert_eq!(error("{\n  \"kind\" \"x\"}"), "review.json:2:10: not JSON: expected `:`");
        assert_eq!(error(""), "review.json:1:0: not JSON: EOF while parsing a value");
        assert!(error("apiVersion: apps/v1").starts_with("review.json:1:1: not JSON"));
        assert!(error("{} {}").starts_with("review.json:1:4: not JSON: trailing characters"));
    }

    #[test]
    fn json_that_is_not_a_review_is_rejected() {
        let deployment = error(r#"{"kind":"Deployment","apiVersion":"apps/v1"}"#);
        assert!(deployment.ends_with("its kind is Deployment, its apiVersion apps/v1"), "{deployment}");
        let beta = error(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#);
        assert!(beta.ends_with("its apiVersion admission.k8s.io/v1beta1"), "{beta}");
        assert!(error("[1]").contains("its kind is none"));
        for request in ["null", "{}", r#"{"uid":1}"#] {
            let text = format!(r#"{{"kind":"{KIND}","apiVersion":"{API_VERSION}","request":{request}}}"#);
            assert!(error(&text).contains("no request.uid"), "{request}");
        }
    }

    #[test]
    fn generated_names_and_subresources_are_shown() {
        let pod = sent(&json!({
            "uid": "1", "namespace": "default", "operation": "CREATE", "name": "",
            "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": {"metadata": {"generateName": "web-"}},
        }));
        assert!(pod.summary().starts_with("CREATE Pod default/web-* (v1), "), "{}", pod.summary());
        let scale = sent(&json!({"uid": "1", "subResource": "scale", "kind": {"kind": "Scale"}, "dryRun": true}));
        let summary = scale.summary();
        assert!(summary.starts_with("no operation Scale/scale without a name (no version), "), "{summary}");
        assert!(summary.ends_with(", a dry run") && !pod.summary().ends_with("run"), "{summary}");
        assert_eq!(scale.object(), &Value::Null);
    }
}
