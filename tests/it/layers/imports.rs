//! Which files of a crate import which, by their paths of `crate`, `self` and `super`. Tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources_below;

/// A module, as the segments of its path.
pub(super) type Module = Vec<String>;
pub(super) type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// The imports of every file below the folder of a crate's sources.
pub(super) fn imports(folder: &Path) -> Imports {
    let files: BTreeMap<Module, String> = sources_below(folder)
        .into_iter()
        .map(|(path, text)| (module_of(path.strip_prefix(folder).expect("a file of the crate")), code_of(&text)))
        .filter(|(module, _)| {
            module.last().is_some_and(|name| name != "tests") && !module.contains(&"tests".to_owned())
        })
        .collect();
    let imported = |module: &Module, code: &str| {
        let paths = paths_of(code).into_iter().filter_map(|path| absolute(module, &path));
        let known = paths
            .filter_map(|path| (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|it| files.contains_key(it)));
        known.filter(|other| other != module).collect::<BTreeSet<Module>>()
    };
    files.iter().map(|(module, code)| (module.clone(), imported(module, code))).collect()
}

/// The modules that import themselves by way of others, each with those on the way.
pub(super) fn cycles(imports: &Imports) -> Vec<String> {
    let reach = |from: &Module| {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = imports[from].iter().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module.clone()) {
                next.extend(&imports[module]);
            }
        }
        reached
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> = imports.keys().map(|module| (module, reach(module))).collect();
    let in_cycle = reached.iter().filter(|(module, reached)| reached.contains(**module));
    in_cycle
        .map(|(module, all)| {
            let others = all.iter().filter(|other| *other != *module && reached[*other].contains(*module));
            format!("{} <-> {}", module.join("::"), others.map(|it| it.join("::")).collect::<Vec<_>>().join(", "))
        })
        .collect()
}

/// `web/http/mod.rs` is `web::http`; `lib.rs` and `main.rs` are the root, which has no name.
fn module_of(path: &Path) -> Module {
    let mut module: Module =
        path.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        module.pop();
    }
    module
}

/// Without comments, and without the unit tests, which are at the end of a file.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths that begin with `crate`, `self` or `super`, with their groups (`a::{b, c}`) written out.
fn paths_of(code: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut paths = vec![];
    for start in ["crate::", "self::", "super::"] {
        for (index, _) in code.match_indices(start) {
            let before = code[..index].chars().next_back();
            if !before.is_some_and(|c| is_word(c) || c == ':' || c == '$') {
                expand("", &code[index..], &mut paths);
            }
        }
    }
    paths
}

/// Reads one path at the beginning of `text`, and returns what follows it.
fn expand<'a>(prefix: &str, text: &'a str, paths: &mut Vec<String>) -> &'a str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let (path, mut rest) = (format!("{prefix}{}", &text[..end]), &text[end..]);
    if !path.ends_with("::") || !rest.starts_with('{') {
        paths.push(path);
        return rest;
    }
    loop {
        rest = expand(&path, rest[1..].trim_start(), paths);
        // An alias: `a as b`.
        rest = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c.is_whitespace());
        if !rest.starts_with(',') {
            return rest.strip_prefix('}').unwrap_or(rest);
        }
    }
}

fn absolute(module: &Module, path: &str) -> Option<Module> {
    let mut base = module.clone();
    let mut segments = path.split("::").filter(|segment| !segment.is_empty()).peekable();
    while let Some(first) = segments.next_if(|segment| ["crate", "self", "super"].contains(segment)) {
        match first {
            "crate" => base.clear(),
            "super" => drop(base.pop()?),
            _ => {}
        }
    }
    base.extend(segments.map(str::to_owned));
    Some(base)
}

#[test]
fn paths_are_found_and_groups_written_out() {
    let code = "use crate::a::{self, b::{C, D as E}, f};\nlet x = super::g::h(); psp::self::no; $crate::no();";
    let mut paths = paths_of(code);
    paths.sort();
    assert_eq!(paths, ["crate::a::b::C", "crate::a::b::D", "crate::a::f", "crate::a::self", "super::g::h"]);
    let module = vec!["web".to_owned(), "jobs".to_owned()];
    assert_eq!(absolute(&module, "super::g::h"), Some(vec!["web".to_owned(), "g".to_owned(), "h".to_owned()]));
}
