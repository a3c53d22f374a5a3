//! Public holidays of a country: what the `opening-hours` crate carries for a hundred countries (calculated until 2076, substitute days
//! among them where a law gives them), and for a few countries the days of the law itself, because that data lacks some of them: 8 January in
//! Russia; a holiday that falls on a weekend, where its substitute is listed instead. Days that a government moves by yearly decree
//! are not known here; a policy lists those itself.

use jiff::civil::{Date, Weekday};
use opening_hours::localization::Country;
use std::collections::BTreeSet;

/// Years for which the days of the law are laid out: far beyond what any message is planned for.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2060;

enum Rule {
    /// Month and day.
    Fixed(i8, i8),
    /// The nth weekday of a month; -1 is the last.
    Nth(i8, i8, Weekday),
    /// Days after Easter Sunday (Gregorian).
    Easter(i64),
}
use Rule::{Easter, Fixed, Nth};

/// The days of the law, and where it stands.
const LAWS: [(&str, &[Rule]); 4] = [
    // Feiertage common to all sixteen Länder.
    ("DE", &[Fixed(1, 1), Easter(-2), Easter(1), Fixed(5, 1), Easter(39), Easter(50), Fixed(10, 3), Fixed(12, 25), Fixed(12, 26)]),
    // Code du travail, L3133-1.
    (
        "FR",
        &[
            Fixed(1, 1),
            Easter(1),
            Fixed(5, 1),
            Fixed(5, 8),
            Easter(39),
            Easter(50),
            Fixed(7, 14),
            Fixed(8, 15),
            Fixed(11, 1),
            Fixed(11, 11),
            Fixed(12, 25),
        ],
    ),
    // Labour Code of the Russian Federation, article 112.
    (
        "RU",
        &[
            Fixed(1, 1),
            Fixed(1, 2),
            Fixed(1, 3),
            Fixed(1, 4),
            Fixed(1, 5),
            Fixed(1, 6),
            Fixed(1, 7),
            Fixed(1, 8),
            Fixed(2, 23),
            Fixed(3, 8),
            Fixed(5, 1),
            Fixed(5, 9),
            Fixed(6, 12),
            Fixed(11, 4),
        ],
    ),
    // 5 U.S.C. 6103, without substitute days.
    (
        "US",
        &[
            Fixed(1, 1),
            Nth(1, 3, Weekday::Monday),
            Nth(2, 3, Weekday::Monday),
            Nth(5, -1, Weekday::Monday),
            Fixed(6, 19),
            Fixed(7, 4),
            Nth(9, 1, Weekday::Monday),
            Nth(10, 2, Weekday::Monday),
            Fixed(11, 11),
            Nth(11, 4, Weekday::Thursday),
            Fixed(12, 25),
        ],
    ),
];

/// Countries that are known, by their codes of ISO 3166-1.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    Country::ALL.into_iter().filter(|country| country.holidays().get_public().count() > 0).map(Country::iso_code)
}

/// All holidays that a whole country has, or `None` if it is not known here.
pub(super) fn of(country: &str) -> Option<BTreeSet<Date>> {
    let carried = country.parse::<Country>().ok()?.holidays();
    // The crate has days of another library's type: what both read is the text of ISO 8601.
    let mut days: BTreeSet<Date> = carried.get_public().iter().filter_map(|day| day.to_string().parse().ok()).collect();
    let law = LAWS.iter().find(|(code, _)| *code == country).map_or(&[][..], |(_, rules)| rules);
    days.extend(YEARS.flat_map(|year| law.iter().filter_map(move |rule| on(rule, year))));
    (!days.is_empty()).then_some(days)
}

fn on(rule: &Rule, year: i16) -> Option<Date> {
    match *rule {
        Fixed(month, day) => Date::new(year, month, day).ok(),
        Nth(month, nth, weekday) => Date::new(year, month, 1).ok()?.nth_weekday_of_month(nth, weekday).ok(),
        Easter(days) => easter(year)?.checked_add(jiff::Span::new().days(days)).ok(),
    }
}

/// The anonymous Gregorian computus (Meeus, Jones, Butcher).
#[allow(clippy::many_single_char_names)] // as published
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    Date::new(year, i8::try_from(n / 31).ok()?, i8::try_from(n % 31 + 1).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    #[test]
    fn holidays_as_the_calendars_print_them() {
        for (country, day, holiday) in [
            ("DE", date(2026, 4, 3), true),   // Karfreitag
            ("DE", date(2027, 5, 6), true),   // Himmelfahrt
            ("DE", date(2026, 11, 1), false), // only some Länder
            ("FR", date(2026, 5, 25), true),  // lundi de Pentecôte
            ("FR", date(2026, 4, 3), false),
            ("RU", date(2027, 1, 8), true),
            ("RU", date(2027, 1, 9), false),
            ("US", date(2026, 11, 26), true), // Thanksgiving
            ("US", date(2027, 5, 31), true),  // Memorial Day
            ("US", date(2026, 9, 7), true),   // Labor Day
            ("US", date(2026, 7, 3), true),   // given for the 4th, a Saturday
            ("US", date(2026, 7, 4), true),
            ("KZ", date(2027, 3, 22), true), // Nauryz
            ("BY", date(2027, 7, 3), true),
            ("PL", date(2027, 5, 27), true), // Boże Ciało
            ("GB", date(2027, 3, 26), true), // Good Friday
            ("GB", date(2027, 3, 27), false),
            ("ES", date(2027, 10, 12), true),
        ] {
            assert_eq!(super::of(country).unwrap().contains(&day), holiday, "{country} {day}");
        }
        assert!(super::of("XX").is_none() && super::of("").is_none());
    }

    /// Whoever is offered a country gets days for it, as far ahead as messages are planned.
    #[test]
    fn every_country_that_is_offered_has_days_in_every_year() {
        let known: Vec<&str> = super::known().collect();
        assert!(known.len() > 100 && ["DE", "FR", "RU", "US", "KZ", "GB"].iter().all(|code| known.contains(code)), "{known:?}");
        for country in known {
            let days = super::of(country).unwrap();
            for year in 2026..=2060 {
                assert!((2..60).contains(&days.iter().filter(|day| day.year() == year).count()), "{country} {year}");
            }
        }
    }
}
