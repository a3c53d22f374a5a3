//! Cells as people and exports write them. `None` means: not readable as that.

use crate::compile::FieldKind;
use crate::model::{ContactConsent, FieldValue};
use jiff::{Timestamp, civil, tz::TimeZone};

/// A moment: RFC 3339, `2026-03-01`, `2026-03-01 10:30[:00]`, `01.03.2026 [10:30[:00]]`; without an offset it is in `zone`.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let (date, time) = civil_of(text)?;
    at(date, time.unwrap_or_default(), zone)
}

/// A day, which is the same one wherever the client lives; databases write it with midnight behind it.
fn day(text: &str) -> Option<civil::Date> {
    let text = text.trim();
    if text.parse::<Timestamp>().is_ok() {
        return None;
    }
    civil_of(text).filter(|(_, time)| time.is_none_or(|time| time == civil::Time::midnight())).map(|(date, _)| date)
}

/// When something is due: like [`moment`], but a day alone means its end.
pub(super) fn deadline(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    match civil_of(text.trim()) {
        Some((date, None)) => at(date, civil::time(23, 59, 59, 0), zone),
        _ => moment(text, zone),
    }
}

fn at(date: civil::Date, time: civil::Time, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()
}

fn civil_of(text: &str) -> Option<(civil::Date, Option<civil::Time>)> {
    let (date, time) = match text.split_once([' ', 'T', 't']) {
        Some((date, time)) => (date, Some(time.trim())),
        None => (text, None),
    };
    let date = if date.contains('.') {
        let mut parts = date.split('.').map(|part| part.bytes().all(|b| b.is_ascii_digit()).then_some(part));
        let (day, month, year) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() || year.len() != 4 {
            return None;
        }
        civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?
    } else if date.len() == 10 {
        date.parse().ok()?
    } else {
        return None;
    };
    // Years like 0001 are how some databases write "no date".
    if date.year() < 1900 {
        return None;
    }
    let time = match time {
        Some(time) if time.len() >= 4 && time.starts_with(|c: char| c.is_ascii_digit()) => {
            let padded = if time.as_bytes().get(1) == Some(&b':') { format!("0{time}") } else { time.to_owned() };
            Some(padded.parse().ok()?)
        }
        Some(_) => return None,
        None => None,
    };
    Some((date, time))
}

pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "да" | "on" => Some(true),
        "no" | "n" | "false" | "0" | "нет" | "off" => Some(false),
        _ => None,
    }
}

/// `yes`/`no` for both media, or the list of media agreed to (`sms,email`); what a list leaves out stays unknown.
pub(super) fn consent(text: &str) -> Option<ContactConsent> {
    if text.trim().is_empty() {
        return Some(ContactConsent::default());
    }
    if let Some(answer) = yes_or_no(text) {
        return Some(ContactConsent { sms: Some(answer), email: Some(answer) });
    }
    let mut consent = ContactConsent::default();
    for word in text.split([',', ';', '|', '+', ' ']).filter(|w| !w.is_empty()) {
        match word.to_lowercase().as_str() {
            "sms" | "смс" | "phone" => consent.sms = Some(true),
            "email" | "e-mail" | "mail" | "почта" => consent.email = Some(true),
            _ => return None,
        }
    }
    Some(consent)
}

/// Several values in one cell.
pub(super) fn several(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', '|', '\n']).map(str::trim).filter(|part| !part.is_empty())
}

/// A BCP 47 tag by its shape.
pub(super) fn language(text: &str) -> Option<String> {
    let mut parts = text.split(['-', '_']);
    let first = parts.next()?;
    let shaped = (2..=3).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.clone().all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()));
    shaped.then(|| text.replace('_', "-"))
}

/// A declared field's value, and what to write when it is not one.
pub(super) fn field(text: &str, kind: FieldKind, zone: &TimeZone) -> Result<FieldValue, &'static str> {
    match kind {
        FieldKind::String => Ok(FieldValue::Text(text.to_owned())),
        FieldKind::Number => {
            let plain: String = text.chars().filter(|c| !c.is_whitespace()).map(|c| if c == ',' { '.' } else { c }).collect();
            let shaped = plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
            match plain.parse::<f64>() {
                Ok(number) if shaped && number.is_finite() => Ok(FieldValue::Number(number)),
                _ => Err("write a number like 72.5"),
            }
        }
        FieldKind::Boolean => yes_or_no(text).map(FieldValue::Bool).ok_or("write yes or no"),
        FieldKind::Date => day(text)
            .map(|day| day.to_string())
            .or_else(|| moment(text, zone).map(|at| at.to_string()))
            .map(FieldValue::Text)
            .ok_or("write a date like 2026-03-01 or 01.03.2026 10:30"),
    }
}

