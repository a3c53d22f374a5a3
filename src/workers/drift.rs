//! Two clocks that must agree: ours tells what hour it is where the client lives and which day a cap counts, the database's tells how
//! long the lease lasts, and it is the one that all replicas share.

use super::engine::{Engine, WorkerError, lock};
use jiff::{SignedDuration, Timestamp};

/// Further apart they are logged: a clock that nobody sets is wrong by seconds, and nothing depends on those.
const TOLD: SignedDuration = SignedDuration::from_secs(5);

/// Further apart nothing is sent: no clock that somebody sets is wrong by that much, and one that is may be wrong by hours.
const MOST: SignedDuration = SignedDuration::from_mins(1);

impl Engine {
    /// Before the lease is taken, and as long as it is held.
    pub(super) async fn compare_clocks(&self) -> Result<(), WorkerError> {
        if self.clock.is_virtual() {
            return Ok(());
        }
        let before = self.clock.now();
        let Some(there) = self.journal.time().await? else { return Ok(()) };
        let ahead = ahead_of(there, before, self.clock.now());
        self.metrics.clock_ahead(ahead);
        let told = ahead.abs() > TOLD;
        if told != std::mem::replace(&mut *lock(&self.drifted), told) {
            let seconds = ahead.as_secs();
            if told {
                tracing::warn!(seconds, "this machine's clock is ahead of the database's (below zero: behind): set them by NTP");
            } else {
                tracing::info!("this machine's clock and the database's agree again");
            }
        }
        if ahead.abs() <= MOST {
            return Ok(());
        }
        // It is not given up: it runs out by itself, and what is under way has come to an end by then.
        self.held.store(None);
        Err(WorkerError::Clock(words(ahead)))
    }
}

/// How far our clock is ahead of the other for certain, however long the answer was on its way: it fell between these two moments.
fn ahead_of(there: Timestamp, before: Timestamp, after: Timestamp) -> SignedDuration {
    if there < before {
        before.duration_since(there)
    } else if there > after {
        after.duration_since(there)
    } else {
        SignedDuration::ZERO
    }
}

/// In words that do not change each second.
fn words(ahead: SignedDuration) -> String {
    let (minutes, side) = (ahead.abs().as_mins(), if ahead.is_negative() { "behind" } else { "ahead of" });
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let far = if hours > 0 { format!("{hours} h {minutes} min") } else { format!("{minutes} min") };
    format!("this machine's clock is {far} {side} the database's")
}

#[cfg(test)]
mod tests {
    use super::{ahead_of, words};
    use crate::{
        store::Store,
        workers::{Clock, Engine, EngineMetrics, EngineSettings, WorkerError, engine::Held},
    };
    use jiff::{SignedDuration, Timestamp};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_machine_that_slept_sends_nothing_until_the_store_says_that_the_lease_is_still_its_own() {
        let store = Store::open("memory:").await.unwrap();
        let metrics = EngineMetrics::new(&mut prometheus_client::registry::Registry::default());
        let engine = Engine::new(store.journal.clone(), Clock::Real, EngineSettings::default(), metrics);
        assert!(engine.hold_lease().await.unwrap());
        let held = engine.held().unwrap();
        let since = held.since.before_sleep(SignedDuration::from_hours(1));
        engine.held.store(Some(Arc::new(Held { since, ..Held::clone(&held) })));
        assert!(matches!(engine.held(), Err(WorkerError::Standby)), "its deadline stood still while the lease ran out");
        assert!(engine.hold_lease().await.unwrap());
        assert_eq!(engine.held().unwrap().lease, held.lease);
    }

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        let at = |second| Timestamp::from_second(second).unwrap();
        // (the database's time, ours before and after, how far ours is ahead)
        for (there, before, after, ahead) in [
            (100, 100, 100, 0),
            (105, 100, 190, 0),
            (100, 100, 190, 0),
            (190, 100, 190, 0),
            (40, 100, 101, 60),
            (161, 100, 101, -60),
        ] {
            assert_eq!(ahead_of(at(there), at(before), at(after)).as_secs(), ahead, "{there} {before} {after}");
        }
    }

    #[test]
    fn what_is_said_of_a_wrong_clock_can_be_read() {
        for (seconds, said) in [
            (90, "this machine's clock is 1 min ahead of the database's"),
            (-32_400, "this machine's clock is 9 h 0 min behind the database's"),
        ] {
            assert_eq!(words(SignedDuration::from_secs(seconds)), said);
        }
    }
}
