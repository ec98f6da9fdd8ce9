//! Health of the process and of the servers it needs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http::openapi::Tag;
use super::state::State;
use crate::db::DbError;
use crate::db::jobs::processes;
use crate::db::jobs::processes::{AliveProcesses, PROCESS_TIMEOUT};
use crate::db::writable::check_writable;
use crate::redis::RedisError;

/// A server that takes longer to respond is down.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the result of the checks is used.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The health of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum HealthStatus {
    /// Everything is available.
    Healthy,
    /// Requests are served, but Redis, the workers or the scheduler are unavailable, so data becomes outdated.
    Degraded,
    /// The database is unavailable or refuses writes, so requests cannot be served.
    Unhealthy,
}

/// The state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum ServerStatus {
    /// It responds, and accepts writes.
    Ok,
    /// It does not respond, or refuses writes.
    Down,
}

/// Whether requests need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum AuthStatus {
    /// They do.
    Required,
    /// Every request has the role admin.
    Off,
}

/// The servers it needs.
#[derive(Debug, Clone, Object)]
struct Servers {
    /// PostgreSQL.
    database: ServerStatus,
    /// Redis.
    redis: ServerStatus,
}

/// The processes that run jobs.
#[derive(Debug, Clone, Object)]
struct Workers {
    /// The number of workers that sent a heartbeat in the last 30 seconds.
    alive: u64,
}

/// The processes that enqueue due jobs.
#[derive(Debug, Clone, Object)]
struct Scheduler {
    /// Whether a scheduler sent a heartbeat in the last 30 seconds.
    alive: bool,
}

/// The health of the service.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Health {
    /// The health of the service.
    status: HealthStatus,
    /// The name of the service.
    service: String,
    /// The version of the service.
    version: String,
    /// Whether requests need a key.
    auth: AuthStatus,
    /// The servers it needs.
    services: Servers,
    /// The processes that run jobs.
    workers: Workers,
    /// The processes that enqueue due jobs.
    scheduler: Scheduler,
    /// What is wrong, and what to do about it; empty if everything is available.
    problems: Vec<String>,
}

impl Health {
    fn of(auth: AuthStatus, servers: ServerChecks, alive: AliveProcesses) -> Self {
        let ServerChecks { services, mut problems } = servers;
        if services.database == ServerStatus::Ok {
            if alive.workers == 0 {
                problems.push("no worker is alive: start psp-jobs worker".to_owned());
            }
            if alive.schedulers == 0 {
                problems.push("no scheduler is alive: start psp-jobs scheduler".to_owned());
            }
        }
        let complete = services.redis == ServerStatus::Ok && alive.workers > 0 && alive.schedulers > 0;
        let status = match services.database {
            ServerStatus::Down => HealthStatus::Unhealthy,
            ServerStatus::Ok if complete => HealthStatus::Healthy,
            ServerStatus::Ok => HealthStatus::Degraded,
        };
        Self {
            status,
            service: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            auth,
            services,
            workers: Workers { alive: alive.workers },
            scheduler: Scheduler { alive: alive.schedulers > 0 },
            problems,
        }
    }
}

impl Example for Health {
    fn example() -> Self {
        let servers = ServerChecks::new(None, None);
        Self::of(AuthStatus::Required, servers, AliveProcesses { workers: 2, schedulers: 1 })
    }
}

/// The process is alive.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Liveness {
    /// Always `alive`.
    status: String,
}

impl Example for Liveness {
    fn example() -> Self {
        Self { status: "alive".to_owned() }
    }
}

/// Whether the service is ready.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Readiness {
    /// Whether every server it needs responds and accepts writes.
    ready: bool,
    /// The servers it needs.
    services: Servers,
    /// What is wrong, and what to do about it; empty if it is ready.
    problems: Vec<String>,
}

impl Readiness {
    fn of(ServerChecks { services, problems }: ServerChecks) -> Self {
        Self { ready: problems.is_empty(), services, problems }
    }
}

impl Example for Readiness {
    fn example() -> Self {
        Self::of(ServerChecks::new(None, None))
    }
}

#[derive(ApiResponse)]
enum HealthAnswer {
    /// Requests are served.
    #[oai(status = 200)]
    Serves(Json<Health>),
    /// The database is unavailable or refuses writes, so requests cannot be served.
    #[oai(status = 503)]
    Away(Json<Health>),
}

#[derive(ApiResponse)]
enum ReadinessAnswer {
    /// Every server it needs responds and accepts writes.
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// The database or Redis is unavailable or refuses writes.
    #[oai(status = 503)]
    NotReady(Json<Readiness>),
}

