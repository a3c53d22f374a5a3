//! From decisions to bytes: rendering, the batch that writes everything down, handing over, and the outcomes' way back.

use super::{
    adapters::{ChannelState, Slot},
    engine::{Engine, Held, WorkerError, lock},
    money::{Purse, charge, decide_within},
    plans::{Live, channel_key, connection_key},
};
use crate::{
    channels::{Job, Report},
    compile::OnAmbiguous,
    content::{self, Context, ItemText, RenderError, Rendered, Sender, TaskFacts, Tracking},
    crm::{Operation, WriteBack},
    engine::{Decision, Effect, EffectKind, Event, History, Subject, TaskText, zone_of},
    links::{HookPath, hook_url, system_random},
    model::{Address, CopyId, EffectRef, EffectStatus, Mode, Outcome, PostponeReason, SendAs, SkipReason, Text, stable_hash},
    store::{Batch, Change, Commit, Lease, Mark, NewEffect, NextAttempt, Source, StoreError},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

/// Decisions of one batch, ready to be written down, and the messages that leave once they are.
#[derive(Default)]
pub(super) struct Prepared {
    pub changes: Vec<Change>,
    pub jobs: Vec<(Slot, Job, Timestamp)>,
    /// How many copies may simply stay due when their channel has no room, and how many did.
    pub may_stay: usize,
    pub stayed: usize,
    /// What clients wrote in the signals of this batch: their managers read it in their tasks, and nobody else.
    pub said: HashMap<CopyId, Text>,
    /// Copies whose decision failed: set aside, visibly.
    pub poison: Vec<(CopyId, String)>,
    /// What the budgets have spent, these decisions included. Only the timer's pass needs to know: nobody else sends.
    pub purse: Purse,
}

/// A rendered message as the outbox keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredMessage {
    pub to: Address,
    pub message: Rendered,
    pub key: uuid::Uuid,
    /// `namespace/name`
    pub channel: String,
}

struct Flight {
    slot: Slot,
    job: Job,
    expires_at: Timestamp,
}

/// What was handed over and has not been written down as landed.
pub(super) struct Flights {
    table: Mutex<HashMap<EffectRef, Flight>>,
    /// Write-backs under way, which have no row in the table.
    others: std::sync::atomic::AtomicUsize,
    reports: mpsc::UnboundedSender<Report>,
    changed: Notify,
}

