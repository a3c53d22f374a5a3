//! One copy's way through one content list: which item is next, when, and what becomes of it.

use super::work::{Work, nobody};
use super::{
    Admission, CycleChange, EffectKind, History, Item, Journey, List, Overdue, Planned, Reentry, add_duration, admit, calendar,
    facts, stage,
};
use crate::model::{PostponeReason, Role, SkipReason};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// Why the journey is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its moment has come: something may be sent.
    Timer,
    /// Something else happened: only plan.
    Look,
    /// The plan changed: what became overdue by that is released as the list says.
    Replan,
}

/// A timer this late means that the engine stood still.
const STANDSTILL: SignedDuration = SignedDuration::from_hours(1);

impl Work<'_> {
    /// Chooses the list: the first rule that holds. A corrected lost reason switches it; the ledger keeps anything from coming twice.
    pub fn choose_list(&mut self) {
        let plan = self.plan;
        let copy = &self.subject.copy;
        let customer = copy.role == Role::Customer;
        let stage = plan.cold_stage(&copy.stage).filter(|_| customer || self.cold() && self.cycle_open());
        let Some(stage) = stage else {
            self.subject.copy.state.journey = None;
            self.subject.copy.state.waiting = None;
            return;
        };
        let holds = |rule: &&super::ContentRule| rule.when.as_ref().is_none_or(|c| c.eval(&self.facts()).unwrap_or(false));
        let Some(rule) = stage.content.iter().find(holds) else {
            self.subject.copy.state.journey = None;
            self.subject.copy.state.waiting = None;
            // A rule like `cycle.days > 30` may come to hold by itself.
            if stage.content.iter().any(|r| r.when.as_ref().is_some_and(super::Condition::watches_time)) {
                self.due(self.now.checked_add(stage::GUARD_LOOK).unwrap_or(Timestamp::MAX));
            }
            return;
        };
        let journey = self.subject.copy.state.journey.as_ref();
        let same = journey.is_some_and(|j| j.list == rule.list);
        let goes_live = journey.is_some_and(|j| j.observed) && self.live();
        if same && !goes_live {
            return;
        }
        let Some(anchor) = (if customer { Some(self.now) } else { self.reentry() }) else {
            self.subject.copy.state.journey = None;
            return;
        };
        let why = if goes_live {
            "the funnel went live: it starts again"
        } else if journey.is_some() {
            "another list fits now"
        } else {
            "entered the stage"
        };
        self.history.push(History::List { list: rule.list.clone(), why: why.into() });
        self.subject.copy.state.waiting = None;
        self.subject.copy.state.journey = Some(Journey {
            list: rule.list.clone(),
            began_at: self.now,
            anchor,
            last: None,
            position: 0,
            observed: false,
            finished: false,
        });
    }

    /// From when this cycle's messages may count: `reentry` holds back those who were written to in an earlier cycle.
    fn reentry(&self) -> Option<Timestamp> {
        let copy = &self.subject.copy;
        let contacted = self
            .subject
            .ledger
            .iter()
            .any(|e| e.key.cycle < copy.cycle && !e.key.list.starts_with('@') && facts::went_out(e.status));
        match self.plan.reentry {
            _ if !contacted => Some(self.now),
            Reentry::Always => Some(self.now),
            Reentry::Never => None,
            Reentry::After(d) => {
                let free = copy.state.cycle_ended_at.map_or(self.now, |ended| add_duration(ended, d, &self.zone));
                Some(free.max(self.now))
            }
        }
    }

    /// Goes on with the journey: passes by what can never be sent, sends at most one message, plans the next look.
    pub fn walk(&mut self, step: Step) {
        // A copy of it: whether the client hears of this deal or another depends on where the journey stands.
        let Some(mut journey) = self.subject.copy.state.journey.clone() else { return };
        if let Some(list) = self.plan.lists.get(&journey.list) {
            self.walk_list(&mut journey, list, step);
        }
        self.subject.copy.state.journey = Some(journey);
    }

    fn walk_list(&mut self, journey: &mut Journey, list: &List, step: Step) {
        let plan = self.plan;
        if self.stopped(list) {
            if let Some((i, last)) = list.items.iter().enumerate().next_back()
                && !(journey.finished && journey.last.as_ref() == Some(&last.name))
            {
                self.note("the journey ended: its stopWhen holds");
                pass(journey, i, last);
            }
            journey.finished = true;
            self.subject.copy.state.waiting = None;
            return;
        }
        let mut sent = false;
        for _ in 0..=list.items.len() {
            let Some((index, item)) = self.next(journey, list) else {
                journey.finished = true;
                self.subject.copy.state.waiting = None;
                return;
            };
            if journey.finished && self.now > add_duration(journey.began_at, plan.journey_max_age, &self.zone) {
                return;
            }
            let due = planned_at(item, journey.anchor, &self.zone);
            if due > self.now || sent {
                self.subject.copy.state.waiting = None;
                self.due(due);
                return;
            }
            let planned = Planned { list, item, due };
            let admission = admit(plan, &self.subject, &planned, self.now);
            if let Admission::At(t, why) = admission {
                self.wait(item, t, why);
                return;
            }
            if let Some(overdue) = self.overdue(list.overdue, step) {
                match overdue {
                    Overdue::Skip => {
                        journey.finished = false;
                        self.skip(journey, list, index, item, SkipReason::TooOld);
                        continue;
                    }
                    Overdue::Spread => {
                        let jitter = admit::jitter(plan, &self.subject, item, i64::MAX);
                        let at = self.now.checked_add(jitter).unwrap_or(self.now);
                        self.wait(item, at, PostponeReason::Spread);
                        return;
                    }
                    Overdue::Send => {}
                }
            }
            if step != Step::Timer {
                // Publishing again must not push it away for ever.
                let spreading = self.subject.copy.state.waiting == Some(PostponeReason::Spread);
                self.due(self.was_due.filter(|_| spreading).unwrap_or(self.now));
                return;
            }
            journey.finished = false;
            match self.verdict(item, admission) {
                Err(reason) => self.skip(journey, list, index, item, reason),
                Ok(ready) => {
                    self.send(journey, list, item, ready);
                    pass(journey, index, item);
                    self.subject.copy.state.waiting = None;
                    sent = true;
                }
            }
        }
    }

    fn stopped(&self, list: &List) -> bool {
        let stage = self.plan.cold_stage(&self.subject.copy.stage).and_then(|s| s.stop_when.as_ref());
        stage.into_iter().chain(&list.stop_when).any(|c| c.eval(&self.facts()).unwrap_or(false))
    }

    /// The first item that is neither behind the client nor in the ledger of this cycle.
    fn next<'l>(&self, journey: &Journey, list: &'l List) -> Option<(usize, &'l Item)> {
        let from = match &journey.last {
            None => 0,
            Some(name) => match list.items.iter().position(|i| i.name == *name) {
                Some(at) => at + 1,
                // It was removed: what followed it has moved up to its place.
                None => journey.position as usize,
            },
        };
        let cycle = self.subject.copy.cycle;
        let written = |item: &Item| {
            self.subject.ledger.iter().any(|e| e.key.cycle == cycle && e.key.list == list.name && e.key.item == item.name)
        };
        list.items.iter().enumerate().skip(from).find(|(_, item)| !written(item))
    }

    /// How to treat an item that is due, but not because its moment has just come.
    fn overdue(&self, mode: Overdue, step: Step) -> Option<Overdue> {
        let state = &self.subject.copy.state;
        if state.waiting == Some(PostponeReason::Spread) {
            return None;
        }
        match step {
            Step::Look => None,
            // Something that merely waited (for its window, for a pause) did not become overdue by the edit.
            Step::Replan => matches!(state.waiting, None | Some(PostponeReason::Suspended)).then_some(mode),
            Step::Timer => {
                let late = self.was_due.is_some_and(|t| self.now.duration_since(t) >= STANDSTILL);
                (late && (state.waiting.is_none() || mode == Overdue::Spread)).then_some(mode)
            }
        }
    }

    fn wait(&mut self, item: &Item, until: Timestamp, why: PostponeReason) {
        if self.subject.copy.state.waiting != Some(why) {
            self.history.push(History::Postponed { item: item.name.clone(), until, why });
            self.subject.copy.state.waiting = Some(why);
        }
        // Publishing again ends a suspension, and only an answer ends some pauses: nobody has to keep looking.
        if why != PostponeReason::Suspended && until < Timestamp::MAX {
            self.due(until);
        }
    }

    /// The last word: `when` at the moment of sending. It is told before other reasons, being the marketer's own.
    fn verdict(&self, item: &Item, admission: Admission) -> Result<super::Ready, SkipReason> {
        if let Some(condition) = &item.when {
            match condition.eval(&self.facts()) {
                Ok(true) => {}
                Ok(false) => return Err(SkipReason::ConditionFalse),
                Err(_) => return Err(SkipReason::ConditionError),
            }
        }
        match admission {
            Admission::Now(ready) => Ok(ready),
            Admission::Never(reason) => Err(reason),
            Admission::At(..) => Err(SkipReason::TooOld),
        }
    }

    fn skip(&mut self, journey: &mut Journey, list: &List, index: usize, item: &Item, reason: SkipReason) {
        pass(journey, index, item);
        self.subject.copy.state.waiting = None;
        if self.live() {
            self.draft(&list.name, item.name.clone(), nobody(), EffectKind::Skip { reason });
        } else {
            // A ledger row would keep the item from being sent once the funnel goes live.
            journey.observed = true;
            self.note(format!("observe: would skip {}: {}", item.name, reason.as_str()));
        }
    }

    fn send(&mut self, journey: &mut Journey, list: &List, item: &Item, ready: super::Ready) {
        journey.anchor = self.now;
        if !self.live() {
            journey.observed = true;
            self.draft(&list.name, item.name.clone(), ready.hash, EffectKind::Observed { medium: item.medium });
            return;
        }
        let kind = EffectKind::Message {
            channel: ready.channel,
            medium: item.medium,
            purpose: item.purpose,
            address: ready.address,
            variant: ready.variant,
            send_as: item.send_as,
            consent: ready.consent,
            expires_at: ready.expires_at,
        };
        self.draft(&list.name, item.name.clone(), ready.hash, kind);
        self.subject.copy.state.messaged_at = Some(self.now);
        if self.cold() {
            self.cycle = Some(CycleChange::Contacted { cycle: self.subject.copy.cycle, at: self.now });
        }
    }
}

/// The item is behind the client from now on.
fn pass(journey: &mut Journey, index: usize, item: &Item) {
    journey.last = Some(item.name.clone());
    journey.position = u32::try_from(index).unwrap_or(u32::MAX);
}

/// When an item's own time comes: `after` from the anchor, then `at` and `days`, all in the client's zone. The window is not its
/// concern.
pub(super) fn planned_at(item: &Item, anchor: Timestamp, zone: &TimeZone) -> Timestamp {
    calendar::align(add_duration(anchor, item.after, zone), item.at, &item.days, zone)
}
