//! What messages cost, and which budgets that counts for.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A day (`2026-03-02`) or a month (`2026-03`) of a policy's calendar, in one currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// `namespace/name`
    pub policy: String,
    pub currency: String,
    pub period: String,
}

impl Period {
    /// A day, and not a month.
    pub(crate) fn is_day(&self) -> bool {
        self.period.len() > 7
    }
}

/// What was spent in it, in ten-thousandths of the currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeriodSpent {
    #[serde(flatten)]
    pub period: Period,
    pub spent: i64,
}

/// The earliest period that is today's or this month's in any zone.
pub(crate) fn this_month(now: Timestamp) -> String {
    (now - SignedDuration::from_hours(24)).strftime("%Y-%m").to_string()
}

/// `1204.60`
pub(crate) fn money_text(ten_thousandths: i64) -> String {
    let cents = (ten_thousandths + 50).div_euclid(100);
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// What a message costs, counted for its policy's day and month in the transaction that writes it down. A message beyond a limit is
/// not stored: its copy is decided again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// `namespace/name`
    pub policy: String,
    pub currency: String,
    /// `2026-03-02`, in the policy's calendar.
    pub day: String,
    /// Ten-thousandths of the currency.
    pub cost: i64,
    pub per_day: Option<i64>,
    pub per_month: Option<i64>,
}

impl Charge {
    /// Its periods, each with its limit.
    pub(crate) fn periods(&self) -> [(Period, Option<i64>); 2] {
        let of = |period: &str| Period { policy: self.policy.clone(), currency: self.currency.clone(), period: period.to_owned() };
        [(of(&self.day), self.per_day), (of(month_of(&self.day)), self.per_month)]
    }

    pub(super) fn fits(&self, spent: &BTreeMap<Period, i64>) -> bool {
        self.periods().iter().all(|(period, limit)| {
            limit.is_none_or(|limit| spent.get(period).copied().unwrap_or(0).saturating_add(self.cost) <= limit)
        })
    }

    /// As the ledger keeps it.
    pub(super) fn words(&self) -> String {
        format!("{} {} {}", self.policy, self.currency, self.day)
    }
}

/// The periods that a ledger row was counted for.
pub(super) fn charged(words: &str) -> Vec<Period> {
    let mut parts = words.split(' ');
    let (Some(policy), Some(currency), Some(day)) = (parts.next(), parts.next(), parts.next()) else { return Vec::new() };
    let of = |period: &str| Period { policy: policy.to_owned(), currency: currency.to_owned(), period: period.to_owned() };
    vec![of(day), of(month_of(day))]
}

fn month_of(day: &str) -> &str {
    day.get(..7).unwrap_or(day)
}
