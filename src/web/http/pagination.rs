//! Pages of lists, by number or by cursor.
//!
//! A cursor contains the item after which the next page starts, so that its cost does not depend on the depth. It is signed
//! with a key that all web processes share, so that clients cannot make their own.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use poem_openapi::types::{Example, ParseFromJSON, ToJSON};
use poem_openapi::{Enum, Object};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::fields::{Fields, request_fields};
use super::problem::Problem;
use crate::db::count::Count;
use crate::db::page::PageWindow;

const DEFAULT_LIMIT: u32 = 50;
const MAX_ITEMS: u32 = 100;
/// How many items a page by number may skip. The database skips them one by one, a cursor skips none.
const MAX_SKIPPED: i64 = 100_000;
/// Half of SHA-256: 128 bits cannot be guessed, and the cursor stays short.
const TAG_BYTES: usize = 16;

request_fields! {
    /// Which page is returned.
    pub(in crate::web) struct PageQuery {
        /// The number of the page, from 1. At most 100,000 items can be before the page: follow `next_cursor` for more. Cannot be
        /// combined with `cursor`.
        #[oai(validator(minimum(value = "1")))]
        page: Option<u32>,
        /// The number of items per page: 1 to 100; default: 50.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Option<u32>,
        /// The `next_cursor` of the previous page; its cost does not grow with the depth of the page.
        cursor: Option<String>,
    }
    check: PageQuery::check
}

impl PageQuery {
    fn skipped(&self) -> i64 {
        (i64::from(self.page.unwrap_or(1)) - 1) * i64::from(self.limit.unwrap_or(DEFAULT_LIMIT))
    }

    fn check(&self, fields: &mut Fields) {
        if self.page == Some(0) {
            fields.error("page", "must be at least 1");
        }
        if self.limit.is_some_and(|limit| !(1..=MAX_ITEMS).contains(&limit)) {
            fields.error("limit", format!("must be from 1 to {MAX_ITEMS}"));
        }
        if self.skipped() > MAX_SKIPPED {
            let message = "is more than 100,000 items deep: follow next_cursor page by page, or narrow the filters";
            fields.error("page", message);
        }
        if self.page.is_some() && self.cursor.is_some() {
            fields.error("cursor", "cannot be combined with page: leave page out");
        }
    }
}

/// The part of a list that a page contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct Window<T> {
    pub(in crate::web) number: u32,
    pub(in crate::web) limit: u32,
    pub(in crate::web) after: Option<T>,
}

impl<T> Window<T> {
    /// How many items are skipped, from the beginning or from `after`.
    pub(in crate::web) fn offset(&self) -> i64 {
        if self.after.is_some() { 0 } else { self.passed() }
    }

    /// One more than the page has, to detect a next page.
    pub(in crate::web) fn wanted(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// For the query, which reads one item more than the page has, to detect a next page.
    pub(in crate::web) fn to_db(&self) -> PageWindow<T>
    where
        T: Clone,
    {
        PageWindow { after: self.after.clone(), offset: self.offset(), limit: self.wanted() }
    }

    fn passed(&self) -> i64 {
        (i64::from(self.number) - 1) * i64::from(self.limit)
    }
}

/// The content of a cursor: its list, the number of the next page, and the item after which it starts.
#[derive(Serialize, Deserialize)]
struct Claims<T> {
    listing: String,
    page: u32,
    after: T,
}

/// Signs and verifies cursors.
pub(in crate::web) struct Cursors {
    key: Vec<u8>,
}

impl Cursors {
    pub(in crate::web) fn new(key: Vec<u8>) -> Self {
        Self { key }
    }

    /// The requested part of `listing`, whose name includes everything that its order depends on.
    pub(in crate::web) fn window<T: DeserializeOwned>(
        &self,
        listing: &str,
        query: &PageQuery,
    ) -> Result<Window<T>, Problem> {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        let Some(cursor) = &query.cursor else {
            return Ok(Window { number: query.page.unwrap_or(1), limit, after: None });
        };
        let claims: Option<Claims<T>> = self.read(cursor).filter(|claims: &Claims<T>| claims.listing == listing);
        let Some(claims) = claims else {
            return Err(Problem::field("cursor", "is not a next_cursor of this list; start again without it"));
        };
        Ok(Window { number: claims.page, limit, after: Some(claims.after) })
    }

