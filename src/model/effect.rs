//! The ledger's words: what became of one message or one write-back.

use super::{AddressHash, CopyId, Deal, Manager};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The natural key of an effect within its copy. Unique in the ledger for ever: the same item is never sent twice in a cycle,
/// whatever is edited, restarted or replayed. Write-backs use the lists `@move`, `@comment`, `@task`, `@notify`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectKey {
    pub cycle: i32,
    pub list: String,
    pub item: String,
    /// Address hash of a message, manager id of a task or notification, empty for the deal itself.
    pub recipient: AddressHash,
}

/// Short reference to an effect: its copy and its number within that copy. Tokens, receipts and Message-IDs carry it, so that
/// the ledger needs no second index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectRef {
    pub copy: CopyId,
    pub seq: i32,
}

impl fmt::Display for EffectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.copy, self.seq)
    }
}

/// Where an effect stands. Stored as its number; merged monotonically (a later fact never overwrites a stronger one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(i16)]
pub enum EffectStatus {
    /// Written down, waits for its time (write-backs, retries).
    Planned = 0,
    /// Written down and about to be handed over. After a crash: `Unknown`.
    Intended = 1,
    /// The provider may or may not have it. Never resent on our own initiative.
    Unknown = 2,
    /// Not sent, will not be: see the reason.
    Skipped = 3,
    /// Refused for good.
    Failed = 4,
    /// Still refused when its validity ended.
    Expired = 5,
    /// The provider took it.
    Accepted = 6,
    /// A receipt says that it arrived.
    Delivered = 7,
}

impl EffectStatus {
    pub const ALL: [Self; 8] =
        [Self::Planned, Self::Intended, Self::Unknown, Self::Skipped, Self::Failed, Self::Expired, Self::Accepted, Self::Delivered];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Intended => "intended",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
        }
    }

    /// The stored number.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }

    /// The client has it, as far as anyone can tell.
    #[must_use]
    pub const fn sent(self) -> bool {
        matches!(self, Self::Accepted | Self::Delivered)
    }

    /// Whether the client has it, or may have it, or will have it in a moment.
    #[must_use]
    pub const fn went_out(self) -> bool {
        matches!(self, Self::Planned | Self::Intended | Self::Unknown | Self::Accepted | Self::Delivered)
    }

    /// Tried, and certainly not with the client.
    #[must_use]
    pub const fn refused(self) -> bool {
        matches!(self, Self::Failed | Self::Expired)
    }

    /// Nothing more will be done about it on our own initiative.
    #[must_use]
    pub const fn terminal(self) -> bool {
        !matches!(self, Self::Planned | Self::Intended)
    }
}

/// What performing an effect (or a receipt about it) told us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The provider's positive reply was read.
    Accepted { provider: String, provider_id: Option<String> },
    /// A receipt: it arrived.
    Delivered,
    /// Certainly not accepted; try again (after `after`, if the provider said).
    Retry { reason: String, after: Option<std::time::Duration> },
    /// Certainly not accepted and never will be. `suppress`: the address itself is bad.
    Rejected { reason: String, suppress: bool },
    /// The channel is at fault (credentials, money, sender not registered): the channel pauses (for `after`, if somebody said how
    /// long), the message waits.
    ChannelDown { reason: String, after: Option<std::time::Duration> },
    /// Nobody can say whether it was accepted.
    Unknown { reason: String },
    /// Never started: hand it over later, by us or by the next owner.
    NotStarted,
    /// Its validity ended before it could be handed over.
    Expired,
}

/// Why an item was not sent, readable by a marketer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SkipReason {
    NoAddress,
    NoConsent,
    Suppressed,
    MissingValue,
    ConditionFalse,
    ConditionError,
    CapReached,
    BudgetReached,
    SentThroughOtherDeal,
    Holdout,
    TooOld,
    NotValidYet,
    NoLongerValid,
    NoChannel,
    RenderError,
    TooLong,
    Inserted,
}

impl SkipReason {
    pub const ALL: [Self; 17] = [
        Self::NoAddress,
        Self::NoConsent,
        Self::Suppressed,
        Self::MissingValue,
        Self::ConditionFalse,
        Self::ConditionError,
        Self::CapReached,
        Self::BudgetReached,
        Self::SentThroughOtherDeal,
        Self::Holdout,
        Self::TooOld,
        Self::NotValidYet,
        Self::NoLongerValid,
        Self::NoChannel,
        Self::RenderError,
        Self::TooLong,
        Self::Inserted,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAddress => "NoAddress",
            Self::NoConsent => "NoConsent",
            Self::Suppressed => "Suppressed",
            Self::MissingValue => "MissingValue",
            Self::ConditionFalse => "ConditionFalse",
            Self::ConditionError => "ConditionError",
            Self::CapReached => "CapReached",
            Self::BudgetReached => "BudgetReached",
            Self::SentThroughOtherDeal => "SentThroughOtherDeal",
            Self::Holdout => "Holdout",
            Self::TooOld => "TooOld",
            Self::NotValidYet => "NotValidYet",
            Self::NoLongerValid => "NoLongerValid",
            Self::NoChannel => "NoChannel",
            Self::RenderError => "RenderError",
            Self::TooLong => "TooLong",
            Self::Inserted => "Inserted",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }

