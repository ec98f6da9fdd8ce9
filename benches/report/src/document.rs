//! Writes docs/performance.md: `benches/bench/about/document.md`, with each `{{name}}` replaced by what the measurement of
//! that name measures, how, and its last results.

use std::collections::BTreeMap;
use std::path::Path;

use crate::about::About;
use crate::error::Error;
use crate::fingerprint;
use crate::growth;
use crate::results::{Conditions, Measurement, Results, write_whole};
use crate::tables::{missed, tables};

const TEMPLATE: &str = "document.md";
/// The measurement of which the growth is shown.
const GROWING: &str = "metrics";
/// What is written from the results of several measurements.
const SUMMARIES: [&str; 2] = ["growth", "missed"];

/// The written files by their path, relative to the project's folder.
type Documents = BTreeMap<String, String>;

/// What a document is written from.
#[derive(Debug)]
pub struct Project<'a> {
    /// The project's folder.
    pub root: &'a Path,
    pub results: &'a Results,
}

impl Project<'_> {
    /// Writes the documents.
    pub fn write(&self) -> Result<(), Error> {
        self.documents()?.iter().try_for_each(|(path, text)| write_whole(&self.root.join(path), text))
    }

    /// The paths of the documents that differ from what would be written.
    pub fn differing(&self) -> Result<Vec<String>, Error> {
        let differs = |path: &String, text: &String| {
            !std::fs::read_to_string(self.root.join(path)).is_ok_and(|committed| committed == *text)
        };
        let documents = self.documents()?;
        Ok(documents.into_iter().filter(|(path, text)| differs(path, text)).map(|(path, _)| path).collect())
    }

    /// Everything that is written from the results.
    fn documents(&self) -> Result<Documents, Error> {
        let folder = self.root.join("benches/bench/about");
        let path = folder.join(TEMPLATE);
        let template = std::fs::read_to_string(&path).map_err(Error::read(&path))?;
        let names = placeholders(&template);
        if let Some(name) = self.results.names().find(|name| !names.contains(name)) {
            let problem = format!("{name} has results but no place: add a line {{{{{name}}}}}");
            return Err(Error::About { path, problem });
        }
        let mut text = template.clone();
        for name in &names {
            let about = About::load(&folder, name)?;
            let code = fingerprint::of_code(self.root, &about.code)?;
            let section = section(name, &about, self.results.get(name), &code);
            text = text.replace(&format!("{{{{{name}}}}}\n"), &section);
        }
        let mut documents = Documents::new();
        let measured = self.results.get(GROWING).map_or(&[][..], |measurement| &measurement.results);
        let charts = growth::charts(measured);
        text = text.replace("{{growth}}\n", &growth::section(&charts));
        let measurements = names.iter().filter_map(|name| Some((*name, &self.results.get(name)?.results[..])));
        text = text.replace("{{missed}}\n", &missed(measurements));
        documents.extend(charts.into_iter().map(|chart| (format!("docs/{}", chart.file), chart.svg)));
        documents.insert("docs/performance.md".to_owned(), text);
        Ok(documents)
    }
}

/// The names of measurements in the template.
fn placeholders(template: &str) -> Vec<&str> {
    let lines = template.lines().filter_map(|line| line.strip_prefix("{{")?.strip_suffix("}}"));
    lines.filter(|name| !SUMMARIES.contains(name)).collect()
}

fn section(name: &str, about: &About, measurement: Option<&Measurement>, code: &str) -> String {
    let heading = format!("### {}\n\nBy `make bench BENCH={name}`.\n\n{}\n", about.title, about.text);
    match measurement {
        None => format!("{heading}\n*Not measured yet.*\n"),
        Some(measurement) => {
            let conditions = described(&measurement.conditions, code);
            format!("{heading}\n{}\n{conditions}\n", tables(&measurement.results))
        }
    }
}

