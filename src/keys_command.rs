//! `psp keys`: the command line of the operations that manage API keys.

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::config::{AccessConfig, EnvVars, ServersConfig};
use psp_dashboard::db::access::api_keys;
use psp_dashboard::db::pool::connect;
use psp_dashboard::domain::access::key::{AllowedNetworks, KeyEnvironment, KeyLifetime, KeyName, RotationOverlap};
use psp_dashboard::domain::access::{ProjectScope, Role};
use psp_dashboard::domain::entity_tag::Precondition;
use psp_dashboard::domain::network::Network;
use psp_dashboard::operations::api_keys::CreatedKey;
use psp_dashboard::operations::api_keys::create::{KeyRequest, create_key};
use psp_dashboard::operations::api_keys::revoke::{LastAdmin, revoke_key};
use psp_dashboard::operations::api_keys::rotate::rotate_key;
use psp_dashboard::operations::audit::AuditContext;
use sqlx::PgPool;
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key and print it; it cannot be shown again
    Create(NewKeyArguments),
    /// List the keys that were not revoked, without those of `API_KEYS`
    List,
    /// Replace a key by a new one with the same rights, and print it; both work until the overlap ends
    Rotate {
        /// The id, as shown by `psp keys list`
        id: Uuid,
        /// For how many hours the replaced key is still accepted
        #[arg(long, default_value = "24", value_parser = parse_overlap)]
        overlap_hours: RotationOverlap,
    },
    /// Revoke a key
    Revoke {
        /// The id, as shown by `psp keys list`
        id: Uuid,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewKeyArguments {
    /// The owner of the key
    #[arg(long)]
    name: KeyName,
    /// viewer, operator or admin
    #[arg(long, value_parser = parse_role)]
    role: Role,
    /// A project that the key may see; can be repeated; all without it
    #[arg(long = "project", value_parser = parse_project)]
    projects: Vec<String>,
    /// A network from which the key may be used, in CIDR notation; can be repeated; all without it
    #[arg(long = "network")]
    networks: Vec<Network>,
    /// In how many days the key expires; never without it
    #[arg(long, value_parser = parse_lifetime)]
    expires_in_days: Option<KeyLifetime>,
}

fn parse_role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| "must be viewer, operator or admin".to_owned())
}

/// An empty name, as from an unset variable of a script, must not create a key for all projects.
fn parse_project(name: &str) -> Result<String, String> {
    match name.trim() {
        "" => Err("must not be empty: leave it out for all projects".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn parse_lifetime(days: &str) -> Result<KeyLifetime, String> {
    KeyLifetime::from_days(days.parse().map_err(|_| "must be a whole number".to_owned())?)
}

fn parse_overlap(hours: &str) -> Result<RotationOverlap, String> {
    RotationOverlap::from_hours(hours.parse().map_err(|_| "must be a whole number".to_owned())?)
}

pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    let mut env_vars = EnvVars::from_process();
    let settings = ServersConfig::read_database(&mut env_vars);
    let environment = AccessConfig::read_key_environment(&mut env_vars);
    let (settings, environment) = env_vars.finish(settings.zip(environment))?;
    let pool = connect(&settings).await?;
    let now = SystemClock.now();
    match command {
        KeysCommand::Create(arguments) => create(&pool, environment, arguments, now).await,
        KeysCommand::List => list(&pool, now).await,
        KeysCommand::Rotate { id, overlap_hours } => {
            let rotated =
                rotate_key(&pool, environment, id, overlap_hours, &Precondition::None, &audit("psp keys rotate"), now)
                    .await?;
            eprintln!("replaced {id}, which is accepted until {}", format_time(rotated.replaced_until));
            print_key(&rotated.created);
            Ok(())
        }
        KeysCommand::Revoke { id } => {
            revoke_key(&pool, id, LastAdmin::MayEnd, &Precondition::None, &audit("psp keys revoke"), now).await?;
            eprintln!("revoked {id}; every process refuses it within 3 seconds");
            Ok(())
        }
    }
}

/// `command` is its name in the audit log.
fn audit(command: &'static str) -> AuditContext {
    AuditContext::of_command(EnvVars::from_process().os_user(), command)
}

async fn create(
    pool: &PgPool,
    environment: KeyEnvironment,
    arguments: NewKeyArguments,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let NewKeyArguments { name, role, projects, networks, expires_in_days: lifetime } = arguments;
    let networks = match AllowedNetworks::new(networks) {
        Ok(networks) => networks,
        Err(error) => bail!("--network {error}"),
    };
    let request = KeyRequest { name, role, scope: ProjectScope::new(Some(projects)), networks, lifetime };
    print_key(&create_key(pool, environment, &request, &audit("psp keys create"), now).await?);
    Ok(())
}

/// Prints only the key to standard output, so that it can be piped into a secret store.
fn print_key(created: &CreatedKey) {
    let (key, role) = (&created.issued, created.issued.role.as_str());
    eprintln!("created the {role} key {} for {}; it cannot be shown again:", key.id, key.name);
    println!("{}", created.key.expose());
}

async fn list(pool: &PgPool, now: DateTime<Utc>) -> anyhow::Result<()> {
    let row = |[id, role, prefix, created, last_used, expires, rest]: [&str; 7]| {
        println!("{id:36}  {role:8}  {prefix:17}  {created:20}  {last_used:20}  {expires:28}  {rest}");
    };
    row(["id", "role", "prefix", "created", "last used", "expires", "name (projects; networks)"]);
    for key in api_keys::list(pool).await? {
        let expires = match key.expires_at {
            None => "never".to_owned(),
            Some(time) if key.end(now).is_some() => format!("{} (expired)", format_time(time)),
            Some(time) => format_time(time),
        };
        let networks = key.networks.to_texts().map_or_else(|| "all networks".to_owned(), |texts| texts.join(", "));
        let last_used = key.last_used_at.map_or_else(|| "never".to_owned(), format_time);
        row([
            &key.id.to_string(),
            key.role.as_str(),
            &key.prefix,
            &format_time(key.created_at),
            &last_used,
            &expires,
            &format!("{} ({}; {networks})", key.name, key.scope),
        ]);
    }
    Ok(())
}

fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
