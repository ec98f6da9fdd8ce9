//! How soon a web process answers after its start, and how much memory it holds while idle.

use std::fs;
use std::time::Instant;

use reqwest::Method;

use crate::harness::test_system::TestSystem;

/// Measures and prints.
pub(crate) async fn measure() {
    let system = TestSystem::set(&[]).await;
    let began = Instant::now();
    let web = system.web().await;
    let first_answer = began.elapsed();
    for _ in 0..50 {
        let answer = web.request(Method::GET, "/health", None, None).await.expect("the web process answers");
        assert_eq!(answer.status, 200);
    }
    let resident = memory_kib(web.running.id(), Memory::Now);
    println!("psp web, release:");
    println!("  start to ready {} ms; resident while idle {:.1} MB", first_answer.as_millis(), resident / 1024.0);
}

/// Which memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory {
    /// What it holds.
    Now,
    /// The most that it has ever held.
    Most,
}

/// How much memory a process holds.
pub(crate) fn memory_kib(process: u32, memory: Memory) -> f64 {
    let name = match memory {
        Memory::Now => "VmRSS:",
        Memory::Most => "VmHWM:",
    };
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a resident size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number of KiB")
}
