//! Effects that wait in the store: write-backs to the CRM, and messages that certainly were not accepted before.

use super::{
    Clock, EngineMetrics,
    adapters::ConnectionState,
    engine::{Engine, WorkerError, lock},
    flights::{Flights, write_down},
    plans::connection_key,
    sending::StoredMessage,
};
use crate::{
    channels::Job,
    crm::WriteBack,
    engine::{Again, again},
    model::{CopyId, EffectRef, Outcome, Purpose},
    store::{Journal, Loaded, Mark, NextAttempt, Outbox, Source},
};
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
};

impl Engine {
    /// Starts what is due in the outbox. Returns how many rows were started or put off.
    pub(super) async fn outbox_pass(&self) -> Result<usize, WorkerError> {
        let held = self.held()?;
        let now = self.clock.now();
        // What waits for a connection that is at work must not keep what is due behind it from being seen.
        let adapters = self.adapters.load_full();
        let busy = adapters.connections.iter().filter(|(_, connection)| connection.writing.load(Ordering::SeqCst));
        let busy: Vec<String> = busy.map(|(key, _)| key.clone()).collect();
        let holds = self.journal.holds().await?;
        let low = lock(&self.on_hold).low(held.lease.epoch, &holds, now);
        let mut rows = self.journal.outbox_beside(&busy, low, now, self.settings.batch).await?;
        // In the order of their moments. Fewer than asked for: there are no others.
        let first = rows.iter().filter(|row| row.kind == "message").map(|row| row.due_at).min();
        let first = first.or_else(|| (rows.len() < self.settings.batch as usize).then_some(now));
        lock(&self.on_hold).looked(held.lease.epoch, holds, low, now, first);
        rows.retain(|row| !self.flights.contains(row.effect));
        let (messages, writes): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kind == "message");
        Ok(self.resend(&held, messages, now).await? + self.write_backs(&held, writes, now).await?)
    }

    async fn resend(&self, held: &super::engine::Held, rows: Vec<Outbox>, now: Timestamp) -> Result<usize, WorkerError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: BTreeSet<CopyId> = rows.iter().map(|row| row.effect.copy).collect();
        let loaded = self.load_sound(&held.lease, ids.into_iter().collect(), now).await?;
        let subjects: HashMap<CopyId, Loaded> = loaded.into_iter().map(|s| (s.copy.id, s)).collect();
        let plans = self.plans.load();
        let adapters = self.adapters.load();
        let (mut starting, mut marks, mut stayed) = (Vec::new(), Vec::new(), 0);
        for row in rows {
            let attempt = row.attempt + 1;
            // What is said of a row that is not started is about the attempt before: the store ignores news of attempts it has not seen.
            let mark = |outcome, next| Mark { effect: row.effect, attempt: row.attempt, outcome, at: now, next };
            let Ok(stored) = serde_json::from_str::<StoredMessage>(&row.payload) else {
                marks.push(mark(Outcome::Rejected { reason: "the stored message cannot be read".into(), suppress: false }, None));
                continue;
            };
            if row.expires_at.is_some_and(|at| at <= now) {
                marks.push(mark(Outcome::Expired, None));
                continue;
            }
            let overtaken = || mark(Outcome::Rejected { reason: "overtaken by events".into(), suppress: false }, None);
            let Some(subject) = subjects.get(&row.effect.copy) else {
                marks.push(overtaken());
                continue;
            };
            let later = |at| Some(NextAttempt { at, payload: row.payload.clone() });
            let Some(channel) = adapters.channels.get(&stored.channel) else {
                marks.push(mark(Outcome::NotStarted, later(now + SignedDuration::from_secs(60))));
                continue;
            };
            let asked = plans.get(&row.funnel).map(|live| {
                if subject.connection != connection_key(&live.plan) {
                    return Again::Overtaken;
                }
                let purpose = live.plan.item(&row.key.list, &row.key.item).map_or(Purpose::Advertising, |item| item.purpose);
                again(&live.plan, subject, &row.key.list, purpose, now)
            });
            let opens = match asked {
                Some(Again::Now) => now,
                Some(Again::At(at)) => at,
                Some(Again::Overtaken) => {
                    marks.push(overtaken());
                    continue;
                }
                // Its funnel is deleted, or nobody can read it: nothing of it is sent. Until it expires it may come back.
                None => now + SignedDuration::from_mins(5),
            };
            let free = channel.paused(now).map_or(opens, |(until, _)| until.max(opens));
            if free > now {
                // Some waits have no end of their own; its expiry is one.
                let ends = row.expires_at.unwrap_or(now + SignedDuration::from_hours(24));
                marks.push(mark(Outcome::NotStarted, later(free.min(ends))));
                continue;
            }
            let slot = if self.clock.is_virtual() { Some(channel.extra_slot()) } else { channel.slot() };
            let Some(slot) = slot else {
                // It stays due, and the next landing makes room; too many of them would stand in the way of everything else.
                stayed += 1;
                if stayed > self.settings.batch / 2 {
                    marks.push(mark(Outcome::NotStarted, later(channel.later(now))));
                }
                continue;
            };
            let free = channel.limiter.reserve(row.effect.copy, now);
            if free > now {
                marks.push(mark(Outcome::NotStarted, later(free)));
                continue;
            }
            let job = Job {
                effect: row.effect,
                attempt,
                key: stored.key,
                to: stored.to,
                message: stored.message,
                receipt_url: self.receipt_url(&channel.wiring.key),
            };
            starting.push((slot, job, row.expires_at.unwrap_or(now + SignedDuration::from_hours(24))));
        }
        let count = starting.len() + marks.len();
        if !marks.is_empty() {
            self.journal.mark(marks).await?;
        }
        let ids: Vec<EffectRef> = starting.iter().map(|(_, job, _)| job.effect).collect();
        if !ids.is_empty() {
            self.reserve(&held.lease, ids.len()).await?;
            let started: HashSet<EffectRef> = self.journal.start(&held.lease, &ids, now).await?.into_iter().collect();
            starting.retain(|(_, job, _)| started.contains(&job.effect));
            self.counted(&held.lease, starting.len());
            self.hand_over(held, starting).await?;
        }
        Ok(count)
    }

    async fn write_backs(&self, held: &super::engine::Held, rows: Vec<Outbox>, now: Timestamp) -> Result<usize, WorkerError> {
        let mut by_connection: BTreeMap<String, Vec<Outbox>> = BTreeMap::new();
        for row in rows {
            by_connection.entry(row.target.clone()).or_default().push(row);
        }
        let adapters = self.adapters.load();
        let mut count = 0;
        for (key, rows) in by_connection {
            let Some(connection) = adapters.connections.get(&key) else {
                // It may come back, like a channel. Who has not seen the resources yet knows of none.
                if self.is_wired() {
                    count += rows.len();
                    let gone_since = *lock(&self.gone).entry(key).or_insert(now);
                    let wait = now.duration_since(gone_since).clamp(LOOK_AGAIN, LOOK_AGAIN * 10);
                    self.journal.mark(rows.into_iter().map(|row| put_off(row, now, wait)).collect()).await?;
                }
                continue;
            };
            lock(&self.gone).remove(&key);
            let Some(writing) = Writing::begin(connection, &self.flights) else { continue };
            count += rows.len();
            let mut work = self.readable(held, rows, now).await?;
            if work.is_empty() {
                continue;
            }
            let ids: Vec<EffectRef> = work.iter().map(|(_, row)| row.effect).collect();
            let started: HashSet<EffectRef> = self.journal.start(&held.lease, &ids, now).await?.into_iter().collect();
            work.retain(|(_, row)| started.contains(&row.effect));
            count -= ids.len() - work.len();
            let writing = write(writing, self.journal.clone(), (self.metrics.clone(), self.clock.clone()), work, now);
            if self.clock.is_virtual() {
                writing.await;
            } else {
                tokio::spawn(writing);
            }
        }
        Ok(count)
    }

    /// What one that cannot be read asks for nobody knows (it is damaged, or of a later version): it is set aside, where people see it,
    /// and what comes after it goes on.
    async fn readable(
        &self,
        held: &super::engine::Held,
        rows: Vec<Outbox>,
        now: Timestamp,
    ) -> Result<Vec<(WriteBack, Outbox)>, WorkerError> {
        let mut work = Vec::with_capacity(rows.len());
        for row in rows {
            if let Ok(job) = serde_json::from_str(&row.payload) {
                work.push((job, row));
                continue;
            }
            let EffectRef { copy, seq } = row.effect;
            tracing::error!(effect = %row.effect, "a write-back cannot be read: set aside");
            self.journal.bury(&held.lease, Source::Outbox(seq), copy.0, "the stored write-back cannot be read", now).await?;
        }
        Ok(work)
    }
}

