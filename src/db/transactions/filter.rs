//! A filter of payments as a condition: the same of payments, and of the cells they are counted in.
//!
//! A list of one value is said as `=`, not as `= ANY`: only then does PostgreSQL know that an index on the column and the
//! time gives the rows in their order, so that the first page of whatever is rare is its first 50 entries.

use sqlx::{Postgres, QueryBuilder};

use crate::db::types::names;
use crate::domain::metrics::query::MetricFilter;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// Narrows `query`, by every column of a payment.
pub(in crate::db) fn push(query: &mut QueryBuilder<Postgres>, filter: &MetricFilter) {
    push_kinds(query, filter);
    for (column, values) in narrowest_first(filter) {
        push_list(query, column, values);
    }
}

/// Narrows `query` by what every cell tells apart.
pub(in crate::db) fn push_kinds(query: &mut QueryBuilder<Postgres>, filter: &MetricFilter) {
    push_names(query, "source", &names(&filter.sources, Source::as_str));
    push_names(query, "kind", &names(&filter.kinds, Kind::as_str));
    push_names(query, "status", &names(&filter.statuses, Status::as_str));
    push_list(query, "currency", &filter.currencies);
}

/// The columns that have an index of their own, that which finds the fewest as a rule first.
pub(in crate::db) fn narrowest_first(filter: &MetricFilter) -> [(&'static str, &[String]); 4] {
    [
        ("merchant_id", &filter.merchant_ids),
        ("project", &filter.projects),
        ("country", &filter.countries),
        ("payment_method", &filter.payment_methods),
    ]
}

/// Narrows `query` to the rows whose `column` is one of `values`; where there are none, to every row.
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
