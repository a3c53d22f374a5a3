//! One event about one copy: what the copy becomes, and which effects follow.

use super::journey::Step;
use super::stage::{Cause, Placement};
use super::work::{Work, nobody};
use super::{
    CycleChange, CycleEnd, Decision, EffectKind, Event, History, Pause, PauseUntil, Plan, Replies, Subject, TaskText, add_duration,
    add_working,
};
use super::{notice, voice};
use crate::model::{AddressHash, Deal, DealState, HumanDuration, Medium, Reaction, Role, SignalKind};
use jiff::Timestamp;

/// Decides. For a deal seen for the first time, pass a fresh copy (id 0, role `Archived`, cycle 0) and `Event::Deal { old: None }`.
///
/// Repeating an event that changes nothing, or a timer that comes late or twice, decides nothing new. For a signal that concerns
/// several copies of one client, decide the `direct` ones first and show the others the outcome in [`Subject::client`]'s siblings:
/// a signal without a deal revives one copy only.
#[must_use]
pub fn decide(plan: &Plan, subject: &Subject, event: &Event, now: Timestamp) -> Decision {
    let mut work = Work::new(plan, subject, now);
    let was = work.back_in_sight();
    let role = work.subject.copy.role;
    // What became overdue out of sight is released as after an edit.
    let mut step = if was.is_some() { Step::Replan } else { Step::Look };
    match event {
        Event::Deal { old } => {
            let first_sight = subject.copy.role == Role::Archived && subject.copy.state.entered_at.is_none();
            let before = old.as_deref().zip(was).map(|(old, state)| Deal { state, ..old.clone() });
            let old = before.as_ref().or(old.as_deref());
            // Our own move is not a change that anybody made.
            let own = work.hear_echo(old);
            work.see_loss(old);
            work.keep_past(old);
            work.worked_on(old.filter(|_| !own));
            work.settle(Cause { old: old.filter(|_| !own), first_sight, signal: None });
        }
        Event::Signal { kind, at, direct, reaction } => work.signal(*kind, *at, *direct, *reaction),
        Event::Click { seq, link, at } => work.click(*seq, *link, *at),
        Event::Unsubscribed { at, only } => work.unsubscribed(*at, *only),
        Event::Timer => step = Step::Timer,
        Event::Replan => step = Step::Replan,
    }
    if !matches!(event, Event::Deal { .. }) {
        // A signal that has already moved the copy is used up.
        let signal = match event {
            Event::Signal { kind, .. } => Some(*kind),
            Event::Click { .. } => Some(SignalKind::Click),
            _ => None,
        };
        let signal = signal.filter(|_| work.subject.copy.role == role);
        work.settle(Cause { signal, ..Cause::default() });
    }
    finish(work, step)
}

/// Lets a copy that waits in `Backfill` begin its cycle, with a clock of its own. Decides nothing if the funnel has no `backfill`, or
/// the deal was lost longer ago than it allows (or nobody knows when): the copy stays where it is.
#[must_use]
pub fn admit_backfill(plan: &Plan, subject: &Subject, now: Timestamp) -> Decision {
    let mut work = Work::new(plan, subject, now);
    let lost_at = subject.deal.stage_changed_at;
    let recent = plan
        .backfill
        .as_ref()
        .zip(lost_at)
        .is_some_and(|(backfill, lost)| now <= add_duration(lost, backfill.lost_within, &work.zone));
    if subject.copy.role == Role::Backfill && subject.deal.state == DealState::Lost && recent {
        // As one whose loss we had seen: that is all that keeps it back.
        work.subject.copy.state.loss_seen = true;
        let open = Deal { state: DealState::Open, ..subject.deal.clone() };
        work.settle(Cause { old: Some(&open), first_sight: false, signal: None });
    }
    finish(work, Step::Look)
}

