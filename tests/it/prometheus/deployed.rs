//! The files of `deploy/prometheus` and `deploy/grafana`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use psp_dashboard::observability::catalog::{ALL, MetricType};
use serde_json::Value;

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).expect(file)
}

/// The series that the catalog declares, and those of Prometheus itself.
fn known_series() -> BTreeSet<String> {
    let own = ALL.iter().flat_map(|metric| match metric.metric_type {
        MetricType::Histogram(_) => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", metric.name)).into(),
        MetricType::Counter | MetricType::Gauge => vec![metric.name.to_owned()],
    });
    own.chain(["up", "ALERTS"].map(str::to_owned)).collect()
}

/// Words of the language, and what queries say about labels.
const LANGUAGE: [&str; 33] = [
    "sum",
    "max",
    "min",
    "count",
    "group",
    "rate",
    "increase",
    "time",
    "absent",
    "histogram_quantile",
    "by",
    "on",
    "ignoring",
    "unless",
    "and",
    "or",
    "offset",
    "job",
    "le",
    "queue",
    "state",
    "source",
    "stream",
    "kind",
    "outcome",
    "provider",
    "endpoint",
    "schedule",
    "verdict",
    "match_status",
    "currency",
    "reason",
    "pool",
];
const LABELS: [&str; 12] = [
    "server",
    "status",
    "http_route",
    "http_response_status_code",
    "process",
    "version",
    "export",
    "format",
    "alertname",
    "d",
    "h",
    "m",
];

/// The names in a query that are no words, labels or numbers: those of metrics.
fn metrics_of(query: &str) -> BTreeSet<String> {
    // Without what is in braces, brackets and quotes.
    let mut depth = 0;
    let outside: String = query
        .chars()
        .map(|c| {
            match c {
                '{' | '[' => depth += 1,
                '}' | ']' => depth -= 1,
                _ => {}
            }
            if depth > 0 { ' ' } else { c }
        })
        .collect();
    let words = outside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let names = words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    names.filter(|word| !LANGUAGE.contains(word) && !LABELS.contains(word)).map(str::to_owned).collect()
}

fn assert_known(what: &str, query: &str) {
    let (used, known) = (metrics_of(query), known_series());
    assert!(!used.is_empty() && used.is_subset(&known), "{what}: {query} uses {:?}", used.difference(&known));
}

/// The value of `key` in lines such as `expr: |-`, followed by the text, or `key: value`.
fn values_of(yaml: &str, key: &str) -> Vec<String> {
    let mut lines = yaml.lines().map(str::trim);
    let mut values = vec![];
    while let Some(line) = lines.next() {
        let line = line.strip_prefix("- ").unwrap_or(line);
        match line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')).map(str::trim) {
            Some("|-") => values.extend(lines.next().map(str::to_owned)),
            Some(value) => values.push(value.to_owned()),
            None => {}
        }
    }
    values
}

#[test]
fn dashboard_queries_use_exported_metrics_only_and_all_of_them() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboards/psp.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut used = BTreeSet::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("a query");
            assert_known(panel["title"].as_str().expect("a title"), query);
            used.extend(metrics_of(query));
        }
    }
    let shown = |name: &str| ["", "_bucket", "_count"].iter().any(|end| used.contains(&format!("{name}{end}")));
    let hidden: Vec<_> = ALL.iter().map(|metric| metric.name).filter(|name| !shown(name)).collect();
    assert_eq!(hidden, ["process_virtual_memory_bytes", "process_max_fds", "process_threads"]);
}

#[test]
fn alerts_use_exported_metrics_are_tested_and_have_a_runbook() {
    let rules = read("deploy/prometheus/rules.yaml");
    let [alerts, queries, runbooks] = ["alert", "expr", "runbook_url"].map(|key| values_of(&rules, key));
    assert!(alerts.len() >= 30 && alerts.len() == queries.len() && alerts.len() == runbooks.len(), "{alerts:?}");
    let fields = ["for", "keep_firing_for"].map(|key| values_of(&rules, key).len());
    assert_eq!(fields, [alerts.len(); 2]);
    let (manual, tests) = (read("docs/operations.md"), read("deploy/prometheus/rules_test.yaml"));
    for ((alert, query), runbook) in alerts.iter().zip(&queries).zip(&runbooks) {
        assert_known(alert, query);
        assert!(runbook.ends_with(&format!("docs/operations.md#{}", alert.to_lowercase())), "{runbook}");
        assert!(manual.contains(&format!("\n#### {alert}\n")), "docs/operations.md explains {alert}");
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "rules_test.yaml tests {alert}");
    }
    for series in values_of(&tests, "{ series") {
        let series = series.trim_start_matches('\'').split(['{', '\'']).next().unwrap_or_default().to_owned();
        assert!(known_series().contains(&series), "rules_test.yaml has {series}");
    }
}

#[test]
fn promtool_accepts_configuration_and_rules_and_their_tests_pass() {
    for arguments in [
        ["check", "config", "--syntax-only", "prometheus.yaml"].as_slice(),
        &["check", "rules", "rules.yaml"],
        &["test", "rules", "rules_test.yaml"],
    ] {
        let output = Command::new("promtool").args(arguments).current_dir(path("deploy/prometheus")).output();
        let output = output.expect("promtool is installed (scripts/setup)");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}
