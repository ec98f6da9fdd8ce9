//! `GET /sandbox/truth` and what it is made of.

use std::{io, sync::Arc};

use futures_util::stream::{self, Stream};
use poem::{Body, Response, handler, http::StatusCode, web::Data, web::Query};
use serde::Deserialize;

use crate::{
    Sandbox,
    http::answer::json,
    json::{self, object},
    payshack::{Kind, Transactions},
    truth,
    truth::Row,
};

/// Rows written under one hold of the lock.
const AT_A_TIME: usize = 500;

#[handler]
pub(crate) fn summary(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, sandbox.truth())
}

#[handler]
pub(crate) fn discrepancies(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    let mut out = String::new();
    json::array(&mut out, truth::discrepancies(&sandbox.state()), |out, finding| {
        object(out, |o| finding.write(o));
    });
    json(StatusCode::OK, out)
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Vima,
    PayShack,
}

/// Which list.
#[derive(Clone, Copy, Deserialize)]
struct Which {
    source: Source,
    kind: Option<Kind>,
}

#[handler]
pub(crate) fn records(Query(which): Query<Which>, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, Body::from_bytes_stream(streamed(Arc::clone(sandbox), which)))
}

fn streamed(sandbox: Arc<Sandbox>, which: Which) -> impl Stream<Item = io::Result<String>> {
    stream::unfold(Some((0, true)), move |at| {
        let chunk = at.map(|(from, first)| chunk(&sandbox, which, from, first));
        async move { chunk.map(|(text, next)| (Ok(text), next)) }
    })
}

/// Some rows as text, and where the next chunk begins: its place, and whether nothing has been written yet.
fn chunk(sandbox: &Sandbox, which: Which, from: usize, mut first: bool) -> (String, Option<(usize, bool)>) {
    let rows = rows(sandbox, which, from);
    let mut out = String::from(if from == 0 { "[" } else { "" });
    let Some(rows) = rows else {
        out.push(']');
        return (out, None);
    };
    for row in rows {
        if !first {
            out.push_str(",\n");
        }
        first = false;
        object(&mut out, |o| row.write(o));
    }
    (out, Some((from + AT_A_TIME, first)))
}

fn rows(sandbox: &Sandbox, which: Which, from: usize) -> Option<Vec<Row>> {
    let state = sandbox.state();
    let of = |store: &Transactions| {
        rows_of(from, store.entries().len(), |place| store.entries()[place].row().filter(|_| store.counts(place)))
    };
    match (which.source, which.kind.unwrap_or(Kind::Payin)) {
        (Source::Vima, Kind::Payin) => {
            let store = &state.operations;
            rows_of(from, store.entries().len(), |place| store.entries()[place].row().filter(|_| store.counts(place)))
        }
        (Source::Vima, Kind::Payout) => None,
        (Source::PayShack, Kind::Payin) => of(&state.payins),
        (Source::PayShack, Kind::Payout) => of(&state.payouts),
    }
}

fn rows_of(from: usize, length: usize, row: impl Fn(usize) -> Option<Row>) -> Option<Vec<Row>> {
    (from < length).then(|| (from..length.min(from + AT_A_TIME)).filter_map(row).collect())
}
