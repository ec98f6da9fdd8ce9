//! An operation in the list: made by the sandbox or planted by a test.

use std::sync::Arc;

use crate::{
    chance::{Aspect, falls_in},
    moment::Moment,
    payment::Project,
    status::{Status, folded, folds_to},
    switches::Switches,
    truth::Row,
};

use super::{operation::Operation, planted::Planted};

/// One record of the list.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Made(Operation),
    Planted(Box<Planted>),
}

impl Entry {
    pub(crate) fn id(&self) -> Option<String> {
        match self {
            Self::Made(made) => Some(made.id.to_string()),
            Self::Planted(planted) => planted.id.clone(),
        }
    }

    pub(crate) fn create_id(&self) -> u128 {
        match self {
            Self::Made(made) => made.create_id,
            Self::Planted(planted) => planted.create_id,
        }
    }

    pub(crate) fn update_id(&self) -> u128 {
        match self {
            Self::Made(made) => made.update_id,
            Self::Planted(planted) => planted.update_id,
        }
    }

    pub(crate) fn created(&self) -> Moment {
        match self {
            Self::Made(made) => made.created,
            Self::Planted(planted) => planted.created,
        }
    }

    pub(crate) fn is_of_project(&self, name: &str) -> bool {
        match self {
            Self::Made(made) => made.project.name() == name,
            Self::Planted(planted) => planted.project == name,
        }
    }

    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Made(made) => &made.word,
            Self::Planted(planted) => &planted.word,
        }
    }

    /// Whether the record passes the `status` parameter: `fail` finds `failed` too, `in_process` finds `in process`.
    pub(crate) fn has_status(&self, asked: &str) -> bool {
        let (own, asked) = (self.word(), asked.trim());
        own == asked || folds_to(own, &folded(asked)) || (asked == "fail" && Status::of_vima(own) == Status::Failed)
    }

    /// Whether the record has come into sight; late ones stay out of every list for a while after each change.
    pub(crate) fn is_visible(&self, switches: &Switches, now: Moment) -> bool {
        let (id, modified) = match self {
            Self::Made(made) => (made.id, made.modified),
            Self::Planted(planted) => (planted.create_id, planted.modified),
        };
        let delay = i64::from(switches.vima_late_visible_seconds) * 1000;
        modified.plus(delay) <= now || !falls_in(switches.vima_late_visible_share, id, Aspect::Late)
    }

    /// The key to find the other side's record by, where there is one to be found.
    pub(crate) fn reconcilable_key(&self) -> Option<Arc<str>> {
        match self {
            Self::Made(made) => (made.project == Project::Game).then(|| Arc::clone(&made.key)),
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
