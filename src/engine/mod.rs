//! What the product *means*, as pure functions: no clock, no I/O, no Kubernetes, SQL or HTTP, no randomness but a seeded hash.
//!
//! [`decide`] takes one event about one copy and says what the copy becomes and which effects follow. [`admit`] is the only home
//! of windows, caps, consent, suppression, staleness and holdout: it says whether a planned message may go now, when, or never.

mod admit;
mod budget;
mod calendar;
mod caps;
mod condition;
mod condition_types;
mod consent;
mod copy;
mod date;
mod decide;
mod event;
mod facts;
mod journey;
mod notice;
mod plan;
mod reaction;
mod stage;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
#[allow(clippy::type_complexity, clippy::items_after_statements)] // tables
mod tests;
mod uplift;
mod voice;
mod work;
mod zone;

pub use admit::{Admission, Again, Planned, Ready, admit, again, variant_for};
pub use budget::{Budget, Price, Priced, Spent, day_start, periods};
pub use calendar::{Open, Window, add_duration, add_working, next_open, working_elapsed};
pub use condition::{Condition, ConditionError, is_builtin};
pub use copy::{Copy, CopyState, Hidden, Interest, Journey, Pause, PauseUntil, Says, Silence};
pub use date::DateRule;
pub use decide::{admit_backfill, decide};
pub use event::{CycleChange, CycleEnd, Decision, Effect, EffectKind, Event, History, TaskText};
pub use facts::{CLIENT_NAMES, CYCLE_NAMES, DEAL_NAMES, Fact, FactKind, Facts, MANAGER_NAMES};
pub use plan::{
    Backfill, Brand, Cap, CapPer, Channel, Clicks, ColdStage, ConsentRule, ContentRule, Item, List, Managers, OverCap, Overdue,
    Plan, Policy, Reentry, RemindWho, Reminder, Replies, ReturnTo, Revival, Stages, TaskSpec, Trigger, TriggerKind, Variant,
    WorkingHours,
};
pub use stage::{Cause, Placement, place};
pub use subject::{Client, KnownAddress, LedgerEntry, Recent, Sibling, Subject};
pub use uplift::{Arm, Uplift, uplift};
pub use voice::Voice;
pub use zone::zone_of;
