//! Business alerts: people manage rules ([`manage`]) and try them on the past ([`try_rule`]); a job evaluates them every minute
//! ([`evaluate`]); other jobs send the messages ([`deliver`]).
//!
//! An alert and everything that announces it (the event, from which webhooks are made, and a row and a job per channel) are one
//! transaction under the lock of the rule, so that each is raised and announced once, whichever worker dies. Rejected: evaluation
//! by each event of a sync, which says nothing while no payment comes.

pub mod acknowledge;
mod announce;
pub mod deliver;
pub mod email;
pub mod evaluate;
pub mod manage;
pub mod measure;
pub mod telegram;
pub mod try_rule;

use std::time::Duration;

use crate::db::DbError;
use crate::domain::alerts::rule::Channel;
use crate::domain::entity_tag::PreconditionFailed;

/// Why an action of a person was refused.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    #[error("there is no such alert rule")]
    RuleNotFound,
    #[error("there is no such alert, or it is older than 90 days")]
    AlertNotFound,
    #[error("the alert is resolved already: there is nothing to acknowledge")]
    Resolved,
    #[error("there are {0} alert rules already: delete those that are not needed")]
    TooMany(u64),
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Why a message was not sent. Without secrets.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("{0}")]
    Refused(String),
    /// It may succeed later.
    #[error("{0}")]
    Unreachable(String),
    #[error("too many messages: wait {} s", .0.as_secs())]
    Limited(Duration),
    #[error("the channel {} is not configured for this worker: set its variables as for the other workers (.env.example)", .0.as_str())]
    NotConfigured(Channel),
    #[error(transparent)]
    Db(#[from] DbError),
}
