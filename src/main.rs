//! The program `colocate`: crypto provider, arguments, runtime and exit code.

use std::process::ExitCode;

use clap::Parser;
use colocate::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    // kube's client uses the default provider. Only a second call can fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Cli::parse().run().await
}
