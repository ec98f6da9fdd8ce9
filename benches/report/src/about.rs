//! What is known about a measurement besides its results: a file per measurement, `benches/bench/about/NAME.md`.
//!
//! Its first line is the title. `code: PATH...` names the files and folders whose change makes the results outdated. The rest
//! says what is measured and how.

use std::path::Path;

use crate::error::Error;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub title: String,
    /// Relative to the project's folder.
    pub code: Vec<String>,
    pub text: String,
}

impl About {
    /// Reads the file of a measurement from `folder`.
    pub fn load(folder: &Path, name: &str) -> Result<Self, Error> {
        let path = folder.join(format!("{name}.md"));
        let text = std::fs::read_to_string(&path).map_err(|error| Error::About {
            path: path.clone(),
            problem: format!("{error}; write there what {name} measures and how, like the files next to it"),
        })?;
        Self::parse(&text).map_err(|problem| Error::About { path, problem: problem.to_owned() })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
        let title = title.strip_prefix("# ").ok_or("begin the file with `# ` and a title")?;
        let missing = "name the measured files and folders in the second line: `code: src/db jobs/src`";
        let (code, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        let code: Vec<String> =
            code.strip_prefix("code: ").ok_or(missing)?.split_whitespace().map(str::to_owned).collect();
        if code.is_empty() {
            return Err(missing);
        }
        Ok(Self { title: title.trim().to_owned(), code, text: rest.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_title_the_measured_code_and_a_text() {
        let about = About::parse("# Idle worker\ncode: jobs/src src/db/jobs\n\nOver 30 s.\n").expect("it is valid");
        assert_eq!(about.title, "Idle worker");
        assert_eq!(about.code, ["jobs/src", "src/db/jobs"]);
        assert_eq!(about.text, "Over 30 s.");
    }

    #[test]
    fn a_file_without_title_or_code_says_what_to_write() {
        for (text, expected) in [
            ("Idle\ncode: jobs\n", "begin the file with"),
            ("# Idle\n\nOver 30 s.", "in the second line"),
            ("# Idle\ncode: \n", "in the second line"),
            ("# Idle", "in the second line"),
        ] {
            let problem = About::parse(text).expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
