//! Everything known about one copy when the engine looks at it. Loaded by the store in one go for a whole batch.

use super::{Copy, Priced, Says, Spent, Voice};
use crate::model::{
    Address, AddressHash, ClientId, Consent, Contact, CopyId, Deal, EffectKey, EffectStatus, FunnelKey, Manager, Medium, Purpose,
    Role, Suppression,
};
use jiff::Timestamp;

/// A copy with its deal, its client, its managers and its ledger.
#[derive(Clone, Debug)]
pub struct Subject {
    pub copy: Copy,
    /// The deal as last read from the CRM.
    pub deal: Deal,
    pub contact: Option<Contact>,
    pub client: Client,
    pub manager: Option<Manager>,
    pub deputy: Option<Manager>,
    pub supervisor: Option<Manager>,
    /// Ledger rows of this copy, all cycles, oldest first.
    pub ledger: Vec<LedgerEntry>,
    /// When the deal's connection was last read successfully.
    pub crm_read_at: Option<Timestamp>,
    /// What its policy's budget has spent so far; told by whoever is about to send.
    pub spent: Spent,
    /// What some of its messages cost, as far as anybody measured.
    pub priced: Vec<Priced>,
}

/// The person, across all deals and funnels.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub id: Option<ClientId>,
    pub addresses: Vec<KnownAddress>,
    pub consents: Vec<Consent>,
    /// Those that match the person or one of the addresses; `AddressHash` scopes are matched by address.
    pub suppressions: Vec<Suppression>,
    /// What was sent to the person's addresses lately, through whatever deal or funnel, oldest first
    /// (180 days: the age at which a journey ends by default).
    pub recent: Vec<Recent>,
    /// The person's other copies, archived ones left out.
    pub siblings: Vec<Sibling>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KnownAddress {
    pub address: Address,
    pub hash: AddressHash,
}

/// One message sent to one address, as caps and the item cooldown see it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Recent {
    #[serde(rename = "t")]
    pub at: Timestamp,
    #[serde(rename = "m")]
    pub medium: Medium,
    #[serde(rename = "p")]
    pub purpose: Purpose,
    /// `namespace/list/item`
    #[serde(rename = "i")]
    pub item: String,
    #[serde(rename = "c")]
    pub copy: CopyId,
    /// `namespace/name` of the policy whose caps it counts for; unknown counts for all.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Filled by the loader from the row it stands in.
    #[serde(skip, default = "no_hash")]
    pub address: AddressHash,
}

fn no_hash() -> AddressHash {
    AddressHash(String::new())
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sibling {
    pub copy: CopyId,
    pub funnel: FunnelKey,
    pub role: Role,
    pub deal_open: bool,
    /// When its current cycle began: of several warm deals the earliest leads, then the smallest copy id.
    pub cycle_at: Option<Timestamp>,
    /// Its journey still has something to say ([`CopyState::speaks`](super::CopyState::speaks)).
    pub speaks: bool,
    /// When the client was last heard of through it: a signal, a click, an activity that its CRM tells of, a revival.
    pub heard_at: Option<Timestamp>,
    /// Its next message, for those that give way to it.
    pub says: Option<Says>,
    /// Of its funnel.
    pub voice: Voice,
}

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    pub key: EffectKey,
    pub seq: i32,
    pub status: EffectStatus,
    /// Accepted, or written down if it is not yet.
    pub at: Timestamp,
    pub variant: Option<String>,
    /// First human click, if any.
    pub clicked_at: Option<Timestamp>,
    pub opened: bool,
    /// For skipped rows.
    pub reason: Option<String>,
}
