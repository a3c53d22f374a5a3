//! One copy's way through one content list: which item is next, when, and what becomes of it.

use super::date::{self, Dated};
use super::work::{Work, nobody};
use super::{
    Admission, CycleChange, EffectKind, History, Item, Journey, List, Overdue, Planned, Reentry, Says, add_duration, admit,
    calendar, stage,
};
use crate::model::{PostponeReason, Purpose, SkipReason};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::collections::BTreeSet;

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
        let customer = self.new_customer();
        let stage = plan.cold_stage(&copy.stage).filter(|_| customer || self.cold() && self.cycle_open());
        let Some(stage) = stage else {
            self.subject.copy.state.journey = None;
            self.subject.copy.state.waiting = None;
            return;
        };
        let holds = |rule: &super::ContentRule| rule.when.as_ref().is_none_or(|c| self.holds(c));
        let chosen = stage.content.iter().position(holds);
        // A rule like `cycle.days > 30` may come to hold by itself, and the one that holds may cease to.
        let asked = stage.content.iter().take(chosen.map_or(usize::MAX, |i| i + 1));
        if asked.filter_map(|rule| rule.when.as_ref()).any(super::Condition::watches_time) {
            self.due(self.now.checked_add(stage::GUARD_LOOK).unwrap_or(Timestamp::MAX));
        }
        let Some(rule) = chosen.and_then(|i| stage.content.get(i)) else {
            self.subject.copy.state.journey = None;
            self.subject.copy.state.waiting = None;
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
            began_at: anchor,
            anchor,
            last: None,
            position: 0,
            behind: Vec::new(),
            observed: false,
            finished: false,
            dated: Vec::new(),
        });
    }

    /// From when this cycle's messages may count: `reentry` holds back those who were written to in an earlier cycle.
    fn reentry(&self) -> Option<Timestamp> {
        let copy = &self.subject.copy;
        let contacted =
            self.subject.ledger.iter().any(|e| e.key.cycle < copy.cycle && !e.key.list.starts_with('@') && e.status.went_out());
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
        self.subject.copy.state.says = None;
        let Some(mut journey) = self.subject.copy.state.journey.clone() else { return };
        if let Some(list) = self.plan.lists.get(&journey.list) {
            self.stand(&mut journey, list);
            self.walk_list(&mut journey, list, step);
        }
        self.subject.copy.state.journey = Some(journey);
    }

    /// Where the client stands in the list as it is now. If the last item is removed, the last before it that is left takes its place,
    /// whatever else the same edit did; if none is left, nothing of the list is behind the client.
    fn stand(&self, journey: &mut Journey, list: &List) {
        let Some(former) = &journey.last else { return };
        let place = |name: &str| list.items.iter().position(|i| i.name == name && i.date.is_none());
        let at = list.items.iter().position(|i| i.name == *former).or_else(|| {
            if journey.behind.is_empty() && !self.written(list, former) {
                // Stored by the version before, which kept no names: what followed it has moved up to its place.
                return (journey.position as usize).min(list.items.len()).checked_sub(1);
            }
            let cycle = self.subject.copy.cycle;
            let told = self.subject.ledger.iter().filter(|e| e.key.cycle == cycle && e.key.list == list.name);
            let sent = told.filter_map(|e| Some((e.seq, place(&e.key.item)?))).max().map(|(_, at)| at);
            sent.max(journey.behind.iter().rev().find_map(|name| place(name)))
        });
        let front = list.items.iter().take(at.map_or(0, |at| at + 1));
        journey.behind = front.filter(|i| i.date.is_none() && !self.written(list, &i.name)).map(|i| i.name.clone()).collect();
        journey.last = at.and_then(|at| list.items.get(at)).map(|i| i.name.clone());
        journey.position = at.and_then(|at| u32::try_from(at).ok()).unwrap_or_default();
    }

    /// Whether the ledger of this cycle tells of it.
    fn written(&self, list: &List, item: &str) -> bool {
        let cycle = self.subject.copy.cycle;
        self.subject.ledger.iter().any(|e| e.key.cycle == cycle && e.key.list == list.name && e.key.item == item)
    }

    fn walk_list(&mut self, journey: &mut Journey, list: &List, step: Step) {
        if self.stopped(list) {
            self.stop(journey, list);
            return;
        }
        // Those that wait: an item with a date does not wait for one in the order, nor the other way round.
        let mut held: BTreeSet<&str> = BTreeSet::new();
        let (mut first, mut sent) = (true, false);
        for _ in 0..=list.items.len() {
            // What was told of an item that is settled now.
            if held.is_empty() && !first {
                self.subject.copy.state.waiting = None;
            }
            first = false;
            let Some(next) = self.next(journey, list, &held) else {
                if held.is_empty() {
                    self.subject.copy.state.waiting = None;
                }
                return;
            };
            let (index, item) = (next.index, next.item);
            if next.due > self.now || sent {
                if held.is_empty() {
                    self.subject.copy.state.waiting = None;
                }
                self.due(next.due);
                self.means_to_say(item, next.due);
                return;
            }
            let planned = Planned { list, item, due: next.due, until: next.until };
            let admission = admit(self.plan, &self.subject, &planned, self.now);
            if let Admission::At(t, why) = admission {
                if step == Step::Timer
                    && timely(why)
                    && let Err(reason) = self.wanted(item)
                {
                    self.skip(journey, list, index, item, reason);
                    continue;
                }
                self.hold_back(&mut held, item, t, why);
                continue;
            }
            if let Some(overdue) = self.overdue(list.overdue, step) {
                match overdue {
                    Overdue::Skip => {
                        self.skip(journey, list, index, item, SkipReason::TooOld);
                        continue;
                    }
                    Overdue::Spread => {
                        let jitter = admit::jitter(self.plan, &self.subject, item, i64::MAX);
                        let at = self.now.checked_add(jitter).unwrap_or(self.now);
                        self.hold_back(&mut held, item, at, PostponeReason::Spread);
                        continue;
                    }
                    Overdue::Send => {}
                }
            }
            if step != Step::Timer {
                let at = self.released_at(item);
                self.due(at);
                self.means_to_say(item, at);
                return;
            }
            match self.verdict(item, admission) {
                Err(reason) => self.skip(journey, list, index, item, reason),
                Ok(ready) => {
                    self.send(journey, list, index, item, ready);
                    sent = true;
                }
            }
        }
    }

    /// `stopWhen` holds: everything is behind the client.
    fn stop(&mut self, journey: &mut Journey, list: &List) {
        if let Some((i, last)) = list.items.iter().enumerate().next_back()
            && !(journey.finished && journey.last.as_ref() == Some(&last.name))
        {
            self.note("the journey ended: its stopWhen holds");
            journey.last = Some(last.name.clone());
            journey.position = u32::try_from(i).unwrap_or(u32::MAX);
        }
        journey.dated = list.items.iter().filter(|i| i.date.is_some()).map(|i| i.name.clone()).collect();
        let unsent = list.items.iter().filter(|i| i.date.is_none() && !self.written(list, &i.name));
        journey.behind = unsent.map(|i| i.name.clone()).collect();
        journey.finished = true;
        self.subject.copy.state.waiting = None;
    }

    /// One that waits. The first of them is the one that people are told of.
    fn hold_back<'l>(&mut self, held: &mut BTreeSet<&'l str>, item: &'l Item, until: Timestamp, why: PostponeReason) {
        if held.is_empty() {
            self.wait(item, until, why);
        } else if why != PostponeReason::Suspended && until < Timestamp::MAX {
            self.due(until);
        }
        if !matches!(
            why,
            PostponeReason::Suspended
                | PostponeReason::Paused
                | PostponeReason::StaleCrm
                | PostponeReason::ClientInWork
                | PostponeReason::OtherDealLeads
        ) {
            self.means_to_say(item, until);
        }
        held.insert(&item.name);
    }

    /// Tells other deals of the client which message comes next, if one of them may have to give way to it.
    fn means_to_say(&mut self, item: &Item, at: Timestamp) {
        let policy = &self.plan.policy;
        if policy.ranks && !policy.caps.is_empty() && item.purpose == Purpose::Advertising {
            self.subject.copy.state.says.get_or_insert(Says { at, medium: item.medium });
        }
    }

    fn stopped(&self, list: &List) -> bool {
        let stage = self.plan.cold_stage(&self.subject.copy.stage).and_then(|s| s.stop_when.as_ref());
        stage.into_iter().chain(&list.stop_when).any(|c| self.holds(c))
    }

    /// What comes next: the next in the order, or an item whose date comes earlier.
    fn next<'l>(&self, journey: &mut Journey, list: &'l List, held: &BTreeSet<&str>) -> Option<Next<'l>> {
        // `last` is in the list: see `stand`.
        let from = if journey.last.is_some() { journey.position as usize + 1 } else { 0 };
        // Neither behind the client nor in the ledger of this cycle.
        let written = |item: &Item| self.written(list, &item.name);
        let in_order = list.items.iter().enumerate().skip(from).find(|(_, item)| item.date.is_none() && !written(item));
        let grown_old = journey.finished && self.now > add_duration(journey.began_at, self.plan.journey_max_age, &self.zone);
        if in_order.is_none() {
            journey.finished = true;
        }
        let in_order = in_order.filter(|(_, item)| !grown_old && !held.contains(item.name.as_str())).map(|(index, item)| Next {
            index,
            item,
            due: planned_at(item, journey.anchor, &self.zone),
            until: None,
        });
        let dated = list.items.iter().enumerate().filter_map(|(index, item)| {
            let rule = item.date.as_ref()?;
            if held.contains(item.name.as_str()) || journey.dated.contains(&item.name) || written(item) {
                return None;
            }
            let Dated { due, until } = date::moment_of(rule, item, &self.facts(), journey.began_at, &self.zone)?;
            Some(Next { index, item, due, until: Some(until) })
        });
        in_order.into_iter().chain(dated).min_by_key(|next| next.due)
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

    /// When an item goes that is found free to go by something else than its own timer. What waits for its place behind an opening
    /// keeps it, or gets one if the opening has only now come into being: an edit is no reason for a burst.
    fn released_at(&self, item: &Item) -> Timestamp {
        match self.subject.copy.state.waiting {
            // Publishing again must not push it away for ever.
            Some(PostponeReason::Spread) => self.was_due.unwrap_or(self.now),
            Some(why) if timely(why) => {
                let place = admit::place_within(self.plan, &self.subject, item, self.now);
                self.was_due.map_or(place, |due| due.min(place)).max(self.now)
            }
            _ => self.now,
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

    /// What its `when` says now.
    fn wanted(&self, item: &Item) -> Result<(), SkipReason> {
        match item.when.as_ref().map(|condition| condition.eval(&self.facts())) {
            None | Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(SkipReason::ConditionFalse),
            Some(Err(_)) => Err(SkipReason::ConditionError),
        }
    }

    /// The last word: `when` at the moment of sending. It is told before other reasons, being the marketer's own.
    fn verdict(&self, item: &Item, admission: Admission) -> Result<super::Ready, SkipReason> {
        self.wanted(item)?;
        match admission {
            Admission::Now(ready) => Ok(ready),
            Admission::Never(reason) => Err(reason),
            Admission::At(..) => Err(SkipReason::TooOld),
        }
    }

    fn skip(&mut self, journey: &mut Journey, list: &List, index: usize, item: &Item, reason: SkipReason) {
        self.pass(journey, index, item);
        if self.live() {
            self.draft(&list.name, item.name.clone(), nobody(), EffectKind::Skip { reason });
        } else {
            // A ledger row would keep the item from being sent once the funnel goes live.
            journey.observed = true;
            self.note(format!("observe: would skip {}: {}", item.name, reason.as_str()));
        }
    }

    fn send(&mut self, journey: &mut Journey, list: &List, index: usize, item: &Item, ready: super::Ready) {
        if item.date.is_none() {
            journey.anchor = self.now;
        }
        self.pass(journey, index, item);
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
            self.cycle.push(CycleChange::Contacted { cycle: self.subject.copy.cycle, at: self.now });
        }
    }

    /// The item is behind the client from now on.
    fn pass(&self, journey: &mut Journey, index: usize, item: &Item) {
        if item.date.is_some() {
            journey.dated.push(item.name.clone());
            return;
        }
        if !self.live() {
            journey.behind.push(item.name.clone());
        }
        journey.finished = false;
        journey.last = Some(item.name.clone());
        journey.position = u32::try_from(index).unwrap_or(u32::MAX);
    }
}

/// The next item, and when.
struct Next<'l> {
    index: usize,
    item: &'l Item,
    due: Timestamp,
    until: Option<Timestamp>,
}

/// Whether an item's moment has come although it has to wait a little: then its `when` is asked at once, and again when it goes out. In
/// a pause, on stale knowledge, while another deal is in work, the answer would be rash.
const fn timely(why: PostponeReason) -> bool {
    matches!(
        why,
        PostponeReason::OutsideWindow | PostponeReason::Holiday | PostponeReason::CapReached | PostponeReason::BudgetReached
    )
}

/// When an item's own time comes: `after` from the anchor, then `at` and `days`, all in the client's zone. The window is not its
/// concern.
pub(super) fn planned_at(item: &Item, anchor: Timestamp, zone: &TimeZone) -> Timestamp {
    calendar::align(add_duration(anchor, item.after, zone), item.at, &item.days, zone)
}
