//! Ground truth: the state that a correct client of both providers ends with.

mod discrepancies;
mod totals;

pub(crate) use discrepancies::{discrepancies, write_by_type};
pub(crate) use totals::write_summary;

use std::{borrow::Cow, sync::Arc};

use rust_decimal::Decimal;

use crate::{
    json_writer::ObjectWriter,
    status::{OriginalStatus, Status},
    timestamp::Timestamp,
};

/// A provider's record, normalized as the provider's documents describe.
#[derive(Clone, Debug)]
pub(crate) struct NormalizedRecord {
    pub(crate) source_id: String,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) project: Cow<'static, str>,
    pub(crate) amount: Decimal,
    pub(crate) paid: Option<Decimal>,
    pub(crate) currency: Cow<'static, str>,
    pub(crate) status: Status,
    pub(crate) original_status: OriginalStatus,
    pub(crate) created: Timestamp,
    pub(crate) updated: Option<Timestamp>,
    /// Vima's update id.
    pub(crate) version: Option<u128>,
}

impl NormalizedRecord {
    pub(crate) fn write(&self, o: &mut ObjectWriter<'_>) {
        o.text("source_id", &self.source_id);
        match &self.key {
            Some(key) => o.text("key", key),
            None => o.null("key"),
        };
        o.text("project", &self.project).quoted("amount", self.amount);
        if let Some(paid) = self.paid {
            o.quoted("paid_amount", paid);
        }
        o.text("currency", &self.currency).text("status", self.status.into_str());
        o.text("original_status", &self.original_status).quoted("created_at", self.created.iso());
        match self.updated {
            Some(updated) => o.quoted("updated_at", updated.iso()),
            None => o.null("updated_at"),
        };
        if let Some(version) = self.version {
            o.quoted("version", version);
        }
    }
}
