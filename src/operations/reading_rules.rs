//! Which rules turn a provider's records into payments: the parsers of this release, and their settings.
//!
//! Newer rules replace what older ones made of the same version, any number of times; older rules never replace what newer
//! ones made. So workers of two releases, or with two settings, cannot undo each other's work forever while both run. Which
//! rules are newer cannot be derived from the rules, so it is decided by their use: a worker that starts makes its rules the
//! newest. In a rolling deployment the last worker to start has the new ones.

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::sync::rules;
use crate::domain::transaction::Source;
use crate::domain::upsert::RulesGeneration;
use crate::providers::payshack::Projects;
use crate::providers::{payshack, vima};

/// The fingerprints of the rules of this process.
#[derive(Debug, Clone)]
pub struct ReadingRules {
    vima: String,
    payshack: String,
}

impl ReadingRules {
    #[must_use]
    pub fn new(projects: &Projects) -> Self {
        Self { vima: vima::rules(), payshack: payshack::rules(projects) }
    }

    fn fingerprint(&self, source: Source) -> &str {
        match source {
            Source::Vima => &self.vima,
            Source::Payshack => &self.payshack,
        }
    }

    /// Makes these rules the newest: called when a worker starts.
    pub async fn register(&self, pool: &PgPool) -> Result<(), DbError> {
        let mut transaction = pool.begin().await?;
        rules::lock(&mut transaction).await?;
        for source in Source::ALL {
            rules::upsert_newest(&mut transaction, source, self.fingerprint(source)).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The generation of the rules for `source`. It is looked up for each job, because another worker with the same rules may
    /// have made them the newest meanwhile.
    pub async fn generation(&self, pool: &PgPool, source: Source) -> Result<RulesGeneration, DbError> {
        loop {
            if let Some(generation) = rules::find(pool, source, self.fingerprint(source)).await? {
                return Ok(generation);
            }
            self.register(pool).await?;
        }
    }
}
