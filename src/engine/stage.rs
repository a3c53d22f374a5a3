//! Where a copy stands. Precedence: deleted or won > revived > back in work > unsubscribed > lost > stalled. Signals and opt-outs
//! are events and handled in `decide`; here is what the deal itself says.

use super::calendar::sub_duration;
use super::{ColdStage, Facts, Plan, Subject, Trigger, TriggerKind, add_duration, add_working, date, zone_of};
pub(super) use crate::model::same_title as same;
use crate::model::{Deal, DealState, FieldValue, HumanDuration, Role, SignalKind};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::collections::BTreeMap;

/// What led to the look, for triggers that fire on a change and not on a state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cause<'a> {
    /// The deal before it changed.
    pub old: Option<&'a Deal>,
    /// Never seen before.
    pub first_sight: bool,
    pub signal: Option<SignalKind>,
}

/// Where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    pub role: Role,
    /// Name of the Stalled, Warming or Customer stage; empty otherwise.
    pub stage: String,
    /// For the history.
    pub why: String,
    /// When time alone may change the answer.
    pub look_at: Option<Timestamp>,
    /// Guards without an answer, and why.
    pub unanswered: Vec<(String, String)>,
    /// Nobody did anything that ends a cycle: it waits.
    pub waits: bool,
}

impl Placement {
    /// Where something else than the deal itself puts it.
    pub fn new(role: Role, why: impl Into<String>) -> Self {
        Self { role, stage: String::new(), why: why.into(), look_at: None, unanswered: Vec::new(), waits: false }
    }
}

/// What a trigger says.
enum Hold {
    No,
    /// It holds; for those that time brought about, since when.
    Yes(Option<Timestamp>),
    /// It will hold then, if nothing happens.
    At(Timestamp),
}

/// A look at `when` guards that watch the time is worth one a day.
pub(super) const GUARD_LOOK: SignedDuration = SignedDuration::from_hours(24);

/// Where the deal's own state puts its copy.
#[must_use]
pub fn place(plan: &Plan, subject: &Subject, cause: Cause<'_>, now: Timestamp) -> Placement {
    let mut look = Look { plan, subject, cause, now, zone: zone_of(plan, subject), at: None, unanswered: Vec::new() };
    let (role, stage, why) = look.place();
    let at = if matches!(role, Role::Archived | Role::Unsubscribed | Role::Backfill) { None } else { look.at };
    Placement { role, stage, why, look_at: at, unanswered: look.unanswered, waits: false }
}

/// The CRM shows it no more, or shows it where the funnel does not look.
pub(super) fn out_of_sight(plan: &Plan, deal: &Deal) -> bool {
    deal.state == DealState::Deleted || !in_pipeline(plan, deal)
}

fn in_pipeline(plan: &Plan, deal: &Deal) -> bool {
    plan.pipeline.as_ref().is_none_or(|pipeline| same(pipeline, &deal.pipeline))
}

/// A sale that this funnel saw, or that is no older than the funnel. What buyers hear and who is reminded of them follows such a sale
/// alone: neither one of years ago, found by the first import, nor the end of a warming.
pub(super) fn new_sale(plan: &Plan, subject: &Subject, cause: Cause<'_>) -> bool {
    let deal = &subject.deal;
    let seen = cause.old.is_some_and(|old| !matches!(old.state, DealState::Won | DealState::Deleted));
    // Out of sight: before its first sight, or while the CRM did not show it.
    let hidden = match cause.old {
        Some(old) if old.state == DealState::Deleted => subject.copy.state.entered_at,
        _ => None,
    };
    let out_of_sight = hidden.is_some() || subject.copy.state.entered_at.is_none();
    let found = out_of_sight && deal.stage_changed_at.is_some_and(|sold| sold >= hidden.unwrap_or(plan.since));
    deal.state == DealState::Won && (seen || found)
}