impl Flights {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Report>) {
        let (reports, receiver) = mpsc::unbounded_channel();
        (Self { table: Mutex::default(), others: 0.into(), reports, changed: Notify::new() }, receiver)
    }

    /// Waits until everything handed over is written down.
    pub async fn landed(&self) {
        loop {
            let changed = self.changed.notified();
            if lock(&self.table).is_empty() && self.others.load(Ordering::SeqCst) == 0 {
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

    pub fn contains(&self, effect: EffectRef) -> bool {
        lock(&self.table).contains_key(&effect)
    }

    fn len(&self) -> usize {
        lock(&self.table).len()
    }
}

/// Whether a message of a decision may leave now.
enum Turn {
    /// There is none.
    Nothing,
    Now(Slot),
    At(Timestamp, PostponeReason),
    /// Its channel is full for a moment.
    NoRoom(Arc<ChannelState>),
}

impl Engine {
    /// Decides one event about one subject and prepares what follows. A decision that panics is set aside, not the batch.
    pub(super) fn decide_into(&self, prepared: &mut Prepared, mut subject: Subject, event: &Event, now: Timestamp) {
        let plans = self.plans.load();
        let Some(live) = plans.get(&subject.copy.funnel) else {
            // The funnel is gone: nothing is sent, history stays; a re-created funnel's replan wakes its copies again. One that is
            // only broken comes back without a new revision, so its copies look again by themselves.
            let broken = plans.1.contains(&subject.copy.funnel);
            let mut copy = subject.copy;
            copy.next_at = broken.then(|| now + SignedDuration::from_mins(1));
            prepared.changes.push(change(copy, String::new(), subject.deal.id));
            return;
        };
        subject.spent = prepared.purse.spent(&live.plan);
        let base_url = self.settings.base_url.as_deref();
        let decided = std::panic::catch_unwind(AssertUnwindSafe(|| decide_within(live, &mut subject, event, now, base_url)));
        match decided {
            Ok(decision) => self.prepare(prepared, live, subject, decision, now),
            Err(_) => prepared.poison.push((subject.copy.id, "the engine failed on this copy".to_owned())),
        }
    }

    pub(super) fn prepare(&self, prepared: &mut Prepared, live: &Live, subject: Subject, decision: Decision, now: Timestamp) {
        let said = prepared.said.remove(&subject.copy.id);
        let connection = connection_key(&live.plan);
        let turn = match self.turn(live, &subject, &decision, now) {
            Turn::NoRoom(_) if prepared.stayed < prepared.may_stay => {
                prepared.stayed += 1;
                return;
            }
            Turn::NoRoom(channel) => Turn::At(channel.later(now), PostponeReason::RateLimited),
            turn => turn,
        };
        let mut slot = None;
        if let Turn::Now(free) = turn {
            slot = Some(free);
        } else if let Turn::At(until, why) = turn {
            let mut copy = subject.copy;
            copy.next_at = Some(until);
            copy.state.waiting = Some(why);
            prepared.changes.push(change(copy, connection, subject.deal.id));
            return;
        }
        let mut change = change(decision.copy.clone(), connection.clone(), subject.deal.id.clone());
        change.history = decision.history;
        change.cycle = decision.cycle;
        for effect in decision.effects {
            let id = EffectRef { copy: subject.copy.id, seq: effect.seq };
            let mut new = NewEffect {
                effect,
                status: EffectStatus::Planned,
                brand: live.plan.policy.brand.clone(),
                policy: live.plan.policy.key.clone(),
                revision: live.plan.revision,
                body_hash: None,
                links: Vec::new(),
                codes: Vec::new(),
                payload: None,
                resend: false,
                charge: None,
                target: connection.clone(),
                not_before: None,
                expires_at: None,
            };
            match new.effect.kind.clone() {
                EffectKind::Message { channel, purpose, address, variant, send_as, expires_at, .. } => {
                    let key = channel_key(&live.plan, &channel);
                    new.target.clone_from(&key);
                    new.expires_at = Some(expires_at);
                    let message = OutgoingMessage { id, address, variant, send_as };
                    match self.render(live, &subject, &new.effect, message, &key, now) {
                        Ok(rendered) => {
                            new.status = EffectStatus::Intended;
                            new.body_hash = Some(rendered.body_hash);
                            new.links = rendered.links;
                            new.charge = charge(&live.plan, &channel, purpose, rendered.parts, now);
                            if let Some(charge) = &new.charge {
                                prepared.purse.add(charge);
                            }
                            new.codes = rendered.codes;
                            // Only a hold makes the store keep it, or a channel that resends what is unclear.
                            new.resend = slot.as_ref().is_some_and(|s| s.channel().wiring.on_ambiguous == OnAmbiguous::Resend);
                            new.payload = store_message(&rendered.job, &key);
                            if let Some(slot) = slot.take() {
                                prepared.jobs.push((slot, rendered.job, expires_at));
                            }
                        }
                        Err(error) => {
                            new.effect.kind = EffectKind::Skip { reason: skip_reason(&error) };
                            new.status = EffectStatus::Skipped;
                        }
                    }
                }
                EffectKind::Skip { .. } => new.status = EffectStatus::Skipped,
                EffectKind::Observed { .. } => {}
                // Observe mode writes nothing to the CRM either.
                _ if live.plan.mode == Mode::Observe => continue,
                EffectKind::Move { stage } => {
                    let expect = Some(subject.deal.stage.clone()).filter(|s| !s.is_empty());
                    self.write_back(&mut new, live, &subject, id, Operation::Move { stage, expect }, now);
                }
                EffectKind::Comment { text } => {
                    let (title, body) = Self::words(live, &subject, &text, said.as_ref(), now);
                    let text = if body.is_empty() { title } else { format!("{title}\n\n{body}") };
                    self.write_back(&mut new, live, &subject, id, Operation::Comment { text }, now);
                }
                EffectKind::Task { who, due_at, text } => {
                    let (title, text) = Self::words(live, &subject, &text, said.as_ref(), now);
                    self.write_back(&mut new, live, &subject, id, Operation::Task { manager: who, title, text, due_at }, now);
                }
                EffectKind::Notify { who, text } => {
                    let (text, _) = Self::words(live, &subject, &text, said.as_ref(), now);
                    self.write_back(&mut new, live, &subject, id, Operation::Notify { manager: who, text }, now);
                }
            }
            change.effects.push(new);
        }
        prepared.changes.push(change);
    }

    /// Whether the message of this decision (there is one at most) can leave now, for reasons that the engine does not know: rate,
    /// room, a paused channel.
    fn turn(&self, live: &Live, subject: &Subject, decision: &Decision, now: Timestamp) -> Turn {
        let resource = decision.effects.iter().find_map(|effect| match &effect.kind {
            EffectKind::Message { channel, .. } => Some(channel),
            _ => None,
        });
        let Some(resource) = resource else { return Turn::Nothing };
        let adapters = self.adapters.load();
        let Some(state) = adapters.channels.get(&channel_key(&live.plan, resource)) else {
            return Turn::At(now + SignedDuration::from_secs(60), PostponeReason::ChannelDown);
        };
        if let Some((until, _)) = state.paused(now) {
            return Turn::At(until, PostponeReason::ChannelDown);
        }
        let slot = if self.clock.is_virtual() { Some(state.extra_slot()) } else { state.slot() };
        let Some(slot) = slot else { return Turn::NoRoom(state.clone()) };
        let at = state.limiter.reserve(subject.copy.id, now);
        if at > now { Turn::At(at, PostponeReason::RateLimited) } else { Turn::Now(slot) }
    }

    fn words(live: &Live, subject: &Subject, text: &TaskText, said: Option<&Text>, now: Timestamp) -> (String, String) {
        let context = context_of(live, subject);
        let facts = TaskFacts {
            context: &context,
            deal: &subject.deal,
            ledger: &subject.ledger,
            said: said.map(|text| text.0.as_str()),
            time_zone: &live.plan.policy.working_hours.time_zone,
            now,
        };
        let task = content::render_task(&live.texts, text, &facts);
        (task.title, task.body)
    }

    fn write_back(&self, new: &mut NewEffect, live: &Live, subject: &Subject, id: EffectRef, operation: Operation, now: Timestamp) {
        let job = WriteBack {
            effect: id,
            key: self.key_of(id),
            deal: subject.deal.id.clone(),
            funnel: live.plan.funnel.to_string(),
            operation,
            at: now,
        };
        new.payload = serde_json::to_string(&job).ok();
    }

    /// Where a provider may report on a message. The channel fills in `{provider}` and adds which message it is.
    pub(super) fn receipt_url(&self, channel: &str) -> Option<String> {
        let base = self.settings.base_url.as_deref()?;
        Some(hook_url(base, &self.journal.secret(), channel, "{provider}", HookPath::Receipt))
    }

    /// Stable over attempts and restarts: derived from the installation and the effect.
    fn key_of(&self, id: EffectRef) -> uuid::Uuid {
        uuid::Uuid::new_v5(&self.namespace, id.to_string().as_bytes())
    }

    fn render(
        &self,
        live: &Live,
        subject: &Subject,
        effect: &Effect,
        message: OutgoingMessage,
        channel: &str,
        now: Timestamp,
    ) -> Result<Ready, RenderError> {
        let item = (effect.key.list.clone(), effect.key.item.clone());
        let text = live.texts.items.get(&item).ok_or(RenderError::Empty)?;
        let context = context_of(live, subject);
        let key = self.key_of(message.id);
        let as_manager = match message.send_as {
            SendAs::Brand => false,
            SendAs::Manager => true,
            SendAs::ManagerIfSpoke => subject.deal.last_activity_at.is_some(),
        } && subject.manager.is_some();
        let tracking = Tracking {
            base_url: self.settings.base_url.as_deref(),
            keys: &self.keys,
            effect: message.id,
            random: &system_random,
            to: &message.address,
            as_manager,
            message_id_domain: message_id_domain(text),
            key,
            now,
        };
        let language = subject.contact.as_ref().and_then(|c| c.language.as_deref());
        let rendered = content::render_item(text, message.variant.as_deref(), language, &context, &tracking)?;
        Ok(Ready {
            job: Job {
                effect: message.id,
                attempt: 1,
                key,
                to: message.address,
                message: rendered.message,
                receipt_url: self.receipt_url(channel),
            },
            body_hash: rendered.body_hash,
            links: rendered.links,
            codes: rendered.codes,
            parts: rendered.preview.segments.map_or(1, |counted| counted.parts),
        })
    }

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
            self.reserve(jobs.len()).await?;
        }
        let told: Vec<(CopyId, History)> =
            changes.iter().flat_map(|c| c.history.iter().filter(|h| is_reaction(h)).map(|h| (c.copy.id, h.clone()))).collect();
        let commit = self.journal.commit(&held.lease, Batch { changes, ..batch }).await;
        let commit = match commit {
            Err(StoreError::AmbiguousCommit) => {
                self.retake().await;
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
            lock(&self.flights.table).insert(effect, Flight { slot, job: job.clone(), expires_at });
            let at_once = if failed.is_some() {
                // When the question fails, nothing leaves: what was intended is taken back.
                Some(Outcome::NotStarted)
            } else {
                let refused = || Outcome::Rejected { reason: SkipReason::Suppressed.as_str().into(), suppress: false };
                suppressed.contains(&effect).then(refused)
            };
            if let Some(outcome) = at_once {
                let _ = self.flights.reports.send(Report { effect, attempt, outcome });
                continue;
            }
            by_channel.entry(channel.wiring.key.clone()).or_insert_with(|| (channel, Vec::new())).1.push(job);
        }
        for (channel, jobs) in by_channel.into_values() {
            let reports = self.flights.reports.clone();
            let deadline = if self.clock.is_virtual() { Instant::now() + Duration::from_hours(1) } else { held.deadline };
            tokio::spawn(async move { channel.channel.perform(jobs, deadline, reports).await });
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Writes outcomes down in small batches. They are facts: never fenced, never dropped, tried until the store takes them.
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
            let mut wait = Duration::from_millis(100);
            while let Err(error) = self.journal.mark(marks.clone()).await {
                tracing::warn!(label = error.label(), outcomes = marks.len(), "outcomes wait for the store");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
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
        let again_at = match &outcome {
            Outcome::Retry { after, .. } => {
                Some(now + after.and_then(|d| SignedDuration::try_from(d).ok()).unwrap_or_else(|| backoff(wiring, report)))
            }
            Outcome::ChannelDown { reason } => {
                let until = now + backoff(wiring, report).max(SignedDuration::from_secs(60));
                channel.pause(until, reason);
                Some(until)
            }
            Outcome::NotStarted => Some(now),
            // The store knows whether it is sent again then, or kept until somebody resolves it.
            Outcome::Unknown { .. } => Some(now + backoff(wiring, report)),
            _ => None,
        };
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

fn is_reaction(line: &History) -> bool {
    matches!(line, History::Reaction { .. } | History::Unanswered { .. })
}

fn store_message(job: &Job, channel: &str) -> Option<String> {
    let stored = StoredMessage { to: job.to.clone(), message: job.message.clone(), key: job.key, channel: channel.to_owned() };
    serde_json::to_string(&stored).ok()
}

struct OutgoingMessage {
    id: EffectRef,
    address: Address,
    variant: Option<String>,
    send_as: SendAs,
}

struct Ready {
    job: Job,
    body_hash: String,
    links: Vec<String>,
    codes: Vec<String>,
    /// SMS parts; 1 for an email.
    parts: u32,
}

pub(crate) fn context_of(live: &Live, subject: &Subject) -> Context {
    let (policy, contact) = (&live.plan.policy, subject.contact.as_ref());
    let language = contact.and_then(|c| c.language.as_deref());
    let zone = zone_of(&live.plan, subject);
    Context::new(&subject.deal, contact, subject.manager.as_ref(), &policy.brand_title, language, &zone)
}

/// The sender's own domain, so that a Message-ID looks like the mail it stands in.
fn message_id_domain(text: &ItemText) -> &str {
    match &text.sender {
        Sender::Email(sender) => sender.from_address.rsplit_once('@').map_or("rekindle.invalid", |(_, domain)| domain),
        Sender::Sms(_) => "rekindle.invalid",
    }
}

fn change(copy: crate::engine::Copy, connection: String, deal: String) -> Change {
    Change { copy, connection, deal, effects: Vec::new(), history: Vec::new(), cycle: Vec::new() }
}

fn skip_reason(error: &RenderError) -> SkipReason {
    match error {
        RenderError::Missing(_) => SkipReason::MissingValue,
        RenderError::TooLong { .. } => SkipReason::TooLong,
        _ => SkipReason::RenderError,
    }
}

/// Doubles with each attempt between the channel's bounds, with jitter that differs by message and attempt.
fn backoff(wiring: &crate::compile::ChannelWiring, report: &Report) -> SignedDuration {
    let (min, max) = (wiring.retry_min.signed().as_secs().max(1), wiring.retry_max.signed().as_secs().max(1));
    let doubled = min.saturating_mul(1_i64 << report.attempt.clamp(1, 20).saturating_sub(1)).min(max);
    let hash = stable_hash(&[&report.effect.copy.0.to_be_bytes(), &report.effect.seq.to_be_bytes(), &report.attempt.to_be_bytes()]);
    let jitter = i64::try_from(hash % 250).unwrap_or(0);
    SignedDuration::from_millis(doubled * 1000 + doubled * jitter)
}
