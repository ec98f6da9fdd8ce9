//! Generates millions of payments: ninety days of both sources, the same ones every time.
//!
//! Each payment follows from its number alone, so that benchmarks know what is stored without queries. An even number is a
//! pay-in of Vima, the odd number after it the record of `PayShack` for the same payment or, sometimes, a pay-out. They are
//! copied in without indexes, which are created afterwards: maintaining them row by row would take most of the time.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use psp_dashboard::domain::exchange_rate::{Rates, Valuation};
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::transaction::{Kind, Source, Transaction};
use psp_dashboard::domain::version::{SequenceId, Version};
use psp_dashboard::operations::pack_days::pack_day;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use uuid::Uuid;

use crate::harness::ingest_fixture::minimal_transaction;

const DAYS: i64 = 90;
/// Payments are generated into the future, so that queries of the last minutes find some however long the run takes.
const AHEAD: TimeDelta = TimeDelta::hours(1);
/// Rows per COPY: few enough that rows are stored roughly in time order with several connections.
const CHUNK: u64 = 20_000;
/// One per core.
const CONNECTIONS: usize = 2;

/// The number of projects. The last one has two payments in ten thousand.
pub(crate) const PROJECTS: u32 = 20;
/// How many projects use [`OTHER_CURRENCY`].
const PROJECTS_ABROAD: u32 = 2;
/// Merchants per project.
pub(crate) const MERCHANTS: u32 = 5;
pub(crate) const OTHER_CURRENCY: &str = "BDT";
/// Countries of payers, with payments per thousand.
pub(crate) const COUNTRIES: [(&str, u32); 8] =
    [("IN", 600), ("BD", 200), ("NP", 100), ("LK", 50), ("PK", 30), ("AE", 15), ("SG", 4), ("KE", 1)];
/// Payment methods, with payments per thousand.
pub(crate) const METHODS: [(&str, u32); 7] =
    [("UPI", 550), ("IMPS", 250), ("NETBANKING", 100), ("CARD", 50), ("WALLET", 30), ("NEFT", 19), ("VOUCHER", 1)];
const STATUSES: [(Status, u32); 6] = [
    (Status::Success, 640),
    (Status::Failed, 310),
    (Status::Pending, 15),
    (Status::Processing, 15),
    (Status::Refunded, 19),
    (Status::Unknown, 1),
];
const FIRST_NAMES: [&str; 8] = ["Asha", "Vikram", "Meera", "Rohan", "Kavya", "Arjun", "Divya", "Nikhil"];
const LAST_NAMES: [&str; 8] = ["Rao", "Sharma", "Iyer", "Khan", "Das", "Patel", "Nair", "Gupta"];

const COLUMNS: &str = "id, source, kind, source_id, version_sequence, version_modified_at, content_hash, reference_id, \
                       client_operation_id, order_id, project, merchant_id, amount, paid_amount, currency, amount_usd, fee, \
                       fee_usd, exchange_rate, rate_origin, status, original_status, user_id, user_email, user_phone, \
                       user_name, country, utr, payment_method, created_at, updated_at, completed_at, ingested_at, raw_data";

/// Generated payments, evenly spread over their days.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payments {
    pub(crate) count: u64,
    /// When the first was created.
    pub(crate) from: DateTime<Utc>,
    /// Exclusive.
    pub(crate) until: DateTime<Utc>,
}

impl Payments {
    /// `count` payments up to an hour after `now`.
    pub(crate) fn up_to(now: DateTime<Utc>, count: u64) -> Self {
        let until = now + AHEAD;
        Self { count, from: until - TimeDelta::days(DAYS), until }
    }

    /// When a payment was created. Numbers from `count` on continue after the last one.
    pub(crate) fn created_at(&self, number: u64) -> DateTime<Utc> {
        let whole = TimeDelta::days(DAYS).num_microseconds().map(i128::from).unwrap_or_default();
        let micros = whole * i128::from(number) / i128::from(self.count);
        self.from + TimeDelta::microseconds(i64::try_from(micros).expect("days, not centuries"))
    }

