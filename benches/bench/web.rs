//! How soon a web process answers after its start, and how much memory it holds while idle.

use std::fs;
use std::time::Instant;

use reqwest::Method;

use crate::harness::stage::Stage;

/// Measures and prints.
pub(crate) async fn measure() {
    let stage = Stage::set(&[]).await;
    let began = Instant::now();
    let web = stage.web().await;
    let first_answer = began.elapsed();
    for _ in 0..50 {
        let answer = web.request(Method::GET, "/health", None, None).await.expect("the web process answers");
        assert_eq!(answer.status, 200);
    }
    let resident = resident_kib(web.running.id());
    println!("psp web, release:");
    println!("  start to ready {} ms; resident while idle {:.1} MB", first_answer.as_millis(), resident / 1024.0);
}

/// How much memory a process holds.
pub(crate) fn resident_kib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number of KiB")
}
