//! Follow-up questions, over HTTP and with millions of payments: why a payment is counted as it is, why one is missing, which jobs
//! failed, which of these ids are known.
//!
//! `PSP_BENCH_PAYMENTS` lists numbers of payments (default `10000000`). The jobs table has about as many jobs as in a week. Every
//! request is another question.

mod lookup;

use std::time::Instant;

use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::harness::test_system::{ADMIN, Web};
use crate::metrics::counts;
use crate::payments::Payments;
use crate::report::{self, Durations, Target};
use crate::stored_payments::shared_system;

const QUESTIONS: u64 = 200;
/// Questions before those that count.
const WARM_UP: usize = 10;
/// Of a week: the syncs of both sources, what runs on request, and webhooks.
const JOBS: u32 = 100_000;

const ANSWERS: Target = Target::AtMost(10.0);

/// A question: its name, and its path for each of [`QUESTIONS`] numbers.
struct Question {
    name: &'static str,
    path: Box<dyn Fn(u64) -> String>,
}

impl Question {
    fn new(name: &'static str, path: impl Fn(u64) -> String + 'static) -> Self {
        Self { name, path: Box::new(path) }
    }
}

pub(crate) async fn measure() {
    for count in counts("10000000") {
        let (system, payments) = shared_system(count).await;
        insert_jobs(&system.pool).await;
        let web = system.start_web_with(&[("LOG_LEVEL", "warn"), ("RATE_LIMIT_PER_KEY", "0")]).await;
        report::heading(&format!("{count} payments and {JOBS} jobs"));
        for question in questions(payments) {
            let durations = ask(&web, &question).await;
            report::print_cell(question.name, "p50", durations.percentile_ms(50), "ms", ANSWERS);
            report::print_cell(question.name, "p95", durations.percentile_ms(95), "ms", Target::None);
        }
        lookup::measure(&system.pool, &web, &payments).await;
    }
}

fn questions(payments: Payments) -> Vec<Question> {
    let text = |field: Option<String>| field.unwrap_or_default();
    // A key with one character changed, as a person mistypes it.
    let mistyped = move |number| {
        let mut key = text(payments.payment(number_of(payments, number) & !1).client_operation_id);
        key.replace_range(4..5, if key.as_bytes().get(4) == Some(&b'7') { "8" } else { "7" });
        key
    };
    vec![
        Question::new("transactions/{id}/explain", move |number| {
            format!("/api/v1/transactions/{}/explain", payments.id(number_of(payments, number)))
        }),
        Question::new("explain/payment, stored", move |number| {
            let reference = text(payments.payment(number_of(payments, number)).reference_id);
            format!("/api/v1/explain/payment?reference={reference}")
        }),
        Question::new("explain/payment, mistyped", move |number| {
            format!("/api/v1/explain/payment?reference={}", mistyped(number))
        }),
        Question::new("jobs, newest", |number| format!("/api/v1/jobs?page={}", number % 20 + 1)),
        Question::new("jobs that failed on a day", |number| {
            let day = SystemClock.now() - chrono::TimeDelta::days((number % 6).try_into().unwrap_or_default());
            let day = day.date_naive();
            format!("/api/v1/jobs?state=failed&created_from={day}T00:00:00Z&created_until={day}T23:00:00Z")
        }),
        Question::new("jobs by error text", |number| format!("/api/v1/jobs?error=status%20{}", 500 + number % 5)),
        Question::new("jobs by arguments", |number| {
            format!("/api/v1/jobs?args=%7B%22date%22:%222026-01-{:02}%22%7D", number % 28 + 1)
        }),
        Question::new("jobs by outcome of an attempt", |_| "/api/v1/jobs?attempt_outcome=lost".to_owned()),
        Question::new("jobs, longest first", |_| "/api/v1/jobs?sort_by=finished_at&order=asc".to_owned()),
        Question::new("workers", |_| "/api/v1/workers".to_owned()),
    ]
}

async fn ask(web: &Web, question: &Question) -> Durations {
    let mut durations = vec![];
    for number in (0..).take(WARM_UP + usize::try_from(QUESTIONS).unwrap_or_default()) {
        let path = (question.path)(number);
        let sent = Instant::now();
        let response = web.request(Method::GET, &path, Some(ADMIN), None).await.expect("the web process responds");
        assert_eq!(response.status, 200, "{path}: {}", response.text);
        durations.push(sent.elapsed());
    }
    Durations::new(durations.split_off(WARM_UP))
}

/// The jobs of a week, with an attempt each; one in fifty failed, one in a thousand lost its worker first.
async fn insert_jobs(pool: &PgPool) {
    let jobs = format!(
        "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, attempt, max_attempts, epoch, error,
                           created_at, started_at, finished_at)
         SELECT gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'sync-payshack' ELSE 'sync-vima' END,
                jsonb_build_object('date', '2026-01-' || lpad((n % 28 + 1)::text, 2, '0')), 'sync', 10,
                CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END, 'schedule', at, 1, 5, 1,
                CASE WHEN n % 50 = 0 THEN 'the provider answered with status ' || 500 + n % 5 END, at,
                at + interval '1 second', at + interval '1 second' * (1 + n % 40)
           FROM generate_series(1, {JOBS}) n, LATERAL (SELECT now() - n * interval '7 days' / {JOBS} AS at) AS time"
    );
    let attempts = "INSERT INTO job_attempts (job_id, epoch, attempt, worker, started_at, finished_at, outcome, error)
                    SELECT id, 1, 1, 'worker-1', started_at, finished_at,
                           CASE WHEN random() < 0.001 THEN 'lost' WHEN state = 'failed' THEN 'failed' ELSE 'succeeded' END, error
                      FROM jobs";
    for statement in [jobs, attempts.to_owned(), "VACUUM ANALYZE jobs, job_attempts".to_owned()] {
        pool.execute(AssertSqlSafe(statement)).await.expect("the jobs are new");
    }
}

/// The number of a payment, different for each question, spread over all of them.
fn number_of(payments: Payments, question: u64) -> u64 {
    // The step has no common factor with any usual number of payments.
    (question * 7_919 * 104_729 + 12_345) % payments.count
}
