//! Messages on a date: a day before a visit, on a handover, on a birthday. They stand outside the order of their list: they wait for
//! their own day, hold nobody up, and move nobody's clock.

use super::calendar::{date_in, moment, next_date, sub_duration};
use super::facts::{Fact, Facts};
use super::{Item, add_duration};
use crate::model::HumanDuration;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// The date that an item waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateRule {
    /// A name as conditions know it, like `deal.visitAt` or `client.birthday`.
    pub path: String,
    /// Before it, or after it.
    pub offset: HumanDuration,
    pub before: bool,
    /// Its day comes every year: the next one counts.
    pub yearly: bool,
}

/// When it is planned, and when it no longer makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dated {
    pub due: Timestamp,
    pub until: Timestamp,
}

/// How late a message on a date may be, unless its item says otherwise.
const LATE: HumanDuration = HumanDuration::days(1);

/// The moment of an item with a date, for a journey that began then. `None`: the date is not known, or its moment was over before
/// the journey began. One that was set inside its own offset (a visit tomorrow, booked today) is due at once, at most a day (or
/// the item's `expiresAfter`) late, and never after the date itself.
pub(super) fn moment_of(rule: &DateRule, item: &Item, facts: &Facts<'_>, began: Timestamp, zone: &TimeZone) -> Option<Dated> {
    let Fact::Text(text) = facts.get(&rule.path) else { return None };
    let date = read(&text, zone)?;
    if !rule.yearly {
        return Some(planned(rule, item, date, zone)).filter(|dated| dated.until > began);
    }
    let day = date_in(date, zone);
    let first = date_in(began, zone).year();
    // The one of the year before may fall into this year by its offset.
    (first.saturating_sub(1)..=first.saturating_add(2)).find_map(|year| {
        // Who was born on the 29th of February has a birthday every year.
        let month = civil::Date::new(year, day.month(), 1).ok()?;
        let that_year = civil::Date::new(year, day.month(), day.day().min(month.days_in_month())).ok()?;
        Some(planned(rule, item, moment(that_year, civil::Time::midnight(), zone), zone)).filter(|dated| dated.due >= began)
    })
}

fn planned(rule: &DateRule, item: &Item, date: Timestamp, zone: &TimeZone) -> Dated {
    let base = if rule.before { sub_duration(date, rule.offset, zone) } else { add_duration(date, rule.offset, zone) };
    let mut day = date_in(base, zone);
    for _ in 0..7 {
        if item.days.is_empty() || item.days.contains(&day.weekday()) {
            break;
        }
        day = next_date(day);
    }
    // The time of day is that of the day, even if the visit itself is earlier in the day.
    let due = match item.at {
        Some(time) => moment(day, time, zone),
        None => moment(day, civil::Time::midnight(), zone).max(base),
    };
    let late = add_duration(due, item.expires_after.unwrap_or(LATE), zone);
    // A date without a time is a whole day.
    let over = if zone.to_datetime(date).time() == civil::Time::midnight() { add_duration(date, LATE, zone) } else { date };
    Dated { due, until: if rule.before { late.min(over) } else { late } }
}

/// Whether a moment became the day that it had meant: midnight of some zone, which connectors used to make of a day. Nothing happened to
/// the deal then.
pub(super) fn same_day(before: &str, after: &str) -> bool {
    let (Ok(before), Ok(after)) = (before.parse::<Timestamp>(), after.parse::<civil::Date>()) else { return false };
    let ahead = moment(after, civil::Time::midnight(), &TimeZone::UTC).duration_since(before);
    (SignedDuration::from_hours(-12)..=SignedDuration::from_hours(14)).contains(&ahead)
}

/// A moment, or a civil date and time (or date: its midnight) in the client's zone.
pub(super) fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(t) = text.parse::<Timestamp>() {
        return Some(t);
    }
    let civil =
        text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(|d| d.to_datetime(civil::Time::midnight())));
    zone.to_timestamp(civil.ok()?).ok()
}
