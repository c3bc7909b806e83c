//! A Deployment that is created as a dry run. Its scheduler shows whether the API server calls colocate.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderMap, WARNING};
use serde_json::{Value, json};

use super::client::ApiClient;
use super::request::{ApiError, Resource};
use crate::engine::{Driver, Evidence, PORTWORX_IN_TREE};

const DEPLOYMENTS: Resource = Resource::new("apps", "deployments");
const PODS: Resource = Resource::new("", "pods");

/// The longest time that the dry run of a pod may take: several webhooks may be called, for at most 30 s each.
const POD_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest name of a CSI driver that an API server accepts.
const LONGEST_CSI_NAME: usize = 63;

/// A Deployment whose pods mount a volume of one driver, so that the pods get this driver's scheduler. The API server
/// does not store the Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The driver.
    pub driver: Arc<str>,
    /// The volume of its pods.
    pub volume: DryRunVolume,
    /// The driver's scheduler.
    pub scheduler: Arc<str>,
}

/// A volume without a claim, which the driver's scheduler recognizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunVolume {
    /// An inline volume of this CSI driver, one of the driver's provisioners.
    Csi(Arc<str>),
    /// An in-tree volume of Portworx.
    InTree,
}

/// A Deployment as it would have been created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunOutcome {
    /// The scheduler of its pods.
    pub scheduler: String,
    /// The warnings of the API server and of the webhooks that it called.
    pub warnings: Vec<String>,
    /// The time from the request to the whole answer.
    pub took: Duration,
}

/// The dry run failed.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The API server rejected the Deployment.
    #[error("the API server rejected the Deployment with HTTP {code}: {message}{}", advice(*.code, .message))]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The API server's message.
        message: String,
    },
    /// No usable answer arrived.
    #[error("the API server does not answer: {}", .0.message())]
    NoAnswer(ApiError),
    /// The response ended early.
    #[error("the API server's response ended early")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The response is not a Deployment.
    #[error("the API server's response is not a Deployment")]
    NotADeployment,
}

impl DryRun {
    /// Returns the dry run for a driver; `None` if it has no volume without a claim that its scheduler recognizes.
    pub fn of(driver: &Driver) -> Option<Self> {
        let recognises = |evidence| driver.recognises.contains(&evidence);
        let csi = driver.provisioners.iter().find(|name| is_csi_name(name) && recognises(Evidence::InlineCsi));
        let in_tree =
            driver.provisioners.iter().any(|name| **name == *PORTWORX_IN_TREE) && recognises(Evidence::InTree);
        let volume = csi.cloned().map(DryRunVolume::Csi).or(in_tree.then_some(DryRunVolume::InTree))?;
        let Driver { name, scheduler, .. } = driver;
        Some(Self { driver: name.clone(), volume, scheduler: scheduler.clone() })
    }

    /// Sends the dry run to an existing namespace.
    ///
    /// # Errors
    /// If the API server does not answer with a Deployment.
    pub async fn ask(&self, client: &ApiClient, namespace: &str) -> Result<DryRunOutcome, DryRunError> {
        let started = Instant::now();
        let request = Request::post(format!("/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All"))
            .header(CONTENT_TYPE, "application/json");
        let body = self.deployment().to_string().into_bytes();
        let response =
            client.send(("create", DEPLOYMENTS), request, body).await.map_err(|error| match error.code() {
                Some(code) => DryRunError::Refused { code, message: error.message() },
                None => DryRunError::NoAnswer(error),
            })?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| DryRunError::Broken(error.into()))?.to_bytes();
        let created: Value = serde_json::from_slice(&body).unwrap_or_default();
        let scheduler = created.pointer("/spec/template/spec/schedulerName").and_then(Value::as_str);
        let scheduler = scheduler.ok_or(DryRunError::NotADeployment)?.to_owned();
        Ok(DryRunOutcome { scheduler, warnings: warnings(&head.headers), took: started.elapsed() })
    }

    /// Builds the Deployment, with the labels, resources and security context that a cluster's policies may require.
    fn deployment(&self) -> Value {
        let labels = json!({"app.kubernetes.io/name": "colocate-probe"});
        let amounts = json!({"cpu": "1m", "memory": "1Mi"});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"generateName": "colocate-probe-", "labels": labels},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "containers": [{
                            "name": "none",
                            "image": "colocate-probe",
                            "resources": {"requests": amounts, "limits": amounts},
                            "securityContext": {
                                "allowPrivilegeEscalation": false,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": true,
                            },
                        }],
                        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                        "volumes": [self.volume.manifest()],
                    },
                },
            },
        })
    }
}

