//! What simulated days cost the policies that have a budget, and when it ends.

use super::{
    report::money,
    run::{Outcome, Run},
    world::World,
};
use crate::{
    engine::{Plan, Subject, periods},
    store::Period,
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// What came of a budget in one funnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RanOut {
    /// When the money of a day, and that of a month, was first not enough for a message.
    pub day: Option<Timestamp>,
    pub month: Option<Timestamp>,
    /// Messages that waited for a next day or month.
    pub waited: u64,
    pub left_out: u64,
}

impl RanOut {
    /// A message was held up: by the day's money, by the month's or by both.
    pub fn note(&mut self, plan: &Plan, subject: &Subject, list: &str, item: &str, now: Timestamp) {
        let Some(budget) = &plan.policy.budget else { return };
        let measured = subject.priced.iter().find(|p| p.list == list && p.item == item).map(|p| p.cost);
        let each = || Some(plan.channel_for(plan.item(list, item)?)?.price.as_ref()?.each);
        let cost = measured.or_else(each).unwrap_or(0);
        let over = |limit: Option<i64>, spent: i64| limit.is_some_and(|limit| spent.saturating_add(cost) > limit);
        // One that is dearer than a whole budget says nothing of what is left.
        let first = |at: Option<Timestamp>| Some(at.map_or(now, |at| at.min(now)));
        if over(budget.per_day, subject.spent.day) && !over(budget.per_day, 0) {
            self.day = first(self.day);
        }
        if over(budget.per_month, subject.spent.month) && !over(budget.per_month, 0) {
            self.month = first(self.month);
        }
    }

    pub fn add(&mut self, other: &Self) {
        let first = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).min();
        self.day = first(self.day, other.day);
        self.month = first(self.month, other.month);
        self.waited += other.waited;
        self.left_out += other.left_out;
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetReport {
    /// `namespace/name`
    pub policy: String,
    pub currency: String,
    pub per_day: Option<f64>,
    pub per_month: Option<f64>,
    pub spent: f64,
    /// What a store had spent before, in the month of the first day.
    pub spent_before: f64,
    /// The day on which most is spent, and how much that is.
    pub dearest_day: Option<String>,
    pub dearest_day_spent: f64,
    /// The first day whose money was not enough, and the day on which a month's first was not.
    pub day_reached: Option<String>,
    pub month_reached: Option<String>,
    /// Messages that waited for a next day or month, and those left out (`over: Skip`, or dearer than a whole budget).
    pub waited: u64,
    pub left_out: u64,
}

struct Sum {
    report: BudgetReport,
    spent: i64,
    days: BTreeMap<String, i64>,
    ran_out: RanOut,
}

pub(super) fn budgets(outcome: &Outcome, world: &World) -> Vec<BudgetReport> {
    let run = &outcome.run;
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (number, plan) in (0..u16::MAX).map_while(|number| Some((number, run.plan(number)?))) {
        let Some(sum) = entry(&mut sums, run, plan, world) else { continue };
        if let Some(ran_out) = outcome.tally.budgets.get(&number) {
            sum.ran_out.add(ran_out);
        }
    }
    if sums.is_empty() {
        return Vec::new();
    }
    for sent in &outcome.tally.sent {
        let plan = run.item(sent).and_then(|item| run.plan(item.funnel));
        let (Some(plan), Some((cost, _))) = (plan, run.cost(sent)) else { continue };
        if let Some(sum) = sums.get_mut(&plan.policy.key) {
            sum.spent += cost;
            *sum.days.entry(periods(&plan.policy.time_zone, sent.at).0).or_default() += cost;
        }
    }
    let finish = |Sum { report, spent, days, .. }: Sum| {
        let dearest = days.into_iter().max_by_key(|(day, cost)| (*cost, std::cmp::Reverse(day.clone())));
        let (dearest_day, most) = dearest.map_or((None, 0), |(day, cost)| (Some(day), cost));
        BudgetReport { spent: money(spent), dearest_day, dearest_day_spent: money(most), ..report }
    };
    sums.into_values().map(|sum| finish(with_dates(sum, run))).collect()
}

fn entry<'s>(sums: &'s mut BTreeMap<String, Sum>, run: &Run, plan: &Plan, world: &World) -> Option<&'s mut Sum> {
    let (policy, budget) = (&plan.policy, plan.policy.budget.as_ref()?);
    let sum = sums.entry(policy.key.clone()).or_insert_with(|| {
        let (day, month) = periods(&policy.time_zone, run.from);
        let before = |period: &str| {
            let key = Period { policy: policy.key.clone(), currency: budget.currency.clone(), period: period.to_owned() };
            world.spent.get(&key).copied().unwrap_or(0)
        };
        let report = BudgetReport {
            policy: policy.key.clone(),
            currency: budget.currency.clone(),
            per_day: budget.per_day.map(money),
            per_month: budget.per_month.map(money),
            spent: 0.0,
            spent_before: money(before(&month)),
            dearest_day: None,
            dearest_day_spent: 0.0,
            day_reached: None,
            month_reached: None,
            waited: 0,
            left_out: 0,
        };
        // The first day may have been paid for in part already.
        let days = Some((day.clone(), before(&day))).filter(|(_, spent)| *spent > 0).into_iter().collect();
        Sum { report, spent: 0, days, ran_out: RanOut::default() }
    });
    Some(sum)
}

/// Days in the policy's own calendar.
fn with_dates(mut sum: Sum, run: &Run) -> Sum {
    let plan = (0..u16::MAX).map_while(|number| run.plan(number)).find(|plan| plan.policy.key == sum.report.policy);
    let day = |at: Option<Timestamp>| Some(periods(&plan?.policy.time_zone, at?).0);
    sum.report.day_reached = day(sum.ran_out.day);
    sum.report.month_reached = day(sum.ran_out.month);
    sum.report.waited = sum.ran_out.waited;
    sum.report.left_out = sum.ran_out.left_out;
    sum
}
