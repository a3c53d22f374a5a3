//! What the funnels of a policy may spend together in a day and in a month of its own calendar.

use super::calendar::{date_in, moment, next_date};
use super::{OverCap, Plan};
use crate::model::Purpose;
use jiff::{Timestamp, civil, tz::TimeZone};

/// A policy's budget. Amounts are ten-thousandths of the currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub currency: String,
    pub per_day: Option<i64>,
    pub per_month: Option<i64>,
    pub over: OverCap,
}

/// What one SMS part or one email costs, in ten-thousandths of the currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub each: i64,
    pub currency: String,
}

/// What was spent of a budget, in the day and in the month in which somebody looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub day: i64,
    pub month: i64,
}

/// What a message that is about to be decided on costs this client. Until it is measured, one part is the least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    pub list: String,
    pub item: String,
    pub cost: i64,
}

/// Why money is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// There is some again then.
    Until(Timestamp),
    /// It costs more than a whole day's or month's budget.
    Always,
}

impl Budget {
    /// Whether one more message of that cost keeps to it.
    #[must_use]
    pub fn affords(&self, spent: Spent, cost: i64) -> bool {
        let within = |limit: Option<i64>, spent: i64| limit.is_none_or(|limit| spent.saturating_add(cost) <= limit);
        within(self.per_day, spent.day) && within(self.per_month, spent.month)
    }

    pub(super) fn over(&self, zone: &TimeZone, spent: Spent, cost: i64, now: Timestamp) -> Option<Over> {
        if self.affords(spent, cost) {
            return None;
        }
        if !self.affords(Spent::default(), cost) {
            return Some(Over::Always);
        }
        let today = date_in(now, zone);
        let month = self.per_month.is_some_and(|limit| spent.month.saturating_add(cost) > limit);
        let next = next_date(if month { today.last_of_month() } else { today });
        Some(Over::Until(moment(next, civil::Time::midnight(), zone)))
    }
}

/// Names of the day and the month of that calendar around `now`: `2026-03-02`, `2026-03`.
#[must_use]
pub fn periods(zone: &TimeZone, now: Timestamp) -> (String, String) {
    let date = date_in(now, zone);
    (date.strftime("%Y-%m-%d").to_string(), date.strftime("%Y-%m").to_string())
}

/// When the day of that calendar began that `now` is in.
#[must_use]
pub fn day_start(zone: &TimeZone, now: Timestamp) -> Timestamp {
    moment(date_in(now, zone), civil::Time::midnight(), zone)
}

impl Plan {
    /// The budget that messages of that purpose keep to. Service messages cost their money and are never held up by it.
    #[must_use]
    pub fn budget(&self, purpose: Purpose) -> Option<&Budget> {
        self.policy.budget.as_ref().filter(|_| purpose == Purpose::Advertising)
    }
}
