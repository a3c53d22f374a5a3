//! What was spent, by policy and period. The rows are locked before the recipients, by whoever counts and whoever gives back.

use super::Result;
use super::dialect::sql;
use super::open::Database;
use super::session::{Session, args, json_rows};
use crate::store::{Change, Charge, Period, PeriodSpent};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

#[derive(Serialize)]
struct Sum<'a> {
    #[serde(flatten)]
    period: &'a Period,
    amount: i64,
}

/// Of changes that may still hold, those whose messages go beyond a budget: each is looked at with what those before it cost.
pub(super) async fn beyond(tx: &mut Session, changes: &[Change], refused: &HashSet<usize>) -> Result<HashSet<usize>> {
    let costs = |n: usize| {
        let change = changes.get(n).filter(|_| !refused.contains(&n));
        change.into_iter().flat_map(|c| c.effects.iter().filter_map(|e| e.charge.as_ref()))
    };
    let mut spent: BTreeMap<Period, i64> =
        (0..changes.len()).flat_map(costs).flat_map(Charge::periods).map(|(period, _)| (period, 0)).collect();
    let mut beyond = HashSet::new();
    if spent.is_empty() {
        return Ok(beyond);
    }
    let rows = json_rows(&spent.keys().collect::<Vec<_>>())?;
    tx.run(sql!("budget/ensure"), args![&rows]).await?;
    for mut c in tx.rows(sql!("budget/lock"), args![rows]).await? {
        spent.insert(Period { policy: c.text()?, currency: c.text()?, period: c.text()? }, c.int()?);
    }
    for n in 0..changes.len() {
        if costs(n).any(|charge| !charge.fits(&spent)) {
            beyond.insert(n);
            continue;
        }
        for charge in costs(n) {
            for (period, _) in charge.periods() {
                *spent.entry(period).or_default() += charge.cost;
            }
        }
    }
    Ok(beyond)
}

/// Counts what was written down; a negative sum gives back.
pub(super) async fn add(tx: &mut Session, sums: &BTreeMap<Period, i64>) -> Result<()> {
    let rows: Vec<Sum> =
        sums.iter().filter(|(_, amount)| **amount != 0).map(|(period, amount)| Sum { period, amount: *amount }).collect();
    if !rows.is_empty() {
        // Locked in the order of the key; an update alone takes them as it finds them.
        tx.rows(sql!("budget/lock"), args![json_rows(&rows)?]).await?;
        tx.run(sql!("budget/add"), args![json_rows(&rows)?]).await?;
    }
    Ok(())
}

pub(super) async fn spent(database: &Database, periods: &[Period]) -> Result<Vec<i64>> {
    if periods.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: BTreeMap<Period, i64> = BTreeMap::new();
    for mut c in database.read().await?.rows(sql!("budget/spent"), args![json_rows(periods)?]).await? {
        found.insert(Period { policy: c.text()?, currency: c.text()?, period: c.text()? }, c.int()?);
    }
    Ok(periods.iter().map(|period| found.get(period).copied().unwrap_or(0)).collect())
}

pub(super) async fn since(database: &Database, period: &str) -> Result<Vec<PeriodSpent>> {
    let rows = database.report().await?.rows(sql!("views/spent_since"), args![period]).await?;
    rows.into_iter()
        .map(|mut c| {
            let period = Period { policy: c.text()?, currency: c.text()?, period: c.text()? };
            Ok(PeriodSpent { period, spent: c.int()? })
        })
        .collect()
}
