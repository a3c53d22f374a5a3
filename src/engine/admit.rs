//! Whether a planned message may go now, when, or never: the only home of windows, caps, budget, consent, suppression, staleness,
//! holdout, one voice, validity and the item cooldown.

use super::budget::Over;
use super::facts::{Fact, Facts};
use super::{Item, List, OverCap, Plan, Recent, Subject, add_duration, caps, consent, next_open, voice, zone_of};
use crate::model::{Address, AddressHash, HumanDuration, Medium, PostponeReason, Purpose, Role, SkipReason, share, stable_hash};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use std::collections::BTreeSet;

/// An item whose own time has come.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    pub list: &'a List,
    pub item: &'a Item,
    /// Its planned moment, at or before now.
    pub due: Timestamp,
    /// When it no longer makes sense, for an item with a date.
    pub until: Option<Timestamp>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    Now(Ready),
    /// Look again then.
    At(Timestamp, PostponeReason),
    Never(SkipReason),
}

/// What is fixed about a message that may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// Name of the `MessageChannel`.
    pub channel: String,
    pub address: Address,
    pub hash: AddressHash,
    pub variant: Option<String>,
    /// The consent it relies on; `None` for service messages.
    pub consent: Option<String>,
    pub expires_at: Timestamp,
}

/// Looking again costs a read each time, so what no event announces is looked for at leisure.
const STALE_LOOK: HumanDuration = HumanDuration::minutes(30);
const IN_WORK_LOOK: HumanDuration = HumanDuration::hours(1);
const LEADER_LOOK: HumanDuration = HumanDuration::hours(6);
/// After a message that came first: it has been sent by then, and counts, or its moment has moved.
const AHEAD_LOOK: HumanDuration = HumanDuration::hours(1);
const SUSPENDED_LOOK: HumanDuration = HumanDuration::days(1);
/// What was about to leave when its funnel was stopped, or its client paused: it expires soon, and nothing wakes it when that is over.
const AGAIN_LOOK: HumanDuration = HumanDuration::minutes(5);

