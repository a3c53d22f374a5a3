//! What arrives from outside and waits in the inbox: signals, clicks, receipts, replies, refusals.

use super::{EffectRef, Medium, Outcome, Text};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of thing that happened. The first four revive by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SignalKind {
    InboundCall,
    MissedCall,
    Chat,
    Form,
    /// The client answered a message: pauses and asks the manager (`replies: Ask`).
    Reply,
    /// The client said no: the cycle ends, nothing is suppressed.
    Refusal,
    Click,
    /// The manager called: never revives.
    OutboundCall,
    /// The client booked or bought elsewhere in the CRM: what `stopWhen` usually waits for.
    Booked,
    /// The manager closed the task we gave them, with a [`Reaction`].
    TaskClosed,
}

impl SignalKind {
    pub const ALL: [Self; 10] = [
        Self::InboundCall,
        Self::MissedCall,
        Self::Chat,
        Self::Form,
        Self::Reply,
        Self::Refusal,
        Self::Click,
        Self::OutboundCall,
        Self::Booked,
        Self::TaskClosed,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InboundCall => "InboundCall",
            Self::MissedCall => "MissedCall",
            Self::Chat => "Chat",
            Self::Form => "Form",
            Self::Reply => "Reply",
            Self::Refusal => "Refusal",
            Self::Click => "Click",
            Self::OutboundCall => "OutboundCall",
            Self::Booked => "Booked",
            Self::TaskClosed => "TaskClosed",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

/// What the manager decided after a reply or a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reaction {
    Revived,
    Declined,
    GoOn,
}

/// Whom a signal is about, as its sender knows them; the first that matches something is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignalSubject {
    /// A message: the person it was written to, whoever its deal belongs to by now.
    pub effect: Option<EffectRef>,
    /// Connection name and the CRM's deal id.
    pub deal: Option<(String, String)>,
    pub contact: Option<(String, String)>,
    /// Phone or email as written; normalised by the store's caller.
    pub phone: Option<super::Phone>,
    pub email: Option<super::Email>,
    /// Those who have not had it yet, of everybody it is about. Empty: nobody has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<super::CopyId>,
}

/// Whether a person or a program opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClickVerdict {
    Human,
    /// HEAD, prefetch, a known scanner, within seconds of delivery, or all links at once: wakes nobody.
    Machine,
}

impl ClickVerdict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Machine => "machine",
        }
    }
}

/// One row of the inbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum InboxEvent {
    Signal {
        kind: SignalKind,
        subject: SignalSubject,
        at: Timestamp,
        text: Option<Text>,
        reaction: Option<Reaction>,
    },
    /// A click whose verdict was not yet final when it arrived is looked at again when the row becomes due.
    Click {
        effect: EffectRef,
        link: i16,
        at: Timestamp,
        /// What the web already knows: `Machine` wakes nobody, `None` is judged when the row becomes due.
        #[serde(default)]
        verdict: Option<ClickVerdict>,
    },
    /// A receipt or bounce about one of our messages.
    Receipt {
        effect: EffectRef,
        outcome: Outcome,
        at: Timestamp,
    },
    /// The client unsubscribed through a link, one-click or STOP; the suppression is already stored.
    Unsubscribe {
        subject: SignalSubject,
        at: Timestamp,
        /// Of this medium only; without it, of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<Medium>,
    },
}
