//! Timers: copies whose moment has come.

use super::{
    engine::{Engine, Held, WorkerError, lock},
    prepare::Prepared,
};
use crate::{
    engine::{Event, Subject},
    model::{AddressHash, ClientId, CopyId},
    store::{Batch, Due, Loaded},
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::HashSet, sync::Arc};

/// Rows may be back-dated by an edit: every so often the whole index is looked at, whatever the watermark says.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_secs(120);
/// Copies looked at in one go while channels have no room for more.
const SMALLEST_LOOK: u32 = 16;
/// How far below the last seen moment the next look begins.
const OVERLAP: SignedDuration = SignedDuration::from_secs(10);
/// Batches of one pass, each read while the one before it is written down. The other passes wait meanwhile: half a second at most.
const BATCHES: usize = 8;

/// A batch of due copies, read and not yet decided.
struct Look {
    now: Timestamp,
    /// As many as were asked for: there may be more.
    full: bool,
    due: Vec<Due>,
    subjects: Vec<Loaded>,
    /// Copies left for the next pass: their client or an address was just decided on, and the outcome could not be read yet.
    left: usize,
}

/// What the batch that is being written down may change for those who are read meanwhile.
#[derive(Default)]
struct Underway {
    /// Every copy that this pass has seen.
    seen: HashSet<CopyId>,
    /// How many of them still look due: those being written down, and those that were passed over or must be decided again.
    still_due: usize,
    clients: HashSet<ClientId>,
    addresses: HashSet<AddressHash>,
}

impl Underway {
    fn add(&mut self, look: &Look) {
        self.seen.extend(look.due.iter().map(|due| due.copy));
        self.still_due += look.due.len();
        self.clients = look.subjects.iter().filter_map(|subject| subject.client.id).collect();
        self.addresses = look.subjects.iter().flat_map(|s| &s.client.addresses).map(|known| known.hash.clone()).collect();
    }

    /// Caps, pauses and the one voice of a client count what was sent to the person and to each address.
    fn touches(&self, subject: &Subject) -> bool {
        let client = &subject.client;
        client.id.is_some_and(|id| self.clients.contains(&id)) || client.addresses.iter().any(|a| self.addresses.contains(&a.hash))
    }
}

impl Engine {
    /// Looks at batches of due copies, decides, writes down what follows and hands the messages over. While one batch is written
    /// down, the next is read: neither the store nor the processor waits for the other.
    pub(super) async fn tick_pass(&self) -> Result<usize, WorkerError> {
        let mut held = self.held()?;
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
        let mut underway = Underway::default();
        let mut look = self.look(&held, low, limit, &underway).await?;
        let Some(first) = look.due.first() else {
            lock(&self.low).at = Some(now - OVERLAP);
            return Ok(0);
        };
        self.metrics.lateness(now.duration_since(first.due_at));
        let mut done = 0;
        let mut floor = None;
        for batch in 1.. {
            let (Some(first), Some(last)) = (look.due.first().map(|d| d.due_at), look.due.last().map(|d| d.due_at)) else { break };
            let count = look.subjects.len();
            underway.add(&look);
            // A channel that is full for a moment must not fill all of what is looked at: half stays due, the rest asks again later.
            let purse = self.purse(look.now).await?;
            let mut prepared = Prepared { may_stay: count / 2, purse, ..Prepared::default() };
            for subject in look.subjects {
                self.decide_into(&mut prepared, subject, &Event::Timer, look.now);
            }
            self.bury(&held.lease, &mut prepared, look.now).await?;
            let stayed = prepared.stayed;
            let write = self.commit_and_send(&held, prepared, Batch { now: Some(look.now), ..Batch::default() });
            let ahead = async {
                if !look.full || stayed > 0 || batch == BATCHES {
                    return Ok(None);
                }
                self.look(&held, Some(last), limit, &underway).await.map(Some)
            };
            let (commit, ahead) = tokio::join!(write, ahead);
            let behind = stayed + look.left + commit?.stale.len();
            done += count - stayed;
            if behind > 0 {
                // What stays due, or is to be decided again, must not fall below the watermark.
                floor = floor.or(Some(first));
            }
            underway.still_due = underway.still_due + behind - look.due.len();
            {
                let mut low = lock(&self.low);
                low.at = Some(floor.unwrap_or(last).min(look.now) - OVERLAP);
                low.look = if stayed * 4 > count { (limit / 2).max(SMALLEST_LOOK) } else { limit * 2 };
            }
            let Some(next) = ahead? else { break };
            look = next;
            held = self.held()?;
        }
        Ok(done)
    }

    async fn look(&self, held: &Arc<Held>, low: Option<Timestamp>, limit: u32, underway: &Underway) -> Result<Look, WorkerError> {
        let now = self.clock.now();
        let still_due = u32::try_from(underway.still_due).unwrap_or(u32::MAX);
        let mut due = self.journal.due(now, low, limit.saturating_add(still_due)).await?;
        due.retain(|due| !underway.seen.contains(&due.copy));
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let full = due.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let ids = due.iter().map(|due| due.copy).collect();
        let mut subjects = self.load_sound(&held.lease, ids, now).await?;
        let all = subjects.len();
        subjects.retain(|subject| !underway.touches(subject));
        let left = all - subjects.len();
        Ok(Look { now, full, due, subjects, left })
    }
}
