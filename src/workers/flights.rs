//! What is under way to a provider, and the outcomes' way back into the store.

use super::{
    EngineMetrics,
    adapters::Slot,
    engine::{Engine, lock},
    sending::store_message,
};
use crate::{
    channels::{Job, Report},
    compile::ChannelWiring,
    model::{EffectRef, Medium, Outcome, stable_hash},
    store::{Journal, Mark, NextAttempt, StoreError, qualified},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

struct Flight {
    slot: Slot,
    job: Job,
    expires_at: Timestamp,
}

/// What was handed over and has not been written down as landed.
pub(super) struct Flights {
    table: Mutex<HashMap<EffectRef, Flight>>,
    /// Write-backs under way, which have no row in the table.
    others: AtomicUsize,
    reports: mpsc::UnboundedSender<Report>,
    changed: Notify,
    refusals: Mutex<Refusals>,
}

/// Whose fault it is when a channel says that it is its own. A server may say so of one recipient or one text; such a message, tried
/// again and again, must not keep all others waiting.
#[derive(Default)]
struct Refusals {
    /// When each channel last took a message.
    taken: HashMap<String, Timestamp>,
    /// When each channel last refused a message, as far as anybody knew for all.
    down: HashMap<String, Timestamp>,
    /// When a message that still waits was last refused so, and whether it was found to be refused alone.
    refused: HashMap<EffectRef, (Timestamp, bool)>,
}

impl Refusals {
    /// Beyond that they are forgotten; each then pauses its channel once more.
    const MOST: usize = 10_000;
    /// How much later than its channel such a message is tried again: what the others hear first tells whose fault it is.
    const BEHIND: SignedDuration = SignedDuration::from_secs(5);

    /// True: the channel refuses, as far as anybody knows. False: it took others since it last refused this message. That is remembered
    /// until another one is refused: a quiet channel takes nothing for hours.
    fn is_of_channel(&mut self, channel: &str, report: &Report, now: Timestamp) -> bool {
        match &report.outcome {
            Outcome::Accepted { .. } => {
                self.refused.remove(&report.effect);
                self.taken.insert(channel.to_owned(), now);
            }
            Outcome::ChannelDown { .. } => {
                if self.refused.len() >= Self::MOST {
                    self.refused.clear();
                }
                let before = self.refused.get(&report.effect).copied();
                let since = |of: &HashMap<String, Timestamp>, then| of.get(channel).is_some_and(|at| *at > then);
                let alone = before.is_some_and(|(then, alone)| since(&self.taken, then) || alone && !since(&self.down, then));
                self.refused.insert(report.effect, (now, alone));
                if !alone {
                    self.down.insert(channel.to_owned(), now);
                }
                return !alone;
            }
            Outcome::Delivered | Outcome::Rejected { .. } | Outcome::Expired => {
                self.refused.remove(&report.effect);
            }
            Outcome::Retry { .. } | Outcome::Unknown { .. } | Outcome::NotStarted => {}
        }
        false
    }
}

impl Flights {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Report>) {
        let (reports, receiver) = mpsc::unbounded_channel();
        (Self { table: Mutex::default(), others: 0.into(), reports, changed: Notify::new(), refusals: Mutex::default() }, receiver)
    }

    /// Whether everything handed over is written down.
    pub fn idle(&self) -> bool {
        lock(&self.table).is_empty() && self.others.load(Ordering::SeqCst) == 0
    }

    /// Waits for that.
    pub async fn landed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.idle() {
                return;
            }
            changed.await;
        }
    }

    pub fn begin_other(&self) {
        self.others.fetch_add(1, Ordering::SeqCst);
    }

    pub fn end_other(&self) {
        self.others.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Its place is taken until its outcome is written down.
    pub fn take_off(&self, slot: Slot, job: &Job, expires_at: Timestamp) {
        lock(&self.table).insert(job.effect, Flight { slot, job: job.clone(), expires_at });
    }

    /// Where outcomes are reported.
    pub fn reports(&self) -> mpsc::UnboundedSender<Report> {
        self.reports.clone()
    }

    pub fn contains(&self, effect: EffectRef) -> bool {
        lock(&self.table).contains_key(&effect)
    }

    fn len(&self) -> usize {
        lock(&self.table).len()
    }
}

