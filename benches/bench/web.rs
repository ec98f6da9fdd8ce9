//! How soon a web process answers after its start, and how much memory it holds while idle.

use std::time::Instant;

use reqwest::Method;

use crate::harness::programs::Memory;
use crate::harness::test_system::TestSystem;

/// Measures and prints.
pub(crate) async fn measure() {
    let system = TestSystem::start(&[]).await;
    let began = Instant::now();
    let web = system.start_web().await;
    let first_answer = began.elapsed();
    for _ in 0..50 {
        let answer = web.request(Method::GET, "/health", None, None).await.expect("the web process answers");
        assert_eq!(answer.status, 200);
    }
    let resident = web.program.memory_mib(Memory::Resident);
    println!("psp web, release:");
    println!("  start to ready {} ms; resident while idle {:.1} MB", first_answer.as_millis(), resident);
}
