//! Time is a value: everything asks this clock, so that the same binary runs a month in a second.

use jiff::Timestamp;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
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
}
