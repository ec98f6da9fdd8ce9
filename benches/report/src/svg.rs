//! Curves as SVG: a small panel per endpoint, all with the same logarithmic axes.
//!
//! Thirty curves in one panel hide each other, and a legend of thirty colours cannot be read. The colours follow the reader's
//! light or dark mode; the background is drawn, since a page may have another mode than the system.

use crate::growth::Curve;
use crate::numbers::readable;

const COLUMNS: usize = 4;
const PANEL: (f64, f64) = (236.0, 160.0);
/// The part of a panel that has the curve: from the left, from the top, width, height.
const PLOT: (f64, f64, f64, f64) = (44.0, 48.0, 176.0, 84.0);
const TOP: f64 = 52.0;
/// The longest name that fits above its panel.
const NAME_LENGTH: usize = 32;

const STYLE: &str = "\
text{font:11px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}.name{font-weight:600}\
.note{fill:#59636e}.end{text-anchor:end}.middle{text-anchor:middle}.page{fill:#fff}\
.grid{stroke:#d1d9e0;fill:none}.linear{stroke:#818b98;stroke-dasharray:3 3;fill:none}\
.curve{stroke:#0969da;stroke-width:2;fill:none}.point{fill:#0969da}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#3d444d}\
.linear{stroke:#9198a1}.curve{stroke:#58a6ff}.point{fill:#58a6ff}}";

/// A chart of these curves, of which there is at least one.
pub(crate) fn chart(title: &str, curves: &[Curve]) -> String {
    let axes = Axes::around(curves);
    let panels = curves.iter().enumerate().map(|(index, curve)| {
        let (column, row) = (size(index % COLUMNS), size(index / COLUMNS));
        let place = format!("translate({:.0} {:.0})", column * PANEL.0, TOP + row * PANEL.1);
        format!("<g transform=\"{place}\">\n{}</g>\n", axes.panel(curve))
    });
    let (width, height) = (size(COLUMNS) * PANEL.0, TOP + size(curves.len().div_ceil(COLUMNS)) * PANEL.1);
    let heading = format!(
        "<text x=\"12\" y=\"24\" class=\"title\">{}</text>\n<text x=\"12\" y=\"42\" class=\"note\">cold p50 in milliseconds \
         by number of payments, both logarithmic; dashed: if it were proportional to that number</text>\n",
        escaped(title)
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} \
         {height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" \
         height=\"100%\"/>\n{heading}{}</svg>\n",
        escaped(title),
        panels.collect::<String>()
    )
}

/// The ranges of all panels.
#[derive(Debug, Clone)]
struct Axes {
    /// The measured numbers of payments, ascending.
    counts: Vec<f64>,
    /// Powers of ten, in milliseconds.
    decades: Vec<f64>,
}

impl Axes {
    fn around(curves: &[Curve]) -> Self {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let mut counts: Vec<f64> = points().map(|(count, _)| *count).collect();
        counts.sort_by(f64::total_cmp);
        counts.dedup();
        let least = points().map(|(_, ms)| *ms).fold(f64::INFINITY, f64::min).log10().floor();
        let most = points().map(|(_, ms)| *ms).fold(0.0, f64::max).log10().ceil().max(least + 1.0);
        let mut decades = vec![];
        let mut power = least;
        while power <= most {
            decades.push(10_f64.powf(power));
            power += 1.0;
        }
        Self { counts, decades }
    }

    fn x(&self, count: f64) -> f64 {
        PLOT.0 + PLOT.2 * share(count, &self.counts)
    }

    fn y(&self, ms: f64) -> f64 {
        PLOT.1 + PLOT.3 * (1.0 - share(ms, &self.decades))
    }

