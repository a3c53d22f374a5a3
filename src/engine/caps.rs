//! Contact caps: how many messages a person may get in a day, a week, a month or any stretch of time.

use super::calendar::{date_in, moment, next_date};
use super::{Cap, CapPer, Policy};
use crate::model::Medium;
use jiff::{SignedDuration, Timestamp, ToSpan, civil, tz::TimeZone};

/// The first moment at or after `t` at which one more advertising message keeps all caps, with those sent at `recent`. Service messages
/// neither count nor are asked about. `None`: never (a cap of zero).
pub(super) fn fits_at(
    policy: &Policy,
    recent: &[(Timestamp, Medium)],
    medium: Medium,
    zone: &TimeZone,
    t: Timestamp,
) -> Option<Timestamp> {
    let caps: Vec<&Cap> = policy.caps.iter().filter(|c| c.medium.is_none_or(|m| m == medium)).collect();
    let mut at = t;
    // Each round moves past at least one message or one calendar unit that holds messages: it ends with them.
    for _ in 0..=recent.len() * (caps.len() + 1) + 1 {
        let mut moved = false;
        for cap in &caps {
            if cap.at_most == 0 {
                return None;
            }
            if let Some(later) = full_until(cap, recent, zone, at) {
                at = later;
                moved = true;
            }
        }
        if !moved {
            return Some(at);
        }
    }
    Some(at)
}

/// When the cap has room again, if it is full at `t`.
fn full_until(cap: &Cap, recent: &[(Timestamp, Medium)], zone: &TimeZone, t: Timestamp) -> Option<Timestamp> {
    let counted = recent.iter().filter(|(_, medium)| cap.medium.is_none_or(|m| m == *medium)).map(|(at, _)| *at);
    let at_most = usize::try_from(cap.at_most).unwrap_or(usize::MAX);
    if let CapPer::Rolling(length) = cap.per {
        let mut times: Vec<Timestamp> = counted.filter(|at| *at <= t && t.duration_since(*at) < length.signed()).collect();
        times.sort_unstable();
        // The one that must have left before another fits.
        let leaving = times.len().checked_sub(at_most).and_then(|i| times.get(i))?;
        return Some(leaving.checked_add(length.signed()).unwrap_or(Timestamp::MAX));
    }
    let (from, until) = unit(cap.per, zone, t);
    let count = counted.filter(|at| *at >= from && *at < until).count();
    (count >= at_most && until > t).then_some(until)
}

/// The calendar unit around `t`: from its first midnight to the next one's. Weeks begin on Monday.
fn unit(per: CapPer, zone: &TimeZone, t: Timestamp) -> (Timestamp, Timestamp) {
    let date = date_in(t, zone);
    let (first, next) = match per {
        CapPer::Week => {
            let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()).unwrap_or(date);
            (monday, monday.checked_add(7.days()).unwrap_or(civil::Date::MAX))
        }
        CapPer::Month => (date.first_of_month(), next_date(date.last_of_month())),
        CapPer::Day | CapPer::Rolling(_) => (date, next_date(date)),
    };
    let midnight = civil::Time::midnight();
    (moment(first, midnight, zone), moment(next, midnight, zone).max(t.saturating_add(SignedDuration::from_secs(1)).unwrap_or(t)))
}
