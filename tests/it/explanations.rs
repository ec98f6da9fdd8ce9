//! Explanations: of every kind of discrepancy that the sandbox labels, of every reason for quarantine, and of stored and absent
//! payments.

mod absence;
mod fixture;
mod labelled;
mod quarantined;
mod references;
mod versions;
