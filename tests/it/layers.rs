//! Dependencies point down: what the modules may import, and how long files may be.

mod imports;

use std::fs;
use std::path::{Path, PathBuf};

use self::imports::{cycles, imports};

/// A module, and the modules that it may import. Everything else is forbidden.
const MAY_KNOW: [(&str, &[&str]); 18] = [
    ("domain", &["domain"]),
    ("clock", &[]),
    ("outbound", &["domain"]),
    // Only in tests.
    ("fuzzing", &[]),
    ("observability", &["observability", "domain"]),
    ("db", &["db", "domain", "observability"]),
    ("providers", &["providers", "domain", "clock", "outbound", "fuzzing", "observability"]),
    ("redis", &["redis", "domain", "observability"]),
    ("objects", &["objects", "domain", "outbound", "observability"]),
    ("tabular", &["tabular", "domain"]),
    ("config", &["config", "domain", "db", "redis", "providers", "objects", "outbound"]),
    (
        "operations",
        &[
            "operations",
            "domain",
            "clock",
            "db",
            "redis",
            "providers",
            "objects",
            "config",
            "tabular",
            "observability",
            "outbound",
        ],
    ),
    (
        "web",
        &[
            "web",
            "operations",
            "domain",
            "clock",
            "db",
            "redis",
            "config",
            "tabular",
            "shutdown",
            "fuzzing",
            "observability",
        ],
    ),
    ("check", &["check", "config", "db", "domain", "operations", "outbound", "progress", "redis", "objects"]),
    ("erase", &["clock", "config", "db", "domain", "operations"]),
    ("progress", &[]),
    ("telemetry", &["telemetry", "config", "domain", "observability", "outbound", "progress"]),
    ("shutdown", &[]),
];

/// What the domain must not use.
const IMPURE: [&str; 8] = ["sqlx", "tokio", "reqwest", "redis", "poem", "std::fs", "std::net", "async fn"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources_below(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_is_below() {
    let mut wrong = vec![];
    for (module, imported) in imports(&root().join("src")) {
        // The root may know every module.
        let Some(name) = module.first() else { continue };
        let may_know = MAY_KNOW.iter().find(|(known, _)| known == name).map(|(_, may_know)| *may_know);
        for other in imported.iter().filter(|other| !may_know.unwrap_or(&[]).contains(&other[0].as_str())) {
            wrong.push(format!("{} must not know {}", module.join("::"), other.join("::")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A layer of `web`, from the top; in between are the resources, which do not know each other.
fn web_layer(module: &[String]) -> Option<usize> {
    match module.get(1)?.as_str() {
        "app" => Some(0),
        "filters" | "responses" => Some(2),
        "state" => Some(3),
        "http" => Some(4),
        _ => Some(1),
    }
}

#[test]
fn layers_of_web_import_only_what_is_below() {
    let mut wrong = vec![];
    for (module, imported) in imports(&root().join("src")) {
        let Some(layer) = web_layer(&module).filter(|_| module[0] == "web") else { continue };
        for other in imported.iter().filter(|other| other[0] == "web" && other.len() > 1) {
            let below = web_layer(other).is_some_and(|other_layer| other_layer > layer);
            if !below && other.get(1) != module.get(1) {
                wrong.push(format!("{} must not know {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for folder in ["src", "jobs/src"] {
        let cycles = cycles(&imports(&root().join(folder)));
        assert!(cycles.is_empty(), "{folder}: {}", cycles.join("\n"));
    }
}

#[test]
fn domain_is_pure() {
    for (path, text) in sources_below(&root().join("src/domain")) {
        for impure in IMPURE {
            assert!(!text.contains(impure), "{} uses {impure}", path.display());
        }
    }
}

#[test]
fn only_db_contains_sql() {
    let heads = ["src/web", "src/operations", "src/redis", "src/providers", "jobs/src"];
    for (path, text) in heads.iter().flat_map(|folder| sources_below(&root().join(folder))) {
        for sql in ["sqlx::query", "QueryBuilder"] {
            assert!(!text.contains(sql), "{} writes SQL", path.display());
        }
    }
}

#[test]
fn web_jobs_and_sandbox_do_not_know_each_other() {
    for (path, text) in sources_below(&root().join("jobs/src")) {
        assert!(!text.contains("psp_dashboard::web"), "{} imports web", path.display());
    }
    let manifest = fs::read_to_string(root().join("sandbox/Cargo.toml")).expect("a readable file");
    assert!(
        !manifest.contains("psp-dashboard.workspace") && !manifest.contains("psp-jobs"),
        "the sandbox depends on this project"
    );
}

#[test]
fn files_have_at_most_400_lines() {
    let folders = ["src", "jobs/src", "sandbox/src", "tests", "benches/bench", "benches/report"];
    for (path, text) in folders.iter().flat_map(|folder| sources_below(&root().join(folder))) {
        let lines = text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines: split it", path.display());
    }
}
