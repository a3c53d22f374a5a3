//! Rates: a token bucket that hands out moments instead of refusals (GCRA), so that what waits knows until when.

use crate::model::CopyId;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How long a moment is kept for a copy after it has come: workers wake a little late.
const GRACE: SignedDuration = SignedDuration::from_secs(1);
/// Reservations are looked through when there are so many.
const MANY: usize = 100_000;

/// One channel's rate. Reservations live in memory: after a restart they are simply made again.
#[derive(Debug)]
pub struct Limiter {
    interval_us: i64,
    burst_us: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Theoretical arrival time of the next message that gets a moment, in microseconds.
    next_us: i64,
    /// The same of the next one that leaves: never later than `next_us`, and earlier by the moments for which nobody came.
    left_us: i64,
    reserved: HashMap<CopyId, Timestamp>,
    /// How many reservations are too many.
    many: usize,
    /// The clock when it was asked last.
    now_us: i64,
}

impl State {
    /// A clock that was ahead and was put right takes the moments that it gave along: else nothing would leave until it has caught up.
    fn set_right(&mut self, now_us: i64) {
        let back_us = self.now_us - now_us;
        self.now_us = now_us;
        if back_us > 1_000_000 {
            self.next_us -= back_us;
            self.left_us -= back_us;
            let back = SignedDuration::from_micros(back_us);
            self.reserved.values_mut().for_each(|at| *at = at.saturating_sub(back).unwrap_or(*at));
        }
    }
}

