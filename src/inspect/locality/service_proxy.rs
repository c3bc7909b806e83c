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

/// The scheme before the token in the header.
pub(super) const TOKEN_SCHEME: &str = "bearer ";

/// The least length of a token that is replaced in the body of a success. Tokens of Portworx have hundreds of characters.
const MIN_REPLACED: usize = 16;

/// A call of a Service.
pub(super) struct ServiceCall<'a> {
    pub(super) service: &'a Service,
    /// A `GET` without a body, or a `POST`.
    pub(super) path: &'a str,
    pub(super) body: Option<String>,
    pub(super) token: Option<&'a HeaderValue>,
    /// The reason why the token is not sent to some namespaces of the Service, if any.
    pub(super) left_out: Option<&'a str>,
    /// The consequence if there is no answer.
    pub(super) hides: &'a str,
}

/// The answer of a Service.
pub(super) enum Answer {
    /// The body of a success.
    Body(Vec<u8>),
    /// The text of HTTP 400 by the Service itself.
    Refused(String),
    /// The reason why there is none.
    None(Gap),
}

impl ServiceCall<'_> {
    /// Calls the Service as [`ask`](Self::ask) does, and takes a refusal as a failure.
    ///
    /// # Errors
    /// Those of [`ask`](Self::ask).
    pub(super) async fn send(&self, access: &mut Access) -> Result<Result<Vec<u8>, Gap>, ApiError> {
        Ok(match self.ask(access).await? {
            Answer::Body(body) => Ok(body),
            Answer::None(gap) => Err(gap),
            Answer::Refused(message) => {
                let why = format!("Service {} refuses the request: {message}", self.service.name);
                access.unreadable(SERVICE_PROXY, None, &why, self.hides);
                Err(Gap::NoAnswer(why.into()))
            }
        })
    }

    /// Calls the Service in the first of its namespaces that has it. A failure is recorded in [`Access::not_seen`].
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn ask(&self, access: &mut Access) -> Result<Answer, ApiError> {
        let Self { service, path, body, token, left_out, hides } = self;
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
            match access.client.call_service((verb, SERVICE_PROXY.resource), request, body, TIMEOUT).await {
                Ok(body) => {
                    access.seen.insert(format!("{}/{name}", SERVICE_PROXY.resource));
                    return Ok(Answer::Body(self.body_without_token(body)));
                }
                Err(error) if error.code() == Some(403) && error.has_status() => {
                    denied.get_or_insert(namespace);
                }
                Err(error) if error.code() == Some(400) && !error.has_status() => {
                    return Ok(Answer::Refused(self.without_token(&error.message())));
                }
                // There is no such Service here.
                Err(error) if error.code() == Some(404) && error.has_status() => {}
                Err(error) => {
                    failure.get_or_insert_with(|| (namespace, self.without_token(&error.message())));
                }
            }
        }
        if let Some((namespace, message)) = failure {
            let why = format!("Service {namespace}/{name} does not answer: {message}");
            access.unreadable(SERVICE_PROXY, None, &why, hides);
            return Ok(Answer::None(Gap::NoAnswer(why.into())));
        }
        if let Some(namespace) = denied {
            access.denied(verb, SERVICE_PROXY, Some(namespace), hides);
            return Ok(Answer::None(Gap::NoPermission(format!("{verb} services/proxy {name} in {namespace}").into())));
        }
        let left_out = left_out.map(|why| format!(". {why}")).unwrap_or_default();
        let why =
            format!("there is no Service {} in namespace {}{left_out}", service.name, service.namespaces.join(" or "));
        access.unreadable(SERVICE_PROXY, None, &why, hides);
        Ok(Answer::None(Gap::Absent(why.into())))
    }

    /// Replaces the token in a message of the Service, which may repeat it, by `***`.
    fn without_token(&self, message: &str) -> String {
        match self.token() {
            "" => message.to_owned(),
            token => message.replace(token, "***"),
        }
    }

    /// Does the same in a body. A short token is kept, because it may be a part of the name of a node or a volume.
    fn body_without_token(&self, body: Vec<u8>) -> Vec<u8> {
        let is_long = self.token().len() >= MIN_REPLACED;
        match String::from_utf8_lossy(&body) {
            text if is_long && text.contains(self.token()) => self.without_token(&text).into_bytes(),
            _ => body,
        }
    }

    fn token(&self) -> &str {
        let header = self.token.and_then(|token| token.to_str().ok()).unwrap_or_default();
        header.strip_prefix(TOKEN_SCHEME).unwrap_or(header)
    }
}

#[cfg(test)]
mod tests {
    use hyper::Response;
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::api::ApiClient;

    const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

