//! The store on SQLite and PostgreSQL: one SQL text for both ([`dialect`]), one way to run it ([`session`]), one file for each
//! group of verbs.

mod budget;
mod commit;
mod crm;
mod dialect;
mod effect;
mod funnel;
mod history;
mod identity;
mod inbox;
mod lease;
mod ledger;
mod open;
mod outbox;
mod page;
mod receipt;
mod recipient;
mod retention;
mod session;
mod subject;
mod suppress;
mod views;

pub(super) use open::Access;

use super::rules::AddressHasher;
use super::{
    Batch, Clicked, Commit, Cursor, Due, EffectInfo, Hold, HoldScope, InboxRow, Incoming, Journal, Lease, Load, Loaded, Mark,
    Outbox, Period, Resolution, Revision, Source, StoreError, Stored,
};
use crate::engine::Voice;
use crate::model::{Address, AddressHash, Contact, CopyId, EffectRef, FunnelKey, Manager, Outcome};
use jiff::Timestamp;
use open::Database;
use std::{collections::HashMap, time::Duration};

type Result<T> = std::result::Result<T, StoreError>;

/// A database with the installation's secret.
pub(super) struct SqlStore {
    database: Database,
    secret: [u8; 32],
    addresses: AddressHasher,
}

impl SqlStore {
    pub(super) async fn open(url: &str, access: Access) -> Result<Self> {
        let database = Database::open(url, access).await?;
        let ready = async {
            match access {
                Access::Engine => {
                    open::migrate(&database).await?;
                    lease::bury_dead(&database).await
                }
                Access::Beside => open::check(&database).await,
            }
        };
        if let Err(error) = ready.await {
            return Err(open::why(&database, error).await);
        }
        let secret = open::secret(&database, access).await?;
        Ok(Self { database, secret, addresses: AddressHasher::new(&secret) })
    }
}

#[async_trait::async_trait]
impl Journal for SqlStore {
    fn address_hash(&self, address: &Address) -> AddressHash {
        self.addresses.hash(address)
    }

    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn readdress(&self, address: &str) -> Result<()> {
        self.database.readdress(address)
    }

    async fn take(&self, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
        lease::take(&self.database, owner, ttl).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool> {
        lease::renew(&self.database, lease, ttl).await
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        lease::release(&self.database, lease).await
    }

    async fn time(&self) -> Result<Option<Timestamp>> {
        lease::time(&self.database).await
    }

    async fn due(&self, now: Timestamp, low: Option<Timestamp>, limit: u32) -> Result<Vec<Due>> {
        subject::due(&self.database, now, low, limit).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        subject::next_due(&self.database).await
    }

    async fn fetch(&self, what: &Load, now: Timestamp) -> Result<Vec<Loaded>> {
        subject::fetch(&self.database, &self.addresses, what, now).await
    }

    async fn stored(&self, connection: &str, ids: &[String]) -> Result<Vec<Stored>> {
        crm::stored(&self.database, connection, ids).await
    }

    async fn deal_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        crm::deal_ids(&self.database, connection, after, limit).await
    }

