//! Civil time: windows in a zone, calendar days, working time. DST gaps and overlaps are resolved by jiff ("compatible": a time
//! in a gap moves forward, a doubled one is its first occurrence).

use super::WorkingHours;
use crate::model::HumanDuration;
use jiff::{SignedDuration, Timestamp, ToSpan, civil, tz::TimeZone};
use std::collections::BTreeSet;

/// How many days ahead an opening is looked for: two years of holidays are a mistake, not a calendar.
const HORIZON_DAYS: i32 = 740;

/// Open on `days` (empty: every day) from `from` to `to`; `to` at or before `from` means past midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub days: Vec<civil::Weekday>,
    pub from: civil::Time,
    pub to: civil::Time,
}

/// An unbroken stretch of open time within one civil day: `from` included, `until` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// `t` plus calendar days in the zone, then plus elapsed time. Saturates at the end of time.
#[must_use]
pub fn add_duration(t: Timestamp, d: HumanDuration, zone: &TimeZone) -> Timestamp {
    shift(t, i64::from(d.days), i64::from(d.seconds), zone)
}

/// `t` minus calendar days in the zone, then minus elapsed time.
pub(super) fn sub_duration(t: Timestamp, d: HumanDuration, zone: &TimeZone) -> Timestamp {
    shift(t, -i64::from(d.days), -i64::from(d.seconds), zone)
}

fn shift(t: Timestamp, days: i64, seconds: i64, zone: &TimeZone) -> Timestamp {
    let end = if days < 0 || seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let moved = if days == 0 {
        t
    } else {
        match t.to_zoned(zone.clone()).checked_add(days.days()) {
            Ok(zoned) => zoned.timestamp(),
            Err(_) => return end,
        }
    };
    moved.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(end)
}

/// The moment of a civil date and time in the zone.
pub(super) fn moment(date: civil::Date, time: civil::Time, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(date.to_datetime(time)).unwrap_or(Timestamp::MAX)
}

/// The civil date of a moment in the zone.
pub(super) fn date_in(t: Timestamp, zone: &TimeZone) -> civil::Date {
    zone.to_datetime(t).date()
}

pub(super) fn next_date(date: civil::Date) -> civil::Date {
    date.tomorrow().unwrap_or(civil::Date::MAX)
}

/// The first open moment at or after `t`, with the stretch that follows it up to closing time or midnight. No windows: open all
/// day. A moment is closed when its own civil date is a holiday, even in a window that began the evening before. `None`: it does
/// not open within two years.
#[must_use]
pub fn next_open(windows: &[Window], holidays: &BTreeSet<civil::Date>, zone: &TimeZone, t: Timestamp) -> Option<Open> {
    let always = [Window { days: Vec::new(), from: civil::Time::midnight(), to: civil::Time::midnight() }];
    let windows = if windows.is_empty() { always.as_slice() } else { windows };
    // A window of the evening before may still be open.
    let mut date = date_in(t, zone).yesterday().unwrap_or(civil::Date::MIN);
    for _ in 0..HORIZON_DAYS {
        let mut best: Option<Open> = None;
        for window in windows.iter().filter(|w| w.days.is_empty() || w.days.contains(&date.weekday())) {
            for open in stretches(window, date, holidays, zone) {
                let from = open.from.max(t);
                if from < open.until {
                    best = Some(match best {
                        Some(b) if (b.from, std::cmp::Reverse(b.until)) <= (from, std::cmp::Reverse(open.until)) => b,
                        _ => Open { from, until: open.until },
                    });
                }
            }
        }
        if best.is_some() {
            return best;
        }
        date = next_date(date);
    }
    None
}

/// The one or two stretches (before and after midnight) of the window that begins on `date`.
fn stretches(
    window: &Window,
    date: civil::Date,
    holidays: &BTreeSet<civil::Date>,
    zone: &TimeZone,
) -> impl Iterator<Item = Open> + use<> {
    let next = next_date(date);
    let past_midnight = window.to <= window.from;
    let midnight = moment(next, civil::Time::midnight(), zone);
    let closing = if past_midnight { midnight } else { moment(date, window.to, zone) };
    let first = (!holidays.contains(&date)).then(|| Open { from: moment(date, window.from, zone), until: closing });
    let second = (past_midnight && window.to > civil::Time::midnight() && !holidays.contains(&next))
        .then(|| Open { from: midnight, until: moment(next, window.to, zone) });
    first.into_iter().chain(second)
}

/// `t` plus working time: the clock starts at the first working moment; a day is "the same time on the next working day"; hours
/// run only while work is open. Always open when no windows are declared.
#[must_use]
pub fn add_working(hours: &WorkingHours, t: Timestamp, d: HumanDuration) -> Timestamp {
    let zone = &hours.time_zone;
    let open_at = |t| next_open(&hours.windows, &hours.holidays, zone, t);
    let Some(start) = open_at(t) else { return Timestamp::MAX };
    let mut at = start.from;
    if d.days > 0 {
        let civil = zone.to_datetime(at);
        let mut date = civil.date();
        for _ in 0..d.days {
            date = next_working_date(hours, date);
        }
        at = moment(date, civil.time(), zone);
    }
    let mut left = SignedDuration::from_secs(i64::from(d.seconds));
    // At least one stretch a day, and never more than ten years of hours.
    for _ in 0..40_000 {
        let Some(open) = open_at(at) else { return Timestamp::MAX };
        at = open.from;
        let room = open.until.duration_since(at);
        if left < room || left.is_zero() {
            return at.checked_add(left).unwrap_or(Timestamp::MAX);
        }
        left -= room;
        at = open.until;
    }
    Timestamp::MAX
}

fn next_working_date(hours: &WorkingHours, date: civil::Date) -> civil::Date {
    let mut date = next_date(date);
    for _ in 0..HORIZON_DAYS {
        let open = hours.windows.is_empty() || hours.windows.iter().any(|w| w.days.is_empty() || w.days.contains(&date.weekday()));
        if open && !hours.holidays.contains(&date) {
            break;
        }
        date = next_date(date);
    }
    date
}

/// Working time between two moments (zero when `to` is not after `from`): how reaction times are measured.
#[must_use]
pub fn working_elapsed(hours: &WorkingHours, from: Timestamp, to: Timestamp) -> SignedDuration {
    let mut sum = SignedDuration::ZERO;
    let mut at = from;
    while at < to {
        let Some(open) = next_open(&hours.windows, &hours.holidays, &hours.time_zone, at) else { break };
        if open.from >= to {
            break;
        }
        sum += open.until.min(to).duration_since(open.from);
        at = open.until;
    }
    sum
}

/// The first moment at or after `base` that is `time` of day (if given) on one of `days` (empty: any). Without a time, a day that
/// had to be waited for begins at midnight.
pub(super) fn align(base: Timestamp, time: Option<civil::Time>, days: &[civil::Weekday], zone: &TimeZone) -> Timestamp {
    let mut date = date_in(base, zone);
    for _ in 0..9 {
        let candidate = match time {
            Some(time) => moment(date, time, zone),
            None => moment(date, civil::Time::midnight(), zone).max(base),
        };
        if candidate >= base && (days.is_empty() || days.contains(&date.weekday())) {
            return candidate;
        }
        date = next_date(date);
    }
    base
}
