//! `colocate probe --apiserver`: checks whether an API server calls colocate, and names possible causes if it does not.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::screen::Screen;
use crate::api::{ApiClient, DryRun};
use crate::cli::input;
use crate::config::Config;
use crate::duration::GoDuration;
use crate::engine::{Mode, Templates};

/// The arguments of `--apiserver`.
#[derive(Debug, clap::Args)]
#[allow(clippy::doc_markdown)] // The text is help, where backticks would show.
pub(super) struct ApiServerArgs {
    /// Check whether the cluster's API server calls colocate: create a Deployment with a volume of the first driver as
    /// a dry run, and fail unless it gets the driver's scheduler
    #[arg(long)]
    pub(super) apiserver: bool,

    /// The namespace of the dry run [default: default]
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "url", value_parser = input::namespace)]
    namespace: Option<String>,

    /// The configuration file with the drivers; without one, the defaults apply
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
}

impl ApiServerArgs {
    /// Sends the dry run, and shows the answer.
    pub(super) async fn show(
        self,
        api_server: &ApiClient,
        out: &mut impl Write,
        screen: Screen,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        let config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let dry_run = first_driver(&config)?;

        out.write_all(screen.dry_run(&dry_run, namespace).as_bytes())?;
        let asked = tokio::time::timeout(timeout, dry_run.ask(api_server, namespace)).await;
        let late = |_| anyhow!("the API server did not answer within {}", GoDuration(timeout));
        let outcome = asked.map_err(late)??;
        out.write_all(screen.outcome(&dry_run, &outcome).as_bytes())?;
        if *outcome.scheduler == *dry_run.scheduler {
            return Ok(());
        }
        out.write_all(screen.causes(&causes(&config, namespace)).as_bytes())?;
        bail!(
            "the Deployment came back with schedulerName {} instead of {}: see the possible causes above",
            outcome.scheduler,
            dry_run.scheduler
        );
    }
}

fn first_driver(config: &Config) -> anyhow::Result<DryRun> {
    let policy = config.policy();
    let driver = policy
        .drivers
        .0
        .first()
        .context("the configuration has no driver with a scheduler to test with: add one to `drivers`")?;
    let name = &driver.name;
    DryRun::of(driver).with_context(|| {
        format!("the first driver, `{name}`, has no volume that a pod can mount without a claim: for such a volume, `provisioners` must name a CSI driver, and `recognises` must have `inlineCsi`; list another driver first")
    })
}

/// Returns the possible reasons why a Deployment came back unchanged.
fn causes(config: &Config, namespace: &str) -> Vec<String> {
    let policy = config.policy();
    let known = match (policy.mode, policy.templates) {
        (Mode::Audit, _) => Some("the configuration has `mode: audit`, which changes nothing: set `mode: inject`"),
        (Mode::Off, _) => Some("the configuration has `mode: off`, which changes nothing: set `mode: inject`"),
        (Mode::Inject, Templates::Leave) => {
            Some("the configuration has `templates: leave`: only pods are changed, not Deployments")
        }
        (Mode::Inject, Templates::Inject) => None,
    };
    if let Some(known) = known {
        return vec![known.to_owned()];
    }
    let webhook = &config.tls().webhooks.mutating;
    let label = &policy.opt_out.namespace_label;
    vec![
        format!(
            "the namespace `{namespace}` is excluded by the webhook's namespaceSelector or by its label `{label}`: choose another with --namespace"
        ),
        format!("the webhook configuration does not exist: check with `kubectl get mutatingwebhookconfiguration {webhook}`"),
        "colocate does not answer, and failurePolicy is Ignore: its pods are not ready, or the API server cannot reach their port or does not trust their certificate. See /readyz, and `failed calling webhook` in the API server's log"
            .to_owned(),
        "colocate runs with a configuration other than that of --config: a different `mode`, or other drivers"
            .to_owned(),
        "the driver's scheduler is not running: see the warning above, if there is one".to_owned(),
        "another webhook, called later, changed the scheduler back".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hyper::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::cli::paint::Paint;

    /// Returns the output and the error for an API server whose Deployment has this scheduler.
    async fn shown(config: &str, scheduler: &str) -> (String, Option<String>) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let api_server = ApiClient::for_test(kube::Client::new(service, "default"));
        let created = json!({"spec": {"template": {"spec": {"schedulerName": scheduler}}}});
        let server = async {
            let Some((_, respond)) = handle.next_request().await else { return };
            let response = Response::builder().status(201).header("warning", "299 - \"careful\"");
            respond.send_response(response.body(Body::from(created.to_string().into_bytes())).unwrap());
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        fs::write(&file, config).unwrap();
        let asked = ApiServerArgs { apiserver: true, namespace: Some("team-a".to_owned()), config: Some(file) };
        let mut text = Vec::new();
        let ask = async {
            let asked = asked.show(&api_server, &mut text, Screen(Paint::PLAIN), Duration::from_mins(1)).await;
            // Otherwise the server would wait for another request.
            drop(api_server);
            asked
        };
        let ((), result) = tokio::join!(server, ask);
        (String::from_utf8(text).unwrap(), result.err().map(|error| format!("{error:#}")))
    }

    #[tokio::test]
    async fn the_drivers_scheduler_means_success() {
        let (text, error) = shown("{}", "stork").await;
        assert_eq!(error, None);
        assert!(
            text.starts_with("request    CREATE Deployment team-a/colocate-probe-* (apps/v1), a dry run\n"),
            "{text}"
        );
        assert!(text.contains("           volume of CSI driver pxd.portworx.com (driver portworx)\n"), "{text}");
        assert!(text.contains("\nanswer     created after "), "{text}");
        assert!(text.contains("\nscheduler  stork\n"), "{text}");
        assert!(text.ends_with("\nwarning    careful\n"), "{text}");
        let linstor =
            "drivers: [{name: linstor, provisioners: [linstor.csi.linbit.com], scheduler: linstor-scheduler}]";
        assert_eq!(shown(linstor, "linstor-scheduler").await.1, None);
        assert!(shown(linstor, "stork").await.1.is_some());
    }

    #[tokio::test]
    async fn another_scheduler_means_failure_with_possible_causes() {
        let (text, error) = shown("tls: {webhooks: {mutating: own}}", "default-scheduler").await;
        let said = "the Deployment came back with schedulerName default-scheduler instead of stork: ";
        assert!(error.as_ref().is_some_and(|error| error.starts_with(said)), "{error:?}");
        for part in
            ["the namespace `team-a` is excluded", "mutatingwebhookconfiguration own`", "failurePolicy is Ignore"]
        {
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(part), "{part}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[tokio::test]
    async fn a_cause_in_the_configuration_is_the_only_one() {
        for (config, cause) in [
            ("mode: audit", "`mode: audit`, which changes nothing"),
            ("mode: off", "`mode: off`, which changes nothing"),
            ("templates: leave", "`templates: leave`: only pods"),
        ] {
            let (text, error) = shown(config, "default-scheduler").await;
            assert!(error.is_some() && text.contains(cause) && !text.contains("is excluded"), "{text}");
        }
    }

    #[tokio::test]
    async fn no_request_is_sent_without_a_csi_driver() {
        for (config, said) in [
            (
                "drivers: [{name: a, provisioners: [a.test/b], scheduler: c}]",
                "the first driver, `a`, has no volume that a pod can mount without a claim",
            ),
            ("mode: on", "config.yaml:1:7: "),
        ] {
            let (text, error) = shown(config, "").await;
            assert!(text.is_empty() && error.as_ref().is_some_and(|error| error.contains(said)), "{error:?}");
        }
    }
}