    /// The id of a payment. Like a real one it is a version 7 UUID, but of the creation time.
    pub(crate) fn id(&self, number: u64) -> Uuid {
        let millis = self.created_at(number).timestamp_millis().unsigned_abs();
        let mut random = [0; 10];
        ChaCha8Rng::seed_from_u64(number).fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    pub(crate) fn payment(&self, number: u64) -> Transaction {
        let mut chance = ChaCha8Rng::seed_from_u64(number / 2);
        let source = if number.is_multiple_of(2) { Source::Vima } else { Source::Payshack };
        let kind = if number % 20 == 1 { Kind::Payout } else { Kind::Payin };
        let created_at = self.created_at(number);
        let project = project(&mut chance);
        let merchant = chance.random_range(1..=MERCHANTS);
        let abroad = (PROJECTS - PROJECTS_ABROAD..PROJECTS).contains(&project);
        let (currency, rate) = if abroad { (OTHER_CURRENCY, 82) } else { ("INR", 118) };
        let most = if chance.random_ratio(1, 10) { 15_000_000 } else { 500_000 };
        let paise = chance.random_range(10_000..most);
        let (amount, rate) = (Decimal::new(paise, 2), Decimal::new(rate, 4));
        let fee = (amount * Decimal::new(2, 2)).round_dp(2);
        let status = weighted(&mut chance, &STATUSES);
        let person = chance.random_range(0..1_000_000_u32);
        let (first, last) = (pick(&mut chance, &FIRST_NAMES), pick(&mut chance, &LAST_NAMES));
        let has_rate = chance.random_ratio(99, 100);
        let key = key(number / 2, created_at, &mut chance);
        let utr = 400_000_000_000 + chance.random_range(0..100_000_000_000_u64);
        let reference = format!("SP-{:012X}", chance.random::<u64>() >> 16);
        let ended_at = created_at + TimeDelta::seconds(chance.random_range(20..600));
        Transaction {
            version: match source {
                Source::Vima => Version { sequence: Some(SequenceId(number.into())), modified_at: None },
                Source::Payshack => Version { sequence: None, modified_at: Some(ended_at) },
            },
            client_operation_id: (source == Source::Vima).then(|| key.clone()),
            order_id: (source == Source::Payshack).then(|| key.clone()),
            project: Some(format!("project-{project}")),
            merchant_id: Some(format!("merchant-{project}-{merchant}")),
            amount,
            paid_amount: (source == Source::Payshack && status == Status::Success).then_some(amount),
            currency: currency.to_owned().try_into().expect("a code of three letters"),
            amount_usd: has_rate.then(|| (amount * rate).round_dp(2)),
            fee: Some(fee),
            fee_usd: has_rate.then(|| (fee * rate).round_dp(4)),
            exchange_rate: has_rate.then_some(rate),
            status,
            original_status: Some(original_status(source, status)),
            user_id: Some(format!("user-{person}")),
            user_email: Some(format!("{}.{}{person}@example.com", first.to_lowercase(), last.to_lowercase())),
            user_phone: Some(format!("9198{:08}", u64::from(person) * 97 % 100_000_000)),
            user_name: Some(format!("{first} {last}")),
            country: Some(weighted(&mut chance, &COUNTRIES).to_owned()),
            utr: (status == Status::Success).then(|| utr.to_string()),
            payment_method: Some(weighted(&mut chance, &METHODS).to_owned()),
            updated_at: Some(ended_at),
            completed_at: (status == Status::Success).then_some(ended_at),
            raw: format!(r#"{{"id":"{number}","reference":"{reference}","key":"{key}","more":"{:x<220}"}}"#, ""),
            reference_id: Some(reference),
            ..minimal_transaction((source, kind), (1_180_000_000_000_000_000 + number).to_string(), created_at)
        }
    }

    /// Stores all payments with their metric cells, and marks the sources as read up to the last one.
    pub(crate) async fn store(&self, pool: &PgPool) {
        let indexes = drop_indexes(pool).await;
        let mut steps = vec![("copied", self.copy(pool).await)];
        let statements = stream::iter(indexes).for_each_concurrent(CONNECTIONS, |index| run(pool, index));
        steps.push(("indexes", timed(statements).await));
        steps.push(("cells", timed(fill_cells(pool, self)).await));
        self.insert_streams(pool).await;
        run(pool, "VACUUM ANALYZE transactions".to_owned()).await;
        steps.push(("packed", timed(pack(pool, self)).await));
        steps.push((
            "vacuum",
            timed(run(pool, "VACUUM ANALYZE metric_cells, packed_days, packed_cells".to_owned())).await,
        ));
        let steps: Vec<String> = steps.iter().map(|(step, seconds)| format!("{step} {seconds:.0} s")).collect();
        println!("{} payments stored: {}", self.count, steps.join(", "));
    }

    async fn copy(&self, pool: &PgPool) -> f64 {
        let next = AtomicU64::new(0);
        let copying = (0..CONNECTIONS).map(|_| async {
            let mut connection = pool.acquire().await.expect("a connection");
            loop {
                let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                if first >= self.count {
                    break;
                }
                let payments = *self;
                let rows = tokio::task::spawn_blocking(move || payments.rows(first)).await.expect("no panic");
                let mut copy = connection
                    .copy_in_raw(&format!("COPY transactions ({COLUMNS}) FROM STDIN"))
                    .await
                    .expect("COPY starts");
                copy.send(rows.into_bytes()).await.expect("COPY accepts the rows");
                copy.finish().await.expect("the rows are stored");
            }
        });
        timed(futures_util::future::join_all(copying)).await
    }

    async fn insert_streams(&self, pool: &PgPool) {
        let (from, until) = (self.from.date_naive(), self.until);
        let read = format!(
            "INSERT INTO sync_streams (source, stream, day, watermark, covered_from)
             SELECT source, stream, day::date, read_up_to::timestamptz, day::date
               FROM (VALUES ('vima', 'creations', NULL, '{until}'), ('vima', 'updates', NULL, '{until}'),
                            ('payshack', 'payins', NULL, '{until}'), ('payshack', 'payouts', NULL, '{until}'),
                            ('vima', 'history', '{from}', NULL), ('payshack', 'history', '{from}', NULL))
                    AS lists (source, stream, day, read_up_to)"
        );
        run(pool, read).await;
    }

    /// A chunk in the format of COPY.
    fn rows(&self, first: u64) -> String {
        let mut rows = String::new();
        for number in first..self.count.min(first + CHUNK) {
            push_row(&mut rows, self.id(number), &self.payment(number));
        }
        rows
    }
}

/// As the source writes it: only these names of successes are left out of an index.
fn original_status(source: Source, status: Status) -> String {
    let (first, rest) = status.as_str().split_at(1);
    match source {
        Source::Vima => status.as_str().to_owned(),
        Source::Payshack => first.to_uppercase() + rest,
    }
}

fn project(chance: &mut ChaCha8Rng) -> u32 {
    if chance.random_ratio(2, 10_000) { PROJECTS } else { chance.random_range(1..PROJECTS) }
}

fn pick(chance: &mut ChaCha8Rng, of: &[&'static str]) -> &'static str {
    of[chance.random_range(0..of.len())]
}

fn weighted<T: Copy>(chance: &mut ChaCha8Rng, of: &[(T, u32)]) -> T {
    let mut place = chance.random_range(0..1_000);
    for (value, weight) in of {
        if place < *weight {
            return *value;
        }
        place -= weight;
    }
    unreachable!("the weights make a thousand")
}

/// A key as merchants generate them: mostly digits derived from the time, sometimes letters.
fn key(pair: u64, created_at: DateTime<Utc>, chance: &mut ChaCha8Rng) -> String {
    let letters = chance.random::<u64>();
    if pair.is_multiple_of(4) {
        format!("A{:013X}", letters >> 12)
    } else {
        format!("{}{:05}", created_at.timestamp() / 60, pair * 7919 % 99_991)
    }
}

/// Appends a row in the format of COPY. No value of these payments needs escaping.
fn push_row(rows: &mut String, id: Uuid, payment: &Transaction) {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| r"\N".to_owned());
    let money = |field: Option<Decimal>| field.map_or_else(|| r"\N".to_owned(), |amount| amount.to_string());
    let moment = |field: Option<DateTime<Utc>>| field.map_or_else(|| r"\N".to_owned(), time);
    let sequence = payment.version.sequence.map(|sequence| sequence.to_string());
    let origin = Valuation::new(payment, &Rates::default()).map(|valuation| valuation.origin.as_str().to_owned());
    let fields = [
        id.to_string(),
        payment.key.source.as_str().to_owned(),
        payment.key.kind.as_str().to_owned(),
        payment.key.source_id.clone(),
        text(&sequence),
        moment(payment.version.modified_at),
        format!(r"\\x{}", hex::encode(payment.content_hash().0)),
        text(&payment.reference_id),
        text(&payment.client_operation_id),
        text(&payment.order_id),
        text(&payment.project),
        text(&payment.merchant_id),
        payment.amount.to_string(),
        money(payment.paid_amount),
        payment.currency.as_str().to_owned(),
        money(payment.amount_usd),
        money(payment.fee),
        money(payment.fee_usd),
        money(payment.exchange_rate),
        text(&origin),
        payment.status.as_str().to_owned(),
        text(&payment.original_status),
        text(&payment.user_id),
        text(&payment.user_email),
        text(&payment.user_phone),
        text(&payment.user_name),
        text(&payment.country),
        text(&payment.utr),
        text(&payment.payment_method),
        time(payment.created_at),
        moment(payment.updated_at),
        moment(payment.completed_at),
        moment(payment.updated_at),
        payment.raw.clone(),
    ];
    writeln!(rows, "{}", fields.join("\t")).expect("writing to a String");
}

/// Drops every index except the primary key, and returns the statements that create them again.
async fn drop_indexes(pool: &PgPool) -> Vec<String> {
    let indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'transactions'
                      AND schemaname = 'public' AND indexname <> 'transactions_pkey'";
    let mut definitions = vec![];
    for index in pool.fetch_all(indexes).await.expect("the indexes are listed") {
        let (name, definition): (String, String) = (index.get("indexname"), index.get("indexdef"));
        run(pool, format!("DROP INDEX {name}")).await;
        definitions.push(definition);
    }
    definitions
}

/// Fills the metric cells like the migration, one day of one source at a time.
async fn fill_cells(pool: &PgPool, payments: &Payments) {
    let filling = Source::ALL.into_iter().map(|source| async move {
        let mut connection = pool.acquire().await.expect("a connection");
        connection.execute("SET work_mem = '128MB'").await.expect("the setting is accepted");
        let mut day = payments.from.date_naive();
        while day <= payments.until.date_naive() {
            let next = day.succ_opt().expect("a valid day");
            let fill = format!(
                "INSERT INTO metric_cells SELECT * FROM count_metric_cells('{source}', '{day} 00:00Z', '{next} 00:00Z')"
            );
            connection.execute(AssertSqlSafe(fill)).await.expect("the cells are new");
            day = next;
        }
        connection.execute("RESET work_mem").await.expect("the setting is accepted");
    });
    futures_util::future::join_all(filling).await;
}

/// Packs the days that have ended, as housekeeping does.
async fn pack(pool: &PgPool, payments: &Payments) {
    let last = (payments.until - AHEAD).date_naive();
    let packing = Source::ALL.into_iter().map(|source| async move {
        for day in payments.from.date_naive().iter_days().take_while(|day| *day < last) {
            pack_day(pool, source, day).await.expect("the day is packed");
        }
    });
    futures_util::future::join_all(packing).await;
}

async fn run(pool: &PgPool, statement: String) {
    let text = statement.clone();
    pool.execute(AssertSqlSafe(statement)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
}

/// Runs `work` and returns how many seconds it took.
async fn timed<T>(work: impl Future<Output = T>) -> f64 {
    let started = Instant::now();
    work.await;
    started.elapsed().as_secs_f64()
}
