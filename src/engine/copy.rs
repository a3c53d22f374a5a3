//! One copy and the small state that it carries from event to event.

use crate::model::{ClientId, CopyId, DealState, FunnelKey, Medium, Money, PostponeReason, Role};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Our row for one deal in one funnel.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// 0 while it is not stored.
    pub id: CopyId,
    pub funnel: FunnelKey,
    pub client: ClientId,
    pub shard: i16,
    /// Counts changes: a decision is applied only to the version it was made on.
    pub ver: i64,
    pub role: Role,
    /// Name of the stage for Stalled, Warming, Customer; empty otherwise.
    pub stage: String,
    /// Number of the current (or last) passage from being lost or stalled to its end; 0: none yet.
    pub cycle: i32,
    pub amount: Money,
    /// The next moment the engine must look at it, for whatever reason.
    pub next_at: Option<Timestamp>,
    /// Number of its next effect.
    pub next_seq: i32,
    pub state: CopyState,
}

/// Stored as compact JSON (short names, defaults left out): about 100 bytes for a warming copy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CopyState {
    /// When it entered its stage.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Timestamp>,
    /// When the current cycle began.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    pub cycle_at: Option<Timestamp>,
    /// When the last cycle ended, for `reentry`.
    #[serde(rename = "x", skip_serializing_if = "Option::is_none")]
    pub cycle_ended_at: Option<Timestamp>,
    /// The current cycle has ended (revived, refused, unsubscribed); reminders may still run.
    #[serde(rename = "d", skip_serializing_if = "std::ops::Not::not")]
    pub cycle_done: bool,
    /// It left its stage although nobody did anything: by an edit, or because a condition ceased to hold. Its cycle waits, and goes on if
    /// it is cold again before somebody takes it up.
    #[serde(rename = "t", skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    #[serde(rename = "j", skip_serializing_if = "Option::is_none")]
    pub journey: Option<Journey>,
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// When the manager was last told of a click.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    pub notified_at: Option<Timestamp>,
    /// When the client was last heard of (signal, click, reply).
    #[serde(rename = "h", skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// The same, but for clicks and answers to what was sent.
    #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
    pub spoke_at: Option<Timestamp>,
    /// When something was last decided to be sent in the current cycle. For the version before: this one asks the ledger, which knows
    /// what became of it.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    pub messaged_at: Option<Timestamp>,
    /// The stage we moved the deal to: its arrival there is our own echo and not activity.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub echo: Option<String>,
    /// Why the next item waits although its own time has come.
    #[serde(rename = "w", skip_serializing_if = "Option::is_none")]
    pub waiting: Option<PostponeReason>,
    /// Its next message, while others may have to give way to it.
    #[serde(rename = "y", skip_serializing_if = "Option::is_none")]
    pub says: Option<Says>,
    /// In the holdout share for this cycle.
    #[serde(rename = "k", skip_serializing_if = "std::ops::Not::not")]
    pub holdout: bool,
    /// The cycle began before the client was known: whether they are held out is asked as soon as they are.
    #[serde(rename = "q", skip_serializing_if = "std::ops::Not::not")]
    pub unasked: bool,
    /// The client booked (or bought elsewhere) in this cycle: `cycle.booked` in conditions.
    #[serde(rename = "b", skip_serializing_if = "std::ops::Not::not")]
    pub booked: bool,
    /// The deal was lost before our eyes, whatever date the CRM gives.
    #[serde(rename = "v", skip_serializing_if = "std::ops::Not::not")]
    pub loss_seen: bool,
    /// A customer whose sale is older than the funnel, or who is back from a warming: nothing follows the sale.
    #[serde(rename = "g", skip_serializing_if = "std::ops::Not::not")]
    pub old_buyer: bool,
    /// What an archived copy was when its deal went out of sight.
    #[serde(rename = "z", skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Box<Hidden>>,
    /// Conditions that cannot be answered for this client, of which the history has told: hashes of their texts.
    #[serde(rename = "u", skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<u32>,
    /// The client showed interest, and nobody has reacted yet.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub interest: Option<Interest>,
}

impl CopyState {
    /// On a journey that is not through.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.journey.as_ref().is_some_and(|journey| !journey.finished)
    }
}

/// A copy whose deal the CRM does not show, or that is in a pipeline or CRM which the funnel does not read: as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    #[serde(rename = "r")]
    pub role: Role,
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// Of the deal.
    #[serde(rename = "d")]
    pub deal: DealState,
    #[serde(rename = "s")]
    pub state: CopyState,
}

/// One way through one content list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    #[serde(rename = "l")]
    pub list: String,
    /// When it began.
    #[serde(rename = "b")]
    pub began_at: Timestamp,
    /// What the next `after` counts from: the last item sent, or the beginning.
    #[serde(rename = "a")]
    pub anchor: Timestamp,
    /// The last item sent or passed by; `None` before the first. Items in front of it are behind the client.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Index that `last` has. For the version before, and for what it stored.
    #[serde(rename = "n", default)]
    pub position: u32,
    /// Items behind the client that the ledger does not tell of: they were put in there, only observed, or `stopWhen` ended them. With
    /// these and the ledger it is known where the client stands when `last` itself is removed.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<String>,
    /// Walked in Observe mode: going live starts it again.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
    /// `stopWhen` held, or the list is through: waits at the end for appended items.
    #[serde(rename = "f", default, skip_serializing_if = "std::ops::Not::not")]
    pub finished: bool,
    /// Items with a date that were sent or left out: they have no place in the order.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub dated: Vec<String>,
}

/// When a copy means to send its next message, as far as that can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Says {
    #[serde(rename = "a")]
    pub at: Timestamp,
    #[serde(rename = "m")]
    pub medium: Medium,
}

/// Nothing is sent until then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    #[serde(rename = "u")]
    pub until: Timestamp,
    #[serde(rename = "w")]
    pub why: PauseUntil,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PauseUntil {
    /// Interest: until the manager closes the task, at most two working days.
    TaskClosed,
    /// A reply: until the manager says what it meant.
    Answered,
}

/// One silence of a deal, so that a reminder never comes twice for the same one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// The last activity before it: the identity of this silence.
    #[serde(rename = "s")]
    pub since: Timestamp,
    /// How many of the stage's reminders went out.
    #[serde(rename = "r", default)]
    pub reminded: u32,
    /// When the last of them did.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub reminded_at: Option<Timestamp>,
    /// The stage whose reminders are counted.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

/// An interest that waits for a manager's reaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interest {
    /// When a manager was asked to act.
    #[serde(rename = "s")]
    pub since: Timestamp,
    /// How many of `managers.escalate` were told that nobody did.
    #[serde(rename = "t", default)]
    pub told: u32,
}
