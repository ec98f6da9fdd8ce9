//! `psp-sandbox`: stands in for both payment providers. Everything is in the library; here are the command line, the one
//! line on standard output, and the signals.

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

/// Stands in for both payment providers: their documented APIs, a made-up history, a live stream, faults on request.
#[derive(Parser)]
#[command(name = "psp-sandbox", version)]
struct Line {
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 9100)]
    port: u16,

    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,

    /// Print the truth of the made-up history as JSON and exit.
    #[arg(long)]
    truth: bool,

    #[command(flatten)]
    config: Config,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(Line::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("psp-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(line: Line) -> anyhow::Result<()> {
    if line.truth {
        let sandbox = Sandbox::new(line.config).map_err(anyhow::Error::msg)?;
        return writeln!(io::stdout(), "{}", sandbox.truth()).context("cannot print the truth");
    }
    let (host, port) = (line.host, line.port);
    let listener =
        TcpListener::bind((host.as_str(), port)).await.with_context(|| format!("cannot listen on {host}:{port}"))?;
    let address = listener.local_addr()?;
    let mut terminated = signal(SignalKind::terminate())?;
    let ready = async {
        let made = tokio::task::spawn_blocking(|| Sandbox::new(line.config)).await?;
        let sandbox = Arc::new(made.map_err(anyhow::Error::msg)?);
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

/// Nothing is worth saving, and waiting for a history half made or giving back half a million records takes its time.
fn stop() -> ! {
    std::process::exit(0)
}
