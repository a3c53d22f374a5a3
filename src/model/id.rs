//! Identities. A funnel is `(namespace, name)` within an installation, never a Kubernetes UID: a restored backup or a re-created
//! resource goes on where it was and messages nobody again.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many shards the keys of an installation are spread over. Fixed for ever: it is part of stored rows.
pub const SHARDS: i16 = 64;

/// One row of ours for one deal in one reactivation funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CopyId(pub i64);

/// The person we write to. Found through CRM contact ids and normalised addresses; merges are recorded, never rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub i64);

/// A manager (or supervisor) as the CRM names them: a user id, or an address when configured by hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManagerId(pub String);

impl fmt::Display for CopyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The shard of a client's rows. All copies of a client share it, so that caps stay local to one engine lease.
#[must_use]
pub fn shard_of(client: ClientId) -> i16 {
    let hash = super::stable_hash(&[b"shard", &client.0.to_be_bytes()]);
    i16::try_from(hash % u64::from(SHARDS.unsigned_abs())).unwrap_or(0)
}

/// `(namespace, name)` of a `ReactivationFunnel`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunnelKey {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for FunnelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
