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
    /// What the database has certainly counted: it told us, or confirmed what came on top.
    counted: i64,
    /// Numbers were used that the witness does not know to be counted.
    unsettled: bool,
}

impl Engine {
    /// At a take-over, before anything can be intended: whether the database knows of everything that was handed over.
    pub(super) async fn ask_witness(&self, lease: &Lease) -> Result<(), WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(()) };
        // What this very process saw counted tells more than the witness, where a server was promoted that lacks the last commits.
        let counted = lock(&self.block).counted;
        let known = self.journal.intents().await?;
        let reserved = witness.read().await?.unwrap_or(Reserved { from: 0, to: 0 });
        if known < reserved.from.max(counted) {
            return self.distrust(lease, known, counted).await;
        }
        // Whatever was handed over before this start can never be forgotten unnoticed.
        witness.write(Reserved { from: known, to: known }).await?;
        *lock(&self.block) = Block { counted: known, ..Block::default() };
        Ok(())
    }

    /// The database is behind what it once knew: everything is put on hold. `counted`: what this process saw it count.
    async fn distrust(&self, lease: &Lease, known: i64, counted: i64) -> Result<(), WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(()) };
        let reserved = witness.read().await?.unwrap_or(Reserved { from: 0, to: 0 });
        let forgotten = reserved.from.max(counted) - known;
        tracing::error!(forgotten, "the database is behind its witness: everything is on hold");
        let reason = format!(
            "this database is behind its witness: it was restored from an earlier copy, or is a new one in an old one's place, and \
             has forgotten {forgotten} or more messages that were handed over. Released as it is, it may send them again. To go on: \
             `rekindle release --all`"
        );
        let now = self.clock.now();
        self.journal.hold(Hold { scope: HoldScope::All, since: now, by: "witness".into(), reason }).await?;
        // From here on the numbers are beyond all that were ever used, so that the next start finds nothing behind. So are the ids: an old
        // link must not mean somebody else.
        let beyond = reserved.to.max(counted);
        self.journal.raise_intents(lease, beyond, now).await?;
        witness.write(Reserved { from: beyond, to: beyond }).await?;
        *lock(&self.block) = Block { counted: beyond, ..Block::default() };
        Ok(())
    }

    /// Before `count` messages are written down as about to be handed over.
    pub(super) async fn reserve(&self, lease: &Lease, count: usize) -> Result<(), WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(()) };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let (size, counted) = {
            let mut block = lock(&self.block);
            if count <= block.left {
                block.left -= count;
                block.unsettled = true;
                return Ok(());
            }
            // One block lasts about as long as its place asks for: exactly what is sent while little is, more while much is.
            let soon = block.at.is_some_and(|at| at.elapsed() < witness.pace().max(Duration::from_millis(1)));
            (if soon { (block.size * 2).clamp(1, LARGEST).max(count) } else { count }, block.counted)
        };
        let from = self.journal.intents().await?;
        if from < counted {
            // What is written down next is held back with everything else.
            return self.distrust(lease, from, counted).await;
        }
        witness.write(Reserved { from, to: from.saturating_add(size) }).await?;
        *lock(&self.block) = Block { left: size - count, size, at: Some(Instant::now()), counted: from, unsettled: true };
        Ok(())
    }

    /// After `count` messages were written down: the database has said so.
    pub(super) fn counted(&self, count: usize) {
        lock(&self.block).counted += i64::try_from(count).unwrap_or(i64::MAX);
    }

    /// Tells the witness how far the database came, once it rests: a copy that lacks any of it is noticed from then on, however long ago
    /// the newest block was.
    pub(super) async fn witness_pass(&self) -> Result<usize, WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(0) };
        let (left, counted) = {
            let block = lock(&self.block);
            if !block.unsettled || block.at.is_some_and(|at| at.elapsed() < witness.pace()) {
                return Ok(0);
            }
            (block.left, block.counted)
        };
        let held = self.held()?;
        let known = self.journal.intents().await?;
        if known < counted {
            self.distrust(&held.lease, known, counted).await?;
            return Ok(0);
        }
        witness.write(Reserved { from: known, to: known.saturating_add(left) }).await?;
        let mut block = lock(&self.block);
        (block.counted, block.unsettled) = (known, false);
        Ok(0)
    }
}
