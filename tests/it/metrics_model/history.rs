//! Random histories of payments: created, then updated with another status, amount, project, method or time.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::transaction::{Kind, Source, Transaction};
use psp_dashboard::domain::version::{SequenceId, Version};
use rust_decimal::Decimal;

use crate::harness::ingest_fixture::minimal_transaction;

/// A version of a payment.
#[derive(Debug, Clone)]
pub(super) struct PaymentVersion {
    pub(super) source: Source,
    pub(super) kind: Kind,
    id: u8,
    version: u8,
    created_at: DateTime<Utc>,
    project: Option<u8>,
    merchant: Option<u8>,
    country: Option<&'static str>,
    method: Option<&'static str>,
    currency: &'static str,
    paise: i64,
    fee: Option<i64>,
    rate: Option<i64>,
    status: Status,
}

impl PaymentVersion {
    /// Absent, usual, or written otherwise.
    fn original_status(&self) -> Option<String> {
        let name = self.status.as_str();
        match self.id % 4 {
            0 => None,
            1 => Some(name.to_owned()),
            2 => Some(name[..1].to_uppercase() + &name[1..]),
            _ => Some(name.to_uppercase()),
        }
    }

    pub(super) fn record(&self) -> Record {
        let rate = self.rate.map(|rate| Decimal::new(rate, 4));
        let (amount, fee) = (Decimal::new(self.paise, 2), self.fee.map(|fee| Decimal::new(fee, 3)));
        let worth = |value: Decimal| rate.map(|rate| value * rate);
        Record::Payment(Box::new(Transaction {
            version: Version { sequence: Some(SequenceId(self.version.into())), modified_at: None },
            project: self.project.map(|project| format!("project-{project}")),
            merchant_id: self.merchant.map(|merchant| format!("merchant-{merchant}")),
            amount,
            currency: self.currency.parse().expect("a currency"),
            amount_usd: worth(amount),
            fee,
            fee_usd: fee.and_then(worth),
            exchange_rate: rate,
            status: self.status,
            original_status: self.original_status(),
            country: self.country.map(str::to_owned),
            payment_method: self.method.map(str::to_owned),
            ..minimal_transaction((self.source, self.kind), self.id.to_string(), self.created_at)
        }))
    }
}

prop_compose! {
    fn dimensions()(
        project in proptest::option::weighted(0.9, 0_u8..3),
        merchant in proptest::option::weighted(0.9, 0_u8..5),
        country in proptest::option::weighted(0.9, prop_oneof![Just("IN"), Just("NP"), Just("BD")]),
        method in proptest::option::weighted(0.9, prop_oneof![Just("UPI"), Just("CARD")]),
        currency in prop_oneof![8 => Just("INR"), 1 => Just("EUR")],
        status in proptest::sample::select(Status::ALL.to_vec()),
    ) -> (Option<u8>, Option<u8>, Option<&'static str>, Option<&'static str>, &'static str, Status) {
        (project, merchant, country, method, currency, status)
    }
}

prop_compose! {
    fn payment_version(first: NaiveDate)(
        (source, kind) in prop_oneof![
            3 => Just((Source::Vima, Kind::Payin)),
            2 => Just((Source::Payshack, Kind::Payin)),
            1 => Just((Source::Payshack, Kind::Payout)),
        ],
        id in 0_u8..60,
        version in 1_u8..9,
        // Within eight days, to the second; often on a quarter-hour boundary.
        second in prop_oneof![4 => 0_i64..691_200, 1 => (0_i64..768).prop_map(|quarter| quarter * 900)],
        (project, merchant, country, method, currency, status) in dimensions(),
        paise in prop_oneof![4 => 1_i64..20_000_000, 1 => Just(10_000), 1 => Just(0)],
        fee in proptest::option::of(0_i64..100_000),
        rate in proptest::option::weighted(0.8, 100_i64..200),
    ) -> PaymentVersion {
        let created_at = (first - chrono::Days::new(2)).and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::seconds(second);
        PaymentVersion {
            source, kind, id, version, created_at, project, merchant, country, method, currency, paise, fee, rate, status,
        }
    }
}

/// Pages of versions of payments created around the days from `first` on.
pub(super) fn histories(first: NaiveDate) -> impl Strategy<Value = Vec<Vec<PaymentVersion>>> {
    proptest::collection::vec(proptest::collection::vec(payment_version(first), 20..40), 8..12)
}
