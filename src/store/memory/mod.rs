//! The store as plain collections: what SQL must do, said without SQL. `simulate` runs on it, and the contract holds the
//! databases to it. Nothing in here outlives the value.

mod commit;
mod ledger;
mod people;
mod views;

use super::outcome::{Receipt, of_channel, resolution, resolved_reason};
use super::rules::{AddressHasher, HITS, NEVER_MS, NUMBERS_SKIPPED, RECENT, fresh_numbers};
use super::{
    Batch, Charge, Clicked, Commit, Cursor, DeadLetter, Due, EffectInfo, Hold, HoldScope, InboxRow, Incoming, Journal, Lease, Load,
    Loaded, Mark, Outbox, Period, Resolution, Revision, Source, StoreError, Stored,
};
use crate::engine::{Copy, History, KnownAddress, Recent, Spent, Subject, Voice};
use crate::model::{
    Address, AddressHash, ClickVerdict, ClientId, Consent, Contact, CopyId, Deal, DealState, EffectKey, EffectRef, EffectStatus,
    FunnelKey, Manager, Medium, Money, Outcome, Purpose, Role, Suppression, SuppressionScope,
};
use jiff::Timestamp;
use ring::rand::SecureRandom as _;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) struct MemoryStore {
    secret: [u8; 32],
    hasher: AddressHasher,
    data: Mutex<Data>,
}

/// A row of a CRM connection.
type Named = (String, String);

struct StoredDeal {
    deal: Deal,
    hash: i64,
    client: i64,
}

struct StoredCopy {
    copy: Copy,
    connection: String,
    deal: String,
    backfill_at: Option<i64>,
}

#[derive(Default)]
struct Funnel {
    first_published: Option<Timestamp>,
    voice: Voice,
    revisions: Vec<Revision>,
}

struct Entry {
    key: EffectKey,
    kind: &'static str,
    status: EffectStatus,
    attempt: i32,
    receipt: Receipt,
    at: Timestamp,
    expires_at: Option<Timestamp>,
    clicked_at: Option<Timestamp>,
    medium: Option<Medium>,
    purpose: Option<Purpose>,
    target: String,
    brand: String,
    variant: Option<String>,
    links: Vec<String>,
    reason: Option<String>,
    resends: i32,
    charge: Option<Charge>,
}

#[derive(Clone)]
struct Open {
    kind: &'static str,
    target: String,
    due_at: Timestamp,
    epoch: Option<i64>,
    expires_at: Option<Timestamp>,
    payload: Option<String>,
    resend: bool,
}

impl Open {
    /// A message that nobody can tell about, kept for whoever resolves it.
    fn parked(&self) -> bool {
        self.due_at.as_millisecond() >= NEVER_MS
    }
}

#[derive(Default)]
struct ProviderRef {
    effect: Option<EffectRef>,
    early: Option<(Outcome, Timestamp)>,
}

struct Arrived {
    event: crate::model::InboxEvent,
    received_at: Timestamp,
    ready_at: Timestamp,
    attempts: i32,
}

struct Line {
    at: Timestamp,
    what: Option<History>,
    stage: Option<(Role, String, Money)>,
}

struct Cycle {
    began_at: Timestamp,
    contacted_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    holdout: bool,
    role: Role,
    how: &'static str,
}

