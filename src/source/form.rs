//! What a pattern of a schema asks for, in words: patterns are known by what they take and refuse, so that a new field with the
//! same form is explained without being listed anywhere.

use regex::Regex;

/// A form that people have a name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// `a duration`.
    pub noun: &'static str,
    /// What to write: `30m, 12h, 3d, 2w or 1d12h`.
    pub example: &'static str,
}

const DURATION: Form = Form { noun: "a duration", example: "30m, 12h, 3d, 2w or 1d12h" };
const NAME: Form = Form { noun: "a name", example: "lower-case letters, digits and - like new-layouts" };

struct Probe {
    form: Form,
    takes: &'static [&'static str],
    refuses: &'static [&'static str],
}

/// In order: the first whose samples all behave.
const PROBES: &[Probe] = &[
    Probe {
        form: Form { noun: "a period", example: "Day, Week, Month or a duration like 12h" },
        takes: &["Day", "3d"],
        refuses: &["3 d", "x"],
    },
    Probe { form: DURATION, takes: &["3d", "1d12h"], refuses: &["3 d", "x", "3"] },
    Probe {
        form: Form { noun: "a time of day", example: "\"09:30\", with quotes and two digits each" },
        takes: &["09:30", "20:00"],
        refuses: &["9:30", "25:00", "x"],
    },
    Probe { form: Form { noun: "a date", example: "2026-01-31" }, takes: &["2026-01-31"], refuses: &["31.01.2026", "x"] },
    Probe { form: Form { noun: "a colour", example: "\"#1a2b3c\"" }, takes: &["#1a2b3c"], refuses: &["1a2b3c", "red"] },
    Probe {
        form: Form { noun: "a secure web address", example: "https://example.com/page" },
        takes: &["https://a.example/b"],
        refuses: &["http://a.example/b", "a.example"],
    },
    Probe {
        form: Form { noun: "a web address", example: "https://example.com/page" },
        takes: &["https://a.example/b"],
        refuses: &["a.example", "ftp://a.example"],
    },
    Probe { form: Form { noun: "a currency", example: "three capitals like RUB" }, takes: &["RUB"], refuses: &["RU", "rub"] },
    Probe { form: Form { noun: "a country", example: "two capitals like RU" }, takes: &["RU"], refuses: &["RUB", "ru"] },
    Probe { form: Form { noun: "a language", example: "ru or en-GB" }, takes: &["ru", "en-GB"], refuses: &["r", "a.b", "en_GB"] },
    Probe { form: Form { noun: "an amount", example: "\"4.20\" in quotes" }, takes: &["4.20", "5"], refuses: &["x", "4,20"] },
    Probe { form: NAME, takes: &["a", "a-b1"], refuses: &["A", "a b", "-a", "a_b"] },
];

/// The form that `pattern` stands for.
pub fn of(pattern: &Regex) -> Option<Form> {
    PROBES
        .iter()
        .find(|probe| probe.takes.iter().all(|s| pattern.is_match(s)) && !probe.refuses.iter().any(|s| pattern.is_match(s)))
        .map(|probe| probe.form)
}

/// What the author most likely meant, in the form the pattern takes.
pub fn repair(pattern: &Regex, written: &str) -> Option<String> {
    let candidates =
        [duration(written), slug(written), padded(written), Some(written.trim().to_owned()), Some(written.to_uppercase())];
    candidates.into_iter().flatten().find(|candidate| candidate != written && pattern.is_match(candidate))
}

/// `3 days`, `2 недели`, `12 hours` → `3d`, `2w`, `12h`.
fn duration(written: &str) -> Option<String> {
    let text = written.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        u if ["mo", "ме", "y", "г", "л"].iter().any(|long| u.starts_with(long)) => return None,
        u if ["м", "m"].iter().any(|m| u.starts_with(m)) => "m",
        u if ["d", "д", "сут"].iter().any(|d| u.starts_with(d)) => "d",
        u if ["h", "ч"].iter().any(|h| u.starts_with(h)) => "h",
        u if ["w", "н"].iter().any(|w| u.starts_with(w)) => "w",
        u if ["s", "с"].iter().any(|s| u.starts_with(s)) => "s",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}

/// `New layouts` → `new-layouts`.
fn slug(written: &str) -> Option<String> {
    let text: String = written.trim().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    // A name in another alphabet leaves nothing that its author would know again.
    let lost = written.chars().filter(|c| c.is_alphanumeric() && !c.is_ascii()).count();
    (lost == 0 && !parts.is_empty()).then(|| parts.join("-"))
}

/// `9:30` → `09:30`.
fn padded(written: &str) -> Option<String> {
    let (hours, minutes) = written.trim().split_once([':', '.'])?;
    (hours.len() <= 2 && minutes.len() == 2).then(|| format!("{hours:0>2}:{minutes}"))
}

#[cfg(test)]
mod tests {
    use super::{of, repair};
    use regex::Regex;

    #[test]
    fn patterns_are_known_by_what_they_take() {
        for (pattern, noun, written, meant) in [
            ("^([0-9]{1,9}[wdhms])+$", "a duration", "3 days", Some("3d")),
            ("^([0-9]{1,9}[wdhms])+$", "a duration", "2 недели", Some("2w")),
            ("^([0-9]{1,9}[wdhms])+$", "a duration", "3 months", None),
            ("^([01][0-9]|2[0-3]):[0-5][0-9]$", "a time of day", "9:30", Some("09:30")),
            ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a name", "New layouts", Some("new-layouts")),
            ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a name", "Планировки", None),
            ("^[A-Z]{3}$", "a currency", "rub", Some("RUB")),
            ("^https?://", "a web address", "example.com", None),
            ("^[0-9]{1,9}([.][0-9]{1,4})?$", "an amount", "4,20", None),
        ] {
            let pattern = Regex::new(pattern).unwrap();
            assert_eq!(of(&pattern).map(|form| form.noun), Some(noun), "{pattern}");
            assert_eq!(repair(&pattern, written).as_deref(), meant, "{written}");
        }
        assert_eq!(of(&Regex::new("^x+$").unwrap()), None);
    }
}
