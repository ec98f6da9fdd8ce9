//! What the code costs: the time to build it, the size of the programs and of the image, and the start-up time and memory of
//! each type of process.
//!
//! `scripts/bench` builds, since cargo runs this program, and passes how long that took.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;

use crate::harness::programs::{Memory, Program, RunningProgram};
use crate::harness::test_system::{TestSystem, Web};
use crate::report::{self, Durations, Target};

/// How often each process is started; the median counts.
const STARTS: usize = 5;
const POLL: Duration = Duration::from_millis(2);
/// How long a process is left alone before its idle memory is read.
const SETTLED: Duration = Duration::from_secs(5);
/// How long and by how many connections the web process is requested.
const REQUESTED: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 8;
const PATHS: [&str; 4] = [
    "/api/v1/metrics/overview",
    "/api/v1/metrics/by-project",
    "/api/v1/transactions?limit=100",
    "/api/v1/transactions?sort_by=amount&limit=100",
];
const SYNCED: [&str; 2] = ["vima", "payshack"];

pub(crate) async fn measure() {
    report_builds();
    report_sizes();
    let system = TestSystem::start(&["--history-days", "3", "--per-day", "10000"]).await;
    report::heading("processes");
    let (web, worker, scheduler) = start_all(&system).await;
    tokio::time::sleep(SETTLED).await;
    let processes = [("web", &web.program), ("worker", &worker), ("scheduler", &scheduler)];
    for (name, program) in processes {
        report::print_cell(name, "resident, idle", program.memory_mib(Memory::Resident), "MB", Target::None);
    }
    for source in SYNCED {
        system.run_job(&format!("sync-{source}"), Some(r#"{"mode":"full"}"#));
    }
    join_all((0..CONNECTIONS).map(|client| request(&web, client))).await;
    for (name, program) in processes {
        report::print_cell(name, "peak, loaded", program.memory_mib(Memory::Peak), "MB", Target::None);
    }
}

/// Prints the durations that `scripts/bench` measured: seconds of wall-clock and processor time.
fn report_builds() {
    report::heading("release build");
    for (what, variable) in [("our packages", "PSP_BENCH_BUILD"), ("with all dependencies", "PSP_BENCH_CLEAN_BUILD")] {
        let Some(measured) = setting(variable) else { continue };
        let seconds: Vec<f64> = measured.split_whitespace().filter_map(|seconds| seconds.parse().ok()).collect();
        let [wall_clock, user, system] = seconds[..] else { panic!("{variable} has not three numbers: {measured}") };
        report::print_cell(what, "wall-clock", wall_clock, "s", Target::None);
        report::print_cell(what, "processor time", user + system, "s", Target::None);
    }
}

#[expect(clippy::disallowed_methods, reason = "the script of the benchmark passes what it measured")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn report_sizes() {
    report::heading("size");
    for program in [Program::Psp, Program::Jobs, Program::Sandbox] {
        let path = program.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        report::print(&name, megabytes(&path), "MB", Target::None);
    }
    if let Some(bytes) = image_bytes() {
        report::print("image", bytes / 1e6, "MB", Target::None);
    } else {
        let copied = [Program::Psp, Program::Jobs].map(|program| megabytes(&program.path()));
        let name = "what the image adds to its base (no container engine)";
        report::print(name, copied.iter().sum(), "MB", Target::None);
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(path: &Path) -> f64 {
    path.metadata().expect("the program is built").len() as f64 / 1e6
}

/// The size of the production image, built now; `None` without a container engine that can build it.
fn image_bytes() -> Option<f64> {
    let run = |engine: &str, arguments: &[&str]| -> Option<String> {
        let output = Command::new(engine).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    ["docker", "podman"].into_iter().find_map(|engine| {
        let image = run(engine, &["build", "--quiet", "."])?;
        run(engine, &["image", "inspect", "--format", "{{.Size}}", &image])?.parse().ok()
    })
}

/// Measures the start of each process, and returns the last of each.
async fn start_all(system: &TestSystem) -> (Web, RunningProgram, RunningProgram) {
    let (mut web_starts, mut worker_starts, mut scheduler_starts) = (vec![], vec![], vec![]);
    let mut last = None;
    for _ in 0..STARTS {
        drop(last.take());
        let started = Instant::now();
        let web = system.spawn_web(&[]);
        wait_until_ready(&web).await;
        web_starts.push(started.elapsed());
        let (worker, elapsed) = start_jobs(system, "worker").await;
        worker_starts.push(elapsed);
        let (scheduler, elapsed) = start_jobs(system, "scheduler").await;
        scheduler_starts.push(elapsed);
        last = Some((web, worker, scheduler));
    }
    for (name, starts) in [("web", web_starts), ("worker", worker_starts), ("scheduler", scheduler_starts)] {
        let median = Durations::new(starts).percentile_ms(50);
        report::print_cell(name, "start to ready", median, "ms", Target::None);
    }
    last.expect("it was started")
}

async fn wait_until_ready(web: &Web) {
    let request = || web.request(Method::GET, "/health/ready", None, None);
    while !request().await.is_ok_and(|response| response.status == 200) {
        tokio::time::sleep(POLL).await;
    }
}

/// Starts a process of `psp-jobs`, and returns how long it took until it said that it had started.
async fn start_jobs(system: &TestSystem, process: &str) -> (RunningProgram, Duration) {
    let started = Instant::now();
    let mut program = system.start_jobs(&[process]);
    let ready = format!("{process} started");
    while !program.output().contains(&ready) {
        assert!(!program.has_exited(), "the {process} stopped: {}", program.output());
        tokio::time::sleep(POLL).await;
    }
    (program, started.elapsed())
}

async fn request(web: &Web, client: usize) {
    let started = Instant::now();
    for path in PATHS.iter().cycle().skip(client) {
        if started.elapsed() > REQUESTED {
            break;
        }
        web.get(path).await;
    }
}
