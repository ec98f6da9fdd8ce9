//! Arrows point down: who may know whom, held against the code.

use std::fs;
use std::path::{Path, PathBuf};

/// A room, and the rooms that it may know. Whatever is not listed is forbidden.
const MAY_KNOW: [(&str, &[&str]); 13] = [
    ("domain", &["domain"]),
    ("clock", &[]),
    ("db", &["db", "domain"]),
    ("providers", &["providers", "domain", "clock"]),
    ("redis", &["redis", "domain"]),
    ("objects", &["objects", "domain"]),
    ("tabular", &["tabular", "domain"]),
    ("config", &["config", "domain", "db", "redis", "providers", "objects"]),
    ("operations", &["operations", "domain", "clock", "db", "redis", "providers", "objects", "config", "tabular"]),
    ("web", &["web", "operations", "domain", "clock", "db", "redis", "config", "tabular", "shutdown"]),
    ("check", &["config", "db", "domain", "redis", "objects"]),
    ("telemetry", &["config"]),
    ("shutdown", &[]),
];

/// What the pure room must not use of the world.
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

/// The room that a file of `src` belongs to; none for the roots, which may know every room.
fn room_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).expect("a file of src");
    let first = inside.components().next()?.as_os_str().to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (room != "lib" && room != "main").then(|| room.to_owned())
}

/// The rooms of the library that a text names.
fn known_by(text: &str) -> Vec<&str> {
    let mut rooms = vec![];
    for (place, _) in text.match_indices("crate::") {
        let rest = &text[place + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find('}').unwrap_or(group.len())];
            rooms.extend(group.split(',').filter_map(|part| part.trim().split("::").next()));
        } else {
            rooms.push(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default());
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn arrows_point_down() {
    let mut wrong = vec![];
    for (path, text) in sources_below(&root().join("src")) {
        let Some(room) = room_of(&path) else { continue };
        let Some((_, may_know)) = MAY_KNOW.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: the room {room} is in no list", path.display()));
            continue;
        };
        for known in known_by(&text).into_iter().filter(|known| !may_know.contains(known)) {
            wrong.push(format!("{}: {room} must not know {known}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_domain_is_pure() {
    for (path, text) in sources_below(&root().join("src/domain")) {
        for impure in IMPURE {
            assert!(!text.contains(impure), "{} uses {impure}", path.display());
        }
    }
}

#[test]
fn sql_is_written_in_db_alone() {
    let heads = ["src/web", "src/operations", "src/redis", "src/providers", "jobs/src"];
    for (path, text) in heads.iter().flat_map(|folder| sources_below(&root().join(folder))) {
        for sql in ["sqlx::query", "QueryBuilder"] {
            assert!(!text.contains(sql), "{} writes SQL", path.display());
        }
    }
}

#[test]
fn the_heads_do_not_know_each_other() {
    for (path, text) in sources_below(&root().join("jobs/src")) {
        assert!(!text.contains("psp_dashboard::web"), "{} knows the web", path.display());
    }
    let manifest = fs::read_to_string(root().join("sandbox/Cargo.toml")).expect("a readable file");
    assert!(!manifest.contains("psp-dashboard.workspace") && !manifest.contains("psp-jobs"), "the sandbox knows us");
}

#[test]
fn no_file_grows_beyond_one_thing() {
    let folders = ["src", "jobs/src", "sandbox/src", "tests"];
    for (path, text) in folders.iter().flat_map(|folder| sources_below(&root().join(folder))) {
        let lines = text.lines().count();
        assert!(lines <= 450, "{} has {lines} lines: is it one thing?", path.display());
    }
}
