//! Which trace a unit of work belongs to, as W3C Trace Context writes it.
//!
//! Random ids come from the caller: the domain has no source of chance.

use std::fmt::{self, Write};
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::job::JobId;

/// The bit of the flags that says that the trace is exported.
const SAMPLED: u8 = 1;
/// The length of a `traceparent` of version 00; later versions may continue after it.
const LENGTH: usize = 55;

/// What a request or a tick causes, across processes. As 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId(NonZeroU128);

/// One step of a trace. As 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

/// A `traceparent`: the step that causes others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// Whether the trace is exported, if there is a collector.
    pub sampled: bool,
}

/// A text that is not a `traceparent`, or not a trace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a trace as version 00 of W3C Trace Context, for example 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)]
pub struct InvalidTrace;

impl TraceId {
    /// Zero, which is not an id, becomes one.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self(NonZeroU128::new(bits).unwrap_or(NonZeroU128::MIN))
    }

    /// The trace of a job: that of what enqueued it. A job without a known cause (of a release without traces, or of the
    /// maintenance of a worker) has one that is the same for each of its attempts.
    #[must_use]
    pub fn of_job(job_id: JobId, cause: Option<TraceContext>) -> Self {
        cause.map_or_else(|| Self::from_random(job_id.0.as_u128()), |cause| cause.trace_id)
    }

    #[must_use]
    pub fn bits(self) -> u128 {
        self.0.get()
    }
}

impl SpanId {
    /// Zero, which is not an id, becomes one.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    #[must_use]
    pub fn bits(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl TraceContext {
    /// As a `traceparent`, in one allocation.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut text = String::with_capacity(LENGTH);
        // Writing to a text cannot fail.
        let _written = write!(text, "{self}");
        text
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { SAMPLED } else { 0 };
        write!(out, "00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TraceId {
    type Error = InvalidTrace;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for TraceId {
    type Err = InvalidTrace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bits = hexadecimal(text, 32).and_then(NonZeroU128::new);
        bits.map(Self).ok_or(InvalidTrace)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTrace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (known, later) = text.split_at_checked(LENGTH).ok_or(InvalidTrace)?;
        let fields: Vec<&str> = known.split('-').collect();
        let [version, trace_id, span_id, flags] = fields[..] else { return Err(InvalidTrace) };
        let version = hexadecimal(version, 2).ok_or(InvalidTrace)?;
        let is_known = version == 0 && later.is_empty();
        let is_later = (1..0xff).contains(&version) && (later.is_empty() || later.starts_with('-'));
        let flags = hexadecimal(flags, 2).ok_or(InvalidTrace)?;
        let span_id = hexadecimal(span_id, 16).and_then(|bits| u64::try_from(bits).ok()).and_then(NonZeroU64::new);
        if !is_known && !is_later {
            return Err(InvalidTrace);
        }
        Ok(Self {
            trace_id: trace_id.parse()?,
            span_id: SpanId(span_id.ok_or(InvalidTrace)?),
            sampled: flags & u128::from(SAMPLED) != 0,
        })
    }
}

/// The standard has lower-case digits only.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_valid = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Which traces are exported (`OTEL_TRACES_SAMPLER`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The part of the traces that begin here, from 0 to 1.
    pub ratio: f64,
    /// Whether a trace that began elsewhere keeps its flag.
    pub keep_decision: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { ratio: 1.0, keep_decision: true }
    }
}

impl Sampling {
    /// Decides by the id, so that every process decides the same. `parent` is the decision that came with the trace.
    #[must_use]
    pub fn samples(self, trace_id: TraceId, parent: Option<bool>) -> bool {
        match parent {
            Some(sampled) if self.keep_decision => sampled,
            _ => self.includes(trace_id),
        }
    }

    /// By the low 53 bits, which are random even in the id of a job, and exact as a float.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn includes(self, trace_id: TraceId) -> bool {
        let low = (trace_id.bits() & ((1 << 53) - 1)) as u64;
        (low as f64) < self.ratio * (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn traceparent_round_trips() {
        for text in [VALID, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"] {
            let context: TraceContext = text.parse().expect(text);
            assert_eq!((context.to_string().as_str(), context.to_text().as_str()), (text, text));
        }
        let trace_id: TraceId = serde_json::from_str(r#""0af7651916cd43dd8448eb211c80319c""#).expect("an id");
        assert_eq!(serde_json::to_string(&trace_id).expect("a text"), r#""0af7651916cd43dd8448eb211c80319c""#);
    }

    #[test]
    fn only_valid_traceparents_are_accepted() {
        let (later, later_fields) = (VALID.replacen("00", "01", 1), format!("{}-more", VALID.replacen("00", "01", 1)));
        for (text, accepted) in [
            (VALID, true),
            (later.as_str(), true),
            (later_fields.as_str(), true),
            ("", false),
            ("00", false),
            (&*format!("{VALID}-more"), false),
            (&*format!("{later}more"), false),
            (&*VALID.to_uppercase(), false),
            (&*VALID.replacen("00", "ff", 1), false),
            (&*VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)), false),
            (&*VALID.replace("b7ad6b7169203331", &"0".repeat(16)), false),
            (&*VALID.replace('-', "_"), false),
            (&*VALID.replace("0af", "+af"), false),
            (&*"é".repeat(30), false),
        ] {
            assert_eq!(text.parse::<TraceContext>().is_ok(), accepted, "{text}");
        }
    }

    #[test]
    fn sampling_is_by_id_unless_the_caller_has_decided() {
        let id = TraceId::of_job(JobId(Uuid::from_u128(1 << 52)), None);
        for (ratio, keep_decision, parent, expected) in [
            (1.0, true, None, true),
            (0.0, true, None, false),
            (0.75, true, None, true),
            (0.25, true, None, false),
            (1.0, true, Some(false), false),
            (0.0, true, Some(true), true),
            (1.0, false, Some(false), true),
            (0.0, false, Some(true), false),
        ] {
            let sampling = Sampling { ratio, keep_decision };
            assert_eq!(sampling.samples(id, parent), expected, "{sampling:?} {parent:?}");
        }
    }
}
