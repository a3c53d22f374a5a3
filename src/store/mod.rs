//! The journal and the views: everything that must survive. One trait of batched verbs ([`Journal`]) on SQLite, PostgreSQL and an
//! in-memory model; read-only SQL for people ([`Views`]). One contract suite holds all of them to the same behaviour.
//!
//! The protocol is design §6: every transaction of the engine begins by locking its lease row; effects are written before any
//! byte leaves; outcomes are unfenced facts.

mod error;
pub(crate) mod identity;
mod journal;
mod memory;
mod money;
mod outcome;
mod pipelines;
mod rules;
mod sql;
mod timeline;
mod views;
mod witness;

pub use error::StoreError;
pub use journal::{
    Batch, Change, Clicked, Commit, Cursor, Due, EffectInfo, Finding, Hold, HoldScope, InboxRow, Incoming, Journal, Lease, Load,
    Loaded, Mark, NewEffect, NextAttempt, Outbox, Page, PutOff, Resolution, Revision, Source, Stored,
};
pub use money::{Charge, Period, PeriodSpent};
pub(crate) use money::{money_text, this_month};
pub use outcome::qualified;
pub(crate) use pipelines::{MOST_PIPELINES, empty_pipeline};
pub(crate) use rules::{RECENT, at_once, item_name, up_to_ms, with_state};
pub(crate) use timeline::Pace;
pub use views::{
    Ambiguous, ChannelCounts, DeadLetter, FunnelCounts, ReactionCounts, StageCount, TimelineEntry, Unclear, VariantCount, Views,
};
pub use witness::{FileWitness, Reserved, Said, Witness, WitnessError};

use std::sync::Arc;

/// A store of either kind, ready to use.
#[derive(Clone)]
pub struct Store {
    pub journal: Arc<dyn Journal>,
    pub views: Arc<dyn Views>,
}

impl Store {
    /// Opens (and on SQLite creates) a database for the one process that works on it, and brings its schema up to date.
    ///
    /// `sqlite:PATH` is locked by `PATH.lock` until the store is dropped; `postgres://…` may be opened by any number of
    /// replicas, of which the lease lets one be the engine; `memory:` is forgotten when dropped.
    ///
    /// # Errors
    /// [`StoreError::Url`] for anything else, [`StoreError::Locked`] while another process has the SQLite file,
    /// [`StoreError::Incompatible`] when a newer version changed the schema in a way this one cannot use, or a SQLite file is another
    /// program's.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        if url == "memory:" {
            let store = Arc::new(memory::MemoryStore::new()?);
            return Ok(Self { journal: store.clone(), views: store });
        }
        Self::with(url, sql::Access::Engine).await
    }

    /// A store in memory whose secret is given, so that the same run makes the same keys and hashes.
    #[must_use]
    pub fn in_memory(secret: [u8; 32]) -> Self {
        let store = Arc::new(memory::MemoryStore::with(secret));
        Self { journal: store.clone(), views: store }
    }

    /// Opens a database that another process may be working on, to read it and to set or release holds: what the commands
    /// beside a running `rekindle run` need. Takes no lock, creates nothing and never changes the schema. Holds written here
    /// are obeyed by the running engine from its next transaction on. All other writing verbs need the lease, which the running
    /// process has.
    ///
    /// # Errors
    /// As [`Store::open`]; also [`StoreError::Incompatible`] when the schema is older than this version needs.
    pub async fn open_beside(url: &str) -> Result<Self, StoreError> {
        Self::with(url, sql::Access::Beside).await
    }

    async fn with(url: &str, access: sql::Access) -> Result<Self, StoreError> {
        let store = Arc::new(sql::SqlStore::open(url, access).await?);
        Ok(Self { journal: store.clone(), views: store })
    }
}
