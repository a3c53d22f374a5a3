//! A journal in memory with only what the web asks for, and a switch that takes it away.

use crate::{
    links::Keys,
    model::{Address, AddressHash, Contact, CopyId, EffectRef, EffectStatus, FunnelKey, InboxEvent, Manager, Outcome},
    store::{
        Ambiguous, Batch, ChannelCounts, Clicked, Commit, Cursor, DeadLetter, Due, EffectInfo, FunnelCounts, Hold, HoldScope,
        InboxRow, Incoming, Journal, Lease, Load, Loaded, Mark, Outbox, Resolution, Revision, Source, StageCount, StoreError,
        Stored, TimelineEntry, Views,
    },
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

type Result<T> = std::result::Result<T, StoreError>;

pub const SECRET: [u8; 32] = [7; 32];

#[derive(Default)]
pub struct Fake {
    pub effects: Mutex<BTreeMap<EffectRef, EffectInfo>>,
    pub codes: Mutex<BTreeMap<String, (EffectRef, i16)>>,
    pub provider_ids: Mutex<BTreeMap<String, EffectRef>>,
    /// Receipts whose provider id nobody knows yet.
    pub early: Mutex<Vec<(String, Outcome)>>,
    /// By which providers' ids messages were asked for.
    pub asked: Mutex<Vec<String>>,
    pub received: Mutex<Vec<Incoming>>,
    seen: Mutex<BTreeSet<(String, String)>>,
    pub down: AtomicBool,
    /// Refuses clicks on this link for good, and whatever comes with them.
    pub poison: Mutex<Option<i16>>,
    pub batches: AtomicUsize,
    pub lookups: AtomicUsize,
}

impl Fake {
    fn up(&self) -> Result<()> {
        if self.down.load(Ordering::SeqCst) { Err(StoreError::Unavailable("gone".into())) } else { Ok(()) }
    }

    pub fn take(&self) -> Vec<Incoming> {
        std::mem::take(&mut self.received.lock().unwrap())
    }
}

fn unused<T>() -> Result<T> {
    Err(StoreError::Incompatible("the web does not ask for this".into()))
}

#[async_trait::async_trait]
impl Journal for Fake {
    fn address_hash(&self, address: &Address) -> AddressHash {
        Keys::derive(&SECRET).address_hash(address)
    }
    fn secret(&self) -> [u8; 32] {
        SECRET
    }
    async fn take(&self, _: &str, _: Duration) -> Result<Option<Lease>> {
        unused()
    }
    async fn renew(&self, _: &Lease, _: Duration) -> Result<bool> {
        unused()
    }
    async fn release(&self, _: &Lease) -> Result<()> {
        unused()
    }
    async fn due(&self, _: Timestamp, _: Option<Timestamp>, _: u32) -> Result<Vec<Due>> {
        unused()
    }
    async fn next_due(&self) -> Result<Option<Timestamp>> {
        unused()
    }
    async fn fetch(&self, _: &Load, _: Timestamp) -> Result<Vec<Loaded>> {
        unused()
    }
    async fn stored(&self, _: &str, _: &[String]) -> Result<Vec<Stored>> {
        unused()
    }
    async fn deal_ids(&self, _: &str, _: &str, _: u32) -> Result<Vec<String>> {
        unused()
    }
    async fn contact_ids(&self, _: &str, _: &str, _: u32) -> Result<Vec<String>> {
        unused()
    }
    async fn contacts(&self, _: &str, _: &[String]) -> Result<Vec<Contact>> {
        unused()
    }
    async fn managers(&self, _: &str) -> Result<Vec<Manager>> {
        unused()
    }
    async fn cursor(&self, _: &str) -> Result<Cursor> {
        unused()
    }
    async fn set_cursor(&self, _: &Lease, _: &str, _: &Cursor) -> Result<()> {
        unused()
    }
    async fn commit(&self, _: &Lease, _: Batch) -> Result<Commit> {
        unused()
    }

    async fn receive(&self, incoming: Vec<Incoming>) -> Result<Vec<bool>> {
        self.up()?;
        let poison = *self.poison.lock().unwrap();
        if incoming.iter().any(|i| matches!(i.event, InboxEvent::Click { link, .. } if Some(link) == poison)) {
            return Err(StoreError::Corrupt { what: "poison".into(), source: None });
        }
        self.batches.fetch_add(1, Ordering::SeqCst);
        let mut seen = self.seen.lock().unwrap();
        let mut received = self.received.lock().unwrap();
        Ok(incoming
            .into_iter()
            .map(|i| {
                let new = seen.insert((i.source.clone(), i.id.clone()));
                if new {
                    received.push(i);
                }
                new
            })
            .collect())
    }

    async fn inbox_ahead(&self, _: Timestamp, _: Timestamp, _: u32) -> Result<Vec<InboxRow>> {
        unused()
    }
    async fn inbox(&self, _: Timestamp, _: u32) -> Result<Vec<InboxRow>> {
        unused()
    }
    async fn lived(&self, _: &[i64]) -> Result<()> {
        unused()
    }
    async fn bury(&self, _: &Lease, _: Source, _: i64, _: &str, _: Timestamp) -> Result<()> {
        unused()
    }
    async fn outbox_beside(&self, _: &[String], _: Option<Timestamp>, _: Timestamp, _: u32) -> Result<Vec<Outbox>> {
        unused()
    }
    async fn start(&self, _: &Lease, _: &[EffectRef], _: Timestamp) -> Result<Vec<EffectRef>> {
        unused()
    }
    async fn mark(&self, _: Vec<Mark>) -> Result<()> {
        unused()
    }
    async fn resolve(&self, _: &[EffectRef], _: Resolution, _: Timestamp) -> Result<Vec<EffectRef>> {
        unused()
    }
    async fn spent(&self, _: &[crate::store::Period]) -> Result<Vec<i64>> {
        unused()
    }
    async fn intents(&self) -> Result<i64> {
        unused()
    }
    async fn raise_intents(&self, _: &Lease, _: i64, _: Timestamp) -> Result<()> {
        unused()
    }
    async fn suppressed(&self, _: &[EffectRef]) -> Result<Vec<EffectRef>> {
        unused()
    }

    async fn effects(&self, effects: &[EffectRef]) -> Result<Vec<EffectInfo>> {
        self.up()?;
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let known = self.effects.lock().unwrap();
        Ok(effects.iter().filter_map(|effect| known.get(effect).cloned()).collect())
    }
    async fn codes(&self, hashes: &[String]) -> Result<HashMap<String, (EffectRef, i16)>> {
        self.up()?;
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let codes = self.codes.lock().unwrap();
        Ok(hashes.iter().filter_map(|hash| Some((hash.clone(), *codes.get(hash)?))).collect())
    }
    async fn by_provider_id(&self, _: &str, id: &str) -> Result<Option<EffectRef>> {
        self.up()?;
        Ok(self.provider_ids.lock().unwrap().get(id).copied())
    }

    async fn receipt(&self, provider: &str, id: &str, outcome: Outcome, _: Timestamp) -> Result<Option<EffectRef>> {
        let known = self.by_provider_id(provider, id).await?;
        self.asked.lock().unwrap().push(provider.to_owned());
        if known.is_none() {
            self.early.lock().unwrap().push((id.to_owned(), outcome));
        }
        Ok(known)
    }

    async fn judge(&self, _: &[Clicked]) -> Result<()> {
        unused()
    }
    async fn holds(&self) -> Result<Vec<Hold>> {
        unused()
    }
    async fn hold(&self, _: Hold) -> Result<()> {
        unused()
    }
    async fn release_hold(&self, _: &HoldScope) -> Result<bool> {
        unused()
    }
    async fn publish(&self, _: &FunnelKey, _: &crate::engine::Voice, _: &serde_json::Value, _: Timestamp) -> Result<i64> {
        unused()
    }
    async fn retire(&self, _: &FunnelKey, _: Timestamp) -> Result<()> {
        unused()
    }
    async fn revisions(&self) -> Result<Vec<Revision>> {
        unused()
    }
    async fn first_published(&self, _: &FunnelKey) -> Result<Option<Timestamp>> {
        unused()
    }
    async fn copies_of(&self, _: &FunnelKey, _: CopyId, _: u32) -> Result<Vec<CopyId>> {
        unused()
    }
    async fn backfill(&self, _: &FunnelKey, _: Timestamp, _: u32) -> Result<Vec<CopyId>> {
        unused()
    }
}

#[async_trait::async_trait]
impl Views for Fake {
    async fn funnels(&self) -> Result<Vec<FunnelKey>> {
        unused()
    }
    async fn counts(&self, _: &FunnelKey, _: Option<Timestamp>, _: Timestamp) -> Result<FunnelCounts> {
        unused()
    }
    async fn variants(&self, _: &FunnelKey, _: Timestamp) -> Result<Vec<crate::store::VariantCount>> {
        unused()
    }
    async fn waiting_backfill(&self, _: &FunnelKey, _: Timestamp) -> Result<u64> {
        unused()
    }
    async fn channels(&self) -> Result<Vec<ChannelCounts>> {
        unused()
    }
    async fn messages_by_channel(&self, _: Timestamp) -> Result<Vec<(String, EffectStatus, u64)>> {
        unused()
    }
    async fn messages_by_funnel(&self, _: Timestamp) -> Result<Vec<(FunnelKey, EffectStatus, u64)>> {
        unused()
    }
    async fn past_revivals(&self, _: &FunnelKey) -> Result<u64> {
        unused()
    }
    async fn spent_since(&self, _: &str) -> Result<Vec<crate::store::PeriodSpent>> {
        unused()
    }
    async fn cursors(&self) -> Result<Vec<(String, Cursor)>> {
        unused()
    }
    async fn timeline(&self, _: &FunnelKey, _: &str) -> Result<Vec<TimelineEntry>> {
        unused()
    }
    async fn dead_letters(&self, _: u32) -> Result<Vec<DeadLetter>> {
        unused()
    }
    async fn unclear(&self, _: &crate::store::Unclear, _: u32) -> Result<Vec<Ambiguous>> {
        unused()
    }
    async fn stages_at(&self, _: &FunnelKey, _: &[Timestamp]) -> Result<Vec<Vec<StageCount>>> {
        unused()
    }
    async fn ping(&self) -> Result<()> {
        self.up()
    }
}
