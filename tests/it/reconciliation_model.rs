//! The SQL statement of a day against the domain rules: on random days with every verdict, both have the same result for
//! every row.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use psp_dashboard::db::reconciliation::judge::{DayRun, begin_snapshot, judge};
use psp_dashboard::domain::reconciliation::rules::{Group, Row, groups, judge_alone, judge_pair};
use psp_dashboard::domain::reconciliation::tally::{Amounts, AmountsByCurrency, Tally};
use psp_dashboard::domain::reconciliation::{Coverage, Coverages, DiscrepancyType, MatchStatus, Parameters, Projects};
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::transaction::Source;
use rust_decimal::Decimal;
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use crate::harness::is_long;
use crate::harness::servers::Servers;

/// A day, the records of both sides around it, and the rules.
#[derive(Debug, Clone)]
struct Case {
    rows: Vec<Row>,
    parameters: Parameters,
    coverages: Coverages,
    as_of: DateTime<Utc>,
}

/// The verdict of a payment or of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    key: Option<String>,
    occurrence: i32,
    status: MatchStatus,
    types: Vec<DiscrepancyType>,
    vima: Option<Uuid>,
    payshack: Option<Uuid>,
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 15).expect("a day")
}

fn day_from() -> DateTime<Utc> {
    // In India, whose days are half an hour off from UTC.
    "2026-01-14T18:30:00Z".parse().expect("a time")
}

fn day_until() -> DateTime<Utc> {
    day_from() + TimeDelta::days(1)
}

fn at(half_hours: i64) -> DateTime<Utc> {
    day_from() + TimeDelta::minutes(30 * half_hours)
}

prop_compose! {
    fn rows()(drawn in prop::collection::vec((
        any::<bool>(),
        prop::option::weighted(0.93, 0..6_u8),
        -110..160_i64,
        prop::sample::select(Status::ALL.to_vec()),
        (0..5_usize, prop::option::of(0..5_usize)),
        prop::bool::weighted(0.92),
        prop::option::of(0..200_i64),
        0..20_u8,
        0..4_u8,
    ), 0..40)) -> Vec<Row> {
        const AMOUNTS: [&str; 5] = ["100", "100.01", "100.02", "101", "99"];
        let amount = |place: usize| AMOUNTS[place].parse::<Decimal>().expect("an amount");
        let projects = [Some("91game"), Some("91game"), Some("monetix"), None];
        drawn.into_iter().enumerate().map(|(place, drawn)| {
            let (is_vima, key, when, status, (asked, paid), is_rupees, changed, project, shape) = drawn;
            let source = if is_vima { Source::Vima } else { Source::Payshack };
            let source_id = match shape {
                0 => format!("{place}"),
                1 => format!("00{place}"),
                2 => format!("x{place}"),
                _ => format!("99999999999999999999{place}"),
            };
            Row {
                id: Uuid::new_v4(),
                source,
                source_id,
                key: key.map(|key| ["a", "A", "1", "01", "1768435200000", "b c"][usize::from(key)].to_owned()),
                project: projects[usize::from(project.saturating_sub(16))].map(str::to_owned),
                status,
                amount: amount(asked),
                paid_amount: paid.map(amount),
                currency: if is_rupees { "INR" } else { "USD" }.to_owned(),
                created_at: at(when),
                updated_at: changed.map(|changed| at(when) + TimeDelta::minutes(changed)),
            }
        }).collect()
    }
}

prop_compose! {
    fn coverage()(watermark in prop::option::weighted(0.9, 0..120_i64), covered in prop::option::weighted(0.9, -110..30_i64)) -> Coverage {
        Coverage { covered_from: covered.map(at), watermark: watermark.map(at) }
    }
}

prop_compose! {
    fn cases()(
        rows in rows(),
        window_hours in prop::sample::select(vec![1, 6, 24, 24, 24]),
        tolerance in prop::sample::select(vec!["0", "0.01", "0.01", "1"]),
        percent in prop::sample::select(vec!["0", "0", "1"]),
        grace in prop::sample::select(vec![0, 120, 3000]),
        settle in prop::sample::select(vec![0, 30]),
        all in prop::bool::weighted(0.2),
        vima in coverage(),
        payshack in coverage(),
        as_of in 40..120_i64,
    ) -> Case {
        let projects = if all { Projects::All } else { Projects::Named(vec!["91game".to_owned()]) };
        Case {
            rows,
            parameters: Parameters {
                timezone: "Asia/Kolkata".to_owned(),
                projects,
                window_hours,
                amount_tolerance: tolerance.parse().expect("a tolerance"),
                amount_tolerance_percent: percent.parse().expect("a percentage"),
                pending_grace_minutes: grace,
                settle_minutes: settle,
            },
            coverages: Coverages { vima, payshack },
            as_of: at(as_of),
        }
    }
}