#[derive(Default)]
struct Data {
    epoch: i64,
    owner: String,
    until: Option<Instant>,
    funnels: BTreeMap<FunnelKey, Funnel>,
    holds: Vec<Hold>,
    cursors: BTreeMap<String, Cursor>,
    deals: BTreeMap<Named, StoredDeal>,
    contacts: BTreeMap<Named, Contact>,
    managers: BTreeMap<Named, Manager>,
    last_client: i64,
    /// The roots of clients that were merged; all others are their own.
    roots: HashMap<i64, i64>,
    members: HashMap<i64, BTreeSet<i64>>,
    keys: HashMap<String, i64>,
    /// Contacts by client, for the addresses that a person has now.
    contact_clients: BTreeMap<Named, i64>,
    contacts_of: HashMap<i64, BTreeSet<Named>>,
    addresses: BTreeMap<Named, Vec<KnownAddress>>,
    last_copy: i64,
    copies: BTreeMap<CopyId, StoredCopy>,
    /// No message has a number below it from now on.
    first_seq: i64,
    copies_of_deal: HashMap<Named, BTreeMap<FunnelKey, CopyId>>,
    copies_of_client: HashMap<i64, BTreeSet<CopyId>>,
    due: BTreeSet<(Timestamp, CopyId)>,
    effects: BTreeMap<EffectRef, Entry>,
    natural: HashSet<(CopyId, EffectKey)>,
    outbox: BTreeMap<EffectRef, Open>,
    codes: HashMap<String, (EffectRef, i16)>,
    provider_refs: HashMap<Named, ProviderRef>,
    inbox: BTreeMap<i64, Arrived>,
    last_event: i64,
    intents: i64,
    spent: BTreeMap<Period, i64>,
    seen: HashSet<Named>,
    clicks: BTreeMap<(EffectRef, Timestamp, i16), (Option<ClickVerdict>, String)>,
    recent: HashMap<AddressHash, Vec<Recent>>,
    suppressions: Vec<Suppression>,
    /// By address, brand, medium; `true`: withdrawn through us.
    consents: BTreeMap<(AddressHash, String, Medium), (Consent, bool)>,
    observed: BTreeMap<(CopyId, EffectKey), (Timestamp, Medium)>,
    history: BTreeMap<(CopyId, i64, usize), Line>,
    cycles: BTreeMap<(CopyId, i32), Cycle>,
    dead: Vec<DeadLetter>,
}

