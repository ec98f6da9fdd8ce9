//! Who takes part at `PayShack`: its lists of clients, resellers and service providers, and what the first two hold.
//!
//! Of a row only the fields below are kept. The row itself is not, unlike a payment's: it is no record of money that moved,
//! and may hold what an account signs with.

use rust_decimal::Decimal;

use super::string_enum::string_enum;

string_enum! {
    /// One of the lists.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum MetadataList {
        /// Merchants whose payments are processed.
        Clients = "clients",
        /// Who brings clients, ourselves among them.
        Resellers = "resellers",
        /// Banks and switches that carry payments out.
        ServiceProviders = "service_providers",
    }
}

/// A list as it was read. A row is in one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<Row> {
    /// The rows that could be read, in the order they came in.
    pub rows: Vec<Row>,
    /// Those that could not.
    pub unreadable: Vec<UnreadableRow>,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Its id, where at least that could be read: it is listed all the same.
    pub id: Option<String>,
    /// Why it could not be read, in a sentence that names the field and repeats nothing personal.
    pub reason: String,
}

/// Any of the lists, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// The clients.
    Clients(Listing<Client>),
    /// The resellers.
    Resellers(Listing<Reseller>),
    /// The service providers.
    ServiceProviders(Listing<ServiceProvider>),
}

impl Metadata {
    /// Which list it is.
    #[must_use]
    pub fn list(&self) -> MetadataList {
        match self {
            Self::Clients(_) => MetadataList::Clients,
            Self::Resellers(_) => MetadataList::Resellers,
            Self::ServiceProviders(_) => MetadataList::ServiceProviders,
        }
    }

    /// The rows that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> &[UnreadableRow] {
        match self {
            Self::Clients(listing) => &listing.unreadable,
            Self::Resellers(listing) => &listing.unreadable,
            Self::ServiceProviders(listing) => &listing.unreadable,
        }
    }
}

/// A row of a list, known by its id at `PayShack`.
pub trait ListedRow {
    /// Its id.
    fn id(&self) -> &str;
}

/// A merchant whose payments are processed. What `PayShack` did not say is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id, the `clientId` of its payments.
    pub client_id: String,
    /// Its name, the `clientName` of its payments.
    pub name: Option<String>,
    /// Whom to write to.
    pub email: Option<String>,
    /// `PayShack`'s word for how it stands.
    pub status: Option<String>,
    /// Whether it may take payments.
    pub is_active: Option<bool>,
    /// What it holds, in rupees.
    pub balance: Option<Decimal>,
    /// What it holds for pay-outs, in rupees.
    pub wallet_balance: Option<Decimal>,
    /// What it is charged, as `PayShack` writes it.
    pub commission_rate: Option<Decimal>,
    /// Who brought it.
    pub reseller_id: Option<String>,
}

/// Who brings clients. What `PayShack` did not say is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseller {
    /// Its id.
    pub reseller_id: String,
    /// The id it logs in by.
    pub user_id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Whom to write to.
    pub email: Option<String>,
    /// What it may do at `PayShack`, in its words.
    pub role: Option<String>,
    /// `PayShack`'s word for how it stands.
    pub status: Option<String>,
    /// Whether it may work.
    pub is_active: Option<bool>,
    /// What it holds, in rupees.
    pub balance: Option<Decimal>,
}

/// A bank or switch that carries payments out. What `PayShack` did not say is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceProvider {
    /// Its id.
    pub service_provider_id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its short name.
    pub code: Option<String>,
    /// `PayShack`'s word for how it stands.
    pub status: Option<String>,
    /// Whether it is in use.
    pub is_active: Option<bool>,
    /// Whether pay-ins go through it.
    pub supports_payin: Option<bool>,
    /// Whether pay-outs go through it.
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
    /// Each row once, sorted by id; of one that is listed twice, the later.
    #[must_use]
    pub fn distinct(&self) -> Vec<&Row> {
        let by_id: std::collections::BTreeMap<&str, &Row> = self.rows.iter().map(|row| (row.id(), row)).collect();
        by_id.into_values().collect()
    }

    /// The ids that the list names, those of unreadable rows among them.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let readable = self.rows.iter().map(|row| row.id().to_owned());
        readable.chain(self.unreadable.iter().filter_map(|row| row.id.clone())).collect()
    }
}

string_enum! {
    /// Whose balance it is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum OwnerKind {
        /// A client's.
        Client = "client",
        /// A reseller's.
        Reseller = "reseller",
    }
}

string_enum! {
    /// Which of an owner's balances.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BalanceKind {
        /// `balance`.
        Balance = "balance",
        /// `walletBalance`.
        WalletBalance = "wallet_balance",
    }
}

/// What an owner holds at the moment, in rupees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance<'a> {
    /// Whose.
    pub owner_kind: OwnerKind,
    /// The owner's id.
    pub owner_id: &'a str,
    /// Which of the owner's.
    pub kind: BalanceKind,
    /// How much; below zero where it is owed.
    pub amount: Decimal,
}

impl Client {
    /// What it holds, as far as `PayShack` said.
    pub fn balances(&self) -> impl Iterator<Item = Balance<'_>> {
        let amounts = [(BalanceKind::Balance, self.balance), (BalanceKind::WalletBalance, self.wallet_balance)];
        held(OwnerKind::Client, &self.client_id, amounts)
    }
}

impl Reseller {
    /// What it holds, as far as `PayShack` said.
    pub fn balances(&self) -> impl Iterator<Item = Balance<'_>> {
        held(OwnerKind::Reseller, &self.reseller_id, [(BalanceKind::Balance, self.balance)])
    }
}

fn held<const KINDS: usize>(
    owner_kind: OwnerKind,
    owner_id: &str,
    amounts: [(BalanceKind, Option<Decimal>); KINDS],
) -> impl Iterator<Item = Balance<'_>> {
    let said = amounts.into_iter().filter_map(|(kind, amount)| Some((kind, amount?)));
    said.map(move |(kind, amount)| Balance { owner_kind, owner_id, kind, amount })
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
    fn of_a_row_that_is_listed_twice_the_later_counts() {
        let listing = Listing {
            rows: vec![provider("b", "first"), provider("a", "only"), provider("b", "second")],
            unreadable: vec![],
        };
        let names: Vec<Option<&str>> = listing.distinct().iter().map(|row| row.name.as_deref()).collect();
        assert_eq!(names, [Some("only"), Some("second")]);
    }

    #[test]
    fn an_unreadable_row_whose_id_is_known_is_listed() {
        let unreadable = |id: Option<&str>| UnreadableRow { id: id.map(str::to_owned), reason: String::new() };
        let listing =
            Listing { rows: vec![provider("a", "x")], unreadable: vec![unreadable(None), unreadable(Some("b"))] };
        assert_eq!(listing.ids(), ["a", "b"]);
    }
}