    fn panel(&self, curve: &Curve) -> String {
        let slope = curve.slope().map(|slope| format!("slope {slope:.2}")).unwrap_or_default();
        let mut parts = vec![
            format!("<text x=\"12\" y=\"16\" class=\"name\">{}</text>", escaped(&shortened(&curve.name))),
            format!("<text x=\"{:.0}\" y=\"30\" class=\"note end\">{slope}</text>", PLOT.0 + PLOT.2),
        ];
        for ms in &self.decades {
            let (left, right, y) = (PLOT.0, PLOT.0 + PLOT.2, self.y(*ms));
            parts.push(format!("<path class=\"grid\" d=\"M{left:.0} {y:.1}H{right:.0}\"/>"));
            parts.push(format!(
                "<text x=\"{:.0}\" y=\"{:.1}\" class=\"note end\">{}</text>",
                left - 5.0,
                y + 4.0,
                readable(*ms)
            ));
        }
        for count in &self.counts {
            let (x, y) = (self.x(*count), PLOT.1 + PLOT.3 + 15.0);
            parts.push(format!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"note middle\">{}</text>", abbreviated(*count)));
        }
        parts.extend(self.proportional(curve));
        parts.push(format!("<path class=\"curve\" d=\"M{}\"/>", self.line(&curve.points)));
        for (count, ms) in &curve.points {
            let (x, y) = (self.x(*count), self.y(*ms));
            parts.push(format!(
                "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{} ms</title></circle>",
                readable(*ms)
            ));
        }
        let ends = [("", curve.points.first()), ("end", curve.points.last())];
        parts.extend(ends.into_iter().filter_map(|(anchor, point)| {
            let (count, ms) = point?;
            let (x, y) = (self.x(*count), self.y(*ms) - 7.0);
            Some(format!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{anchor}\">{}</text>", readable(*ms)))
        }));
        parts.join("\n") + "\n"
    }

    /// The line that the curve would follow if the time were proportional to the number of payments, as far as it fits.
    fn proportional(&self, curve: &Curve) -> Option<String> {
        let (first, last) = (curve.points.first()?, curve.points.last()?);
        let factor = (last.0 / first.0).min(self.decades.last()? / first.1);
        let line = self.line(&[*first, (first.0 * factor, first.1 * factor)]);
        Some(format!("<path class=\"linear\" d=\"M{line}\"/>"))
    }

    fn line(&self, points: &[(f64, f64)]) -> String {
        let points = points.iter().map(|(count, ms)| format!("{:.1} {:.1}", self.x(*count), self.y(*ms)));
        points.collect::<Vec<_>>().join("L")
    }
}

/// Where a value lies between the first and the last of a range, by its logarithm.
fn share(value: f64, range: &[f64]) -> f64 {
    match (range.first(), range.last()) {
        (Some(first), Some(last)) if last > first => (value / first).ln() / (last / first).ln(),
        _ => 0.5,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few panels")]
fn size(count: usize) -> f64 {
    count as f64
}

/// A number of payments as a label of the axis.
fn abbreviated(count: f64) -> String {
    match count {
        count if count >= 1e6 => format!("{} M", readable(count / 1e6)),
        count if count >= 1e3 => format!("{} k", readable(count / 1e3)),
        count => readable(count),
    }
}

fn shortened(name: &str) -> String {
    let name = name.trim_start_matches("transactions, ");
    if name.chars().count() <= NAME_LENGTH {
        return name.to_owned();
    }
    name.chars().take(NAME_LENGTH - 1).chain(['…']).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, times: &[f64]) -> Curve {
        let points = [1e6, 3e6, 1e7].into_iter().zip(times.iter().copied()).collect();
        Curve { name: name.to_owned(), points }
    }

    #[test]
    fn panels_have_the_name_the_slope_and_the_first_and_last_time() {
        let svg =
            chart("Metrics", &[curve("overview", &[2.0, 2.0, 2.0]), curve("source=vima&status", &[5.0, 15.0, 50.0])]);
        for expected in [
            ">overview</text>",
            ">slope 0.00</text>",
            ">source=vima&amp;status</text>",
            ">slope 1.00</text>",
            ">1 M</text>",
            ">10 M</text>",
            ">100</text>",
            "prefers-color-scheme:dark",
        ] {
            assert!(svg.contains(expected), "{expected}: {svg}");
        }
        assert_eq!(svg.matches("class=\"curve\"").count(), 2);
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }

    #[test]
    fn axes_span_whole_decades_and_the_measured_numbers() {
        let axes = Axes::around(&[curve("one", &[2.0, 3.0, 5.0]), curve("other", &[30.0, 40.0, 250.0])]);
        assert_eq!(axes.decades, [1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!(axes.counts, [1e6, 3e6, 1e7]);
        let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-6, "{one} and {other}");
        near(axes.x(1e6), PLOT.0);
        near(axes.x(1e7), PLOT.0 + PLOT.2);
        near(axes.y(1.0), PLOT.1 + PLOT.3);
        near(axes.y(1_000.0), PLOT.1);
    }

    #[test]
    fn the_dashed_line_ends_at_the_edge() {
        let curve = curve("steep", &[50.0, 60.0, 70.0]);
        let axes = Axes::around(std::slice::from_ref(&curve));
        let line = axes.proportional(&curve).expect("points");
        assert!(line.ends_with(&format!("{:.1}\"/>", PLOT.1)), "{line}");
    }

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(shortened("transactions, one day"), "one day");
        assert_eq!(shortened(&"x".repeat(50)).chars().count(), NAME_LENGTH);
    }
}
