//! The webhooks that are compared.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::server::Server;

/// A webhook that sets the scheduler of pods whose claims Portworx provisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Colocate,
    ControllerRuntime,
    /// `net/http`, and `encoding/json` into a small struct.
    Lean,
}

/// The Go webhooks.
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Returns the Go webhooks, after building them if necessary.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let script = folder().join("build");
        let output = Command::new(&script).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{}: {}", script.display(), output.status);
        Ok(Self(String::from_utf8(output.stdout)?.trim().into()))
    }

    /// Starts a webhook on one core. It reads claims from the API server of `kubeconfig`.
    pub(crate) fn start(&self, peer: Peer, core: usize, kubeconfig: &Path) -> anyhow::Result<Server> {
        let core = core.to_string();
        let wrapper = ["taskset", "--cpu-list", &core];
        let go = |program: &str| {
            Server::start_program(&self.0.join(program), &wrapper, |command| {
                command.env("KUBECONFIG", kubeconfig).env("GOMAXPROCS", "1");
            })
        };
        let started = match peer {
            Peer::Colocate => Server::start(&wrapper, |command| {
                command.env("KUBECONFIG", kubeconfig);
            }),
            Peer::ControllerRuntime => go("controllerruntime"),
            Peer::Lean => go("lean"),
        };
        started.with_context(|| format!("cannot start {peer}"))
    }
}

/// Returns the versions of Go and of controller-runtime.
pub(crate) fn versions() -> anyhow::Result<String> {
    let output =
        Command::new("go").args(["env", "GOVERSION"]).current_dir(folder()).output().context("cannot run go")?;
    let go = String::from_utf8(output.stdout)?;
    let mut requirements = include_str!("../../../benches/peers/go.mod").lines();
    let requirement = requirements.find_map(|line| line.trim().strip_prefix("sigs.k8s.io/controller-runtime "));
    let number = go.trim().trim_start_matches("go");
    Ok(format!("Go {number} and controller-runtime {}", requirement.context("go.mod names controller-runtime")?))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

impl Peer {
    /// All of them, in the order of the measurements. The first decides what the others must answer.
    pub(crate) const ALL: [Self; 3] = [Self::Colocate, Self::ControllerRuntime, Self::Lean];
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Colocate => "colocate",
            Self::ControllerRuntime => "controller-runtime",
            Self::Lean => "lean Go",
        })
    }
}