impl ApiClient {
    /// Sends a pod as a dry run, and returns it as it would have been created, with the warnings.
    ///
    /// # Errors
    /// If the API server rejects the pod or does not answer.
    pub(crate) async fn try_pod(&self, namespace: &str, pod: &Value) -> Result<(Value, Vec<String>), ApiError> {
        let request = Request::post(format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"))
            .header(CONTENT_TYPE, "application/json");
        let create = async {
            let response = self.send(("create", PODS), request, pod.to_string().into_bytes()).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| PODS.failed("create", error))?.to_bytes();
            Ok((PODS.decode("create", &body)?, warnings(&head.headers)))
        };
        PODS.within("create", POD_TIMEOUT, create).await
    }
}

impl DryRunVolume {
    fn manifest(&self) -> Value {
        match self {
            Self::Csi(driver) => json!({"name": "data", "csi": {"driver": &**driver}}),
            Self::InTree => json!({"name": "data", "portworxVolume": {"volumeID": "colocate-probe"}}),
        }
    }
}

impl fmt::Display for DryRunVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Csi(driver) => write!(f, "volume of CSI driver {driver}"),
            Self::InTree => f.write_str("in-tree volume of Portworx"),
        }
    }
}

/// Returns true if the API server accepts the name for a CSI driver: a DNS subdomain. (The name of a provisioner can
/// also be a path.)
fn is_csi_name(name: &str) -> bool {
    name.len() <= LONGEST_CSI_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

/// Returns advice about a rejection.
fn advice(code: u16, message: &str) -> &'static str {
    match code {
        401 => " (the credentials were not accepted: check the kubeconfig or the service account)",
        403 if message.contains("cannot create resource") => {
            " (grant the verb `create` on `deployments.apps` in this namespace)"
        }
        _ if message.contains("failed calling webhook") => {
            " (the webhook did not answer, and its failurePolicy is Fail: check its pods and Service)"
        }
        _ => "",
    }
}

