//! Requests old payments again that are still open: pay-ins by id, pay-outs by day.
//!
//! An update of a payment that is older than the window would never be read otherwise. It is work besides the run: a payment
//! that PayShack does not know any more, or a request that fails, is a warning, and that payment waits longer for its next
//! turn. After a failure that concerns more than one payment nothing more is requested in this run.

use futures_util::future::join_all;
use psp_dashboard::domain::recheck::{Recheck, RecheckOutcome, RecheckTarget};
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::sync::Stream;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::payshack::PayshackClient;

use super::day_reader::DayReader;
use crate::kinds::sync_run::PageSender;

/// How many payments are requested concurrently.
const IN_FLIGHT: usize = 4;

/// Requests payments again, and returns what became of each that was requested.
pub async fn fetch_due(
    payshack: &PayshackClient,
    due: Vec<Recheck>,
    pages: &PageSender,
) -> Vec<(Recheck, RecheckOutcome)> {
    let mut rechecked = vec![];
    for some in due.chunks(IN_FLIGHT) {
        let outcomes = join_all(some.iter().map(|recheck| fetch(payshack, &recheck.target, pages))).await;
        let failed = outcomes.contains(&RecheckOutcome::Failed);
        rechecked.extend(some.iter().cloned().zip(outcomes));
        if failed {
            break;
        }
    }
    rechecked
}

async fn fetch(payshack: &PayshackClient, target: &RecheckTarget, pages: &PageSender) -> RecheckOutcome {
    let read = match target {
        RecheckTarget::Payin(id) => fetch_payin(payshack, id, pages).await,
        RecheckTarget::PayoutsOf(day) => {
            let reader = DayReader { stream: Stream::PayshackPayouts, day: *day, open_end: false, in_flight: 1 };
            reader.read(payshack, pages).await.map(|_| RecheckOutcome::Read)
        }
    };
    match read {
        Ok(RecheckOutcome::NotFound) => {
            tracing::warn!(?target, "PayShack no longer knows an open payment");
            RecheckOutcome::NotFound
        }
        Ok(outcome) => outcome,
        Err(error) if is_about_the_payment(&error) => {
            tracing::warn!(?target, %error, "PayShack refused a request for an open payment");
            RecheckOutcome::NotFound
        }
        Err(error) => {
            tracing::warn!(?target, %error, "an open payment could not be requested again");
            RecheckOutcome::Failed
        }
    }
}

/// Other refusals, such as of the credentials, would be the same for every payment.
fn is_about_the_payment(error: &ProviderError) -> bool {
    matches!(error, ProviderError::Refused { status: 200 | 400..500, .. })
}

async fn fetch_payin(payshack: &PayshackClient, id: &str, pages: &PageSender) -> Result<RecheckOutcome, ProviderError> {
    let page = payshack.payin_by_transaction_id(id).await?;
    let found = page.records.iter().any(|record| source_id(record) == Some(id));
    if !page.records.is_empty() {
        pages.send(Page::new(Stream::PayshackPayins, page.records, Checkpoint::None)).await;
    }
    Ok(if found { RecheckOutcome::Read } else { RecheckOutcome::NotFound })
}

fn source_id(record: &Record) -> Option<&str> {
    match record {
        Record::Payment(payment) => Some(&payment.key.source_id),
        Record::Malformed(malformed) => malformed.source_id.as_deref(),
    }
}
