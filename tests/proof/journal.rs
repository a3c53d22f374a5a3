//! The store as one process sees it: slow, away at times, struck by the faults of the scenario. Each verb happens in one moment of the
//! world, so that truth can be told at that very moment.

use super::{
    node::Node,
    scenario::Fault,
    world::{Bug, World},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use rekindle::{
    engine::Voice,
    model::{Address, AddressHash, Contact, CopyId, EffectRef, EffectStatus, FunnelKey, Manager, Outcome, SuppressionScope},
    store::*,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

type Result<T> = std::result::Result<T, StoreError>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    /// Changes something: faults are counted by these.
    Write,
    /// A change of which the world has so many that they are not counted.
    Beat,
}

pub struct SimJournal {
    pub world: Arc<World>,
    pub node: Arc<Node>,
    /// What a canary remembers.
    pub memory: Mutex<Memory>,
}

#[derive(Default)]
pub struct Memory {
    pub low: Option<Timestamp>,
    pub seen: std::collections::BTreeSet<(String, String)>,
}

fn gone() -> StoreError {
    StoreError::Unavailable("the simulated store is away".into())
}

impl SimJournal {
    pub fn new(world: Arc<World>, node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self { world, node, memory: Mutex::default() })
    }

    fn bug(&self, bug: Bug) -> bool {
        self.world.bug == Some(bug)
    }

    async fn verb<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(Arc<dyn Journal>) -> BoxFuture<'static, Result<T>> + Send,
        told: impl FnOnce(&World, &Result<T>) + Send,
    ) -> Result<T> {
        let (world, node) = (&self.world, &self.node);
        node.gate().await;
        world.breathe();
        let fault = if kind == Kind::Write { world.fault() } else { None };
        // A change takes at least a moment, so that going round in circles makes time pass and is seen.
        let slow = world.latency().max(u64::from(kind != Kind::Read));
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        match fault {
            Some(Fault::CrashBefore) => node.die().await,
            Some(Fault::PausedBefore(ms)) => node.pause(ms),
            _ => {}
        }
        node.gate().await;
        if fault == Some(Fault::Refused) || world.store_is_away() {
            return Err(gone());
        }
        let result = world.store.call(work).await;
        told(world, &result);
        match fault {
            Some(Fault::CrashAfter) => node.die().await,
            Some(Fault::PausedAfter(ms)) => node.pause(ms),
            Some(Fault::ReplyLost) => {
                world.truth().note("a reply is lost");
                node.gate().await;
                return Err(StoreError::AmbiguousCommit);
            }
            _ => {}
        }
        node.gate().await;
        result
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<dyn Journal>) -> BoxFuture<'static, Result<T>> + Send,
    ) -> Result<T> {
        self.verb(Kind::Read, work, |_, _| {}).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<dyn Journal>) -> BoxFuture<'static, Result<T>> + Send,
    ) -> Result<T> {
        self.verb(Kind::Write, work, |_, _| {}).await
    }

    /// The lease with which a fenced verb reaches the store.
    async fn fenced(&self, lease: &Lease) -> Lease {
        if self.bug(Bug::NoEpochCheck) {
            return self.world.current_lease();
        }
        if self.bug(Bug::CheckOutside) && self.world.truth().epoch == lease.epoch {
            // Looked at in a statement of its own; then the transaction begins.
            self.node.gate().await;
            // And the process may stand still in between.
            if self.world.dice.chance("stands", self.world.ops(), 30) {
                self.node.pause(9_500);
            }
            self.node.gate().await;
            return self.world.current_lease();
        }
        lease.clone()
    }
}

/// On this store a lease lasts as long as the world's clock says.
const FOR_EVER: Duration = Duration::from_hours(24);

#[async_trait::async_trait]
impl Journal for SimJournal {
    fn address_hash(&self, address: &Address) -> AddressHash {
        self.world.store.journal().address_hash(address)
    }

    fn secret(&self) -> [u8; 32] {
        self.world.store.journal().secret()
    }

