//! Times of day, days of the week, zones and moments as people write them.

use super::finding::{Findings, Reason, near};
use crate::api::{Day, TimeWindow};
use crate::engine::Window;
use jiff::{Timestamp, civil, tz::TimeZone};

pub(super) const fn weekday(day: Day) -> civil::Weekday {
    match day {
        Day::Mon => civil::Weekday::Monday,
        Day::Tue => civil::Weekday::Tuesday,
        Day::Wed => civil::Weekday::Wednesday,
        Day::Thu => civil::Weekday::Thursday,
        Day::Fri => civil::Weekday::Friday,
        Day::Sat => civil::Weekday::Saturday,
        Day::Sun => civil::Weekday::Sunday,
    }
}

/// `10:00`. `24:00` is midnight where a window ends.
pub(super) fn time_of_day(text: &str, closing: bool, path: &str, found: &mut Findings) -> Option<civil::Time> {
    if closing && text == "24:00" {
        return Some(civil::Time::midnight());
    }
    let time = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2).and_then(|(h, m)| {
        let (h, m) = (h.parse::<i8>().ok()?, m.parse::<i8>().ok()?);
        civil::Time::new(h, m, 0, 0).ok()
    });
    if time.is_none() {
        found.error(
            path,
            Reason::InvalidValue,
            format!("{text:?} is not a time of day"),
            "write hours and minutes in quotes, like \"09:30\"",
        );
    }
    time
}

pub(super) fn window(spec: &TimeWindow, path: &str, found: &mut Findings) -> Window {
    let from = time_of_day(&spec.from, false, &format!("{path}.from"), found);
    let to = time_of_day(&spec.to, true, &format!("{path}.to"), found);
    if from.is_some() && from == to && spec.to != "24:00" {
        found.error(
            path,
            Reason::NeverOpens,
            format!("the window opens and closes at {}, so it never opens", spec.from),
            "let to be later than from, or write from: \"00:00\", to: \"24:00\" for the whole day",
        );
    }
    Window { days: days(&spec.days), from: from.unwrap_or_default(), to: to.unwrap_or_default() }
}

/// Each day once, in the order of the week.
pub(super) fn days(list: &[Day]) -> Vec<civil::Weekday> {
    let mut days = list.to_vec();
    days.sort_unstable();
    days.dedup();
    days.into_iter().map(weekday).collect()
}

pub(super) fn zone(name: &str, path: &str, found: &mut Findings) -> TimeZone {
    // `Etc/Unknown` is one that jiff knows and nobody lives in.
    if let Some(zone) = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown()) {
        return zone;
    }
    let known: Vec<String> = jiff::tz::db().available().map(|n| n.as_str().to_owned()).collect();
    // "Moscow" alone is a common way to write it.
    let tail = format!("/{}", name.to_lowercase());
    let help = known.iter().find(|k| k.to_lowercase().ends_with(&tail)).map_or_else(
        || {
            let usual = "write its name in the time zone database, like Europe/Moscow or Asia/Yekaterinburg".to_owned();
            // Among some 600 names one of a short wrong word is always near.
            let long = name.len() >= 8;
            near(name, known.iter().map(String::as_str)).filter(|_| long).map_or(usual, |zone| format!("did you mean {zone}?"))
        },
        |zone| format!("did you mean {zone}?"),
    );
    let message = format!("the time zone {name:?} is not known");
    if TimeZone::get(name).is_ok() {
        // What is stored with `Etc/Unknown` has gone by UTC all along.
        found.refuse(path, Reason::UnknownTimeZone, message, help);
    } else {
        found.error(path, Reason::UnknownTimeZone, message, help);
    }
    TimeZone::UTC
}

/// A moment with an offset, or a day, which begins in `zone`.
pub(super) fn moment(text: &str, zone: &TimeZone, path: &str, found: &mut Findings) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if text.len() == 10
        && let Ok(day) = text.parse::<civil::Date>()
        && let Ok(start) = day.to_zoned(zone.clone())
    {
        return Some(start.timestamp());
    }
    found.error(
        path,
        Reason::InvalidValue,
        format!("{text:?} is not a day or a moment"),
        "write a day like 2027-03-01, or a moment with its offset like 2027-03-01T10:00:00+03:00",
    );
    None
}

pub(super) fn date(text: &str, path: &str, found: &mut Findings) -> Option<civil::Date> {
    let date = (text.len() == 10).then(|| text.parse::<civil::Date>().ok()).flatten();
    if date.is_none() {
        found.error(
            path,
            Reason::InvalidValue,
            format!("{text:?} is not a day of the calendar"),
            "write year, month and day, like 2027-05-03",
        );
    }
    date
}

/// Whether a message that is aligned to `at` and `days` can ever go out at such a moment.
pub(super) fn opens(windows: &[Window], at: Option<civil::Time>, days: &[civil::Weekday]) -> bool {
    const WEEK: [civil::Weekday; 7] = [
        civil::Weekday::Monday,
        civil::Weekday::Tuesday,
        civil::Weekday::Wednesday,
        civil::Weekday::Thursday,
        civil::Weekday::Friday,
        civil::Weekday::Saturday,
        civil::Weekday::Sunday,
    ];
    let wanted = if days.is_empty() { &WEEK[..] } else { days };
    let on = |w: &Window, day: civil::Weekday| w.days.is_empty() || w.days.contains(&day);
    windows.is_empty()
        || wanted.iter().any(|day| {
            windows.iter().any(|w| {
                let overnight = w.to <= w.from;
                match at {
                    None => on(w, *day) || overnight && on(w, day.previous()),
                    Some(at) if overnight => on(w, *day) && at >= w.from || on(w, day.previous()) && at < w.to,
                    Some(at) => on(w, *day) && at >= w.from && at < w.to,
                }
            })
        })
}
