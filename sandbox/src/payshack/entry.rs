//! A pay-in or pay-out in its list: made by the sandbox or planted by a test.

use std::sync::Arc;

use crate::{moment::Moment, truth::Row};

use super::{client::Client, planted::Planted, transaction::Transaction};

/// One record of a list.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Made(Transaction),
    Planted(Box<Planted>),
}

impl Entry {
    pub(crate) fn id(&self) -> Option<String> {
        match self {
            Self::Made(made) => Some(made.txn_id()),
            Self::Planted(planted) => planted.id.clone(),
        }
    }

    pub(crate) fn order_id(&self) -> Option<&str> {
        match self {
            Self::Made(made) => Some(&made.order_id),
            Self::Planted(planted) => planted.order_id.as_deref(),
        }
    }

    pub(crate) fn created(&self) -> Moment {
        match self {
            Self::Made(made) => made.created,
            Self::Planted(planted) => planted.created,
        }
    }

    pub(crate) fn modified(&self) -> Moment {
        match self {
            Self::Made(made) => made.modified,
            Self::Planted(planted) => planted.modified,
        }
    }

    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Made(made) => &made.word,
            Self::Planted(planted) => &planted.word,
        }
    }

    /// The key to find the other side's record by, where there is one to be found.
    pub(crate) fn reconcilable_key(&self) -> Option<Arc<str>> {
        match self {
            Self::Made(made) => (made.client == Client::Game).then(|| Arc::clone(&made.order_id)),
            Self::Planted(planted) => planted.row.as_ref().filter(|row| row.project == "91game")?.key.clone(),
        }
    }

    /// The record as a correct reader has it; `None` when it is malformed.
    pub(crate) fn row(&self) -> Option<Row> {
        match self {
            Self::Made(made) => Some(made.row()),
            Self::Planted(planted) => planted.row.clone(),
        }
    }
}