    async fn take(&self, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
        let owner = owner.to_owned();
        let (world, former) = (self.world.clone(), self.world.current_lease());
        let taken = {
            let owner = owner.clone();
            move |world: &World| {
                let truth = world.truth();
                truth.until.is_some_and(|until| until > Instant::now()) && truth.owner != owner
            }
        };
        // Whoever stands by asks twice a second and changes nothing: faults would strike little else.
        let kind = if taken(&world) { Kind::Read } else { Kind::Write };
        // What a channel that resends had under way waits again, and is no orphan: it may still end unclear.
        let look = world.scenario.resend;
        let open = Arc::new(AtomicUsize::new(0));
        let counted = open.clone();
        self.verb(
            kind,
            move |journal| {
                let taken = taken(&world);
                Box::pin(async move {
                    if taken {
                        return Ok(None);
                    }
                    journal.release(&former).await?;
                    if look {
                        let subjects = journal.load(&Load::Copies((1..=20).map(CopyId).collect()), Timestamp::UNIX_EPOCH).await?;
                        let ledger = subjects.iter().flat_map(|s| &s.ledger).filter(|e| !e.key.list.starts_with('@'));
                        counted.store(ledger.filter(|e| e.status == EffectStatus::Intended).count(), Ordering::SeqCst);
                    }
                    journal.take(&owner, FOR_EVER).await
                })
            },
            move |world, result| {
                if let Ok(Some(lease)) = result {
                    let under_way = lease.orphans.max(open.load(Ordering::SeqCst) as u64);
                    world.truth().took(lease, under_way, World::bound(), Instant::now() + ttl);
                }
            },
        )
        .await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool> {
        let (asked, world) = (lease.clone(), self.world.clone());
        let late = self.bug(Bug::LateRenewal);
        let slow = self.world.slow_reply();
        // Who counts from the reply believes in a lease that began so much later.
        let (ahead, slow) = if self.bug(Bug::DeadlineFromReply) { (slow, Duration::ZERO) } else { (Duration::ZERO, slow) };
        let renewed = self
            .verb(
                Kind::Beat,
                move |journal| {
                    let over = world.truth().until.is_none_or(|until| until <= Instant::now());
                    Box::pin(async move { if over { Ok(false) } else { journal.renew(&asked, FOR_EVER).await } })
                },
                move |world, result| {
                    if let Ok(true) = result {
                        world.truth().renewed(lease, Instant::now() + ttl.saturating_sub(ahead));
                    }
                },
            )
            .await?;
        tokio::time::sleep(slow).await;
        self.node.gate().await;
        Ok(renewed || late)
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        let same = lease.clone();
        self.verb(
            Kind::Write,
            move |journal| Box::pin(async move { journal.release(&lease).await }),
            move |world, result| {
                let mut truth = world.truth();
                if result.is_ok() && truth.epoch == same.epoch {
                    truth.note(&format!("{} releases", same.owner));
                    truth.until = None;
                }
            },
        )
        .await
    }

    async fn due(&self, now: Timestamp, low: Option<Timestamp>, limit: u32) -> Result<Vec<Due>> {
        let low = if self.bug(Bug::NoSweep) {
            let mut memory = self.memory.lock().unwrap();
            memory.low = memory.low.max(low);
            low.or(memory.low)
        } else {
            low
        };
        self.read(move |journal| Box::pin(async move { journal.due(now, low, limit).await })).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        self.read(|journal| Box::pin(async move { journal.next_due().await })).await
    }

    async fn fetch(&self, what: &Load, now: Timestamp) -> Result<Vec<Loaded>> {
        let what = what.clone();
        let mut loaded = self.read(move |journal| Box::pin(async move { journal.fetch(&what, now).await })).await?;
        self.world.bend(&self.node, &mut loaded);
        Ok(loaded)
    }

    async fn stored(&self, connection: &str, ids: &[String]) -> Result<Vec<Stored>> {
        let (connection, ids) = (connection.to_owned(), ids.to_vec());
        self.read(move |journal| Box::pin(async move { journal.stored(&connection, &ids).await })).await
    }

    async fn deal_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        let after = after.to_owned();
        let connection = connection.to_owned();
        self.read(move |journal| Box::pin(async move { journal.deal_ids(&connection, &after, limit).await })).await
    }

