//! Civil time: windows in a zone, calendar days, working time. DST gaps and overlaps are resolved by jiff ("compatible": a time
//! in a gap moves forward, a doubled one is its first occurrence).

use jiff::civil;

/// Open on `days` (empty: every day) from `from` to `to`; `to` at or before `from` means past midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub days: Vec<civil::Weekday>,
    pub from: civil::Time,
    pub to: civil::Time,
}
