//! The endpoints of the metrics, each with many questions that have never been asked.

use chrono::Days;
use chrono_tz::Tz;
use psp_dashboard::domain::day::DayRange;

use super::measured::{CountTold, Endpoint, Limits};
use super::plain::Plain;
use crate::payments::Payments;

const ZONES: [Tz; 4] = [Tz::UTC, Tz::Asia__Kolkata, Tz::Asia__Kathmandu, Tz::America__New_York];
const QUESTIONS: u64 = 100;
const PERIOD: Days = Days::new(29);
/// An overview, or one by a single dimension.
const SUMS: Option<Limits> = Some(Limits(5.0, 15.0));
/// Sums of many stretches of time.
const SERIES: Option<Limits> = Some(Limits(10.0, 25.0));

const BANDS: &str = "width_bucket(amount, '{100,500,1000,5000,10000,50000,100000}'::numeric[])";

/// Thirty days, the same length and never the same: other days, and each in another zone.
fn period(payments: &Payments, question: u64) -> DayRange {
    let zone = ZONES[usize::try_from(question % 4).unwrap_or_default()];
    let to = payments.until.date_naive() - Days::new(2 + question / 4 * 2);
    DayRange::new(to - PERIOD, to, zone).expect("days in their order")
}

/// Thirty days up to today, in each zone.
fn recent(payments: &Payments, endpoint: &str) -> Vec<String> {
    let to = payments.until.date_naive();
    let days = |question| {
        let zone = ZONES[usize::try_from(question % 4).unwrap_or_default()];
        DayRange::new(to - PERIOD, to, zone).expect("days in their order")
    };
    questions(days, ZONES.len() as u64, endpoint)
}

fn questions(days: impl Fn(u64) -> DayRange, how_many: u64, endpoint: &str) -> Vec<String> {
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    let ask = |days: DayRange| {
        let (from, to, zone) = (days.from(), days.to(), days.zone());
        format!("/api/v1/metrics/{endpoint}{joint}from_date={from}&to_date={to}&timezone={zone}")
    };
    (0..how_many).map(|question| ask(days(question))).collect()
}

/// All of them.
pub(super) fn all(payments: &Payments) -> Vec<Endpoint> {
    let days = |question| period(payments, question);
    let first = days(0);
    let zone = first.zone();
    let of = |name: &str, limits, group: &str, endpoint: &str| Endpoint {
        name: name.to_owned(),
        limits,
        paths: questions(days, QUESTIONS, endpoint),
        recent: recent(payments, endpoint),
        plain: Some(Plain::sums(group, &first, "")),
        count_told: CountTold::InRows,
        beside: None,
    };
    let time = |unit: &str| format!("date_trunc('{unit}', created_at, '{zone}')");
    let local = |part: &str| format!("extract({part} FROM created_at AT TIME ZONE '{zone}')::int");
    let (weekday, hour) = (local("isodow"), local("hour"));
    let before = |of: Endpoint, group: &str| Endpoint {
        plain: of.plain.map(|plain| plain.and(Plain::sums(group, &first.previous(), ""))),
        ..of
    };
    let mut all = vec![
        before(of("overview", SUMS, "source", "overview"), "source"),
        of("by-project", SUMS, "project", "by-project"),
        of("by-source", SUMS, &format!("source || {}", time("day")), "by-source?granularity=day"),
        of("by-source, by hour", SUMS, &format!("source || {}", time("hour")), "by-source"),
        of("trends, by hour", SERIES, &time("hour"), "trends"),
        of("trends, by day", SERIES, &time("day"), "trends?granularity=day"),
        before(of("comparison", SERIES, "true", "comparison?comparison_type=custom"), "true"),
        of("heatmap", SERIES, &format!("{weekday} * 24 + {hour}"), "heatmap?metric=count"),
        Endpoint {
            count_told: CountTold::Nowhere,
            ..of(
                "heatmap, merchants by hour",
                SERIES,
                &format!("merchant_id || {hour}"),
                "heatmap?dimension=merchant_hour",
            )
        },
        of("by-country", None, "country", "by-country"),
        of("by-merchant", None, "merchant_id", "by-merchant?limit=100"),
        of("by-status", None, "true", "by-status"),
        of("by-payment-method", None, "payment_method", "by-payment-method"),
        of("hourly-distribution", None, &format!("{weekday} * 24 + {hour}"), "hourly-distribution"),
        of("amount-distribution", None, &format!("{BANDS} * 24 + {hour}"), "amount-distribution"),
        Endpoint {
            count_told: CountTold::Nowhere,
            ..of("conversion-by-project", None, "project", "conversion-by-project")
        },
    ];
    all.extend(filtered(payments));
    all.extend(of_now());
    all
}

/// Overviews of some of the payments.
fn filtered(payments: &Payments) -> Vec<Endpoint> {
    let days = |question| period(payments, question);
    let of = |filter: &str, more: &str| Endpoint {
        name: format!("overview, {filter}"),
        limits: SUMS,
        paths: questions(days, QUESTIONS, &format!("overview?{filter}")),
        recent: recent(payments, &format!("overview?{filter}")),
        plain: Some(Plain::sums("source", &days(0), more).and(Plain::sums("source", &days(0).previous(), more))),
        count_told: CountTold::InRows,
        beside: None,
    };
    vec![
        of("project=project-7", "AND project = 'project-7'"),
        of("source=vima&status=success", "AND source = 'vima' AND status = 'success'"),
    ]
}

/// What is asked of now: what it counts has gone on by the time that plain SQL counts it.
fn of_now() -> Vec<Endpoint> {
    let of = |name: &str, paths: Vec<String>, plain: Plain| Endpoint {
        name: name.to_owned(),
        limits: None,
        recent: paths[..1].to_vec(),
        paths,
        plain: Some(plain),
        count_told: CountTold::Nowhere,
        beside: None,
    };
    let repeated = |path: &str| vec![path.to_owned(); 50];
    let minutes = (0..50).map(|question| format!("/api/v1/metrics/rpm?minutes={}", 60 + question)).collect();
    let by_minute = |minutes| Plain::recent("date_trunc('minute', created_at)", minutes);
    let values = ["project", "status", "currency", "country", "payment_method", "source", "kind"];
    let filters = values.into_iter().map(|column| Plain::recent(column, 30 * 1_440)).collect();
    vec![
        of("rpm, an hour", minutes, by_minute(60)),
        of("rpm, a day", repeated("/api/v1/metrics/rpm?minutes=1440"), by_minute(1_440)),
        of("live", repeated("/api/v1/metrics/live"), Plain::recent("status || currency", 5)),
        of("filters", repeated("/api/v1/filters"), filters),
    ]
}