    /// The page of `listing` with these items; one item more than the page has means that there is a next page.
    pub(in crate::web) fn page<I, T: Serialize>(
        &self,
        listing: &str,
        window: &Window<T>,
        count: Count,
        mut items: Vec<I>,
        place: impl Fn(&I) -> T,
    ) -> Listed<I> {
        let has_next = items.len() as u64 > u64::from(window.limit);
        items.truncate(window.limit as usize);
        let next = items.last().filter(|_| has_next).map(|last| {
            let page = window.number.saturating_add(1);
            self.sign(&Claims { listing: listing.to_owned(), page, after: place(last) })
        });
        let seen = if items.is_empty() { 0 } else { window.passed().unsigned_abs() + items.len() as u64 };
        // A count that stopped early must not be below the number of items shown.
        let total = if count.exact { count.total } else { count.total.max(seen + u64::from(has_next)) };
        let count = Count { total, ..count };
        Listed { items, count, number: window.number, limit: window.limit, next_cursor: next }
    }

    fn sign<T: Serialize>(&self, claims: &Claims<T>) -> String {
        // Serializing plain data cannot fail; an empty cursor would be rejected.
        let payload = serde_json::to_vec(claims).unwrap_or_default();
        let mut signed = self.tag(&payload);
        signed.extend(payload);
        URL_SAFE_NO_PAD.encode(signed)
    }

    fn read<T: DeserializeOwned>(&self, cursor: &str) -> Option<Claims<T>> {
        let signed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, payload) = signed.split_at_checked(TAG_BYTES)?;
        self.mac(payload)?.verify_truncated_left(tag).ok()?;
        serde_json::from_slice(payload).ok()
    }

    fn tag(&self, payload: &[u8]) -> Vec<u8> {
        self.mac(payload).map(|mac| mac.finalize().into_bytes()[..TAG_BYTES].to_vec()).unwrap_or_default()
    }

    fn mac(&self, payload: &[u8]) -> Option<Hmac<Sha256>> {
        // Every key length is valid, so this is always `Some`.
        Some(Hmac::<Sha256>::new_from_slice(&self.key).ok()?.chain_update(payload))
    }
}

/// A page whose items are still database rows.
#[derive(Debug, Clone)]
pub(in crate::web) struct Listed<I> {
    items: Vec<I>,
    count: Count,
    number: u32,
    limit: u32,
    next_cursor: Option<String>,
}

impl<I> Listed<I> {
    pub(in crate::web) fn map<A: ParseFromJSON + ToJSON>(self, answer: impl Fn(I) -> A) -> Page<A> {
        Page {
            items: self.items.into_iter().map(answer).collect(),
            total: self.count.total,
            total_relation: if self.count.exact { TotalRelation::Exact } else { TotalRelation::AtLeast },
            page: self.number,
            limit: self.limit,
            pages: self.count.total.div_ceil(u64::from(self.limit)),
            next_cursor: self.next_cursor,
        }
    }
}

/// Whether `total` is the number of all items, or only known to be at least that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(in crate::web) enum TotalRelation {
    /// `total` is exact.
    Exact,
    /// `total` is a lower bound: an exact count would visit more than 100,000 rows (of jobs: 20,000).
    AtLeast,
}

/// A page of a list.
#[expect(clippy::struct_field_names, reason = "the names are the contract's")]
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct Page<I: ParseFromJSON + ToJSON> {
    /// The items.
    pub(in crate::web) items: Vec<I>,
    /// The number of items on all pages.
    pub(in crate::web) total: u64,
    /// Whether `total` is exact.
    pub(in crate::web) total_relation: TotalRelation,
    /// The number of this page.
    pub(in crate::web) page: u32,
    /// The maximum number of items per page.
    pub(in crate::web) limit: u32,
    /// The number of pages.
    pub(in crate::web) pages: u64,
    /// The `cursor` of the next page; null at the end.
    pub(in crate::web) next_cursor: Option<String>,
}