fn is_of_day(row: &Row) -> bool {
    (day_from()..day_until()).contains(&row.created_at)
}

/// The expected verdicts, computed simply and slowly.
fn oracle(case: &Case) -> (Vec<Said>, Tally, AmountsByCurrency) {
    let window = case.parameters.window();
    let (from, until) = (day_from() - window * 2, day_until() + window * 2);
    let mut by_key: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    let (mut said, mut tally, mut amounts) = (vec![], Tally::default(), AmountsByCurrency::new());
    for row in &case.rows {
        let is_near = row.created_at >= from && row.created_at < until;
        match &row.key {
            _ if !is_near || !case.parameters.projects.contains(row.project.as_deref()) => {}
            Some(key) => by_key.entry(key).or_default().push(row),
            None if is_of_day(row) => {
                *side(&mut tally.total, row) += 1;
                *side(&mut tally.unmatchable, row) += 1;
                said.push(of_row(row, None, MatchStatus::Unmatchable, vec![]));
            }
            None => {}
        }
    }
    for (key, rows) in by_key {
        let mut occurrence = 0;
        for group in groups(rows, &case.parameters) {
            for row in group.duplicates.iter().filter(|row| is_of_day(row)) {
                *side(&mut tally.total, row) += 1;
                *side(&mut tally.duplicates, row) += 1;
                amounts.entry(row.currency.clone()).or_default().duplicate += row.compared_amount();
                said.push(of_row(row, Some(key), MatchStatus::Duplicate, vec![DiscrepancyType::Duplicate]));
            }
            if group.vima.or(group.payshack).is_some_and(is_of_day) {
                occurrence += 1;
                said.extend(judged(case, &group, key, occurrence, &mut tally, &mut amounts));
            }
        }
    }
    said.sort();
    amounts.retain(|_, amounts| *amounts != Amounts::default());
    (said, tally, amounts)
}

fn judged(
    case: &Case,
    group: &Group<'_>,
    key: &str,
    occurrence: i32,
    tally: &mut Tally,
    amounts: &mut AmountsByCurrency,
) -> Option<Said> {
    for row in group.vima.iter().chain(&group.payshack) {
        *side(&mut tally.total, row) += 1;
    }
    let (verdict, at_risk) = match (group.vima, group.payshack) {
        (Some(vima), Some(payshack)) => {
            let verdict = judge_pair(vima, payshack, case.as_of, &case.parameters);
            let difference = (vima.compared_amount() - payshack.compared_amount()).abs();
            let only_amounts = verdict.types == [DiscrepancyType::Amount] && vima.currency == payshack.currency;
            (verdict, if only_amounts { difference } else { vima.amount })
        }
        (Some(vima), None) => (judge_alone(vima, case.coverages.payshack, &case.parameters), vima.compared_amount()),
        (None, Some(row)) => (judge_alone(row, case.coverages.vima, &case.parameters), row.compared_amount()),
        (None, None) => unreachable!("a group has rows"),
    };
    let currency = group.vima.or(group.payshack).expect("a group has rows").currency.clone();
    let sums = amounts.entry(currency).or_default();
    match (verdict.status, verdict.types.first()) {
        (MatchStatus::Matched, _) => (tally.matched, sums.matched) = (tally.matched + 1, sums.matched + at_risk),
        (MatchStatus::Discrepancy, Some(DiscrepancyType::Amount)) => {
            (tally.amount_discrepancies, sums.amount) = (tally.amount_discrepancies + 1, sums.amount + at_risk);
        }
        (MatchStatus::Discrepancy, _) => {
            (tally.status_discrepancies, sums.status) = (tally.status_discrepancies + 1, sums.status + at_risk);
        }
        (MatchStatus::MissingVima, _) => {
            (tally.missing_vima, sums.missing_vima) = (tally.missing_vima + 1, sums.missing_vima + at_risk);
        }
        (MatchStatus::MissingPayshack, _) => {
            (tally.missing_payshack, sums.missing_payshack) =
                (tally.missing_payshack + 1, sums.missing_payshack + at_risk);
        }
        _ => {
            (tally.pending, sums.pending) = (tally.pending + 1, sums.pending + at_risk);
            for row in group.vima.iter().chain(&group.payshack) {
                *side(&mut tally.pending_rows, row) += 1;
            }
        }
    }
    (verdict.status != MatchStatus::Matched).then(|| Said {
        key: Some(key.to_owned()),
        occurrence,
        status: verdict.status,
        types: verdict.types,
        vima: group.vima.map(|row| row.id),
        payshack: group.payshack.map(|row| row.id),
    })
}

fn side<'count>(
    counts: &'count mut psp_dashboard::domain::reconciliation::tally::BySide,
    row: &Row,
) -> &'count mut u64 {
    match row.source {
        Source::Vima => &mut counts.vima,
        Source::Payshack => &mut counts.payshack,
    }
}

