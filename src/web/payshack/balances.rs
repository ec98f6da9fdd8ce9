//! The history of the balances of PayShack's clients and resellers.

use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::db::metadata::balances::{self, BalanceFilter, RecordedBalance};
use crate::db::page::TimeCursor;
use crate::domain::day::start_of_day;
use crate::domain::metadata::{BalanceKind, OwnerKind};
use crate::domain::money::Currency;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time, Zone, named_enum};
use crate::web::state::State;

/// The name that cursors are signed with.
const LISTING: &str = "payshack balances";

request_fields! {
    /// Which balances are listed.
    struct BalanceQuery {
        /// Filter by the kind of owner: clients or resellers.
        owner_kind: Option<OwnerKind>,
        /// Filter by client (PayShack's id). Together with `reseller_id`, balances of either match.
        client_id: Vec<String>,
        /// Filter by reseller (PayShack's id). Together with `client_id`, balances of either match.
        reseller_id: Vec<String>,
        /// Filter by the kind of balance.
        balance_kind: Option<BalanceKind>,
        /// The first day of recording.
        from_date: Option<NaiveDate>,
        /// The last day of recording, included.
        to_date: Option<NaiveDate>,
        /// The time zone of the days (IANA name); default: the server's `REPORT_TIMEZONE`.
        timezone: Option<Zone>,
    }
    check: BalanceQuery::check
}

impl BalanceQuery {
    fn check(&self, fields: &mut Fields) {
        fields.check_days(self.from_date, self.to_date);
    }

    fn filter(self, default_zone: Tz) -> BalanceFilter {
        let zone = self.timezone.map_or(default_zone, |Zone(zone)| zone);
        BalanceFilter {
            owner_kind: self.owner_kind,
            client_ids: self.client_id,
            reseller_ids: self.reseller_id,
            balance_kind: self.balance_kind,
            from: self.from_date.map(|day| start_of_day(day, zone)),
            until: self.to_date.and_then(|day| day.succ_opt()).map(|day| start_of_day(day, zone)),
        }
    }
}

/// A recorded balance of a client or reseller.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PayshackBalance {
    /// The id of the recorded balance in this API.
    id: Uuid,
    /// The kind of the owner: client or reseller.
    owner_kind: OwnerKind,
    /// The owner's id at PayShack.
    owner_id: String,
    /// The owner's current name.
    owner_name: Option<String>,
    /// The kind of balance.
    balance_kind: BalanceKind,
    /// The balance in `currency`; negative if the owner owes it.
    amount: Money,
    /// The currency of `amount` (ISO 4217 code).
    currency: String,
    /// When the balance was read from PayShack.
    recorded_at: Time,
}

impl From<RecordedBalance> for PayshackBalance {
    fn from(recorded: RecordedBalance) -> Self {
        Self {
            id: recorded.id,
            owner_kind: recorded.owner_kind,
            owner_id: recorded.owner_id,
            owner_name: recorded.owner_name,
            balance_kind: recorded.balance_kind,
            amount: Money(recorded.amount),
            currency: recorded.currency,
            recorded_at: Time(recorded.recorded_at),
        }
    }
}

impl Example for PayshackBalance {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            owner_kind: OwnerKind::Client,
            owner_id: "client-7".to_owned(),
            owner_name: Some("Example Shop".to_owned()),
            balance_kind: BalanceKind::WalletBalance,
            amount: Money(98_000.into()),
            currency: Currency::inr().into(),
            recorded_at: Time(EXAMPLE_TIME),
        }
    }
}

pub(in crate::web) struct BalancesApi;

#[OpenApi(prefix_path = "/api/v1/payshack", tag = "Tag::Payshack")]
impl BalancesApi {
    /// List PayShack balances
    ///
    /// The recorded balances of clients and resellers, newest first. A balance is recorded when it has changed, and at least once
    /// per UTC day.
    #[oai(path = "/balances", method = "get", operation_id = "listPayshackBalances")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        query: Query<BalanceQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<PayshackBalance>>, Fails> {
        let filter = query.0.filter(state.report_timezone);
        let asked: Window<TimeCursor> = state.cursors.window(LISTING, &page.0)?;
        let window = asked.to_db();
        let (found, count) =
            tokio::try_join!(balances::list(&state.pool, &filter, &window), balances::count(&state.pool, &filter))?;
        let page = state.cursors.page(LISTING, &asked, count, found, RecordedBalance::cursor);
        Ok(Json(page.map(PayshackBalance::from)))
    }
}

named_enum!(OwnerKind, "OwnerKind", OwnerKind::ALL, "The kind of the owner of a balance.");
named_enum!(BalanceKind, "BalanceKind", BalanceKind::ALL, "The kind of a balance.");