/// Whether somebody took the deal up just now: a person worked on it, or the client was heard of where that is what the stage waits
/// for. An edit, the time, and what is written into a field take nothing up.
pub(super) fn taken_up(plan: &Plan, subject: &Subject, cause: Cause<'_>) -> bool {
    let deal = &subject.deal;
    let worked = cause.old.is_some_and(|old| {
        old.state != deal.state
            || deal.last_activity_at > old.last_activity_at
            || deal.stage_changed_at > old.stage_changed_at
            || !same(&old.stage, &deal.stage)
            || deal.next_task_at.is_some() && old.next_task_at != deal.next_task_at
    });
    worked || heard_through_others(plan, subject)
}

/// Through another deal of theirs, which brings no event of this one.
fn heard_through_others(plan: &Plan, subject: &Subject) -> bool {
    let copy = &subject.copy;
    let cold = matches!(copy.role, Role::Stalled | Role::Warming);
    let mut stages = plan.stages.warming.iter().chain(&plan.stages.stalled).filter(|stage| !cold || stage.name == copy.stage);
    let quiet = |trigger: &Trigger| matches!(trigger.kind, TriggerKind::ClientQuiet(_));
    let heard = subject.client.siblings.iter().filter_map(|s| s.heard_at).max();
    heard > copy.state.entered_at && stages.any(|stage| stage.enter.iter().any(quiet))
}

/// The last thing a person did to the deal, as far as the CRM tells.
pub(super) fn last_touch(subject: &Subject, now: Timestamp) -> Timestamp {
    let deal = &subject.deal;
    // Work that we saw but that the CRM gives no date for, like a reopening, is remembered as the beginning of the next silence.
    let seen = subject.copy.state.silence.as_ref().map(|s| s.since);
    let told = [deal.last_activity_at, deal.stage_changed_at, deal.created_at, seen].into_iter().flatten().max();
    told.or(subject.copy.state.entered_at).unwrap_or(now)
}

type Place = (Role, String, String);

struct Look<'a> {
    plan: &'a Plan,
    subject: &'a Subject,
    cause: Cause<'a>,
    now: Timestamp,
    zone: TimeZone,
    at: Option<Timestamp>,
    unanswered: Vec<(String, String)>,
}

impl<'a> Look<'a> {
    fn place(&mut self) -> Place {
        let (plan, deal, role) = (self.plan, &self.subject.deal, self.subject.copy.role);
        if out_of_sight(plan, deal) {
            // Whoever reads the CRM tells of both as of a deletion: the pipeline is asked first, or the history would name a
            // deletion that nobody made.
            return bare(
                Role::Archived,
                if in_pipeline(plan, deal) { "deleted in the CRM" } else { "not in the funnel's pipeline" },
            );
        }
        match deal.state {
            DealState::Won => return self.won(),
            DealState::Lost if role == Role::Revived && !self.lost_again() => return bare(Role::Revived, ""),
            DealState::Lost if role == Role::Unsubscribed => return bare(Role::Unsubscribed, ""),
            DealState::Lost => return self.lost(),
            DealState::Open | DealState::Deleted => {}
        }
        if role == Role::Unsubscribed && !self.worked_since_entry() {
            return bare(Role::Unsubscribed, "");
        }
        if let Some(place) = self.enter(&plan.stages.warming, Role::Warming) {
            return place;
        }
        if role == Role::Warming && self.stays() {
            return self.here();
        }
        if let Some(place) = self.enter(&plan.stages.stalled, Role::Stalled) {
            return place;
        }
        if role == Role::Stalled && self.stays() {
            return self.here();
        }
        // Final for its cycle: an open deal that came back is a win until it is lost or goes silent again.
        if role == Role::Revived { bare(Role::Revived, "") } else { bare(Role::InWork, "worked on") }
    }

    fn here(&self) -> Place {
        (self.subject.copy.role, self.subject.copy.stage.clone(), String::new())
    }

