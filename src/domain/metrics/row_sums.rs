//! Adds up cells and rows to the rows of a metric query.
//!
//! There are tens of thousands of cells and a few different texts, so groups are found by the positions of their texts instead
//! of by the texts. Packed cells with the same label mostly go into the same group as the one before, which is not looked up
//! again.

use std::collections::HashMap;

use super::cell::{Facet, Measures};
use super::packed_cells::{CellReceiver, Label, UnreadableCells, unpack};
use super::packed_plan::QuarterKeys;
use super::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::reconciliation::Projects;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

pub struct RowSums<'query> {
    query: &'query MetricQuery,
    facet: Facet,
    members: Texts,
    currencies: Texts,
    groups: HashMap<Group, usize>,
    /// The sums of each group.
    sums: Vec<Measures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Group {
    bucket: i32,
    /// In [`Texts`].
    member: u32,
    currency: u32,
    source: Option<Source>,
    status: Status,
    /// Whether its sums are subtracted from those of the same group without this.
    subtracted: bool,
}

/// Different texts, with their positions.
#[derive(Debug, Default)]
struct Texts {
    texts: Vec<String>,
    positions: HashMap<String, u32>,
}

impl Texts {
    fn position(&mut self, text: &str) -> u32 {
        if let Some(position) = self.positions.get(text) {
            return *position;
        }
        let position = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.positions.insert(text.to_owned(), position);
        position
    }

    fn text(&self, position: u32) -> String {
        usize::try_from(position).ok().and_then(|position| self.texts.get(position)).cloned().unwrap_or_default()
    }
}

impl<'query> RowSums<'query> {
    /// For cells of `facet`, the facet of `query`.
    #[must_use]
    pub fn new(query: &'query MetricQuery, facet: Facet) -> Self {
        Self {
            query,
            facet,
            members: Texts::default(),
            currencies: Texts::default(),
            groups: HashMap::new(),
            sums: vec![],
        }
    }

    /// Adds the packed cells of a day that the query counts. `keys` are those of the day's quarters.
    pub fn add_packed(&mut self, source: Source, bytes: &[u8], keys: &QuarterKeys) -> Result<(), UnreadableCells> {
        let skipped = self.query.filter.excluded_payins.as_ref().filter(|_| source == Source::Payshack);
        let skipped = skipped.filter(|_| self.query.subtracted().is_none());
        let (depth, source) = (self.query.depth, self.query.by_source.then_some(source));
        unpack(bytes, depth, &mut DaySums { rows: self, source, keys, subtracted: false, skipped })
    }

    /// Subtracts packed cells of a day, of [`MetricQuery::subtracted`].
    pub fn subtract_packed(&mut self, bytes: &[u8], keys: &QuarterKeys) -> Result<(), UnreadableCells> {
        let (depth, source) = (self.query.depth, self.query.by_source.then_some(Source::Payshack));
        unpack(bytes, depth, &mut DaySums { rows: self, source, keys, subtracted: true, skipped: None })
    }

    /// Adds a row that was added up elsewhere.
    pub fn add_row(&mut self, row: &MetricRow) -> Result<(), UnreadableCells> {
        self.change_by_row(row, false)
    }

    /// Subtracts a row that was added up elsewhere, of [`MetricQuery::subtracted`].
    pub fn subtract_row(&mut self, row: &MetricRow) -> Result<(), UnreadableCells> {
        self.change_by_row(row, true)
    }

    fn change_by_row(&mut self, row: &MetricRow, subtracted: bool) -> Result<(), UnreadableCells> {
        let group = Group {
            bucket: row.bucket,
            member: self.members.position(&row.member),
            currency: self.currencies.position(&row.currency),
            source: row.source,
            status: row.status,
            subtracted,
        };
        let position = self.position(group);
        let sum = self.sums.get_mut(position).ok_or(UnreadableCells)?;
        *sum = sum.checked_add(&row.measures).ok_or(UnreadableCells)?;
        Ok(())
    }

    /// Where the sums of the group are.
    fn position(&mut self, group: Group) -> usize {
        *self.groups.entry(group).or_insert_with(|| {
            self.sums.push(Measures::default());
            self.sums.len() - 1
        })
    }

    #[must_use]
    pub fn into_rows(self) -> Vec<MetricRow> {
        let Self { members, currencies, groups, mut sums, .. } = self;
        for (group, position) in groups.iter().filter(|(group, _)| group.subtracted) {
            let part = sums.get(*position).copied().unwrap_or_default();
            // What is subtracted is a part of what was added.
            if let Some(whole) = groups.get(&Group { subtracted: false, ..*group })
                && let Some(sum) = sums.get_mut(*whole)
            {
                sum.subtract(&part);
            }
        }
        let groups = groups.into_iter().filter(|(group, _)| !group.subtracted);
        let found = groups.filter_map(|(group, position)| Some((group, *sums.get(position)?)));
        let counted = found.filter(|(_, measures)| measures.count != 0);
        let row = |(group, measures): (Group, Measures)| MetricRow {
            bucket: group.bucket,
            source: group.source,
            member: members.text(group.member),
            status: group.status,
            currency: currencies.text(group.currency),
            measures,
        };
        counted.map(row).collect()
    }
}

