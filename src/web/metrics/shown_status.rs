//! The provider's status as a caller may see it: providers write free text into it, also personal data.
//!
//! Payments whose names differ only in what is masked are one row, of which no filter lists the payments without revealing the
//! names. Such a row has no link. Rejected: a filter by the masked name, which would have to mask every stored name.

use crate::domain::masking::PiiAccess;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownStatus {
    /// `None` if the provider does not report a status.
    pub(super) name: Option<String>,
    /// Whether it is not the name itself.
    pub(super) is_masked: bool,
}

impl ShownStatus {
    pub(super) fn new(name: Option<&str>, pii_access: PiiAccess) -> Self {
        let shown = name.map(|name| pii_access.text(name.to_owned()));
        Self { is_masked: shown.as_deref() != name, name: shown }
    }
}
