//! Timers: copies whose moment has come.

use super::{
    engine::{Engine, WorkerError, lock},
    sending::Prepared,
};
use crate::{engine::Event, store::Batch};
use jiff::SignedDuration;

/// Rows may be back-dated by an edit: every so often the whole index is looked at, whatever the watermark says.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_secs(120);
/// Copies looked at in one go while channels have no room for more.
const SMALLEST_LOOK: u32 = 16;
/// How far below the last seen moment the next look begins.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);

impl Engine {
    /// Looks at one batch of due copies, decides, writes down what follows and hands the messages over.
    pub(super) async fn tick_pass(&self) -> Result<usize, WorkerError> {
        let held = self.held()?;
        let now = self.clock.now();
        let (low, limit) = {
            let mut low = lock(&self.low);
            // A clock that went ahead and was put right: the last sweep lies in its future.
            if low.swept_at.is_none_or(|at| now.duration_since(at).abs() >= SWEEP_EVERY) {
                low.swept_at = Some(now);
                low.at = None;
            }
            (low.at, low.look.clamp(SMALLEST_LOOK, self.settings.batch.max(SMALLEST_LOOK)))
        };
        let due = self.journal.due(now, low, limit).await?;
        let Some(last) = due.last().map(|d| d.due_at) else {
            lock(&self.low).at = Some(now - OVERLAP);
            return Ok(0);
        };
        if let Some(first) = due.first() {
            self.metrics.lateness(now.duration_since(first.due_at));
        }
        let ids = due.iter().map(|d| d.copy).collect();
        let subjects = self.load_sound(&held.lease, ids, now).await?;
        let count = subjects.len();
        // A channel that is full for a moment must not fill all of what is looked at: half stays due, the rest asks again later.
        let purse = self.purse(now).await?;
        let mut prepared = Prepared { may_stay: count / 2, purse, ..Prepared::default() };
        for subject in subjects {
            self.decide_into(&mut prepared, subject, &Event::Timer, now);
        }
        self.bury(&held.lease, &mut prepared, now).await?;
        let stayed = prepared.stayed;
        let commit = self.commit_and_send(&held, prepared, Batch { now: Some(now), ..Batch::default() }).await?;
        let mut low = lock(&self.low);
        // What stays due, or is to be decided again, must not fall below the watermark.
        let below = if stayed > 0 || !commit.stale.is_empty() { due.first().map_or(last, |d| d.due_at) } else { last };
        low.at = Some(below.min(now) - OVERLAP);
        low.look = if stayed * 4 > count { (limit / 2).max(SMALLEST_LOOK) } else { limit * 2 };
        Ok(count - stayed)
    }
}
