//! Time is a value: everything asks this clock, so that the same binary runs a month in a second.

use jiff::{SignedDuration, Timestamp};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The wall clock, or one that only moves when it is told to.
#[derive(Clone, Debug)]
pub enum Clock {
    Real,
    /// Milliseconds since the epoch.
    Virtual(Arc<AtomicI64>),
    /// The wall clock of a process in a simulated world: it runs with tokio's time, which may be paused, and is wrong by `offset`
    /// milliseconds, which may jump. Everything else is as with `Real`: slots, deadlines, things under way at the same time.
    Simulated {
        start: Timestamp,
        since: Instant,
        offset: Arc<AtomicI64>,
    },
}

impl Clock {
    #[must_use]
    pub fn virtual_at(start: Timestamp) -> Self {
        Self::Virtual(Arc::new(AtomicI64::new(start.as_millisecond())))
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            // Milliseconds are what is stored: a finer now would never equal what is read back.
            Self::Real => Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or(Timestamp::UNIX_EPOCH),
            Self::Virtual(ms) => Timestamp::from_millisecond(ms.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH),
            Self::Simulated { start, since, offset } => {
                let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX / 4);
                let ms = start.as_millisecond().saturating_add(passed).saturating_add(offset.load(Ordering::SeqCst));
                Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }

    /// Moves a virtual clock forward to `to`; never back, and the wall clock not at all.
    pub fn advance(&self, to: Timestamp) {
        if let Self::Virtual(ms) = self {
            ms.fetch_max(to.as_millisecond(), Ordering::SeqCst);
        }
    }

    #[must_use]
    pub const fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    #[must_use]
    pub(super) fn moment(&self) -> Moment {
        Moment { wall: self.now(), ticks: Instant::now() }
    }

    /// How much further the wall clock has gone since then than the one that deadlines run on, which stands still while the machine
    /// sleeps. Of the real one only: others are moved on purpose. (Who sets it forward looks the same, and is asked to prove the lease.)
    #[must_use]
    pub(super) fn slept_since(&self, moment: &Moment) -> Duration {
        match self {
            Self::Real => ahead(self.now().duration_since(moment.wall), moment.ticks.elapsed()),
            Self::Virtual(_) | Self::Simulated { .. } => Duration::ZERO,
        }
    }
}

/// One moment on both clocks of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    wall: Timestamp,
    ticks: Instant,
}

#[cfg(test)]
impl Moment {
    /// As if the machine had slept since.
    pub(super) fn before_sleep(self, slept: SignedDuration) -> Self {
        Self { wall: self.wall - slept, ..self }
    }
}

fn ahead(wall: SignedDuration, ticks: Duration) -> Duration {
    Duration::try_from(wall).map_or(Duration::ZERO, |wall| wall.saturating_sub(ticks))
}

#[cfg(test)]
mod tests {
    use super::{Clock, ahead};
    use jiff::{SignedDuration, Timestamp};
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn only_a_wall_clock_that_went_ahead_tells_of_sleep() {
        for (wall, ticks, slept) in
            [(10, 10, 0), (3_600, 2, 3_598), (2, 10, 0), (-3_600, 2, 0), (i64::MAX, 0, i64::MAX.unsigned_abs())]
        {
            assert_eq!(
                ahead(SignedDuration::from_secs(wall), Duration::from_secs(ticks)),
                Duration::from_secs(slept),
                "{wall} {ticks}"
            );
        }
    }

    #[tokio::test]
    async fn clocks_that_are_moved_on_purpose_never_sleep() {
        let an_hour_ago = |clock: &Clock| clock.moment().before_sleep(SignedDuration::from_hours(1));
        let virtually = Clock::virtual_at(Timestamp::now());
        assert_eq!(virtually.slept_since(&an_hour_ago(&virtually)), Duration::ZERO);
        let simulated = Clock::Simulated { start: Timestamp::now(), since: Instant::now(), offset: std::sync::Arc::default() };
        assert_eq!(simulated.slept_since(&an_hour_ago(&simulated)), Duration::ZERO);
        assert!(Clock::Real.slept_since(&an_hour_ago(&Clock::Real)) > Duration::from_mins(59));
        assert!(Clock::Real.slept_since(&Clock::Real.moment()) < Duration::from_secs(1));
    }
}
