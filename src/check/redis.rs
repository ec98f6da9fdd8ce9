//! Whether Redis can be used as it is set up.

use super::finding::Finding;
use crate::config::ServersConfig;
use crate::db::installation;
use crate::db::pool::{DatabaseSettings, connect};
use crate::db::process_connections::{Process, smallest_deployment};
use crate::redis::Redis;

/// The oldest major version whose scripts may write after they have read the clock, and that has TLS.
const MIN_REDIS: u32 = 6;

pub(super) async fn check_redis(servers: &ServersConfig) -> Vec<Finding> {
    let redis = match Redis::connect(&servers.redis).await {
        Ok(redis) => redis,
        Err(error) => return vec![Finding::Failed(format!("redis: {error}"))],
    };
    let policy = match redis.find_eviction_policy().await {
        Ok(Some(policy)) if policy == "noeviction" => Finding::Ok("redis: maxmemory-policy is noeviction".to_owned()),
        Ok(Some(policy)) => Finding::Warning(format!(
            "redis: maxmemory-policy is {policy}, so a full server deletes queues; set it to noeviction"
        )),
        Ok(None) => Finding::Warning("redis: maxmemory-policy is not reported; it must be noeviction".to_owned()),
        Err(error) => Finding::Warning(format!("redis: maxmemory-policy is unknown ({error})")),
    };
    let connections = check_connections(redis.find_max_connections().await.ok().flatten());
    let version = check_version(redis.find_version().await.ok().flatten());
    vec![check_namespace(&redis, &servers.database).await, version, policy, connections]
}

fn check_version(found: Option<String>) -> Finding {
    let Some(version) = found else {
        return Finding::Warning(format!("redis: of an unknown version; {MIN_REDIS} or later is needed"));
    };
    match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major < MIN_REDIS => {
            Finding::Failed(format!("redis: Redis {version} is too old; {MIN_REDIS} or later is needed"))
        }
        _ => Finding::Ok(format!("redis: Redis {version}")),
    }
}

/// A process has one connection, and another one if it receives messages.
fn connections(process: Process) -> u32 {
    match process {
        Process::Web | Process::Worker => 2,
        Process::Isolated | Process::Scheduler | Process::Command => 1,
    }
}

/// Compares the connections of one process of each kind with what the server allows. During a deployment there are two of each.
fn check_connections(allowed: Option<u32>) -> Finding {
    let used: u32 = smallest_deployment().into_iter().map(|(process, number)| number * connections(process)).sum();
    let (used_by, most) = (format!("redis: one deployment uses at most {used} connections"), used * 2);
    match allowed {
        Some(allowed) if allowed < most => Finding::Warning(format!(
            "{used_by}, and {most} while a release replaces another, but Redis allows only {allowed}; choose a larger plan, or \
             raise maxclients"
        )),
        Some(allowed) => Finding::Ok(format!("{used_by}; Redis allows {allowed}")),
        // Small plans limit connections without reporting it.
        None => Finding::Ok(format!("{used_by}; Redis does not report how many it allows")),
    }
}

/// Without the database it is unknown which installation this is.
async fn check_namespace(redis: &Redis, database: &DatabaseSettings) -> Finding {
    let installation = match connect(database).await {
        Ok(pool) => installation::get_id(&pool).await.ok(),
        Err(_) => None,
    };
    let checked = match installation {
        Some(installation) => redis.claim_namespace(&installation).await,
        None => redis.check_writable().await,
    };
    match checked {
        Ok(()) => {
            Finding::Ok("redis: reachable, accepts writes, and no other installation uses REDIS_NAMESPACE".to_owned())
        }
        Err(error) => Finding::Failed(format!("redis: {error}")),
    }
}
