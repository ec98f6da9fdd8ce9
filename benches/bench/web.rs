//! The start-up time and the idle memory of a web process.

use std::time::Instant;

use reqwest::Method;

use crate::harness::programs::Memory;
use crate::harness::test_system::TestSystem;

pub(crate) async fn measure() {
    let system = TestSystem::start(&[]).await;
    let started = Instant::now();
    let web = system.start_web().await;
    let ready = started.elapsed();
    for _ in 0..50 {
        let response = web.request(Method::GET, "/health", None, None).await.expect("the web process responds");
        assert_eq!(response.status, 200);
    }
    let resident = web.program.memory_mib(Memory::Resident);
    println!("psp web, release:");
    println!("  start to ready {} ms; resident while idle {:.1} MB", ready.as_millis(), resident);
}
