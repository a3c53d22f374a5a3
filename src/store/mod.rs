//! The journal and the views: everything that must survive. One trait of batched verbs ([`Journal`]) on SQLite, PostgreSQL and an
//! in-memory model; read-only SQL for people ([`Views`]). One contract suite holds all of them to the same behaviour.
//!
//! The protocol is design §6: every transaction of the engine begins by locking its lease row; effects are written before any
//! byte leaves; outcomes are unfenced facts.

mod error;
mod journal;
mod views;

pub use error::StoreError;
pub use journal::{
    Batch, Change, Clicked, Commit, Cursor, Due, EffectInfo, Finding, Hold, HoldScope, InboxRow, Incoming, Journal, Lease, Load,
    Mark, NewEffect, NextAttempt, Outbox, Page, Revision, Source, Stored,
};
pub use views::{ChannelCounts, DeadLetter, FunnelCounts, StageCount, TimelineEntry, Views};

use std::sync::Arc;

/// A store of either kind, ready to use.
#[derive(Clone)]
pub struct Store {
    pub journal: Arc<dyn Journal>,
    pub views: Arc<dyn Views>,
}
