//! The program `colocate`: crypto provider, arguments, runtime and exit code.

use std::process::ExitCode;

use colocate::cli::Cli;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    // kube's client uses the default provider. Only a second call can fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::from_arguments();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("colocate: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run());
    // Dropping it would wait for blocking reads, which may never end.
    runtime.shutdown_background();
    code
}
