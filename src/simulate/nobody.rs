//! Why nobody gets an item: what a marketer has to change, as far as the simulation can tell.

use super::{
    run::{ItemOf, Run},
    tally::{Earlier, Tally, Waits},
};
use crate::model::{PostponeReason, SkipReason};
use std::collections::BTreeMap;

/// What became of the turns of an item that nobody got.
pub(super) struct Turns<'t> {
    pub skipped: &'t BTreeMap<String, u64>,
    pub waits: Vec<(&'static str, Waits)>,
    /// What had become of it in a store.
    pub earlier: Earlier,
    /// Somebody was warmed by its list.
    pub entered: bool,
    /// Of those, somebody was to the end.
    pub stayed: bool,
}

impl<'t> Turns<'t> {
    pub fn of(index: u32, item: &ItemOf, tally: &Tally, skipped: &'t BTreeMap<String, u64>) -> Self {
        let waits = tally.waits.range((index, "")..(index.saturating_add(1), ""));
        Self {
            skipped,
            waits: waits.map(|((_, why), waits)| (*why, *waits)).collect(),
            earlier: tally.earlier.get(&index).copied().unwrap_or_default(),
            entered: tally.entered.contains(&item.place),
            stayed: tally.stayed.contains(&item.place),
        }
    }

    pub fn why(&self, item: &ItemOf, run: &Run) -> String {
        let plan = run.plan(item.funnel);
        if plan.is_some_and(|p| p.suspend || p.policy.paused) {
            return "the funnel or its policy is stopped".into();
        }
        if item.channel.is_none() {
            return "the funnel has no channel for it".into();
        }
        let told = |reasons: Vec<(&str, u64)>| {
            let reasons: Vec<String> = reasons.into_iter().filter(|(_, n)| *n > 0).map(|(why, n)| format!("{why} ({n})")).collect();
            reasons.join("; ")
        };
        let skipped = told(self.skipped.iter().map(|(why, n)| (SkipReason::sentence_of(why), *n)).collect());
        let waiting = |count: fn(&Waits) -> u64| {
            told(self.waits.iter().map(|(why, waits)| (PostponeReason::sentence_of(why), count(waits))).collect())
        };
        let (waits, waited) = (waiting(|waits| waits.still), waiting(|waits| waits.times));
        match (skipped.is_empty(), waits.is_empty(), waited.is_empty()) {
            (false, true, _) => return format!("skipped for everyone whose turn it was: {skipped}"),
            (true, false, _) => return format!("its turn came, but it waits at the end: {waits}"),
            (false, false, _) => return format!("its turn came, but it waits at the end: {waits}; or was skipped: {skipped}"),
            (true, true, false) => return format!("it waited until it was no longer wanted: {waited}"),
            (true, true, true) => {}
        }
        let earlier = [
            (self.earlier.waits, "are written to as soon as the channel takes it: it waits to leave already"),
            (self.earlier.had, "had it before"),
            (self.earlier.refused, "could not be given it before: it was refused"),
        ];
        let earlier =
            earlier.into_iter().filter(|(clients, _)| *clients > 0).map(|(clients, what)| format!("{clients} clients {what}"));
        let earlier = earlier.collect::<Vec<_>>().join("; ");
        if !earlier.is_empty() {
            return earlier;
        }
        if !self.entered {
            return format!("nobody is warmed by the list {}", item.list);
        }
        if !self.stayed {
            return format!("everybody left the list {} for another before its turn came", item.list);
        }
        if plan.and_then(|plan| plan.item(&item.list, &item.item)).is_some_and(|item| item.date.is_some()) {
            return "its date came for nobody in these days".into();
        }
        // As many as were asked for, also where a clock is changed among them.
        let days = (run.until.duration_since(run.from).as_hours() + 12) / 24;
        if i64::from(item.days) >= days {
            return format!("its turn comes {} days after the list begins; simulate more than {days} days", item.days);
        }
        "nobody's turn came in these days".into()
    }
}
