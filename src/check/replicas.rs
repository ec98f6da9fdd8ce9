//! Whether the replicas of `DATABASE_READ_URL` can be read.

use sqlx::PgPool;

use super::finding::Finding;
use super::transport;
use crate::db::reads::{ReadPools, ReplicaAnswer};
use crate::db::settings::DatabaseSettings;

/// None of them prevents a start: the primary answers instead.
pub(super) async fn check_replicas(primary: PgPool, settings: &DatabaseSettings) -> Vec<Finding> {
    let asked = match ReadPools::new(primary, settings, 1).ask_each().await {
        Ok(answers) => answers.iter().map(check_replica).collect(),
        Err(error) => vec![Finding::Failed(format!("replicas: {error}"))],
    };
    let transports = settings.replicas.iter().map(|options| transport::check_database(options, "DATABASE_READ_URL"));
    asked.into_iter().chain(transports).collect()
}

fn check_replica(ReplicaAnswer { address, state }: &ReplicaAnswer) -> Finding {
    match state {
        Err(problem) => Finding::Warning(format!("replica: {address} is not read: {problem}")),
        Ok(state) if !state.keeps_what_is_read => {
            Finding::Warning(format!("replica: {address} may cancel long exports; set hot_standby_feedback = on on it"))
        }
        Ok(state) if state.is_behind => Finding::Warning(format!(
            "replica: {address} is behind at the moment; if it stays so, compare pg_last_wal_replay_lsn() with \
             pg_current_wal_lsn() of the primary"
        )),
        Ok(_) => Finding::Ok(format!("replica: {address} follows the primary and has every payment")),
    }
}
