//! Civil time: DST gaps and overlaps, windows past midnight, working time, zones.

use crate::engine::calendar::sub_duration;
use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;
use jiff::civil::{Weekday, date};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// A moment as people write it in that zone.
fn local(text: &str, name: &str) -> Timestamp {
    zone(name).to_timestamp(text.parse::<jiff::civil::DateTime>().unwrap()).unwrap()
}

#[test]
fn days_are_calendar_days_and_hours_are_elapsed() {
    // Berlin: clocks go forward on 2026-03-29 at 02:00 and back on 2026-10-25 at 03:00.
    for (from, add, to) in [
        ("2026-03-28T12:00", "1d", "2026-03-29T12:00"),
        ("2026-03-28T12:00", "24h", "2026-03-29T13:00"),
        ("2026-03-28T02:30", "1d", "2026-03-29T03:30"),
        ("2026-10-24T12:00", "24h", "2026-10-25T11:00"),
        ("2026-10-24T02:30", "1d", "2026-10-25T02:30"),
        ("2026-10-24T02:30", "1d1h", "2026-10-25T02:30"),
        ("2026-01-31T12:00", "2w", "2026-02-14T12:00"),
    ] {
        let got = add_duration(local(from, "Europe/Berlin"), d(add), &zone("Europe/Berlin"));
        let got = zone("Europe/Berlin").to_datetime(got).strftime("%Y-%m-%dT%H:%M").to_string();
        assert_eq!(got, to, "{from} + {add}");
    }
}

/// Times far in the future stay the end of the calendar, and far in the past its beginning.
#[test]
fn beyond_the_calendar_is_its_end() {
    let berlin = zone("Europe/Berlin");
    for far in ["1d", "1h", "1d1h"] {
        assert_eq!(add_duration(Timestamp::MAX, d(far), &berlin), Timestamp::MAX, "{far}");
        assert_eq!(sub_duration(Timestamp::MIN, d(far), &berlin), Timestamp::MIN, "{far}");
    }
    assert_eq!(add_duration(Timestamp::MIN, d("0d"), &berlin), Timestamp::MIN);
}

/// Of windows that open at the same moment the longer one counts, whatever their order; of others the one that opens first.
#[test]
fn windows_may_overlap() {
    let (short, long, early) =
        (window(&[], "10:00", "12:00"), window(&[], "10:00", "20:00"), window(&[Weekday::Monday], "09:00", "09:30"));
    for (windows, at, from, until) in [
        (vec![short.clone(), long.clone()], "2026-03-02T08:00", "2026-03-02T10:00", "2026-03-02T20:00"),
        (vec![long.clone(), short.clone()], "2026-03-02T08:00", "2026-03-02T10:00", "2026-03-02T20:00"),
        (vec![short.clone(), long.clone()], "2026-03-02T11:00", "2026-03-02T11:00", "2026-03-02T20:00"),
        (vec![long.clone(), short.clone()], "2026-03-02T11:00", "2026-03-02T11:00", "2026-03-02T20:00"),
        (vec![long.clone(), early.clone()], "2026-03-02T08:00", "2026-03-02T09:00", "2026-03-02T09:30"),
        (vec![early, long], "2026-03-02T08:00", "2026-03-02T09:00", "2026-03-02T09:30"),
    ] {
        let open = next_open(&windows, &BTreeSet::new(), &zone("Europe/Moscow"), t(at)).unwrap();
        assert_eq!((open.from, open.until), (t(from), t(until)), "{windows:?} at {at}");
    }
}

#[test]
fn windows_open_and_close() {
    let none = BTreeSet::new();
    let holiday: BTreeSet<_> = [date(2026, 3, 3)].into();
    let day = vec![window(&weekdays(), "10:00", "20:00")];
    let night = vec![window(&[Weekday::Monday], "22:00", "02:00")];
    for (windows, holidays, at, from, until) in [
        (&day, &none, "2026-03-02T12:00", "2026-03-02T12:00", "2026-03-02T20:00"),
        (&day, &none, "2026-03-02T20:00", "2026-03-03T10:00", "2026-03-03T20:00"),
        (&day, &none, "2026-03-06T20:00", "2026-03-09T10:00", "2026-03-09T20:00"),
        (&day, &holiday, "2026-03-02T20:00", "2026-03-04T10:00", "2026-03-04T20:00"),
        // Monday 22:00 to Tuesday 02:00, told in two stretches.
        (&night, &none, "2026-03-02T23:00", "2026-03-02T23:00", "2026-03-03T00:00"),
        (&night, &none, "2026-03-03T01:00", "2026-03-03T01:00", "2026-03-03T02:00"),
        (&night, &none, "2026-03-03T02:00", "2026-03-09T22:00", "2026-03-10T00:00"),
        (&night, &holiday, "2026-03-03T00:30", "2026-03-09T22:00", "2026-03-10T00:00"),
        (&vec![], &none, "2026-03-02T12:00", "2026-03-02T12:00", "2026-03-03T00:00"),
        (&vec![], &holiday, "2026-03-03T12:00", "2026-03-04T00:00", "2026-03-05T00:00"),
    ] {
        let open = next_open(windows, holidays, &zone("Europe/Moscow"), t(at)).unwrap();
        assert_eq!((open.from, open.until), (t(from), t(until)), "{at}");
    }
    let never: BTreeSet<_> = date(2026, 1, 1).series(jiff::ToSpan::days(1)).take(1500).collect();
    assert_eq!(next_open(&day, &never, &zone("Europe/Moscow"), noon()), None);
}