#[cfg(test)]
mod tests {
    use super::{consent, deadline, field, language, moment};
    use crate::compile::FieldKind;
    use crate::model::{ContactConsent, FieldValue};
    use jiff::tz::TimeZone;

    #[test]
    fn dates_as_crms_export_them() {
        let moscow = TimeZone::get("Europe/Moscow").unwrap();
        for (text, want) in [
            ("2026-03-01T10:30:00Z", Some("2026-03-01T10:30:00Z")),
            ("2026-03-01T10:30:00+05:00", Some("2026-03-01T05:30:00Z")),
            ("2026-03-01", Some("2026-02-28T21:00:00Z")),
            ("2026-03-01 10:30", Some("2026-03-01T07:30:00Z")),
            ("2026-03-01T10:30:15", Some("2026-03-01T07:30:15Z")),
            ("2026-03-01 9:05", Some("2026-03-01T06:05:00Z")),
            ("01.03.2026", Some("2026-02-28T21:00:00Z")),
            ("1.3.2026 10:30", Some("2026-03-01T07:30:00Z")),
            ("01.03.2026 10:30:15", Some("2026-03-01T07:30:15Z")),
            ("31.02.2026", None),
            ("0000-00-00", None),
            ("0001-01-01 00:00:00", None),
            ("03/01/2026", None),
            ("01.03.26", None),
            ("yesterday", None),
            ("2026-03-01 25:00", None),
            ("", None),
        ] {
            assert_eq!(moment(text, &moscow).map(|t| t.to_string()).as_deref(), want, "{text}");
        }
        assert_eq!(deadline("2026-03-01", &moscow).unwrap().to_string(), "2026-03-01T20:59:59Z");
        assert_eq!(deadline("2026-03-01 10:00", &moscow).unwrap().to_string(), "2026-03-01T07:00:00Z");
    }

    #[test]
    fn consents() {
        let of = |sms, email| Some(ContactConsent { sms, email });
        for (text, want) in [
            ("yes", of(Some(true), Some(true))),
            ("Да", of(Some(true), Some(true))),
            ("0", of(Some(false), Some(false))),
            ("нет", of(Some(false), Some(false))),
            ("sms", of(Some(true), None)),
            ("SMS, email", of(Some(true), Some(true))),
            ("email|sms", of(Some(true), Some(true))),
            ("", of(None, None)),
            ("maybe", None),
        ] {
            assert_eq!(consent(text), want, "{text}");
        }
    }

    #[test]
    fn declared_fields() {
        let moscow = TimeZone::get("Europe/Moscow").unwrap();
        for (text, kind, want) in [
            ("1 072,5", FieldKind::Number, Ok(FieldValue::Number(1072.5))),
            ("inf", FieldKind::Number, Err(())),
            ("two", FieldKind::Number, Err(())),
            ("да", FieldKind::Boolean, Ok(FieldValue::Bool(true))),
            ("perhaps", FieldKind::Boolean, Err(())),
            // A day is a day, not a midnight of the office.
            ("01.03.2026", FieldKind::Date, Ok(FieldValue::Text("2026-03-01".into()))),
            ("2026-03-01 00:00:00", FieldKind::Date, Ok(FieldValue::Text("2026-03-01".into()))),
            ("01.03.2026 10:30", FieldKind::Date, Ok(FieldValue::Text("2026-03-01T07:30:00Z".into()))),
            ("2026-03-01T00:00:00+03:00", FieldKind::Date, Ok(FieldValue::Text("2026-02-28T21:00:00Z".into()))),
            ("soon", FieldKind::Date, Err(())),
        ] {
            assert_eq!(field(text, kind, &moscow).map_err(|_| ()), want, "{text}");
        }
    }

    #[test]
    fn languages() {
        for (text, want) in [("ru", Some("ru")), ("pt_BR", Some("pt-BR")), ("Russian", None), ("r", None), ("ru-", None)] {
            assert_eq!(language(text).as_deref(), want, "{text}");
        }
    }
}
