//! Where traces are exported to: the standard variables of OpenTelemetry.

use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::{EnvVars, Setting, Switch, number_in, outbound, parts};
use crate::domain::secret::Secret;
use crate::domain::trace::Sampling;
use crate::outbound::Outbound;

const ENDPOINT: Setting = Setting::open("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
const TRACES_ENDPOINT: Setting = Setting::open("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces");
const HEADERS: Setting = Setting::secret("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token");
const PROTOCOL: Setting = Setting::open("OTEL_EXPORTER_OTLP_PROTOCOL", SUPPORTED_PROTOCOL);
const SUPPORTED_PROTOCOL: &str = "http/protobuf";
const SAMPLER: Setting = Setting::open("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
const RATIO: Setting = Setting::open("OTEL_TRACES_SAMPLER_ARG", "0.1");
const ATTRIBUTES: Setting = Setting::open("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production");

/// A collector of traces.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesConfig {
    /// Takes the spans by POST.
    pub endpoint: Url,
    pub headers: Vec<(String, Secret)>,
    /// Of one export.
    pub timeout: Duration,
    pub sampling: Sampling,
    /// `None`: the name of the program.
    pub service: Option<String>,
    /// What else is the same for all spans of the process.
    pub attributes: Vec<(String, String)>,
    pub outbound: Outbound,
}

impl TracesConfig {
    /// `Some(None)`: traces are not exported.
    #[expect(
        clippy::option_option,
        reason = "the outer option says whether the settings are valid, as in every reader"
    )]
    pub(super) fn read(env: &mut EnvVars) -> Option<Option<Self>> {
        let disabled = env.optional(Setting::open("OTEL_SDK_DISABLED", "true"), Switch(false))?.0;
        if disabled || (env.text(ENDPOINT.name).is_none() && env.text(TRACES_ENDPOINT.name).is_none()) {
            return Some(None);
        }
        let endpoint = read_endpoint(env);
        let headers = read_pairs(env, HEADERS);
        let timeout =
            number_in(env, Setting::open("OTEL_EXPORTER_OTLP_TIMEOUT", "10000"), 10_000, 1..=60_000).map(u64::from);
        let sampling = read_sampling(env);
        let attributes = read_pairs(env, ATTRIBUTES);
        let outbound = outbound::read(env);
        let protocol = read_protocol(env);
        let (endpoint, headers) = (endpoint?, headers?);
        if !headers.is_empty() && !outbound::is_private(&endpoint) {
            env.error(HEADERS, None, "would be sent unencrypted: use an https endpoint, or none of these headers");
            return None;
        }
        protocol?;
        Some(Some(Self {
            endpoint,
            headers: headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            timeout: Duration::from_millis(timeout?),
            sampling: sampling?,
            service: env.text("OTEL_SERVICE_NAME"),
            attributes: attributes?,
            outbound: outbound?,
        }))
    }
}

fn read_endpoint(env: &mut EnvVars) -> Option<Url> {
    let (setting, text) = match env.text(TRACES_ENDPOINT.name) {
        Some(text) => (TRACES_ENDPOINT, text),
        None => (ENDPOINT, format!("{}/v1/traces", env.text(ENDPOINT.name)?.trim_end_matches('/'))),
    };
    let url: Url = env.parse(setting, &text)?;
    if matches!(url.scheme(), "http" | "https") {
        return Some(url);
    }
    env.error(setting, Some(&text), "must be an http or https URL");
    None
}

fn read_protocol(env: &mut EnvVars) -> Option<()> {
    let found = env.text(PROTOCOL.name);
    if found.as_deref().is_none_or(|found| found == SUPPORTED_PROTOCOL) {
        return Some(());
    }
    env.error(PROTOCOL, found.as_deref(), "must be http/protobuf, which every collector accepts on port 4318");
    None
}

fn read_sampling(env: &mut EnvVars) -> Option<Sampling> {
    let sampler = env.optional(SAMPLER, Sampler { uses_ratio: false, sampling: Sampling::default() })?;
    let ratio = env.optional(RATIO, 1.0)?;
    if !(0.0..=1.0).contains(&ratio) {
        env.error(RATIO, Some(&ratio.to_string()), "must be from 0 to 1");
        return None;
    }
    Some(if sampler.uses_ratio { Sampling { ratio, ..sampler.sampling } } else { sampler.sampling })
}

struct Sampler {
    /// The ratio is that of `OTEL_TRACES_SAMPLER_ARG`.
    uses_ratio: bool,
    sampling: Sampling,
}

impl FromStr for Sampler {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (keep_decision, own) = match text.strip_prefix("parentbased_") {
            Some(own) => (true, own),
            None => (false, text),
        };
        let (uses_ratio, ratio) = match own {
            "always_on" => (false, 1.0),
            "always_off" => (false, 0.0),
            "traceidratio" => (true, 1.0),
            _ => return Err("must be always_on, always_off or traceidratio, or one of these after parentbased_"),
        };
        Ok(Self { uses_ratio, sampling: Sampling { ratio, keep_decision } })
    }
}

/// `name=value` with commas between, values percent-encoded.
fn read_pairs(env: &mut EnvVars, setting: Setting) -> Option<Vec<(String, String)>> {
    let Some(text) = env.text(setting.name) else { return Some(vec![]) };
    let pairs: Option<Vec<_>> = parts(&text)
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let is_text = !value.chars().any(char::is_control) && !name.trim().is_empty();
            is_text.then(|| (name.trim().to_owned(), value.into_owned()))
        })
        .collect();
    if pairs.is_none() {
        env.error(setting, Some(&text), "must be name=value, with commas between");
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<TracesConfig>, String> {
        let mut env = EnvVars::from_pairs(pairs.iter().copied());
        let read = TracesConfig::read(&mut env);
        env.finish(read).map_err(|error| error.to_string())
    }

    #[test]
    fn endpoint_switches_the_export_on() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318/");
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        let read_endpoint = |pairs: &[_]| read(pairs).expect("valid").expect("on").endpoint.to_string();
        assert_eq!(read_endpoint(&[endpoint]), "http://collector.example:4318/v1/traces");
        let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector.example/spans");
        assert_eq!(read_endpoint(&[endpoint, exact]), "http://collector.example/spans");
    }

    #[test]
    fn standard_variables_are_understood() {
        let found = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret, x-team = payments"),
            ("OTEL_SERVICE_NAME", "psp"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let found = found.expect("valid").expect("on");
        let headers: Vec<_> = found.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(headers, [("authorization", "Bearer s3cret"), ("x-team", "payments")]);
        assert_eq!(found.sampling, Sampling { ratio: 0.25, keep_decision: true });
        assert_eq!(found.service.as_deref(), Some("psp"));
        assert_eq!(found.attributes, [("deployment.environment.name".to_owned(), "test".to_owned())]);
        assert!(!format!("{found:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318");
        for (name, value, problem) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret", "unencrypted"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret", "must be name=value"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector.example", "http or https"),
            ("OTEL_TRACES_SAMPLER", "sometimes", "must be always_on"),
            ("OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "from 1 to"),
        ] {
            let error = read(&[endpoint, (name, value)]).expect_err(name);
            assert!(error.contains(problem) && !error.contains("s3cret"), "{name}: {error}");
        }
    }
}
