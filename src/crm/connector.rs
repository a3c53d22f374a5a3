//! The one interface of all connectors.

use crate::model::{Contact, Deal, EffectRef, Manager, ManagerId, Outcome};
use crate::store::{Cursor, Finding};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, sync::Arc};

/// Why a CRM could not be read. Never carries values of rows.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    #[error("{what}; {help}")]
    Settings { what: String, help: String },
    #[error("the CRM cannot be reached: {what}")]
    Unavailable {
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Read, but not believable: an emptied file must not look like "all deals deleted".
    #[error("{what}; {help}")]
    Suspicious { what: String, help: String },
}

impl CrmError {
    /// Stable name for metrics and events.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "settings",
            Self::Unavailable { .. } => "unavailable",
            Self::Suspicious { .. } => "suspicious",
        }
    }
}

/// Some rows of a CRM, in an order in which contacts and managers come no later than the deals that name them.
#[derive(Clone, Debug, Default)]
pub struct ReadPage {
    pub contacts: Vec<Contact>,
    pub managers: Vec<Manager>,
    pub deals: Vec<Deal>,
    /// Ids of deals that are there with nothing to tell: unchanged since `cursor`, or their row cannot be used. What is known of them is
    /// kept, they are not gone.
    pub kept: Vec<String>,
    /// The last page of a full look: deals in none of its pages, neither read nor `kept`, are gone.
    pub full_look: bool,
    /// The source was written during the look: some of its rows were perhaps in none of its pages, and it is looked at again.
    pub torn: bool,
    /// With a full look, where the CRM told of all of them: the contacts and the managers that there are. All others are gone.
    pub contacts_there: Option<Ids>,
    pub managers_there: Option<Ids>,
    pub findings: Vec<Finding>,
    /// Cursor to continue with (and to store with this page's rows).
    pub cursor: Cursor,
    pub more: bool,
}

/// Ids by their hash: a million of them take little room.
#[derive(Clone, Debug)]
pub struct Ids {
    hashes: Arc<HashSet<u64>>,
    hash: fn(&str) -> u64,
}

impl Ids {
    #[must_use]
    pub fn new(hashes: HashSet<u64>, hash: fn(&str) -> u64) -> Self {
        Self { hashes: Arc::new(hashes), hash }
    }

    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.hashes.contains(&(self.hash)(id))
    }
}

/// A write-back, rendered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteBack {
    pub effect: EffectRef,
    /// Stable id: the receiver's dedupe key.
    pub key: uuid::Uuid,
    pub deal: String,
    pub funnel: String,
    pub operation: Operation,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Operation {
    /// `expect`: the stage the deal was in when this was decided; a person who moved it meanwhile wins.
    Move {
        stage: String,
        expect: Option<String>,
    },
    Comment {
        text: String,
    },
    Task {
        manager: ManagerId,
        title: String,
        text: String,
        due_at: Timestamp,
    },
    Notify {
        manager: ManagerId,
        text: String,
    },
}

/// A connection to one CRM.
#[async_trait::async_trait]
pub trait Connector: Send + Sync {
    /// Whether something may have changed since `cursor` (cheap: a file's time and size). Hints make polling prompt.
    async fn changed(&self, cursor: &Cursor) -> Result<bool, CrmError>;

    /// Reads the next page from `cursor`, at most about `limit` deals. A cursor that is not `looking` begins a look, also where another one
    /// was broken off: only who sees a look from its first page to its last knows who is gone.
    async fn read(&self, cursor: &Cursor, limit: usize, now: Timestamp) -> Result<ReadPage, CrmError>;

    /// Performs write-backs in the given order; one outcome each. Stops at the first `Retry` of a deal for that deal only.
    async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome>;
}