impl Engine {
    /// Writes outcomes down in small batches.
    pub(super) async fn write_outcomes(self: Arc<Self>, mut reports: mpsc::UnboundedReceiver<Report>) {
        let mut batch = Vec::with_capacity(256);
        while reports.recv_many(&mut batch, 256).await > 0 {
            if batch.len() < 256 && !self.clock.is_virtual() {
                // A little patience makes one transaction of many outcomes, as long as more can come.
                let patience = Instant::now() + Duration::from_millis(5);
                while batch.len() < self.flights.len().min(256) {
                    let Ok(Some(report)) = tokio::time::timeout_at(patience, reports.recv()).await else { break };
                    batch.push(report);
                }
            }
            let now = self.clock.now();
            let marks: Vec<Mark> = batch.iter().filter_map(|report| self.mark_of(report, now)).collect();
            write_down(&self.journal, &self.metrics, marks).await;
            for report in batch.drain(..) {
                let landed = lock(&self.flights.table).remove(&report.effect);
                if let Some(flight) = landed {
                    self.metrics.outcome(&flight.slot.channel().wiring, &report.outcome);
                }
            }
            self.flights.changed.notify_waiters();
            self.wake();
        }
    }

    fn mark_of(&self, report: &Report, now: Timestamp) -> Option<Mark> {
        let table = lock(&self.flights.table);
        let flight = table.get(&report.effect)?;
        let mut outcome = report.outcome.clone();
        let channel = flight.slot.channel();
        let wiring = &channel.wiring;
        let of_channel = lock(&self.flights.refusals).is_of_channel(&wiring.key, report, now);
        // What this message alone is told says nothing of the channel.
        if of_channel || !matches!(outcome, Outcome::ChannelDown { .. }) {
            channel.heard(report.effect, &outcome, now);
        }
        let again_at = match &outcome {
            Outcome::Retry { after, .. } => Some(now + said(*after).unwrap_or_else(|| backoff(wiring, report))),
            Outcome::ChannelDown { reason, after } if of_channel => {
                // Not nothing: the next message would fail at once.
                let pause = said(*after).unwrap_or_else(|| backoff(wiring, report).max(SignedDuration::from_secs(60)));
                let until = now + pause.max(SignedDuration::from_secs(1));
                channel.pause(now, until, reason);
                Some(until + Refusals::BEHIND)
            }
            Outcome::ChannelDown { after, .. } => {
                let wait = said(*after).unwrap_or_else(|| backoff(wiring, report));
                Some(now + wait.max(SignedDuration::from_secs(1)))
            }
            Outcome::NotStarted => Some(now),
            // The store knows whether it is sent again then, or kept until somebody resolves it.
            Outcome::Unknown { .. } => Some(now + backoff(wiring, report)),
            _ => None,
        };
        if let Outcome::Accepted { provider, provider_id: Some(_) } = &mut outcome
            && wiring.medium == Medium::Sms
        {
            // Receipts by its ids come by the channel's address. Relays report none.
            *provider = qualified(&wiring.key, provider);
        }
        let next = match again_at {
            Some(at) if at >= flight.expires_at => {
                if !matches!(outcome, Outcome::Unknown { .. }) {
                    outcome = Outcome::Expired;
                }
                None
            }
            Some(at) => store_message(&flight.job, &wiring.key).map(|payload| NextAttempt { at, payload }),
            None => None,
        };
        Some(Mark { effect: report.effect, attempt: report.attempt, outcome, at: now, next })
    }
}

/// Writes outcomes down. They are facts: never fenced, never dropped, tried until the store takes them. One that meets a damaged row keeps
/// nobody waiting: it is tried again by itself, and should the process end before the row is repaired, it is unknown.
pub(super) async fn write_down(journal: &Arc<dyn Journal>, metrics: &EngineMetrics, marks: Vec<Mark>) {
    if marked(journal, &marks).await {
        return;
    }
    for mark in marks {
        let effect = mark.effect;
        let alone = [mark];
        if !marked(journal, &alone).await {
            tracing::error!(%effect, "an outcome meets a row that cannot be read back: it waits by itself");
            metrics.pass_failed("outcome");
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut wait = Duration::from_secs(1);
                loop {
                    tokio::time::sleep(wait).await;
                    if marked(&journal, &alone).await {
                        return;
                    }
                    wait = (wait * 2).min(Duration::from_mins(1));
                }
            });
        }
    }
}

