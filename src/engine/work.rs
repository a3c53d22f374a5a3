//! One decision in the making: the copy as it becomes, and what follows.

use super::{
    Condition, Copy, CycleChange, CycleEnd, Decision, EffectKind, Facts, Hidden, History, Placement, Plan, Silence, Subject,
    TaskSpec, TaskText, add_duration, add_working, admit, notice, stage, zone_of,
};
use crate::model::{AddressHash, Deal, DealState, HumanDuration, Mode, Role, SignalKind, stable_hash};
use jiff::{Timestamp, tz::TimeZone};
use std::{cell::RefCell, collections::BTreeMap};

/// Of more conditions the history of one copy does not tell that they have no answer.
const MOST_UNANSWERED: usize = 16;

pub(super) struct Work<'a> {
    pub plan: &'a Plan,
    /// With the copy as it becomes.
    pub subject: Subject,
    pub now: Timestamp,
    pub zone: TimeZone,
    /// When the engine had meant to look at the copy, before this event.
    pub was_due: Option<Timestamp>,
    pub history: Vec<History>,
    pub cycle: Vec<CycleChange>,
    next_at: Option<Timestamp>,
    drafts: Vec<Draft>,
    /// Conditions that were asked and have no answer for this client, and why.
    unanswered: RefCell<BTreeMap<String, String>>,
    /// This event is a word of the client.
    spoken: bool,
}

struct Draft {
    list: String,
    item: String,
    recipient: AddressHash,
    kind: EffectKind,
}

impl<'a> Work<'a> {
    pub fn new(plan: &'a Plan, subject: &Subject, now: Timestamp) -> Self {
        let mut subject = subject.clone();
        subject.copy.amount = subject.deal.amount;
        if subject.copy.state.pause.as_ref().is_some_and(|p| p.until <= now) {
            subject.copy.state.pause = None;
        }
        let mut work = Self {
            plan,
            zone: zone_of(plan, &subject),
            was_due: subject.copy.next_at,
            subject,
            now,
            history: Vec::new(),
            cycle: Vec::new(),
            next_at: None,
            drafts: Vec::new(),
            unanswered: RefCell::default(),
            spoken: false,
        };
        work.ask_holdout();
        work
    }

    /// Answers what stayed open when the cycle began before its client was known.
    fn ask_holdout(&mut self) {
        if !self.subject.copy.state.unasked || self.subject.copy.id.0 == 0 {
            return;
        }
        self.subject.copy.state.unasked = false;
        if admit::in_holdout(self.plan, &self.subject) {
            self.subject.copy.state.holdout = true;
            self.cycle.push(CycleChange::HeldOut { cycle: self.subject.copy.cycle });
        }
    }

    pub fn finish(mut self) -> Decision {
        if self.subject.copy.state.unasked {
            self.due(self.now);
        }
        let unanswered = self.tell_unanswered();
        let mut decision = Decision::unchanged(self.subject.copy);
        decision.unanswered = unanswered;
        decision.copy.next_at = self.next_at;
        decision.history = self.history;
        decision.cycle = self.cycle;
        for draft in self.drafts {
            decision.effect(&draft.list, draft.item, draft.recipient, draft.kind);
        }
        decision
    }

    /// A condition that time or values leave without an answer counts as false; the history says so once.
    pub fn holds(&self, condition: &Condition) -> bool {
        condition.eval(&self.facts()).unwrap_or_else(|error| {
            self.unanswered.borrow_mut().insert(condition.source().to_owned(), error.to_string());
            false
        })
    }

    fn tell_unanswered(&mut self) -> Vec<(String, String)> {
        let mut news: Vec<(String, String)> = Vec::new();
        for (text, why) in self.unanswered.take() {
            let hash = u32::try_from(stable_hash(&[text.as_bytes()]) & u64::from(u32::MAX)).unwrap_or_default();
            let told = &mut self.subject.copy.state.unanswered;
            if told.len() < MOST_UNANSWERED && !told.contains(&hash) {
                told.push(hash);
                news.push((text, why));
            }
        }
        for (text, why) in &news {
            self.note(format!("the condition {text} has no answer here ({why}): it counts as false"));
        }
        news
    }

