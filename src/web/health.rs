//! Whether the process lives, and whether what it needs does.

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

/// A server that has not answered by then is down.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum HealthStatus {
    /// Everything is there.
    Healthy,
    /// It serves, but Redis, the workers or the scheduler are missing: what is shown grows old.
    Degraded,
    /// The database is away: it cannot serve.
    Unhealthy,
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum ServerStatus {
    /// It answers.
    Ok,
    /// It does not.
    Down,
}

/// Whether a key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum AuthStatus {
    /// It is.
    Required,
    /// Anybody may do anything.
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
    /// How many were seen lately.
    alive: u64,
}

/// The processes that enqueue what is due.
#[derive(Debug, Clone, Object)]
struct Scheduler {
    /// Whether one was seen lately.
    alive: bool,
}

/// How the service is.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Health {
    /// In a word.
    status: HealthStatus,
    /// Which service it is.
    service: String,
    /// Which version of it.
    version: String,
    /// Whether a key is asked for.
    auth: AuthStatus,
    /// The servers it needs.
    services: Servers,
    /// The processes that run jobs.
    workers: Workers,
    /// The processes that enqueue what is due.
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

/// Whether it lives.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Liveness {
    /// Always `alive`, for what is dead does not answer.
    status: String,
}

impl Example for Liveness {
    fn example() -> Self {
        Self { status: "alive".to_owned() }
    }
}

/// Whether it can do all of its work.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Readiness {
    /// Whether every server it needs answers.
    ready: bool,
    /// The servers it needs.
    services: Servers,
}

impl Example for Readiness {
    fn example() -> Self {
        Self { ready: true, services: Servers { database: ServerStatus::Ok, redis: ServerStatus::Ok } }
    }
}

/// How the service is, with a status that load balancers understand.
#[derive(ApiResponse)]
enum HealthAnswer {
    /// It serves.
    #[oai(status = 200)]
    Serves(Json<Health>),
    /// The database is away: it cannot serve.
    #[oai(status = 503)]
    Away(Json<Health>),
}

/// Whether it is ready, with a status that load balancers understand.
#[derive(ApiResponse)]
enum ReadinessAnswer {
    /// Every server it needs answers.
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// The database or Redis is away.
    #[oai(status = 503)]
    NotReady(Json<Readiness>),
}

/// The endpoints.
pub(in crate::web) struct HealthApi;

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Tell how the service is
    ///
    /// `degraded` where it serves but Redis, the workers or the scheduler are missing; `unhealthy`, with status 503, where
    /// the database is away. Needs no key.
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

    /// Tell whether the process lives
    ///
    /// Asks nobody else, so that a database that is away restarts no process. Needs no key.
    #[oai(path = "/health/live", method = "get", operation_id = "getLiveness")]
    #[expect(clippy::unused_async, reason = "poem-openapi calls every operation so")]
    async fn live(&self) -> Json<Liveness> {
        Json(Liveness::example())
    }

    /// Tell whether the service is ready
    ///
    /// Status 503 where the database or Redis is away. Needs no key.
    #[oai(path = "/health/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(&self, state: Data<&Arc<State>>) -> ReadinessAnswer {
        let services = ask_servers(&state).await;
        let ready = services.database == ServerStatus::Ok && services.redis == ServerStatus::Ok;
        let readiness = Json(Readiness { ready, services });
        if ready { ReadinessAnswer::Ready(readiness) } else { ReadinessAnswer::NotReady(readiness) }
    }
}

async fn ask_servers(state: &State) -> Servers {
    let (database, redis) = tokio::join!(answers(crate::db::pool::ping(&state.pool)), answers(state.redis.ping()));
    Servers { database, redis }
}

async fn answers<E>(question: impl Future<Output = Result<(), E>>) -> ServerStatus {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(())) => ServerStatus::Ok,
        Ok(Err(_)) | Err(_) => ServerStatus::Down,
    }
}

/// Nobody is known to be alive where the database cannot be asked.
async fn count_alive(state: &State) -> AliveProcesses {
    let counted = tokio::time::timeout(PATIENCE, processes::count_alive(&state.pool, PROCESS_TIMEOUT)).await;
    counted.ok().and_then(Result::ok).unwrap_or_default()
}
