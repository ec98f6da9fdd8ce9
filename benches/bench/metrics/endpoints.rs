//! The metric endpoints, each with many different queries.

use chrono::Days;
use chrono_tz::Tz;
use psp_dashboard::domain::day::DayRange;

use super::measurement::{CountIn, Endpoint, Limits};
use super::plain_sql::PlainSql;
use crate::payments::Payments;

const ZONES: [Tz; 4] = [Tz::UTC, Tz::Asia__Kolkata, Tz::Asia__Kathmandu, Tz::America__New_York];
const QUERIES: u64 = 100;
const PERIOD: Days = Days::new(29);
/// An overview, or totals by one dimension.
const SUMS: Option<Limits> = Some(Limits(5.0, 15.0));
/// Totals of many time buckets.
const SERIES: Option<Limits> = Some(Limits(10.0, 25.0));
/// Of many cells, without a cached answer.
const MANY_CELLS: Option<Limits> = Some(Limits(15.0, 40.0));
/// No limit of its own for the p95, except that of eight at once.
const MERCHANTS: Option<Limits> = Some(Limits(50.0, 200.0));

const BANDS: &str = "width_bucket(amount, '{100,500,1000,5000,10000,50000,100000}'::numeric[])";

/// Thirty days, different for each query, alternating between the zones.
fn period(payments: &Payments, query: u64) -> DayRange {
    let zone = ZONES[usize::try_from(query % 4).unwrap_or_default()];
    let to = payments.until.date_naive() - Days::new(2 + query / 4 * 2);
    DayRange::new(to - PERIOD, to, zone).expect("a valid range")
}

/// Thirty days up to today, in each zone.
fn recent(payments: &Payments, endpoint: &str) -> Vec<String> {
    let to = payments.until.date_naive();
    let days = |query| {
        let zone = ZONES[usize::try_from(query % 4).unwrap_or_default()];
        DayRange::new(to - PERIOD, to, zone).expect("a valid range")
    };
    paths(days, ZONES.len() as u64, endpoint)
}

fn paths(days: impl Fn(u64) -> DayRange, count: u64, endpoint: &str) -> Vec<String> {
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    let path = |days: DayRange| {
        let (from, to, zone) = (days.from(), days.to(), days.zone());
        format!("/api/v1/metrics/{endpoint}{separator}from_date={from}&to_date={to}&timezone={zone}")
    };
    (0..count).map(|query| path(days(query))).collect()
}

pub(super) fn all(payments: &Payments) -> Vec<Endpoint> {
    let days = |query| period(payments, query);
    let first = days(0);
    let zone = first.zone();
    let of = |name: &str, limits, group: &str, endpoint: &str| Endpoint {
        name: name.to_owned(),
        limits,
        paths: paths(days, QUERIES, endpoint),
        recent: recent(payments, endpoint),
        plain: Some(PlainSql::sums(group, &first, "")),
        count_in: CountIn::Rows,
        compared_with: None,
    };
    let time = |unit: &str| format!("date_trunc('{unit}', created_at, '{zone}')");
    let local = |part: &str| format!("extract({part} FROM created_at AT TIME ZONE '{zone}')::int");
    let (weekday, hour) = (local("isodow"), local("hour"));
    let before = |of: Endpoint, group: &str| Endpoint {
        plain: of.plain.map(|plain| plain.and(PlainSql::sums(group, &first.previous(), ""))),
        ..of
    };
    let mut all = vec![
        before(of("overview", SUMS, "source", "overview"), "source"),
        of("by-project", MANY_CELLS, "project", "by-project"),
        of("by-source", MANY_CELLS, &format!("source || {}", time("day")), "by-source?granularity=day"),
        of("by-source, by hour", MANY_CELLS, &format!("source || {}", time("hour")), "by-source"),
        of("trends, by hour", MANY_CELLS, &time("hour"), "trends"),
        of("trends, by day", SERIES, &time("day"), "trends?granularity=day"),
        before(of("comparison", SERIES, "true", "comparison?comparison_type=custom"), "true"),
        of("heatmap", MANY_CELLS, &format!("{weekday} * 24 + {hour}"), "heatmap?metric=count"),
        Endpoint {
            count_in: CountIn::Nowhere,
            ..of(
                "heatmap, merchants by hour",
                MERCHANTS,
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
            count_in: CountIn::Nowhere,
            ..of("conversion-by-project", None, "project", "conversion-by-project")
        },
    ];
    all.extend(by_payment(&all));
    all.extend(filtered(payments));
    all.extend(current());
    all
}

/// The cost of counting payments instead of records, relative to the same endpoint.
const BY_PAYMENT: f64 = 1.2;

/// Some of the endpoints, counting payments. Which ones are left out is a setting, so plain SQL does not count them.
fn by_payment(endpoints: &[Endpoint]) -> Vec<Endpoint> {
    let names = ["overview", "by-project", "by-country", "trends, by hour", "heatmap", "amount-distribution"];
    let by_payment = |name: &'static str| {
        let of = endpoints.iter().find(|endpoint| endpoint.name == name)?.clone();
        let count = |paths: Vec<String>| paths.into_iter().map(|path| format!("{path}&count=payments")).collect();
        Some(Endpoint {
            name: format!("{name}, by payment"),
            limits: None,
            paths: count(of.paths),
            recent: count(of.recent),
            plain: None,
            count_in: CountIn::Nowhere,
            compared_with: Some((name, BY_PAYMENT)),
        })
    };
    names.into_iter().filter_map(by_payment).collect()
}

/// Overviews with filters.
fn filtered(payments: &Payments) -> Vec<Endpoint> {
    let days = |query| period(payments, query);
    let of = |filter: &str, more: &str| Endpoint {
        name: format!("overview, {filter}"),
        limits: SUMS,
        paths: paths(days, QUERIES, &format!("overview?{filter}")),
        recent: recent(payments, &format!("overview?{filter}")),
        plain: Some(PlainSql::sums("source", &days(0), more).and(PlainSql::sums("source", &days(0).previous(), more))),
        count_in: CountIn::Rows,
        compared_with: None,
    };
    vec![
        of("project=project-7", "AND project = 'project-7'"),
        of("source=vima&status=success", "AND source = 'vima' AND status = 'success'"),
    ]
}

/// Endpoints of the current time. Their counts have changed by the time that plain SQL counts.
fn current() -> Vec<Endpoint> {
    let of = |name: &str, paths: Vec<String>, plain: PlainSql| Endpoint {
        name: name.to_owned(),
        limits: None,
        recent: paths[..1].to_vec(),
        paths,
        plain: Some(plain),
        count_in: CountIn::Nowhere,
        compared_with: None,
    };
    let repeated = |path: &str| vec![path.to_owned(); 50];
    let minutes = (0..50).map(|query| format!("/api/v1/metrics/rpm?minutes={}", 60 + query)).collect();
    let by_minute = |minutes| PlainSql::recent("date_trunc('minute', created_at)", minutes);
    let values = ["project", "status", "currency", "country", "payment_method", "source", "kind"];
    let filters = values.into_iter().map(|column| PlainSql::recent(column, 30 * 1_440)).collect();
    vec![
        of("rpm, an hour", minutes, by_minute(60)),
        of("rpm, a day", repeated("/api/v1/metrics/rpm?minutes=1440"), by_minute(1_440)),
        of("live", repeated("/api/v1/metrics/live"), PlainSql::recent("status || currency", 5)),
        of("filters", repeated("/api/v1/filters"), filters),
    ]
}
