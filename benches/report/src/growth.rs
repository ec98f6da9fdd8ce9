//! How the time of each endpoint grows with the number of payments: a chart per kind of endpoint.
//!
//! The slope is that of the straight line through the logarithms: 0 if the time does not depend on the number of payments, 1
//! if it is proportional to it.

use crate::results::Entry;
use crate::svg;
use crate::tables::distinct;

/// The column that is shown.
const COLUMN: &str = "cold p50";

/// The times of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// Numbers of payments with milliseconds, by number.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Curve {
    /// `None` with fewer than two numbers of payments.
    pub(crate) fn slope(&self) -> Option<f64> {
        let logarithms: Vec<(f64, f64)> = self.points.iter().map(|(count, ms)| (count.ln(), ms.ln())).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few points")]
        let number = logarithms.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| logarithms.iter().map(of).sum::<f64>() / number;
        let (mean_count, mean_ms) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = logarithms.iter().map(|(count, _)| (count - mean_count).powi(2)).sum();
        let common: f64 = logarithms.iter().map(|(count, ms)| (count - mean_count) * (ms - mean_ms)).sum();
        (logarithms.len() > 1 && spread > 0.0).then(|| common / spread)
    }
}

/// A chart and the file of `docs/` that shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) svg: String,
}

/// Endpoints that share a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Metrics,
    Pages,
    Search,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Metrics, Self::Pages, Self::Search];

    fn of(endpoint: &str) -> Self {
        match endpoint.strip_prefix("transactions") {
            None => Self::Metrics,
            Some(rest) if rest.contains("search") => Self::Search,
            Some(_) => Self::Pages,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Metrics => "growth-metrics.svg",
            Self::Pages => "growth-transactions.svg",
            Self::Search => "growth-search.svg",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Metrics => "Metrics",
            Self::Pages => "Pages of payments",
            Self::Search => "Search",
        }
    }
}

/// The charts of the endpoints that were measured with at least two numbers of payments.
pub(crate) fn charts(entries: &[Entry]) -> Vec<Chart> {
    let curves = curves(entries);
    let charts = Kind::ALL.into_iter().filter_map(|kind| {
        let curves: Vec<Curve> = curves.iter().filter(|curve| Kind::of(&curve.name) == kind).cloned().collect();
        let chart = || Chart { file: kind.file(), title: kind.title(), svg: svg::chart(kind.title(), &curves) };
        (!curves.is_empty()).then(chart)
    });
    charts.collect()
}

/// The part of the document that shows the charts.
pub(crate) fn section(charts: &[Chart]) -> String {
    if charts.is_empty() {
        return "*Not measured yet.*\n".to_owned();
    }
    let images =
        charts.iter().map(|chart| format!("![{}: growth with the number of payments]({})\n", chart.title, chart.file));
    images.collect::<Vec<_>>().join("\n")
}

fn curves(entries: &[Entry]) -> Vec<Curve> {
    let measured: Vec<&Entry> = entries.iter().filter(|entry| entry.column.as_deref() == Some(COLUMN)).collect();
    let curves = distinct(measured.iter().map(|entry| entry.name.as_str())).into_iter().map(|name| {
        let points = measured.iter().filter(|entry| entry.name == name);
        let mut points: Vec<(f64, f64)> =
            points.filter_map(|entry| Some((payments(&entry.group)?, entry.value.filter(|ms| *ms > 0.0)?))).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Curve { name: name.to_owned(), points }
    });
    curves.filter(|curve| curve.slope().is_some()).collect()
}

/// The number in the heading `1000000 payments`.
fn payments(group: &str) -> Option<f64> {
    group.strip_suffix(" payments")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cold(payments: u32, name: &str, ms: f64) -> Entry {
        Entry::new(&format!("{payments} payments"), name, ms, "ms", None).in_column(COLUMN)
    }

    fn slope(points: &[(f64, f64)]) -> Option<f64> {
        Curve { name: String::new(), points: points.to_vec() }.slope()
    }

    #[test]
    fn the_slope_is_the_power_of_the_number_of_payments() {
        let near = |points: &[(f64, f64)], expected: f64| {
            let slope = slope(points).expect("two numbers of payments");
            assert!((slope - expected).abs() < 1e-9, "{slope}");
        };
        near(&[(1e6, 4.0), (3e6, 4.0), (1e7, 4.0)], 0.0);
        near(&[(1e6, 4.0), (3e6, 12.0), (1e7, 40.0)], 1.0);
        near(&[(1e6, 5.0), (1e8, 50.0)], 0.5);
        assert_eq!(slope(&[(1e6, 4.0)]), None);
        assert_eq!(slope(&[(1e6, 4.0), (1e6, 5.0)]), None);
    }

    #[test]
    fn endpoints_of_a_kind_share_a_chart() {
        let entries = [
            cold(10_000_000, "overview", 6.0),
            cold(1_000_000, "overview", 5.0),
            cold(1_000_000, "only once", 5.0),
            cold(1_000_000, "transactions, search for part of an id", 11.0),
            cold(10_000_000, "transactions, search for part of an id", 44.0),
            Entry::new("10000000 payments", "overview", 9.0, "ms", None).in_column("cold p95"),
        ];
        let curves = curves(&entries);
        assert_eq!(curves[0], Curve { name: "overview".to_owned(), points: vec![(1e6, 5.0), (1e7, 6.0)] });
        assert_eq!(curves.len(), 2);
        let charts = charts(&entries);
        assert_eq!(
            charts.iter().map(|chart| chart.file).collect::<Vec<_>>(),
            ["growth-metrics.svg", "growth-search.svg"]
        );
        assert!(
            section(&charts).starts_with("![Metrics: growth with the number of payments](growth-metrics.svg)\n\n!")
        );
    }

    #[test]
    fn without_two_numbers_of_payments_there_is_no_chart() {
        assert_eq!(section(&charts(&[cold(1_000_000, "overview", 5.0)])), "*Not measured yet.*\n");
    }
}
