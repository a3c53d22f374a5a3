//! Timers: copies whose moment has come.

use super::{
    engine::{Engine, WorkerError, lock},
    sending::Prepared,
};
use crate::{
    engine::{Event, Subject},
    store::{Batch, Load},
};
use jiff::SignedDuration;

/// Rows may be back-dated by an edit: every so often the whole index is looked at, whatever the watermark says.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_secs(120);
/// How far below the last seen moment the next look begins.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);

impl Engine {
    /// Looks at one batch of due copies, decides, writes down what follows and hands the messages over.
    pub(super) async fn tick_pass(&self) -> Result<usize, WorkerError> {
        let held = self.held()?;
        let now = self.clock.now();
        let low = {
            let mut low = lock(&self.low);
            if low.swept_at.is_none_or(|at| now.duration_since(at) >= SWEEP_EVERY) {
                low.swept_at = Some(now);
                low.at = None;
            }
            low.at
        };
        let due = self.journal.due(now, low, self.settings.batch).await?;
        let Some(last) = due.last().map(|d| d.due_at) else {
            lock(&self.low).at = Some(now - OVERLAP);
            return Ok(0);
        };
        if let Some(first) = due.first() {
            self.metrics.lateness(now.duration_since(first.due_at));
        }
        lock(&self.low).at = Some(last.min(now) - OVERLAP);
        let ids = due.iter().map(|d| d.copy).collect();
        let subjects = self.journal.load(&Load::Copies(ids), now).await?;
        let count = subjects.len();
        let mut prepared = Prepared::default();
        for subject in subjects {
            self.decide_into(&mut prepared, subject, &Event::Timer, now);
        }
        self.bury(&held.lease, &mut prepared, now).await?;
        self.commit_and_send(&held, prepared, Batch { now: Some(now), ..Batch::default() }).await?;
        Ok(count)
    }

    /// Loads nothing, sends nothing: what an event means for each of these subjects.
    pub(super) fn decide_all(&self, prepared: &mut Prepared, subjects: Vec<(Subject, Event)>, now: jiff::Timestamp) {
        for (subject, event) in subjects {
            self.decide_into(prepared, subject, &event, now);
        }
    }
}