fn of_row(row: &Row, key: Option<&str>, status: MatchStatus, types: Vec<DiscrepancyType>) -> Said {
    let id = |source| (row.source == source).then_some(row.id);
    Said {
        key: key.map(str::to_owned),
        occurrence: 1,
        status,
        types,
        vima: id(Source::Vima),
        payshack: id(Source::Payshack),
    }
}

/// Stores rows as a sync would have.
async fn store(pool: &PgPool, rows: &[Row]) {
    let texts = |of: fn(&Row) -> String| rows.iter().map(of).collect::<Vec<String>>();
    let insert = sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, client_operation_id, order_id, project, status,
                                     amount, paid_amount, currency, created_at, updated_at, ingested_at, raw_data)
           SELECT id, source, 'payin', source_id, '\x00', CASE source WHEN 'vima' THEN key END,
                  CASE source WHEN 'payshack' THEN key END, project, status, amount, paid_amount, currency, created_at,
                  updated_at, created_at, '{}'
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::numeric[],
                         $9::text[], $10::timestamptz[], $11::timestamptz[])
                  AS told (id, source, source_id, key, project, status, amount, paid_amount, currency, created_at, updated_at)"#,
        &rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        &texts(|row| row.source.as_str().to_owned()),
        &texts(|row| row.source_id.clone()),
        &rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>() as &[Option<String>],
        &rows.iter().map(|row| row.project.clone()).collect::<Vec<_>>() as &[Option<String>],
        &texts(|row| row.status.as_str().to_owned()),
        &rows.iter().map(|row| row.amount).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.paid_amount).collect::<Vec<_>>() as &[Option<Decimal>],
        &texts(|row| row.currency.clone()),
        &rows.iter().map(|row| row.created_at).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.updated_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    );
    insert.execute(pool).await.expect("rows that a sync could have stored");
}

async fn judge_day(pool: &PgPool, case: &Case) -> (Vec<Said>, Tally, AmountsByCurrency) {
    pool.execute("TRUNCATE transactions, reconciliation_runs, reconciliation_results CASCADE").await.expect("tables");
    store(pool, &case.rows).await;
    let run = DayRun { id: Uuid::now_v7(), date: day(), from: day_from(), until: day_until() };
    sqlx::query!(
        r#"INSERT INTO reconciliation_runs (id, recon_date, status, trigger, started_at, parameters, day_from, day_until)
           VALUES ($1, $2, 'running', 'cli', now(), '{}', $3, $4)"#,
        run.id,
        run.date,
        run.from,
        run.until
    )
    .execute(pool)
    .await
    .expect("a run");
    let mut snapshot = begin_snapshot(pool, run.date).await.expect("a snapshot");
    let judged = judge(&mut snapshot, &run, &case.parameters, &case.coverages, case.as_of).await;
    let (tally, mut amounts) = judged.expect("a judgement");
    snapshot.commit().await.expect("the commit");
    amounts.retain(|_, amounts| *amounts != Amounts::default());
    let rows = sqlx::query!(
        r#"SELECT key, occurrence, match_status, types, vima_txn_id, payshack_txn_id FROM reconciliation_results
            WHERE run_id = $1"#,
        run.id
    );
    let rows = rows.fetch_all(pool).await.expect("the results").into_iter();
    let mut said: Vec<Said> = rows
        .map(|row| Said {
            key: row.key,
            occurrence: row.occurrence,
            status: MatchStatus::from_name(&row.match_status).expect("a status"),
            types: row.types.iter().map(|name| DiscrepancyType::from_name(name).expect("a type")).collect(),
            vima: row.vima_txn_id,
            payshack: row.payshack_txn_id,
        })
        .collect();
    said.sort();
    (said, tally, amounts)
}

#[test]
fn sql_statement_equals_the_domain_rules() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (_servers, pool) = runtime.block_on(async {
        let servers = Servers::start().await;
        let pool = servers.pool().await;
        (servers, pool)
    });
    let config = Config { cases: if is_long() { 5_000 } else { 250 }, failure_persistence: None, ..Config::default() };
    let mut runner = if is_long() {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let met = RefCell::new(BTreeSet::new());
    let ran = runner.run(&cases(), |case| {
        let (said, tally, amounts) = oracle(&case);
        let (found, counted, summed) = runtime.block_on(judge_day(&pool, &case));
        prop_assert_eq!(&found, &said);
        prop_assert_eq!(counted, tally);
        prop_assert_eq!(summed, amounts);
        prop_assert_eq!(counted.check(), Ok(()));
        let verdicts = found.into_iter().map(|said| (said.status, said.types));
        met.borrow_mut().extend(verdicts.chain((counted.matched > 0).then_some((MatchStatus::Matched, vec![]))));
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(met.borrow().len(), 9, "a verdict was never met: {:?}", met.borrow());
}
