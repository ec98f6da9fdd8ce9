//! The text of a scrape: what this process has counted, and the gauges that are read at each scrape.

use prometheus::{Registry, TextEncoder};

use super::catalog::Metric;
use super::family::Gauges;
use super::record;

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Gauges of one scrape. They do not outlive it: a queue or a currency that is gone has no series any more.
#[derive(Default)]
pub struct Exposition {
    registry: Registry,
    gauges: Vec<(&'static str, Gauges)>,
}

impl Exposition {
    pub fn set(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        let known = self.gauges.iter().position(|(name, _)| *name == metric.name);
        let index = known.unwrap_or_else(|| {
            self.gauges.push((metric.name, Gauges::register(&self.registry, metric)));
            self.gauges.len() - 1
        });
        self.gauges[index].1.set(labels, value);
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and Prometheus has no other numbers")]
    pub fn set_count(&mut self, metric: &Metric, labels: &[&str], count: u64) {
        self.set(metric, labels, count as f64);
    }

    #[must_use]
    pub fn render(&self) -> String {
        let families = [self.registry.gather(), record::registry().gather()].concat();
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics cannot be written");
            String::new()
        })
    }
}