    /// The sentence of a word; of one that this version does not know, the word.
    #[must_use]
    pub fn sentence_of(word: &str) -> &str {
        match Self::parse(word) {
            Some(reason) => reason.sentence(),
            None => word,
        }
    }

    /// For those who write the messages.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoAddress => "there is no phone number or email address that it could go to",
            Self::NoConsent => "the client did not agree to advertising",
            Self::Suppressed => "the client opted out, or the address takes no messages",
            Self::MissingValue => "its text needs something that is not known of the client",
            Self::ConditionFalse => "its condition does not hold for the client",
            Self::ConditionError => "its condition has no answer for the client",
            Self::CapReached => "the client has had as many messages as the caps allow, and it is not to wait",
            Self::BudgetReached => "there was no money left for it, and it is not to wait",
            Self::SentThroughOtherDeal => "the client had it already, through another of their deals",
            Self::Holdout => "the client is in the group that gets nothing, for comparison",
            Self::TooOld => "its time was over",
            Self::NotValidYet => "its turn came before the day from which on it may be sent",
            Self::NoLongerValid => "its turn came after the last day on which it may be sent",
            Self::NoChannel => "the funnel has no channel for it",
            Self::RenderError => "its text cannot be written for the client",
            Self::TooLong => "its text is longer than the channel allows",
            Self::Inserted => "it was put into the list at a place that the client had passed",
        }
    }
}

/// Why an item waits although its own time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PostponeReason {
    OutsideWindow,
    Holiday,
    CapReached,
    BudgetReached,
    ClientInWork,
    OtherDealLeads,
    LowerPriority,
    StaleCrm,
    Paused,
    Suspended,
    Spread,
    RateLimited,
    ChannelDown,
}

impl PostponeReason {
    pub const ALL: [Self; 13] = [
        Self::OutsideWindow,
        Self::Holiday,
        Self::CapReached,
        Self::BudgetReached,
        Self::ClientInWork,
        Self::OtherDealLeads,
        Self::LowerPriority,
        Self::StaleCrm,
        Self::Paused,
        Self::Suspended,
        Self::Spread,
        Self::RateLimited,
        Self::ChannelDown,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutsideWindow => "OutsideWindow",
            Self::Holiday => "Holiday",
            Self::CapReached => "CapReached",
            Self::BudgetReached => "BudgetReached",
            Self::ClientInWork => "ClientInWork",
            Self::OtherDealLeads => "OtherDealLeads",
            Self::LowerPriority => "LowerPriority",
            Self::StaleCrm => "StaleCrm",
            Self::Paused => "Paused",
            Self::Suspended => "Suspended",
            Self::Spread => "Spread",
            Self::RateLimited => "RateLimited",
            Self::ChannelDown => "ChannelDown",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }

    /// The sentence of a word; of one that this version does not know, the word.
    #[must_use]
    pub fn sentence_of(word: &str) -> &str {
        match Self::parse(word) {
            Some(reason) => reason.sentence(),
            None => word,
        }
    }

    /// For those who write the messages.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::OutsideWindow => "it waits for the hours in which clients may be written to",
            Self::Holiday => "it waits for the end of a holiday",
            Self::CapReached => "the client has had as many messages as the caps allow for now",
            Self::BudgetReached => "the money of the day or the month is used up",
            Self::ClientInWork => "a manager is at work on a deal of the client",
            Self::OtherDealLeads => "another deal of the client is written about first",
            Self::LowerPriority => "a funnel that is ranked higher writes to the client first",
            Self::StaleCrm => "the CRM could not be read for too long",
            Self::Paused => "the client showed interest, and a manager is to answer first",
            Self::Suspended => "the funnel or its policy is stopped",
            Self::Spread => "what is overdue is let out little by little",
            Self::RateLimited => "the channel sends no faster",
            Self::ChannelDown => "the channel is out of order",
        }
    }
}

/// In whose name an item is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SendAs {
    #[default]
    Brand,
    Manager,
    /// As the manager if the manager was in touch with this client before, else as the brand.
    ManagerIfSpoke,
}

impl SendAs {
    /// Whether a message about this deal is sent in its manager's name.
    #[must_use]
    pub const fn is_manager(self, deal: &Deal, manager: Option<&Manager>) -> bool {
        manager.is_some()
            && match self {
                Self::Brand => false,
                Self::Manager => true,
                Self::ManagerIfSpoke => deal.last_activity_at.is_some(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::{Deal, Manager, SendAs};
    use crate::model::{ManagerId, Text};
    use jiff::Timestamp;

    #[test]
    fn a_client_nobody_spoke_to_gets_the_brand_and_so_does_its_preview() {
        let silent = Deal::default();
        let spoken = Deal { last_activity_at: Some(Timestamp::UNIX_EPOCH), ..Deal::default() };
        let anna = Manager {
            id: ManagerId("m1".into()),
            name: Text("Анна".into()),
            first_name: None,
            email: None,
            phone: None,
            supervisor: None,
            deputy: None,
            absent_until: None,
        };
        for (send_as, of_silent, of_spoken) in
            [(SendAs::Brand, false, false), (SendAs::Manager, true, true), (SendAs::ManagerIfSpoke, false, true)]
        {
            let got = [&silent, &spoken].map(|deal| send_as.is_manager(deal, Some(&anna)));
            assert_eq!(got, [of_silent, of_spoken], "{send_as:?}");
            assert!(!send_as.is_manager(&spoken, None), "{send_as:?}");
        }
    }
}