/// One batch of a connection under way, whatever becomes of it: the order within a deal holds only as long as there is no other.
struct Writing {
    connection: Arc<ConnectionState>,
    flights: Arc<Flights>,
}

impl Writing {
    fn begin(connection: &Arc<ConnectionState>, flights: &Arc<Flights>) -> Option<Self> {
        if connection.writing.swap(true, Ordering::SeqCst) {
            return None;
        }
        flights.begin_other();
        Some(Self { connection: connection.clone(), flights: flights.clone() })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.connection.writing.store(false, Ordering::SeqCst);
        self.flights.end_other();
    }
}

/// How soon write-backs of a connection that is not there are looked at again; later and later up to ten times that, for there may be many.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// A write-back of a connection that is not there: it waits, and stands in nobody's way.
fn put_off(row: Outbox, now: Timestamp, wait: SignedDuration) -> Mark {
    let next = NextAttempt { at: now + wait, payload: row.payload };
    Mark { effect: row.effect, attempt: row.attempt, outcome: Outcome::NotStarted, at: now, next: Some(next) }
}

/// What a receiver that says when to come again is given at the least. After ten attempts it grows, up to a quarter of an hour: one that
/// says "in a second" for days would be asked each second.
fn least_pause(attempt: i32) -> SignedDuration {
    SignedDuration::from_secs((1_i64 << attempt.saturating_sub(10).clamp(0, 10)).min(900))
}

