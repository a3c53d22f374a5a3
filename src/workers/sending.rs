//! Writing a batch down, and only then handing its messages over.

use super::{
    adapters::{ChannelState, Slot},
    engine::{Engine, Held, WorkerError},
    prepare::Prepared,
};
use crate::{
    channels::{Job, Report},
    content::Rendered,
    engine::History,
    model::{Address, CopyId, EffectRef, Outcome, SkipReason},
    store::{Batch, Commit, Lease, Source, StoreError},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A rendered message as the outbox keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredMessage {
    pub to: Address,
    pub message: Rendered,
    pub key: uuid::Uuid,
    /// `namespace/name`
    pub channel: String,
}

impl Engine {
    /// Shows what could not be decided and lets the copies rest, so that they do not come back on every tick.
    pub(super) async fn bury(&self, lease: &Lease, prepared: &mut Prepared, now: Timestamp) -> Result<(), WorkerError> {
        for (copy, error) in prepared.poison.drain(..) {
            tracing::error!(%copy, error, "set aside");
            self.journal.bury(lease, Source::Copy, copy.0, &error, now).await?;
        }
        Ok(())
    }

    /// Writes a batch down; only then hands its messages over.
    pub(super) async fn commit_and_send(&self, held: &Held, prepared: Prepared, batch: Batch) -> Result<Commit, WorkerError> {
        let Prepared { changes, jobs, .. } = prepared;
        if !jobs.is_empty() {
            self.reserve(&held.lease, jobs.len()).await?;
        }
        let told: Vec<(CopyId, History)> =
            changes.iter().flat_map(|c| c.history.iter().filter(|h| is_reaction(h)).map(|h| (c.copy.id, h.clone()))).collect();
        let commit = self.journal.commit(&held.lease, Batch { changes, ..batch }).await;
        let commit = match commit {
            Err(StoreError::AmbiguousCommit) => {
                self.let_go().await;
                return Err(StoreError::AmbiguousCommit.into());
            }
            other => other?,
        };
        let stale: HashSet<CopyId> = commit.stale.iter().copied().collect();
        for (_, line) in told.iter().filter(|(copy, _)| !stale.contains(copy)) {
            self.metrics.reaction(line);
        }
        let barred: HashSet<EffectRef> = commit.conflicts.iter().chain(&commit.held).copied().collect();
        let leaving: Vec<_> =
            jobs.into_iter().filter(|(_, job, _)| !stale.contains(&job.effect.copy) && !barred.contains(&job.effect)).collect();
        self.counted(&held.lease, leaving.len());
        self.hand_over(held, leaving).await?;
        if !commit.outdated.is_empty() {
            tracing::info!(funnels = commit.outdated.len(), "somebody else published; catching up");
            self.catch_up().await?;
        }
        Ok(commit)
    }

    /// One more look at suppressions, then the bytes leave.
    pub(super) async fn hand_over(&self, held: &Held, jobs: Vec<(Slot, Job, Timestamp)>) -> Result<(), WorkerError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let ids: Vec<EffectRef> = jobs.iter().map(|(_, job, _)| job.effect).collect();
        let (suppressed, failed) = match self.journal.suppressed(&ids).await {
            Ok(suppressed) => (suppressed.into_iter().collect::<HashSet<EffectRef>>(), None),
            Err(error) => (HashSet::new(), Some(error)),
        };
        let mut by_channel: BTreeMap<String, (Arc<ChannelState>, Vec<Job>)> = BTreeMap::new();
        for (slot, job, expires_at) in jobs {
            let channel = slot.channel().clone();
            let (effect, attempt) = (job.effect, job.attempt);
            self.flights.take_off(slot, &job, expires_at);
            let at_once = if failed.is_some() {
                // When the question fails, nothing leaves: what was intended is taken back.
                Some(Outcome::NotStarted)
            } else {
                let refused = || Outcome::Rejected { reason: SkipReason::Suppressed.as_str().into(), suppress: false };
                suppressed.contains(&effect).then(refused)
            };
            if let Some(outcome) = at_once {
                let _ = self.flights.reports().send(Report { effect, attempt, outcome });
                continue;
            }
            by_channel.entry(channel.wiring.key.clone()).or_insert_with(|| (channel, Vec::new())).1.push(job);
        }
        for (channel, jobs) in by_channel.into_values() {
            let reports = self.flights.reports();
            let deadline = if self.clock.is_virtual() { Instant::now() + Duration::from_hours(1) } else { held.deadline };
            tokio::spawn(async move { channel.channel.perform(jobs, deadline, reports).await });
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn is_reaction(line: &History) -> bool {
    matches!(line, History::Reaction { .. } | History::Unanswered { .. })
}

pub(super) fn store_message(job: &Job, channel: &str) -> Option<String> {
    let stored = StoredMessage { to: job.to.clone(), message: job.message.clone(), key: job.key, channel: channel.to_owned() };
    serde_json::to_string(&stored).ok()
}
