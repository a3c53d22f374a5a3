//! Hand-over numbers are set aside outside the database before they are used, and a database that is behind them is held.

use super::engine::{Engine, WorkerError, lock};
use crate::store::{Hold, HoldScope, Lease, Reserved};
use std::time::Duration;
use tokio::time::Instant;

/// Blocks never grow beyond this: it bounds what a restored database may have forgotten without being noticed.
const LARGEST: i64 = 4_096;

/// What this process set aside.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Numbers that are left.
    left: i64,
    size: i64,
    at: Option<Instant>,
}

impl Engine {
    /// At a take-over, before anything can be intended: whether the database knows of everything that was handed over.
    pub(super) async fn ask_witness(&self, lease: &Lease) -> Result<(), WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(()) };
        *lock(&self.block) = Block::default();
        let known = self.journal.intents().await?;
        let Some(reserved) = witness.read().await? else { return Ok(()) };
        if known >= reserved.from {
            return Ok(());
        }
        let forgotten = reserved.from - known;
        tracing::error!(forgotten, "the database is behind its witness: everything is on hold");
        let reason = format!(
            "this database is behind its witness: it was restored from an earlier copy, or is a new one in an old one's place, and \
             has forgotten {forgotten} or more messages that were handed over. Released as it is, it may send them again. To go on: \
             `rekindle release --all`"
        );
        let now = self.clock.now();
        self.journal.hold(Hold { scope: HoldScope::All, since: now, by: "witness".into(), reason }).await?;
        // From here on the numbers are beyond all that were ever used, so that the next start finds nothing behind.
        self.journal.raise_intents(lease, reserved.to).await?;
        witness.write(Reserved { from: reserved.to, to: reserved.to }).await?;
        Ok(())
    }

    /// Before `count` messages are written down as about to be handed over.
    pub(super) async fn reserve(&self, count: usize) -> Result<(), WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(()) };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let size = {
            let mut block = lock(&self.block);
            if count <= block.left {
                block.left -= count;
                return Ok(());
            }
            // One block lasts about as long as its place asks for: exactly what is sent while little is, more while much is.
            let soon = block.at.is_some_and(|at| at.elapsed() < witness.pace().max(Duration::from_millis(1)));
            if soon { (block.size * 2).clamp(1, LARGEST).max(count) } else { count }
        };
        let from = self.journal.intents().await?;
        witness.write(Reserved { from, to: from.saturating_add(size) }).await?;
        *lock(&self.block) = Block { left: size - count, size, at: Some(Instant::now()) };
        Ok(())
    }
}
