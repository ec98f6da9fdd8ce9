//! `psp`: the web process and the operator's commands.
//!
//! Every command reads only the settings that it needs, and reports an error once, on standard error.

mod keys_command;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use keys_command::KeysCommand;
use psp_dashboard::check::{Thoroughness, check};
use psp_dashboard::clock::SystemClock;
use psp_dashboard::config::{EnvVars, ServersConfig, TelemetryConfig, WebConfig};
use psp_dashboard::db::migrate::{MigrationStep, migrate_reporting};
use psp_dashboard::db::pool::connect;
use psp_dashboard::erase::EraseArguments;
use psp_dashboard::operations::verify_audit::AuditPosition;
use psp_dashboard::progress::{Progress, has_bars};
use psp_dashboard::telemetry;
use psp_dashboard::web::app;
use psp_dashboard::web::events::asyncapi;
use psp_dashboard::web::http::auth::policy_table;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// PSP dashboard backend: REST API, WebSocket and administration
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the REST API, Swagger UI and the WebSocket on HOST:PORT
    Web,
    /// Apply pending migrations; safe if two run at the same time
    Migrate,
    /// Print the OpenAPI document, or the AsyncAPI document of live events
    Openapi {
        #[arg(long, value_enum, default_value_t = DocumentFormat::Json)]
        format: DocumentFormat,
    },
    /// Create, list, rotate and revoke API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Erase a person from payments, quarantine, exports, notes and the audit log; without --yes only count
    Erase(EraseArguments),
    /// Test every setting and connection and report what is wrong
    Check {
        /// Also compare the metric rollups with all transactions
        #[arg(long)]
        rollups: bool,
        /// Also verify the chain of the audit log, and print its head
        #[arg(long)]
        audit: bool,
        /// A head that --audit has printed before: the log must still contain it
        #[arg(long, requires = "audit", value_name = "HEAD")]
        after: Option<AuditPosition>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DocumentFormat {
    Json,
    Yaml,
    /// The AsyncAPI document, as YAML
    Asyncapi,
    /// The role and the project scope of each operation, as a Markdown table
    Roles,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("psp: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Web => web().await?,
        Command::Migrate => migrate_database().await?,
        Command::Openapi { format } => std::io::stdout().write_all(render(format).as_bytes())?,
        Command::Keys(command) => keys_command::run(command).await?,
        Command::Erase(arguments) => arguments.run().await?,
        Command::Check { rollups, audit, after } => {
            return Ok(check(&Thoroughness { rollups, audit, audit_after: after }).await);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn render(format: DocumentFormat) -> String {
    match format {
        DocumentFormat::Json => app::document().to_json(),
        DocumentFormat::Yaml => app::document().to_yaml(),
        DocumentFormat::Asyncapi => asyncapi::document().to_yaml(),
        DocumentFormat::Roles => policy_table::markdown(),
    }
}

async fn web() -> anyhow::Result<()> {
    let mut env_vars = EnvVars::from_process();
    let config = WebConfig::read(&mut env_vars);
    let config = env_vars.finish(config)?;
    let telemetry = telemetry::start(&config.telemetry, "psp-web")?;
    let served = app::serve(&config, Arc::new(SystemClock)).await;
    telemetry.finish().await;
    Ok(served?)
}

async fn migrate_database() -> anyhow::Result<()> {
    let mut env_vars = EnvVars::from_process();
    let settings = ServersConfig::read_database(&mut env_vars);
    let telemetry = TelemetryConfig::read(&mut env_vars);
    let (settings, telemetry) = env_vars.finish(settings.zip(telemetry))?;
    let telemetry = telemetry::start(&telemetry, "psp-migrate")?;
    let pool = connect(&settings).await?;
    let mut progress = has_bars().then(|| Progress::start("migrations"));
    migrate_reporting(&pool, |step| report_migration(progress.as_mut(), step)).await?;
    drop(progress);
    tracing::info!("all migrations are applied");
    telemetry.finish().await;
    Ok(())
}

/// A bar, or a log line: the release phase of a host has no terminal.
fn report_migration(progress: Option<&mut Progress>, step: MigrationStep<'_>) {
    let MigrationStep { applied, missing, next } = step;
    let next = next.unwrap_or("done");
    match progress {
        Some(progress) => progress.set(applied as u64, Some(missing as u64), next),
        None if applied < missing => tracing::info!(applied, missing, next, "applying a migration"),
        None => {}
    }
}
