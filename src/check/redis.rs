//! Whether Redis can be used as it is set up.

use std::collections::BTreeSet;

use super::finding::Finding;
use crate::config::ServersConfig;
use crate::db::installation;
use crate::db::pool::connect;
use crate::db::process_connections::{Process, smallest_deployment};
use crate::db::settings::DatabaseSettings;
use crate::redis::Redis;
use crate::redis::address::RedisAddress;
use crate::redis::sentinels::{SentinelAnswer, ask_each};

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
    let namespace = check_namespace(&redis, &servers.database).await;
    let sentinels = match &servers.redis.address {
        RedisAddress::Sentinels(address) => Some(match ask_each(address).await {
            Ok(answers) => check_sentinels(&answers),
            Err(error) => Finding::Failed(format!("redis: sentinels: {error}")),
        }),
        RedisAddress::Server(_) => None,
    };
    [namespace, version, policy, connections].into_iter().chain(sentinels).collect()
}

/// All have to name one primary. Fewer than three in all cannot agree on a failover when one is away.
fn check_sentinels(answers: &[SentinelAnswer]) -> Finding {
    let mut primaries = BTreeSet::new();
    let mut problems = Vec::new();
    for SentinelAnswer { sentinel, primary } in answers {
        match primary {
            Ok(Some(primary)) => drop(primaries.insert(primary)),
            Ok(None) => problems.push(format!("{sentinel} does not know the service")),
            Err(error) => problems.push(format!("{sentinel} does not answer ({error})")),
        }
    }
    let named = primaries.iter().map(|primary| primary.as_str()).collect::<Vec<_>>().join(" and ");
    if primaries.len() > 1 {
        problems.push(format!("they name {named} as the primary; during a failover that is so for seconds"));
    }
    if answers.len() < 3 {
        problems.push("REDIS_URL names fewer than three; name all of them".to_owned());
    }
    if problems.is_empty() {
        Finding::Ok(format!("redis: {} sentinels name {named} as the primary", answers.len()))
    } else {
        Finding::Warning(format!("redis: sentinels: {}", problems.join("; ")))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(primary: Option<&str>) -> SentinelAnswer {
        SentinelAnswer { sentinel: "10.0.0.1:26379".to_owned(), primary: Ok(primary.map(str::to_owned)) }
    }

    fn silent() -> SentinelAnswer {
        let error = redis::RedisError::from((redis::ErrorKind::Io, "refused"));
        SentinelAnswer { sentinel: "10.0.0.2:26379".to_owned(), primary: Err(error) }
    }

    #[test]
    fn sentinels_are_in_order_only_if_three_name_one_primary() {
        for (answers, warning) in [
            (vec![answer(Some("a:1")), answer(Some("a:1")), answer(Some("a:1"))], None),
            (vec![answer(Some("a:1")), answer(Some("b:1")), answer(Some("a:1"))], Some("a:1 and b:1")),
            (vec![answer(Some("a:1")), silent(), answer(Some("a:1"))], Some("10.0.0.2:26379 does not answer")),
            (vec![answer(Some("a:1")), answer(None), answer(Some("a:1"))], Some("does not know the service")),
            (vec![answer(Some("a:1"))], Some("name all of them")),
        ] {
            match (check_sentinels(&answers), warning) {
                (Finding::Ok(text), None) => assert!(text.contains("3 sentinels name a:1"), "{text}"),
                (Finding::Warning(text), Some(part)) => assert!(text.contains(part), "{text}"),
                (Finding::Ok(text) | Finding::Warning(text) | Finding::Failed(text), _) => panic!("{text}"),
            }
        }
    }
}