    async fn contact_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        crm::contact_ids(&self.database, connection, after, limit).await
    }

    async fn contacts(&self, connection: &str, ids: &[String]) -> Result<Vec<Contact>> {
        crm::contacts(&self.database, connection, ids).await
    }

    async fn managers(&self, connection: &str) -> Result<Vec<Manager>> {
        crm::managers(&self.database, connection).await
    }

    async fn cursor(&self, connection: &str) -> Result<Cursor> {
        crm::cursor(&self.database, connection).await
    }

    async fn set_cursor(&self, lease: &Lease, connection: &str, cursor: &Cursor) -> Result<()> {
        crm::set_cursor(&self.database, lease, connection, cursor).await
    }

    async fn commit(&self, lease: &Lease, batch: Batch) -> Result<Commit> {
        commit::commit(&self.database, &self.addresses, lease, batch).await
    }

    async fn receive(&self, incoming: Vec<Incoming>) -> Result<Vec<bool>> {
        inbox::receive(&self.database, incoming).await
    }

    async fn inbox_ahead(&self, after: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
        inbox::ahead(&self.database, after, until, limit).await
    }

    async fn inbox(&self, now: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
        inbox::ready(&self.database, now, limit).await
    }

    async fn lived(&self, rows: &[i64]) -> Result<()> {
        inbox::lived(&self.database, rows).await
    }

    async fn bury(&self, lease: &Lease, source: Source, id: i64, error: &str, now: Timestamp) -> Result<()> {
        inbox::bury(&self.database, lease, source, id, error, now).await
    }

    async fn outbox_beside(&self, busy: &[String], low: Option<Timestamp>, now: Timestamp, limit: u32) -> Result<Vec<Outbox>> {
        outbox::due(&self.database, busy, low, now, limit).await
    }

    async fn start(&self, lease: &Lease, effects: &[EffectRef], _now: Timestamp) -> Result<Vec<EffectRef>> {
        outbox::start(&self.database, lease, effects).await
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<()> {
        outbox::mark(&self.database, marks).await
    }

    async fn receipt(&self, provider: &str, id: &str, outcome: Outcome, at: Timestamp) -> Result<Option<EffectRef>> {
        receipt::receipt(&self.database, provider, id, outcome, at).await
    }

    async fn resolve(&self, effects: &[EffectRef], how: Resolution, now: Timestamp) -> Result<Vec<EffectRef>> {
        outbox::resolve(&self.database, effects, how, now).await
    }

    async fn intents(&self) -> Result<i64> {
        outbox::intents(&self.database).await
    }

    async fn raise_intents(&self, lease: &Lease, to: i64, now: Timestamp) -> Result<()> {
        outbox::raise_intents(&self.database, lease, to, now).await
    }

    async fn purge(&self, lease: &Lease, now: Timestamp) -> Result<bool> {
        retention::purge(&self.database, lease, now).await
    }

    async fn spent(&self, periods: &[Period]) -> Result<Vec<i64>> {
        budget::spent(&self.database, periods).await
    }

    async fn suppressed(&self, effects: &[EffectRef]) -> Result<Vec<EffectRef>> {
        suppress::suppressed(&self.database, effects).await
    }

    async fn effects(&self, effects: &[EffectRef]) -> Result<Vec<EffectInfo>> {
        ledger::effects(&self.database, effects).await
    }

    async fn codes(&self, hashes: &[String]) -> Result<HashMap<String, (EffectRef, i16)>> {
        ledger::codes(&self.database, hashes).await
    }

    async fn by_provider_id(&self, provider: &str, id: &str) -> Result<Option<EffectRef>> {
        ledger::by_provider_id(&self.database, provider, id).await
    }

    async fn judge(&self, hits: &[Clicked]) -> Result<()> {
        ledger::judge(&self.database, hits).await
    }

    async fn holds(&self) -> Result<Vec<Hold>> {
        funnel::holds(&mut self.database.read().await?).await
    }

    async fn hold(&self, hold: Hold) -> Result<()> {
        funnel::hold(&self.database, &hold).await
    }

    async fn release_hold(&self, scope: &HoldScope) -> Result<bool> {
        funnel::release_hold(&self.database, scope).await
    }

    async fn publish(&self, funnel: &FunnelKey, voice: &Voice, snapshot: &serde_json::Value, now: Timestamp) -> Result<i64> {
        funnel::publish(&self.database, funnel, voice, snapshot, now).await
    }

    async fn retire(&self, funnel: &FunnelKey, now: Timestamp) -> Result<()> {
        funnel::retire(&self.database, funnel, now).await
    }

    async fn revisions(&self) -> Result<Vec<Revision>> {
        funnel::revisions(&self.database).await
    }

    async fn first_published(&self, funnel: &FunnelKey) -> Result<Option<Timestamp>> {
        funnel::first_published(&self.database, funnel).await
    }

    async fn copies_of(&self, funnel: &FunnelKey, after: CopyId, limit: u32) -> Result<Vec<CopyId>> {
        funnel::copies_of(&self.database, funnel, after, limit).await
    }

    async fn backfill(&self, funnel: &FunnelKey, lost_since: Timestamp, limit: u32) -> Result<Vec<CopyId>> {
        funnel::backfill(&self.database, funnel, lost_since, limit).await
    }
}
