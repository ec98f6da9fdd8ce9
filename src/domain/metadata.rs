//! The `PayShack` directory: clients, resellers and service providers, and the balances of the first two.
//!
//! Only the fields below are stored. Unlike a payment, the raw row is not: it is not a record of money that moved, and may
//! contain credentials of an account.

use rust_decimal::Decimal;

use super::string_enum::string_enum;

string_enum! {
    /// A list of the directory.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum MetadataList {
        /// Merchants whose payments are processed.
        Clients = "clients",
        /// Accounts that bring clients, including our own.
        Resellers = "resellers",
        /// Banks and switches that execute payments.
        ServiceProviders = "service_providers",
    }
}

/// The rows of a list. Each row of the provider is in one of the two fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<Row> {
    /// In the order of the provider.
    pub rows: Vec<Row>,
    pub unreadable: Vec<UnreadableRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// `None` if not even the id could be read. A row with an id still counts as listed.
    pub id: Option<String>,
    /// A sentence that names the field and contains no personal data.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    Clients(Listing<Client>),
    Resellers(Listing<Reseller>),
    ServiceProviders(Listing<ServiceProvider>),
}

impl Metadata {
    #[must_use]
    pub fn list(&self) -> MetadataList {
        match self {
            Self::Clients(_) => MetadataList::Clients,
            Self::Resellers(_) => MetadataList::Resellers,
            Self::ServiceProviders(_) => MetadataList::ServiceProviders,
        }
    }

    #[must_use]
    pub fn unreadable(&self) -> &[UnreadableRow] {
        match self {
            Self::Clients(listing) => &listing.unreadable,
            Self::Resellers(listing) => &listing.unreadable,
            Self::ServiceProviders(listing) => &listing.unreadable,
        }
    }
}

pub trait ListedRow {
    /// The id at `PayShack`.
    fn id(&self) -> &str;
}

/// A merchant whose payments are processed. Fields that `PayShack` does not report are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The `clientId` of its payments.
    pub client_id: String,
    /// The `clientName` of its payments.
    pub name: Option<String>,
    pub email: Option<String>,
    pub status: Option<String>,
    /// Whether it may receive payments.
    pub is_active: Option<bool>,
    /// In rupees.
    pub balance: Option<Decimal>,
    /// In rupees, for pay-outs.
    pub wallet_balance: Option<Decimal>,
    /// As reported by `PayShack`.
    pub commission_rate: Option<Decimal>,
    /// The reseller that brought the client.
    pub reseller_id: Option<String>,
}

/// An account that brings clients. Fields that `PayShack` does not report are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseller {
    pub reseller_id: String,
    /// The id of its login.
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    /// The role at `PayShack`, unmapped.
    pub role: Option<String>,
    pub status: Option<String>,
    pub is_active: Option<bool>,
    /// In rupees.
    pub balance: Option<Decimal>,
}

/// A bank or switch that executes payments. Fields that `PayShack` does not report are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceProvider {
    pub service_provider_id: String,
    pub name: Option<String>,
    /// A short name.
    pub code: Option<String>,
    pub status: Option<String>,
    pub is_active: Option<bool>,
    pub supports_payin: Option<bool>,
    pub supports_payout: Option<bool>,
}

impl ListedRow for Client {
    fn id(&self) -> &str {
        &self.client_id
    }
}

impl ListedRow for Reseller {
    fn id(&self) -> &str {
        &self.reseller_id
    }
}

impl ListedRow for ServiceProvider {
    fn id(&self) -> &str {
        &self.service_provider_id
    }
}

impl<Row: ListedRow> Listing<Row> {
    /// Sorted by id. If an id is listed twice, the later row is returned.
    #[must_use]
    pub fn distinct(&self) -> Vec<&Row> {
        let by_id: std::collections::BTreeMap<&str, &Row> = self.rows.iter().map(|row| (row.id(), row)).collect();
        by_id.into_values().collect()
    }

    /// All listed ids, including those of unreadable rows.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let readable = self.rows.iter().map(|row| row.id().to_owned());
        readable.chain(self.unreadable.iter().filter_map(|row| row.id.clone())).collect()
    }
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum OwnerKind {
        Client = "client",
        Reseller = "reseller",
    }
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BalanceKind {
        Balance = "balance",
        WalletBalance = "wallet_balance",
    }
}

/// A current balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance<'a> {
    pub owner_kind: OwnerKind,
    pub owner_id: &'a str,
    pub kind: BalanceKind,
    /// In rupees; negative for a debt.
    pub amount: Decimal,
}

impl Client {
    /// The reported balances.
    pub fn balances(&self) -> impl Iterator<Item = Balance<'_>> {
        let amounts = [(BalanceKind::Balance, self.balance), (BalanceKind::WalletBalance, self.wallet_balance)];
        reported(OwnerKind::Client, &self.client_id, amounts)
    }
}

impl Reseller {
    pub fn balances(&self) -> impl Iterator<Item = Balance<'_>> {
        reported(OwnerKind::Reseller, &self.reseller_id, [(BalanceKind::Balance, self.balance)])
    }
}

fn reported<const KINDS: usize>(
    owner_kind: OwnerKind,
    owner_id: &str,
    amounts: [(BalanceKind, Option<Decimal>); KINDS],
) -> impl Iterator<Item = Balance<'_>> {
    let amounts = amounts.into_iter().filter_map(|(kind, amount)| Some((kind, amount?)));
    amounts.map(move |(kind, amount)| Balance { owner_kind, owner_id, kind, amount })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(id: &str, name: &str) -> ServiceProvider {
        ServiceProvider {
            service_provider_id: id.to_owned(),
            name: Some(name.to_owned()),
            code: None,
            status: None,
            is_active: None,
            supports_payin: None,
            supports_payout: None,
        }
    }

    #[test]
    fn later_row_of_a_repeated_id_wins() {
        let listing = Listing {
            rows: vec![provider("b", "first"), provider("a", "only"), provider("b", "second")],
            unreadable: vec![],
        };
        let names: Vec<Option<&str>> = listing.distinct().iter().map(|row| row.name.as_deref()).collect();
        assert_eq!(names, [Some("only"), Some("second")]);
    }

    #[test]
    fn ids_include_unreadable_rows_with_an_id() {
        let unreadable = |id: Option<&str>| UnreadableRow { id: id.map(str::to_owned), reason: String::new() };
        let listing =
            Listing { rows: vec![provider("a", "x")], unreadable: vec![unreadable(None), unreadable(Some("b"))] };
        assert_eq!(listing.ids(), ["a", "b"]);
    }
}
