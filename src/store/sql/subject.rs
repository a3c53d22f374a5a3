//! Everything known about copies, a whole batch at a time: a dozen statements whatever the number of copies.

use super::Result;
use super::crm::{Named, contacts_by_id, managers_by_id, named_rows};
use super::dialect::sql;
use super::identity::{address_key, addresses, contact_key};
use super::open::Database;
use super::session::{Session, args, json_rows};
use super::suppress::medium_word;
use crate::engine::{Client, Copy, KnownAddress, LedgerEntry, Recent, Sibling, Spent, Subject, Voice};
use crate::model::{
    Address, AddressHash, ClientId, Consent, ConsentStatus, CopyId, Deal, EffectKey, EffectStatus, FunnelKey, ManagerId, Money,
    Purpose, Role, SignalSubject, Suppression, SuppressionReason, SuppressionScope,
};
use crate::store::rules::{AddressHasher, RECENT, with_state};
use crate::store::{Cursor, Due, Load, Loaded};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) async fn due(database: &Database, now: Timestamp, low: Option<Timestamp>, limit: u32) -> Result<Vec<Due>> {
    let low = low.map_or(i64::MIN / 2, Timestamp::as_millisecond);
    let rows = database.read().await?.rows(sql!("copy/due"), args![now, low, limit]).await?;
    rows.into_iter().map(|mut c| Ok(Due { copy: CopyId(c.int()?), due_at: c.time()? })).collect()
}

pub(super) async fn next_due(database: &Database) -> Result<Option<Timestamp>> {
    let rows = database.read().await?.rows(sql!("copy/next_due"), args![]).await?;
    rows.into_iter().next().map_or(Ok(None), |mut c| c.opt_time())
}

#[derive(Serialize)]
struct Number {
    id: i64,
}

#[derive(Serialize)]
struct Key {
    key: String,
}

#[derive(Serialize)]
struct Root {
    root: i64,
}

#[derive(Serialize)]
struct Own {
    root: i64,
    copy_id: i64,
}

#[derive(Serialize)]
struct Hash<'a> {
    hash: &'a str,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    scope: &'static str,
    who: String,
}

/// What is asked of another deal of the client.
#[derive(Deserialize)]
struct Active {
    last_activity_at: Option<Timestamp>,
}

/// A subject while it is put together.
struct Draft {
    subject: Subject,
    connection: String,
    root: i64,
}

pub(super) async fn fetch(database: &Database, hasher: &AddressHasher, what: &Load, now: Timestamp) -> Result<Vec<Loaded>> {
    let mut session = database.snapshot().await?;
    let ids = match what {
        Load::Copies(ids) => ids.iter().map(|id| id.0).collect(),
        Load::Deals { connection, ids } => {
            let rows = session.rows(sql!("copy/of_deals"), args![named_rows(connection, ids.iter())?]).await?;
            rows.into_iter().map(|mut c| c.int()).collect::<Result<Vec<i64>>>()?
        }
        Load::Contacts { connection, ids } => {
            let keys: Vec<Key> = ids.iter().map(|id| Key { key: contact_key(connection, id) }).collect();
            let rows = session.rows(sql!("copy/of_contacts"), args![json_rows(&keys)?]).await?;
            rows.into_iter().map(|mut c| c.int()).collect::<Result<Vec<i64>>>()?
        }
        Load::Signal(signal) => match client_of(&mut session, hasher, signal).await? {
            None => Vec::new(),
            Some(root) => {
                let rows = session.rows(sql!("copy/of_client"), args![root]).await?;
                rows.into_iter().map(|mut c| c.int()).collect::<Result<Vec<i64>>>()?
            }
        },
    };
    let loaded = if ids.is_empty() { Vec::new() } else { load_ids(&mut session, hasher, &ids, now).await? };
    session.commit().await?;
    Ok(loaded)
}

/// The person a signal is about: the first of what its sender knows that leads to anyone.
async fn client_of(session: &mut Session, hasher: &AddressHasher, signal: &SignalSubject) -> Result<Option<i64>> {
    if let Some(effect) = signal.effect
        && let Some(mut c) = session.rows(sql!("client/of_effect"), args![effect.copy.0, effect.seq]).await?.into_iter().next()
    {
        return c.int().map(Some);
    }
    if let Some((connection, id)) = &signal.deal
        && let Some(mut c) = session.rows(sql!("client/of_deal"), args![connection, id]).await?.into_iter().next()
    {
        return c.int().map(Some);
    }
    let contact = signal.contact.as_ref().map(|(connection, id)| contact_key(connection, id));
    let phone = signal.phone.clone().map(|p| address_key(&hasher.hash(&Address::Phone(p))));
    let email = signal.email.clone().map(|e| address_key(&hasher.hash(&Address::Email(e))));
    for key in [contact, phone, email].into_iter().flatten() {
        let rows = session.rows(sql!("client/by_keys"), args![json_rows(&[serde_json::json!({ "key": key })])?]).await?;
        if let Some(mut c) = rows.into_iter().next() {
            c.text()?;
            return c.int().map(Some);
        }
    }
    Ok(None)
}

