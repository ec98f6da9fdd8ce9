//! `GET /sandbox/truth` and its parts.

use std::{io, sync::Arc};

use futures_util::stream::{self, Stream};
use poem::{Body, Response, handler, http::StatusCode, web::Data, web::Query};
use serde::Deserialize;

use crate::{
    Sandbox,
    ground_truth::{self, NormalizedRecord},
    http::response::json,
    json_writer::{self, object},
    payshack::TransactionKind,
    provider::Provider,
};

/// Records written per lock of the state.
const CHUNK_SIZE: usize = 500;

#[handler]
pub(crate) fn summary(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, sandbox.ground_truth())
}

#[handler]
pub(crate) fn discrepancies(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    let mut out = String::new();
    json_writer::array(&mut out, ground_truth::discrepancies(&sandbox.state()), |out, finding| {
        object(out, |o| finding.write(o));
    });
    json(StatusCode::OK, out)
}

#[derive(Clone, Copy, Deserialize)]
struct RecordsQuery {
    source: Provider,
    kind: Option<TransactionKind>,
}

#[handler]
pub(crate) fn records(Query(query): Query<RecordsQuery>, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, Body::from_bytes_stream(record_stream(Arc::clone(sandbox), query)))
}

fn record_stream(sandbox: Arc<Sandbox>, query: RecordsQuery) -> impl Stream<Item = io::Result<String>> {
    stream::unfold(Some((0, true)), move |position| {
        let chunk = position.map(|(from, first)| write_chunk(&sandbox, query, from, first));
        async move { chunk.map(|(text, next)| (Ok(text), next)) }
    })
}

/// Returns a chunk as text, and for the next chunk its first index and whether no record has been written yet.
fn write_chunk(
    sandbox: &Sandbox,
    query: RecordsQuery,
    from: usize,
    mut first: bool,
) -> (String, Option<(usize, bool)>) {
    let mut out = String::from(if from == 0 { "[" } else { "" });
    let Some(chunk) = read_chunk(sandbox, query, from) else {
        out.push(']');
        return (out, None);
    };
    for record in chunk {
        if !first {
            out.push_str(",\n");
        }
        first = false;
        object(&mut out, |o| record.write(o));
    }
    (out, Some((from + CHUNK_SIZE, first)))
}

/// `None` after the last record.
fn read_chunk(sandbox: &Sandbox, query: RecordsQuery, from: usize) -> Option<Vec<NormalizedRecord>> {
    let state = sandbox.state();
    match (query.source, query.kind.unwrap_or(TransactionKind::Payin)) {
        (Provider::Vima, TransactionKind::Payin) => {
            let store = &state.operations;
            take_chunk(from, store.entries().len(), |index| store.newest_version(index))
        }
        (Provider::Vima, TransactionKind::Payout) => None,
        (Provider::PayShack, kind) => {
            let store = state.transactions(kind);
            take_chunk(from, store.entries().len(), |index| store.newest_version(index))
        }
    }
}

fn take_chunk(
    from: usize,
    length: usize,
    record: impl Fn(usize) -> Option<NormalizedRecord>,
) -> Option<Vec<NormalizedRecord>> {
    (from < length).then(|| (from..length.min(from + CHUNK_SIZE)).filter_map(record).collect())
}
