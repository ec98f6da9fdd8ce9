//! Health of the process and of the servers it needs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::http::openapi::Tag;
use super::state::{PROCESS_TIMEOUT, State};
use crate::db::jobs::processes;
use crate::db::jobs::processes::AliveProcesses;

/// A server that takes longer to respond is down.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The health of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum HealthStatus {
    /// Everything is available.
    Healthy,
    /// Requests are served, but Redis, the workers or the scheduler are unavailable, so data becomes outdated.
    Degraded,
    /// The database is unavailable, so requests cannot be served.
    Unhealthy,
}

/// The state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum ServerStatus {
    /// It responds.
    Ok,
    /// It does not respond.
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
}

impl Health {
    fn of(auth: AuthStatus, services: Servers, alive: AliveProcesses) -> Self {
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
        }
    }
}

impl Example for Health {
    fn example() -> Self {
        let services = Servers { database: ServerStatus::Ok, redis: ServerStatus::Ok };
        Self::of(AuthStatus::Required, services, AliveProcesses { workers: 2, schedulers: 1 })
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
    /// Whether every server it needs responds.
    ready: bool,
    /// The servers it needs.
    services: Servers,
}

impl Example for Readiness {
    fn example() -> Self {
        Self { ready: true, services: Servers { database: ServerStatus::Ok, redis: ServerStatus::Ok } }
    }
}

#[derive(ApiResponse)]
enum HealthAnswer {
    /// Requests are served.
    #[oai(status = 200)]
    Serves(Json<Health>),
    /// The database is unavailable, so requests cannot be served.
    #[oai(status = 503)]
    Away(Json<Health>),
}

#[derive(ApiResponse)]
enum ReadinessAnswer {
    /// Every server it needs responds.
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// The database or Redis is unavailable.
    #[oai(status = 503)]
    NotReady(Json<Readiness>),
}

pub(in crate::web) struct HealthApi;

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Get the health of the service
    ///
    /// `degraded` if Redis, the workers or the scheduler are unavailable; `unhealthy`, with status 503, if the database is
    /// unavailable. Needs no key.
    #[oai(path = "/health", method = "get", operation_id = "getHealth")]
    async fn health(&self, state: Data<&Arc<State>>) -> HealthAnswer {
        let (services, alive) = tokio::join!(ask_servers(&state), count_alive(&state));
        let auth = if state.access.is_open() { AuthStatus::Off } else { AuthStatus::Required };
        let health = Health::of(auth, services, alive);
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
    /// Status 503 if the database or Redis is unavailable. Needs no key.
    #[oai(path = "/health/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(&self, state: Data<&Arc<State>>) -> ReadinessAnswer {
        let services = ask_servers(&state).await;
        let ready = services.database == ServerStatus::Ok && services.redis == ServerStatus::Ok;
        let readiness = Json(Readiness { ready, services });
        if ready { ReadinessAnswer::Ready(readiness) } else { ReadinessAnswer::NotReady(readiness) }
    }
}

async fn ask_servers(state: &State) -> Servers {
    let (database, redis) =
        tokio::join!(answers(crate::db::pool::ping(&state.access_pool)), answers(state.redis.ping()));
    Servers { database, redis }
}

async fn answers<E>(question: impl Future<Output = Result<(), E>>) -> ServerStatus {
    match tokio::time::timeout(TIMEOUT, question).await {
        Ok(Ok(())) => ServerStatus::Ok,
        Ok(Err(_)) | Err(_) => ServerStatus::Down,
    }
}

/// Zero if the database is unavailable.
async fn count_alive(state: &State) -> AliveProcesses {
    let counted = tokio::time::timeout(TIMEOUT, processes::count_alive(&state.access_pool, PROCESS_TIMEOUT)).await;
    counted.ok().and_then(Result::ok).unwrap_or_default()
}
