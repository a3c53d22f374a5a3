//! The store as one process sees it: slow, away at times, struck by the faults of the scenario. Each verb happens in one moment of the
//! world, so that truth can be told at that very moment.

use super::{
    node::Node,
    scenario::Fault,
    truth::Heard,
    world::{Bug, World},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use rekindle::{
    engine::Voice,
    model::{
        Address, AddressHash, Contact, CopyId, EffectRef, EffectStatus, FunnelKey, InboxEvent, Manager, Outcome, SignalKind,
        SignalSubject, Suppression, SuppressionScope,
    },
    store::*,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
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
    pub seen: BTreeSet<(String, String)>,
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

/// Every message of the world, as the ledger has it.
async fn messages(journal: &Arc<dyn Journal>) -> Result<BTreeMap<EffectRef, EffectStatus>> {
    let copies = (1..=20).map(CopyId).collect();
    let subjects = journal.load(&Load::Copies(copies), Timestamp::UNIX_EPOCH).await?;
    let ledger = subjects.iter().flat_map(|s| s.ledger.iter().map(move |e| (s.copy.id, e)));
    let messages = ledger.filter(|(_, e)| !e.key.list.starts_with('@'));
    Ok(messages.map(|(copy, e)| (EffectRef { copy, seq: e.seq }, e.status)).collect())
}

/// How often a message was sent again because nobody knew, as its line of the deal's story says.
fn repetitions(line: &str) -> Option<u32> {
    let (_, times) = line.split_once(", handed over ")?;
    Some(times.split(' ').next()?.parse::<u32>().ok()?.saturating_sub(1))
}

/// What a call, an answer or an unsubscription is about, and what it says.
struct Said {
    subject: SignalSubject,
    kind: Option<SignalKind>,
    /// The person's own prohibition, of everything or of a medium.
    own: Option<Suppression>,
}

impl Said {
    fn by(incoming: &Incoming) -> Option<Self> {
        let (subject, kind) = match &incoming.event {
            InboxEvent::Signal { subject, kind, .. } => (subject, Some(*kind)),
            InboxEvent::Unsubscribe { subject, .. } => (subject, None),
            InboxEvent::Click { .. } | InboxEvent::Receipt { .. } => return None,
        };
        let own = incoming.suppress.iter().find(|s| matches!(s.scope, SuppressionScope::Client(_)));
        Some(Self { subject: subject.clone(), kind, own: own.cloned() })
    }

    /// The store has it, and it is about these deals.
    fn told(self, world: &World, deals: &BTreeSet<String>) {
        let mut truth = world.truth();
        if let Some(own) = self.own {
            for person in deals.iter().map(|deal| super::truth::person(deal)).collect::<BTreeSet<_>>() {
                truth.unsubscribe(person, own.medium);
            }
        }
        if let Some(kind) = self.kind {
            truth.heard.push(Heard { kind, subject: self.subject, deals: deals.clone() });
        }
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
        let found: Arc<Mutex<BTreeSet<EffectRef>>> = Arc::default();
        let seen = found.clone();
        let orphans_too_many = self.bug(Bug::WaitingOrphaned);
        self.verb(
            kind,
            move |journal| {
                let taken = taken(&world);
                Box::pin(async move {
                    if taken {
                        return Ok(None);
                    }
                    journal.release(&former).await?;
                    let before = messages(&journal).await?;
                    let lease = journal.take(&owner, FOR_EVER).await?;
                    if orphans_too_many && lease.is_some() {
                        let waiting = before.iter().filter(|(_, status)| **status == EffectStatus::Planned);
                        let lost = |effect: &EffectRef| Mark {
                            effect: *effect,
                            attempt: -1,
                            outcome: Outcome::Unknown { reason: "Interrupted".into() },
                            at: Timestamp::UNIX_EPOCH,
                            next: None,
                        };
                        journal.mark(waiting.map(|(effect, _)| lost(effect)).collect()).await?;
                    }
                    let after = messages(&journal).await?;
                    let unknown = |status: Option<&EffectStatus>| status == Some(&EffectStatus::Unknown);
                    let fresh = after.iter().filter(|(effect, status)| unknown(Some(*status)) && !unknown(before.get(*effect)));
                    let again = before.iter().filter(|(_, status)| look && **status == EffectStatus::Intended);
                    seen.lock().unwrap().extend(fresh.chain(again).map(|(effect, _)| *effect));
                    Ok(lease)
                })
            },
            move |world, result| {
                if let Ok(Some(lease)) = result {
                    world.truth().took(lease, &found.lock().unwrap(), World::bound(), Instant::now() + ttl);
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
                    truth.released(&same);
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
        let due = self.read(move |journal| Box::pin(async move { journal.due(now, low, limit).await })).await?;
        self.world.truth().looked_about(&self.node.name);
        Ok(due)
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
        let asked = connection.clone();
        let known = self.world.store.call(move |journal| Box::pin(async move { journal.cursor(&asked).await })).await?;
        // The end of a look is a change like any other. That nothing is new is said every minute.
        let moved = known.position != cursor.position || known.looking != cursor.looking;
        self.verb(
            if moved { Kind::Write } else { Kind::Beat },
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
        if self.bug(Bug::ConsumedApart) && !batch.consumed.is_empty() {
            // Two transactions: the events first, what they lead to in another.
            let first = Batch { now: batch.now, consumed: std::mem::take(&mut batch.consumed), ..Batch::default() };
            let lease = as_told.clone();
            self.write(move |journal| Box::pin(async move { journal.commit(&lease, first).await })).await?;
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
        let said: Vec<Option<Said>> = incoming.iter().map(Said::by).collect();
        let clicked: Vec<Option<CopyId>> = incoming.iter().map(|i| i.click.as_ref().map(|click| click.effect.copy)).collect();
        for one in &mut incoming {
            if self.bug(Bug::SuppressionAtPlanning) {
                one.suppress.clear();
            }
            if self.bug(Bug::OptOutAtPlanning) {
                one.suppress.retain(|s| !matches!(s.scope, SuppressionScope::Client(_)));
            }
        }
        let asked: Vec<Option<SignalSubject>> = said.iter().map(|said| said.as_ref().map(|said| said.subject.clone())).collect();
        let about: Arc<Mutex<Vec<BTreeSet<String>>>> = Arc::default();
        let found = about.clone();
        self.verb(
            Kind::Write,
            move |journal| {
                Box::pin(async move {
                    for subject in asked {
                        let subjects = match subject {
                            Some(subject) => journal.load(&Load::Signal(subject), Timestamp::UNIX_EPOCH).await?,
                            None => Vec::new(),
                        };
                        found.lock().unwrap().push(subjects.into_iter().map(|s| s.deal.id).collect());
                    }
                    journal.receive(incoming).await
                })
            },
            move |world, result| {
                let Ok(news) = result else { return };
                for address in addresses {
                    world.truth().suppress(&address);
                }
                let about = std::mem::take(&mut *about.lock().unwrap());
                for (((said, clicked), deals), _) in said.into_iter().zip(clicked).zip(about).zip(news).filter(|(_, new)| **new) {
                    if let Some(said) = said {
                        said.told(world, &deals);
                    }
                    if let Some(copy) = clicked {
                        *world.truth().clicks.entry(copy).or_default() += 1;
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

    async fn lived(&self, rows: &[i64]) -> Result<()> {
        let rows = rows.to_owned();
        // As `inbox`, which counts: what it stores is no fact about a message.
        self.read(move |journal| Box::pin(async move { journal.lived(&rows).await })).await
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
        let announced: Arc<Mutex<Vec<(EffectRef, u32)>>> = Arc::default();
        let found = announced.clone();
        let look = self.world.scenario.resend;
        let views = self.world.store.current().views;
        self.verb(
            Kind::Write,
            move |journal| {
                Box::pin(async move {
                    if look {
                        // What the ledger says of them, to whoever reads it, before they leave once more.
                        let copies = effects.iter().map(|effect| effect.copy).collect();
                        for subject in journal.load(&Load::Copies(copies), now).await? {
                            let story = views.timeline(&subject.copy.funnel, &subject.deal.id).await?;
                            let told = story.iter().filter_map(|line| Some((line.effect?, repetitions(&line.text)?)));
                            found.lock().unwrap().extend(told.filter(|(effect, _)| effects.contains(effect)));
                        }
                    }
                    journal.start(&real, &effects, now).await
                })
            },
            move |world, result| {
                if let Ok(started) = result {
                    let mut truth = world.truth();
                    truth.fenced(lease);
                    truth.started(started, now);
                    let announced = std::mem::take(&mut *announced.lock().unwrap());
                    truth.announced.extend(announced.into_iter().filter(|(effect, _)| started.contains(effect)));
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
        let (told, arrived) = ((provider.clone(), id.clone()), outcome == Outcome::Delivered);
        // Whoever is not known yet is nobody.
        let forgetful = self.bug(Bug::EarlyReceiptDropped);
        self.verb(
            Kind::Write,
            move |journal| {
                Box::pin(async move {
                    if forgetful && journal.by_provider_id(&provider, &id).await?.is_none() {
                        return Ok(None);
                    }
                    journal.receipt(&provider, &id, outcome, at).await
                })
            },
            move |world, result| {
                if result.is_ok() {
                    world.truth().receipt(&told.0, &told.1, arrived);
                }
            },
        )
        .await
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

    async fn raise_intents(&self, lease: &Lease, to: i64, now: Timestamp) -> Result<()> {
        let lease = self.fenced(lease).await;
        self.write(move |journal| Box::pin(async move { journal.raise_intents(&lease, to, now).await })).await
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