async fn load_ids(session: &mut Session, hasher: &AddressHasher, ids: &[i64], now: Timestamp) -> Result<Vec<Loaded>> {
    let mut drafts = load_copies(session, ids).await?;
    load_people(session, &mut drafts).await?;
    load_ledger(session, &mut drafts).await?;
    let clients = load_clients(session, hasher, &drafts, now).await?;
    for draft in &mut drafts {
        if let Some(client) = clients.get(&draft.root) {
            draft.subject.client = client.of(&draft.subject, hasher);
        }
    }
    // In the order asked.
    let loaded = |draft: Draft| Loaded { connection: draft.connection, subject: draft.subject };
    let mut by_id: HashMap<CopyId, Loaded> = drafts.into_iter().map(|d| (d.subject.copy.id, loaded(d))).collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(&CopyId(*id))).collect())
}

async fn load_copies(session: &mut Session, ids: &[i64]) -> Result<Vec<Draft>> {
    let numbers: BTreeSet<i64> = ids.iter().copied().collect();
    let numbers: Vec<Number> = numbers.into_iter().map(|id| Number { id }).collect();
    let mut drafts = Vec::with_capacity(numbers.len());
    // One connection has thousands of copies: its cursor is read once.
    let mut read_at: HashMap<String, Option<Timestamp>> = HashMap::new();
    for mut c in session.rows(sql!("copy/load"), args![json_rows(&numbers)?]).await? {
        let copy = Copy {
            id: CopyId(c.int()?),
            funnel: FunnelKey { namespace: c.text()?, name: c.text()? },
            client: ClientId(c.int()?),
            shard: c.small()?,
            ver: c.int()?,
            role: c.word(Role::parse)?,
            stage: c.text()?,
            cycle: c.small()?,
            amount: Money(c.int()?),
            next_at: c.opt_time()?,
            next_seq: c.small()?,
            state: c.json()?,
        };
        let connection = c.text()?;
        let deal: Deal = c.json()?;
        let root = c.int()?;
        let crm_read_at = if let Some(known) = read_at.get(&connection) {
            *known
        } else {
            let at = c.opt_json::<Cursor>()?.and_then(|cursor| cursor.read_at);
            read_at.insert(connection.clone(), at);
            at
        };
        drafts.push(Draft {
            subject: Subject {
                copy,
                deal,
                contact: None,
                client: Client::default(),
                manager: None,
                deputy: None,
                supervisor: None,
                ledger: Vec::new(),
                crm_read_at,
                spent: Spent::default(),
                priced: Vec::new(),
            },
            connection,
            root,
        });
    }
    Ok(drafts)
}

/// Contacts and managers, then the managers' deputies and supervisors.
async fn load_people(session: &mut Session, drafts: &mut [Draft]) -> Result<()> {
    let contact = |d: &Draft| d.subject.deal.contacts.first().map(|id| Named { connection: d.connection.clone(), id: id.clone() });
    let wanted: BTreeSet<Named> = drafts.iter().filter_map(contact).collect();
    let contacts = contacts_by_id(session, &wanted.into_iter().collect::<Vec<_>>()).await?;

    let named =
        |d: &Draft, id: &Option<ManagerId>| id.as_ref().map(|id| Named { connection: d.connection.clone(), id: id.0.clone() });
    let wanted: BTreeSet<Named> = drafts.iter().filter_map(|d| named(d, &d.subject.deal.manager)).collect();
    let managers = managers_by_id(session, &wanted.into_iter().collect::<Vec<_>>()).await?;
    for draft in drafts.iter_mut() {
        draft.subject.contact = contact(draft).and_then(|name| contacts.get(&name).cloned());
        draft.subject.manager = named(draft, &draft.subject.deal.manager).and_then(|name| managers.get(&name).cloned());
    }

    let deputy = |d: &Draft| d.subject.manager.as_ref().and_then(|m| named(d, &m.deputy));
    let supervisor = |d: &Draft| d.subject.manager.as_ref().and_then(|m| named(d, &m.supervisor));
    let wanted: BTreeSet<Named> = drafts.iter().flat_map(|d| [deputy(d), supervisor(d)]).flatten().collect();
    let others = managers_by_id(session, &wanted.into_iter().collect::<Vec<_>>()).await?;
    for draft in drafts {
        draft.subject.deputy = deputy(draft).and_then(|name| others.get(&name).cloned());
        draft.subject.supervisor = supervisor(draft).and_then(|name| others.get(&name).cloned());
    }
    Ok(())
}

