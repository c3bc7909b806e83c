//! `colocate probe`: calls a webhook as the API server does, and shows the exchange.

mod api_server;
mod screen;
mod sent_review;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use self::api_server::ApiServerArgs;
use self::screen::Screen;
use self::sent_review::SentReview;
use crate::api::{ApiClient, ClusterChoice};
use crate::cli::Usage;
use crate::cli::examples::{self, Examples};
use crate::cli::paint::ColorOption;
use crate::duration::GoDuration;
use crate::probe::{Client, Target, Verdict};

/// The longest timeout. An API server waits for at most 30 s.
const MAX_TIMEOUT: Duration = Duration::from_mins(10);

/// Call an admission webhook as the API server does, and show its answer
///
/// Sends one AdmissionReview over TLS and HTTP/1.1, and shows the request, the answer and its reason, the patch, and
/// its effect on the object. Changes nothing in any cluster, and works with any admission webhook. With --apiserver,
/// checks instead whether an API server calls colocate.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::text(&EXAMPLES))]
#[allow(clippy::doc_markdown)] // The text is help, where backticks would show.
pub(super) struct Probe {
    /// The https URL of the webhook; the port defaults to 443 and the path to /mutate
    #[arg(long, value_name = "URL", required_unless_present = "apiserver", conflicts_with = "apiserver")]
    url: Option<Target>,

    /// The CA certificates that the webhook's certificate must chain to (PEM)
    #[arg(long, value_name = "FILE", required_unless_present = "apiserver", conflicts_with = "apiserver")]
    ca: Option<PathBuf>,

    /// The AdmissionReview to send (JSON), or - for standard input [default: a MySQL Deployment with the claim
    /// mysql-data]
    #[arg(short = 'f', long = "file", value_name = "REVIEW", conflicts_with = "apiserver")]
    review: Option<PathBuf>,

    /// The timeout of the whole call; sent to the webhook in the query, as the API server does
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    timeout: Duration,

    #[command(flatten)]
    color: ColorOption,

    #[command(flatten)]
    api_server: ApiServerArgs,
}

const EXAMPLES: Examples = [
    (
        "Show the decision of a server about an AdmissionReview:",
        "colocate probe --url https://localhost:8443 --ca certs/ca.crt -f review.json",
    ),
    ("Check that the API server of a cluster calls colocate:", "colocate probe --apiserver --namespace team-a"),
];

