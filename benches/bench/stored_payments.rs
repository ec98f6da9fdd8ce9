//! Systems with millions of payments. Storing ten million takes a quarter of an hour, so each number is stored once in a run, and
//! every measurement gets a copy of that database, which takes seconds.

use psp_dashboard::clock::{Clock, SystemClock};
use tokio::sync::Mutex;

use crate::harness::servers::Servers;
use crate::harness::test_system::TestSystem;
use crate::payments::Payments;

/// The databases that are copied. Nothing is connected to them, or they could not be.
static STORED: Mutex<Vec<(Payments, Servers)>> = Mutex::const_new(vec![]);

/// A system with `count` payments up to the start of the run, whose sandbox has these arguments.
pub(crate) async fn system_with(count: u64, sandbox: &[&str]) -> (TestSystem, Payments) {
    let mut stored = STORED.lock().await;
    let index = if let Some(index) = stored.iter().position(|(payments, _)| payments.count == count) {
        index
    } else {
        stored.push(store(count).await);
        stored.len() - 1
    };
    let (payments, servers) = &stored[index];
    (TestSystem::start_on(servers.copy().await, sandbox).await, *payments)
}

async fn store(count: u64) -> (Payments, Servers) {
    let (payments, servers) = (Payments::up_to(SystemClock.now(), count), Servers::start().await);
    let pool = servers.pool().await;
    payments.store(&pool).await;
    pool.close().await;
    (payments, servers)
}
