//! What a simulation counts. Everything in here adds up the same in whatever order it is added.

use super::budget::RanOut;
use crate::model::Role;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One message that would go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    pub at: Timestamp,
    pub copy: i64,
    /// Index of the deal in the world.
    pub deal: u32,
    pub person: u32,
    /// Index of the item in the run.
    pub item: u32,
    /// Index of the channel in the run.
    pub channel: u16,
    /// SMS parts; 1 for an email. A channel allows ten at most.
    pub parts: u8,
    /// Which of the item's variants, counted from 1; 0: it has none.
    pub variant: u8,
    pub cycle: i32,
    /// Days since 1970 where the client lives.
    pub local_day: i32,
}

/// Messages that waited, for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How often somebody was told.
    pub times: u64,
    /// How many waits that were, those included that last longer than the simulation.
    pub waits: u64,
    /// How many wait at its end.
    pub still: u64,
    pub seconds: i64,
    pub longest: i64,
}

impl Waits {
    pub fn add(&mut self, other: &Self) {
        self.times += other.times;
        self.waits += other.waits;
        self.still += other.still;
        self.seconds += other.seconds;
        self.longest = self.longest.max(other.longest);
    }
}

/// Items that a journey has before it when the simulation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    pub deal: u32,
    pub cycle: i32,
    /// Numbers in the run: the first, and the one behind the last.
    pub from: u32,
    pub until: u32,
}

/// What had become of an item in a store before the days asked for: clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// They have it, as far as anyone can tell.
    pub had: u64,
    /// It is written down and was not handed over yet.
    pub waits: u64,
    /// It was refused for good, or until its time was over.
    pub refused: u64,
}

impl Earlier {
    pub fn add(&mut self, other: Self) {
        self.had += other.had;
        self.waits += other.waits;
        self.refused += other.refused;
    }
}

/// Where deals come from and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    pub funnel: u16,
    pub first: Role,
    /// Numbers of the lists they were warmed by, one after the other; of many, the first and the last.
    pub lists: Vec<u32>,
    pub contacted: bool,
    pub clicked: bool,
    pub declined: bool,
    pub last: Role,
    /// The list is through. As long as nothing was sent: nothing will be, either.
    pub finished: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub sent: Vec<Sent>,
    /// By item and reason.
    pub skips: BTreeMap<(u32, &'static str), u64>,
    pub waits: BTreeMap<(u32, &'static str), Waits>,
    /// Messages that had waited for a window or a holiday.
    pub through_window: u64,
    /// Tasks, comments, notifications, moves: by funnel.
    pub effects: BTreeMap<(u16, &'static str), u64>,
    pub ways: BTreeMap<Way, (u64, i64)>,
    /// Lists that anybody was warmed by.
    pub entered: BTreeSet<u32>,
    /// Of those, the ones that anybody was in at the end.
    pub stayed: BTreeSet<u32>,
    /// By funnel and condition: for how many deals it has no answer, and why for one of them.
    pub unanswered: BTreeMap<(u16, String), (u64, String)>,
    /// By item: what had become of it in a store before.
    pub earlier: BTreeMap<u32, Earlier>,
    pub ahead: Vec<Ahead>,
    pub clicks: u64,
    pub answers: u64,
    pub unsubscribed: u64,
    /// Copies whose decision failed.
    pub failed: u64,
    /// By plan: when its budget ended, and whom that held up.
    pub budgets: BTreeMap<u16, RanOut>,
    /// What everything would cost, by budget and period, if there were no budgets.
    pub money: BTreeMap<crate::store::Period, i64>,
    /// Demand before any rate was applied: moment, copy, channel.
    pub demand: Vec<(Timestamp, i64, u16)>,
}

impl Tally {
    /// Whichever core hears of it first: the same words each time.
    pub fn unanswer(&mut self, key: (u16, String), (deals, why): (u64, String)) {
        let sum = self.unanswered.entry(key).or_insert_with(|| (0, why.clone()));
        sum.0 += deals;
        if why < sum.1 {
            sum.1 = why;
        }
    }

    pub fn add(&mut self, mut other: Self) {
        self.sent.append(&mut other.sent);
        self.demand.append(&mut other.demand);
        self.ahead.append(&mut other.ahead);
        for (key, n) in other.skips {
            *self.skips.entry(key).or_default() += n;
        }
        for (key, n) in other.effects {
            *self.effects.entry(key).or_default() += n;
        }
        for (key, cost) in other.money {
            *self.money.entry(key).or_default() += cost;
        }
        for (key, waits) in other.waits {
            self.waits.entry(key).or_default().add(&waits);
        }
        self.entered.append(&mut other.entered);
        self.stayed.append(&mut other.stayed);
        for (key, earlier) in other.earlier {
            self.earlier.entry(key).or_default().add(earlier);
        }
        for (key, sum) in other.unanswered {
            self.unanswer(key, sum);
        }
        for (plan, ran_out) in other.budgets {
            self.budgets.entry(plan).or_default().add(&ran_out);
        }
        for (key, (deals, amount)) in other.ways {
            let sum = self.ways.entry(key).or_default();
            sum.0 += deals;
            sum.1 = amount.saturating_add(sum.1);
        }
        self.through_window += other.through_window;
        self.clicks += other.clicks;
        self.answers += other.answers;
        self.unsubscribed += other.unsubscribed;
        self.failed += other.failed;
    }
}
