//! `psp check`: tests every setting and connection and reports all problems, not only the first.

mod audit;
mod channels;
mod finding;
mod redis;
mod replicas;
mod rollups;
mod traces;
mod transport;
mod webhooks;

use std::process::ExitCode;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use uuid::Uuid;

use self::audit::check_audit;
use self::finding::Finding;
use crate::config::{
    AccessConfig, BootstrapKey, EnvVars, HttpConfig, ProvidersConfig, ServersConfig, WebConfig, WorkerConfig,
};
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::db::connection_limit;
use crate::db::migrate::{SchemaState, schema_state};
use crate::db::pool::connect;
use crate::db::process_connections::{Process, connections_of_deployment, smallest_deployment};
use crate::db::settings::DatabaseSettings;
use crate::db::writable::check_writable;
use crate::domain::loopback::is_loopback;
use crate::objects::{ObjectError, ObjectFiles, ObjectSettings};
use crate::operations::verify_audit::AuditPosition;

/// The oldest major version that has what migrations use (`SET COMPRESSION`).
const MIN_POSTGRES: u32 = 14;

/// What is verified only on request, because it reads all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thoroughness {
    /// Recomputes the metric rollups from all transactions and compares them.
    pub rollups: bool,
    /// Verifies the chain of the audit log.
    pub audit: bool,
    /// An earlier head of the audit log, which must be part of it.
    pub audit_after: Option<AuditPosition>,
}