/// False: one of them meets a row that cannot be read back. For a store that is away it waits.
async fn marked(journal: &Arc<dyn Journal>, marks: &[Mark]) -> bool {
    let mut wait = Duration::from_millis(100);
    loop {
        match journal.mark(marks.to_vec()).await {
            Ok(()) => return true,
            Err(StoreError::Corrupt { .. }) => return false,
            Err(error) => tracing::warn!(label = error.label(), outcomes = marks.len(), "outcomes wait for the store"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

/// How long the provider, or the rule about its answer, says to wait.
fn said(after: Option<Duration>) -> Option<SignedDuration> {
    after.and_then(|after| SignedDuration::try_from(after).ok())
}

/// Doubles with each attempt between the channel's bounds, with jitter that differs by message and attempt: a quarter more at most, and
/// at the upper bound a quarter less.
fn backoff(wiring: &ChannelWiring, report: &Report) -> SignedDuration {
    let (min, max) = (wiring.retry_min.signed().as_secs().max(1), wiring.retry_max.signed().as_secs().max(1));
    let doubled = min.saturating_mul(1_i64 << report.attempt.clamp(1, 20).saturating_sub(1)).min(max);
    let hash = stable_hash(&[&report.effect.copy.0.to_be_bytes(), &report.effect.seq.to_be_bytes(), &report.attempt.to_be_bytes()]);
    let jitter = doubled * i64::try_from(hash % 250).unwrap_or(0);
    let longest = max * 1000;
    let pause = doubled * 1000 + jitter;
    SignedDuration::from_millis(if pause > longest { (longest - jitter).max(min * 1000) } else { pause })
}

#[cfg(test)]
mod tests {
    use super::{Refusals, backoff};
    use crate::{
        channels::Report,
        compile::{ChannelWiring, OnAmbiguous},
        model::{CopyId, EffectRef, HumanDuration, Medium, Outcome},
    };
    use jiff::Timestamp;
    use std::collections::BTreeSet;

    #[test]
    fn a_message_that_alone_is_refused_does_not_pause_its_channel_again() {
        let mut refusals = Refusals::default();
        let mut hear = |channel: &str, message, second, accepted| {
            let effect = EffectRef { copy: CopyId(message), seq: 1 };
            let outcome = if accepted {
                Outcome::Accepted { provider: "main".into(), provider_id: None }
            } else {
                Outcome::ChannelDown { reason: "5.7.1".into(), after: None }
            };
            let report = Report { effect, attempt: 1, outcome };
            refusals.is_of_channel(channel, &report, Timestamp::from_second(second).unwrap())
        };
        assert!(hear("sms", 1, 0, false), "nobody knows better yet");
        assert!(hear("sms", 1, 60, false), "nothing was taken meanwhile");
        hear("mail", 2, 70, true);
        assert!(hear("sms", 1, 120, false), "another channel proves nothing");
        hear("sms", 3, 130, true);
        assert!(!hear("sms", 1, 180, false), "it is this message");
        assert!(!hear("sms", 1, 185, false), "also while nobody else is written to");
        hear("sms", 3, 190, true);
        assert!(!hear("sms", 1, 300, false), "and stays so");
        assert!(hear("sms", 4, 310, false), "another one may be the first of all: the account was closed");
        assert!(hear("sms", 1, 420, false), "since the last time nothing was taken");
        hear("sms", 4, 430, true);
        assert!(hear("sms", 4, 440, false), "what was taken is forgotten");
    }

    #[test]
    fn pauses_stay_within_what_the_channel_says_and_differ() {
        for (min, max) in [("30s", "30m"), ("30s", "45s"), ("1m", "1m")] {
            let (min, max): (HumanDuration, HumanDuration) = (min.parse().unwrap(), max.parse().unwrap());
            let wiring = ChannelWiring {
                key: "shop/sms".into(),
                medium: Medium::Sms,
                providers: Vec::new(),
                per_second: 1.0,
                burst: 1,
                on_ambiguous: OnAmbiguous::Hold,
                retry_min: min,
                retry_max: max,
                test_recipients: Vec::new(),
                dkim: None,
                keyword: None,
            };
            let mut last = BTreeSet::new();
            for (copy, attempt) in (0..100).flat_map(|copy| (1..12).map(move |attempt| (copy, attempt))) {
                let effect = EffectRef { copy: CopyId(copy), seq: 1 };
                let pause = backoff(&wiring, &Report { effect, attempt, outcome: Outcome::NotStarted });
                assert!(min.signed() <= pause && pause <= max.signed(), "{min} {max}: {pause:?} before attempt {attempt}");
                if attempt == 11 {
                    last.insert(pause);
                }
            }
            assert_eq!(last.len() > 50, min != max, "those who failed together do not come back together");
        }
    }
}