    pub fn facts(&self) -> Facts<'_> {
        Facts { subject: &self.subject, now: self.now }
    }

    pub fn live(&self) -> bool {
        self.plan.mode == Mode::Live
    }

    /// One more reason to look at the copy at `t`.
    pub fn due(&mut self, t: Timestamp) {
        let t = t.max(self.now);
        self.next_at = Some(self.next_at.map_or(t, |at| at.min(t)));
    }

    pub fn draft(&mut self, list: &str, item: String, recipient: AddressHash, kind: EffectKind) {
        self.drafts.push(Draft { list: list.to_owned(), item, recipient, kind });
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.history.push(History::Note { text: text.into() });
    }

    pub fn heard(&mut self, at: Timestamp) {
        let state = &mut self.subject.copy.state;
        state.heard_at = Some(state.heard_at.map_or(at, |h| h.max(at)));
    }

    /// Heard of by more than a click or an answer to what we sent.
    pub fn spoke(&mut self, at: Timestamp) {
        self.heard(at);
        self.spoken = true;
        let state = &mut self.subject.copy.state;
        state.spoke_at = Some(state.spoke_at.map_or(at, |s| s.max(at)));
    }

    /// A customer whose sale is followed by something.
    pub fn new_customer(&self) -> bool {
        self.subject.copy.role == Role::Customer && !self.subject.copy.state.old_buyer
    }

    /// Stalled or Warming.
    pub fn cold(&self) -> bool {
        matches!(self.subject.copy.role, Role::Stalled | Role::Warming)
    }

    /// The passage is still running: it can be contacted, revived, ended.
    pub fn cycle_open(&self) -> bool {
        self.subject.copy.state.cycle_at.is_some() && !self.subject.copy.state.cycle_done
    }

    /// Ends the running cycle, if one runs.
    pub fn end(&mut self, how: CycleEnd) {
        if self.cycle_open() {
            self.subject.copy.state.cycle_done = true;
            self.subject.copy.state.cycle_ended_at = Some(self.now);
            self.cycle.push(CycleChange::End { cycle: self.subject.copy.cycle, at: self.now, how });
        }
    }

    /// Ends it because somebody took the client up again.
    fn end_by_hand(&mut self) {
        self.end(if self.attributed() { CycleEnd::Assisted } else { CycleEnd::Reopened });
    }

    /// Whether what happens now may be counted as caused by a message or click of this cycle. What was refused caused nothing.
    pub fn attributed(&self) -> bool {
        let within = |t: Timestamp| self.now <= add_duration(t, self.plan.attribution, &self.zone);
        self.facts().messages().any(|e| e.status.went_out() && within(e.at) || e.clicked_at.is_some_and(within))
    }

    /// Takes over what the deal says.
    pub fn settle(&mut self, cause: stage::Cause<'_>) {
        let mut place = stage::place(self.plan, &self.subject, cause, self.now);
        self.unanswered.get_mut().extend(place.unanswered.drain(..));
        if let Some(t) = place.look_at {
            self.due(t);
        }
        let taken_up = self.spoken || stage::taken_up(self.plan, &self.subject, cause);
        if place.role == self.subject.copy.role && place.stage == self.subject.copy.stage {
            if taken_up && self.subject.copy.state.waits {
                self.end_by_hand();
                self.subject.copy.state.waits = false;
            }
            return;
        }
        let sold = place.role == Role::Customer && stage::new_sale(self.plan, &self.subject, cause);
        if place.role == Role::Customer {
            self.subject.copy.state.old_buyer = !sold;
        }
        if matches!(place.role, Role::InWork | Role::Customer) && !sold {
            if (self.cold() || self.subject.copy.state.waits) && !taken_up {
                place.waits = true;
                place.why = "no trigger holds any more".into();
            } else {
                self.end_by_hand();
            }
        }
        if place.role == Role::Archived && self.subject.deal.state != DealState::Won {
            self.hide(cause);
        }
        self.go(place);
    }

    /// What the copy is now, in case its deal is only out of sight: one export of a CRM may lack it, and an edit may be a mistake.
    fn hide(&mut self, cause: stage::Cause<'_>) {
        let Copy { role, stage, state, .. } = self.subject.copy.clone();
        let deal = cause.old.map_or(self.subject.deal.state, |old| old.state);
        self.subject.copy.state.hidden = Some(Box::new(Hidden { role, stage, deal, state }));
    }

    /// The deal of an archived copy is in sight again, as it was: the copy is what it was, and goes on. `Some`: what the deal was then.
    /// If somebody did anything with it meanwhile, it is judged anew.
    pub fn back_in_sight(&mut self) -> Option<DealState> {
        if self.subject.copy.role != Role::Archived || stage::out_of_sight(self.plan, &self.subject.deal) {
            return None;
        }
        let hidden_at = self.subject.copy.state.entered_at;
        let hidden = self.subject.copy.state.hidden.take()?;
        let deal = &self.subject.deal;
        if [deal.stage_changed_at, deal.last_activity_at].into_iter().flatten().any(|at| Some(at) > hidden_at) {
            return None;
        }
        let copy = &mut self.subject.copy;
        (copy.role, copy.stage, copy.state) = (hidden.role, hidden.stage, hidden.state);
        if self.cycle_open() {
            self.cycle.push(CycleChange::Resume { cycle: self.subject.copy.cycle });
        }
        let (to, stage) = (self.subject.copy.role, self.subject.copy.stage.clone());
        self.history.push(History::Stage { from: Role::Archived, to, stage, why: "back in sight, as it was".into() });
        Some(hidden.deal)
    }

    /// Moves the copy to another stage, with all that this means for its cycle and journey.
    pub fn go(&mut self, place: Placement) {
        let from = self.subject.copy.role;
        let waited = std::mem::replace(&mut self.subject.copy.state.waits, place.waits);
        let passage = waited || matches!(from, Role::Stalled | Role::Warming | Role::NotWarmed);
        let continues = passage && self.subject.copy.state.cycle_at.is_some();
        match place.role {
            Role::Stalled | Role::Warming if continues => {}
            Role::Stalled | Role::Warming => self.begin(),
            Role::Customer if !place.waits => self.end(CycleEnd::Won),
            Role::Archived => {
                let won = self.subject.deal.state == DealState::Won;
                self.end(if won { CycleEnd::Won } else { CycleEnd::Deleted });
            }
            // A corrected reason: the cycle waits for the next correction. A loss after a cycle's end belongs to none.
            Role::NotWarmed if !continues => self.subject.copy.state.cycle_at = None,
            // Whether somebody took it up is known to who placed it there.
            Role::InWork | Role::Customer | Role::NotWarmed | Role::Backfill | Role::Revived | Role::Unsubscribed => {}
        }
        let now = self.now;
        let silent_since = stage::last_touch(&self.subject, now);
        let state = &mut self.subject.copy.state;
        state.entered_at = Some(now);
        state.waiting = None;
        match place.role {
            Role::Stalled | Role::Warming => {
                // The same silence, left and entered again, goes on counting its reminders.
                if state.silence.as_ref().is_none_or(|s| s.since != silent_since) {
                    state.silence = Some(Silence { since: silent_since, ..Silence::default() });
                }
            }
            _ => {
                let taken_up = place.role == Role::InWork && !matches!(from, Role::Archived | Role::Stalled) && !place.waits;
                if taken_up || place.role == Role::Customer && !state.old_buyer {
                    state.silence = Some(Silence { since: now, ..Silence::default() });
                }
                state.journey = None;
                if !place.waits {
                    state.pause = None;
                }
                if place.role == Role::Archived {
                    state.interest = None;
                }
            }
        }
        self.history.push(History::Stage { from, to: place.role, stage: place.stage.clone(), why: place.why });
        self.subject.copy.role = place.role;
        self.subject.copy.stage = place.stage;
    }

    fn begin(&mut self) {
        // Who a client is, the store tells only when the deal is stored: until then the question stays open.
        let unknown = self.subject.copy.id.0 == 0;
        let holdout = !unknown && admit::in_holdout(self.plan, &self.subject);
        let copy = &mut self.subject.copy;
        copy.cycle += 1;
        copy.state.cycle_at = Some(self.now);
        copy.state.cycle_done = false;
        copy.state.holdout = holdout;
        copy.state.unasked = unknown && self.plan.holdout_percent > 0.0;
        copy.state.booked = false;
        copy.state.messaged_at = None;
        copy.state.journey = None;
        copy.state.pause = None;
        self.cycle.push(CycleChange::Begin { cycle: copy.cycle, at: self.now, holdout });
    }

    /// The client came back.
    pub fn revive(&mut self, signal: SignalKind, at: Timestamp) {
        self.spoke(at);
        let how = if self.attributed() { CycleEnd::Revived } else { CycleEnd::Organic };
        self.end(how);
        self.go(Placement::new(Role::Revived, format!("signal {}", signal.as_str())));
        let to = &self.plan.stages.revival.return_to;
        let lost = self.subject.deal.state == DealState::Lost;
        let open = self.subject.deal.state == DealState::Open;
        if let Some(target) = to.stage.clone().filter(|s| lost || open && to.move_open && !stage::same(s, &self.subject.deal.stage))
        {
            if self.live() {
                self.subject.copy.state.echo = Some(target.clone());
                self.draft("@move", "revived".into(), nobody(), EffectKind::Move { stage: target });
            } else {
                self.note(format!("observe: would move the deal to {target}"));
            }
        }
        self.task(&TaskText::Revived { signal }, "revived".into(), self.plan.stages.revival.task.due);
    }

    /// A task with the history, a comment on the deal and a notification. `item` makes it one of a kind in its cycle.
    pub fn task(&mut self, text: &TaskText, item: String, due: HumanDuration) {
        if !self.live() {
            self.note("observe: would tell the manager");
            return;
        }
        self.interest_shown(text);
        self.draft("@comment", item.clone(), nobody(), EffectKind::Comment { text: text.clone() });
        let Some(who) = notice::manager(self.plan, &self.subject, self.now) else {
            self.note("nobody to tell: the deal has no manager and managers.fallback is not set");
            return;
        };
        let due_at = add_working(&self.plan.policy.working_hours, self.now, due);
        let recipient = AddressHash(who.0.clone());
        self.draft("@task", item.clone(), recipient.clone(), EffectKind::Task { who: who.clone(), due_at, text: text.clone() });
        self.draft("@notify", item, recipient, EffectKind::Notify { who, text: text.clone() });
    }

    /// Reminders of a silence, each once. Sent by the timer; every other event only plans them.
    pub fn remind(&mut self, timer: bool) {
        let plan = self.plan;
        let state = &self.subject.copy.state;
        let (Some(cold), Some(entered), Some(silence)) =
            (plan.cold_stage(&self.subject.copy.stage), state.entered_at, state.silence.clone())
        else {
            return;
        };
        // A sale begins a silence of its own; one from before customers were reminded at all has none.
        let customer = self.new_customer() && silence.since == entered;
        if !(self.cold() || customer) || !self.live() || plan.suspend {
            return;
        }
        let hours = &plan.policy.working_hours;
        // A longer silence may lead to another stage, with reminders of its own.
        let begun = silence.stage.as_ref().is_none_or(|stage| *stage == cold.name);
        let (reminded, mut last) = if begun { (silence.reminded, silence.reminded_at) } else { (0, None) };
        for (number, reminder) in (0_u32..).zip(&cold.remind).skip(reminded as usize) {
            // Those that became overdue together keep their distance: nobody's supervisor is told before they had their time.
            let after_last = number.checked_sub(1).and_then(|n| cold.remind.get(n as usize)).zip(last);
            let kept = after_last.map(|(before, told)| add_working(hours, told, reminder.after.saturating_sub(before.after)));
            let due = add_working(hours, entered, reminder.after).max(kept.unwrap_or(Timestamp::MIN));
            if due > self.now || !timer {
                self.due(due);
                return;
            }
            last = Some(self.now);
            if let Some(silence) = &mut self.subject.copy.state.silence {
                silence.reminded = number + 1;
                silence.reminded_at = last;
                silence.stage = Some(cold.name.clone());
            }
            let supervisor = reminder.who == super::RemindWho::Supervisor;
            let text = TaskText::Forgotten { supervisor, customer };
            let item = format!("forgotten-{}-{}-{number}", silence.since.as_second(), cold.name);
            if self.subject.ledger.iter().any(|e| e.key.cycle == self.subject.copy.cycle && e.key.item == item) {
                // Back in a stage that had reminded of this silence.
                continue;
            }
            let who =
                if supervisor { notice::supervisor(plan, &self.subject) } else { notice::manager(plan, &self.subject, self.now) };
            let Some(who) = who else {
                self.note("nobody to remind: the deal has no manager and managers.fallback is not set");
                continue;
            };
            let recipient = AddressHash(who.0.clone());
            if !supervisor {
                let due_at = add_working(hours, self.now, HumanDuration::days(1));
                let kind = EffectKind::Task { who: who.clone(), due_at, text: text.clone() };
                self.draft("@task", item.clone(), recipient.clone(), kind);
            }
            self.draft("@notify", item, recipient, EffectKind::Notify { who, text });
        }
    }

    /// Remembers whether somebody lost the deal before our eyes: not every CRM dates a loss.
    pub fn see_loss(&mut self, old: Option<&Deal>) {
        let state = &mut self.subject.copy.state;
        match self.subject.deal.state {
            DealState::Open | DealState::Won => state.loss_seen = false,
            DealState::Lost => state.loss_seen |= old.is_some_and(|old| matches!(old.state, DealState::Open | DealState::Won)),
            DealState::Deleted => {}
        }
    }

    /// A day that was told as a moment of the CRM's zone comes when it begins for the client now, some hours later in the west. Who had
    /// moved on after that moment does not meet the day a second time.
    pub fn keep_past(&mut self, old: Option<&Deal>) {
        let (plan, copy) = (self.plan, &self.subject.copy);
        let (Some(old), Some(entered)) = (old, copy.state.entered_at) else { return };
        if !matches!(copy.role, Role::InWork | Role::NotWarmed | Role::Revived) {
            return;
        }
        let triggers = plan.stages.warming.iter().chain(&plan.stages.stalled).flat_map(|stage| &stage.enter);
        let days = triggers.filter_map(|trigger| stage::retold(&trigger.kind, old, &self.subject.deal, &self.zone));
        let past = days.filter(|(came, comes)| *came <= entered && entered < *comes).map(|(_, comes)| comes).max();
        self.subject.copy.state.entered_at = past.or(Some(entered));
    }

    /// Drops the echo of our own move once the deal has arrived, or somebody moved it elsewhere. True: it has just arrived.
    pub fn hear_echo(&mut self, old: Option<&Deal>) -> bool {
        let deal = &self.subject.deal;
        let Some(echo) = &self.subject.copy.state.echo else { return false };
        let arrived = stage::same(echo, &deal.stage);
        if arrived || old.is_some_and(|old| !stage::same(&old.stage, &deal.stage)) {
            self.subject.copy.state.echo = None;
        }
        arrived
    }

    /// The task for a click or a reply.
    pub const fn interest(&self) -> &'a TaskSpec {
        &self.plan.clicks.task
    }
}

/// The recipient of an effect on the deal itself.
pub(super) fn nobody() -> AddressHash {
    AddressHash(String::new())
}
