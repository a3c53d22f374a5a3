//! A new revision is in force: the copies it touches look again, in small batches, resumable, never as a blast.

use super::{
    engine::{Engine, Held, WorkerError},
    prepare::Prepared,
};
use crate::{
    engine::Event,
    model::{CopyId, FunnelKey},
    store::{Batch, Cursor},
};
use serde::{Deserialize, Serialize};

/// How far a funnel's replanning got. Kept as a cursor in the store, so that a crash resumes it.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default)]
struct Progress {
    /// Which [`RULES`] they were looked at by.
    rules: u32,
    revision: i64,
    after: i64,
    done: bool,
}

/// Raised when a version of the engine means something else by the same plan, or looks at copies that rested before: they all look again
/// once.
const RULES: u32 = 1;

impl Engine {
    /// Replans one page of each funnel whose newest revision has not reached all its copies.
    pub(super) async fn replan_pass(&self) -> Result<usize, WorkerError> {
        let held = self.held()?;
        let plans = self.plans.load_full();
        let mut done = 0;
        for (funnel, live) in &plans.0 {
            let key = cursor_key(funnel);
            if self.replanned(funnel, live.plan.revision) {
                continue;
            }
            let cursor = self.journal.cursor(&key).await?;
            let mut progress: Progress = serde_json::from_value(cursor.position.clone()).unwrap_or_default();
            if progress.revision != live.plan.revision || progress.rules != RULES {
                // Whatever there is of a new funnel was decided by its first revision and these rules.
                let done = live.plan.revision == 1 && live.plan.since >= self.started;
                progress = Progress { rules: RULES, revision: live.plan.revision, done, after: 0 };
                if done {
                    self.set_progress(&held, &key, &cursor, &progress).await?;
                }
            }
            if !progress.done {
                let now = self.clock.now();
                let ids = self.journal.copies_of(funnel, CopyId(progress.after), self.settings.batch * 2).await?;
                progress.done = ids.is_empty();
                progress.after = ids.last().map_or(progress.after, |id| id.0);
                done += ids.len();
                let mut prepared = Prepared::default();
                for subject in self.load_sound(&held.lease, ids, now).await? {
                    self.decide_into(&mut prepared, subject, &Event::Replan, now);
                }
                self.bury(&held.lease, &mut prepared, now).await?;
                self.commit_and_send(&held, prepared, Batch { now: Some(now), ..Batch::default() }).await?;
                self.set_progress(&held, &key, &cursor, &progress).await?;
            }
            if progress.done {
                self.set_replanned(funnel, live.plan.revision);
            }
        }
        Ok(done)
    }

    async fn set_progress(&self, held: &Held, key: &str, cursor: &Cursor, progress: &Progress) -> Result<(), WorkerError> {
        let position = serde_json::to_value(progress).unwrap_or_default();
        Ok(self.journal.set_cursor(&held.lease, key, &Cursor { position, ..cursor.clone() }).await?)
    }
}

fn cursor_key(funnel: &FunnelKey) -> String {
    format!("@replan/{funnel}")
}
