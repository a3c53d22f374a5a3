//! Who is who: CRM contacts and addresses lead to one client of ours. Several that turn out to be one person are merged: the
//! oldest survives, the others point at it for ever.

use super::Result;
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

/// Clients of the contacts and deals of a page: by contact id, and by deal id.
pub(super) struct Identified {
    pub contacts: HashMap<String, i64>,
    pub deals: HashMap<String, i64>,
}

pub(super) async fn identify(
    tx: &mut Session,
    hasher: &AddressHasher,
    connection: &str,
    contacts: &[&Contact],
    deals: &[&(Deal, i64)],
) -> Result<Identified> {
    let mut groups: Vec<Vec<String>> = Vec::with_capacity(contacts.len() + deals.len());
    for contact in contacts {
        let mut keys = vec![contact_key(connection, &contact.id)];
        keys.extend(addresses(hasher, contact).iter().map(|(_, hash)| address_key(hash)));
        groups.push(keys);
    }
    groups.extend(deals.iter().map(|(deal, _)| vec![deal_key(connection, deal)]));

    let wanted: BTreeSet<&str> = groups.iter().flatten().map(String::as_str).collect();
    let wanted: Vec<Key> = wanted.into_iter().map(|key| Key { key }).collect();
    let mut known: HashMap<String, i64> = HashMap::new();
    for mut c in tx.rows(sql!("client/by_keys"), args![json_rows(&wanted)?]).await? {
        known.insert(c.text()?, c.int()?);
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
    let mut out = Identified { contacts: HashMap::new(), deals: HashMap::new() };
    for contact in contacts {
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
