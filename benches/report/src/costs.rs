//! Which costs have grown since the committed results.

use std::fmt;

use crate::numbers::with_unit;
use crate::results::Entry;

/// The growth from which on a cost is reported.
const REPORTED: f64 = 1.10;

/// A cost that has grown.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    name: String,
    unit: String,
    before: f64,
    after: f64,
}

impl fmt::Display for Growth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, before, after } = self;
        let percent = (after / before - 1.0) * 100.0;
        write!(
            formatter,
            "{name} grew by {percent:.0} %: {}, before {}",
            with_unit(*after, unit),
            with_unit(*before, unit)
        )
    }
}

/// The costs that are at least a tenth higher than before. Costs that were not measured before are not compared.
#[must_use]
pub fn grown(before: &[Entry], after: &[Entry]) -> Vec<Growth> {
    let growth = |entry: &Entry| {
        let same =
            |other: &&Entry| other.group == entry.group && other.name == entry.name && other.column == entry.column;
        let before = before.iter().find(same).filter(|other| other.unit == entry.unit)?.value?;
        let after = entry.value?;
        let column = entry.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
        let name = format!("{}{column}", entry.name);
        (before > 0.0 && after >= before * REPORTED).then(|| Growth { name, unit: entry.unit.clone(), before, after })
    };
    after.iter().filter_map(growth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(process: &str, mb: f64) -> Entry {
        Entry::new("memory", process, mb, "MB", None).in_column("idle")
    }

    #[test]
    fn a_growth_of_a_tenth_is_reported() {
        let before = [memory("web", 20.0), memory("worker", 20.0), memory("scheduler", 0.0)];
        let after = [memory("web", 21.9), memory("worker", 22.0), memory("scheduler", 5.0), memory("sandbox", 50.0)];
        let grown: Vec<String> = grown(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(grown, ["worker, idle grew by 10 %: 22 MB, before 20 MB"]);
    }

    #[test]
    fn another_unit_or_group_is_not_compared() {
        let seconds = [Entry::new("build", "own crates", 100.0, "s", None)];
        let minutes =
            [Entry::new("build", "own crates", 900.0, "ms", None), Entry::new("", "own crates", 900.0, "s", None)];
        assert_eq!(grown(&seconds, &minutes), []);
    }
}
