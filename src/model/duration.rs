//! Durations as people write them: `30m`, `12h`, `3d`, `2w`, `1d12h`. Days are calendar days in the client's zone; hours,
//! minutes and seconds are elapsed time.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, str::FromStr};

/// Calendar days plus elapsed seconds; never negative, at most ten years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration {
    pub days: u32,
    pub seconds: u32,
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration of at most ten years; write for example 30m, 12h, 3d, 2w or 1d12h")]
pub struct DurationError(pub String);

impl HumanDuration {
    pub const ZERO: Self = Self { days: 0, seconds: 0 };

    /// Days less days and time less time, neither below nothing.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self { days: self.days.saturating_sub(other.days), seconds: self.seconds.saturating_sub(other.seconds) }
    }
    const MAX_DAYS: u64 = 3660;

    #[must_use]
    pub const fn days(days: u32) -> Self {
        Self { days, seconds: 0 }
    }

    #[must_use]
    pub const fn hours(hours: u32) -> Self {
        Self { days: 0, seconds: hours * 3600 }
    }

    #[must_use]
    pub const fn minutes(minutes: u32) -> Self {
        Self { days: 0, seconds: minutes * 60 }
    }

    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.days == 0 && self.seconds == 0
    }

    /// Elapsed length when the calendar does not matter (rates, staleness, retries): a day is 24 hours.
    #[must_use]
    pub fn elapsed(self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.days) * 86_400 + u64::from(self.seconds))
    }

    /// Elapsed length as jiff's absolute duration, for arithmetic on timestamps.
    #[must_use]
    pub fn signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(i64::from(self.days) * 86_400 + i64::from(self.seconds))
    }
}

impl FromStr for HumanDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || DurationError(text.chars().take(40).collect());
        let (mut days, mut seconds, mut number) = (0_u64, 0_u64, None::<u64>);
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                let n = number.unwrap_or(0) * 10 + u64::from(digit);
                number = Some(if n > 1_000_000_000 { return Err(fail()) } else { n });
                continue;
            }
            let n = number.take().ok_or_else(fail)?;
            match c {
                'w' => days += n * 7,
                'd' => days += n,
                'h' => seconds += n * 3600,
                'm' => seconds += n * 60,
                's' => seconds += n,
                _ => return Err(fail()),
            }
        }
        if text.is_empty() || number.is_some() || days + seconds / 86_400 > Self::MAX_DAYS {
            return Err(fail());
        }
        let (Ok(days), Ok(seconds)) = (u32::try_from(days), u32::try_from(seconds)) else { return Err(fail()) };
        Ok(Self { days, seconds })
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0h");
        }
        if self.days > 0 {
            if self.days.is_multiple_of(7) && self.seconds == 0 {
                write!(f, "{}w", self.days / 7)?;
            } else {
                write!(f, "{}d", self.days)?;
            }
        }
        let (h, m, s) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        for (n, unit) in [(h, 'h'), (m, 'm'), (s, 's')] {
            if n > 0 {
                write!(f, "{n}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "HumanDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 32, "pattern": "^([0-9]{1,9}[wdhms])+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::HumanDuration;

    #[test]
    fn reads_and_prints_as_people_write() {
        for (text, days, seconds, printed) in [
            ("30m", 0, 1800, "30m"),
            ("12h", 0, 43_200, "12h"),
            ("3d", 3, 0, "3d"),
            ("2w", 14, 0, "2w"),
            ("1d12h", 1, 43_200, "1d12h"),
            ("0h", 0, 0, "0h"),
            ("90m", 0, 5400, "1h30m"),
        ] {
            let d: HumanDuration = text.parse().unwrap();
            assert_eq!((d.days, d.seconds, d.to_string().as_str()), (days, seconds, printed));
        }
        for bad in ["", "3", "d", "3 d", "-1d", "3x", "10000y", "4000d", "99999999999h", "1.5h"] {
            assert!(bad.parse::<HumanDuration>().is_err(), "{bad}");
        }
    }
}
