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
