//! Who is who: CRM contacts and addresses lead to one client of ours. Several that turn out to be one person are merged: the
//! oldest survives, the others point at it for ever.

use super::Result;
use super::crm::Named;
use super::dialect::sql;
use super::session::{Session, args, json_rows};
use crate::model::{Address, AddressHash, ClientId, Contact, Deal, shard_of};
use crate::store::StoreError;
use crate::store::identity::{Forest, deal_key};
pub(super) use crate::store::identity::{address_key, contact_key};
use crate::store::rules::AddressHasher;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

#[derive(Serialize)]
struct Key<'a> {
    key: &'a str,
}

#[derive(Serialize)]
struct Person {
    root: i64,
}

#[derive(Serialize)]
struct NewKey<'a> {
    key: &'a str,
    client_id: i64,
}

#[derive(Serialize)]
struct NewClient {
    id: i64,
    shard: i16,
    root: i64,
}

#[derive(Serialize)]
struct Merge {
    id: i64,
    root: i64,
}

#[derive(Serialize)]
struct Reroot {
    id: i64,
    to_root: i64,
}

/// The addresses of a contact in their order: phones, then emails.
pub(super) fn addresses(hasher: &AddressHasher, contact: &Contact) -> Vec<(Address, AddressHash)> {
    let phones = contact.phones.iter().cloned().map(Address::Phone);
    let emails = contact.emails.iter().cloned().map(Address::Email);
    let mut seen = HashSet::new();
    phones.chain(emails).map(|a| (hasher.hash(&a), a)).filter(|(h, _)| seen.insert(h.clone())).map(|(h, a)| (a, h)).collect()
}

/// A contact of a page with the addresses that it has from now on.
pub(super) struct Told<'p> {
    pub contact: &'p Contact,
    pub addresses: Vec<(Address, AddressHash)>,
}

/// Which contacts have an address, by its hash.
pub(super) struct Holders(pub HashMap<String, BTreeSet<Named>>);

impl Holders {
    /// Of all addresses of these people: whoever has one of them is one of these people, too.
    pub async fn of(tx: &mut Session, roots: &BTreeSet<i64>) -> Result<Self> {
        let mut holders: HashMap<String, BTreeSet<Named>> = HashMap::new();
        if roots.is_empty() {
            return Ok(Self(holders));
        }
        for mut c in tx.rows(sql!("client/holders"), args![people(roots)?]).await? {
            let name = Named { connection: c.text()?, id: c.text()? };
            holders.entry(c.text()?).or_default().insert(name);
        }
        Ok(Self(holders))
    }

    /// The addresses that one of these contacts has.
    pub fn had_by(&self, connection: &str, ids: &HashSet<&str>) -> impl Iterator<Item = &str> {
        let is_one = move |who: &Named| who.connection == connection && ids.contains(who.id.as_str());
        self.0.iter().filter(move |(_, all)| all.iter().any(is_one)).map(|(hash, _)| hash.as_str())
    }
}

/// The people whom contacts of a connection are.
pub(super) async fn roots_of(tx: &mut Session, connection: &str, ids: &[String]) -> Result<BTreeSet<i64>> {
    let keys: Vec<String> = ids.iter().map(|id| contact_key(connection, id)).collect();
    Ok(by_keys(tx, keys.iter()).await?.into_values().collect())
}

/// People as a batch, by their roots.
pub(super) fn people(roots: &BTreeSet<i64>) -> Result<String> {
    json_rows(&roots.iter().map(|root| Person { root: *root }).collect::<Vec<_>>())
}

/// The clients that keys lead to, by key.
async fn by_keys<'k>(tx: &mut Session, keys: impl Iterator<Item = &'k String>) -> Result<HashMap<String, i64>> {
    let wanted: BTreeSet<&str> = keys.map(String::as_str).collect();
    let wanted: Vec<Key> = wanted.into_iter().map(|key| Key { key }).collect();
    let mut known = HashMap::new();
    for mut c in tx.rows(sql!("client/by_keys"), args![json_rows(&wanted)?]).await? {
        known.insert(c.text()?, c.int()?);
    }
    Ok(known)
}

/// Clients of the contacts and deals of a page: by contact id, and by deal id.
pub(super) struct Identified {
    pub contacts: HashMap<String, i64>,
    pub deals: HashMap<String, i64>,
    /// Who had which address before the page.
    pub holders: Holders,
}

