//! The figures of all queues as one table, and the targets of ours.

use super::{Measured, Queue, Sizes, WORKERS};
use crate::report::{self, Durations, Target};

/// The durable peer that ours is measured against.
const RIVAL: &str = "graphile-worker";

/// A figure of one queue, or why it has none.
struct Cell {
    column: String,
    value: Option<f64>,
    unit: &'static str,
    target: Target,
}

pub(super) fn print(queues: &[Measured], sizes: &Sizes) {
    let find = |name: &str| queues.iter().find(|measured| measured.queue.name() == name);
    let rival = find(RIVAL);
    report::heading(&format!(
        "{} no-op jobs, and {} jobs with one effect each during {} SIGKILLs",
        sizes.throughput, sizes.kill_jobs, sizes.kills
    ));
    for (index, measured) in queues.iter().enumerate() {
        let cells = cells(measured, rival);
        if index == 0 {
            let columns: Vec<&str> = cells.iter().map(|cell| cell.column.as_str()).collect();
            println!("| queue | {} |\n|{}", columns.join(" | "), " --- |".repeat(columns.len() + 1));
        }
        let name = format!("{} {}", measured.queue.name(), measured.version);
        println!("| {name} | {} |", cells.iter().map(Cell::text).collect::<Vec<_>>().join(" | "));
        for Cell { column, value, unit, target } in cells {
            if let Some(value) = value {
                report::record_cell(&name, &column, value, unit, target);
            }
        }
    }
    if let Some(ours) = find("ours") {
        print_targets(ours, rival);
    }
}

impl Cell {
    fn new(column: impl Into<String>, value: Option<f64>, unit: &'static str) -> Self {
        Self { column: column.into(), value, unit, target: Target::None }
    }

    fn text(&self) -> String {
        self.value.map_or_else(String::new, |value| match self.unit {
            "/s" => format!("{value:.0}/s"),
            "" if value.fract() == 0.0 => format!("{value:.0}"),
            unit => format!("{value:.2} {unit}").trim_end().to_owned(),
        })
    }
}

fn cells(measured: &Measured, rival: Option<&Measured>) -> Vec<Cell> {
    let rates = WORKERS.iter().zip(&measured.throughput);
    let mut cells: Vec<_> = rates
        .map(|(workers, rate)| {
            Cell::new(format!("by {workers} workers").replace("1 workers", "1 worker"), Some(*rate), "/s")
        })
        .collect();
    let ratio = rival.map(|rival| measured.throughput[0] / rival.throughput[0]);
    cells.push(Cell::new(format!("1 worker, relative to {RIVAL}"), ratio, ""));
    for (load, delays) in [("idle", &measured.idle), ("at half its rate", &measured.loaded)] {
        for percent in [50, 99] {
            let delay = delays.as_ref().map(|delays| delays.percentile_ms(percent));
            cells.push(Cell::new(format!("to start, {load}, p{percent}"), delay, "ms"));
        }
    }
    cells.extend(cells_of_kills(measured));
    cells
}

fn cells_of_kills(measured: &Measured) -> Vec<Cell> {
    let kills = measured.kills.as_ref();
    let target = if matches!(measured.queue, Queue::Ours) { Target::AtMost(0.0) } else { Target::None };
    let count = |column: &str, number: fn(&super::Kills) -> i64| Cell {
        target,
        ..Cell::new(column, kills.map(|kills| report::count(number(kills))), "")
    };
    let rescues = kills.and_then(|kills| kills.rescues.as_ref());
    let seconds =
        |column: &str, percent| Cell::new(column, rescues.map(|rescues: &Durations| rescues.percentile(percent)), "s");
    vec![
        count("jobs lost", |kills| kills.lost),
        count("not run again", |kills| kills.waiting),
        count("duplicate effects", |kills| kills.duplicates),
        seconds("kill to running again, p50", 50),
        seconds("max", 100),
    ]
}

fn print_targets(ours: &Measured, rival: Option<&Measured>) {
    report::heading("ours, by the same figures");
    for (workers, rate) in WORKERS.iter().zip(&ours.throughput).skip(1) {
        let what = format!("jobs/s by {workers} workers, relative to one");
        report::print(&what, rate / ours.throughput[0], "", Target::AtLeast(1.0));
    }
    let Some(rival) = rival else { return };
    let ratio = ours.throughput[0] / rival.throughput[0];
    report::print(&format!("jobs/s by one worker, relative to {RIVAL}"), ratio, "", Target::AtLeast(2.5));
    let Some((ours, theirs)) = ours.idle.as_ref().zip(rival.idle.as_ref()) else { return };
    for percent in [50, 99] {
        let ratio = ours.percentile(percent) / theirs.percentile(percent);
        report::print(&format!("idle, to start, p{percent}, relative to {RIVAL}"), ratio, "", Target::AtMost(1.0));
    }
}