#[test]
fn a_window_in_the_gap_opens_after_it() {
    // 02:30 does not exist in Berlin on 2026-03-29; a window from then opens at 03:30.
    let windows = vec![window(&[], "02:30", "05:00")];
    let open = next_open(&windows, &BTreeSet::new(), &zone("Europe/Berlin"), local("2026-03-29T01:00", "Europe/Berlin")).unwrap();
    assert_eq!(open.from, local("2026-03-29T03:30", "Europe/Berlin"));
    // Cairo changes at midnight itself: the day begins at 01:00 on 2026-04-24.
    let open = next_open(&[], &BTreeSet::new(), &zone("Africa/Cairo"), local("2026-04-24T01:00", "Africa/Cairo")).unwrap();
    assert_eq!(open.from, local("2026-04-24T01:00", "Africa/Cairo"));
}

#[test]
fn working_time() {
    let mut hours = working_hours();
    hours.holidays = [date(2026, 3, 9)].into();
    for (from, add, to) in [
        ("2026-03-02T12:00", "0h", "2026-03-02T12:00"),
        ("2026-03-02T20:00", "0h", "2026-03-03T09:00"),
        ("2026-03-02T12:00", "1d", "2026-03-03T12:00"),
        ("2026-03-06T12:00", "1d", "2026-03-10T12:00"),
        ("2026-03-06T20:00", "1d", "2026-03-11T09:00"),
        ("2026-03-02T12:00", "5d", "2026-03-10T12:00"),
        ("2026-03-02T17:00", "2h", "2026-03-03T10:00"),
        ("2026-03-02T12:00", "6h", "2026-03-03T09:00"),
        ("2026-03-06T17:45", "30m", "2026-03-10T09:15"),
        ("2026-03-02T12:00", "1d12h", "2026-03-04T15:00"),
    ] {
        assert_eq!(add_working(&hours, t(from), d(add)), t(to), "{from} + {add}");
    }
    for (from, to, minutes) in [
        ("2026-03-02T12:00", "2026-03-02T12:30", 30),
        ("2026-03-02T17:00", "2026-03-03T10:00", 120),
        ("2026-03-06T17:00", "2026-03-10T09:30", 90),
        ("2026-03-07T12:00", "2026-03-08T12:00", 0),
        ("2026-03-03T12:00", "2026-03-02T12:00", 0),
    ] {
        assert_eq!(working_elapsed(&hours, t(from), t(to)), SignedDuration::from_mins(minutes), "{from} to {to}");
    }
}

#[test]
fn whose_zone() {
    let mut plan = plan();
    plan.policy.zone_map.insert("омск".into(), zone("Asia/Omsk"));
    type Edit = fn(&mut Subject);
    let cases: [(&str, Edit, &str); 10] = [
        ("the deal's own", |s| drop(s.deal.fields.insert("timeZone".into(), FieldValue::Text(" Asia/Omsk ".into()))), "Asia/Omsk"),
        ("a Russian mobile does not tell", |_| {}, "Europe/Moscow"),
        ("the contact's own", |s| s.contact.as_mut().unwrap().time_zone = Some("Asia/Tomsk".into()), "Asia/Tomsk"),
        ("nonsense is ignored", |s| s.contact.as_mut().unwrap().time_zone = Some("MSK+2".into()), "Europe/Moscow"),
        ("a zone that is none", |s| s.contact.as_mut().unwrap().time_zone = Some("Etc/Unknown".into()), "Europe/Moscow"),
        (
            "the contact's city",
            |s| drop(s.contact.as_mut().unwrap().fields.insert("city".into(), FieldValue::Text(" Омск".into()))),
            "Asia/Omsk",
        ),
        ("the deal's region", |s| drop(s.deal.fields.insert("region".into(), FieldValue::Text("Омск".into()))), "Asia/Omsk"),
        ("an unknown city", |s| drop(s.deal.fields.insert("city".into(), FieldValue::Text("Тверь".into()))), "Europe/Moscow"),
        ("a Belarusian number", |s| s.client.addresses = vec![known("+375291234567")], "Europe/Minsk"),
        ("an American number does not tell", |s| s.client.addresses = vec![known("+12125550100")], "Europe/Moscow"),
    ];
    for (what, edit, name) in cases {
        let mut subject = unseen();
        edit(&mut subject);
        assert_eq!(zone_of(&plan, &subject).iana_name(), Some(name), "{what}");
    }
}

/// A name that does not exist would silently leave its whole country to the policy's zone; one code that begins like another would hide it.
#[test]
fn zones_of_calling_codes_exist() {
    use crate::engine::zone::ONE_ZONE;
    for (n, (code, name)) in ONE_ZONE.iter().enumerate() {
        assert!(jiff::tz::TimeZone::get(name).is_ok(), "{name}");
        assert!(ONE_ZONE.iter().skip(n + 1).all(|(other, _)| !other.starts_with(code) && !code.starts_with(other)), "{code}");
    }
}