    fn won(&mut self) -> Place {
        let Some(customer) = &self.plan.stages.customer else { return bare(Role::Archived, "won") };
        let role = self.subject.copy.role;
        let inside = matches!(role, Role::Customer | Role::Warming | Role::Stalled | Role::Revived | Role::Unsubscribed);
        if !self.just_won() && inside {
            if role == Role::Unsubscribed {
                return bare(Role::Unsubscribed, "");
            }
            if let Some(place) = self.enter(&self.plan.stages.warming, Role::Warming) {
                return place;
            }
            if role == Role::Warming && self.stays() {
                return self.here();
            }
            if role == Role::Revived {
                return bare(Role::Revived, "");
            }
            if role == Role::Customer {
                return self.here();
            }
        }
        // Who buys is a customer first, even if they had been quiet; what time alone brings next is looked at when it comes.
        if self.enter(&self.plan.stages.warming, Role::Warming).is_some() {
            self.at = Some(self.now);
        }
        (Role::Customer, customer.name.clone(), "won".into())
    }

    fn lost(&mut self) -> Place {
        let role = self.subject.copy.role;
        let deal = &self.subject.deal;
        let Some((_, stage, why)) = self.enter(&self.plan.stages.warming, Role::Warming) else {
            if role == Role::Warming && self.stays() {
                return self.here();
            }
            let reason = deal.lost_reason.as_deref().unwrap_or(&deal.stage);
            return bare(Role::NotWarmed, &format!("no stage is for {reason}"));
        };
        // Someone whom we never saw lose it, and whose loss is older than the funnel, waits for `backfill`.
        let unseen = matches!(role, Role::Archived | Role::NotWarmed | Role::Backfill)
            && !self.subject.copy.state.loss_seen
            && self.cause.old.is_none_or(|old| matches!(old.state, DealState::Lost | DealState::Deleted));
        if unseen && deal.stage_changed_at.is_none_or(|t| t < self.plan.since) {
            return bare(Role::Backfill, "lost before this funnel began");
        }
        (Role::Warming, stage, why)
    }

    /// A revived deal that was given up once more, as opposed to one whose move back has not arrived yet.
    fn lost_again(&self) -> bool {
        let deal = &self.subject.deal;
        self.cause.old.is_some_and(|old| old.state != DealState::Lost)
            || matches!((deal.stage_changed_at, self.subject.copy.state.entered_at), (Some(lost), Some(revived)) if lost > revived)
    }

    /// The first stage whose trigger holds by a state or event; of several brought about by time, the latest.
    fn enter(&mut self, stages: &'a [ColdStage], role: Role) -> Option<Place> {
        let mut found: Option<(Option<Timestamp>, Place)> = None;
        for stage in stages {
            for trigger in &stage.enter {
                let since = match self.hold(trigger) {
                    Hold::No => continue,
                    Hold::At(t) => {
                        self.at = Some(self.at.map_or(t, |at| at.min(t)));
                        continue;
                    }
                    Hold::Yes(since) => since,
                };
                let better = match &found {
                    None => true,
                    Some((Some(earlier), _)) => since.is_none_or(|s| s > *earlier),
                    Some((None, _)) => false,
                };
                if better {
                    found = Some((since, (role, stage.name.clone(), self.why(&trigger.kind))));
                }
            }
        }
        found.map(|(_, place)| place)
    }

    fn hold(&mut self, trigger: &Trigger) -> Hold {
        let hold = self.kind(&trigger.kind);
        let (Hold::Yes(_), Some(guard)) = (&hold, &trigger.when) else { return hold };
        let holds = guard.eval(&Facts { subject: self.subject, now: self.now }).unwrap_or_else(|error| {
            self.unanswered.push((guard.source().to_owned(), error.to_string()));
            false
        });
        if guard.watches_time() {
            // It may begin to hold, or cease to.
            let t = self.now.checked_add(GUARD_LOOK).unwrap_or(Timestamp::MAX);
            self.at = Some(self.at.map_or(t, |at| at.min(t)));
        }
        if holds { hold } else { Hold::No }
    }