/// Shares the checks of all requests of a second: anyone may send them, and the database connections for them are few.
#[derive(Default)]
pub(in crate::web) struct HealthApi {
    last: Mutex<Option<(Instant, Checks)>>,
}

/// What health and readiness follow from.
#[derive(Debug, Clone)]
struct Checks {
    servers: ServerChecks,
    alive: AliveProcesses,
}

impl HealthApi {
    async fn check(&self, state: &State) -> Checks {
        let mut last = self.last.lock().await;
        if let Some((_, checks)) = last.as_ref().filter(|(at, _)| at.elapsed() < MAX_AGE) {
            return checks.clone();
        }
        let (servers, alive) = tokio::join!(check_servers(state), count_alive(state));
        let checks = Checks { servers, alive };
        *last = Some((Instant::now(), checks.clone()));
        checks
    }
}

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Get the health of the service
    ///
    /// `degraded` if Redis, the workers or the scheduler are unavailable; `unhealthy`, with status 503, if the database is
    /// unavailable. A server that refuses writes counts as unavailable: a read-only standby after a failover, a full disk.
    /// `problems` says what to do. Needs no key.
    #[oai(path = "/health", method = "get", operation_id = "getHealth")]
    async fn health(&self, state: Data<&Arc<State>>) -> HealthAnswer {
        let Checks { servers, alive } = self.check(&state).await;
        let auth = if state.access.is_open() { AuthStatus::Off } else { AuthStatus::Required };
        let health = Health::of(auth, servers, alive);
        match health.services.database {
            ServerStatus::Ok => HealthAnswer::Serves(Json(health)),
            ServerStatus::Down => HealthAnswer::Away(Json(health)),
        }
    }

    /// Check whether the process is alive
    ///
    /// Does not depend on any server, so that an unavailable database does not restart processes. Needs no key.
    #[oai(path = "/health/live", method = "get", operation_id = "getLiveness")]
    #[expect(clippy::unused_async, reason = "poem-openapi requires async operations")]
    async fn live(&self) -> Json<Liveness> {
        Json(Liveness::example())
    }

    /// Check whether the service is ready
    ///
    /// Status 503 if the database or Redis is unavailable or refuses writes. Needs no key.
    #[oai(path = "/health/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(&self, state: Data<&Arc<State>>) -> ReadinessAnswer {
        let readiness = Readiness::of(self.check(&state).await.servers);
        if readiness.ready {
            ReadinessAnswer::Ready(Json(readiness))
        } else {
            ReadinessAnswer::NotReady(Json(readiness))
        }
    }
}

/// The state of the servers, with what is wrong.
#[derive(Debug, Clone)]
struct ServerChecks {
    services: Servers,
    problems: Vec<String>,
}

impl ServerChecks {
    /// From the problem of each server, if it has one.
    fn new(database: Option<String>, redis: Option<String>) -> Self {
        let status = |problem: &Option<String>| if problem.is_none() { ServerStatus::Ok } else { ServerStatus::Down };
        let services = Servers { database: status(&database), redis: status(&redis) };
        Self { services, problems: database.into_iter().chain(redis).collect() }
    }
}

async fn check_servers(state: &State) -> ServerChecks {
    let (database, redis) = tokio::join!(
        find_problem(check_writable(&state.access_pool), "PostgreSQL does not respond", database_problem),
        find_problem(state.redis.claim_namespace(&state.installation), "Redis does not respond", RedisError::advice),
    );
    ServerChecks::new(database, redis)
}

/// Anyone may read the health, so it leaves the details of an error out.
async fn find_problem<E: std::fmt::Display>(
    check: impl Future<Output = Result<(), E>>,
    silence: &str,
    describe: impl Fn(&E) -> String,
) -> Option<String> {
    match tokio::time::timeout(TIMEOUT, check).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a server failed its health check");
            Some(describe(&error))
        }
        Err(_) => Some(format!("{silence}: check that it runs and is not overloaded")),
    }
}

fn database_problem(error: &DbError) -> String {
    error.unavailability().map_or_else(
        || "PostgreSQL does not execute a small write: look for what slows it in pg_stat_activity".to_owned(),
        |reason| format!("{}: {}", reason.problem(), reason.advice()),
    )
}

/// Zero if the database is unavailable.
async fn count_alive(state: &State) -> AliveProcesses {
    let counted = tokio::time::timeout(TIMEOUT, processes::count_alive(&state.access_pool, PROCESS_TIMEOUT)).await;
    counted.ok().and_then(Result::ok).unwrap_or_default()
}
