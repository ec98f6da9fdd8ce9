//! Audits requests as the access policy says.
//!
//! A handler that changes something appends its entry in the transaction of the change. Whatever it leaves out is recorded here:
//! calls that changed nothing, failed, or were refused. So no operation of the table can be called without an entry, also if its
//! handler forgets to append one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use poem::{FromRequest, Request, RequestBody, Response};
use serde_json::json;
use sqlx::PgPool;
use tracing::Instrument;

use super::credentials::Credential;
use super::policy::{AuditRule, Policy};
use crate::clock::SharedClock;
use crate::domain::access::Principal;
use crate::operations::audit::{AuditContext, AuditRecord, SUCCEEDED};
use crate::web::http::client_address::Client;
use crate::web::http::middleware::RequestId;
use crate::web::http::problem::Problem;

/// How many refused requests of an address are recorded each minute; the others only by their number.
const REFUSALS_PER_ADDRESS: u64 = 10;
/// The same for all addresses together.
const REFUSALS_IN_TOTAL: u64 = 200;
/// How much of a path is recorded.
const MAX_PATH_LENGTH: usize = 300;
/// Also of a call that changed nothing.
const REFUSED: &str = "refused";

pub(in crate::web) struct Auditor {
    pool: PgPool,
    clock: SharedClock,
    refusals: Mutex<Refusals>,
}

impl Auditor {
    pub(in crate::web) fn new(pool: PgPool, clock: SharedClock) -> Self {
        Self { pool, clock, refusals: Mutex::default() }
    }

    /// Records what the handler has not recorded itself. On an error, the caller must not get a successful response.
    pub(super) async fn complete(
        &self,
        audit: &AuditContext,
        path: &str,
        result: &poem::Result<Response>,
    ) -> Result<(), Problem> {
        let status = match result {
            Ok(response) => response.status(),
            Err(error) => error.status(),
        };
        if audit.is_recorded() && status.as_u16() < 400 {
            return Ok(());
        }
        let record = record_of(path, status, outcome_of(status));
        let recorded = audit.record(&self.pool, &record, self.clock.now()).await;
        match recorded {
            Ok(_) => Ok(()),
            Err(error) if status.as_u16() < 400 => Err(error.into()),
            Err(error) => {
                tracing::error!(%error, operation = audit.operation, "failed to audit a failed request: {error}");
                Ok(())
            }
        }
    }

    /// Records a refused request in the background, if it matters: one with a wrong key, or one for an audited operation.
    pub(super) fn refused(
        self: &Arc<Self>,
        audit: AuditContext,
        policy: &Policy,
        request: &Request,
        status: StatusCode,
    ) {
        let matters = match status {
            StatusCode::UNAUTHORIZED => {
                policy.audit == AuditRule::Always || Credential::sent(request, policy.accepts_ticket()).is_some()
            }
            StatusCode::FORBIDDEN => policy.audit != AuditRule::Never,
            _ => false,
        };
        if !matters {
            return;
        }
        let now = self.clock.now();
        let noted = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).note(audit.address, now);
        match noted {
            Noted::Record => {
                let (auditor, path) = (Arc::clone(self), request.uri().path().to_owned());
                let writing = async move { auditor.write_refusal(audit, record_of(&path, status, REFUSED)).await };
                tokio::spawn(writing.in_current_span());
            }
            Noted::Omit { first: true, omitted, until, address } => {
                let auditor = Arc::clone(self);
                let mut context = AuditContext::new(Principal::unknown(), "refusedRequests");
                context.address = address;
                tokio::spawn(async move {
                    tokio::time::sleep(until).await;
                    let details = json!({"not_recorded": omitted.load(Ordering::Relaxed)});
                    let record = AuditRecord { details, outcome: Some(REFUSED), ..AuditRecord::default() };
                    auditor.write_refusal(context, record).await;
                });
            }
            Noted::Omit { .. } => {}
        }
    }

    async fn write_refusal(&self, audit: AuditContext, record: AuditRecord<'static>) {
        if let Err(error) = audit.record(&self.pool, &record, self.clock.now()).await {
            tracing::error!(%error, operation = audit.operation, "failed to audit a refused request: {error}");
        }
    }
}

/// The context of a request whose caller is not known yet.
pub(super) fn context_of(request: &Request, policy: &'static Policy) -> AuditContext {
    let id = request.extensions().get::<RequestId>();
    let mut audit = AuditContext::new(Principal::unknown(), policy.operation);
    audit.address = request.extensions().get::<Client>().and_then(|client| client.address);
    audit.request_id = id.map(|id| id.generated);
    audit.client_request_id = id.and_then(|id| id.sent.clone());
    audit
}

