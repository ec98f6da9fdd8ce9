//! Says of one payment what was last found of it, and which row of the other source is about the same.
//!
//! Both are answered together, for they must not contradict each other: the row that a run held a payment against is its
//! counterpart; only where no run names one do the rules decide, by the settings as they are now.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::reconciliation::last_findings;
use crate::db::reconciliation::last_findings::DiscrepancyRef;
use crate::db::snapshot::Snapshot;
use crate::db::transactions::search::FoundTransaction;
use crate::domain::reconciliation::last_finding::{Evidence, Finding};
use crate::domain::reconciliation::{MatchStatus, Parameters};
use crate::domain::transaction::{Kind, Source};

/// What is known of a payment beside its own record.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// What was last found of it, if it ever was looked at.
    pub known: Option<KnownFinding>,
    /// The other source's record of the same payment.
    pub counterpart: Option<Uuid>,
}

/// What was last found of a payment, and what has become of that.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownFinding {
    /// What was found.
    pub finding: Finding,
    /// The case about it, where one was opened.
    pub case: Option<DiscrepancyRef>,
    /// Whether a row has changed since.
    pub changed_since: bool,
}

/// Looks up what is known of `payment`; `parameters` are the rules as they are now.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn explain_payment(
    pool: &PgPool,
    payment: &FoundTransaction,
    parameters: &Parameters,
) -> Result<Explained, DbError> {
    let mut snapshot = Snapshot::open(pool).await?;
    let evidence = gather(snapshot.connection()?, payment).await?;
    let known = match evidence.last_finding(payment.id) {
        Some(finding) => Some(follow(snapshot.connection()?, payment.id, finding).await?),
        None => None,
    };
    snapshot.close().await?;
    let named = known.as_ref().and_then(|known| known.finding.counterpart_of(payment.id));
    let counterpart = named.or_else(|| evidence.counterpart(payment.id, parameters));
    Ok(Explained { known, counterpart })
}

async fn gather(snapshot: &mut PgConnection, payment: &FoundTransaction) -> Result<Evidence, DbError> {
    let key = match payment.source {
        Source::Vima => &payment.client_operation_id,
        Source::Payshack => &payment.order_id,
    };
    let rows = match key {
        Some(key) => last_findings::list_rows(snapshot, payment.kind, key, payment.created_at).await?,
        None => vec![],
    };
    if payment.kind != Kind::Payin {
        return Ok(Evidence { rows, findings: vec![], runs: vec![] });
    }
    // A pair belongs to the day of its Vima row.
    let days = rows.iter().map(|stored| &stored.row).filter(|row| row.source == Source::Vima);
    let runs = last_findings::list_runs(snapshot, days.map(|row| row.created_at)).await?;
    let ids: Vec<Uuid> = rows.iter().map(|stored| stored.row.id).chain([payment.id]).collect();
    let findings = last_findings::list_findings(snapshot, &ids).await?;
    Ok(Evidence { rows, findings, runs })
}

async fn follow(snapshot: &mut PgConnection, payment: Uuid, finding: Finding) -> Result<KnownFinding, DbError> {
    let duplicate = finding.match_status == MatchStatus::Duplicate;
    let case = last_findings::find_discrepancy(snapshot, finding.recon_date, payment, duplicate).await?;
    let ids: Vec<Uuid> = [finding.vima, finding.payshack].into_iter().flatten().collect();
    let changed_since = last_findings::have_changed_since(snapshot, &ids, finding.as_of).await?;
    Ok(KnownFinding { finding, case, changed_since })
}
