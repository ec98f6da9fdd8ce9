//! `psp`: the web process and the operator's commands.
//!
//! Every command reads only the settings that it needs, and reports an error once, on standard error.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Parser, Subcommand, ValueEnum};
use psp_dashboard::check::{Thoroughness, check};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::config::{EnvVars, ServersConfig, TelemetryConfig, WebConfig};
use psp_dashboard::db::access::api_keys;
use psp_dashboard::db::migrate::migrate;
use psp_dashboard::db::pool::connect;
use psp_dashboard::domain::access::Role;
use psp_dashboard::operations::issue_key::issue_key;
use psp_dashboard::operations::verify_audit::AuditPosition;
use psp_dashboard::telemetry;
use psp_dashboard::web::app;
use sqlx::PgPool;
use uuid::Uuid;

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
    /// Print the OpenAPI document
    Openapi {
        #[arg(long, value_enum, default_value_t = DocumentFormat::Json)]
        format: DocumentFormat,
    },
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(KeysCommand),
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
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Create a key and print it; it cannot be shown again
    Create {
        /// The owner of the key
        #[arg(long)]
        name: String,
        /// viewer, operator or admin
        #[arg(long, value_parser = parse_role)]
        role: Role,
    },
    /// List active keys
    List,
    /// Revoke a key
    Revoke {
        /// The id, as shown by `psp keys list`
        id: Uuid,
    },
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
        Command::Keys(command) => manage_keys(command).await?,
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
    }
}

async fn web() -> anyhow::Result<()> {
    let mut env_vars = EnvVars::from_process();
    let config = WebConfig::read(&mut env_vars);
    let config = env_vars.finish(config)?;
    telemetry::start(&config.telemetry)?;
    app::serve(&config, Arc::new(SystemClock)).await?;
    Ok(())
}

async fn migrate_database() -> anyhow::Result<()> {
    let mut env_vars = EnvVars::from_process();
    let settings = ServersConfig::read_database(&mut env_vars);
    let telemetry = TelemetryConfig::read(&mut env_vars);
    let (settings, telemetry) = env_vars.finish(settings.zip(telemetry))?;
    telemetry::start(&telemetry)?;
    migrate(&connect(&settings).await?).await?;
    tracing::info!("all migrations are applied");
    Ok(())
}

async fn manage_keys(command: KeysCommand) -> anyhow::Result<()> {
    let mut env_vars = EnvVars::from_process();
    let settings = ServersConfig::read_database(&mut env_vars);
    let pool = connect(&env_vars.finish(settings)?).await?;
    let now = SystemClock.now();
    match command {
        KeysCommand::Create { name, role } => create_key(&pool, name.trim(), role, now).await,
        KeysCommand::List => list_keys(&pool).await,
        KeysCommand::Revoke { id } => revoke_key(&pool, id, now).await,
    }
}

fn parse_role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| "must be viewer, operator or admin".to_owned())
}

/// Prints only the key to standard output, so that it can be piped into a secret store.
async fn create_key(pool: &PgPool, name: &str, role: Role, now: DateTime<Utc>) -> anyhow::Result<()> {
    if name.is_empty() {
        bail!("--name must not be empty: name the owner of the key");
    }
    let issued = issue_key(pool, name, role, now).await?;
    eprintln!("created the {} key {} for {name}; it cannot be shown again:", role.as_str(), issued.id);
    println!("{}", issued.key.expose());
    Ok(())
}

async fn list_keys(pool: &PgPool) -> anyhow::Result<()> {
    let format = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    println!("{:36}  {:8}  {:12}  {:20}  {:20}  name", "id", "role", "prefix", "created", "last used");
    for key in api_keys::list(pool).await? {
        let (role, created) = (key.role.as_str(), format(key.created_at));
        let last_used = key.last_used_at.map_or_else(|| "never".to_owned(), format);
        println!("{:36}  {role:8}  {:12}  {created:20}  {last_used:20}  {}", key.id, key.prefix, key.name);
    }
    Ok(())
}

async fn revoke_key(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> anyhow::Result<()> {
    if !api_keys::revoke(pool, id, now).await? {
        bail!("there is no active key {id}; see psp keys list");
    }
    eprintln!("revoked {id}; web processes reject it within seconds");
    Ok(())
}