    fn kind(&self, kind: &TriggerKind) -> Hold {
        let (subject, deal, now) = (self.subject, &self.subject.deal, self.now);
        let fresh = self.cause.first_sight && deal.created_at.is_some_and(|t| t >= self.plan.since);
        match kind {
            TriggerKind::Lost(words) => {
                let named = |w: &String| deal.lost_reason.as_deref().is_some_and(|r| same(r, w)) || same(&deal.stage, w);
                state(deal.state == DealState::Lost && (words.is_empty() || words.iter().any(named)))
            }
            TriggerKind::Inactivity(d) if deal.state == DealState::Open => self.time(self.silent_at(*d)),
            TriggerKind::Inactivity(_) => Hold::No,
            TriggerKind::ClientQuiet(d) => {
                let revived = (subject.copy.role == Role::Revived).then_some(subject.copy.state.entered_at).flatten();
                // The client, not the deal: whoever called about another one was not quiet.
                let others = subject.client.siblings.iter().map(|s| s.heard_at);
                let state = &subject.copy.state;
                // What they do about our messages is the stage's own matter: it does not end it.
                let cold = matches!(subject.copy.role, Role::Stalled | Role::Warming) || state.waits;
                let own = if cold { state.spoke_at } else { state.heard_at };
                let told = [deal.last_activity_at, own, revived, self.sold_at()];
                let heard = told.into_iter().chain(others).flatten().max();
                self.time(add_duration(heard.unwrap_or_else(|| last_touch(subject, now)), *d, &self.zone))
            }
            TriggerKind::MovedTo(stages) => {
                let moved = fresh || self.cause.old.is_some_and(|old| !same(&old.stage, &deal.stage));
                state(moved && stages.iter().any(|s| same(s, &deal.stage)))
            }
            TriggerKind::FieldFilled(name) => {
                let was = self.cause.old.is_some_and(|old| value(&old.fields, name).is_none());
                state((fresh || was) && value(&deal.fields, name).is_some())
            }
            TriggerKind::FieldChanged { field, from, to } => {
                let Some(old) = self.cause.old else { return Hold::No };
                let (before, after) = (value(&old.fields, field), value(&deal.fields, field));
                let fits = |wanted: &Option<String>, is: &Option<String>| {
                    // An empty one is the value that an empty field has.
                    wanted.as_ref().is_none_or(|w| is.as_ref().map_or(w.trim().is_empty(), |i| same(w, i)))
                };
                let retold = before.as_ref().zip(after.as_ref()).is_some_and(|(before, after)| date::same_day(before, after));
                state(before != after && !retold && fits(from, &before) && fits(to, &after))
            }
            TriggerKind::Date { .. } => {
                let Some(at) = comes_at(kind, deal, &self.zone) else { return Hold::No };
                // A date that had passed when the copy came to where it is does not bring it back.
                if subject.copy.state.entered_at.is_none_or(|entered| at <= entered) && at <= now {
                    Hold::No
                } else {
                    self.time(at)
                }
            }
            TriggerKind::Signal(kind) => state(self.cause.signal == Some(*kind)),
            // What brought it there may still hold; a revived deal stays revived all the same.
            TriggerKind::When => state(subject.copy.role != Role::Revived),
        }
    }

    /// Who buys is heard of, whether the CRM dates the sale or we saw it.
    fn sold_at(&self) -> Option<Timestamp> {
        let (deal, copy) = (&self.subject.deal, &self.subject.copy);
        if deal.state != DealState::Won {
            return None;
        }
        let seen = if self.just_won() {
            Some(self.now)
        } else {
            copy.state.entered_at.filter(|_| copy.role == Role::Customer && !copy.state.old_buyer)
        };
        seen.max(deal.stage_changed_at)
    }

    fn just_won(&self) -> bool {
        self.cause.old.is_some_and(|old| !matches!(old.state, DealState::Won | DealState::Deleted))
    }

    fn time(&self, at: Timestamp) -> Hold {
        if at <= self.now { Hold::Yes(Some(at)) } else { Hold::At(at) }
    }

