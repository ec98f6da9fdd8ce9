//! What a sync is triggered of by its path: a source, or all of them, as pages of the replaced service request it.

use crate::domain::string_enum::string_enum;
use crate::domain::transaction::Source;
use crate::web::http::path::Segment;
use crate::web::http::schema::named_enum;

string_enum! {
    /// What a sync is triggered of by its path.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum SyncTarget {
        Vima = "vima",
        Payshack = "payshack",
        /// Every source.
        All = "all",
    }
}

impl SyncTarget {
    pub(super) fn source(self) -> Option<Source> {
        match self {
            Self::Vima => Some(Source::Vima),
            Self::Payshack => Some(Source::Payshack),
            Self::All => None,
        }
    }
}

impl Segment for SyncTarget {
    const NAME: &'static str = "source";
}

named_enum!(SyncTarget, "SyncTarget", SyncTarget::ALL, "A source, or all of them.");
