//! Calls of a Service through the API server's proxy.

use std::time::Duration;

use hyper::Request;
use hyper::header::CONTENT_TYPE;
use hyper::http::{HeaderValue, Method};

use crate::api::ApiError;
use crate::inspect::access::Access;
use crate::inspect::kinds::SERVICE_PROXY;
use crate::locality::{Gap, Service};

/// The longest time that an answer may take. A gateway needs 4 s for 10,000 volumes; the API server ends a call after 60 s.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The header of a token. API servers remove `Authorization` from what they pass on. grpc-gateway passes on the headers with
/// this prefix as metadata of the call (`MetadataHeaderPrefix`), and the SDK reads `authorization` there.
const TOKEN_HEADER: &str = "Grpc-Metadata-Authorization";

/// A call of a Service.
pub(super) struct ServiceCall<'a> {
    pub(super) service: &'a Service,
    /// A `GET` without a body, or a `POST`.
    pub(super) path: &'a str,
    pub(super) body: Option<String>,
    pub(super) token: Option<&'a HeaderValue>,
    /// The consequence if there is no answer.
    pub(super) hides: &'a str,
}

impl ServiceCall<'_> {
    /// Calls the Service in the first of its namespaces that has it. A failure is recorded in [`Access::not_seen`].
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn send(&self, access: &mut Access) -> Result<Result<Vec<u8>, Gap>, ApiError> {
        let Self { service, path, body, token, hides } = self;
        let verb = if body.is_some() { "create" } else { "get" };
        let name = service.proxy_name();
        let (mut denied, mut failure) = (None, None);
        for namespace in &service.namespaces {
            if !access.may_on(verb, SERVICE_PROXY, Some(namespace), &name).await? {
                denied.get_or_insert(namespace);
                continue;
            }
            let method = if body.is_some() { Method::POST } else { Method::GET };
            let mut request = Request::builder().method(method).uri(service.proxy_path(namespace, path));
            if body.is_some() {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            if let Some(token) = token {
                request = request.header(TOKEN_HEADER, *token);
            }
            let body = body.clone().unwrap_or_default().into_bytes();
            match access.client.exchange((verb, SERVICE_PROXY.resource), request, body, TIMEOUT).await {
                Ok(body) => {
                    access.seen.insert(format!("{}/{name}", SERVICE_PROXY.resource));
                    return Ok(Ok(body));
                }
                Err(error) if error.code() == Some(403) && error.has_status() => {
                    denied.get_or_insert(namespace);
                }
                // There is no such Service here.
                Err(error) if error.code() == Some(404) && error.has_status() => {}
                Err(error) => {
                    failure.get_or_insert((namespace, error.message()));
                }
            }
        }
        if let Some((namespace, message)) = failure {
            let why = format!("Service {namespace}/{name} does not answer: {message}");
            access.unreadable(SERVICE_PROXY, None, &why, hides);
            return Ok(Err(Gap::NoAnswer(why.into())));
        }
        if let Some(namespace) = denied {
            access.denied(verb, SERVICE_PROXY, Some(namespace), hides);
            return Ok(Err(Gap::NoRight(format!("{verb} services/proxy {name} in {namespace}").into())));
        }
        let why = format!("there is no Service {} in {}", service.name, service.namespaces.join(" or "));
        access.unreadable(SERVICE_PROXY, None, &why, hides);
        Ok(Err(Gap::NoAnswer(why.into())))
    }
}