async fn load_ledger(session: &mut Session, drafts: &mut [Draft]) -> Result<()> {
    let numbers: Vec<Number> = drafts.iter().map(|d| Number { id: d.subject.copy.id.0 }).collect();
    let mut ledgers: HashMap<i64, Vec<LedgerEntry>> = HashMap::new();
    for mut c in session.rows(sql!("effect/ledger"), args![json_rows(&numbers)?]).await? {
        let copy = c.int()?;
        let key = EffectKey { cycle: c.small()?, list: c.text()?, item: c.text()?, recipient: AddressHash(c.text()?) };
        let (seq, status, at, variant) = (c.small()?, c.small()?, c.time()?, c.opt_text()?);
        let clicked_at = c.opt_time()?;
        let status = EffectStatus::from_code(status).unwrap_or(EffectStatus::Unknown);
        // Nothing of ours counts openings; who clicked has opened.
        let entry = LedgerEntry { key, seq, status, at, variant, clicked_at, opened: clicked_at.is_some(), reason: c.opt_text()? };
        ledgers.entry(copy).or_default().push(entry);
    }
    for draft in drafts {
        draft.subject.ledger = ledgers.remove(&draft.subject.copy.id.0).unwrap_or_default();
    }
    Ok(())
}

/// What is known of one person, before it is looked at from one of their copies.
#[derive(Default)]
struct Person {
    id: i64,
    addresses: Vec<KnownAddress>,
    siblings: Vec<Sibling>,
    consents: BTreeMap<AddressHash, Vec<Consent>>,
    recent: BTreeMap<AddressHash, Vec<Recent>>,
    suppressions: Vec<Suppression>,
}

impl Person {
    fn of(&self, subject: &Subject, hasher: &AddressHasher) -> Client {
        // The addresses of the deal's own contact come first.
        let own = subject.contact.iter().flat_map(|c| addresses(hasher, c));
        let mut known: Vec<KnownAddress> = own.map(|(address, hash)| KnownAddress { address, hash }).collect();
        for other in &self.addresses {
            if !known.iter().any(|k| k.hash == other.hash) {
                known.push(other.clone());
            }
        }
        let mut recent: Vec<Recent> = known.iter().filter_map(|k| self.recent.get(&k.hash)).flatten().cloned().collect();
        recent.sort_by_key(|r| r.at);
        Client {
            id: Some(ClientId(self.id)),
            consents: known.iter().filter_map(|k| self.consents.get(&k.hash)).flatten().cloned().collect(),
            suppressions: self.suppressions.clone(),
            recent,
            siblings: self.siblings.iter().filter(|s| s.copy != subject.copy.id).cloned().collect(),
            addresses: known,
        }
    }
}

