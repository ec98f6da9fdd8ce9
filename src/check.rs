//! Tries every setting and connection, and says what is wrong: all of it, not only the first (`psp check`).

use std::process::ExitCode;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use uuid::Uuid;

use crate::config::{EnvVars, ProvidersConfig, ServersConfig, WebConfig, WorkerConfig};
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::db::metrics::cells;
use crate::db::pool::{DatabaseSettings, SchemaState, connect, schema_state};
use crate::domain::transaction::Source;
use crate::objects::{ObjectError, ObjectFiles, ObjectSettings};
use crate::redis::Redis;
use crate::redis::connection::RedisSettings;

/// What was found.
enum Finding {
    Good(String),
    /// It works, but not as well as it should.
    Doubtful(String),
    Bad(String),
}

/// Tries everything, prints a line for each, and answers whether the programs could start. Where `rollups` are to be checked too,
/// the metrics are counted anew from all payments and compared, which takes a while.
pub async fn check(rollups: bool) -> ExitCode {
    let mut environment = EnvVars::of_process();
    let mut findings = vec![check_settings(), check_rates(&environment)];
    match ServersConfig::read(&mut environment) {
        Some(servers) => {
            findings.extend(check_database(&servers.database, &environment, rollups).await);
            findings.extend(check_redis(&servers.redis).await);
        }
        None => findings.push(Finding::Bad("servers: not tried, for their settings are at fault".to_owned())),
    }
    findings.extend(check_export_store().await);
    for finding in &findings {
        match finding {
            Finding::Good(told) => println!("ok    {told}"),
            Finding::Doubtful(told) => println!("warn  {told}"),
            Finding::Bad(told) => println!("FAIL  {told}"),
        }
    }
    let bad = findings.iter().any(|finding| matches!(finding, Finding::Bad(_)));
    if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn check_settings() -> Finding {
    let mut environment = EnvVars::of_process();
    let web = WebConfig::read(&mut environment);
    let providers = ProvidersConfig::read(&mut environment);
    let worker = WorkerConfig::read(&mut environment);
    match environment.finish(web.zip(providers).zip(worker)) {
        Ok(_) => Finding::Good("settings: every one can be read".to_owned()),
        Err(error) => Finding::Bad(format!("settings: {error}")),
    }
}

/// Writes a file to the store of exports, reads it and deletes it; nothing where the settings are at fault anyway.
async fn check_export_store() -> Option<Finding> {
    let mut environment = EnvVars::of_process();
    let Some(settings) = WebConfig::read(&mut environment)?.export_store else {
        return Some(Finding::Good("exported files: they are kept in the database".to_owned()));
    };
    Some(match try_store(&settings).await {
        Ok(()) => Finding::Good("exported files: EXPORT_STORE takes a file, gives it back and deletes it".to_owned()),
        Err(error) => Finding::Bad(format!("exported files: {error}")),
    })
}

async fn try_store(settings: &ObjectSettings) -> Result<(), ObjectError> {
    let (files, name) = (ObjectFiles::open(settings)?, format!("check-{}", Uuid::now_v7()));
    let mut file = files.create(&name);
    file.write(Bytes::from_static(b"check")).await?;
    file.finish().await?;
    let read: Vec<Bytes> = files.read(&name, 1..4).await?.try_collect().await?;
    files.delete(&name).await?;
    if read.concat() == b"hec" { Ok(()) } else { Err(std::io::Error::other("it gives back something else").into()) }
}

fn check_rates(environment: &EnvVars) -> Finding {
    match environment.text("FX_RATES_URL") {
        Some(_) => Finding::Good("exchange rates: they are fetched from FX_RATES_URL".to_owned()),
        None => Finding::Doubtful(
            "exchange rates: FX_RATES_URL is not set, so US dollars are known only where a record brings its rate"
                .to_owned(),
        ),
    }
}

async fn check_database(settings: &DatabaseSettings, environment: &EnvVars, rollups: bool) -> Vec<Finding> {
    let pool = match connect(settings).await {
        Ok(pool) => pool,
        Err(error) => return vec![Finding::Bad(format!("database: {error}"))],
    };
    let schema = match schema_state(&pool).await {
        Ok(SchemaState::Ready) => Finding::Good("schema: every migration is applied".to_owned()),
        Ok(SchemaState::Behind(missing)) => {
            return vec![Finding::Bad(format!("schema: {missing} migrations are missing; run psp migrate"))];
        }
        Err(error) => return vec![Finding::Bad(format!("schema: {error}"))],
    };
    let keys = check_keys(api_keys::list(&pool).await.map(|keys| keys.len()), environment);
    let mut findings = vec![Finding::Good("database: it answers".to_owned()), schema, keys];
    if rollups {
        findings.push(check_rollups(&pool).await.unwrap_or_else(|error| Finding::Bad(format!("metrics: {error}"))));
    }
    findings
}

/// Syncs may go on meanwhile: each day of a source is counted and compared in one view of the database.
async fn check_rollups(pool: &PgPool) -> Result<Finding, DbError> {
    let mut connection = pool.acquire().await?;
    let days = cells::list_days(&mut connection).await?;
    let Some((first, last)) = days.first().zip(days.last()) else {
        return Ok(Finding::Good("metrics: there are no payments to count".to_owned()));
    };
    let mut odd = vec![];
    for day in &days {
        for source in Source::ALL {
            let cells = cells::count_mismatches(&mut connection, source, *day).await?;
            if cells > 0 {
                odd.push(format!("{cells} cells of {source} on {day}"));
            }
        }
    }
    Ok(if odd.is_empty() {
        Finding::Good(format!("metrics: from {first} to {last} they are what the payments make them"))
    } else {
        let told = odd.join(", ");
        Finding::Bad(format!(
            "metrics: {told} are not what the payments make them; run psp-jobs enqueue rebuild-rollups"
        ))
    })
}

fn check_keys(issued: Result<usize, DbError>, environment: &EnvVars) -> Finding {
    let configured = environment.text("API_KEYS").is_some();
    let open = environment.text("AUTH").as_deref() == Some("off");
    match issued {
        _ if open => Finding::Doubtful("keys: AUTH=off, so anybody may read and do everything".to_owned()),
        Ok(issued) if issued > 0 || configured => Finding::Good(format!("keys: {issued} issued, API_KEYS beside them")),
        Ok(_) => Finding::Bad("keys: there is none; set API_KEYS, or run psp keys create".to_owned()),
        Err(error) => Finding::Bad(format!("keys: {error}")),
    }
}

async fn check_redis(settings: &RedisSettings) -> Vec<Finding> {
    let redis = match Redis::connect(settings).await {
        Ok(redis) => redis,
        Err(error) => return vec![Finding::Bad(format!("redis: {error}"))],
    };
    let policy = match redis.find_eviction_policy().await {
        Ok(Some(policy)) if policy == "noeviction" => Finding::Good("redis: it evicts nothing".to_owned()),
        Ok(Some(policy)) => Finding::Doubtful(format!(
            "redis: maxmemory-policy is {policy}, so a full server drops queues; set it to noeviction"
        )),
        Ok(None) => Finding::Doubtful("redis: it does not say its maxmemory-policy; it must be noeviction".to_owned()),
        Err(error) => Finding::Doubtful(format!("redis: its maxmemory-policy is not known ({error})")),
    };
    vec![Finding::Good("redis: it answers".to_owned()), policy]
}
