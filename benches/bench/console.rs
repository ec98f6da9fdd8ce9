//! The web console in a browser: how soon its start page is usable, how soon a commit is on the screen, whether an open page grows.
//!
//! `PSP_BENCH_PAYMENTS` lists numbers of payments (default `10000000`), `PSP_BENCH_CONSOLE_MINUTES` is how long the page stays open
//! (default 60). Needs Node and Chromium (`scripts/setup --browser`) and a console in the programs (`make console`).

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use psp_dashboard::clock::{Clock, SystemClock};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{interval, timeout};

use crate::harness::test_system::{ADMIN, Web};
use crate::metrics::counts;
use crate::metrics::writer::Writer;
use crate::report::{self, Durations, Target};
use crate::stored_payments::own_system;

const OPENED: usize = 20;
const COMMITS: usize = 30;
/// The console loads a figure at most once a second.
const BETWEEN_COMMITS: Duration = Duration::from_millis(1_500);
const BETWEEN_COMMITS_OF_AN_OPEN_PAGE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_mins(1);
/// After which the page has loaded what it loads once.
const SETTLED: Duration = Duration::from_mins(2);

pub(crate) async fn measure() {
    for count in counts("10000000") {
        // Not shared: the sync of another measurement would still run.
        let (system, payments) = own_system(count, &["--per-day", "0"]).await;
        let web = system.start_web_with(&[("LOG_LEVEL", "warn"), ("RATE_LIMIT_PER_KEY", "0")]).await;
        let mut browser = Browser::start(&web);
        report::heading(&format!("the start page, {count} payments, an admin"));
        measure_first_view(&mut browser).await;
        browser.ask("stay").await;
        let writer = Writer::start(&system, payments).await;
        measure_updates(&mut browser, &writer).await;
        measure_memory(&mut browser, &writer).await;
    }
}

async fn measure_first_view(browser: &mut Browser) {
    let mut durations = vec![];
    for _ in 0..OPENED {
        durations.push(Duration::from_secs_f64(browser.ask("open").await / 1_000.0));
    }
    let durations = Durations::new(durations);
    report::print("first view usable, nothing stored, p50", durations.percentile_ms(50), "ms", Target::None);
    report::print(
        "first view usable, nothing stored, slowest",
        durations.percentile_ms(100),
        "ms",
        Target::AtMost(1_000.0),
    );
}

async fn measure_updates(browser: &mut Browser, writer: &Writer) {
    let mut delays = vec![];
    let mut rhythm = interval(BETWEEN_COMMITS);
    for _ in 0..COMMITS {
        rhythm.tick().await;
        browser.ask("watch").await;
        let stored_at = SystemClock.now().timestamp_micros();
        writer.store(vec![writer.new_payment(SystemClock.now())]).await;
        let shown_at = browser.answer().await * 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 are below 2^52")]
        delays.push(Duration::from_secs_f64((shown_at - stored_at as f64).max(0.0) / 1e6));
    }
    let delays = Durations::new(delays);
    report::print("storing a payment until a figure shows it, p50", delays.percentile_ms(50), "ms", Target::None);
    report::print(
        "storing a payment until a figure shows it, p95",
        delays.percentile_ms(95),
        "ms",
        Target::AtMost(500.0),
    );
}

async fn measure_memory(browser: &mut Browser, writer: &Writer) {
    store_for(SETTLED, writer).await;
    let before = browser.ask("memory").await;
    let minutes = minutes();
    store_for(Duration::from_mins(minutes), writer).await;
    let after = browser.ask("memory").await;
    report::print("heap of the open page", before / 1_048_576.0, "MiB", Target::None);
    let name = format!("growth of the heap within {minutes} min of live updates");
    report::print(&name, (after - before) / 1_048_576.0, "MiB", Target::AtMost(2.0));
}

/// Stores payments in a steady rhythm.
async fn store_for(duration: Duration, writer: &Writer) {
    let (since, mut rhythm) = (Instant::now(), interval(BETWEEN_COMMITS_OF_AN_OPEN_PAGE));
    while since.elapsed() < duration {
        rhythm.tick().await;
        writer.store(vec![writer.new_payment(SystemClock.now())]).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the caller of the benchmark chooses how long it takes")]
fn minutes() -> u64 {
    std::env::var("PSP_BENCH_CONSOLE_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(60)
}

/// `console/scripts/measure.mjs`, which has the commands.
struct Browser {
    _program: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    fn start(web: &Web) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        let mut program = Command::new("node")
            .arg("scripts/measure.mjs")
            .current_dir(folder)
            .env("CONSOLE_URL", web.url(""))
            .env("CONSOLE_KEY", ADMIN)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node is installed: scripts/setup --browser");
        let commands = program.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(program.stdout.take().expect("stdout is piped")).lines();
        Self { _program: program, commands, answers }
    }

    async fn ask(&mut self, command: &str) -> f64 {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.expect("the program runs");
        self.answer().await
    }

    async fn answer(&mut self) -> f64 {
        let line = timeout(PATIENCE, self.answers.next_line()).await.expect("an answer in time");
        let line = line.expect("text").expect("the program runs: see its output above");
        line.parse().unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}