fn finish(mut work: Work<'_>, step: Step) -> Decision {
    // What has just begun is planned first: the timer sends it, a moment later if need be.
    let begun = work.cycle.iter().any(|change| !matches!(change, CycleChange::HeldOut { .. }));
    let step = if step == Step::Timer && begun { Step::Look } else { step };
    work.choose_list();
    work.remind(step == Step::Timer);
    work.escalate(step == Step::Timer);
    work.walk(step);
    work.finish()
}

impl Work<'_> {
    fn signal(&mut self, kind: SignalKind, at: Timestamp, direct: bool, reaction: Option<Reaction>) {
        self.history.push(History::Signal { kind });
        let revives =
            self.plan.stages.revival.signals.contains(&kind) || kind == SignalKind::Reply && self.plan.replies == Replies::Revive;
        // Which deal a task belonged to is known, or it is the one that waits for a word, or the only one that can be meant.
        let meant = kind != SignalKind::TaskClosed
            || direct
            || self.subject.copy.state.pause.is_some()
            || !voice::others_cold(&self.subject);
        if meant && matches!(kind, SignalKind::InboundCall | SignalKind::OutboundCall | SignalKind::TaskClosed) {
            self.reacted(at);
        }
        match kind {
            SignalKind::OutboundCall => {}
            SignalKind::TaskClosed if meant => self.task_closed(at, reaction),
            SignalKind::TaskClosed => self.note("a task was closed that named no deal: another one of the client may be meant"),
            SignalKind::Refusal => {
                self.spoke(at);
                self.refuse();
            }
            SignalKind::Booked => {
                self.spoke(at);
                self.subject.copy.state.booked = true;
                if revives {
                    self.call(kind, at, direct);
                }
            }
            _ if revives => self.call(kind, at, direct),
            SignalKind::Reply => self.reply(at),
            _ => self.spoke(at),
        }
    }

    /// A signal that revives.
    fn call(&mut self, kind: SignalKind, at: Timestamp, direct: bool) {
        self.spoke(at);
        match self.subject.copy.role {
            Role::Stalled | Role::Warming => {
                if self.before_it_went_cold(at) {
                    self.note("the signal is older than the silence: it revives nothing");
                } else if !direct
                    && (voice::client_in_work(self.plan, &self.subject) || voice::other_leads(self.plan, &self.subject))
                {
                    self.note("the signal is taken up with another deal of the client");
                } else {
                    self.revive(kind, at);
                }
            }
            Role::Unsubscribed | Role::Customer => {
                self.called(kind, at);
            }
            Role::InWork | Role::Revived | Role::NotWarmed | Role::Backfill | Role::Archived => {}
        }
    }

    /// Someone whom we do not warm got in touch all the same.
    fn called(&mut self, signal: SignalKind, at: Timestamp) {
        let item = format!("called-{}-{}", signal.as_str(), at.as_millisecond());
        self.task(&TaskText::Called { signal }, item, self.plan.stages.revival.task.due);
    }

    /// A late report of something that happened while the deal was still worked on.
    fn before_it_went_cold(&self, at: Timestamp) -> bool {
        let (deal, state) = (&self.subject.deal, &self.subject.copy.state);
        match deal.state {
            DealState::Lost => deal.stage_changed_at.is_some_and(|lost| at < lost),
            _ => state.silence.as_ref().is_some_and(|s| at < s.since),
        }
    }

    fn reply(&mut self, at: Timestamp) {
        self.heard(at);
        if self.subject.copy.state.waits {
            // A word of the client: `settle` ends the cycle by it.
            self.spoke(at);
        }
        let due = self.plan.stages.revival.task.due;
        match self.subject.copy.role {
            Role::Stalled | Role::Warming => {
                // Only the manager can say what it meant, so nothing else ends this pause.
                self.subject.copy.state.pause = Some(Pause { until: far_future(), why: PauseUntil::Answered });
                self.task(&TaskText::Replied, format!("replied-{}", at.as_millisecond()), due);
            }
            Role::Unsubscribed | Role::Customer => {
                self.called(SignalKind::Reply, at);
            }
            Role::InWork | Role::Revived | Role::NotWarmed | Role::Backfill | Role::Archived => {}
        }
    }

    fn task_closed(&mut self, at: Timestamp, reaction: Option<Reaction>) {
        if !self.cold() && !self.subject.copy.state.waits {
            return;
        }
        match reaction {
            Some(Reaction::Revived) => self.revive(SignalKind::TaskClosed, at),
            Some(Reaction::Declined) => self.refuse(),
            Some(Reaction::GoOn) => self.subject.copy.state.pause = None,
            // A closed task without a word ends the wait for interest; what a reply meant is still open.
            None => {
                if self.subject.copy.state.pause.as_ref().is_some_and(|p| p.why == PauseUntil::TaskClosed) {
                    self.subject.copy.state.pause = None;
                }
            }
        }
    }

    /// The client said no: this cycle is over, and nothing is suppressed.
    fn refuse(&mut self) {
        if self.cold() || self.subject.copy.state.waits {
            self.end(CycleEnd::Refused);
            self.subject.copy.state.pause = None;
        }
    }

    fn click(&mut self, seq: i32, link: i16, at: Timestamp) {
        self.history.push(History::Signal { kind: SignalKind::Click });
        self.heard(at);
        let role = self.subject.copy.role;
        if self.cold() && self.plan.stages.revival.signals.contains(&SignalKind::Click) {
            self.revive(SignalKind::Click, at);
            return;
        }
        if role == Role::Archived {
            return;
        }
        let quiet_until = |told| add_duration(told, self.plan.clicks.notify_at_most_every, &self.zone);
        if self.subject.copy.state.notified_at.is_some_and(|told| self.now < quiet_until(told)) {
            return;
        }
        self.subject.copy.state.notified_at = Some(self.now);
        // A pause without a task would have nobody to end it.
        if self.cold() && self.plan.clicks.pause && self.subject.copy.state.pause.is_none() && self.cycle_open() {
            let until = add_working(&self.plan.policy.working_hours, self.now, HumanDuration::days(2));
            self.subject.copy.state.pause = Some(Pause { until, why: PauseUntil::TaskClosed });
        }
        let text = TaskText::Clicked { seq, link };
        let item = format!("clicked-{seq}-{link}-{}", at.as_millisecond());
        if matches!(role, Role::InWork | Role::Revived) {
            self.notify(text, item);
        } else {
            let due = self.interest().due;
            self.task(&text, item, due);
        }
    }

    /// Who works on the deal anyway needs no second task.
    fn notify(&mut self, text: TaskText, item: String) {
        if !self.live() {
            return;
        }
        self.draft("@comment", item.clone(), nobody(), EffectKind::Comment { text: text.clone() });
        if let Some(who) = notice::manager(self.plan, &self.subject, self.now) {
            self.draft("@notify", item, AddressHash(who.0.clone()), EffectKind::Notify { who, text });
        }
    }

    fn unsubscribed(&mut self, at: Timestamp, only: Option<Medium>) {
        self.heard(at);
        if let Some(medium) = only.filter(|medium| self.speaks_beside(*medium)) {
            self.note(format!("the client opted out of {}; the list goes on without it", medium.as_str()));
            return;
        }
        if self.cold() {
            self.end(CycleEnd::Unsubscribed);
            self.go(Placement::new(Role::Unsubscribed, "the client opted out"));
        } else if self.subject.copy.state.waits && only.is_none() {
            self.end(CycleEnd::Unsubscribed);
            self.subject.copy.state.waits = false;
        }
    }
}

impl Work<'_> {
    /// Whether the list that the copy is on has something for another medium.
    fn speaks_beside(&self, medium: Medium) -> bool {
        let journey = self.subject.copy.state.journey.as_ref();
        let list = journey.and_then(|journey| self.plan.lists.get(&journey.list));
        list.is_some_and(|list| list.items.iter().any(|item| item.medium != medium))
    }
}

/// The end of a pause that only a person ends.
fn far_future() -> Timestamp {
    Timestamp::MAX
}