impl Probe {
    /// Sends the review, and prints the request and the answer as they become known.
    ///
    /// # Errors
    /// - If the file is not an `AdmissionReview`.
    /// - If the webhook does not answer, or the API server would count its answer as a failure, such as a patch that
    ///   does not apply. A denial is a valid answer.
    /// - With `--apiserver`, if no Deployment came back, or it does not have the driver's scheduler.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let screen = Screen(self.color.for_stdout());
        self.show(&mut io::stdout(), screen).await
    }

    async fn show(self, out: &mut impl Write, screen: Screen) -> anyhow::Result<()> {
        if self.api_server.apiserver {
            let api_server = ApiClient::for_command(false, ClusterChoice::default()).await?;
            return self.api_server.show(&api_server, out, screen, self.timeout).await;
        }
        let (Some(url), Some(ca)) = (self.url, self.ca) else {
            return Err(Usage("no target: name a webhook with --url and --ca, or use --apiserver".to_owned()).into());
        };
        let review = match &self.review {
            Some(file) => SentReview::read(file)?,
            None => SentReview::mysql()?,
        };
        let authorities = fs::read(&ca).with_context(|| format!("cannot read {}", ca.display()))?;
        let client = Client::new(url, &authorities, self.timeout)
            .with_context(|| format!("cannot use the CA certificates in {}", ca.display()))?;

        out.write_all(screen.request(&review, client.target()).as_bytes())?;
        let answer = client.ask(review.body.clone()).await?;
        out.write_all(screen.answer(&answer).as_bytes())?;
        let verdict = Verdict::read(&answer, &review.uid)?;
        out.write_all(screen.verdict(&verdict)?.as_bytes())?;
        if verdict.changes() > 0 {
            let object = verdict.apply(review.object())?;
            out.write_all(screen.change(review.object(), &object)?.as_bytes())?;
        }
        Ok(())
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let wrong = || format!("use a duration from 1ms to {}m, such as 10s", MAX_TIMEOUT.as_secs() / 60);
    let duration = text.parse().ok().map(|GoDuration(duration)| duration);
    duration.filter(|duration| (Duration::from_millis(1)..=MAX_TIMEOUT).contains(duration)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use clap::{Args as _, FromArgMatches as _};
    use http_body_util::{BodyExt as _, Full};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::paint::Paint;
    use crate::engine;
    use crate::tls::{Authority, Validity, testing};

    fn parse(arguments: &[&str]) -> Result<Probe, clap::Error> {
        let command = Probe::augment_args(clap::Command::new("probe").no_binary_name(true));
        Probe::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    struct Shown {
        text: String,
        error: Option<String>,
    }

    /// Runs the command against a webhook with these answers.
    async fn shown(arguments: &[&str], answer: impl Fn(&str) -> Response<Full<bytes::Bytes>>) -> Shown {
        let validity = Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap();
        let authority = Authority::new("an authority", validity).unwrap();
        let leaf = authority.issue(&["localhost".parse().unwrap()], validity).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.crt");
        fs::write(&ca, authority.certificate_pem()).unwrap();

        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let respond = async |request: Request<hyper::body::Incoming>| {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let review: Value = serde_json::from_slice(&body).unwrap();
            Ok::<_, Infallible>(answer(review["request"]["uid"].as_str().unwrap()))
        };
        let server = async {
            let tls = testing::server(&leaf).accept(listener.accept().await.unwrap().0).await.unwrap();
            http1::Builder::new().serve_connection(TokioIo::new(tls), service_fn(respond)).await.unwrap();
        };
        let probe = parse(&[&["--url", &url, "--ca", ca.to_str().unwrap()], arguments].concat()).unwrap();
        let mut text = Vec::new();
        let ((), result) = tokio::join!(server, probe.show(&mut text, Screen(Paint::PLAIN)));
        let text = String::from_utf8(text).unwrap().replace(&url, "https://localhost:8443");
        Shown { text, error: result.err().map(|error| format!("{error:#}")) }
    }

    fn body(text: impl Into<bytes::Bytes>) -> Response<Full<bytes::Bytes>> {
        Response::new(Full::new(text.into()))
    }

    fn review(response: &Value) -> Response<Full<bytes::Bytes>> {
        body(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}).to_string())
    }

    /// Replaces the time that the answer took.
    fn timeless(text: &str) -> String {
        let Some((before, (_, after))) =
            text.split_once(" after ").and_then(|(before, rest)| Some((before, rest.split_once(", over ")?)))
        else {
            return text.to_owned();
        };
        format!("{before} after 1.2ms, over {after}")
    }

    #[tokio::test]
    async fn the_answer_to_the_mysql_deployment_fits_one_screen() {
        let scheduler = "/spec/template/spec/schedulerName";
        let answer = engine::AdmissionResponse {
            patch: Some(json!([{"op": "add", "path": scheduler, "value": "stork"}]).to_string().into()),
            warnings: &[],
            audit_annotations: Some(engine::AuditAnnotations {
                reason: "injected",
                scheduler: Some("stork"),
                claims: "claim mysql-data: portworx".into(),
                ..engine::AuditAnnotations::default()
            }),
            ..engine::AdmissionResponse::default()
        };
        let shown = shown(&[], |uid| body(answer.encode(uid))).await;
        assert_eq!(shown.error, None);
        assert_eq!(timeless(&shown.text), include_str!("probe/mysql-deployment.txt"));
        assert!(shown.text.lines().count() <= 40);
        assert!(shown.text.lines().all(|line| line.chars().count() <= 80));
    }

    #[tokio::test]
    async fn a_denial_is_a_valid_answer() {
        let status = json!({"code": 403, "message": "not\nin this \u{1b}[31m namespace"});
        let refused =
            |uid: &str| review(&json!({"uid": uid, "allowed": false, "status": status, "warnings": ["careful"]}));
        let shown = shown(&[], refused).await;
        assert_eq!(shown.error, None);
        assert!(shown.text.contains("\n           refused (403)\n"), "{}", shown.text);
        assert!(shown.text.contains("\nmessage    not in this \u{fffd}[31m namespace\n"), "{}", shown.text);
        assert!(shown.text.ends_with("\nwarning    careful\n"), "{}", shown.text);
    }

    #[tokio::test]
    async fn an_error_is_explained_after_the_request() {
        let not_found = |_: &str| Response::builder().status(404).body(Full::new("no such page\n".into())).unwrap();
        let shown = shown(&[], not_found).await;
        assert!(shown.text.starts_with("request    CREATE Deployment default/mysql"), "{}", shown.text);
        assert!(shown.text.contains("\nanswer     HTTP 404 Not Found after "), "{}", shown.text);
        assert_eq!(shown.error.as_deref(), Some("the webhook answered HTTP 404 Not Found: no such page"));
    }

    #[tokio::test]
    async fn a_patch_that_does_not_apply_is_shown_and_is_an_error() {
        // [{"op":"remove","path":"/spec/nothing"}]
        let patch = "W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL3NwZWMvbm90aGluZyJ9XQ==";
        let answer =
            |uid: &str| review(&json!({"uid": uid, "allowed": true, "patch": patch, "patchType": "JSONPatch"}));
        let shown = shown(&[], answer).await;
        assert!(shown.text.ends_with("\npatch\n[{\"op\":\"remove\",\"path\":\"/spec/nothing\"}]\n"), "{}", shown.text);
        let error = shown.error.unwrap();
        assert!(error.contains("does not apply") && error.contains("/spec/nothing"), "{error}");
    }

    #[tokio::test]
    async fn a_review_from_a_file_is_sent_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("review.json");
        let request =
            json!({"uid": "a uid", "operation": "DELETE", "name": "web", "kind": {"kind": "Pod"}, "object": null});
        let review_text = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request});
        fs::write(&file, format!(" {review_text}\n")).unwrap();
        let answer = |uid: &str| review(&json!({"uid": uid, "allowed": uid == "a uid"}));
        let shown = shown(&["-f", file.to_str().unwrap()], answer).await;
        assert_eq!(shown.error, None);
        assert!(shown.text.starts_with("request    DELETE Pod web (no version), "), "{}", shown.text);
        assert!(shown.text.ends_with("\n           allowed, unchanged\n"), "{}", shown.text);
    }

    #[tokio::test]
    async fn files_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty");
        fs::write(&empty, "").unwrap();
        let (empty, absent) = (empty.to_str().unwrap(), "/nonexistent/file");
        for (ca, file, text) in [
            (absent, None, "cannot read /nonexistent/file: "),
            (empty, None, "empty: no certificate in PEM form"),
            (empty, Some(absent), "cannot read /nonexistent/file: "),
            (empty, Some(empty), "empty:1:0: not JSON: "),
        ] {
            let mut arguments = vec!["--url", "https://localhost", "--ca", ca];
            arguments.extend(file.iter().flat_map(|file| ["-f", file]));
            let mut shown = Vec::new();
            let result = parse(&arguments).unwrap().show(&mut shown, Screen(Paint::PLAIN)).await;
            let error = format!("{:#}", result.unwrap_err());
            assert!(error.contains(text), "{error}");
            assert!(shown.is_empty());
        }
    }

    #[test]
    fn invalid_arguments_are_usage_errors_with_a_reason() {
        for (option, value, text) in [
            ("--url", "http://localhost:8443", "speak https only"),
            ("--timeout", "10", "such as 10s"),
            ("--timeout", "0s", "such as 10s"),
            ("--timeout", "-1s", "such as 10s"),
            ("--timeout", "1h", "from 1ms to 10m"),
        ] {
            let mut arguments = vec!["--ca", "ca.crt"];
            if option != "--url" {
                arguments.extend(["--url", "https://localhost"]);
            }
            let value = format!("{option}={value}");
            arguments.push(&value);
            let error = parse(&arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(text), "{error}");
        }
        for (arguments, text) in [
            (&["--ca", "ca.crt"][..], "--url <URL>"),
            (&["--url", "https://localhost"], "--ca <FILE>"),
            (&["--apiserver", "--url", "https://localhost"], "cannot be used with"),
            (&["--apiserver", "--file", "review.json"], "cannot be used with"),
            (&["--apiserver", "--namespace", "a/b"], "such as team-a"),
            (&["--url", "https://localhost", "--ca", "ca.crt", "--namespace", "a"], "cannot be used with"),
            (&["--url", "https://localhost", "--ca", "ca.crt", "--config", "a"], "cannot be used with"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
        assert!(parse(&["--apiserver", "-n", "team-a", "--config", "a"]).is_ok());
        let probe = parse(&["--url", "https://localhost", "--ca", "ca.crt", "--timeout", "1m30s"]).unwrap();
        assert_eq!(probe.timeout, Duration::from_secs(90));
    }
}
