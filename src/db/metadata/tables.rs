//! The tables of the lists. Their statements differ only in the table and its columns.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{ListFilter, MetadataTable, NameCursor, StoredRow, UpsertCounts};
use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::db::types::column;
use crate::domain::metadata::{Client, Reseller, ServiceProvider};

/// Implements [`MetadataTable`] for a row with an `id` field and optional `fields`, `$2` to `$n` in `arrays`.
macro_rules! metadata_table {
    (
        $row:ident in $table:literal, listed in $list:literal,
        id: $id:ident $id_column:literal,
        columns: $columns:literal,
        fields: $($field:ident)+,
        arrays: $arrays:literal $(,)?
    ) => {
        impl MetadataTable for $row {
            fn name(&self) -> Option<&str> {
                self.name.as_deref()
            }

            async fn upsert(
                connection: &mut PgConnection,
                rows: &[&Self],
                now: DateTime<Utc>,
            ) -> Result<UpsertCounts, DbError> {
                let counts = sqlx::query!(
                    "WITH changed AS (
                         SELECT * FROM UNNEST(" + $arrays + ") AS incoming (" + $id_column + ", " + $columns + ")
                         EXCEPT
                         SELECT " + $id_column + ", " + $columns + " FROM " + $table + " WHERE last_seen_at IS NULL),
                     written AS (
                         INSERT INTO " + $table + " (" + $id_column + ", " + $columns + ", first_seen_at, changed_at)
                         SELECT changed.*, $1, $1 FROM changed
                             ON CONFLICT (" + $id_column + ") DO UPDATE
                            SET (" + $columns + ", changed_at, last_seen_at) = (
                                SELECT " + $columns + ", changed_at, NULL::timestamptz FROM (SELECT excluded.*) AS incoming))
                     SELECT count(*) - count(existing.changed_at) AS \"inserted!\", count(existing.changed_at) AS \"updated!\"
                       FROM changed LEFT JOIN " + $table + " AS existing USING (" + $id_column + ")",
                    now,
                    &column(rows, |row| row.$id.clone()),
                    $(&column(rows, |row| row.$field.clone()) as &[_],)+
                )
                .fetch_one(connection)
                .await?;
                Ok(UpsertCounts { inserted: counts.inserted.unsigned_abs(), updated: counts.updated.unsigned_abs() })
            }

            async fn mark_unlisted(
                connection: &mut PgConnection,
                listed: &[String],
                now: DateTime<Utc>,
            ) -> Result<u64, DbError> {
                let marked = sqlx::query!(
                    "UPDATE " + $table + " SET last_seen_at = lists.read_at, changed_at = $2
                       FROM payshack_lists AS lists
                      WHERE list = '" + $list + "' AND last_seen_at IS NULL AND " + $id_column + " <> ALL($1)",
                    listed,
                    now
                )
                .execute(connection)
                .await?;
                Ok(marked.rows_affected())
            }

            async fn list<'a>(
                executor: impl PgExecutor<'a>,
                filter: &ListFilter,
                window: &PageWindow<NameCursor>,
            ) -> Result<Vec<StoredRow<Self>>, DbError> {
                let (after_name, after_id) = window.after.clone().unzip();
                let rows = sqlx::query!(
                    "SELECT " + $id_column + ", " + $columns + ", last_seen_at IS NULL AS \"listed!\", first_seen_at,
                            changed_at, COALESCE(last_seen_at, lists.read_at) AS \"last_seen_at!\"
                       FROM " + $table + ", payshack_lists AS lists
                      WHERE list = '" + $list + "'
                        AND ($1::text IS NULL OR name ILIKE $1 OR " + $id_column + " ILIKE $1)
                        AND ($2::boolean IS NULL OR is_active = $2)
                        AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)
                        AND ($4::text IS NULL OR (COALESCE(name, ''), " + $id_column + ") > ($4, $5::text))
                      ORDER BY COALESCE(name, ''), " + $id_column + "
                     OFFSET $6 LIMIT $7",
                    filter.pattern(),
                    filter.is_active,
                    filter.listed,
                    after_name,
                    after_id,
                    window.offset,
                    window.limit
                )
                .fetch_all(executor)
                .await?;
                let stored = rows.into_iter().map(|row| StoredRow {
                    row: $row { $id: row.$id, $($field: row.$field),+ },
                    listed: row.listed,
                    first_seen_at: row.first_seen_at,
                    last_seen_at: row.last_seen_at,
                    changed_at: row.changed_at,
                });
                Ok(stored.collect())
            }

            async fn count<'a>(executor: impl PgExecutor<'a>, filter: &ListFilter) -> Result<u64, DbError> {
                let count = sqlx::query_scalar!(
                    "SELECT count(*) AS \"count!\" FROM " + $table + "
                      WHERE ($1::text IS NULL OR name ILIKE $1 OR " + $id_column + " ILIKE $1)
                        AND ($2::boolean IS NULL OR is_active = $2)
                        AND ($3::boolean IS NULL OR (last_seen_at IS NULL) = $3)",
                    filter.pattern(),
                    filter.is_active,
                    filter.listed
                )
                .fetch_one(executor)
                .await?;
                Ok(count.unsigned_abs())
            }
        }
    };
}

metadata_table! {
    Client in "payshack_clients", listed in "clients",
    id: client_id "client_id",
    columns: "name, email, status, is_active, balance, wallet_balance, commission_rate, reseller_id",
    fields: name email status is_active balance wallet_balance commission_rate reseller_id,
    arrays: "$2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::numeric[], $8::numeric[], $9::numeric[], $10::text[]",
}

metadata_table! {
    Reseller in "payshack_resellers", listed in "resellers",
    id: reseller_id "reseller_id",
    columns: "user_id, name, email, role, status, is_active, balance",
    fields: user_id name email role status is_active balance,
    arrays: "$2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::numeric[]",
}

metadata_table! {
    ServiceProvider in "payshack_service_providers", listed in "service_providers",
    id: service_provider_id "service_provider_id",
    columns: "name, code, status, is_active, supports_payin, supports_payout",
    fields: name code status is_active supports_payin supports_payout,
    arrays: "$2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::boolean[], $8::boolean[]",
}
