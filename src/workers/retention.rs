//! Once an hour the store forgets what has become useless, a little at a time and beside the passes: looking for it may take seconds.

use super::engine::{Engine, WorkerError};
use std::{sync::Arc, time::Duration};

/// After a start, and when it could not be done.
const SOON: Duration = Duration::from_mins(5);
const EVERY: Duration = Duration::from_hours(1);
/// Between two steps of one purge.
const BREATH: Duration = Duration::from_secs(1);

impl Engine {
    /// For as long as the engine runs.
    pub(super) async fn keep_house(self: Arc<Self>) {
        let mut pause = SOON;
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.purge().await {
                Ok(true) => BREATH,
                Ok(false) => EVERY,
                // Whoever works keeps house.
                Err(WorkerError::Standby) => SOON,
                Err(error) => {
                    tracing::warn!(label = error.label(), "what is useless could not be forgotten");
                    self.metrics.pass_failed(error.label());
                    SOON
                }
            };
        }
    }

    async fn purge(&self) -> Result<bool, WorkerError> {
        let held = self.held()?;
        Ok(self.journal.purge(&held.lease, self.clock.now()).await?)
    }
}
