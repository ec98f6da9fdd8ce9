//! Records that a process is alive, and what it is.

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::jobs::processes::{self, Heartbeat, ProcessRole};

/// `slots` is how many jobs a worker runs at a time.
pub async fn send_heartbeat(
    pool: &PgPool,
    name: &str,
    role: ProcessRole,
    queues: &[String],
    slots: Option<u32>,
) -> Result<(), DbError> {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let version = env!("CARGO_PKG_VERSION");
    processes::upsert(pool, &Heartbeat { name, role, queues, slots, host: &host, version }).await
}