pub(super) async fn identify(
    tx: &mut Session,
    connection: &str,
    contacts: &[Told<'_>],
    deals: &[&(Deal, i64)],
) -> Result<Identified> {
    let mut groups: Vec<Vec<String>> = Vec::with_capacity(contacts.len() + deals.len());
    for Told { contact, addresses } in contacts {
        let mut keys = vec![contact_key(connection, &contact.id)];
        keys.extend(addresses.iter().map(|(_, hash)| address_key(hash)));
        groups.push(keys);
    }
    groups.extend(deals.iter().map(|(deal, _)| vec![deal_key(connection, deal)]));

    let mut known = by_keys(tx, groups.iter().flatten()).await?;
    let about = groups.iter().take(contacts.len()).flatten().filter_map(|key| known.get(key).copied());
    let holders = Holders::of(tx, &about.collect()).await?;
    // An address that nobody has any more (a number that was mistyped and corrected) joins nobody: it is whose it is now.
    let told: HashMap<&str, &Told> = contacts.iter().map(|told| (told.contact.id.as_str(), told)).collect();
    let still_has = |who: &Named, hash: &AddressHash| {
        let now = told.get(who.id.as_str()).filter(|_| who.connection == connection);
        // Who tells of no address at all any more may be told under another id from now on.
        now.is_none_or(|now| now.addresses.is_empty() || now.addresses.iter().any(|(_, has)| has == hash))
    };
    for (_, hash) in contacts.iter().flat_map(|told| &told.addresses) {
        if !holders.0.get(&hash.0).is_some_and(|all| all.iter().any(|who| still_has(who, hash))) {
            known.remove(&address_key(hash));
        }
    }

    let stored: HashSet<String> = known.keys().cloned().collect();
    let forest = Forest::of(&mut known, &groups);
    let numbers = store_clients(tx, &forest).await?;
    let number = |id: i64| numbers.get(&id).copied().unwrap_or(id);
    let new_keys: BTreeMap<&str, i64> =
        known.iter().filter(|(k, _)| !stored.contains(*k)).map(|(k, id)| (k.as_str(), number(*id))).collect();
    let new_keys: Vec<NewKey> = new_keys.into_iter().map(|(key, client_id)| NewKey { key, client_id }).collect();
    if !new_keys.is_empty() {
        tx.run(sql!("client/put_keys"), args![json_rows(&new_keys)?]).await?;
    }

    let client_of = |key: &str| {
        known
            .get(key)
            .map(|id| number(forest.root(*id)))
            .ok_or_else(|| StoreError::Corrupt { what: "a contact or deal has no client".into(), source: None })
    };
    let mut out = Identified { contacts: HashMap::new(), deals: HashMap::new(), holders };
    for Told { contact, .. } in contacts {
        out.contacts.insert(contact.id.clone(), client_of(&contact_key(connection, &contact.id))?);
    }
    for (deal, _) in deals {
        out.deals.insert(deal.id.clone(), client_of(&deal_key(connection, deal))?);
    }
    Ok(out)
}

/// Gives new clients their numbers and records merges. Returns the numbers by their placeholders.
async fn store_clients(tx: &mut Session, forest: &Forest) -> Result<HashMap<i64, i64>> {
    let mut numbers = HashMap::new();
    if !forest.fresh.is_empty() {
        let count = i64::try_from(forest.fresh.len()).unwrap_or(i64::MAX);
        let first = reserve(tx, "client", count).await?;
        numbers = forest.numbers(first);
        let number = |id: i64| numbers.get(&id).copied().unwrap_or(id);
        let rows: Vec<NewClient> = numbers
            .iter()
            .map(|(placeholder, id)| NewClient { id: *id, shard: shard_of(ClientId(*id)), root: number(forest.root(*placeholder)) })
            .collect();
        tx.run(sql!("client/insert"), args![json_rows(&rows)?]).await?;
    }
    let number = |id: i64| numbers.get(&id).copied().unwrap_or(id);
    let merges: Vec<Merge> = forest.parent.keys().map(|id| Merge { id: number(*id), root: number(forest.root(*id)) }).collect();
    if !merges.is_empty() {
        tx.run(sql!("client/merge"), args![json_rows(&merges)?]).await?;
        let reroot: Vec<Reroot> = merges.iter().map(|m| Reroot { id: m.id, to_root: m.root }).collect();
        tx.run(sql!("client/reroot"), args![json_rows(&reroot)?]).await?;
    }
    Ok(numbers)
}

/// The first of `count` ids in a row that nobody else gets.
pub(super) async fn reserve(tx: &mut Session, name: &str, count: i64) -> Result<i64> {
    let rows = tx.rows(sql!("counter/reserve"), args![name, count]).await?;
    let mut row =
        rows.into_iter().next().ok_or_else(|| StoreError::Corrupt { what: format!("no counter {name}"), source: None })?;
    Ok(row.int()? - count + 1)
}
