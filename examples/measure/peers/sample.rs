//! The reviews, and the objects that must result from the answers.

use anyhow::{Context, ensure};
use bytes::Bytes;
use colocate::probe::{Client, ProtocolVersion, Verdict};
use serde_json::Value;

use crate::figure::kilobytes;

/// A review that an API server sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    name: &'static str,
    text: &'static str,
}

/// The reviews.
pub(crate) const SAMPLES: [Sample; 2] = [
    Sample { name: "Deployment", text: include_str!("../../../tests/fixtures/reviews/deployment-create.json") },
    Sample { name: "pod", text: include_str!("../../../tests/fixtures/reviews/pod-from-statefulset.json") },
];

/// The namespace of the reviews, and the claims that they name.
pub(crate) const NAMESPACE: &str = "demo";
pub(crate) const CLAIMS: [&str; 3] = ["data", "data-db-0", "wal-db-0"];

impl Sample {
    /// The body of the request.
    pub(crate) fn body(self) -> Bytes {
        Bytes::from_static(self.text.as_bytes())
    }

    /// The kind and the size of the object, as in `Deployment, 8.2 kB`.
    pub(crate) fn label(self) -> anyhow::Result<String> {
        Ok(format!("{}, {}", self.name, kilobytes(self.request()?["object"].to_string().len())))
    }

    /// Sends the review to a webhook over TLS 1.3. Returns the object as the API server would store it.
    pub(crate) async fn changed(self, client: &Client) -> anyhow::Result<Value> {
        let request = self.request()?;
        let answer = client.ask(self.body()).await?;
        ensure!(answer.tls == ProtocolVersion::TLSv1_3, "the webhook uses {:?}", answer.tls);
        let verdict = Verdict::read(&answer, request["uid"].as_str().context("a review has a uid")?)?;
        ensure!(verdict.allowed && verdict.changes() > 0, "{} is not changed: {verdict:?}", self.name);
        verdict.apply(&request["object"])
    }

    fn request(self) -> anyhow::Result<Value> {
        let review: Value = serde_json::from_str(self.text)?;
        Ok(review["request"].clone())
    }
}
