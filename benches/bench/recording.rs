//! Records the results of finished measurements in `benches/results.json`, with the conditions under which they were taken.
//!
//! The commit and the fingerprints of the measured code are taken before the first measurement, right after the build. Each
//! measurement is recorded when it has finished: one that is interrupted or fails leaves its old results.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use psp_bench_report::about::About;
use psp_bench_report::costs;
use psp_bench_report::error::Error;
use psp_bench_report::fingerprint;
use psp_bench_report::results::{Conditions, Entry, Measurement, Results};
use psp_dashboard::clock::{Clock, SystemClock};
use sqlx::{Executor, Row};

use crate::harness::servers::Servers;

/// What the benchmark itself writes, which does not change the measured code.
const WRITTEN: [&str; 2] = [":(exclude)benches/results.json", ":(exclude)docs"];

pub(crate) struct Recording {
    conditions: Conditions,
    /// The fingerprint of the code of each measurement.
    code: HashMap<String, String>,
}

impl Recording {
    /// Fails if it is not declared what one of the measurements measures.
    pub(crate) async fn start(names: &[&str]) -> Result<Self, Error> {
        let (root, mut code) = (root(), HashMap::new());
        for name in names {
            let about = About::load(&root.join("benches/bench/about"), name)?;
            code.insert((*name).to_owned(), fingerprint::of_code(&root, &about.code)?);
        }
        Ok(Self { conditions: conditions().await, code })
    }

    /// Replaces the results of this measurement.
    pub(crate) fn save(&self, name: &str, entries: Vec<Entry>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let path = root().join("benches/results.json");
        let mut results = Results::load(&path)?;
        let code = self.code.get(name).cloned().unwrap_or_default();
        let conditions = Conditions { date: SystemClock.now(), code, ..self.conditions.clone() };
        results.replace(name, Measurement { conditions, results: entries });
        results.save(&path)
    }
}

/// Prints which of these costs are higher than in the committed results.
pub(crate) fn warn_of_growth(name: &str, entries: &[Entry]) {
    let committed = git(&["show", "HEAD:benches/results.json"]).and_then(|text| Results::from_text(&text).ok());
    let Some(before) = committed.as_ref().and_then(|results| results.get(name)) else { return };
    for growth in costs::grown(&before.results, entries) {
        println!("WARNING: {growth}");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "the caller of the benchmark chooses the numbers of payments")]
async fn conditions() -> Conditions {
    let servers = Servers::start_empty().await;
    let version = servers.pool().await.fetch_one("SHOW server_version").await.expect("a version");
    let version: String = version.get(0);
    let info: String = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut servers.redis().await.connection())
        .await
        .expect("Redis responds");
    let redis = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown");
    let changes = [&["status", "--porcelain", "--", "."][..], &WRITTEN].concat();
    Conditions {
        date: SystemClock.now(),
        commit: git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "unknown".to_owned()),
        uncommitted_changes: git(&changes).is_some_and(|changes| !changes.is_empty()),
        code: String::new(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        postgresql: version.split_whitespace().next().unwrap_or_default().to_owned(),
        redis: redis.trim().to_owned(),
        payments: std::env::var("PSP_BENCH_PAYMENTS").ok(),
    }
}

/// The output of git; `None` without git or outside of a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