/// Returns the texts of the `Warning` headers, which have the form `299 - "text"`.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(WARNING).into_iter().filter_map(|value| str::from_utf8(value.as_bytes()).ok());
    let texts = values.filter_map(|value| {
        let (_, text) = value.split_once('"')?;
        Some(text.strip_suffix('"')?.replace("\\\"", "\"").replace("\\\\", "\\"))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use hyper::Response;
    use hyper::header::HeaderValue;
    use kube::Client;
    use kube::client::Body;

    use super::*;

    /// Returns the outcome of an API server's answer. Passes the request to `asked`.
    async fn outcome(answer: Response<Vec<u8>>, asked: impl FnOnce(&str, Value)) -> Result<DryRunOutcome, DryRunError> {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = ApiClient::for_test(Client::new(service, "default"));
        let dry_run = DryRun::of(&Driver::portworx()).unwrap();
        let server = async {
            let (request, respond) = handle.next_request().await.unwrap();
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            asked(&format!("{} {}", head.method, head.uri), serde_json::from_slice(&body).unwrap());
            respond.send_response(answer.map(Body::from));
        };
        tokio::join!(server, dry_run.ask(&client, "team-a")).1
    }

    fn answer(code: u16, body: &Value) -> Response<Vec<u8>> {
        Response::builder().status(code).body(body.to_string().into_bytes()).unwrap()
    }

    #[test]
    fn the_volume_uses_the_first_legal_csi_driver_name() {
        let volume = |provisioners: &[&str]| {
            let provisioners = provisioners.iter().map(|name| Arc::from(*name)).collect();
            DryRun::of(&Driver { provisioners, ..Driver::portworx() }).map(|dry_run| dry_run.volume)
        };
        let csi = |name: &str| Some(DryRunVolume::Csi(name.into()));
        assert_eq!(DryRun::of(&Driver::portworx()).map(|dry_run| dry_run.volume), csi("pxd.portworx.com"));
        assert_eq!(volume(&["example.com/a", "linstor.csi.linbit.com"]), csi("linstor.csi.linbit.com"));
        assert_eq!(volume(&["example.com/a", &"a".repeat(64), "a b"]), None);
    }

    #[test]
    fn the_volume_is_one_that_the_scheduler_recognises() {
        let volume = |recognises: &[Evidence]| {
            let driver = Driver { recognises: recognises.to_vec(), ..Driver::portworx() };
            DryRun::of(&driver).map(|dry_run| dry_run.volume)
        };
        assert_eq!(volume(&[Evidence::Class, Evidence::InTree]), Some(DryRunVolume::InTree));
        assert_eq!(volume(&[Evidence::InlineCsi]), Some(DryRunVolume::Csi("pxd.portworx.com".into())));
        assert_eq!(volume(&[Evidence::Class, Evidence::Ephemeral]), None);
        assert_eq!(DryRunVolume::InTree.manifest()["portworxVolume"]["volumeID"], "colocate-probe");
    }

    #[tokio::test]
    async fn the_deployments_scheduler_and_warnings_are_returned() {
        let created = json!({"spec": {"template": {"spec": {"schedulerName": "stork"}}}});
        let mut response = answer(201, &created);
        for warning in [r#"299 - "say \"stork\"""#, "299 - \"two\"", "no warning"] {
            response.headers_mut().append(WARNING, HeaderValue::from_static(warning));
        }
        let outcome = outcome(response, |line, deployment| {
            assert_eq!(line, "POST /apis/apps/v1/namespaces/team-a/deployments?dryRun=All");
            let volume = deployment.pointer("/spec/template/spec/volumes/0/csi/driver");
            assert_eq!(volume, Some(&json!("pxd.portworx.com")));
            assert_eq!(deployment.pointer("/spec/template/spec/schedulerName"), None);
        });
        let DryRunOutcome { scheduler, warnings, .. } = outcome.await.unwrap();
        assert_eq!((scheduler.as_str(), warnings), ("stork", vec![r#"say "stork""#.to_owned(), "two".to_owned()]));
    }

    #[tokio::test]
    async fn a_rejection_comes_with_advice() {
        for (code, message, advice) in [
            (403, "deployments.apps is forbidden: User \"x\" cannot create resource", "(grant the verb `create`"),
            (404, "namespaces \"team-a\" not found", "HTTP 404: namespaces \"team-a\" not found"),
            (
                500,
                "failed calling webhook \"a\": timeout",
                "(the webhook did not answer, and its failurePolicy is Fail: check its pods and Service)",
            ),
        ] {
            let error =
                outcome(answer(code, &json!({"kind": "Status", "message": message})), |_, _| ()).await.unwrap_err();
            let error = error.to_string();
            assert!(error.contains(message) && error.contains(advice), "{error}");
        }
        let proxy = Response::builder().status(502).body(b"Bad Gateway".to_vec()).unwrap();
        let error = outcome(proxy, |_, _| ()).await.unwrap_err().to_string();
        assert_eq!(error, "the API server rejected the Deployment with HTTP 502: Bad Gateway");
    }

    #[tokio::test]
    async fn an_answer_without_a_deployment_is_an_error() {
        let error = outcome(answer(200, &json!({"kind": "Pod"})), |_, _| ()).await.unwrap_err();
        assert!(matches!(error, DryRunError::NotADeployment), "{error:?}");
    }
}
