//! Once an hour the store forgets what has become useless, a little at a time.

use super::engine::{Engine, WorkerError, lock};
use jiff::SignedDuration;

const EVERY: SignedDuration = SignedDuration::from_hours(1);

impl Engine {
    /// Housekeeping is nothing that happened: it counts nothing.
    pub(super) async fn purge_pass(&self) -> Result<usize, WorkerError> {
        let now = self.clock.now();
        if lock(&self.next_purge).is_some_and(|at| at > now && at <= now + EVERY) {
            return Ok(0);
        }
        let held = self.held()?;
        let more = self.journal.purge(&held.lease, now).await?;
        *lock(&self.next_purge) = (!more).then(|| now + EVERY);
        Ok(0)
    }
}