fn member_of<'text>(query: &MetricQuery, project: &'text str, member: &'text str) -> &'text str {
    match query.by {
        None => "",
        Some(Dimension::Project) => project,
        Some(Dimension::Merchant | Dimension::Country | Dimension::PaymentMethod | Dimension::AmountBand) => member,
    }
}

fn has(values: &[String], value: &str) -> bool {
    values.is_empty() || values.iter().any(|one| one == value)
}

fn has_label(query: &MetricQuery, label: &Label<'_>) -> bool {
    let filter = &query.filter;
    (filter.kinds.is_empty() || filter.kinds.contains(&label.kind))
        && (filter.statuses.is_empty() || filter.statuses.contains(&label.status))
        && (filter.currencies.is_empty() || filter.currencies.iter().any(|currency| currency == label.currency))
}

/// Adds the packed cells of a day.
struct DaySums<'sums, 'query> {
    rows: &'sums mut RowSums<'query>,
    /// If the query groups by it.
    source: Option<Source>,
    keys: &'sums QuarterKeys,
    subtracted: bool,
    /// The projects whose pay-ins are not counted.
    skipped: Option<&'query Projects>,
}

impl DaySums<'_, '_> {
    fn has_series(&self, project: &str, member: &str) -> bool {
        let query = self.rows.query;
        let subtracted = query.subtracted().filter(|_| self.subtracted);
        let projects = subtracted.map_or(query.filter.projects.as_slice(), |subtracted| subtracted.projects);
        has(projects, project) && has(query.filter.members(self.rows.facet), member)
    }
}

/// A project and member whose cells are added.
#[derive(Debug, Clone, Copy)]
struct Series {
    /// In [`Texts`].
    member: u32,
    skips_payins: bool,
}

/// What cells with the same label are added to.
struct LabelSums {
    is_payin: bool,
    status: Status,
    /// In [`Texts`].
    currency: u32,
    last: Option<LastGroup>,
}

/// The group of the last cell.
struct LastGroup {
    bucket: i32,
    member: u32,
    position: usize,
}

impl<'bytes> CellReceiver<'bytes> for DaySums<'_, '_> {
    type Series = Series;
    type Label = LabelSums;

    fn series(&mut self, project: &'bytes str, member: &'bytes str) -> Option<Series> {
        self.has_series(project, member).then(|| Series {
            member: self.rows.members.position(member_of(self.rows.query, project, member)),
            skips_payins: self.skipped.is_some_and(|projects| projects.contains(Some(project))),
        })
    }

    fn label(&mut self, label: Label<'bytes>) -> Option<LabelSums> {
        let status = label.status;
        has_label(self.rows.query, &label).then(|| LabelSums {
            is_payin: label.kind == Kind::Payin,
            status,
            currency: self.rows.currencies.position(label.currency),
            last: None,
        })
    }

