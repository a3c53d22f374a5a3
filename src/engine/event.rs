//! What can happen to a copy, and what a decision consists of. Effects carry ids and keys, never bodies.

use super::Copy;
use crate::model::{
    Address, AddressHash, CopyId, EffectKey, ManagerId, Medium, Purpose, Reaction, Role, SendAs, SignalKind, SkipReason,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// First sight of a deal (`old` is `None`), or a real change of it. `Subject::deal` is the new state.
    Deal { old: Option<Box<crate::model::Deal>> },
    /// A signal about its client. `direct`: it names this deal (not just the client).
    Signal { kind: SignalKind, at: Timestamp, direct: bool, reaction: Option<Reaction> },
    /// A person opened a link of one of its messages.
    Click { seq: i32, link: i16, at: Timestamp },
    /// The client opted out; the suppression is already stored.
    Unsubscribed {
        at: Timestamp,
        /// Of this medium only.
        only: Option<Medium>,
    },
    /// Its moment has come.
    Timer,
    /// The plan changed: look again, send nothing just because of it.
    Replan,
}

/// What follows from an event. Nothing of it has happened yet.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The copy after the event, `next_at` and `next_seq` included; `ver` is still the one decided on.
    pub copy: Copy,
    pub effects: Vec<Effect>,
    pub history: Vec<History>,
    pub cycle: Vec<CycleChange>,
    /// Conditions that turned out to have no answer for this client, and so count as false: their texts, and why. Each once for a copy.
    pub unanswered: Vec<(String, String)>,
}

/// Something the outside must see, or must be recorded as not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    pub key: EffectKey,
    pub seq: i32,
    pub kind: EffectKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EffectKind {
    Message {
        /// Name of the `MessageChannel`.
        channel: String,
        medium: Medium,
        purpose: Purpose,
        address: Address,
        variant: Option<String>,
        send_as: SendAs,
        /// What consent it relies on (`crm:sales-crm`), for the ledger.
        consent: Option<String>,
        expires_at: Timestamp,
    },
    /// A ledger row that says why nothing was sent.
    Skip {
        reason: SkipReason,
    },
    /// Only in Observe mode: what would have been sent.
    Observed {
        medium: Medium,
    },
    /// Move the deal to a stage of the sales funnel, unless a person moved it meanwhile.
    Move {
        stage: String,
    },
    Comment {
        text: TaskText,
    },
    Task {
        who: ManagerId,
        due_at: Timestamp,
        text: TaskText,
    },
    Notify {
        who: ManagerId,
        text: TaskText,
    },
}

/// Which of the funnel's own texts a task, comment or notification carries; `content` renders it with the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskText {
    /// The client came back, through this signal.
    Revived { signal: SignalKind },
    /// The client opened a link.
    Clicked { seq: i32, link: i16 },
    /// The client replied: what does it mean?
    Replied,
    /// Nobody works on the deal; or the client bought, and it is time to ask how they are.
    Forgotten {
        supervisor: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        customer: bool,
    },
    /// A customer or unsubscribed client called all the same.
    Called { signal: SignalKind },
    /// The client showed interest that many working minutes ago, and nobody has reacted.
    Unanswered { minutes: i64 },
}

/// A line of the copy's history: what `timeline` shows and reports count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum History {
    /// It moved between stages.
    Stage {
        from: Role,
        to: Role,
        stage: String,
        why: String,
    },
    /// The list it is warmed by.
    List {
        list: String,
        why: String,
    },
    Postponed {
        item: String,
        until: Timestamp,
        why: crate::model::PostponeReason,
    },
    Signal {
        kind: SignalKind,
    },
    /// Somebody reacted to the client's interest, so many seconds of working time later.
    Reaction {
        seconds: i64,
    },
    /// Nobody reacted in that many minutes of working time, and somebody was told.
    Unanswered {
        minutes: i64,
        supervisor: bool,
    },
    Note {
        text: String,
    },
}

/// How a row of the cycles table changes: the base of the rate.
#[derive(Clone, Debug, PartialEq)]
pub enum CycleChange {
    /// A cycle began (and the former one ended, if it was open).
    Begin {
        cycle: i32,
        at: Timestamp,
        holdout: bool,
    },
    /// The cycle began at first sight of its deal, before its client was known; now that they are, they turn out to be held out.
    HeldOut {
        cycle: i32,
    },
    /// First message of the cycle (also written when a later one goes out: it is idempotent).
    Contacted {
        cycle: i32,
        at: Timestamp,
    },
    End {
        cycle: i32,
        at: Timestamp,
        how: CycleEnd,
    },
    /// It ended because the CRM did not show its deal, which is back as it was: it goes on.
    Resume {
        cycle: i32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CycleEnd {
    /// By a signal, within `attribution` of a message or click.
    Revived,
    /// By a signal, but never contacted or too long ago.
    Organic,
    /// A manager reopened it by hand within `attribution`.
    Assisted,
    /// A manager reopened it by hand, unrelated.
    Reopened,
    Refused,
    Unsubscribed,
    Won,
    Deleted,
}

impl CycleEnd {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revived => "Revived",
            Self::Organic => "Organic",
            Self::Assisted => "Assisted",
            Self::Reopened => "Reopened",
            Self::Refused => "Refused",
            Self::Unsubscribed => "Unsubscribed",
            Self::Won => "Won",
            Self::Deleted => "Deleted",
        }
    }
}

impl Decision {
    /// A decision that changes nothing yet.
    #[must_use]
    pub const fn unchanged(copy: Copy) -> Self {
        Self { copy, effects: Vec::new(), history: Vec::new(), cycle: Vec::new(), unanswered: Vec::new() }
    }

    /// Adds an effect under the copy's next number. `item` and `recipient` complete the natural key.
    pub fn effect(&mut self, list: &str, item: String, recipient: AddressHash, kind: EffectKind) {
        let seq = self.copy.next_seq;
        self.copy.next_seq += 1;
        self.effects.push(Effect { key: EffectKey { cycle: self.copy.cycle, list: list.into(), item, recipient }, seq, kind });
    }

    /// The copy it is about.
    #[must_use]
    pub const fn id(&self) -> CopyId {
        self.copy.id
    }
}