impl Limiter {
    /// `per_second` messages a second, `burst` of them at once after a quiet time. A rate of zero or less means no limit.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // rates are bounded by the schema
    pub fn new(per_second: f64, burst: u32) -> Self {
        let interval_us = if per_second > 0.0 { (1e6 / per_second) as i64 } else { 0 };
        Self {
            interval_us,
            burst_us: interval_us * i64::from(burst.max(1) - 1),
            state: Mutex::new(State {
                next_us: i64::MIN / 2,
                left_us: i64::MIN / 2,
                reserved: HashMap::new(),
                many: MANY,
                now_us: i64::MIN / 2,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaves(&self, state: &mut State, now_us: i64) {
        state.left_us = state.left_us.max(now_us - self.burst_us) + self.interval_us;
        state.next_us = state.next_us.max(state.left_us);
    }

    /// When this copy's message may leave. A moment in the future is kept for it: it asks again then and gets "now". One that comes
    /// long after its moment (its window had closed, its channel was paused) gets what others left unused, or queues again: those who
    /// were held up together would else leave together.
    pub fn reserve(&self, copy: CopyId, now: Timestamp) -> Timestamp {
        if self.interval_us == 0 {
            return now;
        }
        let now_us = now.as_microsecond();
        let mut state = self.lock();
        state.set_right(now_us);
        if let Some(slot) = state.reserved.get(&copy).copied() {
            if slot > now {
                return slot;
            }
            state.reserved.remove(&copy);
            if now.duration_since(slot) <= GRACE || state.left_us <= now_us {
                self.leaves(&mut state, now_us);
                return now;
            }
        }
        let slot_us = state.next_us.max(now_us - self.burst_us);
        state.next_us = slot_us + self.interval_us;
        if slot_us <= now_us {
            self.leaves(&mut state, now_us);
            return now;
        }
        // Rounded up to what is stored, so that the copy is not due a moment before its slot.
        let slot = Timestamp::from_millisecond((slot_us + 999) / 1000).unwrap_or(now);
        state.reserved.insert(copy, slot);
        // Copies that never came back (archived, merged) must not pile up.
        if state.reserved.len() > state.many {
            let old = now - SignedDuration::from_hours(1);
            state.reserved.retain(|_, at| *at > old);
            // Most are for later in a long queue: they are not all looked at again for each newcomer.
            state.many = MANY.max(state.reserved.len() * 2);
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::Limiter;
    use crate::model::CopyId;
    use jiff::{SignedDuration, Timestamp};
    use std::{cmp::Reverse, collections::BinaryHeap};

    #[test]
    fn a_burst_then_the_rate_and_a_kept_slot() {
        let limiter = Limiter::new(2.0, 3);
        let t0 = Timestamp::from_second(1_000_000).unwrap();
        let slots: Vec<i64> =
            (1..=6).map(|n| (limiter.reserve(CopyId(n), t0).as_millisecond() - t0.as_millisecond()) / 100).collect();
        assert_eq!(slots, [0, 0, 0, 5, 10, 15]);
        let later = t0 + SignedDuration::from_millis(500);
        assert_eq!(limiter.reserve(CopyId(4), later), later, "its kept slot has come");
        assert_eq!(limiter.reserve(CopyId(7), later).as_millisecond(), t0.as_millisecond() + 2000, "a newcomer queues behind");
    }

    /// Asks for each copy when it comes first, and again whenever it was told to; whoever is told "now" leaves, `late` after asking.
    /// When each left, in milliseconds.
    fn departures(limiter: &Limiter, comes: impl Iterator<Item = (i64, i64)>, late: i64) -> Vec<i64> {
        let mut asks: BinaryHeap<Reverse<(i64, i64)>> = comes.map(|(at, copy)| Reverse((at, copy))).collect();
        let mut left = Vec::new();
        while let Some(Reverse((at, copy))) = asks.pop() {
            let told = limiter.reserve(CopyId(copy), Timestamp::from_millisecond(at).unwrap()).as_millisecond();
            if told <= at { left.push(at) } else { asks.push(Reverse((told + late, copy))) }
        }
        left
    }

    /// The most that left within any time of so many seconds.
    fn busiest(left: &[i64], seconds: i64) -> usize {
        left.iter().enumerate().map(|(i, at)| left[i..].partition_point(|later| *later < at + seconds * 1000)).max().unwrap()
    }

    #[test]
    fn those_who_could_not_use_their_moments_queue_again() {
        let limiter = Limiter::new(20.0, 20);
        let (evening, morning) = (1_000_000_000, 1_050_000_000);
        // Due together in the evening: the window closes on all but the first hundred, who wait for the next opening.
        for copy in 0..2000 {
            let told = limiter.reserve(CopyId(copy), Timestamp::from_millisecond(evening).unwrap()).as_millisecond();
            assert!(told <= evening + 100_000);
        }
        // In the morning they come together, beside as many newcomers.
        let comes = (100..4000).map(|copy| (morning + if copy < 2000 { 0 } else { copy * 10 }, copy));
        let left = departures(&limiter, comes, 0);
        assert_eq!(left.len(), 3900);
        assert!(busiest(&left, 1) <= 40, "{} in a second", busiest(&left, 1));
        let took = (left[3899] - morning) / 1000;
        assert!((190..=200).contains(&took), "at the full rate all the same: {took} s");
    }

    #[test]
    fn a_pause_in_the_middle_of_a_queue_is_followed_by_the_rate() {
        let limiter = Limiter::new(20.0, 20);
        let begin = 1_000_000_000;
        // A hundred seconds of queue; from the tenth second to the sixtieth the channel takes nothing.
        let first: Vec<i64> = (0..2000)
            .map(|copy| limiter.reserve(CopyId(copy), Timestamp::from_millisecond(begin).unwrap()).as_millisecond())
            .collect();
        let waiting = (0..2000).zip(first).filter(|(_, at)| *at > begin + 10_000);
        let comes = waiting.map(|(copy, at)| (at.max(begin + 60_000), copy));
        let left = departures(&limiter, comes, 0);
        assert_eq!(left.len(), 1780);
        // The burst after a quiet time, the rate, and once those whose moments were just gone.
        assert!(busiest(&left, 1) <= 20 + 20 + 20, "{} in a second", busiest(&left, 1));
        assert!(busiest(&left, 10) <= 20 + 200 + 20, "{} in ten seconds", busiest(&left, 10));
    }

    #[test]
    fn workers_that_wake_late_lose_nothing() {
        for (late, per_second, burst, most) in [(0, 20.0, 20, 149_000), (300, 20.0, 1, 150_300), (900, 500.0, 1, 6_900)] {
            let limiter = Limiter::new(per_second, burst);
            let left = departures(&limiter, (0..3000).map(|copy| (1_000_000_000, copy)), late);
            let took = left[2999] - 1_000_000_000;
            assert!(took <= most, "{late} ms late: {took} ms");
        }
        // Far behind: the queue is gone through once, and not from its end again and again.
        let limiter = Limiter::new(1000.0, 1);
        let at = |ms: i64| Timestamp::from_millisecond(1_000_000_000 + ms).unwrap();
        let told: Vec<Timestamp> = (0..3000).map(|copy| limiter.reserve(CopyId(copy), at(0))).collect();
        for (copy, told) in (0..3000).zip(told).skip(1) {
            let asks = at(copy * 10).max(told);
            assert_eq!(limiter.reserve(CopyId(copy), asks), asks, "{copy} is asked for when a tenth of the rate is used");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_takes_its_moments_along() {
        let limiter = Limiter::new(1.0, 1);
        let right = Timestamp::from_second(1_000_000).unwrap();
        let ahead = right + SignedDuration::from_hours(24);
        assert_eq!(limiter.reserve(CopyId(1), ahead), ahead);
        assert_eq!(limiter.reserve(CopyId(2), ahead), ahead + SignedDuration::from_secs(1));
        assert_eq!(limiter.reserve(CopyId(3), right), right + SignedDuration::from_secs(2));
        assert_eq!(limiter.reserve(CopyId(2), right), right + SignedDuration::from_secs(1), "its kept slot as well");
    }

    #[test]
    fn no_rate_no_wait() {
        let limiter = Limiter::new(0.0, 0);
        let now = Timestamp::from_second(5).unwrap();
        assert!((0..1000).all(|n| limiter.reserve(CopyId(n), now) == now));
    }
}