    fn sum(&mut self, series: &Series, label: &mut LabelSums, quarter: usize) -> Option<&mut Measures> {
        if series.skips_payins && label.is_payin {
            return None;
        }
        let (bucket, member) = ((*self.keys.get(quarter)?)?, series.member);
        let position = match &label.last {
            Some(last) if (last.bucket, last.member) == (bucket, member) => last.position,
            _ => {
                let LabelSums { status, currency, .. } = *label;
                let (source, subtracted) = (self.source, self.subtracted);
                let position = self.rows.position(Group { bucket, member, currency, source, status, subtracted });
                label.last = Some(LastGroup { bucket, member, position });
                position
            }
        };
        self.rows.sums.get_mut(position)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::metrics::packed_cells::{PackedCell, PackedSeries, QUARTERS, pack};
    use crate::domain::metrics::query::MetricFilter;
    use crate::domain::metrics::time_buckets::TimeBuckets;
    use crate::domain::transaction::Kind;

    fn cell(quarter: usize, kind: Kind, status: Status, amount: i64) -> PackedCell {
        let measures =
            Measures { count: 1, amount: amount.into(), fee: 1.into(), usd_missing: 1, ..Measures::default() };
        PackedCell { quarter, kind, status, currency: "INR".to_owned(), measures }
    }

    fn packed() -> Vec<u8> {
        let series = |project: &str, member: &str, cells| PackedSeries {
            project: project.to_owned(),
            member: member.to_owned(),
            cells,
        };
        pack(&[
            series(
                "a",
                "m1",
                vec![
                    cell(0, Kind::Payin, Status::Success, 5),
                    cell(95, Kind::Payin, Status::Success, 7),
                    cell(95, Kind::Payout, Status::Failed, 11),
                ],
            ),
            series("b", "m1", vec![cell(0, Kind::Payin, Status::Success, 13)]),
            series("b", "m2", vec![cell(1, Kind::Payin, Status::Success, 17)]),
        ])
    }

    /// Each row as key, member, status and amount.
    fn rows(query: &MetricQuery, keys: &QuarterKeys) -> Vec<String> {
        let mut sums = RowSums::new(query, Facet::Merchant);
        for _ in 0..2 {
            sums.add_packed(Source::Vima, &packed(), keys).expect("readable");
        }
        let text = |row: MetricRow| {
            let Measures { count, amount, fee, .. } = row.measures;
            format!(
                "{} {} {} {} {count} {amount} {fee}",
                row.bucket,
                row.source.is_some(),
                row.member,
                row.status.as_str()
            )
        };
        let mut rows: Vec<String> = sums.into_rows().into_iter().map(text).collect();
        rows.sort();
        rows
    }

    #[test]
    fn cells_are_filtered_and_grouped_as_the_query_says() {
        let query = |filter: MetricFilter| {
            MetricQuery::new(filter, TimeBuckets::between(vec![DateTime::UNIX_EPOCH])).by(Dimension::Merchant)
        };
        let every = [Some(3); QUARTERS];
        assert_eq!(
            rows(&query(MetricFilter::default()), &every),
            ["3 false m1 failed 2 22 0", "3 false m1 success 6 50 0", "3 false m2 success 2 34 0"]
        );
        let project = MetricFilter { projects: vec!["b".to_owned()], ..MetricFilter::default() };
        assert_eq!(
            rows(&query(project).by_source().with_fees(), &every),
            ["3 true m1 success 2 26 2", "3 true m2 success 2 34 2"]
        );
        let merchant = MetricFilter { merchant_ids: vec!["m2".to_owned()], ..MetricFilter::default() };
        assert_eq!(rows(&query(merchant).counts(), &every), ["3 false m2 success 2 0 0"]);
        let payouts = MetricFilter { kinds: vec![Kind::Payout], ..MetricFilter::default() };
        assert_eq!(rows(&query(payouts), &every), ["3 false m1 failed 2 22 0"]);
        let statuses = MetricFilter { statuses: vec![Status::Failed], ..MetricFilter::default() };
        assert_eq!(rows(&query(statuses), &every), ["3 false m1 failed 2 22 0"]);
        let dollars = MetricFilter { currencies: vec!["USD".to_owned()], ..MetricFilter::default() };
        assert!(rows(&query(dollars), &every).is_empty());
        let mut first = [None; QUARTERS];
        first[0] = Some(1);
        assert_eq!(rows(&query(MetricFilter::default()), &first), ["1 false m1 success 4 36 0"]);
    }

    #[test]
    fn excluded_payins_are_skipped_or_subtracted() {
        let every = [Some(3); QUARTERS];
        let set = Projects::Named(vec!["a".to_owned()]);
        let filter = MetricFilter::default().without_payshack_payins(&set);
        let query = |by| MetricQuery { by, ..MetricQuery::new(filter.clone(), TimeBuckets::between(vec![])) };
        let shown = |sums: RowSums<'_>| {
            let row = |row: MetricRow| format!("{} {} {}", row.member, row.status.as_str(), row.measures.amount);
            let mut rows: Vec<String> = sums.into_rows().into_iter().map(row).collect();
            rows.sort();
            rows
        };
        let by_merchant = query(Some(Dimension::Merchant));
        let mut sums = RowSums::new(&by_merchant, Facet::Merchant);
        sums.add_packed(Source::Payshack, &packed(), &every).expect("readable");
        assert_eq!(shown(sums), ["m1 failed 11", "m1 success 13", "m2 success 17"]);
        let mut sums = RowSums::new(&by_merchant, Facet::Merchant);
        sums.add_packed(Source::Vima, &packed(), &every).expect("readable");
        assert_eq!(shown(sums), ["m1 failed 11", "m1 success 25", "m2 success 17"]);

        let all = query(None);
        let whole = PackedSeries {
            project: String::new(),
            member: String::new(),
            cells: vec![cell(0, Kind::Payin, Status::Success, 25), cell(0, Kind::Payin, Status::Failed, 3)],
        };
        let part = |project: &str, amount| PackedSeries {
            project: project.to_owned(),
            member: String::new(),
            cells: vec![cell(1, Kind::Payin, Status::Success, amount)],
        };
        let mut sums = RowSums::new(&all, Facet::All);
        sums.add_packed(Source::Payshack, &pack(&[whole.clone(), whole]), &every).expect("readable");
        sums.subtract_packed(&pack(&[part("a", 7), part("b", 100)]), &every).expect("readable");
        assert_eq!(shown(sums), [" failed 6", " success 43"]);
    }

    #[test]
    fn sums_that_are_too_large_are_an_error() {
        let query = MetricQuery::new(MetricFilter::default(), TimeBuckets::between(vec![]));
        let mut large = cell(0, Kind::Payin, Status::Success, 0);
        large.measures.amount = rust_decimal::Decimal::MAX;
        let series = PackedSeries { project: String::new(), member: String::new(), cells: vec![large.clone(), large] };
        let mut sums = RowSums::new(&query, Facet::All);
        assert_eq!(sums.add_packed(Source::Vima, &pack(&[series]), &[Some(0); QUARTERS]), Err(UnreadableCells));
    }
}
