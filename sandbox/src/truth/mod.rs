//! What a correct reader of both providers must end with.

mod discrepancies;
mod sums;

pub(crate) use discrepancies::{by_type, discrepancies};
pub(crate) use sums::summary;

use std::{borrow::Cow, sync::Arc};

use rust_decimal::Decimal;

use crate::{
    json::Object,
    moment::Moment,
    status::{Status, Word},
};

/// A record, normalised by the mapping of the providers' documents.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) source_id: String,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) project: Cow<'static, str>,
    pub(crate) amount: Decimal,
    pub(crate) paid: Option<Decimal>,
    pub(crate) currency: Cow<'static, str>,
    pub(crate) status: Status,
    pub(crate) original_status: Word,
    pub(crate) created: Moment,
    pub(crate) updated: Option<Moment>,
    /// Vima's update id.
    pub(crate) version: Option<u128>,
}

impl Row {
    pub(crate) fn write(&self, row: &mut Object<'_>) {
        row.text("source_id", &self.source_id);
        match &self.key {
            Some(key) => row.text("key", key),
            None => row.null("key"),
        };
        row.text("project", &self.project).quoted("amount", self.amount);
        if let Some(paid) = self.paid {
            row.quoted("paid_amount", paid);
        }
        row.text("currency", &self.currency).text("status", self.status.name());
        row.text("original_status", &self.original_status).quoted("created_at", self.created.iso());
        match self.updated {
            Some(updated) => row.quoted("updated_at", updated.iso()),
            None => row.null("updated_at"),
        };
        if let Some(version) = self.version {
            row.quoted("version", version);
        }
    }
}