    async fn contact_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        let (connection, after) = (connection.to_owned(), after.to_owned());
        self.read(move |journal| Box::pin(async move { journal.contact_ids(&connection, &after, limit).await })).await
    }

    async fn contacts(&self, connection: &str, ids: &[String]) -> Result<Vec<Contact>> {
        let (connection, ids) = (connection.to_owned(), ids.to_vec());
        self.read(move |journal| Box::pin(async move { journal.contacts(&connection, &ids).await })).await
    }

    async fn managers(&self, connection: &str) -> Result<Vec<Manager>> {
        let connection = connection.to_owned();
        self.read(move |journal| Box::pin(async move { journal.managers(&connection).await })).await
    }

    async fn cursor(&self, connection: &str) -> Result<Cursor> {
        let connection = connection.to_owned();
        self.read(move |journal| Box::pin(async move { journal.cursor(&connection).await })).await
    }

    async fn set_cursor(&self, lease: &Lease, connection: &str, cursor: &Cursor) -> Result<()> {
        let (lease, connection, cursor) = (self.fenced(lease).await, connection.to_owned(), cursor.clone());
        self.verb(
            Kind::Beat,
            move |journal| Box::pin(async move { journal.set_cursor(&lease, &connection, &cursor).await }),
            |_, _| {},
        )
        .await
    }

    async fn commit(&self, lease: &Lease, batch: Batch) -> Result<Commit> {
        let as_told = self.fenced(lease).await;
        let mut batch = batch;
        if self.bug(Bug::TimerWithoutIntent) && batch.changes.iter().any(|c| !c.effects.is_empty()) {
            // Two transactions: the copies first, their effects in another.
            let mut first = batch.clone();
            for change in &mut first.changes {
                change.effects.retain(|e| !matches!(e.effect.kind, rekindle::engine::EffectKind::Message { .. }));
            }
            let lease = as_told.clone();
            self.write(move |journal| Box::pin(async move { journal.commit(&lease, first).await })).await?;
            batch.changes.retain(|c| c.copy.id.0 != 0);
            for change in &mut batch.changes {
                change.copy.ver += 1;
                change.effects.retain(|e| matches!(e.effect.kind, rekindle::engine::EffectKind::Message { .. }));
                (change.history, change.cycle) = (Vec::new(), Vec::new());
            }
            (batch.page, batch.consumed) = (None, Vec::new());
        }
        let (mut stored, asked, real) = (batch.clone(), lease.clone(), as_told.clone());
        let (no_unique, slot) = (self.bug(Bug::NoUnique), self.node.slot);
        if no_unique {
            for effect in stored.changes.iter_mut().flat_map(|c| &mut c.effects) {
                effect.effect.key.item = format!("{}#{}", effect.effect.key.item, effect.effect.seq);
            }
        }
        let mut commit = self
            .verb(
                Kind::Write,
                move |journal| Box::pin(async move { journal.commit(&real, stored).await }),
                move |world, result| {
                    if let Ok(commit) = result {
                        let mut truth = world.truth();
                        truth.fenced(&asked);
                        truth.committed(&batch, commit);
                        let mut sent = world.sent_by.lock().unwrap();
                        for (change, effect) in batch.changes.iter().flat_map(|c| c.effects.iter().map(move |e| (c, e))) {
                            let key = &effect.effect.key;
                            sent.insert((change.copy.id, format!("shop/{}/{}", key.list, key.item)), slot);
                        }
                    }
                },
            )
            .await?;
        if self.bug(Bug::ConflictGoesAhead) {
            commit.conflicts.clear();
        }
        Ok(commit)
    }

    async fn receive(&self, incoming: Vec<Incoming>) -> Result<Vec<bool>> {
        let mut incoming = incoming;
        if self.bug(Bug::ReceiptTwoTransactions) {
            let known: Vec<bool> = {
                let mut memory = self.world.canary.lock().unwrap();
                incoming.iter().map(|i| memory.seen.insert((i.source.clone(), i.id.clone()))).collect()
            };
            // Remembered as seen in one transaction; the process may die before the other.
            self.write(|_| Box::pin(async { Ok(()) })).await?;
            if known.iter().any(|new| !new) {
                return Ok(known);
            }
        }
        let addresses: Vec<String> = self.world.addresses(&incoming);
        if self.bug(Bug::SuppressionAtPlanning) {
            for one in &mut incoming {
                one.suppress.clear();
            }
        }
        self.verb(
            Kind::Write,
            move |journal| Box::pin(async move { journal.receive(incoming).await }),
            move |world, result| {
                if result.is_ok() {
                    for address in addresses {
                        world.truth().suppress(&address);
                    }
                }
            },
        )
        .await
    }

    async fn inbox(&self, now: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
        self.read(move |journal| Box::pin(async move { journal.inbox(now, limit).await })).await
    }

    async fn inbox_ahead(&self, after: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
        self.read(move |journal| Box::pin(async move { journal.inbox_ahead(after, until, limit).await })).await
    }

    async fn bury(&self, lease: &Lease, source: Source, id: i64, error: &str, now: Timestamp) -> Result<()> {
        let (lease, error) = (self.fenced(lease).await, error.to_owned());
        self.write(move |journal| Box::pin(async move { journal.bury(&lease, source, id, &error, now).await })).await
    }

    async fn outbox_beside(&self, busy: &[String], low: Option<Timestamp>, now: Timestamp, limit: u32) -> Result<Vec<Outbox>> {
        let busy = busy.to_vec();
        let mut rows =
            self.read(move |journal| Box::pin(async move { journal.outbox_beside(&busy, low, now, limit).await })).await?;
        if self.bug(Bug::RenderedAgain) {
            for row in rows.iter_mut().filter(|row| row.kind == "message" && row.attempt > 0) {
                row.payload = row.payload.replace("One", "Two");
            }
        }
        Ok(rows)
    }

    async fn start(&self, lease: &Lease, effects: &[EffectRef], now: Timestamp) -> Result<Vec<EffectRef>> {
        let (real, effects) = (self.fenced(lease).await, effects.to_vec());
        let announced: Arc<Mutex<Vec<EffectRef>>> = Arc::default();
        let found = announced.clone();
        let look = self.world.scenario.resend;
        self.verb(
            Kind::Write,
            move |journal| {
                Box::pin(async move {
                    if look {
                        // What the ledger says of them, to whoever reads it, before they leave once more.
                        let copies = effects.iter().map(|effect| effect.copy).collect();
                        let subjects = journal.load(&Load::Copies(copies), now).await?;
                        let told = subjects.iter().flat_map(|s| s.ledger.iter().map(move |e| (s.copy.id, e)));
                        let told = told.filter(|(_, e)| e.reason.as_ref().is_some_and(|r| r.starts_with("unclear (")));
                        found.lock().unwrap().extend(told.map(|(copy, e)| EffectRef { copy, seq: e.seq }));
                    }
                    journal.start(&real, &effects, now).await
                })
            },
            move |world, result| {
                if let Ok(started) = result {
                    let mut truth = world.truth();
                    truth.fenced(lease);
                    truth.started(started, now);
                    truth.announced.extend(announced.lock().unwrap().iter().filter(|effect| started.contains(effect)));
                }
            },
        )
        .await
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<()> {
        let told = marks.clone();
        self.verb(
            Kind::Write,
            move |journal| Box::pin(async move { journal.mark(marks).await }),
            move |world, result| {
                if result.is_ok() {
                    world.marked(&told);
                }
            },
        )
        .await
    }

    async fn receipt(&self, provider: &str, id: &str, outcome: Outcome, at: Timestamp) -> Result<Option<EffectRef>> {
        let (provider, id) = (provider.to_owned(), id.to_owned());
        self.write(move |journal| Box::pin(async move { journal.receipt(&provider, &id, outcome, at).await })).await
    }

    async fn resolve(&self, effects: &[EffectRef], how: Resolution, now: Timestamp) -> Result<Vec<EffectRef>> {
        let effects = effects.to_vec();
        self.write(move |journal| Box::pin(async move { journal.resolve(&effects, how, now).await })).await
    }

    async fn spent(&self, periods: &[rekindle::store::Period]) -> Result<Vec<i64>> {
        let periods = periods.to_vec();
        self.read(move |journal| Box::pin(async move { journal.spent(&periods).await })).await
    }

    async fn intents(&self) -> Result<i64> {
        self.read(move |journal| Box::pin(async move { journal.intents().await })).await
    }

    async fn raise_intents(&self, lease: &Lease, to: i64) -> Result<()> {
        let lease = self.fenced(lease).await;
        self.write(move |journal| Box::pin(async move { journal.raise_intents(&lease, to).await })).await
    }

    async fn suppressed(&self, effects: &[EffectRef]) -> Result<Vec<EffectRef>> {
        let asked = effects.to_vec();
        let blind = self.bug(Bug::SuppressionAtPlanning);
        let found = self
            .verb(
                Kind::Read,
                move |journal| Box::pin(async move { journal.suppressed(&asked).await }),
                |world, result| {
                    if result.is_ok() {
                        world.truth().looked(effects);
                    }
                },
            )
            .await?;
        Ok(if blind { Vec::new() } else { found })
    }

    async fn effect(&self, effect: EffectRef) -> Result<Option<EffectInfo>> {
        self.read(move |journal| Box::pin(async move { journal.effect(effect).await })).await
    }

    async fn effects(&self, effects: &[EffectRef]) -> Result<Vec<EffectInfo>> {
        let effects = effects.to_vec();
        self.read(move |journal| Box::pin(async move { journal.effects(&effects).await })).await
    }

    async fn codes(&self, hashes: &[String]) -> Result<HashMap<String, (EffectRef, i16)>> {
        let hashes = hashes.to_vec();
        self.read(move |journal| Box::pin(async move { journal.codes(&hashes).await })).await
    }

    async fn by_provider_id(&self, provider: &str, id: &str) -> Result<Option<EffectRef>> {
        let (provider, id) = (provider.to_owned(), id.to_owned());
        self.read(move |journal| Box::pin(async move { journal.by_provider_id(&provider, &id).await })).await
    }

    async fn judge(&self, hits: &[Clicked]) -> Result<()> {
        let hits = hits.to_vec();
        self.write(move |journal| Box::pin(async move { journal.judge(&hits).await })).await
    }

    async fn holds(&self) -> Result<Vec<Hold>> {
        self.read(|journal| Box::pin(async move { journal.holds().await })).await
    }

    async fn hold(&self, hold: Hold) -> Result<()> {
        // People hold the store itself: this is the engine's own doing.
        if self.world.truth().restored.is_none() {
            self.world.truth().wrong("I12", format!("{} holds everything, and the database never went back", self.node.name));
        }
        self.write(move |journal| Box::pin(async move { journal.hold(hold).await })).await
    }

    async fn release_hold(&self, scope: &HoldScope) -> Result<bool> {
        let scope = scope.clone();
        self.write(move |journal| Box::pin(async move { journal.release_hold(&scope).await })).await
    }

    async fn publish(&self, funnel: &FunnelKey, voice: &Voice, snapshot: &serde_json::Value, now: Timestamp) -> Result<i64> {
        let (funnel, voice, snapshot) = (funnel.clone(), voice.clone(), snapshot.clone());
        self.write(move |journal| Box::pin(async move { journal.publish(&funnel, &voice, &snapshot, now).await })).await
    }

    async fn retire(&self, funnel: &FunnelKey, now: Timestamp) -> Result<()> {
        let funnel = funnel.clone();
        self.write(move |journal| Box::pin(async move { journal.retire(&funnel, now).await })).await
    }

    async fn revisions(&self) -> Result<Vec<Revision>> {
        self.read(|journal| Box::pin(async move { journal.revisions().await })).await
    }

    async fn first_published(&self, funnel: &FunnelKey) -> Result<Option<Timestamp>> {
        let funnel = funnel.clone();
        self.read(move |journal| Box::pin(async move { journal.first_published(&funnel).await })).await
    }

    async fn copies_of(&self, funnel: &FunnelKey, after: CopyId, limit: u32) -> Result<Vec<CopyId>> {
        let funnel = funnel.clone();
        self.read(move |journal| Box::pin(async move { journal.copies_of(&funnel, after, limit).await })).await
    }

    async fn backfill(&self, funnel: &FunnelKey, lost_since: Timestamp, limit: u32) -> Result<Vec<CopyId>> {
        let funnel = funnel.clone();
        self.read(move |journal| Box::pin(async move { journal.backfill(&funnel, lost_since, limit).await })).await
    }
}

impl World {
    /// Which of our people's addresses these events suppress.
    fn addresses(&self, incoming: &[Incoming]) -> Vec<String> {
        let mut out = Vec::new();
        for suppression in incoming.iter().flat_map(|i| &i.suppress) {
            if let SuppressionScope::Address(hash) = &suppression.scope {
                for person in 0..super::fixture::PEOPLE {
                    let phone = super::fixture::phone(person);
                    if self.store.journal().address_hash(&Address::Phone(phone.clone())) == *hash {
                        out.push(phone.as_str().to_owned());
                    }
                }
            }
        }
        out.dedup();
        out
    }
}
