//! Whose deals are simulated: read from the connections' own files, or from a store. People are told apart and numbered as a store
//! does it, because holdout, variants and places within a spread depend on these numbers.

use super::{
    arena::{Arena, Slot},
    error::SimulateError,
};
use crate::{
    compile::{ConnectionWiring, FunnelSnapshot, Wiring, compile_funnel},
    crm,
    engine::{Client, Copy, KnownAddress, LedgerEntry, Plan, Subject, Voice},
    model::{
        Address, AddressHash, ClientId, Consent, ConsentStatus, Contact, CopyId, Deal, FunnelKey, Manager, ManagerId, Purpose,
    },
    store::{
        Cursor, Finding, Load, Period, Revision, Store, empty_pipeline,
        identity::{Forest, Words, address_key, contact_key, deal_key},
        this_month,
    },
    workers::{Admitted, Live, PAGE, connection_key},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

/// All deals and people of a simulation. Read once; several plans may live on it.
pub struct World {
    /// `namespace/name` of the connections, in the order in which they were read.
    pub(super) connections: Vec<Connection>,
    pub(super) deals: Vec<DealSlot>,
    pub(super) people: Vec<Person>,
    pub(super) findings: Vec<(String, Vec<Finding>)>,
    /// From a store: since when each of its funnels is published, its newest revision, and what backfill admitted today.
    pub(super) stored: BTreeMap<FunnelKey, StoredFunnel>,
    /// When what is in the store was last read from its CRM.
    pub(super) read_at: Option<Timestamp>,
    /// From a store: what budgets had spent when it was last read.
    pub(super) spent: BTreeMap<Period, i64>,
    rows: Arena,
    contacts: Vec<ContactSlot>,
    copies: HashMap<u32, Vec<StoredCopy>>,
}

pub(super) struct Connection {
    pub key: String,
    pub managers: HashMap<ManagerId, Manager>,
    pub pipelines: Vec<String>,
}

pub(super) struct DealSlot {
    row: Slot,
    pub connection: u16,
    /// Index in the connection's pipelines.
    pub pipeline: u16,
    contact: u32,
    /// Number of its client when it was read; the person may have got an older one since.
    client: i64,
    pub person: u32,
}

struct ContactSlot {
    row: Slot,
    connection: u16,
    client: i64,
}

#[derive(Default)]
pub(super) struct Person {
    /// Number of the client that all others of this person were merged into.
    root: i64,
    pub deals: Vec<u32>,
    contacts: Vec<u32>,
}

pub(super) struct StoredFunnel {
    pub since: Timestamp,
    /// `namespace/name` of the one that its deals come from.
    connection: String,
    pub snapshot: serde_json::Value,
    /// What the snapshot means. `None` if this version cannot read it.
    live: Option<Live>,
    pub admitted: Admitted,
}

/// A copy as the store has it, with its person as seen from it.
pub(super) struct StoredCopy {
    pub copy: Copy,
    pub client: Client,
    pub ledger: Vec<LedgerEntry>,
}

/// A person at full length.
pub(super) struct Known {
    pub deals: Vec<KnownDeal>,
    pub client: ClientId,
    contacts: Vec<(u16, Contact)>,
    consents: Vec<Consent>,
}

pub(super) struct KnownDeal {
    pub index: u32,
    pub connection: u16,
    pub deal: Deal,
    pub contact: Option<Contact>,
    pub client: ClientId,
}

const NOBODY: u32 = u32::MAX;

impl World {
    /// Reads the files of these connections (`namespace/name`). `deals` replaces the deals file of the only connection there is.
    ///
    /// # Errors
    /// A file that cannot be read or used, and files without any deal.
    pub async fn from_files(
        wiring: &Wiring,
        connections: &BTreeSet<String>,
        deals: Option<&std::path::Path>,
        now: Timestamp,
        read: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, SimulateError> {
        let mut world = Self::empty();
        let mut people = People::default();
        if deals.is_some() && connections.len() > 1 {
            return Err(SimulateError::SeveralConnections { names: connections.iter().cloned().collect::<Vec<_>>().join(", ") });
        }
        for key in connections {
            let settings = wiring.connections.get(key).ok_or_else(|| SimulateError::NoConnection { connection: key.clone() })?;
            let mut settings = settings.clone();
            let crate::compile::ConnectionKind::File(file) = &mut settings.kind;
            if let Some(path) = deals {
                file.deals = crate::compile::FileSource::Path(path.to_owned());
            }
            world.read(&settings, &mut people, now, read).await?;
        }
        if world.deals.is_empty() {
            return Err(SimulateError::NoDeals { connections: connections.iter().cloned().collect::<Vec<_>>().join(", ") });
        }
        people.settle(&mut world);
        Ok(world)
    }

    fn empty() -> Self {
        Self {
            connections: Vec::new(),
            deals: Vec::new(),
            people: Vec::new(),
            findings: Vec::new(),
            stored: BTreeMap::new(),
            read_at: None,
            spent: BTreeMap::new(),
            rows: Arena::default(),
            contacts: Vec::new(),
            copies: HashMap::new(),
        }
    }

    async fn read(
        &mut self,
        settings: &ConnectionWiring,
        people: &mut People,
        now: Timestamp,
        read: &(dyn Fn(u64) + Sync),
    ) -> Result<(), SimulateError> {
        let failed = |source| SimulateError::Crm { connection: settings.key.clone(), source };
        let connector = crm::connect(settings).map_err(failed)?;
        let number = u16::try_from(self.connections.len()).unwrap_or(u16::MAX);
        let mut connection = Connection { key: settings.key.clone(), managers: HashMap::new(), pipelines: Vec::new() };
        let mut cursor = Cursor::default();
        let mut contacts: HashMap<u64, u32> = HashMap::new();
        loop {
            let page = connector.read(&cursor, PAGE, now).await.map_err(failed)?;
            connection.managers.extend(page.managers.into_iter().map(|m| (m.id.clone(), m)));
            // In the order in which a store identifies a page: contacts as they stand, deals by their id.
            let mut groups: Vec<Vec<u64>> = Vec::with_capacity(page.contacts.len() + page.deals.len());
            for contact in &page.contacts {
                let mut keys = vec![short(&contact_key(&settings.key, &contact.id))];
                keys.extend(addresses(contact).iter().map(|known| short(&address_key(&known.hash))));
                groups.push(keys);
            }
            let mut order: Vec<&Deal> = page.deals.iter().collect();
            order.sort_by(|a, b| a.id.cmp(&b.id));
            groups.extend(order.iter().map(|deal| vec![short(&deal_key(&settings.key, deal))]));
            people.identify(&groups);
            for contact in &page.contacts {
                let key = short(&contact_key(&settings.key, &contact.id));
                let slot = ContactSlot { row: self.rows.put(contact), connection: number, client: people.client(key) };
                let index = u32::try_from(self.contacts.len()).unwrap_or(NOBODY);
                if let Some(before) = contacts.insert(short(&contact.id), index) {
                    // The same contact once more: its newest state is what a store has.
                    if let Some(old) = self.contacts.get_mut(before as usize) {
                        *old = slot;
                    }
                    contacts.insert(short(&contact.id), before);
                } else {
                    self.contacts.push(slot);
                }
            }
            for deal in &page.deals {
                let pipeline = connection.pipelines.iter().position(|p| *p == deal.pipeline).unwrap_or_else(|| {
                    connection.pipelines.push(deal.pipeline.clone());
                    connection.pipelines.len() - 1
                });
                self.deals.push(DealSlot {
                    row: self.rows.put(deal),
                    connection: number,
                    pipeline: u16::try_from(pipeline).unwrap_or(u16::MAX),
                    contact: deal.contacts.first().and_then(|id| contacts.get(&short(id))).copied().unwrap_or(NOBODY),
                    client: people.client(short(&deal_key(&settings.key, deal))),
                    person: NOBODY,
                });
            }
            read(self.deals.len() as u64);
            cursor = page.cursor;
            if !page.more {
                self.findings.push((settings.key.clone(), page.findings));
                break;
            }
        }
        self.connections.push(connection);
        Ok(())
    }

    /// Takes over the copies, ledgers and prohibitions of a store for the funnels in `funnels`, each with the connection that it reads
    /// as far as the store does not say. Reads only.
    ///
    /// # Errors
    /// When the store cannot be read, or knows none of the funnels.
    pub async fn from_store(
        store: &Store,
        funnels: &BTreeMap<FunnelKey, String>,
        now: Timestamp,
        read: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, SimulateError> {
        let journal = &store.journal;
        let mut world = Self::empty();
        let revisions = journal.revisions().await?;
        // Who only observes or is stopped silences nobody, also if it is not simulated.
        let voice = |r: &Revision| Some((r.funnel.clone(), in_force(&r.snapshot, now)?.plan.voice()));
        let voices: HashMap<FunnelKey, Voice> = revisions.iter().filter(|r| !r.deleted).filter_map(voice).collect();
        let mut people: BTreeMap<i64, Person> = BTreeMap::new();
        let mut known: HashMap<(u16, String), u32> = HashMap::new();
        for (funnel, connection) in funnels {
            let Some(revision) = revisions.iter().find(|r| r.funnel == *funnel && !r.deleted) else { continue };
            let since = journal.first_published(funnel).await?.unwrap_or(now);
            let cursor = journal.cursor(&Admitted::cursor_key(funnel)).await?;
            let admitted = serde_json::from_value(cursor.position).unwrap_or_default();
            let snapshot = revision.snapshot.clone();
            let live = in_force(&snapshot, since);
            // An edit may name another connection; what is in the store came from this one.
            let connection = live.as_ref().map_or_else(|| connection.clone(), |live| connection_key(&live.plan));
            world.stored.insert(funnel.clone(), StoredFunnel { since, connection: connection.clone(), snapshot, live, admitted });
            let number = if let Some(at) = world.connections.iter().position(|c| c.key == connection) {
                at
            } else {
                let managers = journal.managers(&connection).await?.into_iter().map(|m| (m.id.clone(), m)).collect();
                let read_at = journal.cursor(&connection).await?.read_at;
                world.read_at = world.read_at.max(read_at);
                world.connections.push(Connection { key: connection.clone(), managers, pipelines: Vec::new() });
                world.connections.len() - 1
            };
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let mut after = CopyId(0);
            loop {
                let ids = journal.copies_of(funnel, after, 1000).await?;
                let Some(last) = ids.last() else { break };
                after = *last;
                // Deals of a CRM that the funnel reads no more leave it.
                for mut loaded in journal.fetch(&Load::Copies(ids), now).await?.into_iter().filter(|l| l.connection == connection) {
                    for sibling in &mut loaded.client.siblings {
                        sibling.voice = voices.get(&sibling.funnel).cloned().unwrap_or_else(|| sibling.voice.clone());
                    }
                    world.take(loaded.subject, number, &mut people, &mut known);
                }
                read(world.deals.len() as u64);
            }
        }
        if world.stored.is_empty() {
            let named = |keys: Vec<String>| if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
            return Err(SimulateError::NotInStore {
                asked: named(funnels.keys().map(ToString::to_string).collect()),
                there: named(revisions.iter().filter(|r| !r.deleted).map(|r| r.funnel.to_string()).collect()),
            });
        }
        world.spent = store.views.spent_since(&this_month(now)).await?.into_iter().map(|s| (s.period, s.spent)).collect();
        for (number, person) in (0_u32..).zip(people.values()) {
            for deal in &person.deals {
                if let Some(slot) = world.deals.get_mut(*deal as usize) {
                    slot.person = number;
                }
            }
        }
        world.people = people.into_values().collect();
        Ok(world)
    }

    fn take(
        &mut self,
        subject: Subject,
        connection: u16,
        people: &mut BTreeMap<i64, Person>,
        known: &mut HashMap<(u16, String), u32>,
    ) {
        let Subject { copy, deal, contact, client, ledger, .. } = subject;
        let root = client.id.unwrap_or(copy.client).0;
        let index = *known.entry((connection, deal.id.clone())).or_insert_with(|| {
            let index = u32::try_from(self.deals.len()).unwrap_or(NOBODY);
            let contact = contact.map_or(NOBODY, |contact| {
                let slot = ContactSlot { row: self.rows.put(&contact), connection, client: root };
                self.contacts.push(slot);
                u32::try_from(self.contacts.len() - 1).unwrap_or(NOBODY)
            });
            let pipelines = self.connections.get_mut(usize::from(connection)).map(|c| &mut c.pipelines);
            let pipeline = pipelines.map_or(0, |pipelines| {
                pipelines.iter().position(|p| *p == deal.pipeline).unwrap_or_else(|| {
                    pipelines.push(deal.pipeline.clone());
                    pipelines.len() - 1
                })
            });
            let pipeline = u16::try_from(pipeline).unwrap_or(u16::MAX);
            let slot = DealSlot { row: self.rows.put(&deal), connection, pipeline, contact, client: copy.client.0, person: NOBODY };
            self.deals.push(slot);
            let person = people.entry(root).or_insert_with(|| Person { root, ..Person::default() });
            person.deals.push(index);
            index
        });
        self.copies.entry(index).or_default().push(StoredCopy { copy, client, ledger });
    }

    /// How many deals were read.
    #[must_use]
    pub const fn deals(&self) -> usize {
        self.deals.len()
    }

    /// What is wrong in the rows, by connection.
    #[must_use]
    pub fn findings(&self) -> &[(String, Vec<Finding>)] {
        &self.findings
    }

    /// The deal's id in its CRM.
    #[must_use]
    pub fn deal_id(&self, index: u32) -> String {
        #[derive(serde::Deserialize)]
        struct Id {
            id: String,
        }
        self.deals.get(index as usize).and_then(|slot| self.rows.get::<Id>(slot.row)).map(|row| row.id).unwrap_or_default()
    }

    /// `namespace/name` of the connection that a deal was read from.
    pub(super) fn connection_of(&self, deal: u32) -> &str {
        let slot = self.deals.get(deal as usize);
        slot.and_then(|slot| self.connections.get(usize::from(slot.connection))).map_or("", |c| c.key.as_str())
    }

    /// The copies that a store has of a deal.
    pub(super) fn stored_copies(&self, deal: u32) -> &[StoredCopy] {
        self.copies.get(&deal).map_or(&[], Vec::as_slice)
    }

    /// Everything known of one person.
    pub(super) fn person(&self, number: u32) -> Option<Known> {
        let person = self.people.get(number as usize)?;
        let contact = |index: u32| -> Option<Contact> { self.rows.get(self.contacts.get(index as usize)?.row) };
        let mut contacts = Vec::with_capacity(person.contacts.len());
        let mut words = Words::default();
        for index in &person.contacts {
            let Some(slot) = self.contacts.get(*index as usize) else { continue };
            let Some(contact) = contact(*index) else { continue };
            let connection = self.connections.get(usize::from(slot.connection)).map_or("", |c| c.key.as_str());
            for known in addresses(&contact) {
                words.hear(connection, &contact.consent, &known.hash, known.address.medium());
            }
            contacts.push((slot.connection, contact));
        }
        let consents = words.0.into_iter().map(|((address, medium), (given, source))| Consent {
            address,
            brand: None,
            medium,
            purpose: Purpose::Advertising,
            status: if given { ConsentStatus::Given } else { ConsentStatus::Withdrawn },
            source,
            at: Timestamp::UNIX_EPOCH,
            wording: None,
        });
        let consents = consents.collect();
        let deals = person.deals.iter().filter_map(|index| {
            let slot = self.deals.get(*index as usize)?;
            let deal: Deal = self.rows.get(slot.row)?;
            Some(KnownDeal {
                index: *index,
                connection: slot.connection,
                contact: contact(slot.contact),
                deal,
                client: ClientId(slot.client),
            })
        });
        Some(Known { deals: deals.collect(), client: ClientId(person.root), contacts, consents })
    }
}

impl Known {
    /// The person as seen from one of their deals: the addresses of its own contact come first.
    pub fn client(&self, contact: Option<&Contact>) -> Client {
        let mut known: Vec<KnownAddress> = contact.map(addresses).unwrap_or_default();
        for other in self.contacts.iter().flat_map(|(_, contact)| addresses(contact)) {
            if !known.iter().any(|k| k.hash == other.hash) {
                known.push(other);
            }
        }
        let consents = known.iter().flat_map(|k| self.consents.iter().filter(|c| c.address == k.hash)).cloned().collect();
        Client { id: Some(self.client), addresses: known, consents, ..Client::default() }
    }
}

/// A stored revision, compiled.
fn in_force(snapshot: &serde_json::Value, since: Timestamp) -> Option<Live> {
    let snapshot: FunnelSnapshot = serde_json::from_value(snapshot.clone()).ok()?;
    compile_funnel(&snapshot, 1, since).ok().map(Live::from)
}

/// Keys by their hash: a million people are told apart in a few megabytes. 64 bits make a wrong match as likely as a wrong disk read.
fn short(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Phones, then emails. Nothing of it is ever stored, so an address stands for its own hash.
fn addresses(contact: &Contact) -> Vec<KnownAddress> {
    let phones = contact.phones.iter().cloned().map(Address::Phone);
    let mut known: Vec<KnownAddress> = Vec::new();
    for address in phones.chain(contact.emails.iter().cloned().map(Address::Email)) {
        let hash = AddressHash(address.identity());
        if !known.iter().any(|k| k.hash == hash) {
            known.push(KnownAddress { address, hash });
        }
    }
    known
}

/// Numbers people while they are read.
#[derive(Default)]
struct People {
    keys: HashMap<u64, i64>,
    /// Merged number → the one it was merged into.
    merged: HashMap<i64, i64>,
    last: i64,
}

impl People {
    fn identify(&mut self, groups: &[Vec<u64>]) {
        let mut known: HashMap<u64, i64> = HashMap::new();
        for key in groups.iter().flatten() {
            if let Some(client) = self.keys.get(key) {
                known.insert(*key, self.root(*client));
            }
        }
        let forest = Forest::of(&mut known, groups);
        let numbers = forest.numbers(self.last + 1);
        self.last += i64::try_from(numbers.len()).unwrap_or(0);
        let number = |id: i64| numbers.get(&id).copied().unwrap_or(id);
        for id in forest.parent.keys() {
            self.merged.insert(number(*id), number(forest.root(*id)));
        }
        for (key, id) in known {
            self.keys.entry(key).or_insert_with(|| number(id));
        }
    }

    fn root(&self, mut client: i64) -> i64 {
        while let Some(up) = self.merged.get(&client) {
            client = *up;
        }
        client
    }

    fn client(&self, key: u64) -> i64 {
        self.keys.get(&key).map_or(0, |id| self.root(*id))
    }

    /// Deals and contacts find their person.
    fn settle(&self, world: &mut World) {
        let roots: BTreeSet<i64> = world.deals.iter().map(|d| self.root(d.client)).collect();
        let place: HashMap<i64, u32> = roots.iter().copied().zip(0_u32..).collect();
        world.people = roots.iter().map(|root| Person { root: *root, ..Person::default() }).collect();
        for (index, deal) in (0_u32..).zip(&mut world.deals) {
            let Some(number) = place.get(&self.root(deal.client)) else { continue };
            deal.person = *number;
            if let Some(person) = world.people.get_mut(*number as usize) {
                person.deals.push(index);
            }
        }
        for (index, contact) in (0_u32..).zip(&world.contacts) {
            let person = place.get(&self.root(contact.client)).and_then(|n| world.people.get_mut(*n as usize));
            if let Some(person) = person {
                person.contacts.push(index);
            }
        }
        // As a store orders the contacts of a person.
        for number in 0..world.people.len() {
            let Some(person) = world.people.get(number).filter(|p| p.contacts.len() > 1) else { continue };
            let mut named: Vec<(u16, String, u32)> = person.contacts.iter().map(|index| world.named(*index)).collect();
            named.sort();
            if let Some(person) = world.people.get_mut(number) {
                person.contacts = named.into_iter().map(|(.., index)| index).collect();
            }
        }
    }
}

impl World {
    fn named(&self, contact: u32) -> (u16, String, u32) {
        let slot = self.contacts.get(contact as usize);
        let id = slot.and_then(|slot| self.rows.get::<Contact>(slot.row)).map(|c| c.id).unwrap_or_default();
        (slot.map_or(0, |slot| slot.connection), id, contact)
    }
}

impl World {
    /// Until when a store knows what happened.
    #[must_use]
    pub const fn read_at(&self) -> Option<Timestamp> {
        self.read_at
    }

    /// Since when a store has the funnel.
    #[must_use]
    pub fn published(&self, funnel: &FunnelKey) -> Option<Timestamp> {
        self.stored.get(funnel).map(|s| s.since)
    }

    /// The revision that a store works by.
    #[must_use]
    pub fn in_force(&self, funnel: &FunnelKey) -> Option<&serde_json::Value> {
        self.stored.get(funnel).map(|s| &s.snapshot)
    }

    /// What that revision means. `None` also when this version cannot read it.
    #[must_use]
    pub fn plan_in_force(&self, funnel: &FunnelKey) -> Option<&Live> {
        self.stored.get(funnel)?.live.as_ref()
    }

    /// Of a world from files: that no deal of them is in the plan's pipeline, in a sentence. A store has only deals of pipelines that
    /// its funnels named.
    #[must_use]
    pub fn empty_pipeline(&self, plan: &Plan) -> Option<String> {
        let wanted = plan.pipeline.as_ref().filter(|_| self.stored.is_empty())?;
        let key = connection_key(plan);
        let connection = self.connections.iter().find(|connection| connection.key == key)?;
        let said = empty_pipeline(wanted, &plan.connection, connection.pipelines.iter().map(String::as_str))?;
        Some(format!("{}: {said}", plan.funnel))
    }

    /// Of a world from a store: what it cannot tell about a plan, in a sentence.
    #[must_use]
    pub fn unknown_of(&self, plan: &Plan) -> Option<String> {
        if self.stored.is_empty() {
            return None;
        }
        let (funnel, connection) = (&plan.funnel, connection_key(plan));
        let lower = |pipeline: &Option<String>| pipeline.as_ref().map(|name| name.to_lowercase());
        // A funnel has all deals of its pipeline; the deals of others are not copied.
        let has = |s: &&StoredFunnel| {
            let pipeline = s.live.as_ref().and_then(|live| lower(&live.plan.pipeline));
            s.connection == connection && (pipeline.is_none() || pipeline == lower(&plan.pipeline))
        };
        if !self.stored.values().any(|s| has(&s)) {
            let read = match &plan.pipeline {
                Some(pipeline) => {
                    format!("the pipeline {pipeline} of {connection}, of which the store has no deals for these funnels")
                }
                None if self.connections.iter().any(|c| c.key == connection) => {
                    format!("all pipelines of {connection}, of which the store has only some for these funnels")
                }
                None => format!("{connection}, of which the store has no deals for these funnels"),
            };
            return Some(format!("{funnel} reads {read}: whom it would write to there is not known; ask without --store"));
        }
        let new = !self.stored.contains_key(funnel);
        new.then(|| format!("{funnel} is not in the store; it is simulated as if it were published on the first day"))
    }
}