/// Prints a line per finding; the exit code says whether the programs can start.
pub async fn check(thoroughness: &Thoroughness) -> ExitCode {
    let mut env_vars = EnvVars::from_process();
    let mut findings = vec![check_settings(), check_rates(&env_vars)];
    findings.extend(check_key_lengths());
    findings.extend(check_address());
    findings.extend(check_parameters());
    match ServersConfig::read(&mut env_vars) {
        Some(servers) => {
            findings.extend(check_database(&servers.database, &env_vars, thoroughness).await);
            findings.push(transport::check_database(&servers.database.options, "DATABASE_URL"));
            findings.extend(redis::check_redis(&servers).await);
            findings.push(transport::check_redis(&servers.redis));
        }
        None => findings.push(Finding::Failed("servers: not tested, because their settings are invalid".to_owned())),
    }
    findings.extend(check_export_store().await);
    findings.extend(traces::check_traces().await);
    findings.extend(channels::check_channels().await);
    for finding in &findings {
        match finding {
            Finding::Ok(message) => println!("ok    {message}"),
            Finding::Warning(message) => println!("warn  {message}"),
            Finding::Failed(message) => println!("FAIL  {message}"),
        }
    }
    let bad = findings.iter().any(|finding| matches!(finding, Finding::Failed(_)));
    if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn check_settings() -> Finding {
    let mut env_vars = EnvVars::from_process();
    let web = WebConfig::read(&mut env_vars);
    let providers = ProvidersConfig::read(&mut env_vars);
    let worker = WorkerConfig::read(&mut env_vars);
    match env_vars.finish(web.zip(providers).zip(worker)) {
        Ok(_) => Finding::Ok("settings: all are valid".to_owned()),
        Err(error) => Finding::Failed(format!("settings: {error}")),
    }
}

fn check_key_lengths() -> Option<Finding> {
    let access = AccessConfig::read(&mut EnvVars::from_process())?;
    let short: Vec<String> = access.keys.into_iter().filter(BootstrapKey::is_short).map(|key| key.name).collect();
    (!short.is_empty()).then(|| {
        let names = short.join(", ");
        Finding::Warning(format!(
            "keys: these of API_KEYS have fewer than 32 characters: {names}; replace them by longer ones"
        ))
    })
}

/// `None` if they are refused, as they should be.
fn check_parameters() -> Option<Finding> {
    let http = HttpConfig::read(&mut EnvVars::from_process())?;
    http.lenient_parameters.then(|| {
        Finding::Warning(
            "parameters: LENIENT_PARAMETERS=true, so a misspelt filter is ignored; remove it once X-Ignored-Parameters is in no \
             response"
                .to_owned(),
        )
    })
}

/// `None` if the settings are invalid anyway.
fn check_address() -> Option<Finding> {
    let WebConfig { host, port, .. } = WebConfig::read(&mut EnvVars::from_process())?;
    Some(if is_loopback(&host) {
        Finding::Warning(format!(
            "address: psp web listens on {host}:{port}, which only this machine reaches; hosts need HOST=0.0.0.0, the default \
             unless AUTH=off"
        ))
    } else {
        Finding::Ok(format!("address: psp web listens on {host}:{port}"))
    })
}

/// Writes, reads and deletes a file in the export store; `None` if the settings are invalid anyway.
async fn check_export_store() -> Option<Finding> {
    let mut env_vars = EnvVars::from_process();
    let Some(settings) = WebConfig::read(&mut env_vars)?.export_store else {
        return Some(Finding::Ok("export store: exported files are kept in the database".to_owned()));
    };
    Some(match try_store(&settings).await {
        Ok(()) => Finding::Ok("export store: a file was written, read and deleted in EXPORT_STORE".to_owned()),
        Err(error) => Finding::Failed(format!("export store: {error}")),
    })
}

async fn try_store(settings: &ObjectSettings) -> Result<(), ObjectError> {
    let (files, name) = (ObjectFiles::open(settings)?, format!("check-{}", Uuid::now_v7()));
    let mut file = files.create(&name);
    file.write(Bytes::from_static(b"check")).await?;
    file.finish().await?;
    let read: Vec<Bytes> = files.read(&name, 1..4).await?.try_collect().await?;
    files.delete(&name).await?;
    if read.concat() == b"hec" {
        Ok(())
    } else {
        Err(std::io::Error::other("the file that was read differs from the one written").into())
    }
}

fn check_rates(env_vars: &EnvVars) -> Finding {
    match env_vars.text("FX_RATES_URL") {
        Some(_) => Finding::Ok("exchange rates: fetched from FX_RATES_URL".to_owned()),
        None => Finding::Warning(
            "exchange rates: FX_RATES_URL is not set, so amount_usd is known only for records with their own rate"
                .to_owned(),
        ),
    }
}

async fn check_database(settings: &DatabaseSettings, env_vars: &EnvVars, thoroughness: &Thoroughness) -> Vec<Finding> {
    let pool = match connect(settings).await {
        Ok(pool) => pool,
        Err(error) => return vec![Finding::Failed(format!("database: {error}"))],
    };
    let schema = match schema_state(&pool).await {
        Ok(SchemaState::Ready) => Finding::Ok("schema: all migrations are applied".to_owned()),
        Ok(SchemaState::Behind(missing)) => {
            return vec![Finding::Failed(format!("schema: {missing} migrations are not applied; run psp migrate"))];
        }
        Err(error) => return vec![Finding::Failed(format!("schema: {error}"))],
    };
    let keys = check_keys(api_keys::count_accepted(&pool).await, env_vars);
    let connections = check_connections(connection_limit::get(&pool).await, settings.max_connections);
    let writable = match check_writable(&pool).await {
        Ok(()) => Finding::Ok("database: reachable, and accepts writes".to_owned()),
        Err(error) => Finding::Failed(format!("database: {error}")),
    };
    let mut findings = vec![writable, check_version(&pool).await, schema, connections, keys];
    findings.extend(webhooks::check_webhooks(&pool).await);
    findings.extend(replicas::check_replicas(pool.clone(), settings).await);
    if thoroughness.rollups {
        findings.push(
            rollups::check_rollups(&pool).await.unwrap_or_else(|error| Finding::Failed(format!("metrics: {error}"))),
        );
    }
    if thoroughness.audit {
        findings.push(check_audit(&pool, thoroughness.audit_after.as_ref()).await);
    }
    findings
}

async fn check_version(pool: &PgPool) -> Finding {
    let version = match pool.acquire().await {
        Ok(connection) => connection.server_version_num(),
        Err(error) => return Finding::Failed(format!("database: {}", DbError::from(error))),
    };
    match version {
        Some(version) if version < MIN_POSTGRES * 10_000 => Finding::Failed(format!(
            "database: PostgreSQL {} is too old; {MIN_POSTGRES} or later is needed",
            version / 10_000
        )),
        Some(version) => Finding::Ok(format!("database: PostgreSQL {}.{}", version / 10_000, version % 10_000)),
        None => {
            Finding::Warning(format!("database: PostgreSQL of an unknown version; {MIN_POSTGRES} or later is needed"))
        }
    }
}

/// Adds up the connections of one process of each kind, and compares them with what the server allows.
fn check_connections(allowed: Result<u32, DbError>, setting: Option<u32>) -> Finding {
    let processes = smallest_deployment();
    let too_few = |process: &Process| process.max_connections(setting) < process.min_connections();
    if let Some((process, _)) = processes.iter().find(|(process, _)| too_few(process)) {
        let (name, needed) = (process.name(), process.min_connections());
        return Finding::Failed(format!(
            "connections: {name} needs at least {needed}; raise DATABASE_MAX_CONNECTIONS, or remove it for the default"
        ));
    }
    let parts =
        processes.map(|(process, number)| format!("{number} {} {}", process.name(), process.max_connections(setting)));
    let (used, parts) = (connections_of_deployment(setting), parts.join(", "));
    let used_by =
        format!("connections: one deployment uses at most {used} (number, process, connections of each: {parts})");
    match allowed {
        Ok(allowed) if used <= allowed => Finding::Ok(format!("{used_by}; PostgreSQL allows {allowed}")),
        Ok(allowed) => Finding::Warning(format!(
            "{used_by}, but PostgreSQL allows only {allowed}; lower DATABASE_MAX_CONNECTIONS, or raise the limit of the server, \
             the database or the role"
        )),
        Err(error) => Finding::Warning(format!("{used_by}; what PostgreSQL allows is unknown ({error})")),
    }
}

fn check_keys(issued: Result<i64, DbError>, env_vars: &EnvVars) -> Finding {
    let configured = env_vars.text("API_KEYS").is_some();
    let open = env_vars.text("AUTH").as_deref() == Some("off");
    match issued {
        _ if open => Finding::Warning("keys: AUTH=off, so everyone has full access".to_owned()),
        Ok(issued) if issued > 0 || configured => {
            Finding::Ok(format!("keys: {issued} issued, besides those of API_KEYS"))
        }
        Ok(_) if env_vars.text("OIDC_ISSUER").is_some() => {
            Finding::Ok("keys: there are none; people sign in at OIDC_ISSUER".to_owned())
        }
        Ok(_) => Finding::Failed("keys: there are none; set API_KEYS, or run psp keys create".to_owned()),
        Err(error) => Finding::Failed(format!("keys: {error}")),
    }
}
