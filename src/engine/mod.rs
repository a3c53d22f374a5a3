//! What the product *means*, as pure functions: no clock, no I/O, no Kubernetes, SQL or HTTP, no randomness but a seeded hash.
//!
//! [`decide`] takes one event about one copy and says what the copy becomes and which effects follow. [`admit`] is the only home
//! of windows, caps, consent, suppression, staleness and holdout: it says whether a planned message may go now, when, or never.

mod calendar;
mod condition;
mod copy;
mod event;
mod facts;
mod plan;
mod subject;

pub use calendar::Window;
pub use condition::{Condition, ConditionError, is_builtin};
pub use facts::{CLIENT_NAMES, CYCLE_NAMES, DEAL_NAMES, Fact, Facts, MANAGER_NAMES};
pub use copy::{Copy, CopyState, Journey, Pause, PauseUntil, Silence};
pub use event::{CycleChange, CycleEnd, Decision, Effect, EffectKind, Event, History, TaskText};
pub use plan::{
    Backfill, Brand, Cap, CapPer, Channel, Clicks, ColdStage, ConsentRule, ContentRule, Item, List, Managers, OverCap, Overdue,
    Plan, Policy, Reentry, RemindWho, Reminder, Replies, ReturnTo, Revival, Stages, TaskSpec, Trigger, TriggerKind, Variant,
    WorkingHours,
};
pub use subject::{Client, KnownAddress, LedgerEntry, Recent, Sibling, Subject};
