//! The figures of a simulation, as people and programs read them.

use super::{
    budget::{BudgetReport, budgets},
    nobody::Turns,
    run::{Outcome, Run},
    world::World,
};
use crate::model::{Medium, Role};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub from: String,
    pub until: String,
    /// Zone of days and hours: the policy's.
    pub time_zone: String,
    pub deals: usize,
    pub people: usize,
    pub messages: usize,
    pub sms: usize,
    pub emails: usize,
    pub reached: usize,
    /// What goes out by day, hour, channel, list and item.
    pub calendar: Vec<Cell>,
    pub items: Vec<ItemReport>,
    /// People by the number of messages they get.
    pub load: Vec<(usize, usize)>,
    pub worst: Vec<Worst>,
    /// Days on which somebody gets two or more, and how many people have such a day.
    pub crowded_days: usize,
    pub crowded_people: usize,
    pub crowded_examples: Vec<String>,
    pub skipped: BTreeMap<String, u64>,
    pub postponed: Vec<Postponed>,
    pub capacity: Vec<Capacity>,
    pub cost: Vec<Cost>,
    /// What policies with a budget spend.
    pub budgets: Vec<BudgetReport>,
    /// The hour of the week in which most goes out, and its share in percent.
    pub busiest_hour: Option<(String, f64)>,
    /// Share of the messages that waited for a window or a holiday, in percent.
    pub waited_for_window: f64,
    /// Tasks, comments, notifications and moves.
    pub managers: BTreeMap<String, u64>,
    pub stages: Vec<StageMove>,
    /// What people call the stages, by role, where all funnels call one the same.
    pub stage_titles: BTreeMap<String, String>,
    /// Flows between places, for pictures: from, to, deals, and how many lists the deals had been warmed by before.
    pub flows: Vec<(String, String, u64, usize)>,
    /// Of a store: messages that were written down before and were not handed over yet. They are in no other figure.
    pub waiting_to_leave: u64,
    /// Deals that were lost before their funnel began and wait at the end for its `backfill`.
    pub waiting_in_backfill: u64,
    pub clicks: u64,
    pub answers: u64,
    pub unsubscribed: u64,
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    pub day: String,
    pub hour: i8,
    pub channel: String,
    pub funnel: String,
    pub list: String,
    pub item: String,
    pub messages: u64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemReport {
    pub funnel: String,
    pub list: String,
    pub item: String,
    pub title: String,
    pub medium: Medium,
    pub messages: u64,
    /// Messages by variant, of an item that has any.
    pub variants: BTreeMap<String, u64>,
    pub first: Option<String>,
    pub last: Option<String>,
    pub skipped: BTreeMap<String, u64>,
    pub postponed: u64,
    /// How many clients wait for it at the end.
    pub still_waiting: u64,
    /// Of a store: how many were written down before and were not handed over yet. They are in no other figure.
    pub waiting_to_leave: u64,
    /// Why nobody gets it.
    pub nobody: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Worst {
    pub deal: String,
    pub messages: usize,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Postponed {
    pub reason: String,
    pub times: u64,
    /// How many wait for it at the end. How long they have waited until then is in the figures below.
    pub still_waiting: u64,
    pub mean_hours: f64,
    pub longest_hours: f64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    pub channel: String,
    /// 0: no limit.
    pub per_second: f64,
    pub messages: u64,
    pub busiest_minute: u64,
    pub busiest_minute_at: Option<String>,
    pub busiest_hour: u64,
    /// Rate at which what wants to leave in the busiest minute leaves within a minute, rounded up.
    pub needed_per_second: f64,
    pub held_up: u64,
    pub longest_wait_seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    pub channel: String,
    pub funnel: String,
    pub list: String,
    pub messages: u64,
    pub parts: u64,
    /// `None`: the channel declares no price.
    pub amount: Option<f64>,
    pub currency: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageMove {
    pub funnel: String,
    pub from: Role,
    pub to: Role,
    pub deals: u64,
    pub amount: f64,
}

const EXAMPLES: usize = 10;

impl Report {
    /// Whether a list's name alone does not say which funnel's it is.
    #[must_use]
    pub fn several_funnels(&self) -> bool {
        // Items stand by funnel.
        self.items.first().zip(self.items.last()).is_some_and(|(first, last)| first.funnel != last.funnel)
    }

    #[must_use]
    #[allow(clippy::cast_precision_loss)] // figures for people
    pub fn of(outcome: &Outcome, world: &World) -> Self {
        let (run, tally) = (&outcome.run, &outcome.tally);
        let zone = run.time_zone();
        let show = |at: Timestamp| run.shown(at);
        let mut report = Self {
            from: show(run.from),
            until: show(run.until),
            time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            deals: world.deals.len(),
            people: world.people.len(),
            messages: tally.sent.len(),
            clicks: tally.clicks,
            answers: tally.answers,
            unsubscribed: tally.unsubscribed,
            ..Self::default()
        };
        let name = |index: u32| run.item_of(index);
        let channel = |index: u16| run.channels.get(usize::from(index)).map_or("", |c| c.key.as_str());
        let mut calendar: BTreeMap<(jiff::civil::Date, i8, u16, u32), u64> = BTreeMap::new();
        let mut week: BTreeMap<(i8, i8), u64> = BTreeMap::new();
        let mut by_item: BTreeMap<u32, (u64, Timestamp, Timestamp)> = BTreeMap::new();
        let mut by_variant: BTreeMap<(u32, u8), u64> = BTreeMap::new();
        let mut by_person: BTreeMap<u32, (usize, u32)> = BTreeMap::new();
        let mut by_day: BTreeMap<(u32, i32), (usize, u32)> = BTreeMap::new();
        let mut minutes: BTreeMap<(u16, i64), u64> = BTreeMap::new();
        // By channel and list: two funnels may have one of the same name.
        let mut costs: BTreeMap<(u16, u32), (u64, u64)> = BTreeMap::new();
        for sent in &tally.sent {
            let local = zone.to_datetime(sent.at);
            *calendar.entry((local.date(), local.hour(), sent.channel, sent.item)).or_default() += 1;
            *week.entry((local.weekday().to_monday_zero_offset(), local.hour())).or_default() += 1;
            let item = by_item.entry(sent.item).or_insert((0, sent.at, sent.at));
            (item.0, item.2) = (item.0 + 1, sent.at);
            if sent.variant > 0 {
                *by_variant.entry((sent.item, sent.variant)).or_default() += 1;
            }
            by_person.entry(sent.person).or_insert((0, sent.deal)).0 += 1;
            by_day.entry((sent.person, sent.local_day)).or_insert((0, sent.deal)).0 += 1;
            *minutes.entry((sent.channel, sent.at.as_second().div_euclid(60))).or_default() += 1;
            let cost = costs.entry((sent.channel, name(sent.item).map_or(u32::MAX, |i| i.place))).or_default();
            (cost.0, cost.1) = (cost.0 + 1, cost.1 + u64::from(sent.parts));
            match name(sent.item).map(|i| i.medium) {
                Some(Medium::Sms) => report.sms += 1,
                _ => report.emails += 1,
            }
        }
        report.reached = by_person.len();
        report.calendar = calendar
            .into_iter()
            .map(|((day, hour, through, item), messages)| Cell {
                day: day.to_string(),
                hour,
                channel: channel(through).to_owned(),
                funnel: name(item).map(|i| run.funnel(i.funnel).to_owned()).unwrap_or_default(),
                list: name(item).map(|i| i.list.clone()).unwrap_or_default(),
                item: name(item).map(|i| i.item.clone()).unwrap_or_default(),
                messages,
            })
            .collect();
        let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        report.busiest_hour = week.iter().max_by_key(|(at, n)| (**n, std::cmp::Reverse(**at))).map(|((day, hour), n)| {
            let day = usize::try_from(*day).ok().and_then(|d| days.get(d)).copied().unwrap_or_default();
            (format!("{day} {hour:02}:00"), percent(*n, report.messages as u64))
        });

        let mut load: BTreeMap<usize, usize> = BTreeMap::new();
        for (n, _) in by_person.values() {
            *load.entry(*n).or_default() += 1;
        }
        report.load = load.into_iter().collect();
        let mut worst: Vec<(usize, u32)> = by_person.values().copied().collect();
        worst.sort_by_key(|(n, deal)| (std::cmp::Reverse(*n), *deal));
        report.worst =
            worst.into_iter().take(EXAMPLES).map(|(messages, deal)| Worst { deal: world.deal_id(deal), messages }).collect();
        let crowded: Vec<(u32, u32)> = by_day.iter().filter(|(_, (n, _))| *n > 1).map(|((p, _), (_, deal))| (*p, *deal)).collect();
        report.crowded_days = crowded.len();
        report.crowded_people = crowded.iter().map(|(person, _)| person).collect::<BTreeSet<_>>().len();
        report.crowded_examples = crowded.iter().take(EXAMPLES).map(|(_, deal)| world.deal_id(*deal)).collect();

        let mut reasons: BTreeMap<&str, super::tally::Waits> = BTreeMap::new();
        for ((_, why), waits) in &tally.waits {
            reasons.entry(why).or_default().add(waits);
        }
        report.waited_for_window = percent(tally.through_window, report.messages as u64);
        report.postponed = reasons
            .into_iter()
            .map(|(reason, waits)| Postponed {
                reason: reason.to_owned(),
                times: waits.times,
                still_waiting: waits.still,
                mean_hours: round(waits.seconds as f64 / 3600.0 / waits.waits.max(1) as f64),
                longest_hours: round(waits.longest as f64 / 3600.0),
            })
            .collect();
        for ((_, why), n) in &tally.skips {
            *report.skipped.entry((*why).to_owned()).or_default() += n;
        }
        for ((_, word), n) in &tally.effects {
            *report.managers.entry((*word).to_owned()).or_default() += n;
        }

        let of = |item: u32| (item, "")..(item.saturating_add(1), "");
        for (index, item) in (0_u32..).zip(&run.items) {
            let counted = by_item.get(&index);
            let skipped: BTreeMap<String, u64> =
                tally.skips.range(of(index)).map(|((_, why), n)| ((*why).to_owned(), *n)).collect();
            let waits = || tally.waits.range(of(index)).map(|(_, waits)| waits);
            let variants = by_variant.range((index, 0)..=(index, u8::MAX));
            let variants = variants.filter_map(|((_, number), n)| Some((run.variant_of(index, *number)?.to_owned(), *n)));
            let nobody = counted.is_none().then(|| Turns::of(index, item, tally, &skipped).why(item, run));
            report.items.push(ItemReport {
                funnel: run.funnel(item.funnel).to_owned(),
                list: item.list.clone(),
                item: item.item.clone(),
                title: item.title.clone(),
                medium: item.medium,
                messages: counted.map_or(0, |c| c.0),
                variants: variants.collect(),
                first: counted.map(|c| show(c.1)),
                last: counted.map(|c| show(c.2)),
                still_waiting: waits().map(|w| w.still).sum(),
                postponed: waits().map(|w| w.times).sum(),
                waiting_to_leave: tally.earlier.get(&index).map_or(0, |earlier| earlier.waits),
                skipped,
                nobody,
            });
        }
        for (index, settings) in (0_u16..).zip(&run.channels) {
            let theirs: Vec<(i64, u64)> =
                minutes.range((index, i64::MIN)..=(index, i64::MAX)).map(|((_, minute), n)| (*minute, *n)).collect();
            let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
            for (minute, n) in &theirs {
                *hours.entry(minute.div_euclid(60)).or_default() += n;
            }
            let busiest = theirs.iter().max_by_key(|(minute, n)| (*n, std::cmp::Reverse(*minute)));
            let (held_up, longest) = outcome.held_up.get(usize::from(index)).copied().unwrap_or_default();
            report.capacity.push(Capacity {
                channel: settings.key.clone(),
                per_second: settings.per_second,
                messages: theirs.iter().map(|(_, n)| n).sum(),
                busiest_minute: busiest.map_or(0, |(_, n)| *n),
                busiest_minute_at: busiest.and_then(|(minute, _)| Timestamp::from_second(minute * 60).ok()).map(show),
                busiest_hour: hours.values().copied().max().unwrap_or(0),
                needed_per_second: needed(outcome.wanted.get(usize::from(index)).copied().unwrap_or(0)),
                held_up,
                longest_wait_seconds: round(longest as f64 / 1000.0),
            });
        }
        let funnels: BTreeMap<u32, u16> = run.items.iter().map(|item| (item.place, item.funnel)).collect();
        report.cost = costs
            .into_iter()
            .map(|((through, list), (messages, parts))| {
                let price = run.channels.get(usize::from(through)).and_then(|c| c.price.clone());
                Cost {
                    channel: channel(through).to_owned(),
                    funnel: funnels.get(&list).map(|funnel| run.funnel(*funnel).to_owned()).unwrap_or_default(),
                    list: run.lists.get(list as usize).cloned().unwrap_or_default(),
                    messages,
                    parts,
                    amount: price.as_ref().map(|(each, _)| money(each.saturating_mul(i64::try_from(parts).unwrap_or(i64::MAX)))),
                    currency: price.map(|(_, currency)| currency),
                }
            })
            .collect();
        report.budgets = budgets(outcome, world);
        report.stage_titles = stage_titles(run);
        report.follow(outcome);
        report.waiting_to_leave = waiting_to_leave(outcome);
        report.notes = notes(outcome);
        report
    }

    #[allow(clippy::cast_precision_loss)] // figures for people
    fn follow(&mut self, outcome: &Outcome) {
        let mut moves: BTreeMap<(u16, Role, Role), (u64, i64)> = BTreeMap::new();
        let mut flows: BTreeMap<(String, String, usize), u64> = BTreeMap::new();
        for (way, (deals, amount)) in &outcome.tally.ways {
            let sum = moves.entry((way.funnel, way.first, way.last)).or_default();
            (sum.0, sum.1) = (sum.0 + deals, sum.1.saturating_add(*amount));
            let end = match way.last {
                Role::Revived => "revived",
                Role::Unsubscribed => "unsubscribed",
                _ if way.declined => "declined",
                _ if way.clicked => "clicked, not back yet",
                _ if !way.contacted && way.finished => "nothing could be sent",
                _ if !way.contacted => "nothing sent yet",
                _ if way.finished => "journey over, no answer",
                _ => "under way",
            };
            let mut from = way.first.as_str().to_owned();
            let lists = way.lists.iter().filter_map(|list| outcome.run.lists.get(*list as usize));
            for (step, list) in lists.enumerate() {
                let list = format!("list {list}");
                *flows.entry((from, list.clone(), step)).or_default() += deals;
                from = list;
            }
            if !way.lists.is_empty() {
                *flows.entry((from, end.to_owned(), way.lists.len())).or_default() += deals;
            }
        }
        self.waiting_in_backfill = backfill(outcome).values().map(|(waiting, _)| waiting).sum();
        self.stages = moves
            .into_iter()
            .map(|((funnel, from, to), (deals, amount))| StageMove {
                funnel: outcome.run.funnel(funnel).to_owned(),
                from,
                to,
                deals,
                amount: amount as f64 / 100.0,
            })
            .collect();
        self.flows = flows.into_iter().map(|((from, to, step), n)| (from, to, n, step)).collect();
    }
}

/// What else to know of a simulation, in sentences.
pub(super) fn notes(outcome: &Outcome) -> Vec<String> {
    let (run, tally) = (&outcome.run, &outcome.tally);
    let mut notes = Vec::new();
    for (funnel, (waiting, before)) in backfill(outcome).into_iter().filter(|(_, (waiting, _))| *waiting > 0) {
        let admits = match run.plan(funnel).and_then(|plan| plan.backfill.as_ref()) {
            Some(backfill) => {
                format!("backfill admits {} a day of those lost within {}", backfill.per_day, backfill.lost_within)
            }
            None => "the funnel has no backfill, so they are never warmed".to_owned(),
        };
        notes.push(format!(
            "{}: {before} deals were lost before it began; {waiting} wait in Backfill at the end: {admits}",
            run.funnel(funnel)
        ));
    }
    let waiting = waiting_to_leave(outcome);
    if waiting > 0 {
        notes.push(format!(
            "{waiting} messages wait to leave already; they go out as soon as their channels take them, beside what is told here"
        ));
    }
    if tally.failed > 0 {
        notes.push(format!("{} deals could not be decided and were set aside", tally.failed));
    }
    for ((funnel, condition), (deals, why)) in &tally.unanswered {
        let funnel = run.funnel(*funnel);
        notes
            .push(format!("{funnel}: the condition {condition} has no answer for {deals} deals ({why}): it counts as false there"));
    }
    notes
}

fn stage_titles(run: &Run) -> BTreeMap<String, String> {
    let mut all: BTreeMap<Role, BTreeSet<&str>> = BTreeMap::new();
    for plan in (0..u16::MAX).map_while(|number| run.plan(number)) {
        let stages = &plan.stages;
        for role in Role::ALL {
            let titles: Vec<&str> = match role {
                Role::Stalled => stages.stalled.iter().map(|stage| stage.title.as_str()).collect(),
                Role::Warming => stages.warming.iter().map(|stage| stage.title.as_str()).collect(),
                Role::Customer => stages.customer.iter().map(|stage| stage.title.as_str()).collect(),
                other => plan.title(other, "").into_iter().collect(),
            };
            all.entry(role).or_default().extend(titles);
        }
    }
    let one = |(role, titles): (Role, BTreeSet<&str>)| {
        let title = titles.first().filter(|title| titles.len() == 1 && !title.is_empty())?;
        Some((role.as_str().to_owned(), (*title).to_owned()))
    };
    all.into_iter().filter_map(one).collect()
}

fn waiting_to_leave(outcome: &Outcome) -> u64 {
    outcome.tally.earlier.values().map(|earlier| earlier.waits).sum()
}

/// By funnel that anybody waited for: how many of those lost before it began wait at the end, and how many did at the beginning.
fn backfill(outcome: &Outcome) -> BTreeMap<u16, (u64, u64)> {
    let mut funnels: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    for (way, (deals, _)) in outcome.tally.ways.iter().filter(|(way, _)| [way.first, way.last].contains(&Role::Backfill)) {
        let sum = funnels.entry(way.funnel).or_default();
        sum.0 += if way.last == Role::Backfill { *deals } else { 0 };
        sum.1 += if way.first == Role::Backfill { *deals } else { 0 };
    }
    funnels
}

#[allow(clippy::cast_precision_loss)] // figures for people
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { round(part as f64 * 100.0 / whole as f64) }
}

/// From ten-thousandths of a currency: an email may cost less than a cent, so nothing is rounded.
#[allow(clippy::cast_precision_loss)] // sums below 900 billion are exact
pub(super) fn money(ten_thousandths: i64) -> f64 {
    ten_thousandths as f64 / 10_000.0
}

/// In hundredths. Rounded down it would be a rate that holds messages up.
#[allow(clippy::cast_precision_loss)] // figures for people
fn needed(a_minute: u64) -> f64 {
    (a_minute * 100).div_ceil(60) as f64 / 100.0
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
