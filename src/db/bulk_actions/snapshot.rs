//! What matches a filter at one moment: one statement selects it, stores it in batches and sums it up, so that the numbers of a
//! preview are those of the items that are changed later.

use rust_decimal::Decimal;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::discrepancies::DiscrepancyFilter;
use crate::db::jobs::filter::JobFilter;
use crate::db::types::{names, to_bigint};
use crate::domain::bulk_action::BulkAction;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::job::JobState;

/// How many items a preview shows.
const SAMPLES: i32 = 10;

/// What a snapshot contains: those that match the filter and whose states allow the action.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    Jobs(JobFilter),
    Discrepancies(DiscrepancyFilter),
}

impl Selection {
    /// Selects the id and the version of each item, and what is summed up.
    fn push(&self, query: &mut QueryBuilder<Postgres>, action: &BulkAction) {
        match self {
            Self::Jobs(filter) => {
                query.push(
                    "SELECT id, state || '.' || epoch AS version, NULL::text AS currency, NULL::numeric AS at_risk \
                     FROM jobs WHERE state = ANY(",
                );
                query.push_bind(names(action.job_states(), JobState::as_str)).push(")");
                filter.push(query);
            }
            Self::Discrepancies(filter) => {
                // The amount at risk as in docs/reconciliation.md.
                query.push(
                    "SELECT id, version::text AS version, COALESCE(vima_currency, payshack_currency) AS currency, \
                            CASE WHEN types = ARRAY['amount'] AND amount_diff IS NOT NULL THEN abs(amount_diff) \
                                 ELSE COALESCE(vima_amount, payshack_amount) END AS at_risk \
                     FROM discrepancies WHERE state = ANY(",
                );
                query.push_bind(names(&action.discrepancy_states(), DiscrepancyState::as_str)).push(")");
                filter.push(query);
            }
        }
    }
}

/// The items of one currency.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CurrencySum {
    /// `None` for items without amounts.
    pub currency: Option<String>,
    #[sqlx(try_from = "i64")]
    pub count: u64,
    /// `None` if no item has an amount.
    pub at_risk: Option<Decimal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub count: u64,
    pub sums: Vec<CurrencySum>,
    /// The first items, in the order in which they will be changed.
    pub sample_ids: Vec<Uuid>,
}

/// Stores what `selection` matches now as the items of action `id`.
pub async fn store(
    connection: &mut PgConnection,
    id: Uuid,
    action: &BulkAction,
    selection: &Selection,
) -> Result<Snapshot, DbError> {
    let mut query = QueryBuilder::new("WITH selected AS MATERIALIZED (");
    selection.push(&mut query, action);
    query.push("), stored AS (INSERT INTO bulk_action_batches (action_id, batch, item_ids, versions) SELECT ");
    query.push_bind(id);
    query.push(", batch, array_agg(id ORDER BY id), array_agg(version ORDER BY id) FROM (SELECT id, version, ((");
    query.push("row_number() OVER (ORDER BY id) - 1) / ").push_bind(i64::from(action.batch_size()));
    query.push(
        ")::integer AS batch FROM selected) AS numbered GROUP BY batch) \
         SELECT currency, count(*) AS count, sum(at_risk) AS at_risk FROM selected GROUP BY currency ORDER BY currency",
    );
    let sums: Vec<CurrencySum> = query.build_query_as().persistent(false).fetch_all(&mut *connection).await?;
    let count: u64 = sums.iter().map(|sum| sum.count).sum();
    let sample_ids = sqlx::query_scalar!(
        r#"WITH counted AS (UPDATE bulk_actions SET item_count = $2 WHERE id = $1)
           SELECT item_ids[1:$3] AS "ids!" FROM bulk_action_batches WHERE action_id = $1 AND batch = 0"#,
        id,
        to_bigint(count),
        SAMPLES
    );
    let sample_ids = sample_ids.fetch_optional(connection).await?.unwrap_or_default();
    Ok(Snapshot { count, sums, sample_ids })
}