fn record_of(path: &str, status: StatusCode, outcome: &'static str) -> AuditRecord<'static> {
    let path: String = path.chars().take(MAX_PATH_LENGTH).collect();
    AuditRecord {
        details: json!({"path": path, "status": status.as_u16()}),
        outcome: Some(outcome),
        ..AuditRecord::default()
    }
}

fn outcome_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..400 => SUCCEEDED,
        401 | 403 | 429 => REFUSED,
        400..500 => "rejected",
        _ => "failed",
    }
}

/// The refused requests of the current minute. An attacker must not be able to fill the disk with entries.
#[derive(Default)]
struct Refusals {
    minute: i64,
    recorded: u64,
    by_address: HashMap<Option<IpAddr>, Refused>,
    /// Those of addresses that are not counted by themselves.
    others: Refused,
}

#[derive(Default)]
struct Refused {
    recorded: u64,
    omitted: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Noted {
    Record,
    Omit {
        /// Whether it is the first one of the address that is left out in this minute.
        first: bool,
        omitted: Arc<AtomicU64>,
        /// How long the minute lasts.
        until: Duration,
        address: Option<IpAddr>,
    },
}

impl Refusals {
    fn note(&mut self, address: Option<IpAddr>, now: DateTime<Utc>) -> Noted {
        let minute = now.timestamp().div_euclid(60);
        if minute != self.minute {
            *self = Self { minute, ..Self::default() };
        }
        let is_full = self.recorded >= REFUSALS_IN_TOTAL;
        let (refused, address) = if is_full && !self.by_address.contains_key(&address) {
            (&mut self.others, None)
        } else {
            (self.by_address.entry(address).or_default(), address)
        };
        if !is_full && refused.recorded < REFUSALS_PER_ADDRESS {
            refused.recorded += 1;
            self.recorded += 1;
            return Noted::Record;
        }
        let first = refused.omitted.fetch_add(1, Ordering::Relaxed) == 0;
        let until = Duration::from_secs((60 - now.timestamp().rem_euclid(60)).unsigned_abs());
        Noted::Omit { first, omitted: Arc::clone(&refused.omitted), until, address }
    }
}

impl<'a> FromRequest<'a> for AuditContext {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let audit = request.extensions().get::<Self>().cloned();
        Ok(audit.ok_or_else(|| Problem::internal("a handler audits, but its access policy needs no key"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_recorded_up_to_a_number_per_minute() {
        let mut refusals = Refusals::default();
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let address = |number: u8| Some(IpAddr::from([10, 0, 0, number]));
        let mut count = |number, time: &str, times: usize| {
            let noted: Vec<Noted> = (0..times).map(|_| refusals.note(address(number), at(time))).collect();
            let recorded = noted.iter().filter(|noted| matches!(noted, Noted::Record)).count();
            let summaries = noted.iter().filter(|noted| matches!(noted, Noted::Omit { first: true, .. })).count();
            (recorded, summaries)
        };
        assert_eq!(count(1, "2026-01-15T23:59:30Z", 25), (10, 1));
        assert_eq!(count(2, "2026-01-15T23:59:31Z", 3), (3, 0), "another address");
        assert_eq!(count(1, "2026-01-15T23:59:59Z", 25), (0, 0), "one summary per minute");
        assert_eq!(count(1, "2026-01-16T00:00:00Z", 11), (10, 1), "the next minute");
        let of_many: Vec<_> = (10..=250).map(|number| count(number, "2026-01-16T00:00:01Z", 1)).collect();
        assert_eq!(of_many.iter().map(|(recorded, _)| recorded).sum::<usize>(), 190, "in total");
        assert_eq!(of_many.iter().map(|(_, summaries)| summaries).sum::<usize>(), 1, "one summary of all others");
        assert!(refusals.by_address.len() <= 200);
    }

    #[test]
    fn summary_has_the_number_of_those_left_out() {
        let mut refusals = Refusals::default();
        let now = "2026-01-15T10:00:45Z".parse().expect("a time");
        let last = (0..25).map(|_| refusals.note(None, now)).last();
        let Some(Noted::Omit { omitted, until, .. }) = last else { panic!("{last:?}") };
        assert_eq!((omitted.load(Ordering::Relaxed), until), (15, Duration::from_secs(15)));
    }
}
