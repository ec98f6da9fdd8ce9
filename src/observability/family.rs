//! Metrics of the catalog as instruments of the library.
//!
//! A declaration that the library rejects would be a bug that the tests of the catalog find; it must not stop a process that
//! syncs payments. So nothing here fails: an instrument that cannot be created counts nothing.

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::catalog::{Metric, MetricType};

pub(super) struct Counters(Option<IntCounterVec>);

impl Counters {
    pub(super) fn register(registry: &Registry, metric: &Metric) -> Self {
        Self(register(registry, IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)))
    }

    /// Makes the series exist, at 0: an increase from nothing is no increase for Prometheus.
    pub(super) fn prepare(&self, labels: &[&str]) {
        self.add(labels, 0);
    }

    pub(super) fn add(&self, labels: &[&str], number: u64) {
        let counter = self.0.as_ref().and_then(|family| family.get_metric_with_label_values(labels).ok());
        debug_assert!(counter.is_some(), "{labels:?}");
        if let Some(counter) = counter {
            counter.inc_by(number);
        }
    }
}

pub(super) struct Gauges(Option<GaugeVec>);

impl Gauges {
    pub(super) fn register(registry: &Registry, metric: &Metric) -> Self {
        Self(register(registry, GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)))
    }

    pub(super) fn set(&self, labels: &[&str], value: f64) {
        self.with(labels, |gauge| gauge.set(value));
    }

    pub(super) fn add(&self, labels: &[&str], value: f64) {
        self.with(labels, |gauge| gauge.add(value));
    }

    fn with(&self, labels: &[&str], change: impl Fn(prometheus::Gauge)) {
        let gauge = self.0.as_ref().and_then(|family| family.get_metric_with_label_values(labels).ok());
        debug_assert!(gauge.is_some(), "{labels:?}");
        gauge.into_iter().for_each(change);
    }
}

pub(super) struct Histograms(Option<HistogramVec>);

impl Histograms {
    pub(super) fn register(registry: &Registry, metric: &Metric) -> Self {
        let options = HistogramOpts::new(metric.name, metric.help);
        let options = match metric.metric_type {
            MetricType::Histogram(buckets) => options.buckets(buckets.to_vec()),
            MetricType::Counter | MetricType::Gauge => options,
        };
        Self(register(registry, HistogramVec::new(options, metric.labels)))
    }

    pub(super) fn observe(&self, labels: &[&str], value: f64) {
        let histogram = self.0.as_ref().and_then(|family| family.get_metric_with_label_values(labels).ok());
        debug_assert!(histogram.is_some(), "{labels:?}");
        if let Some(histogram) = histogram {
            histogram.observe(value);
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, created: prometheus::Result<C>) -> Option<C> {
    let registered = created.and_then(|collector| registry.register(Box::new(collector.clone())).map(|()| collector));
    registered.inspect_err(|error| tracing::error!(%error, "a metric cannot be registered")).ok()
}