    /// Calls a Service that may be in the namespaces `a` and `b`, with a token. `answer` has the status and the body for a
    /// namespace. Returns the answer, what was not seen, and the paths with the token that they got.
    async fn ask(answer: impl Fn(&str) -> (u16, String)) -> (Answer, Vec<String>, Vec<(String, String)>) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let mut access = Access::new(ApiClient::for_test(Client::new(service, "default")));
        let server = async {
            let mut paths = Vec::new();
            while let Some((request, respond)) = handle.next_request().await {
                let path = request.uri().path().to_owned();
                let (status, body) = if path == REVIEWS {
                    (201, json!({"status": {"allowed": true}}).to_string())
                } else {
                    let token = request.headers().get(TOKEN_HEADER).unwrap().to_str().unwrap().to_owned();
                    let namespace = path.split('/').nth(4).unwrap().to_owned();
                    paths.push((path, token));
                    answer(&namespace)
                };
                respond.send_response(Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap());
            }
            paths
        };
        let client = async {
            let namespaces = vec!["a".into(), "b".into()];
            let service = Service { namespaces, name: "gate".into(), port: 1, tls: true };
            let token = HeaderValue::from_static("bearer seeded-token-of-test");
            let body = Some("{}".to_owned());
            let call = ServiceCall {
                service: &service,
                path: "/x",
                body,
                token: Some(&token),
                left_out: None,
                hides: "the rest",
            };
            let answer = call.ask(&mut access).await.unwrap();
            let not_seen = std::mem::take(&mut access.not_seen).iter().map(ToString::to_string).collect();
            // Ends the server.
            drop(access);
            (answer, not_seen)
        };
        let ((answer, not_seen), paths) = tokio::join!(client, server);
        (answer, not_seen, paths)
    }

    fn status(code: u16) -> (u16, String) {
        (code, json!({"kind": "Status", "code": code, "message": "no"}).to_string())
    }

    #[tokio::test]
    async fn the_first_namespace_with_the_service_answers() {
        let (answer, not_seen, paths) = ask(|at| if at == "a" { status(404) } else { (200, "yes".to_owned()) }).await;
        assert!(matches!(answer, Answer::Body(body) if body == b"yes") && not_seen.is_empty());
        let expected = ["a", "b"].map(|at| {
            (format!("/api/v1/namespaces/{at}/services/https:gate:1/proxy/x"), "bearer seeded-token-of-test".to_owned())
        });
        assert_eq!(paths, expected);
    }

    #[tokio::test]
    async fn the_message_of_a_service_that_refuses_is_kept() {
        let (answer, not_seen, paths) = ask(|_| (400, "No node has the data\n".to_owned())).await;
        assert!(matches!(answer, Answer::Refused(message) if message == "No node has the data"));
        assert_eq!((not_seen.len(), paths.len()), (0, 1));
    }

    #[tokio::test]
    async fn a_service_that_repeats_the_token_does_not_reveal_it() {
        for code in [200, 400, 401, 500] {
            let (answer, not_seen, _) =
                ask(|_| (code, "got bearer seeded-token-of-test, twice seeded-token-of-test\n".to_owned())).await;
            let text = match answer {
                Answer::Body(body) => String::from_utf8(body).unwrap(),
                Answer::Refused(message) => message,
                Answer::None(gap) => gap.to_string(),
            };
            assert!(text.contains("got bearer ***, twice ***"), "{code}: {text}");
            assert!(not_seen.iter().all(|one| one.contains("got bearer ***, twice ***")), "{not_seen:?}");
        }
    }

    #[tokio::test]
    async fn the_reason_for_no_answer_is_recorded_once() {
        for (of_a, of_b, word, expected) in [
            (
                status(404),
                status(404),
                "no-answer",
                "services/proxy: there is no Service gate in namespace a or b; not known as a result: the rest",
            ),
            (
                status(403),
                status(404),
                "no-permission",
                "services/proxy: not permitted to create in namespace a; not known as a result: the rest",
            ),
            (
                status(403),
                (502, "broken".to_owned()),
                "no-answer",
                "services/proxy: Service b/https:gate:1 does not answer: broken; not known as a result: the rest",
            ),
            (
                (404, "page not found".to_owned()),
                status(404),
                "no-answer",
                "services/proxy: Service a/https:gate:1 does not answer: page not found; not known as a result: the rest",
            ),
        ] {
            let (answer, not_seen, _) = ask(|at| if at == "a" { of_a.clone() } else { of_b.clone() }).await;
            assert!(matches!(answer, Answer::None(gap) if gap.as_str() == word), "{expected}");
            assert_eq!(not_seen, [expected]);
        }
    }
}
