//! Hand-over numbers are set aside outside the database before they are used, and a database that is behind them is held.

use super::engine::{Engine, WorkerError, lock};
use crate::store::{Hold, HoldScope, Lease, Reserved, Said};
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
    /// How far the database was when its lease was taken, as long as the witness has not said what it knew then. What is counted since
    /// makes up for nothing that was forgotten.
    unasked: Option<i64>,
    /// Under which lease all this is.
    epoch: i64,
}

impl Engine {
    /// At a take-over, before anything can be intended: whether the database knows of everything that was handed over. `until`: as long
    /// as the lease may be used.
    pub(super) async fn ask_witness(&self, lease: &Lease, until: Instant) -> Result<(), WorkerError> {
        if self.settings.witness.is_none() {
            return Ok(());
        }
        // What this very process saw counted tells more than the witness, where a server was promoted that lacks the last commits.
        let counted = lock(&self.block).counted;
        let known = self.journal.intents().await?;
        if known < counted {
            return self.distrust(lease, known, counted).await;
        }
        *lock(&self.block) = Block { counted: known, unasked: Some(known), epoch: lease.epoch, ..Block::default() };
        // Whatever was handed over before this start can never be forgotten unnoticed.
        self.set_aside(lease, Some(until), 0).await.map(drop)
    }

    /// Has so many numbers set aside from where the database is, unless it is behind: then false, and everything is on hold. `until`:
    /// how long the lease may be used, if it was taken just now.
    async fn set_aside(&self, lease: &Lease, until: Option<Instant>, size: i64) -> Result<bool, WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(true) };
        let unasked = lock(&self.block).unasked;
        if let Some(known) = unasked
            && let Said::Block(block) = witness.read().await?
        {
            if let Some(block) = block.filter(|block| known < block.from) {
                self.distrust(lease, known, block.from).await?;
                return Ok(false);
            }
            lock(&self.block).unasked = None;
        }
        let known = self.journal.intents().await?;
        let counted = lock(&self.block).counted;
        if known < counted {
            self.distrust(lease, known, counted).await?;
            return Ok(false);
        }
        // Who lost the lease meanwhile may have read what another one counted: that is not told on in its name.
        let in_time = match until {
            Some(until) => Instant::now() < until,
            None => self.held().map(|_| true)?,
        };
        // What the witness knows is never written over unread.
        let read = lock(&self.block).unasked.is_none();
        let said = if read && in_time {
            witness.write(Reserved { from: known, to: known.saturating_add(size) }).await?
        } else {
            Said::Away
        };
        if let Said::Block(Some(block)) = said
            && known < block.from
        {
            let known = self.journal.intents().await?;
            if known < block.from {
                self.distrust(lease, known, block.from).await?;
                return Ok(false);
            }
            // Another one took over and wrote it.
            return Err(WorkerError::Standby);
        }
        let mut block = lock(&self.block);
        (block.counted, block.unsettled) = (known, said == Said::Away);
        if block.unsettled {
            // It is told as soon as it can be.
            block.at = Some(Instant::now());
        }
        Ok(true)
    }

    /// The database is behind what it once knew, which was `once` at least: everything is put on hold.
    async fn distrust(&self, lease: &Lease, known: i64, once: i64) -> Result<(), WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(()) };
        // A hold is everybody's. Whoever stood still would find what its successor wrote, and take that for what it forgot itself.
        if !self.journal.renew(lease, self.settings.lease).await? {
            return Err(WorkerError::Standby);
        }
        let said = witness.read().await?;
        let to = if let Said::Block(Some(block)) = said { block.to } else { 0 };
        let counted = lock(&self.block).counted.max(once);
        let forgotten = once - known;
        tracing::error!(forgotten, "the database is behind its witness: everything is on hold");
        let reason = format!(
            "this database is behind its witness: it was restored from an earlier copy, or is a new one in an old one's place, and \
             has forgotten {forgotten} or more messages that were handed over. Released as it is, it may send them again. To go on: \
             `rekindle release --all`"
        );
        let now = self.clock.now();
        self.journal.hold(Hold { scope: HoldScope::All, since: now, by: "witness".into(), reason }).await?;
        // From here on the numbers are beyond all that were ever used, so that the next start finds nothing behind. So are the ids: an
        // old link must not mean somebody else.
        let beyond = to.max(counted);
        self.journal.raise_intents(lease, beyond, now).await?;
        let told = witness.write(Reserved { from: beyond, to: beyond }).await?;
        *lock(&self.block) = Block {
            counted: beyond,
            // Not read now, it may know of more than this process does.
            unasked: (said == Said::Away).then_some(beyond),
            unsettled: told == Said::Away,
            epoch: lease.epoch,
            ..Block::default()
        };
        Ok(())
    }

    /// Before `count` messages are written down as about to be handed over.
    pub(super) async fn reserve(&self, lease: &Lease, count: usize) -> Result<(), WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(()) };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let size = {
            let mut block = lock(&self.block);
            if count <= block.left {
                block.left -= count;
                block.unsettled = true;
                return Ok(());
            }
            // One block lasts about as long as its place asks for: exactly what is sent while little is, more while much is.
            let soon = block.at.is_some_and(|at| at.elapsed() < witness.pace().max(Duration::from_millis(1)));
            if soon { (block.size * 2).clamp(1, LARGEST).max(count) } else { count }
        };
        // Where the database is behind, what is written down next is held back with everything else.
        if self.set_aside(lease, None, size).await? {
            let mut block = lock(&self.block);
            (block.left, block.size, block.at, block.unsettled) = (size - count, size, Some(Instant::now()), true);
        }
        Ok(())
    }

    /// After `count` messages were written down: the database has said so. What the reply to a former lease says stands in what was
    /// counted when this one was taken.
    pub(super) fn counted(&self, lease: &Lease, count: usize) {
        let mut block = lock(&self.block);
        if block.epoch == lease.epoch {
            block.counted += i64::try_from(count).unwrap_or(i64::MAX);
        }
    }

    /// Tells the witness how far the database came, once it rests: a copy that lacks any of it is noticed from then on, however long ago
    /// the newest block was.
    pub(super) async fn witness_pass(&self) -> Result<usize, WorkerError> {
        let Some(witness) = &self.settings.witness else { return Ok(0) };
        let left = {
            let block = lock(&self.block);
            if !block.unsettled || block.at.is_some_and(|at| at.elapsed() < witness.pace()) {
                return Ok(0);
            }
            block.left
        };
        let held = self.held()?;
        self.set_aside(&held.lease, None, left).await?;
        Ok(0)
    }
}
