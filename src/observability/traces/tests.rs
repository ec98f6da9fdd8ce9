use std::sync::{Arc, Mutex};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TraceId as ExportedTraceId};
use opentelemetry_sdk::trace::SpanData;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::domain::trace::Sampling;

const CAUSE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What is exported while `run` runs.
fn exported(sampling: Sampling, run: impl FnOnce()) -> Vec<SpanData> {
    let ended = Arc::new(Mutex::new(vec![]));
    let into = Arc::clone(&ended);
    let layer = TraceLayer::new(sampling, Some(Box::new(move |step| into.lock().expect("no panic").push(step))));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, run);
    let ended = ended.lock().expect("no panic");
    ended.clone()
}

fn cause() -> TraceContext {
    CAUSE.parse().expect("a traceparent")
}

#[test]
fn steps_share_the_trace_of_their_cause() {
    let mut seen = vec![];
    let steps = exported(Sampling::default(), || {
        let span = info_span!("request");
        let started = start(Work::Request, Some(cause()));
        started.attach(&span);
        let _entered = span.entered();
        seen.push(current().expect("within a unit of work"));
        assert_eq!(seen[0], started.context);
        describe(|step| step.rename("GET /api".to_owned()));
        let call = info_span!("call").entered();
        seen.push(current().expect("within a unit of work"));
        describe(|step| {
            step.mark_as_call();
            step.set("psp.provider", "vima");
            step.fail("unavailable");
            step.link(cause());
        });
        drop(call);
    });
    let [call, request] = &steps[..] else { panic!("{steps:?}") };
    let trace_id = ExportedTraceId::from(cause().trace_id.bits());
    for step in &steps {
        assert_eq!(step.span_context.trace_id(), trace_id);
    }
    assert_eq!((request.name.as_ref(), &request.span_kind), ("GET /api", &SpanKind::Server));
    assert_eq!(request.parent_span_id, opentelemetry::SpanId::from(cause().span_id.bits()));
    assert_eq!((call.parent_span_id, &call.span_kind), (request.span_context.span_id(), &SpanKind::Client));
    assert_eq!(call.span_context.span_id(), opentelemetry::SpanId::from(seen[1].span_id.bits()));
    assert_eq!(call.attributes, [KeyValue::new("psp.provider", "vima")]);
    assert_eq!(call.status, Status::error("unavailable"));
    assert_eq!(call.links.links[0].span_context.trace_id(), trace_id);
}

#[test]
fn what_is_not_sampled_has_ids_and_is_not_exported() {
    let steps = exported(Sampling { ratio: 0.0, keep_decision: true }, || {
        let span = info_span!("tick");
        let started = start(Work::Own, None);
        assert!(!started.context.sampled);
        started.attach(&span);
        let _entered = span.entered();
        assert_eq!(current(), Some(started.context));
    });
    assert_eq!(steps, []);
}

#[test]
fn work_that_is_kept_out_of_the_export_keeps_its_steps_out() {
    let steps = exported(Sampling::default(), || {
        let span = info_span!("request");
        let started = start(Work::Request, Some(cause())).not_exported();
        started.attach(&span);
        let _entered = span.entered();
        let _call = info_span!("call").entered();
        let found = current().expect("within a unit of work");
        assert_eq!((found.trace_id, found.sampled), (cause().trace_id, false));
    });
    assert_eq!(steps, []);
}

#[test]
fn without_a_collector_there_are_ids_and_nothing_else() {
    let subscriber = tracing_subscriber::registry().with(TraceLayer::new(Sampling::default(), None));
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("request");
        let started = start(Work::Request, Some(cause()));
        started.attach(&span);
        let _entered = span.entered();
        let _call = info_span!("call").entered();
        assert_eq!(current(), Some(started.context), "spans within have no ids of their own");
        describe(|_| panic!("nobody would see the description"));
    });
}

#[test]
fn spans_outside_of_any_work_are_no_steps() {
    let steps = exported(Sampling::default(), || {
        let _entered = info_span!("startup").entered();
        assert_eq!(current(), None);
        describe(|_| panic!("there is no step"));
    });
    assert_eq!(steps, []);
}