/// Performs write-backs in order and writes down what became of them.
async fn write(
    writing: Writing,
    journal: Arc<dyn Journal>,
    (metrics, clock): (EngineMetrics, Clock),
    work: Vec<(WriteBack, Outbox)>,
    now: Timestamp,
) {
    let (jobs, rows): (Vec<WriteBack>, Vec<Outbox>) = work.into_iter().unzip();
    let connection = &writing.connection;
    // A connector that fails has a bug, which must not keep the connection for ever: what it did nobody knows.
    let outcomes = AssertUnwindSafe(connection.connector.write(&jobs)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(connection = %connection.wiring.key, "the connector failed on write-backs; they are tried again");
        Vec::new()
    });
    let outcomes = outcomes.into_iter().chain(std::iter::repeat_with(|| Outcome::Unknown { reason: "NoAnswer".into() }));
    let answered = clock.now();
    let marks: Vec<Mark> = rows
        .into_iter()
        .zip(outcomes)
        .map(|(row, outcome)| {
            let attempt = row.attempt + 1;
            metrics.write_back(&connection.wiring.key, &outcome);
            let seconds = 5_i64.saturating_mul(1 << attempt.clamp(1, 8)).min(900);
            let at = match &outcome {
                // The receiver says itself how long it wants to be left alone.
                Outcome::Retry { after: Some(after), .. } | Outcome::ChannelDown { after: Some(after), .. } => {
                    let after = SignedDuration::try_from(*after).unwrap_or(SignedDuration::from_secs(seconds));
                    Some(answered + after.max(least_pause(attempt)))
                }
                // A write-back carries its own dedupe key: what is ambiguous is simply written again.
                Outcome::Retry { .. } | Outcome::Unknown { .. } | Outcome::ChannelDown { .. } | Outcome::NotStarted => {
                    Some(now + SignedDuration::from_secs(seconds))
                }
                _ => None,
            };
            let next = at.map(|at| NextAttempt { at, payload: row.payload });
            let outcome = match outcome {
                Outcome::Unknown { reason } => Outcome::Retry { reason, after: None },
                other => other,
            };
            Mark { effect: row.effect, attempt, outcome, at: now, next }
        })
        .collect();
    write_down(&journal, &metrics, marks).await;
}
