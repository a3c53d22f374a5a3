//! Roles of stages, the mode of a funnel, the purpose of a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a stage means, whatever its display title. The last three have no stage of their own in a funnel's spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    InWork,
    Stalled,
    Warming,
    Revived,
    Unsubscribed,
    Customer,
    /// Lost, but no Warming stage names its lost reason: counted and shown, so that a new lost reason does not vanish.
    NotWarmed,
    /// Lost before the funnel existed and not yet admitted by `backfill`.
    Backfill,
    /// Won (without a Customer stage), deleted in the CRM, or excluded: out of the funnel, still countable.
    Archived,
}

impl Role {
    pub const ALL: [Self; 9] = [
        Self::InWork,
        Self::Stalled,
        Self::Warming,
        Self::Revived,
        Self::Unsubscribed,
        Self::Customer,
        Self::NotWarmed,
        Self::Backfill,
        Self::Archived,
    ];

    /// The stored and printed word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InWork => "InWork",
            Self::Stalled => "Stalled",
            Self::Warming => "Warming",
            Self::Revived => "Revived",
            Self::Unsubscribed => "Unsubscribed",
            Self::Customer => "Customer",
            Self::NotWarmed => "NotWarmed",
            Self::Backfill => "Backfill",
            Self::Archived => "Archived",
        }
    }

    /// The role of a stored word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Money "at risk" is what stands in these.
    #[must_use]
    pub const fn at_risk(self) -> bool {
        matches!(self, Self::Stalled | Self::Warming)
    }
}

/// Whether a funnel sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Everything but sending and writing to the CRM: shows what would happen.
    #[default]
    Observe,
    Live,
}

/// Why a message is sent: decides consent, caps and holidays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    /// Needs consent, counts against caps, skips holidays.
    #[default]
    Advertising,
    /// About something the client asked for or bought: exempt from caps and consent, not from windows and suppression.
    Service,
}
