//! The errors that an operation declares in its signature, and the problems that they become.

use std::marker::PhantomData;

use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::problem::{MEDIA_TYPE, Problem, ProblemBody, ProblemCode};
use crate::db::DbError;
use crate::db::error::Unavailability;
use crate::operations::metrics_cache::MetricsError;
use crate::redis::RedisError;

/// An error that an operation answers as a [`Problem`]. It is implemented next to the operation.
pub(in crate::web) trait Failure {
    /// The kinds of problem that it may become. Those that every operation may answer ([`UNDECLARED`]) are left out.
    const CODES: &'static [ProblemCode];

    fn into_problem(self) -> Problem;
}

/// Problems that operations do not declare: the document lists 500 for every operation, 429 for all but those of health, 503 for
/// those that need a key, 403 for those that need a role or cover projects, and 400 and 422 for those with input
/// (`openapi::postprocess`).
const UNDECLARED: [ProblemCode; 6] = [
    ProblemCode::BadRequest,
    ProblemCode::Forbidden,
    ProblemCode::RateLimited,
    ProblemCode::ValidationError,
    ProblemCode::InternalError,
    ProblemCode::ServiceUnavailable,
];

/// Errors that an operation declares: none as `()`, one, or several as a tuple.
pub(in crate::web) trait Failures: 'static {
    const CODES: &'static [&'static [ProblemCode]];
}

impl Failures for () {
    const CODES: &'static [&'static [ProblemCode]] = &[];
}

impl<A: Failure + 'static> Failures for A {
    const CODES: &'static [&'static [ProblemCode]] = &[A::CODES];
}

impl<A: Failure + 'static, B: Failure + 'static> Failures for (A, B) {
    const CODES: &'static [&'static [ProblemCode]] = &[A::CODES, B::CODES];
}

/// The error type of an operation: `Result<Json<Job>, Fails<NotFound>>` answers a job, the problems of [`NotFound`], or a
/// problem that every operation may answer. The document lists the same. An error that is not declared does not compile.
#[derive(Debug)]
pub(in crate::web) struct Fails<F = ()> {
    problem: Problem,
    declared: PhantomData<fn() -> F>,
}

impl<F: Failures, E: Failure> From<E> for Fails<F> {
    fn from(error: E) -> Self {
        const { assert!(declares(F::CODES, E::CODES), "the operation does not declare this error: add it to Fails<...>") };
        error.into_problem().into()
    }
}

impl<F: Failures> From<Problem> for Fails<F> {
    fn from(problem: Problem) -> Self {
        let codes = || F::CODES.iter().copied().flatten().chain(&UNDECLARED);
        debug_assert!(codes().any(|code| *code == problem.code), "the operation does not declare {:?}", problem.code);
        Self { problem, declared: PhantomData }
    }
}

impl<E: Failure> From<E> for Problem {
    fn from(error: E) -> Self {
        error.into_problem()
    }
}

impl<F> From<Fails<F>> for poem::Error {
    fn from(failed: Fails<F>) -> Self {
        failed.problem.into()
    }
}

const fn declares(declared: &[&[ProblemCode]], codes: &[ProblemCode]) -> bool {
    let mut all = true;
    let mut index = 0;
    while index < codes.len() {
        let (mut found, mut list) = (false, 0);
        while list < declared.len() {
            let mut place = 0;
            while place < declared[list].len() {
                found |= declared[list][place] as u8 == codes[index] as u8;
                place += 1;
            }
            list += 1;
        }
        all &= found;
        index += 1;
    }
    all
}

impl<F: Failures> ApiResponse for Fails<F> {
    fn meta() -> MetaResponses {
        let responses = F::CODES.iter().copied().flatten().map(|code| MetaResponse {
            description: code.title(),
            status: Some(code.status().as_u16()),
            status_range: None,
            content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: ProblemBody::schema_ref() }],
            headers: vec![],
        });
        MetaResponses { responses: responses.collect() }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

/// Nothing has the requested id or name; the text says what does not exist.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct NotFound(pub(in crate::web) &'static str);

impl Failure for NotFound {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound];

    fn into_problem(self) -> Problem {
        Problem::new(ProblemCode::NotFound, format!("there is no such {}", self.0))
    }
}

const TOO_SLOW: &str = "the query took too long and was cancelled: narrow the period or the filters, or create an export (POST /api/v1/exports)";

impl Failure for DbError {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        match self {
            Self::Unavailable(_) => Problem::unavailable(&database_advice(&self), self),
            Self::Conflict(_) => Problem::unavailable("a concurrent request came first; try again", self),
            Self::TimedOut(_) => Problem::unavailable(TOO_SLOW, self),
            Self::ClaimLost | Self::TransactionPooling | Self::Impossible { .. } | Self::Statement(_) => {
                Problem::internal(self)
            }
        }
    }
}

/// What a client reads if the database is unavailable: what is wrong, and what an operator can do.
fn database_advice(error: &DbError) -> String {
    match error.unavailability() {
        None | Some(Unavailability::Unreachable) => "the database is unavailable; try again later".to_owned(),
        Some(reason) => format!("{}: {}; try again later", reason.problem(), reason.advice()),
    }
}

impl Failure for MetricsError {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        match self.database() {
            DbError::TimedOut(_) => Problem::unavailable(TOO_SLOW, self),
            error if error.is_transient() => Problem::unavailable(&database_advice(error), self),
            _ => Problem::internal(self),
        }
    }
}

impl Failure for RedisError {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        match self {
            Self::Redis(_) => Problem::unavailable(&format!("{}; try again later", self.advice()), self),
            Self::Queue(_) => Problem::unavailable("Redis is unavailable; try again later", self),
            Self::Message(_) | Self::Shared { .. } => Problem::internal(self),
        }
    }
}
