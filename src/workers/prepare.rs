//! From a decision to what is written down and what leaves: the rows of its batch, and the messages that wait for them.

use super::{
    adapters::{ChannelState, Slot},
    engine::Engine,
    money::{Purse, charge, decide_within},
    plans::{Live, channel_key, connection_key},
    rendering::{OutgoingMessage, context_of},
    sending::store_message,
};
use crate::{
    channels::Job,
    compile::OnAmbiguous,
    content::{self, RenderError, TaskFacts},
    crm::{Operation, WriteBack},
    engine::{Copy, Decision, EffectKind, Event, History, Subject, TaskText, decide},
    model::{CopyId, DealState, EffectRef, EffectStatus, Mode, PostponeReason, Role, SkipReason, Text},
    store::{Change, Loaded, NewEffect},
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

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
    pub(super) fn decide_into(&self, prepared: &mut Prepared, loaded: Loaded, event: &Event, now: Timestamp) {
        let Loaded { connection, mut subject } = loaded;
        let plans = self.plans.load();
        let Some(live) = plans.get(&subject.copy.funnel) else {
            // The funnel is gone: nothing is sent, history stays; a re-created funnel's replan wakes its copies again. One that is
            // only broken comes back without a new revision, so its copies look again by themselves.
            let broken = plans.1.contains(&subject.copy.funnel);
            let mut copy = subject.copy;
            copy.next_at = broken.then(|| now + SignedDuration::from_mins(1));
            prepared.changes.push(change(copy, connection, subject.deal.id));
            return;
        };
        if connection != connection_key(&live.plan) {
            leave_behind(prepared, live, connection, subject, now);
            return;
        }
        subject.spent = prepared.purse.spent(&live.plan);
        plans.introduce(&mut subject);
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
}

/// The funnel reads another CRM now, where this deal's id means nothing, or somebody else's deal: whatever happens, nothing may be
/// written there. The copy leaves like one of a deal that moved to another pipeline; its history stays.
fn leave_behind(prepared: &mut Prepared, live: &Live, connection: String, mut subject: Subject, now: Timestamp) {
    if subject.copy.role == Role::Archived {
        if subject.copy.next_at.take().is_some() {
            prepared.changes.push(change(subject.copy, connection, subject.deal.id));
        }
        return;
    }
    let old = Some(Box::new(subject.deal.clone()));
    subject.deal.state = DealState::Deleted;
    let decided = std::panic::catch_unwind(AssertUnwindSafe(|| decide(&live.plan, &subject, &Event::Deal { old }, now)));
    let Ok(mut decision) = decided else {
        prepared.poison.push((subject.copy.id, "the engine failed on this copy".to_owned()));
        return;
    };
    let reads = connection_key(&live.plan);
    for line in &mut decision.history {
        if let History::Stage { why, .. } = line {
            *why = format!("the funnel reads {reads} now; this deal belongs to {connection}");
        }
    }
    let mut change = change(decision.copy, connection, subject.deal.id);
    (change.history, change.cycle) = (decision.history, decision.cycle);
    prepared.changes.push(change);
}

fn change(copy: Copy, connection: String, deal: String) -> Change {
    Change { copy, connection, deal, effects: Vec::new(), history: Vec::new(), cycle: Vec::new() }
}

fn skip_reason(error: &RenderError) -> SkipReason {
    match error {
        RenderError::Missing(_) => SkipReason::MissingValue,
        RenderError::TooLong { .. } => SkipReason::TooLong,
        _ => SkipReason::RenderError,
    }
}
