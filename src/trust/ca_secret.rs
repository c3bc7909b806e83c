//! The Secret of the CA: read by `get`, written by `update` with the `resourceVersion` that was read.
//!
//! It is polled, not listed or watched, so that permission to `get` and `update` this one name is enough.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Value, json};

use super::rotation::CaState;
use super::secret_data::SecretData;
use super::trust_error::TrustError;
use crate::api::{ApiClient, ApiError, FIELD_MANAGER, Resource};

const SECRETS: Resource = Resource::new("", "secrets");

/// The place of the Secret.
#[derive(Clone)]
pub(super) struct CaSecret {
    pub(super) client: ApiClient,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Whether the Secret is created if it does not exist.
    pub(super) create: bool,
}

/// The Secret as it was read.
#[derive(Debug)]
pub(super) struct SecretSnapshot {
    /// The whole object, so that everything else in it is written back; `None` if it does not exist.
    object: Option<Value>,
    data: SecretData,
    /// `None` if the Secret has no data yet.
    pub(super) state: Option<CaState>,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Written,
    /// The Secret changed since it was read: read it again.
    Outdated,
}

#[derive(Deserialize)]
struct Secret {
    data: Option<BTreeMap<String, Option<String>>>,
}

impl CaSecret {
    /// Reads the Secret now.
    pub(super) async fn read(&self) -> Result<SecretSnapshot, TrustError> {
        let failed = |error: serde_json::Error| SECRETS.failed("get", error);
        let Some(json) = self.client.get_opt(SECRETS, &format!("{}/{}", self.path(), self.name)).await? else {
            return if self.create {
                Ok(SecretSnapshot { object: None, data: SecretData::new(), state: None })
            } else {
                Err(TrustError::SecretAbsent(self.to_string()))
            };
        };
        let object: Value = serde_json::from_slice(&json).map_err(failed)?;
        let Secret { data } = Secret::deserialize(&object).map_err(failed)?;
        let decoded = data.unwrap_or_default().into_iter().map(|(key, value)| {
            let value = STANDARD.decode(value.unwrap_or_default());
            let not_base64 = |_| failed(serde_json::Error::custom(format!("the value of key `{key}` is not base64")));
            Ok((key.clone(), value.map_err(not_base64)?))
        });
        let data: SecretData = decoded.collect::<Result<_, ApiError>>()?;
        let state = CaState::from_data(&data, &self.to_string())?;
        Ok(SecretSnapshot { object: Some(object), data, state })
    }

    /// Writes `state`, unless the Secret has changed since `snapshot`.
    pub(super) async fn write(&self, snapshot: &SecretSnapshot, state: &CaState) -> Result<WriteOutcome, ApiError> {
        let mut data = snapshot.data.clone();
        state.write_to(&mut data);
        let data: BTreeMap<_, _> = data.into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let (verb, request, object) = if let Some(object) = &snapshot.object {
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
            Ok(_) => Ok(WriteOutcome::Written),
            // 404: it was deleted since.
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(WriteOutcome::Outdated),
            Err(error) => Err(error),
        }
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }
}

impl fmt::Display for CaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
