//! Who must not be written to, and who agreed to be.

use super::{AddressHash, ClientId, Medium, Purpose};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a suppression is tied to. A person's choice follows the person; a number that sent STOP and a dead mailbox are addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SuppressionScope {
    Client(ClientId),
    Address(AddressHash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SuppressionReason {
    /// Link, button or one-click: advertising of one brand.
    Unsubscribed,
    /// STOP by SMS: this number gets nothing at all.
    Stop,
    /// The address does not exist.
    HardBounce,
    Complaint,
    /// Set by a person.
    Manual,
}

impl SuppressionReason {
    pub const ALL: [Self; 5] = [Self::Unsubscribed, Self::Stop, Self::HardBounce, Self::Complaint, Self::Manual];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsubscribed => "Unsubscribed",
            Self::Stop => "Stop",
            Self::HardBounce => "HardBounce",
            Self::Complaint => "Complaint",
            Self::Manual => "Manual",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }
}

/// A prohibition. `None` means "any".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    pub scope: SuppressionScope,
    pub brand: Option<String>,
    pub medium: Option<Medium>,
    pub purpose: Option<Purpose>,
    pub reason: SuppressionReason,
    pub at: Timestamp,
}

impl Suppression {
    /// Whether it forbids this message (its scope was already matched by the loader).
    #[must_use]
    pub fn forbids(&self, brand: &str, medium: Medium, purpose: Purpose) -> bool {
        self.brand.as_deref().is_none_or(|b| b == brand)
            && self.medium.is_none_or(|m| m == medium)
            && self.purpose.is_none_or(|p| p == purpose)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsentStatus {
    Given,
    Withdrawn,
}

/// Evidence of consent for address × brand × medium × purpose. Messages name the one they relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub address: AddressHash,
    /// `None`: given to the CRM's owner without naming a brand.
    pub brand: Option<String>,
    pub medium: Medium,
    pub purpose: Purpose,
    pub status: ConsentStatus,
    /// Where we know it from, like `crm:sales-crm` or `form:site`.
    pub source: String,
    pub at: Timestamp,
    /// The wording the client agreed to, or its version.
    pub wording: Option<String>,
}

impl Consent {
    /// `source` of what the client took back through us.
    pub const UNSUBSCRIBED: &'static str = "unsubscribed";
}
