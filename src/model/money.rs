//! Amounts as whole hundredths, so that sums over a million deals are exact.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in hundredths of its currency (`4_217.50` is `421750`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

impl Money {
    /// No deal is worth more than a trillion; a number of an order or a card is easily taken for an amount.
    const MOST: i64 = 100_000_000_000_000;

    /// Reads `4217.5`, `4 217,50`, `-3`. Digits beyond the second are rounded half away from zero. `None` for anything else, for
    /// more than a trillion, and for `12,500`, which is twelve and a half to some and a thousand times as much to others.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if is_ambiguous(text.trim()) {
            return None;
        }
        let cleaned: String =
            text.chars().filter(|c| !c.is_whitespace() && *c != '\u{a0}').map(|c| if c == ',' { '.' } else { c }).collect();
        let (negative, digits) = match cleaned.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, cleaned.as_str()),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && part.is_empty() || !(whole.chars().chain(part.chars())).all(|c| c.is_ascii_digit()) {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut cents: i64 = 0;
        for i in 0..2 {
            cents = cents * 10 + part.as_bytes().get(i).map_or(0, |d| i64::from(d - b'0'));
        }
        if part.as_bytes().get(2).is_some_and(|d| *d >= b'5') {
            cents += 1;
        }
        let value = whole.checked_mul(100)?.checked_add(cents).filter(|value| *value <= Self::MOST)?;
        Some(Self(if negative { -value } else { value }))
    }

    /// Both together, or the largest amount there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The amount in whole units, for conditions and texts.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // amounts stay far below 2^53
    pub fn units(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

/// Whether the only separator is a comma with three digits behind it, where a thousand may be meant.
fn is_ambiguous(text: &str) -> bool {
    let Some((whole, part)) = text.trim_start_matches('-').split_once(',') else { return false };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    part.len() == 3 && digits(part) && (1..=3).contains(&whole.len()) && digits(whole) && !whole.starts_with('0')
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let abs = self.0.unsigned_abs();
        if abs.is_multiple_of(100) { write!(f, "{sign}{}", abs / 100) } else { write!(f, "{sign}{}.{:02}", abs / 100, abs % 100) }
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn reads_what_people_and_exports_write() {
        for (text, want) in [
            ("1054", Some(105_400)),
            ("1054.5", Some(105_450)),
            ("1 054,50", Some(105_450)),
            ("0.005", Some(1)),
            ("-3", Some(-300)),
            (".5", Some(50)),
            // Twelve and a half, or twelve thousand: nobody can tell.
            ("12,500", None),
            ("-1,000", None),
            ("0,125", Some(13)),
            ("1 012,500", Some(101_250)),
            ("1234,567", Some(123_457)),
            ("12,50", Some(1_250)),
            ("", None),
            ("12a", None),
            ("1.2.3", None),
            ("99999999999999999999", None),
            // The number of a card, and what a city is worth.
            ("4276550012345678", None),
            ("-1000000000000.01", None),
            ("999 999 999 999,99", Some(99_999_999_999_999)),
        ] {
            assert_eq!(Money::parse(text).map(|m| m.0), want, "{text}");
        }
    }
}