/// Decides about one planned item. Final reasons are told before passing ones, so that nothing waits in vain.
#[must_use]
pub fn admit(plan: &Plan, subject: &Subject, planned: &Planned<'_>, now: Timestamp) -> Admission {
    let zone = zone_of(plan, subject);
    let (item, policy) = (planned.item, &plan.policy);
    let advertising = item.purpose == Purpose::Advertising;
    let state = &subject.copy.state;

    if plan.suspend || policy.paused {
        return Admission::At(later(now, SUSPENDED_LOOK), PostponeReason::Suspended);
    }
    if let Some(pause) = state.pause.as_ref().filter(|p| p.until > now) {
        return Admission::At(pause.until, PostponeReason::Paused);
    }

    // Never.
    if state.holdout && subject.copy.role != Role::Customer {
        return Admission::Never(SkipReason::Holdout);
    }
    if item.valid_from.is_some_and(|t| now < t) {
        return Admission::Never(SkipReason::NotValidYet);
    }
    if item.valid_until.is_some_and(|t| now >= t) {
        return Admission::Never(SkipReason::NoLongerValid);
    }
    if item.expires_after.is_some_and(|d| now > add_duration(planned.due, d, &zone)) || planned.until.is_some_and(|t| now >= t) {
        return Admission::Never(SkipReason::TooOld);
    }
    let Some(channel) = plan.channel_for(item) else { return Admission::Never(SkipReason::NoChannel) };
    let facts = Facts { subject, now };
    if item.requires.iter().any(|path| facts.get(path) == Fact::Null) {
        return Admission::Never(SkipReason::MissingValue);
    }
    let (known, consent) = match consent::recipient(plan, subject, item) {
        Ok(found) => found,
        Err(reason) => return Admission::Never(reason),
    };
    let name = format!("{}/{}/{}", plan.funnel.namespace, planned.list.name, item.name);
    if subject.client.recent.iter().any(|r| r.copy != subject.copy.id && r.address == known.hash && r.item == name) {
        return Admission::Never(SkipReason::SentThroughOtherDeal);
    }

    // Not yet.
    if let Some(limit) = plan.max_staleness
        && subject.crm_read_at.is_none_or(|read| now.duration_since(read) > limit.signed())
    {
        return Admission::At(later(now, STALE_LOOK), PostponeReason::StaleCrm);
    }
    if advertising && voice::client_in_work(plan, subject) {
        return Admission::At(later(now, IN_WORK_LOOK), PostponeReason::ClientInWork);
    }
    if advertising && let Some(why) = voice::other_speaks(plan, subject) {
        return Admission::At(later(now, LEADER_LOOK), why);
    }
    if advertising {
        let counted = |r: &&Recent| r.purpose == Purpose::Advertising && r.policy.as_ref().is_none_or(|key| *key == policy.key);
        let counted: Vec<(Timestamp, Medium)> = subject.client.recent.iter().filter(counted).map(|r| (r.at, r.medium)).collect();
        match caps::fits_at(policy, &counted, item.medium, &zone, now) {
            Some(at) if at <= now => {
                if let Some(first) = takes_room_of(plan, subject, counted, item.medium, &zone, now) {
                    return Admission::At(later(first, AHEAD_LOOK), PostponeReason::LowerPriority);
                }
            }
            None => return Admission::Never(SkipReason::CapReached),
            Some(_) if policy.over_cap == OverCap::Skip => return Admission::Never(SkipReason::CapReached),
            Some(at) => return postpone(plan, subject, planned, &zone, at, PostponeReason::CapReached),
        }
    }
    if let Some((budget, price)) = plan.budget(item.purpose).zip(channel.price.as_ref()) {
        let measured = subject.priced.iter().find(|p| p.list == planned.list.name && p.item == item.name);
        match budget.over(&policy.time_zone, subject.spent, measured.map_or(price.each, |p| p.cost), now) {
            None => {}
            Some(Over::Always) => return Admission::Never(SkipReason::BudgetReached),
            Some(Over::Until(_)) if budget.over == OverCap::Skip => return Admission::Never(SkipReason::BudgetReached),
            Some(Over::Until(at)) => return postpone(plan, subject, planned, &zone, at, PostponeReason::BudgetReached),
        }
    }
    if next_open(&policy.windows, holidays(plan, item.purpose), &zone, now).is_none_or(|open| open.from > now) {
        let open_but_for_holiday = next_open(&policy.windows, &BTreeSet::new(), &zone, now).is_some_and(|open| open.from == now);
        let why = if open_but_for_holiday { PostponeReason::Holiday } else { PostponeReason::OutsideWindow };
        return postpone(plan, subject, planned, &zone, now, why);
    }

    let validity = item.expires_after.map_or(channel.expires_after, |d| d.min(channel.expires_after));
    let mut expires_at = later(now, validity);
    for until in [item.valid_until, planned.until].into_iter().flatten() {
        expires_at = expires_at.min(until);
    }
    Admission::Now(Ready {
        channel: channel.resource.clone(),
        address: known.address.clone(),
        hash: known.hash.clone(),
        variant: variant_for(plan, subject, &planned.list.name, planned.item),
        consent,
        expires_at,
    })
}

/// What becomes of a message that was admitted, did not leave, and is about to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    Now,
    /// Not before.
    At(Timestamp),
    /// Written down when the client was still to be won back; it waited, and things have changed.
    Overtaken,
}

/// Asks once more what may have changed since a message was admitted: hours may lie between. (Suppressions are asked by the store in the
/// transaction that starts it.)
#[must_use]
pub fn again(plan: &Plan, subject: &Subject, list: &str, purpose: Purpose, now: Timestamp) -> Again {
    let copy = &subject.copy;
    let wanted = match copy.role {
        Role::Stalled | Role::Warming => !copy.state.cycle_done,
        // What was to bring a buyer back comes too late.
        Role::Customer => plan.cold_stage(&copy.stage).is_some_and(|stage| stage.content.iter().any(|rule| rule.list == list)),
        _ => false,
    };
    if !wanted {
        return Again::Overtaken;
    }
    if plan.silent() {
        return Again::At(later(now, AGAIN_LOOK));
    }
    if let Some(pause) = copy.state.pause.as_ref().filter(|p| p.until > now) {
        // Nothing wakes it when somebody ends the pause.
        return Again::At(pause.until.min(later(now, AGAIN_LOOK)));
    }
    let open = next_open(&plan.policy.windows, holidays(plan, purpose), &zone_of(plan, subject), now);
    match open.map(|open| open.from) {
        Some(from) if from <= now => Again::Now,
        Some(from) => Again::At(from),
        None => Again::At(later(now, SUSPENDED_LOOK)),
    }
}

