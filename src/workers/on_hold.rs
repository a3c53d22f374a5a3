//! Messages on hold, which no pass must go through again and again.

use crate::store::Hold;
use jiff::{SignedDuration, Timestamp};

/// How far the messages that wait are known to be on hold: there may be hundred thousands, and every pass would go through them all.
#[derive(Debug, Default)]
pub(super) struct OnHold {
    /// The lease and the holds of that look.
    epoch: i64,
    holds: Vec<Hold>,
    /// All messages that were due before it are on hold.
    until: Option<Timestamp>,
    /// When all of them were last looked at.
    swept_at: Option<Timestamp>,
}

impl OnHold {
    /// A message may still come with a moment that has passed, from a process whose clock is behind, say. One that comes later than that is
    /// found by the next sweep.
    const LATE: SignedDuration = SignedDuration::from_secs(60);
    const SWEEP: SignedDuration = SignedDuration::from_secs(60);

    /// From where on to look for messages; `None`: at all of them.
    pub(super) fn low(&self, epoch: i64, holds: &[Hold], now: Timestamp) -> Option<Timestamp> {
        let fresh = self.swept_at.is_some_and(|at| at <= now && now.duration_since(at) < Self::SWEEP);
        self.until.filter(|_| fresh && self.epoch == epoch && self.holds == holds)
    }

    /// After a look from `low` on. All messages that were due before `first` are on hold, if that is known.
    pub(super) fn looked(
        &mut self,
        epoch: i64,
        holds: Vec<Hold>,
        low: Option<Timestamp>,
        now: Timestamp,
        first: Option<Timestamp>,
    ) {
        if low.is_none() {
            *self = Self { epoch, holds, until: None, swept_at: Some(now) };
        }
        if let Some(first) = first.filter(|_| !self.holds.is_empty()) {
            self.until = Some(first.min(now - Self::LATE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OnHold;
    use crate::store::{Hold, HoldScope};
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn hold(channel: &str) -> Hold {
        Hold { scope: HoldScope::Channel(channel.into()), since: at(0), by: "sre".into(), reason: String::new() }
    }

    #[test]
    fn what_is_on_hold_is_gone_through_once_a_minute_and_whenever_something_is_released() {
        let mut on_hold = OnHold::default();
        let (both, one) = (vec![hold("shop/sms"), hold("shop/mail")], vec![hold("shop/mail")]);
        assert_eq!(on_hold.low(1, &both, at(100)), None, "nobody has looked yet");
        on_hold.looked(1, both.clone(), None, at(100), Some(at(100)));
        assert_eq!(on_hold.low(1, &both, at(101)), Some(at(40)));
        on_hold.looked(1, both.clone(), Some(at(40)), at(130), Some(at(130)));
        assert_eq!(on_hold.low(1, &both, at(131)), Some(at(70)));
        assert_eq!(on_hold.low(1, &one, at(131)), None, "one was released");
        assert_eq!(on_hold.low(2, &both, at(131)), None, "a take-over gives back what waits since long");
        assert_eq!(on_hold.low(1, &both, at(160)), None, "a minute has passed");
        assert_eq!(on_hold.low(1, &both, at(99)), None, "the clock was ahead");
        // A message of another channel that waits for a free place stays where it is.
        on_hold.looked(1, both.clone(), None, at(160), Some(at(90)));
        assert_eq!(on_hold.low(1, &both, at(161)), Some(at(90)));
        on_hold.looked(1, both.clone(), None, at(160), None);
        assert_eq!(on_hold.low(1, &both, at(161)), None, "more write-backs than one look takes");
        on_hold.looked(1, Vec::new(), None, at(161), Some(at(161)));
        assert_eq!(on_hold.low(1, &[], at(162)), None, "nothing is on hold");
    }
}