impl<I: ParseFromJSON + ToJSON + Example> Example for Page<I> {
    fn example() -> Self {
        Self {
            items: vec![I::example()],
            total: 1,
            total_relation: TotalRelation::Exact,
            page: 1,
            limit: DEFAULT_LIMIT,
            pages: 1,
            next_cursor: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::http::query::Query;

    const TOO_DEEP: &str =
        "page: is more than 100,000 items deep: follow next_cursor page by page, or narrow the filters";

    fn cursors() -> Cursors {
        Cursors::new(b"a key of some length".to_vec())
    }

    fn after(cursor: &str) -> PageQuery {
        PageQuery { page: None, limit: Some(2), cursor: Some(cursor.to_owned()) }
    }

    #[test]
    fn cursor_leads_to_the_next_page() {
        let cursors = cursors();
        let first = cursors.window::<u64>("numbers", &PageQuery { page: None, limit: Some(2), cursor: None });
        let first = first.expect("a window");
        assert_eq!((first.number, first.offset(), first.wanted()), (1, 0, 3));
        let page = cursors.page("numbers", &first, Count { total: 5, exact: true }, vec![10_u64, 11, 12], |item| *item);
        let page = page.map(|item| item);
        assert_eq!((page.items, page.pages), (vec![10, 11], 3));
        let second = cursors.window::<u64>("numbers", &after(&page.next_cursor.expect("a next page")));
        assert_eq!(second.expect("a window"), Window { number: 2, limit: 2, after: Some(11) });
    }

    #[test]
    fn last_page_has_no_cursor() {
        let window = Window::<u64> { number: 3, limit: 2, after: None };
        let page = cursors().page("numbers", &window, Count { total: 5, exact: true }, vec![14_u64], |item| *item);
        assert_eq!(page.next_cursor, None);
    }

    #[test]
    fn partial_count_is_not_below_the_items_shown() {
        let window = Window::<u64> { number: 3, limit: 2, after: None };
        let items = vec![14_u64, 15, 16];
        let page = cursors().page("numbers", &window, Count { total: 0, exact: false }, items, |item| *item);
        assert_eq!(page.count, Count { total: 7, exact: false });
    }

    #[test]
    fn forged_or_altered_cursor_is_rejected() {
        let cursors = cursors();
        let genuine = cursors.sign(&Claims { listing: "numbers".to_owned(), page: 2, after: 11_u64 });
        assert!(cursors.window::<u64>("numbers", &after(&genuine)).is_ok());
        let forged = Cursors::new(b"another key".to_vec());
        let forged = forged.sign(&Claims { listing: "numbers".to_owned(), page: 2, after: 11_u64 });
        let mut altered = URL_SAFE_NO_PAD.decode(&genuine).expect("base64");
        *altered.last_mut().expect("some bytes") ^= 1;
        let altered = URL_SAFE_NO_PAD.encode(altered);
        let elsewhere = cursors.sign(&Claims { listing: "names".to_owned(), page: 2, after: 11_u64 });
        for cursor in [forged.as_str(), &altered, &elsewhere, &genuine[..30], "abc", "%%%", ""] {
            let problem = cursors.window::<u64>("numbers", &after(cursor)).expect_err(cursor);
            assert_eq!(problem.code.status().as_u16(), 422, "{cursor}");
        }
    }

    #[test]
    fn page_parameters_are_validated() {
        for (query, expected) in [
            ("page=0", Some("page: must be at least 1")),
            ("limit=0", Some("limit: must be from 1 to 100")),
            ("limit=101", Some("limit: must be from 1 to 100")),
            ("limit=-1", Some("limit: must be a whole number")),
            ("page=1&cursor=abc", Some("cursor: cannot be combined with page: leave page out")),
            ("page=2001", None),
            ("page=2002", Some(TOO_DEEP)),
            ("page=1001&limit=100", None),
            ("page=1002&limit=100", Some(TOO_DEEP)),
            ("page=100001&limit=1", None),
            ("page=4000000000&limit=100", Some(TOO_DEEP)),
            ("", None),
        ] {
            let read = Query::<PageQuery>::from_text(query);
            assert_eq!(read.err().map(|problem| problem.to_string()).as_deref(), expected, "{query}");
        }
    }
}