/// When a message of higher priority is to come that would no longer fit under the caps if this one went now.
fn takes_room_of(
    plan: &Plan,
    subject: &Subject,
    counted: Vec<(Timestamp, Medium)>,
    medium: Medium,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut ahead: Vec<(Timestamp, Medium)> = voice::ahead(plan, subject).map(|says| (says.at.max(now), says.medium)).collect();
    ahead.sort_unstable();
    let fits = |counted: &[_], (at, medium): (Timestamp, Medium)| {
        caps::fits_at(&plan.policy, counted, medium, zone, at).is_some_and(|fits| fits <= at)
    };
    let (mut without_me, mut with_me) = (counted.clone(), counted);
    with_me.push((now, medium));
    for one in ahead {
        if !fits(&without_me, one) {
            continue;
        }
        if !fits(&with_me, one) {
            return Some(one.0);
        }
        without_me.push(one);
        with_me.push(one);
    }
    None
}

/// To the first opening at or after `from`, spread over the policy's time so that an opening window is no burst.
fn postpone(
    plan: &Plan,
    subject: &Subject,
    planned: &Planned<'_>,
    zone: &TimeZone,
    from: Timestamp,
    why: PostponeReason,
) -> Admission {
    match next_open(&plan.policy.windows, holidays(plan, planned.item.purpose), zone, from) {
        None => Admission::Never(SkipReason::TooOld),
        Some(open) => {
            let room = open.until.duration_since(open.from).as_secs();
            let jitter = jitter(plan, subject, planned.item, room.saturating_sub(1));
            Admission::At(open.from.checked_add(jitter).unwrap_or(open.from), why)
        }
    }
}

/// A copy's own place behind now in a window that is open.
pub(super) fn place_within(plan: &Plan, subject: &Subject, item: &Item, now: Timestamp) -> Timestamp {
    let open = next_open(&plan.policy.windows, holidays(plan, item.purpose), &zone_of(plan, subject), now);
    let room = open.map_or(0, |open| open.until.duration_since(now).as_secs());
    now.checked_add(jitter(plan, subject, item, room.saturating_sub(1))).unwrap_or(now)
}

/// The days on which nothing of that purpose is sent.
fn holidays(plan: &Plan, purpose: Purpose) -> &BTreeSet<civil::Date> {
    static NONE: BTreeSet<civil::Date> = BTreeSet::new();
    if purpose == Purpose::Advertising { &plan.policy.holidays } else { &NONE }
}

/// A copy's own place within `policy.spread` (at most `room` seconds): always the same for the same item.
pub(super) fn jitter(plan: &Plan, subject: &Subject, item: &Item, room: i64) -> SignedDuration {
    let spread = plan.policy.spread.signed().as_secs().min(room).max(0);
    if spread == 0 {
        return SignedDuration::ZERO;
    }
    // A copy that is not stored yet has no id: its deal stands for it.
    let hash = stable_hash(&[b"spread", &subject.copy.id.0.to_be_bytes(), subject.deal.id.as_bytes(), item.name.as_bytes()]);
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // seconds of at most ten years
    SignedDuration::from_secs((share(hash) * spread as f64) as i64)
}

/// The variant for this client, by a hash that also knows the item, so that two experiments do not align.
#[must_use]
pub fn variant_for(plan: &Plan, subject: &Subject, list: &str, item: &Item) -> Option<String> {
    let total: u64 = item.variants.iter().map(|v| u64::from(v.weight)).sum();
    let hash = stable_hash(&[
        b"variant",
        plan.holdout_salt.as_bytes(),
        &person(subject),
        plan.policy.brand.as_bytes(),
        list.as_bytes(),
        item.name.as_bytes(),
    ]);
    let mut place = hash.checked_rem(total)?;
    item.variants.iter().find_map(|v| {
        let weight = u64::from(v.weight);
        if place < weight {
            return Some(v.name.clone());
        }
        place -= weight;
        None
    })
}

/// The client as they are known today: all deals of a person get one answer, also after two records of them were merged.
fn person(subject: &Subject) -> [u8; 8] {
    subject.client.id.unwrap_or(subject.copy.client).0.to_be_bytes()
}

/// Whether the client is in the share that is left unsent to measure uplift.
pub(super) fn in_holdout(plan: &Plan, subject: &Subject) -> bool {
    let hash = stable_hash(&[plan.holdout_salt.as_bytes(), &person(subject), plan.policy.brand.as_bytes()]);
    share(hash) * 100.0 < plan.holdout_percent
}

fn later(t: Timestamp, d: HumanDuration) -> Timestamp {
    t.checked_add(d.signed()).unwrap_or(Timestamp::MAX)
}
