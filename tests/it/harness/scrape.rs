//! A scrape, parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use super::http_client;

pub(crate) struct Scrape {
    pub(crate) text: String,
    /// The names of the metrics that have a type.
    pub(crate) names: BTreeSet<String>,
    /// By name and labels, in the order of the labels' names.
    samples: BTreeMap<String, f64>,
}

/// `None` if the process does not respond.
pub(crate) async fn scrape(port: &str) -> Option<Scrape> {
    let response = http_client().get(format!("http://127.0.0.1:{port}/metrics")).send().await.ok()?;
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().expect("a text");
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    Some(Scrape::parse(response.text().await.ok()?))
}

impl Scrape {
    fn parse(text: String) -> Self {
        let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').expect(line);
            (series.to_owned(), value.parse().expect(line))
        });
        Self { names: typed.map(str::to_owned).collect(), samples: samples.collect(), text }
    }

    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    pub(crate) fn sum(&self, name: &str) -> f64 {
        let prefix = format!("{name}{{");
        self.samples.iter().filter(|(series, _)| series.starts_with(&prefix)).map(|(_, value)| value).sum()
    }

    pub(crate) fn label_values(&self, name: &str, label: &str) -> BTreeSet<String> {
        let (prefix, start) = (format!("{name}{{"), format!("{label}=\""));
        let series = self.samples.keys().filter(|series| series.starts_with(&prefix));
        series.filter_map(|series| Some(series.split(&start).nth(1)?.split('"').next()?.to_owned())).collect()
    }

    /// Asserts that Prometheus can read it, and that it follows the conventions.
    pub(crate) fn check_with_promtool(&self) {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is installed (scripts/setup)");
        let mut input = promtool.stdin.take().expect("it is piped");
        input.write_all(self.text.as_bytes()).expect("it reads");
        drop(input);
        let output = promtool.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
