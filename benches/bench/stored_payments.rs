//! Systems with millions of payments. Storing ten million takes a quarter of an hour, so measurements that only read payments, or add a
//! few, share a database: each number of payments is stored once in a run. Rejected: a copy of the database for each, with
//! `CREATE DATABASE … TEMPLATE`, which fails while PostgreSQL vacuums what was just stored.

use std::sync::Arc;

use psp_dashboard::clock::{Clock, SystemClock};
use tokio::sync::Mutex;

use crate::harness::servers::Servers;
use crate::harness::test_system::TestSystem;
use crate::payments::Payments;

static SHARED: Mutex<Vec<(Payments, Arc<Servers>)>> = Mutex::const_new(vec![]);

/// A system with `count` payments up to the start of the run, to which another measurement may have added some.
pub(crate) async fn shared_system(count: u64) -> (TestSystem, Payments) {
    let mut shared = SHARED.lock().await;
    let index = if let Some(index) = shared.iter().position(|(payments, _)| payments.count == count) {
        index
    } else {
        let (system, payments) = own_system(count, &["--per-day", "0"]).await;
        shared.push((payments, system.servers));
        shared.len() - 1
    };
    let (payments, servers) = &shared[index];
    (TestSystem::start_beside(Arc::clone(servers), &["--per-day", "0"]).await, *payments)
}

/// A system of its own with `count` payments up to now, whose sandbox has these arguments.
pub(crate) async fn own_system(count: u64, sandbox: &[&str]) -> (TestSystem, Payments) {
    let (system, payments) = (TestSystem::start(sandbox).await, Payments::up_to(SystemClock.now(), count));
    payments.store(&system.pool).await;
    (system, payments)
}
