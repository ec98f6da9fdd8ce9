//! `psp-sandbox`: command line, startup line on standard output, and signals. Everything else is in the library.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::Parser;
use psp_sandbox::{Config, Sandbox, serve};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

/// Mock server of both payment providers: documented APIs, generated history, live stream, fault injection.
#[derive(Parser)]
#[command(name = "psp-sandbox", version)]
struct Cli {
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 9100)]
    port: u16,

    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,

    /// Print the ground truth of the generated history as JSON and exit.
    #[arg(long)]
    truth: bool,

    #[command(flatten)]
    config: Config,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("psp-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    if cli.truth {
        let sandbox = Sandbox::new(cli.config).map_err(anyhow::Error::msg)?;
        return writeln!(io::stdout(), "{}", sandbox.ground_truth()).context("cannot write to standard output");
    }
    let (host, port) = (cli.host, cli.port);
    let listener =
        TcpListener::bind((host.as_str(), port)).await.with_context(|| format!("cannot listen on {host}:{port}"))?;
    let address = listener.local_addr()?;
    let mut terminated = signal(SignalKind::terminate())?;
    let ready = async {
        let sandbox = tokio::task::spawn_blocking(|| Sandbox::new(cli.config)).await?;
        let sandbox = Arc::new(sandbox.map_err(anyhow::Error::msg)?);
        writeln!(io::stdout(), "psp-sandbox listening on http://{address}")?;
        io::stdout().flush()?;
        serve(sandbox, listener).await.context("the listener failed")
    };
    tokio::select! {
        served = ready => served,
        _ = terminated.recv() => stop(),
        _ = tokio::signal::ctrl_c() => stop(),
    }
}

/// Exits at once: there is nothing to save, and waiting for a half-generated history or dropping half a million records
/// takes time.
fn stop() -> ! {
    std::process::exit(0)
}
