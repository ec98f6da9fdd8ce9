//! A transaction filter as SQL conditions, for transactions and for the rollup cells that count them.
//!
//! A single value is compared with `=`, not `= ANY`: only then does PostgreSQL know that an index on the column and the time
//! returns the rows in order, so that the first page of a rare value is the index's first 50 entries.

use sqlx::{Postgres, QueryBuilder};

use crate::db::types::names;
use crate::domain::metrics::query::MetricFilter;
use crate::domain::reconciliation::Projects;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// The condition of the index `transactions_by_outcome`, as in its migration: all but successes with the usual name of their
/// source.
pub(in crate::db) const UNUSUAL_OUTCOME: &str = "(status <> 'success' OR original_status IS DISTINCT FROM \
     CASE source WHEN 'vima' THEN 'success' ELSE 'Success' END)";

/// The name of the successes of a source that are not in that index.
pub(in crate::db) fn usual_success(source: Source) -> &'static str {
    match source {
        Source::Vima => "success",
        Source::Payshack => "Success",
    }
}

/// Adds the conditions on all columns of transactions.
pub(in crate::db) fn push(query: &mut QueryBuilder<Postgres>, filter: &MetricFilter) {
    push_kinds(query, filter);
    push_exclusion(query, filter);
    for (column, values) in narrowest_first(filter) {
        push_values(query, column, values);
    }
}

/// Adds the conditions on the columns that every rollup cell has.
pub(in crate::db) fn push_kinds(query: &mut QueryBuilder<Postgres>, filter: &MetricFilter) {
    push_names(query, "source", &names(&filter.sources, Source::as_str));
    push_names(query, "kind", &names(&filter.kinds, Kind::as_str));
    push_names(query, "status", &names(&filter.statuses, Status::as_str));
    push_list(query, "currency", &filter.currencies);
}

/// Adds the condition that a row is none of the pay-ins that the filter excludes. Cells need the column `project`.
pub(in crate::db) fn push_exclusion(query: &mut QueryBuilder<Postgres>, filter: &MetricFilter) {
    let Some(projects) = &filter.excluded_payins else { return };
    query.push(format!(" AND NOT (source = '{}' AND kind = '{}'", Source::Payshack.as_str(), Kind::Payin.as_str()));
    if let Projects::Named(names) = projects {
        query.push(" AND COALESCE(project, '') = ANY(").push_bind(names.clone()).push(")");
    }
    query.push(")");
}

/// The columns with their own index, usually the most selective first.
pub(in crate::db) fn narrowest_first(filter: &MetricFilter) -> [(&'static str, &[String]); 4] {
    [
        ("merchant_id", &filter.merchant_ids),
        ("project", &filter.projects),
        ("country", &filter.countries),
        ("payment_method", &filter.payment_methods),
    ]
}

/// Adds the condition that a column of transactions has one of `values`, of which the empty one means none.
pub(in crate::db) fn push_values(query: &mut QueryBuilder<Postgres>, column: &str, values: &[String]) {
    let known: Vec<String> = values.iter().filter(|value| !value.is_empty()).cloned().collect();
    if known.len() == values.len() {
        push_list(query, column, values);
    } else if known.is_empty() {
        query.push(format!(" AND {column} IS NULL"));
    } else {
        query.push(format!(" AND ({column} IS NULL OR {column} = ANY(")).push_bind(known).push("))");
    }
}

/// Adds the condition that `column` is one of `values`; none if `values` is empty.
pub(in crate::db) fn push_list(query: &mut QueryBuilder<Postgres>, column: &str, values: &[String]) {
    match values {
        [] => {}
        [value] => {
            query.push(format!(" AND {column} = ")).push_bind(value.clone());
        }
        values => {
            query.push(format!(" AND {column} = ANY(")).push_bind(values.to_vec()).push(")");
        }
    }
}

fn push_names(query: &mut QueryBuilder<Postgres>, column: &str, values: &[&'static str]) {
    let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
    push_list(query, column, &values);
}
