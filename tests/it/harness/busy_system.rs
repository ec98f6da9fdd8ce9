//! A whole system in the middle of its first syncs, for tests that take one of its servers away.

use serde_json::json;

use super::consistency::assert_matches_sandbox;
use super::eventually;
use super::health::wait_for_health;
use super::programs::RunningProgram;
use super::servers::Servers;
use super::test_system::{TestSystem, Web};

pub(crate) struct BusySystem {
    pub(crate) web: Web,
    _programs: [RunningProgram; 2],
    pub(crate) system: TestSystem,
}

impl BusySystem {
    /// Returns while the syncs run, after they have stored some pages.
    pub(crate) async fn start(servers: Servers) -> Self {
        let slow = ["--per-day", "600", "--fault", "latency-ms=50"];
        let system = TestSystem::start_on(servers, &slow).await;
        let web = system.start_web().await;
        let programs = ["worker", "scheduler"].map(|command| system.start_jobs(&[command]));
        wait_for_health(&web, 200, "healthy").await;
        eventually("some pages to be stored", || async {
            (system.number("SELECT count(*) FROM transactions").await > 200).then_some(())
        })
        .await;
        assert!(system.number("SELECT count(*) FROM jobs WHERE state = 'running'").await > 0, "the syncs are running");
        Self { web, _programs: programs, system }
    }

    /// Waits until the syncs are complete, and asserts that nothing is missing and no attempt was used up.
    pub(crate) async fn assert_recovers(&self) {
        wait_for_health(&self.web, 200, "healthy").await;
        self.system.sandbox.set_faults(json!({"latency-ms": 0})).await;
        self.system.wait_until_idle().await;
        assert_matches_sandbox(&self.system).await;
        self.system.assert_no_attempt_was_used_up().await;
    }
}
