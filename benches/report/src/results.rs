//! The file of results: for each measurement its last results and the conditions under which it was taken.
//!
//! Each result is one line of the file, so that a diff shows what became faster or slower.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The limit that a result must meet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The heading under which it was printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    pub name: String,
    /// The column, if the group is a table with a row per name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// `None` if it is not a number, for example a ratio to nothing.
    pub value: Option<f64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether the target was met, by the value before it was rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

impl Entry {
    #[must_use]
    pub fn new(group: &str, name: &str, value: f64, unit: &str, target: Option<Target>) -> Self {
        Self {
            group: group.trim().trim_end_matches(':').to_owned(),
            name: name.trim().to_owned(),
            column: None,
            value: value.is_finite().then(|| rounded(value)),
            unit: unit.trim().to_owned(),
            target,
            met: target.map(|target| target.is_met(value)),
        }
    }

    #[must_use]
    pub fn in_column(self, column: &str) -> Self {
        Self { column: Some(column.to_owned()), ..self }
    }
}

/// Rounds to five significant digits, more than any measurement has.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// Where and with what a measurement was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    pub date: DateTime<Utc>,
    pub commit: String,
    /// Whether files differed from the commit.
    pub uncommitted_changes: bool,
    /// The fingerprint of the measured code ([`crate::fingerprint`]).
    pub code: String,
    pub cores: usize,
    pub postgresql: String,
    pub redis: String,
    /// The numbers of payments, if they were chosen (`PSP_BENCH_PAYMENTS`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payments: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub conditions: Conditions,
    pub results: Vec<Entry>,
}

/// The last results of each measurement, by its name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Results(BTreeMap<String, Measurement>);

impl Results {
    /// Reads the file; there are no results if it does not exist.
    pub fn load(path: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_text(&text).map_err(|source| Error::Results { path: path.to_owned(), source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::read(path)(error)),
        }
    }

    /// Writes the file, by way of another one: an interruption leaves the old file.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        write_whole(path, &self.to_text())
    }

    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Measurement> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Replaces the results of this measurement and of no other.
    pub fn replace(&mut self, name: &str, measurement: Measurement) {
        self.0.insert(name.to_owned(), measurement);
    }

    #[must_use]
    pub fn to_text(&self) -> String {
        let measurements: Vec<String> = self.0.iter().map(|(name, measurement)| measurement.to_text(name)).collect();
        if measurements.is_empty() { "{}\n".to_owned() } else { format!("{{\n{}\n}}\n", measurements.join(",\n")) }
    }
}

impl Measurement {
    fn to_text(&self, name: &str) -> String {
        let results: Vec<String> = self.results.iter().map(|entry| format!("      {}", json(entry))).collect();
        let results = if results.is_empty() { String::new() } else { format!("\n{}\n    ", results.join(",\n")) };
        format!(
            "  {}: {{\n    \"conditions\": {},\n    \"results\": [{results}]\n  }}",
            json(&name),
            json(&self.conditions)
        )
    }
}

/// These types have string keys and finite numbers only, so they always have a JSON form.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Replaces the file in one step.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::write(path))?;
    file.write_all(text.as_bytes()).map_err(Error::write(path))?;
    make_readable(file.as_file()).map_err(Error::write(path))?;
    file.persist(path).map_err(|error| Error::write(path)(error.error))?;
    Ok(())
}

/// A temporary file may be read by its owner only; a committed one by everyone.
fn make_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn conditions() -> Conditions {
        Conditions {
            date: "2026-01-15T10:00:00Z".parse().expect("a time"),
            commit: "0123456789".to_owned(),
            uncommitted_changes: false,
            code: "abc".to_owned(),
            cores: 2,
            postgresql: "15.4".to_owned(),
            redis: "7.0.1".to_owned(),
            payments: None,
        }
    }

    pub(crate) fn measured(results: Vec<Entry>) -> Measurement {
        Measurement { conditions: conditions(), results }
    }

    #[test]
    fn a_measurement_replaces_only_its_own_results() {
        let mut results = Results::default();
        results.replace("idle", measured(vec![Entry::new("", "statements", 1.7, "/s", Some(Target::AtMost(2.0)))]));
        results.replace("flush", measured(vec![Entry::new("", "until finished", 3.1, "s", None)]));
        results.replace("idle", measured(vec![Entry::new("", "statements", 2.5, "/s", Some(Target::AtMost(2.0)))]));
        assert_eq!(results.names().collect::<Vec<_>>(), ["flush", "idle"]);
        let idle = &results.get("idle").expect("it was measured").results;
        assert_eq!((idle.len(), idle[0].value, idle[0].met), (1, Some(2.5), Some(false)));
        assert_eq!(results.get("flush").expect("it was measured").results[0].met, None);
    }

    #[test]
    fn text_has_a_line_per_result_and_is_read_back() {
        let mut results = Results::default();
        let cell = Entry::new("a \"day\":", "overview", f64::NAN, "ms", None).in_column("p50");
        results.replace("metrics", measured(vec![cell, Entry::new("", "rate", 12_345.678, "/s", None)]));
        results.replace("empty", measured(vec![]));
        let text = results.to_text();
        assert!(text.contains("\n      {\"group\":\"a \\\"day\\\"\",\"name\":\"overview\",\"column\":\"p50\",\"value\":null,\"unit\":\"ms\"},\n"));
        assert!(text.contains("\"value\":12346.0"), "{text}");
        assert_eq!(Results::from_text(&text).expect("it is valid"), results);
        assert_eq!(Results::from_text(&Results::default().to_text()).expect("it is valid"), Results::default());
    }

    #[test]
    fn a_value_that_is_not_a_number_misses_its_target() {
        let entry = Entry::new("", "ratio", f64::NAN, "", Some(Target::AtMost(1.0)));
        assert_eq!((entry.value, entry.met), (None, Some(false)));
        assert!(Target::AtLeast(0.7).is_met(0.7));
        assert!(!Target::AtLeast(0.7).is_met(0.69));
    }

    #[test]
    fn an_invalid_file_is_an_error_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.json");
        assert_eq!(Results::load(&path).expect("no results"), Results::default());
        let mut results = Results::default();
        results.replace("idle", measured(vec![]));
        results.save(&path).expect("it is written");
        assert_eq!(Results::load(&path).expect("results"), results);
        std::fs::write(&path, "{").expect("it is written");
        assert!(Results::load(&path).expect_err("half a file").to_string().contains("restore it with git"));
    }
}
