//! The filters of templates. Everything but `default` passes a missing value on, so that it is still noticed when it is printed.
//!
//! | filter | does |
//! |---|---|
//! | `default('x')` | what to write when the value is not known or empty |
//! | `upper`, `lower`, `capitalize`, `title`, `trim` | letters and blanks |
//! | `truncate(20)` | at most so many characters, cut at a word, with an ellipsis |
//! | `round`, `round(2)` | digits after the point |
//! | `money`, `money('₽')` | `5 400 000 ₽`: grouped, with the given or the deal's currency |
//! | `date`, `date('long')`, `date('%d.%m')` | a date: in a Russian text `05.03.2026`, `5 марта 2026`, else `2026-03-05`, `5 March 2026`; or by strftime |
//! | `plural_ru('день', 'дня', 'дней')` | the word that fits the number in Russian |
//! | `plural('day', 'days')` | the same in English |

use super::expr::{Value, number};
use crate::content::{Context, Language, RenderError, segments::is_gsm7};
use jiff::{Timestamp, civil, fmt::strtime, tz::TimeZone};
use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Default,
    Upper,
    Lower,
    Capitalize,
    Title,
    Trim,
    Truncate,
    Round,
    Money,
    Date,
    PluralRu,
    Plural,
}

impl Filter {
    pub const ALL: [(&'static str, Self, std::ops::RangeInclusive<usize>, &'static str); 13] = [
        ("default", Self::Default, 1..=1, "default('Здравствуйте')"),
        ("d", Self::Default, 1..=1, "default('Здравствуйте')"),
        ("upper", Self::Upper, 0..=0, "upper"),
        ("lower", Self::Lower, 0..=0, "lower"),
        ("capitalize", Self::Capitalize, 0..=0, "capitalize"),
        ("title", Self::Title, 0..=0, "title"),
        ("trim", Self::Trim, 0..=0, "trim"),
        ("truncate", Self::Truncate, 1..=1, "truncate(20)"),
        ("round", Self::Round, 0..=1, "round or round(2)"),
        ("money", Self::Money, 0..=1, "money or money('₽')"),
        ("date", Self::Date, 0..=1, "date, date('long') or date('%d.%m.%Y')"),
        ("plural_ru", Self::PluralRu, 3..=3, "plural_ru('день', 'дня', 'дней')"),
        ("plural", Self::Plural, 2..=2, "plural('day', 'days')"),
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|filter| filter.1 == self).map_or("", |filter| filter.0)
    }

    pub fn apply<'a>(self, value: Value<'a>, args: &[Value<'a>], context: &Context) -> Result<Value<'a>, RenderError> {
        if self == Self::Default {
            return Ok(match value {
                Value::Missing(_) => args.first().cloned().unwrap_or(value),
                Value::Text(ref text) if text.trim().is_empty() => args.first().cloned().unwrap_or(value),
                _ => value,
            });
        }
        if matches!(value, Value::Missing(_)) {
            return Ok(value);
        }
        if let Some(missing) = args.iter().find(|a| matches!(a, Value::Missing(_))) {
            return Ok(missing.clone());
        }
        let arg = |i: usize| args.get(i).map(Value::text).unwrap_or_default();
        let text = value.text();
        let result = match self {
            Self::Default => return Ok(value),
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::Capitalize => capitalize(&text),
            Self::Title => text.split(' ').map(capitalize).collect::<Vec<_>>().join(" "),
            Self::Trim => text.trim().to_owned(),
            Self::Truncate => truncate(&text, to_number(&arg(0))?),
            Self::Round => {
                let digits = if args.is_empty() { 0.0 } else { to_number(&arg(0))?.clamp(0.0, 2.0) };
                let scale = 10_f64.powf(digits.round());
                return Ok(Value::Number((to_number(&text)? * scale).round() / scale));
            }
            Self::Money => {
                let currency = if args.is_empty() { context.currency() } else { arg(0) };
                money(to_number(&text)?, &currency)
            }
            Self::Date => date(&text, &arg(0), context)?,
            Self::PluralRu => arg(plural_ru(to_number(&text)?)).into_owned(),
            Self::Plural => arg(usize::from((to_number(&text)? - 1.0).abs() > f64::EPSILON)).into_owned(),
        };
        Ok(Value::Text(Cow::Owned(result)))
    }
}

fn to_number(text: &str) -> Result<f64, RenderError> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(RenderError::not_a_number)
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
}

