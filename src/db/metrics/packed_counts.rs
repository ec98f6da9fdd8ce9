//! Counts what packed days contain.
//!
//! From the payments, not from the cells: most facets have cells of an hour, but packed days have quarters of an hour, so that
//! the hours of Indian zones need no payments. A facet is read row by row and packed series by series, so that the memory depends
//! on the number of its series only.
//!
//! The sums of a day are one value for all series of a facet. Of the facets that are subtracted, it is one value for each project,
//! because only some projects are.

use chrono::NaiveDate;
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::db::DbError;
use crate::domain::metrics::amount_band;
use crate::domain::metrics::cell::{Facet, Measures, Width};
use crate::domain::metrics::packed_cells::{PackedCell, PackedSeries, pack};
use crate::domain::status::Status;
use crate::domain::sync::day_start;
use crate::domain::transaction::{Kind, Source};

/// A row of packed cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedRow {
    pub width: Width,
    /// Both are empty for the sums of the day.
    pub project: String,
    pub member: String,
    pub cells: Vec<u8>,
}

/// Counts the packed cells of a facet on a day, in a fixed order.
pub async fn count(
    connection: &mut PgConnection,
    (source, day, facet): (Source, NaiveDate, Facet),
) -> Result<Vec<PackedRow>, DbError> {
    let only_payins = facet.has_only_payshack_payins();
    if only_payins && source != Source::Payshack {
        return Ok(vec![]);
    }
    let (since, length) = (day_start(day), Width::Day.length());
    let bounds = amount_band::BOUNDS.map(Decimal::from);
    let mut cells = sqlx::query!(
        r#"SELECT CASE WHEN $4 THEN COALESCE(project, '') ELSE '' END COLLATE "C" AS "project!",
                  CASE $5 WHEN 'merchant' THEN COALESCE(merchant_id, '') WHEN 'country' THEN COALESCE(country, '')
                          WHEN 'payment_method' THEN COALESCE(payment_method, '')
                          WHEN 'amount_band' THEN width_bucket(amount, $6::numeric[])::text ELSE '' END COLLATE "C" AS "member!",
                  CASE WHEN $7 THEN floor(extract(epoch FROM created_at - $2) / 900)::int ELSE 0 END AS "quarter!", kind AS "kind!",
                  status AS "status!", currency AS "currency!", count(*) AS "count!", sum(amount) AS "amount!",
                  COALESCE(sum(amount_usd), 0) AS "amount_usd!", COALESCE(sum(fee), 0) AS "fee!",
                  COALESCE(sum(fee_usd), 0) AS "fee_usd!", count(*) FILTER (WHERE amount_usd IS NULL) AS "usd_missing!"
             FROM transactions
            WHERE source = $1 AND created_at >= $2 AND created_at < $3 AND (NOT $8 OR kind = 'payin')
            GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"#,
        source.as_str(),
        since,
        since + length,
        facet.has_project(),
        member_column(facet),
        &bounds,
        facet.finest() != Width::Day,
        only_payins
    )
    .fetch(connection);
    let mut packing = Packing { facet, rows: vec![], totals: vec![], series: None };
    while let Some(row) = cells.try_next().await? {
        let measures = Measures {
            count: row.count,
            amount: row.amount,
            amount_usd: row.amount_usd,
            fee: row.fee,
            fee_usd: row.fee_usd,
            usd_missing: row.usd_missing,
        };
        let cell = PackedCell {
            quarter: usize::try_from(row.quarter).unwrap_or_default(),
            kind: Kind::try_from(row.kind)?,
            status: Status::try_from(row.status)?,
            currency: row.currency,
            measures,
        };
        packing.add(row.project, row.member, cell).ok_or_else(|| too_large(source, day))?;
    }
    packing.finish().ok_or_else(|| too_large(source, day))
}

fn too_large(source: Source, day: NaiveDate) -> DbError {
    DbError::impossible("sum of amounts", format!("too large for a decimal ({source}, {day})"))
}

fn member_column(facet: Facet) -> &'static str {
    match facet {
        Facet::All | Facet::Project | Facet::PayshackProject => "",
        Facet::Merchant => "merchant",
        Facet::Country | Facet::ProjectCountry | Facet::PayshackCountry => "country",
        Facet::PaymentMethod | Facet::ProjectPaymentMethod | Facet::PayshackPaymentMethod => "payment_method",
        Facet::AmountBand | Facet::PayshackAmountBand => "amount_band",
    }
}

struct Packing {
    facet: Facet,
    rows: Vec<PackedRow>,
    /// The sums of the day of the series before.
    totals: Vec<PackedSeries>,
    series: Option<PackedSeries>,
}

impl Packing {
    fn add(&mut self, project: String, member: String, cell: PackedCell) -> Option<()> {
        match &mut self.series {
            Some(series) if series.project == project && series.member == member => series.cells.push(cell),
            _ => {
                self.finish_series()?;
                self.series = Some(PackedSeries { project, member, cells: vec![cell] });
            }
        }
        Some(())
    }

    fn finish_series(&mut self) -> Option<()> {
        let Some(series) = self.series.take() else { return Some(()) };
        let cells = pack(std::slice::from_ref(&series));
        let PackedSeries { project, member, cells: quarters } = series;
        let totals = PackedSeries { project: project.clone(), member: member.clone(), cells: add_up(&quarters)? };
        self.totals.push(totals);
        if self.facet.finest() != Width::Day {
            self.rows.push(PackedRow { width: Width::Quarter, project, member, cells });
        }
        Some(())
    }

    fn finish(mut self) -> Option<Vec<PackedRow>> {
        self.finish_series()?;
        let by_project = self.facet.has_only_payshack_payins();
        for totals in self.totals.chunk_by(|one, next| !by_project || one.project == next.project) {
            let project = if by_project { totals[0].project.clone() } else { String::new() };
            self.rows.push(PackedRow { width: Width::Day, project, member: String::new(), cells: pack(totals) });
        }
        Some(self.rows)
    }
}

/// One cell for the whole day instead of each quarter of an hour. `None` if a sum is too large for a decimal.
fn add_up(quarters: &[PackedCell]) -> Option<Vec<PackedCell>> {
    let mut totals: Vec<PackedCell> = vec![];
    for cell in quarters {
        let same = |total: &&mut PackedCell| {
            (total.kind, total.status) == (cell.kind, cell.status) && total.currency == cell.currency
        };
        match totals.iter_mut().find(same) {
            Some(total) => total.measures = total.measures.checked_add(&cell.measures)?,
            None => totals.push(PackedCell { quarter: 0, ..cell.clone() }),
        }
    }
    Some(totals)
}
