//! For what an item waits, and how long: each reason gets the time that was spent for it.

use super::{life::One, run::Run, tally::Tally};
use crate::{engine::Copy, model::PostponeReason};
use jiff::Timestamp;

/// The next item's wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    since: Timestamp,
    item: u32,
    why: PostponeReason,
    /// It is among those that were told in the days asked for.
    told: bool,
    /// It has waited for a window or a holiday, whatever it waits for now.
    for_window: bool,
    /// It has waited for money.
    for_money: bool,
}

impl<T> One<T> {
    /// The item waits, for this reason from now on.
    pub fn wait(&mut self, item: u32, why: PostponeReason, now: Timestamp, run: &Run, tally: &mut Tally) {
        let told = now >= run.from;
        tally.waits.entry((item, why.as_str())).or_default().times += u64::from(told);
        if self.waiting.as_ref().is_some_and(|w| w.item == item && w.why == why) {
            return;
        }
        let before = self.end_wait(now, run, tally);
        let before = before.filter(|before| before.item == item);
        let (for_window, for_money) = before.map_or((false, false), |before| (before.for_window, before.for_money));
        self.waiting = Some(Waiting { since: now, item, why, told, for_window, for_money });
    }

    /// It waits no longer, or for another reason. Only what lies in the days asked for is counted.
    pub fn end_wait(&mut self, now: Timestamp, run: &Run, tally: &mut Tally) -> Option<Waiting> {
        let mut waiting = self.waiting.take()?;
        if now >= run.from {
            waiting.count(self.plan, now, run, tally);
            waiting.for_money |= waiting.why == PostponeReason::BudgetReached;
        }
        waiting.for_window |= matches!(waiting.why, PostponeReason::OutsideWindow | PostponeReason::Holiday);
        Some(waiting)
    }

    /// The item that waits for this reason.
    pub fn waits_for(&self, why: PostponeReason) -> Option<u32> {
        self.waiting.as_ref().filter(|waiting| waiting.why == why).map(|waiting| waiting.item)
    }

    /// The item has left.
    pub fn sent(&mut self, now: Timestamp, run: &Run, tally: &mut Tally) {
        let waited = self.end_wait(now, run, tally);
        tally.through_window += u64::from(now >= run.from && waited.is_some_and(|waited| waited.for_window));
    }

    /// The simulated time is over, and it waits all the same.
    pub fn still_waits(&self, run: &Run, tally: &mut Tally) {
        if let Some(waiting) = &self.waiting {
            waiting.count(self.plan, run.until, run, tally);
            tally.waits.entry((waiting.item, waiting.why.as_str())).or_default().still += 1;
        }
    }
}

impl Waiting {
    /// What a stored copy waits for: the store keeps why, not for which item, so the next in the order stands for it. Since when nobody
    /// knows: it counts from the first moment that is simulated.
    pub fn stored(run: &Run, plan: u16, copy: &Copy) -> Option<Self> {
        let (why, journey) = copy.state.waiting.zip(copy.state.journey.as_ref())?;
        let items = &run.in_force(plan, run.start)?.plan.lists.get(&journey.list)?.items;
        let behind = journey.last.as_ref().and_then(|last| items.iter().position(|i| i.name == *last)).map_or(0, |at| at + 1);
        let next = items.iter().skip(behind).find(|i| i.date.is_none())?;
        let item = run.index(plan, &journey.list, &next.name);
        Some(Self { since: run.start, item, why, told: false, for_window: false, for_money: false })
    }

    fn count(&self, plan: u16, until: Timestamp, run: &Run, tally: &mut Tally) {
        let seconds = until.duration_since(self.since.max(run.from)).as_secs();
        let waits = tally.waits.entry((self.item, self.why.as_str())).or_default();
        waits.times += u64::from(!self.told);
        waits.waits += 1;
        waits.seconds += seconds;
        waits.longest = waits.longest.max(seconds);
        // However many days it waits, it is one message.
        if self.why == PostponeReason::BudgetReached && !self.for_money {
            tally.budgets.entry(plan).or_default().waited += 1;
        }
    }
}