fn truncate(text: &str, limit: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
    let limit = limit.clamp(1.0, 10_000.0) as usize;
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    // An ellipsis would turn a GSM-7 text into UCS-2.
    let dots = if is_gsm7(text) { "..." } else { "…" };
    let keep = limit.saturating_sub(dots.chars().count());
    if keep == 0 {
        return text.chars().take(limit).collect();
    }
    let cut: String = text.chars().take(keep).collect();
    let cut = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    format!("{}{dots}", cut.trim_end_matches([' ', ',', '.', ';', ':']))
}

/// Thousands apart by no-break spaces; hundredths only if there are any.
fn money(amount: f64, currency: &str) -> String {
    let text = number(amount);
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let mut out = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push('\u{a0}');
        }
        out.push(digit);
    }
    if !part.is_empty() {
        out.push(',');
        out.push_str(part);
    }
    let sign = match currency {
        "RUB" | "RUR" => "₽",
        "EUR" => "€",
        "USD" => "$",
        "GBP" => "£",
        "KZT" => "₸",
        other => other,
    };
    if !sign.is_empty() {
        out.push('\u{a0}');
        out.push_str(sign);
    }
    out
}

/// 0: один день, 1: два дня, 2: пять дней. Fractions go with the second (полтора дня).
fn plural_ru(n: f64) -> usize {
    if n.fract() != 0.0 {
        return 1;
    }
    let (tens, units) = (n.abs() % 100.0, n.abs() % 10.0);
    if (11.0..=14.0).contains(&tens) {
        2
    } else if (1.0..2.0).contains(&units) {
        0
    } else if (2.0..5.0).contains(&units) {
        1
    } else {
        2
    }
}

const MONTHS_RU: [&str; 12] =
    ["января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"];
/// Without a day beside them.
const MONTHS_RU_ALONE: [&str; 12] =
    ["январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь", "октябрь", "ноябрь", "декабрь"];
const DAYS_RU: [&str; 7] = ["понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"];
const DAYS_RU_SHORT: [&str; 7] = ["пн", "вт", "ср", "чт", "пт", "сб", "вс"];

/// From 1.
fn nth(names: &[&'static str], number: i8) -> &'static str {
    names.get(usize::from(number.unsigned_abs()).saturating_sub(1)).copied().unwrap_or_default()
}

/// A strftime format with the names of the month and the weekday written into it.
fn in_russian(format: &str, date: civil::DateTime) -> String {
    let plain = format.replace("%%", "");
    let mut signs = plain.split('%').skip(1).map(|sign| sign.trim_start_matches(['-', '_', '0', '^', '#']));
    let with_day = signs.any(|sign| sign.starts_with(['d', 'e']));
    let month = nth(if with_day { &MONTHS_RU } else { &MONTHS_RU_ALONE }, date.month());
    let short: String = month.chars().take(3).collect();
    let day = date.weekday().to_monday_one_offset();
    let (day, short_day) = (nth(&DAYS_RU, day), nth(&DAYS_RU_SHORT, day));
    let part = |part: &str| {
        part.replace("%B", month).replace("%b", &short).replace("%h", &short).replace("%A", day).replace("%a", short_day)
    };
    // A percent sign of its own begins no name.
    format.split("%%").map(part).collect::<Vec<_>>().join("%%")
}

fn date(text: &str, format: &str, context: &Context) -> Result<String, RenderError> {
    let date = parse_date(text, context.time_zone()).ok_or_else(RenderError::not_a_date)?;
    let russian = context.language() == Language::Russian;
    if format.is_empty() {
        return Ok(date.strftime(if russian { "%d.%m.%Y" } else { "%Y-%m-%d" }).to_string());
    }
    if format == "long" {
        return Ok(if russian {
            format!("{} {} {}", date.day(), nth(&MONTHS_RU, date.month()), date.year())
        } else {
            date.strftime("%-d %B %Y").to_string()
        });
    }
    let own = if russian { Cow::Owned(in_russian(format, date)) } else { Cow::Borrowed(format) };
    format_date(date, &own).ok_or_else(RenderError::not_a_date)
}

/// Dates as connectors store them: RFC 3339, or a plain date.
fn parse_date(text: &str, zone: &TimeZone) -> Option<civil::DateTime> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.to_zoned(zone.clone()).datetime());
    }
    text.parse::<civil::DateTime>().ok().or_else(|| text.parse::<civil::Date>().ok().map(civil::Date::into))
}

fn format_date(date: civil::DateTime, format: &str) -> Option<String> {
    strtime::format(format, date).ok().filter(|text| text.len() <= 200)
}

/// Checked when a template is parsed, so that a wrong format is not found at the first message.
pub fn valid_date_format(format: &str) -> bool {
    format.len() <= 60 && (matches!(format, "" | "long") || format_date(civil::datetime(2026, 3, 5, 12, 0, 0, 0), format).is_some())
}
