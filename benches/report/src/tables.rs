//! Results as tables of Markdown: a line per result, or a row per name if the results have columns.

use crate::numbers::{separate_thousands, with_unit};
use crate::results::{Entry, Target};

/// The results of a measurement, in the order in which they were recorded. A missed target is bold.
pub(crate) fn tables(entries: &[Entry]) -> String {
    let mut tables = vec![];
    for group in distinct(entries.iter().map(|entry| entry.group.as_str())) {
        let in_group: Vec<&Entry> = entries.iter().filter(|entry| entry.group == group).collect();
        let (cells, lines): (Vec<&Entry>, Vec<&Entry>) = in_group.iter().partition(|entry| entry.column.is_some());
        let heading = if group.is_empty() { "measured".to_owned() } else { separate_thousands(group) };
        if !cells.is_empty() {
            tables.push(rows_by_name(&heading, &cells));
        }
        if !lines.is_empty() {
            tables.push(line_per_result(&heading, &lines));
        }
    }
    tables.join("\n")
}

/// Every missed target, with the name of its measurement.
pub(crate) fn missed<'a>(measurements: impl Iterator<Item = (&'a str, &'a [Entry])>) -> String {
    let rows: Vec<Vec<String>> = measurements
        .flat_map(|(name, entries)| entries.iter().map(move |entry| (name, entry)))
        .filter(|(_, entry)| entry.met == Some(false))
        .map(|(name, entry)| {
            let what = [Some(separate_thousands(&entry.group)), Some(entry.name.clone()), entry.column.clone()];
            let what: Vec<String> = what.into_iter().flatten().filter(|part| !part.is_empty()).collect();
            let target = entry.target.map(|target| limit(target, &entry.unit)).unwrap_or_default();
            vec![format!("`{name}`"), escaped(&what.join(": ")), target, value(entry)]
        })
        .collect();
    if rows.is_empty() {
        return "All targets are met.\n".to_owned();
    }
    table(&["measurement", "result", "target", "measured"], rows.into_iter())
}

fn line_per_result(heading: &str, lines: &[&Entry]) -> String {
    let rows = lines.iter().map(|line| {
        let target = line.target.map(|target| limit(target, &line.unit)).unwrap_or_default();
        let verdict = match line.met {
            Some(true) => ": met",
            Some(false) => ": missed",
            None => "",
        };
        vec![escaped(&line.name), target, format!("{}{verdict}", value(line))]
    });
    table(&[heading, "target", "measured"], rows)
}

fn rows_by_name(heading: &str, cells: &[&Entry]) -> String {
    let columns = distinct(cells.iter().filter_map(|cell| cell.column.as_deref()));
    let rows = distinct(cells.iter().map(|cell| cell.name.as_str())).into_iter().map(|name| {
        let cells = columns.iter().map(|column| {
            let cell = cells.iter().find(|cell| cell.name == name && cell.column.as_deref() == Some(column));
            cell.map(|cell| cell_text(cell)).unwrap_or_default()
        });
        [escaped(name)].into_iter().chain(cells).collect()
    });
    table(&[&[heading], &columns[..]].concat(), rows)
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|column| escaped(column)).collect();
    let separator = vec!["---".to_owned(); head.len()];
    let lines = [head, separator].into_iter().chain(rows).map(|row| format!("| {} |\n", row.join(" | ")));
    lines.collect::<Vec<_>>().concat()
}

fn cell_text(cell: &Entry) -> String {
    match cell.target {
        // The unit is that of the value.
        Some(target) => format!("{} ({})", value(cell), limit(target, "")),
        None => value(cell),
    }
}

fn value(entry: &Entry) -> String {
    let text = entry.value.map_or_else(|| "no figure".to_owned(), |value| with_unit(value, &entry.unit));
    if entry.met == Some(false) { format!("**{text}**") } else { text }
}

fn limit(target: Target, unit: &str) -> String {
    match target {
        Target::AtMost(most) => format!("at most {}", with_unit(most, unit)),
        Target::AtLeast(least) => format!("at least {}", with_unit(least, unit)),
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Without repetitions, in the order of the first occurrence.
pub(crate) fn distinct<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = vec![];
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(name: &str, column: &str, value: f64, target: Option<Target>) -> Entry {
        Entry::new("1000000 payments", name, value, "ms", target).in_column(column)
    }

    #[test]
    fn each_result_is_a_line_with_its_target_and_verdict() {
        let entries = [
            Entry::new("idle:", "statements", 1.7, "/s", Some(Target::AtMost(2.0))),
            Entry::new("idle:", "commands", 6.0, "/s", Some(Target::AtMost(5.0))),
            Entry::new("", "a|b", 3.0, "", None),
        ];
        assert_eq!(
            tables(&entries),
            "| idle | target | measured |\n| --- | --- | --- |\n\
             | statements | at most 2/s | 1.7/s: met |\n\
             | commands | at most 5/s | **6/s**: missed |\n\n\
             | measured | target | measured |\n| --- | --- | --- |\n\
             | a\\|b |  | 3 |\n"
        );
    }

    #[test]
    fn missed_targets_are_listed_with_their_measurement() {
        let idle = [
            Entry::new("idle:", "statements", 1.7, "/s", Some(Target::AtMost(2.0))),
            Entry::new("", "commands", 6.0, "/s", Some(Target::AtMost(5.0))),
        ];
        let metrics = [cell("overview", "p95", 16.0, Some(Target::AtMost(15.0)))];
        assert_eq!(
            missed([("idle", &idle[..]), ("metrics", &metrics[..])].into_iter()),
            "| measurement | result | target | measured |\n| --- | --- | --- | --- |\n\
             | `idle` | commands | at most 5/s | **6/s** |\n\
             | `metrics` | 1,000,000 payments: overview: p95 | at most 15 ms | **16 ms** |\n"
        );
        assert_eq!(missed([("idle", &idle[..1])].into_iter()), "All targets are met.\n");
    }

    #[test]
    fn results_with_columns_are_rows_in_the_order_of_their_first_result() {
        let entries = [
            cell("overview", "p50", 5.0, Some(Target::AtMost(5.0))),
            cell("overview", "p95", 16.0, Some(Target::AtMost(15.0))),
            cell("live", "p50", f64::NAN, None),
        ];
        assert_eq!(
            tables(&entries),
            "| 1,000,000 payments | p50 | p95 |\n| --- | --- | --- |\n\
             | overview | 5 ms (at most 5) | **16 ms** (at most 15) |\n\
             | live | no figure |  |\n"
        );
    }
}