    /// When the deal counts as silent. A planned task protects it until it is overdue by a working day.
    fn silent_at(&self, d: HumanDuration) -> Timestamp {
        let subject = self.subject;
        let mut last = last_touch(subject, self.now);
        if subject.copy.role == Role::Revived {
            last = last.max(subject.copy.state.entered_at.unwrap_or(last));
        }
        if self.reopened() {
            last = self.now;
        }
        let hours = &self.plan.policy.working_hours;
        let silent = add_working(hours, last, d);
        let protected = subject.deal.next_task_at.map(|t| add_working(hours, t, HumanDuration::days(1)));
        protected.map_or(silent, |p| p.max(silent))
    }

    /// A copy that an event (not a state) brought into its stage stays there until somebody works on the deal.
    fn stays(&self) -> bool {
        let by_event = |t: &Trigger| {
            matches!(
                t.kind,
                TriggerKind::MovedTo(_)
                    | TriggerKind::FieldFilled(_)
                    | TriggerKind::FieldChanged { .. }
                    | TriggerKind::Date { .. }
                    | TriggerKind::Signal(_)
            )
        };
        self.plan.cold_stage(&self.subject.copy.stage).is_some_and(|s| s.enter.iter().any(by_event)) && !self.worked_since_entry()
    }

    /// A lost deal that somebody has just taken up again.
    fn reopened(&self) -> bool {
        self.cause.old.is_some_and(|old| old.state == DealState::Lost) && self.subject.deal.state == DealState::Open
    }

    fn worked_since_entry(&self) -> bool {
        let deal = &self.subject.deal;
        let Some(entered) = self.subject.copy.state.entered_at else { return true };
        self.reopened()
            || deal.last_activity_at.is_some_and(|t| t > entered)
            || deal.stage_changed_at.is_some_and(|t| t > entered)
            || self.cause.old.is_some_and(|old| old.next_task_at != deal.next_task_at)
                && deal.next_task_at.is_some_and(|t| t > self.now)
    }

    fn why(&self, kind: &TriggerKind) -> String {
        let deal = &self.subject.deal;
        match kind {
            TriggerKind::Lost(_) => format!("lost: {}", deal.lost_reason.as_deref().unwrap_or(&deal.stage)),
            TriggerKind::Inactivity(d) => format!("nobody worked on it for {d}"),
            TriggerKind::ClientQuiet(d) => format!("the client was quiet for {d}"),
            TriggerKind::MovedTo(_) => format!("moved to {}", deal.stage),
            TriggerKind::FieldFilled(field) => format!("{field} was filled"),
            TriggerKind::FieldChanged { field, .. } => format!("{field} changed"),
            TriggerKind::Date { field, .. } => format!("the date in {field} came"),
            TriggerKind::Signal(kind) => format!("signal {}", kind.as_str()),
            TriggerKind::When => "its condition holds".into(),
        }
    }
}

fn bare(role: Role, why: &str) -> Place {
    (role, String::new(), why.to_owned())
}

fn state(holds: bool) -> Hold {
    if holds { Hold::Yes(None) } else { Hold::No }
}

/// When the date of such a trigger comes.
fn comes_at(kind: &TriggerKind, deal: &Deal, zone: &TimeZone) -> Option<Timestamp> {
    let TriggerKind::Date { field, offset, before } = kind else { return None };
    let date = date::read(&value(&deal.fields, field)?, zone)?;
    Some(if *before { sub_duration(date, *offset, zone) } else { add_duration(date, *offset, zone) })
}

/// The day of such a trigger, told as a moment before and as a day now: when it came, and when it comes.
pub(super) fn retold(kind: &TriggerKind, old: &Deal, deal: &Deal, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let TriggerKind::Date { field, .. } = kind else { return None };
    let same = date::same_day(&value(&old.fields, field)?, &value(&deal.fields, field)?);
    same.then(|| comes_at(kind, old, zone).zip(comes_at(kind, deal, zone))).flatten()
}

/// A field's value as text; empty counts as not filled.
fn value(fields: &BTreeMap<String, FieldValue>, name: &str) -> Option<String> {
    match fields.get(name)? {
        FieldValue::Bool(b) => Some(b.to_string()),
        FieldValue::Number(n) => Some(n.to_string()),
        FieldValue::Text(t) => Some(t.trim().to_owned()).filter(|t| !t.is_empty()),
    }
}
