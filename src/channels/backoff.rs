//! How long a provider that could not be reached is left alone.

use crate::model::{Outcome, share, stable_hash};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

const MIN: Duration = Duration::from_millis(500);
const MAX: Duration = Duration::from_mins(1);

/// Doubles from half a second to a minute, with up to half of it taken off, so that processes do not knock together.
fn delay(who: &str, failures: u32) -> Duration {
    let full = MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(MAX);
    let seed = stable_hash(&[who.as_bytes(), &failures.to_be_bytes(), &std::process::id().to_be_bytes()]);
    full.mul_f64(1.0 - share(seed) / 2.0)
}

/// After one more failure: how many there were, and when to knock again. Attempts that were under way together are one: a restart of
/// the other side would otherwise cost a pool of thirty the longest wait at once. `until`: as it stood.
pub(super) fn next(who: &str, failures: u32, until: Option<Instant>) -> (u32, Instant) {
    let now = Instant::now();
    if let Some(until) = until.filter(|until| *until > now) {
        return (failures, until);
    }
    let failures = failures.saturating_add(1);
    (failures, now + delay(who, failures))
}

/// Answers for a provider that cannot be reached, so that a batch costs one time-out and the next provider gets it soon.
pub(super) struct Breaker {
    who: String,
    state: Mutex<(u32, Option<(Instant, String)>)>,
}

impl Breaker {
    pub(super) fn new(who: &str) -> Self {
        Self { who: who.to_owned(), state: Mutex::default() }
    }

    /// What to report without trying, if it was unreachable a moment ago.
    pub(super) fn answer(&self) -> Option<Outcome> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, reason) = state.1.as_ref()?;
        let after = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
        Some(Outcome::Retry { reason: reason.clone(), after: Some(after) })
    }

    /// No connection came about.
    pub(super) fn unreachable(&self, reason: &str) -> Outcome {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (failures, until) = next(&self.who, state.0, state.1.as_ref().map(|(until, _)| *until));
        let after = until.saturating_duration_since(Instant::now());
        *state = (failures, Some((until, reason.to_owned())));
        tracing::warn!(provider = %self.who, failures, retry_in_ms = after.as_millis(), reason, "SMS provider not reachable");
        Outcome::Retry { reason: reason.to_owned(), after: Some(after) }
    }

    /// It answered, whatever it said.
    pub(super) fn reachable(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, MAX, MIN, delay};
    use crate::model::Outcome;

    #[test]
    fn delays_grow_to_a_minute_and_are_spread() {
        assert!(delay("a", 1) <= MIN && delay("a", 1) >= MIN / 2);
        assert!((1..40).all(|n| delay("a", n) <= MAX && delay("a", n) >= MIN / 2));
        assert!(delay("a", 30) >= MAX / 2);
        assert_ne!(delay("a", 20), delay("b", 20));
    }

    #[test]
    fn one_failure_answers_for_the_rest_until_it_is_reached_again() {
        let breaker = Breaker::new("main");
        assert_eq!(breaker.answer(), None);
        assert!(matches!(breaker.unreachable("no connection"), Outcome::Retry { after: Some(_), .. }));
        assert!(matches!(breaker.answer(), Some(Outcome::Retry { after: Some(_), .. })));
        breaker.reachable();
        assert_eq!(breaker.answer(), None);
    }

    #[test]
    fn thirty_who_knock_together_wait_no_longer_than_one() {
        let breaker = Breaker::new("main");
        for _ in 0..30 {
            let Outcome::Retry { after: Some(after), .. } = breaker.unreachable("no connection") else { panic!() };
            assert!(after <= MIN, "{after:?}");
        }
    }
}
