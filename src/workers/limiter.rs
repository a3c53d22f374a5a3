//! Rates: a token bucket that hands out moments instead of refusals (GCRA), so that what waits knows until when.

use crate::model::CopyId;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One channel's rate. Reservations live in memory: after a restart they are simply made again.
#[derive(Debug)]
pub struct Limiter {
    interval_us: i64,
    burst_us: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Theoretical arrival time of the next message, in microseconds.
    next_us: i64,
    reserved: HashMap<CopyId, Timestamp>,
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
            state: Mutex::new(State { next_us: i64::MIN / 2, reserved: HashMap::new(), now_us: i64::MIN / 2 }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When this copy's message may leave. A moment in the future is kept for it: it asks again then and gets "now".
    pub fn reserve(&self, copy: CopyId, now: Timestamp) -> Timestamp {
        if self.interval_us == 0 {
            return now;
        }
        let now_us = now.as_microsecond();
        let mut state = self.lock();
        state.set_right(now_us);
        if let Some(slot) = state.reserved.get(&copy).copied() {
            if slot <= now {
                state.reserved.remove(&copy);
                return now;
            }
            return slot;
        }
        let slot_us = state.next_us.max(now_us - self.burst_us);
        state.next_us = slot_us + self.interval_us;
        if slot_us <= now_us {
            return now;
        }
        // Rounded up to what is stored, so that the copy is not due a moment before its slot.
        let slot = Timestamp::from_millisecond((slot_us + 999) / 1000).unwrap_or(now);
        state.reserved.insert(copy, slot);
        // Copies that never came back (archived, merged) must not pile up.
        if state.reserved.len() > 100_000 {
            let old = now - SignedDuration::from_hours(1);
            state.reserved.retain(|_, at| *at > old);
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::Limiter;
    use crate::model::CopyId;
    use jiff::{SignedDuration, Timestamp};

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
