//! The Secret with the CA: read by `get`, written by `update` with the version that was read.
//!
//! It is polled, and neither listed nor watched: so the right to `get` and `update` it, by its name, is enough.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use super::rotation::CaState;
use super::secret_data::{CorruptSecret, SecretData};
use crate::api::{ApiClient, ApiError, FIELD_MANAGER, Resource};

const SECRETS: Resource = Resource::new("", "secrets");

/// Where the Secret is.
#[derive(Clone)]
pub(super) struct CaSecret {
    client: ApiClient,
    namespace: String,
    name: String,
    /// Whether one that does not exist is created.
    create: bool,
}

/// What was read.
#[derive(Debug)]
pub(super) struct SecretSnapshot {
    /// The whole object, so that all that is not ours is written back; `None` where there is none.
    object: Option<Value>,
    data: SecretData,
    /// What it holds; `None` for nothing yet.
    pub(super) state: Option<CaState>,
}

/// A Secret that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Corrupt(#[from] CorruptSecret),
    #[error(
        "Secret {0} does not exist: create it without data, as the chart does, or set tls.secret.create and grant the verb `create` on `secrets`"
    )]
    Absent(String),
    #[error("Secret {secret}: the value of key `{key}` is no base64")]
    NoBase64 { secret: String, key: String },
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Done,
    /// Somebody else was first: what was read holds no more.
    Outdated,
}

#[derive(Deserialize)]
struct Secret {
    data: Option<BTreeMap<String, Option<String>>>,
}

impl CaSecret {
    pub(super) fn new(client: ApiClient, namespace: &str, name: &str, create: bool) -> Self {
        Self { client, namespace: namespace.to_owned(), name: name.to_owned(), create }
    }

    /// Reads it now.
    pub(super) async fn read(&self) -> Result<SecretSnapshot, Unusable> {
        let failed = |error: serde_json::Error| SECRETS.failed("get", error);
        let Some(json) = self.client.get_opt(SECRETS, &format!("{}/{}", self.path(), self.name)).await? else {
            return if self.create {
                Ok(SecretSnapshot { object: None, data: SecretData::new(), state: None })
            } else {
                Err(Unusable::Absent(self.to_string()))
            };
        };
        let object: Value = serde_json::from_slice(&json).map_err(failed)?;
        let Secret { data } = Secret::deserialize(&object).map_err(failed)?;
        let decoded = data.unwrap_or_default().into_iter().map(|(key, value)| {
            let value = STANDARD.decode(value.unwrap_or_default());
            match value {
                Ok(value) => Ok((key, value)),
                Err(_) => Err(Unusable::NoBase64 { secret: self.to_string(), key }),
            }
        });
        let data: SecretData = decoded.collect::<Result<_, _>>()?;
        let state = CaState::from_data(&data, &self.to_string())?;
        Ok(SecretSnapshot { object: Some(object), data, state })
    }

    /// Writes what it is to hold from now on, if it still is as it was read.
    pub(super) async fn write(&self, reading: &SecretSnapshot, state: &CaState) -> Result<WriteOutcome, ApiError> {
        let mut data = reading.data.clone();
        state.write_to(&mut data);
        let data: BTreeMap<_, _> = data.into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let (verb, request, object) = if let Some(object) = &reading.object {
            let mut object = object.clone();
            object["data"] = json!(data);
            ("update", Request::put(format!("{}/{}?{FIELD_MANAGER}", self.path(), self.name)), object)
        } else {
            let object = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": self.name, "namespace": self.namespace },
                "type": "Opaque",
                "data": data,
            });
            ("create", Request::post(format!("{}?{FIELD_MANAGER}", self.path())), object)
        };
        let request = request.header(CONTENT_TYPE, "application/json");
        match self.client.call((verb, SECRETS), request, object.to_string().into_bytes()).await {
            Ok(_) => Ok(WriteOutcome::Done),
            // 404: it was removed since.
            Err(failure) if matches!(failure.code(), Some(404 | 409)) => Ok(WriteOutcome::Outdated),
            Err(failure) => Err(failure),
        }
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }
}

impl std::fmt::Display for CaSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