fn described(conditions: &Conditions, code: &str) -> String {
    let Conditions { date, commit, cores, postgresql, redis, .. } = conditions;
    let with_changes = if conditions.uncommitted_changes { " with uncommitted changes" } else { "" };
    let payments =
        conditions.payments.as_ref().map(|payments| format!(" `PSP_BENCH_PAYMENTS={payments}`.")).unwrap_or_default();
    let mark =
        if conditions.code == code { "" } else { " **Outdated: the measured code has changed since; measure again.**" };
    format!(
        "Measured on {} at commit {commit}{with_changes}: {cores} cores, PostgreSQL {postgresql}, Redis {redis}.{payments}{mark}",
        date.format("%Y-%m-%d")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{conditions, measured};
    use crate::results::{Entry, Target};

    const ABOUT: &str = "# Idle worker\ncode: src\n\nOver 30 s.\n";

    /// A project with one measured file, the measurements `idle` and `flush`, and results of `idle`.
    struct Fixture {
        folder: tempfile::TempDir,
        results: Results,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            for path in ["src", "benches/bench/about"] {
                std::fs::create_dir_all(folder.path().join(path)).expect("a folder");
            }
            let fixture = Self { folder, results: Results::default() };
            fixture.write("src/worker.rs", "let one = 1;\n");
            fixture.write(
                "benches/bench/about/document.md",
                "# Performance\n\n{{missed}}\n\n{{idle}}\n\n{{flush}}\n\n{{growth}}\n",
            );
            for name in ["idle", "flush"] {
                fixture.write(&format!("benches/bench/about/{name}.md"), ABOUT);
            }
            fixture
        }

        fn with_results(mut self) -> Self {
            let code = fingerprint::of_code(self.folder.path(), &["src".to_owned()]).expect("readable files");
            let results = vec![Entry::new("idle", "statements", 1.7, "/s", Some(Target::AtMost(2.0)))];
            self.results.replace("idle", Measurement { conditions: Conditions { code, ..conditions() }, results });
            self
        }

        fn write(&self, path: &str, text: &str) {
            std::fs::write(self.folder.path().join(path), text).expect("it is written");
        }

        fn render(&self) -> Result<String, Error> {
            let project = Project { root: self.folder.path(), results: &self.results };
            Ok(project.documents()?.remove("docs/performance.md").expect("the document"))
        }
    }

    #[test]
    fn a_measurement_has_its_method_results_date_and_commit() {
        let text = Fixture::new().with_results().render().expect("it is written");
        let expected = "### Idle worker\n\nBy `make bench BENCH=idle`.\n\nOver 30 s.\n\n\
                        | idle | target | measured |\n| --- | --- | --- |\n| statements | at most 2/s | 1.7/s: met |\n\n\
                        Measured on 2026-01-15 at commit 0123456789: 2 cores, PostgreSQL 15.4, Redis 7.0.1.\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("BENCH=flush`.\n\nOver 30 s.\n\n*Not measured yet.*\n"), "{text}");
    }

    #[test]
    fn results_are_outdated_when_the_measured_code_changes_and_not_when_a_comment_does() {
        let fixture = Fixture::new().with_results();
        fixture.write("src/worker.rs", "// Why.\nlet one = 1;\n");
        assert!(!fixture.render().expect("it is written").contains("Outdated"));
        fixture.write("src/worker.rs", "let one = 2;\n");
        assert!(fixture.render().expect("it is written").contains("Redis 7.0.1. **Outdated:"));
    }

    #[test]
    fn a_document_that_is_missing_or_old_differs() {
        let fixture = Fixture::new().with_results();
        let project = Project { root: fixture.folder.path(), results: &fixture.results };
        std::fs::create_dir(fixture.folder.path().join("docs")).expect("a folder");
        assert_eq!(project.differing().expect("readable files"), ["docs/performance.md"]);
        project.write().expect("it is written");
        assert_eq!(project.differing().expect("readable files"), [""; 0]);
        fixture.write("src/worker.rs", "let one = 2;\n");
        assert_eq!(project.differing().expect("readable files"), ["docs/performance.md"]);
    }

    #[test]
    fn results_without_a_place_in_the_document_are_an_error() {
        let mut fixture = Fixture::new();
        fixture.results.replace("soak", measured(vec![]));
        let error = fixture.render().expect_err("no place").to_string();
        assert!(error.contains("soak has results but no place: add a line {{soak}}"), "{error}");
    }

    /// Without it, a measured file that was moved, or a measurement without a text, would fail only at `make bench`.
    #[test]
    fn every_measurement_of_this_project_has_a_text_and_a_place_and_its_code_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a readable file");
        let (program, template) = (read("benches/bench/main.rs"), read("benches/bench/about/document.md"));
        let mut declared: Vec<&str> = program
            .lines()
            .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once("\", ||"))
            .map(|(name, _)| name)
            .collect();
        let mut placed = placeholders(&template);
        declared.sort_unstable();
        placed.sort_unstable();
        assert_eq!(declared, placed);
        let documents = Project { root: &root, results: &Results::default() }.documents();
        assert!(documents.expect("every text and file is there").contains_key("docs/performance.md"));
    }

    #[test]
    fn uncommitted_changes_and_chosen_numbers_are_shown() {
        let conditions = Conditions { uncommitted_changes: true, payments: Some("50000".to_owned()), ..conditions() };
        let text = described(&conditions, "abc");
        assert!(text.contains("commit 0123456789 with uncommitted changes:"), "{text}");
        assert!(text.ends_with("Redis 7.0.1. `PSP_BENCH_PAYMENTS=50000`."), "{text}");
    }
}