/// As a database keeps it: whole milliseconds.
fn ms(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// For moments that must not come too early.
fn up(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(super::rules::up_to_ms(at)).unwrap_or(at)
}

impl MemoryStore {
    pub(super) fn new() -> Result<Self> {
        let mut secret = [0_u8; 32];
        ring::rand::SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| StoreError::Corrupt { what: "the system gives no random numbers".into(), source: None })?;
        Ok(Self::with(secret))
    }

    pub(super) fn with(secret: [u8; 32]) -> Self {
        Self { secret, hasher: AddressHasher::new(&secret), data: Mutex::default() }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Data {
    fn fence(&self, lease: &Lease) -> Result<()> {
        if self.epoch == lease.epoch && self.owner == lease.owner { Ok(()) } else { Err(StoreError::LeaseLost) }
    }

    fn root(&self, client: i64) -> i64 {
        self.roots.get(&client).copied().unwrap_or(client)
    }

    fn root_of_copy(&self, copy: CopyId) -> Option<i64> {
        self.copies.get(&copy).map(|c| self.root(c.copy.client.0))
    }

    fn forbidden(&self, copy: CopyId, recipient: &AddressHash, brand: &str, medium: Medium, purpose: Purpose) -> bool {
        let root = self.root_of_copy(copy);
        self.suppressions.iter().any(|s| {
            let theirs = match &s.scope {
                SuppressionScope::Client(id) => Some(self.root(id.0)) == root,
                SuppressionScope::Address(hash) => hash == recipient,
            };
            theirs && s.forbids(brand, medium, purpose)
        })
    }

    fn subject(&self, id: CopyId, now: Timestamp) -> Option<Subject> {
        let stored = self.copies.get(&id)?;
        let named = |id: &str| (stored.connection.clone(), id.to_owned());
        let deal = &self.deals.get(&named(&stored.deal))?.deal;
        let manager_of = |id: &Option<crate::model::ManagerId>| id.as_ref().and_then(|m| self.managers.get(&named(&m.0))).cloned();
        let contact = deal.contacts.first().map(|c| named(c)).filter(|name| self.contacts.contains_key(name));
        let manager = manager_of(&deal.manager);
        let next_seq = stored.copy.next_seq.max(i32::try_from(self.first_seq).unwrap_or(i32::MAX));
        Some(Subject {
            copy: Copy { next_seq, ..stored.copy.clone() },
            deal: deal.clone(),
            client: self.client(&stored.copy, contact.as_ref(), now),
            contact: contact.and_then(|name| self.contacts.get(&name).cloned()),
            deputy: manager.as_ref().and_then(|m| manager_of(&m.deputy)),
            supervisor: manager.as_ref().and_then(|m| manager_of(&m.supervisor)),
            manager,
            ledger: self.ledger(id),
            crm_read_at: self.cursors.get(&stored.connection).and_then(|c| c.read_at),
            spent: Spent::default(),
            priced: Vec::new(),
        })
    }
}

#[async_trait::async_trait]
impl Journal for MemoryStore {
    fn address_hash(&self, address: &Address) -> AddressHash {
        self.hasher.hash(address)
    }

    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    async fn take(&self, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
        let mut data = self.data();
        if data.until.is_some_and(|until| until > Instant::now()) && data.owner != owner {
            return Ok(None);
        }
        data.epoch += 1;
        owner.clone_into(&mut data.owner);
        data.until = Some(Instant::now() + ttl);
        let open: Vec<(EffectRef, &'static str, bool, bool)> = data
            .outbox
            .iter()
            .filter(|(_, o)| o.epoch.is_some() || o.payload.is_none())
            .map(|(e, o)| (*e, o.kind, o.epoch.is_some(), o.resend && o.payload.is_some()))
            .collect();
        let mut orphans = 0;
        for (effect, kind, started, resend) in open {
            let message = kind == "message";
            let again = message && started && resend;
            if message && !again {
                data.outbox.remove(&effect);
                orphans += u64::from(started);
            } else if let Some(row) = data.outbox.get_mut(&effect) {
                row.epoch = None;
            }
            if let Some(entry) = data.effects.get_mut(&effect).filter(|e| !e.status.terminal()) {
                entry.resends = (entry.resends + i32::from(again)).min(super::outcome::MOST_ATTEMPTS);
                entry.status = match (message && !again, started) {
                    (true, true) => EffectStatus::Unknown,
                    (true, false) => EffectStatus::Failed,
                    (false, _) => EffectStatus::Planned,
                };
                if message {
                    let reason = match (again, started) {
                        (true, _) => "unclear (Interrupted), sent again",
                        (false, true) => "Interrupted",
                        (false, false) => "TextLost",
                    };
                    entry.reason = Some(reason.into());
                }
            }
        }
        Ok(Some(Lease { epoch: data.epoch, owner: owner.to_owned(), orphans }))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool> {
        let mut data = self.data();
        let held = data.fence(lease).is_ok() && data.until.is_some_and(|until| until > Instant::now());
        if held {
            data.until = Some(Instant::now() + ttl);
        }
        Ok(held)
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        let mut data = self.data();
        if data.fence(lease).is_ok() {
            data.until = None;
        }
        Ok(())
    }

    async fn due(&self, now: Timestamp, low: Option<Timestamp>, limit: u32) -> Result<Vec<Due>> {
        let data = self.data();
        let low = (low.map_or(Timestamp::MIN, ms), CopyId(0));
        let due = data.due.range(low..).take_while(|(due_at, _)| *due_at <= now);
        Ok(due.take(limit as usize).map(|(due_at, copy)| Due { copy: *copy, due_at: *due_at }).collect())
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        let data = self.data();
        let copy = data.due.first().map(|(at, _)| *at);
        let event = data.inbox.values().map(|e| e.ready_at).min();
        let waiting = data
            .outbox
            .iter()
            .filter(|(e, o)| o.epoch.is_none() && !o.parked() && o.payload.is_some() && !data.held(**e, o) && !data.behind(**e, o));
        Ok([copy, event, waiting.map(|(_, o)| o.due_at).min()].into_iter().flatten().min())
    }

    async fn fetch(&self, what: &Load, now: Timestamp) -> Result<Vec<Loaded>> {
        let data = self.data();
        let ids: Vec<CopyId> = match what {
            Load::Copies(ids) => {
                let mut seen = HashSet::new();
                ids.iter().copied().filter(|id| seen.insert(*id)).collect()
            }
            Load::Deals { connection, ids } => {
                let named = ids.iter().map(|id| (connection.clone(), id.clone()));
                let of = named.filter_map(|name| data.copies_of_deal.get(&name)).flat_map(BTreeMap::values);
                of.copied().collect::<BTreeSet<_>>().into_iter().collect()
            }
            Load::Contacts { connection, ids } => {
                let roots = ids.iter().filter_map(|id| data.root_of_contact(connection, id));
                let theirs = roots.flat_map(|root| data.copies_of_person(Some(root)));
                let there = |id: &CopyId| data.copies.get(id).is_some_and(|c| c.copy.role != Role::Archived);
                theirs.filter(there).collect::<BTreeSet<_>>().into_iter().collect()
            }
            Load::Signal(signal) => data.copies_of_person(data.person(&self.hasher, signal)),
        };
        let one = |id| Some(Loaded { connection: data.copies.get(&id)?.connection.clone(), subject: data.subject(id, now)? });
        Ok(ids.into_iter().filter_map(one).collect())
    }

    async fn stored(&self, connection: &str, ids: &[String]) -> Result<Vec<Stored>> {
        let data = self.data();
        let one = |id: &String| {
            let row = data.deals.get(&(connection.to_owned(), id.clone()))?;
            let (updated_at, deleted) = (row.deal.updated_at.map(ms), row.deal.state == DealState::Deleted);
            Some(Stored { id: id.clone(), hash: row.hash, updated_at, deleted })
        };
        Ok(ids.iter().filter_map(one).collect())
    }

    async fn deal_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        let data = self.data();
        let there = data
            .deals
            .iter()
            .filter(|((c, id), row)| c == connection && id.as_str() > after && row.deal.state != DealState::Deleted);
        Ok(there.map(|((_, id), _)| id.clone()).take(limit as usize).collect())
    }

    async fn contact_ids(&self, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        let data = self.data();
        let there = data.contacts.keys().filter(|(c, id)| c == connection && id.as_str() > after);
        Ok(there.map(|(_, id)| id.clone()).take(limit as usize).collect())
    }

    async fn contacts(&self, connection: &str, ids: &[String]) -> Result<Vec<Contact>> {
        let data = self.data();
        Ok(ids.iter().filter_map(|id| data.contacts.get(&(connection.to_owned(), id.clone())).cloned()).collect())
    }

    async fn managers(&self, connection: &str) -> Result<Vec<Manager>> {
        Ok(self.data().managers.iter().filter(|((c, _), _)| c == connection).map(|(_, m)| m.clone()).collect())
    }

    async fn cursor(&self, connection: &str) -> Result<Cursor> {
        Ok(self.data().cursors.get(connection).cloned().unwrap_or_default())
    }

    async fn set_cursor(&self, lease: &Lease, connection: &str, cursor: &Cursor) -> Result<()> {
        let mut data = self.data();
        data.fence(lease)?;
        data.cursors.insert(connection.to_owned(), cursor.clone());
        Ok(())
    }

    async fn commit(&self, lease: &Lease, batch: Batch) -> Result<Commit> {
        let mut data = self.data();
        data.fence(lease)?;
        data.commit(&self.hasher, lease, batch)
    }

    async fn receive(&self, incoming: Vec<Incoming>) -> Result<Vec<bool>> {
        let mut data = self.data();
        let mut answers = Vec::with_capacity(incoming.len());
        for one in incoming {
            let new = data.seen.insert((one.source, one.id));
            answers.push(new);
            if !new {
                continue;
            }
            data.last_event += 1;
            let id = data.last_event;
            let ready_at = one.not_before.map_or(Timestamp::UNIX_EPOCH, up);
            data.inbox.insert(id, Arrived { event: one.event, received_at: ms(one.received_at), ready_at, attempts: 0 });
            if let Some(Clicked { effect, link, at, verdict, why }) = one.click {
                data.clicks.entry((effect, ms(at), link)).or_insert((verdict, why));
                data.click(effect, ms(at), verdict == Some(ClickVerdict::Human));
            }
            data.suppress(one.suppress);
        }
        Ok(answers)
    }

    async fn inbox(&self, now: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
        let mut data = self.data();
        let mut ready: Vec<(&i64, &mut Arrived)> = data.inbox.iter_mut().filter(|(_, e)| e.ready_at <= now).collect();
        ready.sort_by_key(|(id, e)| (e.ready_at, **id));
        let rows = ready.into_iter().take(limit as usize).map(|(id, e)| {
            e.attempts += 1;
            InboxRow { id: *id, event: Ok(e.event.clone()), received_at: e.received_at, attempts: e.attempts - 1 }
        });
        Ok(rows.collect())
    }

    async fn inbox_ahead(&self, after: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
        let data = self.data();
        let mut ahead: Vec<(&i64, &Arrived)> =
            data.inbox.iter().filter(|(_, e)| e.ready_at > after && e.ready_at <= until).collect();
        ahead.sort_by_key(|(id, e)| (e.ready_at, **id));
        let row = |(id, e): (&i64, &Arrived)| InboxRow {
            id: *id,
            event: Ok(e.event.clone()),
            received_at: e.received_at,
            attempts: e.attempts,
        };
        Ok(ahead.into_iter().take(limit as usize).map(row).collect())
    }

    async fn lived(&self, rows: &[i64]) -> Result<()> {
        let mut data = self.data();
        for id in rows {
            if let Some(row) = data.inbox.get_mut(id) {
                row.attempts = 0;
            }
        }
        Ok(())
    }

    async fn bury(&self, lease: &Lease, source: Source, id: i64, error: &str, now: Timestamp) -> Result<()> {
        let mut data = self.data();
        data.fence(lease)?;
        let copy = CopyId(id);
        let word = match source {
            Source::Inbox => data.inbox.remove(&id).map(|_| "inbox"),
            Source::Outbox(seq) => {
                let effect = EffectRef { copy, seq };
                data.outbox.remove(&effect).map(|_| {
                    if let Some(entry) = data.effects.get_mut(&effect).filter(|e| !e.status.terminal()) {
                        entry.status = EffectStatus::Failed;
                        entry.reason = Some("SetAside".into());
                    }
                    "outbox"
                })
            }
            Source::Copy => data.copies.get_mut(&copy).map(|c| (c.copy.next_at.take(), c.copy.ver += 1).0).map(|due| {
                if let Some(due_at) = due {
                    data.due.remove(&(due_at, copy));
                }
                "copy"
            }),
        };
        if let Some(source) = word {
            let id = i64::try_from(data.dead.len()).unwrap_or(i64::MAX - 1) + 1;
            data.dead.push(DeadLetter { id, source: source.into(), error: error.into(), at: ms(now) });
        }
        Ok(())
    }

    async fn outbox_beside(&self, busy: &[String], low: Option<Timestamp>, now: Timestamp, limit: u32) -> Result<Vec<Outbox>> {
        let data = self.data();
        let mut due: Vec<(&EffectRef, &Open)> = data
            .outbox
            .iter()
            .filter(|(e, o)| o.epoch.is_none() && o.due_at <= now && !data.held(**e, o) && !data.behind(**e, o))
            .filter(|(_, o)| match o.kind {
                "message" => low.is_none_or(|low| o.due_at >= ms(low)),
                _ => !busy.contains(&o.target),
            })
            .collect();
        due.sort_by_key(|(e, o)| (o.due_at, **e));
        let row = |(effect, open): (&EffectRef, &Open)| {
            let (entry, copy) = (data.effects.get(effect)?, data.copies.get(&effect.copy)?);
            Some(Outbox {
                effect: *effect,
                key: entry.key.clone(),
                funnel: copy.copy.funnel.clone(),
                kind: open.kind.into(),
                target: open.target.clone(),
                payload: open.payload.clone()?,
                attempt: entry.attempt,
                expires_at: open.expires_at,
                connection: copy.connection.clone(),
                deal: copy.deal.clone(),
                due_at: open.due_at,
            })
        };
        Ok(due.into_iter().filter_map(row).take(limit as usize).collect())
    }

    async fn start(&self, lease: &Lease, effects: &[EffectRef], _now: Timestamp) -> Result<Vec<EffectRef>> {
        let mut data = self.data();
        data.fence(lease)?;
        let mut started = Vec::new();
        for effect in effects {
            let may = data.outbox.get(effect).is_some_and(|o| o.epoch.is_none() && o.payload.is_some() && !data.held(*effect, o));
            if let Some(open) = data.outbox.get_mut(effect).filter(|_| may) {
                open.epoch = Some(lease.epoch);
                let message = i64::from(open.kind == "message");
                data.intents += message;
                if let Some(entry) = data.effects.get_mut(effect) {
                    entry.status = EffectStatus::Intended;
                    entry.attempt = (entry.attempt + 1).min(super::outcome::MOST_ATTEMPTS);
                }
                started.push(*effect);
            }
        }
        Ok(started)
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<()> {
        self.data().mark(marks);
        Ok(())
    }

    async fn receipt(&self, provider: &str, id: &str, outcome: Outcome, at: Timestamp) -> Result<Option<EffectRef>> {
        let mut data = self.data();
        let entry = data.provider_refs.entry((provider.to_owned(), id.to_owned())).or_default();
        if !matches!(entry.early, Some((Outcome::Delivered, _))) {
            entry.early = Some((outcome.clone(), ms(at)));
        }
        let mut effect = entry.effect;
        if effect.is_none()
            && let Some((channel, name)) = of_channel(provider)
        {
            let bare = data.provider_refs.get(&(name.to_owned(), id.to_owned())).and_then(|entry| entry.effect);
            effect = bare.filter(|effect| data.effects.get(effect).is_some_and(|e| e.target == channel));
        }
        if let Some(effect) = effect {
            data.mark(vec![Mark { effect, attempt: -1, outcome, at, next: None }]);
        }
        Ok(effect)
    }

    async fn resolve(&self, effects: &[EffectRef], how: Resolution, now: Timestamp) -> Result<Vec<EffectRef>> {
        let mut data = self.data();
        let mut resolved = Vec::new();
        for effect in effects.iter().copied().collect::<BTreeSet<_>>() {
            let kept = data.outbox.get(&effect).is_some_and(|o| o.payload.is_some());
            let unclear = |e: &&Entry| e.kind == "message" && e.status == EffectStatus::Unknown;
            let Some(attempt) = data.effects.get(&effect).filter(unclear).map(|e| e.attempt) else { continue };
            if how == Resolution::Resend && !kept {
                continue;
            }
            data.mark(vec![resolution(effect, attempt, how, now)]);
            if let Some(entry) = data.effects.get_mut(&effect) {
                entry.reason = Some(resolved_reason(how).into());
                entry.resends = (entry.resends + i32::from(how == Resolution::Resend)).min(super::outcome::MOST_ATTEMPTS);
            }
            resolved.push(effect);
        }
        Ok(resolved)
    }

    async fn intents(&self) -> Result<i64> {
        Ok(self.data().intents)
    }

    async fn raise_intents(&self, lease: &Lease, to: i64, now: Timestamp) -> Result<()> {
        let mut data = self.data();
        data.fence(lease)?;
        data.intents = data.intents.max(to);
        for (name, from) in fresh_numbers(now) {
            let count = match name {
                "copy" => &mut data.last_copy,
                "client" => &mut data.last_client,
                _ => &mut data.first_seq,
            };
            *count = if *count < from { from } else { *count + NUMBERS_SKIPPED };
        }
        Ok(())
    }

    async fn spent(&self, periods: &[Period]) -> Result<Vec<i64>> {
        let data = self.data();
        Ok(periods.iter().map(|period| data.spent.get(period).copied().unwrap_or(0)).collect())
    }

    async fn suppressed(&self, effects: &[EffectRef]) -> Result<Vec<EffectRef>> {
        let data = self.data();
        let forbidden = |effect: &EffectRef| {
            data.effects.get(effect).is_some_and(|e| match (e.kind, e.medium, e.purpose) {
                ("message", Some(medium), Some(purpose)) => {
                    data.forbidden(effect.copy, &e.key.recipient, &e.brand, medium, purpose)
                }
                _ => false,
            })
        };
        Ok(effects.iter().copied().filter(forbidden).collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn effects(&self, effects: &[EffectRef]) -> Result<Vec<EffectInfo>> {
        let data = self.data();
        let info = |effect: &EffectRef| {
            let (entry, copy) = (data.effects.get(effect)?, data.copies.get(&effect.copy)?);
            let (first, last) = ((*effect, Timestamp::MIN, i16::MIN), (*effect, Timestamp::MAX, i16::MAX));
            let newest = data.clicks.range(first..=last).rev().take(HITS as usize);
            let mut hits: Vec<(i16, Timestamp)> = newest.map(|((_, at, link), _)| (*link, *at)).collect();
            hits.reverse();
            Some(EffectInfo {
                effect: *effect,
                key: entry.key.clone(),
                funnel: copy.copy.funnel.clone(),
                client: ClientId(data.root_of_effect(*effect).unwrap_or(copy.copy.client.0)),
                brand: entry.brand.clone(),
                medium: entry.medium,
                purpose: entry.purpose.unwrap_or(Purpose::Service),
                status: entry.status,
                at: entry.at,
                links: entry.links.clone(),
                target: entry.target.clone(),
                hits,
            })
        };
        Ok(effects.iter().filter_map(info).collect())
    }

    async fn codes(&self, hashes: &[String]) -> Result<HashMap<String, (EffectRef, i16)>> {
        let data = self.data();
        Ok(hashes.iter().filter_map(|hash| Some((hash.clone(), *data.codes.get(hash)?))).collect())
    }

    async fn by_provider_id(&self, provider: &str, id: &str) -> Result<Option<EffectRef>> {
        Ok(self.data().provider_refs.get(&(provider.to_owned(), id.to_owned())).and_then(|r| r.effect))
    }

    async fn judge(&self, hits: &[Clicked]) -> Result<()> {
        let mut data = self.data();
        for Clicked { effect, link, at, verdict, why } in hits {
            if let Some(hit) = data.clicks.get_mut(&(*effect, ms(*at), *link)) {
                *hit = (*verdict, why.clone());
            }
            data.click(*effect, ms(*at), *verdict == Some(ClickVerdict::Human));
        }
        Ok(())
    }

    async fn holds(&self) -> Result<Vec<Hold>> {
        Ok(self.data().holds.clone())
    }

    async fn hold(&self, hold: Hold) -> Result<()> {
        let mut data = self.data();
        match data.holds.iter_mut().find(|h| h.scope == hold.scope) {
            // What the witness says is why nothing may be released unread.
            Some(there) if there.by == "witness" && hold.by != "witness" => {}
            Some(there) => (there.by, there.reason) = (hold.by, hold.reason),
            None => data.holds.push(Hold { since: ms(hold.since), ..hold }),
        }
        data.holds.sort_by_key(|h| h.since);
        Ok(())
    }

    async fn release_hold(&self, scope: &HoldScope) -> Result<bool> {
        let mut data = self.data();
        let before = data.holds.len();
        data.holds.retain(|h| h.scope != *scope);
        Ok(data.holds.len() < before)
    }

    async fn publish(&self, funnel: &FunnelKey, voice: &Voice, snapshot: &serde_json::Value, now: Timestamp) -> Result<i64> {
        let mut data = self.data();
        let known = data.funnels.entry(funnel.clone()).or_default();
        known.first_published.get_or_insert(ms(now));
        known.voice = voice.clone();
        let number = match known.revisions.last() {
            Some(newest) if !newest.deleted && newest.snapshot == *snapshot => return Ok(newest.number),
            newest => newest.map_or(1, |r| r.number + 1),
        };
        let (funnel, snapshot, published_at) = (funnel.clone(), snapshot.clone(), ms(now));
        known.revisions.push(Revision { funnel, number, published_at, snapshot, deleted: false });
        Ok(number)
    }

    async fn retire(&self, funnel: &FunnelKey, now: Timestamp) -> Result<()> {
        let mut data = self.data();
        if let Some(known) = data.funnels.get_mut(funnel)
            && let Some(newest) = known.revisions.last().filter(|r| !r.deleted).cloned()
        {
            known.revisions.push(Revision { number: newest.number + 1, published_at: ms(now), deleted: true, ..newest });
        }
        Ok(())
    }

    async fn revisions(&self) -> Result<Vec<Revision>> {
        Ok(self.data().funnels.values().filter_map(|f| f.revisions.last().cloned()).collect())
    }

    async fn first_published(&self, funnel: &FunnelKey) -> Result<Option<Timestamp>> {
        Ok(self.data().funnels.get(funnel).and_then(|f| f.first_published))
    }

    async fn copies_of(&self, funnel: &FunnelKey, after: CopyId, limit: u32) -> Result<Vec<CopyId>> {
        let data = self.data();
        let after = CopyId(after.0.saturating_add(1));
        let theirs = data.copies.range(after..).filter(|(_, c)| c.copy.funnel == *funnel);
        Ok(theirs.map(|(id, _)| *id).take(limit as usize).collect())
    }

    async fn backfill(&self, funnel: &FunnelKey, lost_since: Timestamp, limit: u32) -> Result<Vec<CopyId>> {
        let data = self.data();
        let since = lost_since.as_millisecond();
        let mut waiting: Vec<(i64, CopyId)> = data
            .copies
            .iter()
            .filter(|(_, c)| c.copy.funnel == *funnel)
            .filter_map(|(id, c)| c.backfill_at.filter(|at| *at >= since).map(|at| (-at, *id)))
            .collect();
        waiting.sort_unstable();
        Ok(waiting.into_iter().map(|(_, id)| id).take(limit as usize).collect())
    }
}

/// Keeps what caps and cooldowns look back at.
fn trim(recent: &mut Vec<Recent>, now: Timestamp) {
    recent.retain(|r| now.duration_since(r.at) <= RECENT);
}
