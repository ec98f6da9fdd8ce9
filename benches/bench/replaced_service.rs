//! The service that this project replaces (`FastAPI`, `SQLAlchemy` and asyncpg, `benches/peers/fastapi`) over the same database.
//!
//! `PSP_BENCH_PAYMENTS` lists numbers of payments (default `1000000,10000000`). Both services get the same requests by the
//! same client, and must report the same numbers: the run fails at its end if they do not. Before requests the versions of
//! the payments are raised, so that our service computes each answer; the rows about repeated requests show what its caches
//! add. PostgreSQL, both services and the client share the processors; only one service has work at a time.

mod agreement;
mod days;
mod requests;
mod server;

use std::path::Path;

use self::requests::Endpoint;
use self::server::{Client, FastApi};
use crate::harness::programs::Memory;
use crate::harness::test_system::{TestSystem, Web};
use crate::metrics::counts;
use crate::payments::Payments;
use crate::report::{self, Durations, Target};
use crate::stored_payments::own_system;

pub(crate) async fn measure() {
    let Some(python) = server::install() else {
        println!("the replaced service: not measured, since there is no Python");
        return;
    };
    let mut differences = vec![];
    for count in counts("1000000,10000000") {
        let (system, payments) = own_system(count, &["--per-day", "0"]).await;
        server::create_tables(&python, &system.servers.database_url);
        let mut comparison = Comparison { system, python: &python, payments, differences: vec![] };
        comparison.print_header();
        comparison.measure_requests().await;
        comparison.measure_export().await;
        comparison.measure_reconciliation().await;
        differences.append(&mut comparison.differences);
    }
    assert!(differences.is_empty(), "our responses and those of the replaced service differ: {differences:#?}");
}

struct Comparison<'run> {
    system: TestSystem,
    python: &'run Path,
    payments: Payments,
    differences: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Better {
    Less,
    More,
}

impl Comparison<'_> {
    fn print_header(&self) {
        report::heading(&format!("{} payments", self.payments.count));
        println!("| | ours | replaced | times better |\n| --- | --- | --- | --- |");
    }

    async fn measure_requests(&mut self) {
        let (web, service) = self.start_both().await;
        let ours = Client::new(web.port);
        for endpoint in requests::all(self.payments) {
            self.differences.extend(endpoint.difference(&ours, &service.client).await);
            self.measure_endpoint(&endpoint, &ours, &service.client).await;
        }
        print_memory("memory after these requests", web.program.memory_mib(Memory::Peak), &service);
    }

    async fn measure_endpoint(&self, endpoint: &Endpoint, ours: &Client, theirs: &Client) {
        let (by_ours, by_theirs) =
            (endpoint.measure(&self.system.pool, ours).await, endpoint.measure(&self.system.pool, theirs).await);
        for percent in [50, 95] {
            let wait = |durations: &Durations| durations.percentile_ms(percent);
            let (ours, theirs) = (wait(&by_ours.one_at_a_time), wait(&by_theirs.one_at_a_time));
            print(&format!("{}, p{percent}", endpoint.name), "ms", (ours, theirs), Better::Less);
        }
        let name = format!("{}, 8 connections", endpoint.name);
        print(&name, "requests/s", (by_ours.per_second, by_theirs.per_second), Better::More);
        let repeated = (endpoint.repeat(ours).await, endpoint.repeat(theirs).await);
        print(&format!("{}, the same again and again", endpoint.name), "requests/s", repeated, Better::More);
    }

    async fn measure_export(&mut self) {
        let (web, service) = self.start_both().await;
        let ours = Client::new(web.port);
        self.differences.extend(days::difference_of_exports(&ours, &service.client, &self.payments).await);
        let seconds = (days::export(&ours, &self.payments).await, days::export(&service.client, &self.payments).await);
        let rows = report::count(i64::try_from(self.payments.count).unwrap_or(i64::MAX));
        print("CSV of all payments", "s", seconds, Better::Less);
        print("rows of the CSV", "rows/s", (rows / seconds.0, rows / seconds.1), Better::More);
        print_memory("peak memory of the export", web.program.memory_mib(Memory::Peak), &service);
    }

    async fn measure_reconciliation(&mut self) {
        let (web, service) = self.start_both().await;
        let ours = Client::new(web.port);
        let worker = self.system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn"), ("RECONCILED_PROJECTS", "*")]);
        let by_ours = days::reconcile(&self.system, &ours, &self.payments).await;
        let by_theirs = days::reconcile_by(&service, &self.payments).await;
        self.differences.extend(days::difference_of_results(&ours, &service.client, &self.payments).await);
        let seconds = (by_ours.percentile(50), by_theirs.percentile(50));
        print("reconciliation of a day", "s", seconds, Better::Less);
        print_memory("peak memory of the reconciliation", worker.memory_mib(Memory::Peak), &service);
    }

    /// New processes, so that their peak memory is that of the measurement.
    async fn start_both(&self) -> (Web, FastApi) {
        let web = self.system.start_web_with(&[("LOG_LEVEL", "warn")]).await;
        (web, FastApi::start(self.python, &self.system.servers.database_url).await)
    }
}

fn print_memory(name: &str, ours: f64, service: &FastApi) {
    print(name, "MB", (ours, service.peak_memory_mib()), Better::Less);
}

/// Prints and records a row of the table.
fn print(name: &str, unit: &str, (ours, theirs): (f64, f64), better: Better) {
    let ratio = match better {
        Better::Less => theirs / ours,
        Better::More => ours / theirs,
    };
    println!("| {name} | {ours:.1} {unit} | {theirs:.1} {unit} | {ratio:.1} |");
    report::record_cell(name, "ours", ours, unit, Target::None);
    report::record_cell(name, "replaced", theirs, unit, Target::None);
    report::record_cell(name, "times better", ratio, "", Target::AtLeast(1.0));
}