async fn load_clients(
    session: &mut Session,
    hasher: &AddressHasher,
    drafts: &[Draft],
    now: Timestamp,
) -> Result<HashMap<i64, Person>> {
    let mut people: HashMap<i64, Person> = drafts.iter().map(|d| (d.root, Person { id: d.root, ..Person::default() })).collect();
    let roots: BTreeSet<i64> = people.keys().copied().collect();
    let roots = json_rows(&roots.into_iter().map(|root| Root { root }).collect::<Vec<_>>())?;

    let own: Vec<Own> = drafts.iter().map(|d| Own { root: d.root, copy_id: d.subject.copy.id.0 }).collect();
    for mut c in session.rows(sql!("client/siblings"), args![json_rows(&own)?]).await? {
        let root = c.int()?;
        let sibling = Sibling {
            copy: CopyId(c.int()?),
            funnel: FunnelKey { namespace: c.text()?, name: c.text()? },
            voice: Voice { brand: c.text()?, policy: c.text()?, priority: c.small()?, silent: false, observes: false },
            role: c.word(Role::parse)?,
            deal_open: c.text()? == "Open",
            cycle_at: None,
            speaks: false,
            heard_at: None,
            says: None,
        };
        let sibling = with_state(sibling, &c.json()?, c.json::<Active>()?.last_activity_at);
        // Asked for by each of a client's copies in the batch, but listed once.
        if let Some(person) = people.get_mut(&root)
            && !person.siblings.iter().any(|s| s.copy == sibling.copy)
        {
            person.siblings.push(sibling);
        }
    }
    // Whom a prohibition or a sent message can name: every number of the person, every address.
    let mut who: BTreeMap<Who, Vec<i64>> = BTreeMap::new();
    for root in people.keys() {
        who.entry(Who { scope: "client", who: root.to_string() }).or_default().push(*root);
    }
    for mut c in session.rows(sql!("client/members"), args![&roots]).await? {
        let (root, member) = (c.int()?, c.int()?);
        who.entry(Who { scope: "client", who: member.to_string() }).or_default().push(root);
    }
    for mut c in session.rows(sql!("client/addresses"), args![&roots]).await? {
        let (root, hash, address) = (c.int()?, AddressHash(c.text()?), c.json()?);
        if let Some(person) = people.get_mut(&root)
            && !person.addresses.iter().any(|k| k.hash == hash)
        {
            who.entry(Who { scope: "address", who: hash.0.clone() }).or_default().push(root);
            person.addresses.push(KnownAddress { address, hash });
        }
    }
    for draft in drafts {
        for (_, hash) in draft.subject.contact.iter().flat_map(|c| addresses(hasher, c)) {
            let roots = who.entry(Who { scope: "address", who: hash.0 }).or_default();
            if !roots.contains(&draft.root) {
                roots.push(draft.root);
            }
        }
    }
    load_limits(session, &mut people, &who, now).await?;
    Ok(people)
}

/// Consents, prohibitions, and what was sent lately.
async fn load_limits(
    session: &mut Session,
    people: &mut HashMap<i64, Person>,
    who: &BTreeMap<Who, Vec<i64>>,
    now: Timestamp,
) -> Result<()> {
    let of_address = |hash: &str| who.get(&Who { scope: "address", who: hash.to_owned() }).into_iter().flatten().copied();
    let hashes: Vec<Hash> = who.keys().filter(|w| w.scope == "address").map(|w| Hash { hash: &w.who }).collect();
    let hashes = json_rows(&hashes)?;
    for mut c in session.rows(sql!("client/consents"), args![&hashes]).await? {
        let consent = Consent {
            address: AddressHash(c.text()?),
            brand: Some(c.text()?).filter(|b| !b.is_empty()),
            medium: c.word(medium_word)?,
            purpose: c.word(purpose_word)?,
            status: if c.flag()? { ConsentStatus::Given } else { ConsentStatus::Withdrawn },
            source: c.text()?,
            at: c.time()?,
            wording: c.opt_text()?,
        };
        for root in of_address(&consent.address.0) {
            if let Some(person) = people.get_mut(&root) {
                person.consents.entry(consent.address.clone()).or_default().push(consent.clone());
            }
        }
    }
    for mut c in session.rows(sql!("recipient/recent"), args![&hashes]).await? {
        let hash = AddressHash(c.text()?);
        let mut recent: Vec<Recent> = c.json()?;
        recent.retain(|r| now.duration_since(r.at) <= RECENT);
        for entry in &mut recent {
            entry.address = hash.clone();
        }
        for root in of_address(&hash.0) {
            if let Some(person) = people.get_mut(&root) {
                person.recent.insert(hash.clone(), recent.clone());
            }
        }
    }
    let keys: Vec<&Who> = who.keys().collect();
    for mut c in session.rows(sql!("client/suppressions"), args![json_rows(&keys)?]).await? {
        let (scope, name) = (c.text()?, c.text()?);
        let suppression = Suppression {
            scope: if scope == "client" {
                SuppressionScope::Client(ClientId(name.parse().unwrap_or_default()))
            } else {
                SuppressionScope::Address(AddressHash(name.clone()))
            },
            brand: Some(c.text()?).filter(|b| !b.is_empty()),
            medium: Some(c.text()?).filter(|m| !m.is_empty()).as_deref().and_then(medium_word),
            purpose: Some(c.text()?).filter(|p| !p.is_empty()).as_deref().and_then(purpose_word),
            reason: c.word(SuppressionReason::parse)?,
            at: c.time()?,
        };
        let scope = if scope == "client" { "client" } else { "address" };
        for root in who.get(&Who { scope, who: name }).into_iter().flatten() {
            if let Some(person) = people.get_mut(root) {
                person.suppressions.push(suppression.clone());
            }
        }
    }
    Ok(())
}

pub(super) fn purpose_word(word: &str) -> Option<Purpose> {
    [Purpose::Advertising, Purpose::Service].into_iter().find(|p| super::suppress::purpose_text(*p) == word)
}
