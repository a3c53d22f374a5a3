//! Taking over rows that were read from a CRM.

use super::Result;
use super::crm::{named_rows, put_cursor};
use super::dialect::sql;
use super::identity::{Holders, Told, addresses, identify, people, roots_of};
use super::session::{Session, args, json_rows, to_json};
use crate::model::{Address, AddressHash, ContactConsent, Deal, DealState, ManagerId};
use crate::store::Page;
use crate::store::identity::Words;
use crate::store::rules::AddressHasher;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    body: String,
}

#[derive(Serialize)]
struct ContactRow<'a> {
    id: &'a str,
    client_id: i64,
    body: String,
}

#[derive(Serialize)]
struct AddressRow<'a> {
    contact: &'a str,
    hash: &'a str,
    client_id: i64,
    address: String,
    rank: usize,
}

#[derive(Serialize)]
struct ConsentRow<'a> {
    address: &'a str,
    medium: &'static str,
    given: u8,
    source: &'a str,
}

#[derive(Serialize)]
struct Hash<'a> {
    hash: &'a str,
}

#[derive(Serialize)]
struct DealRow<'a> {
    id: &'a str,
    hash: i64,
    updated_at: Option<i64>,
    stage_changed_at: Option<i64>,
    deleted: u8,
    state: &'static str,
    client_id: i64,
    body: String,
}

pub(super) const fn state_word(state: DealState) -> &'static str {
    match state {
        DealState::Open => "Open",
        DealState::Won => "Won",
        DealState::Lost => "Lost",
        DealState::Deleted => "Deleted",
    }
}

/// The last of each id: a page may name a row twice.
fn last_of<T>(rows: &[T], id: impl Fn(&T) -> &str) -> Vec<&T> {
    let positions: HashMap<&str, usize> = rows.iter().enumerate().map(|(i, row)| (id(row), i)).collect();
    let mut positions: Vec<usize> = positions.into_values().collect();
    positions.sort_unstable();
    positions.into_iter().filter_map(|i| rows.get(i)).collect()
}

pub(super) async fn take_over(tx: &mut Session, hasher: &AddressHasher, page: &Page, now: Timestamp) -> Result<()> {
    let connection = page.connection.as_str();
    let managers = last_of(&page.managers, |m| &m.id.0);
    if !managers.is_empty() {
        let rows: Vec<Body> = managers.into_iter().map(|m| Ok(Body { id: &m.id.0, body: to_json(m)? })).collect::<Result<_>>()?;
        tx.run(sql!("crm/put_managers"), args![connection, json_rows(&rows)?]).await?;
    }
    if !page.gone_managers.is_empty() {
        let gone = page.gone_managers.iter().map(|ManagerId(id)| id);
        tx.run(sql!("crm/drop_managers"), args![named_rows(connection, gone)?]).await?;
    }
    let contacts = last_of(&page.contacts, |c| &c.id);
    let contacts: Vec<Told> = contacts.into_iter().map(|contact| Told { contact, addresses: addresses(hasher, contact) }).collect();
    let deals = newest_of(&page.deals);
    if !contacts.is_empty() || !deals.is_empty() {
        let clients = identify(tx, connection, &contacts, &deals).await?;
        if !contacts.is_empty() {
            put_contacts(tx, connection, &contacts, &clients.contacts).await?;
            let ids = contacts.iter().map(|told| told.contact.id.as_str()).collect();
            let before = clients.holders.had_by(connection, &ids);
            let after = contacts.iter().flat_map(|told| &told.addresses).map(|(_, hash)| hash.0.as_str());
            let roots = clients.contacts.values().copied().collect();
            weigh(tx, &roots, &before.chain(after).collect(), now).await?;
        }
        put_deals(tx, connection, &deals, &clients.deals).await?;
    }
    if !page.gone_contacts.is_empty() {
        let gone = &page.gone_contacts;
        let roots = roots_of(tx, connection, gone).await?;
        let holders = Holders::of(tx, &roots).await?;
        tx.run(sql!("client/drop_addresses"), args![named_rows(connection, gone.iter())?]).await?;
        tx.run(sql!("crm/drop_contacts"), args![named_rows(connection, gone.iter())?]).await?;
        let ids = gone.iter().map(String::as_str).collect();
        weigh(tx, &roots, &holders.had_by(connection, &ids).collect(), now).await?;
    }
    if let Some(cursor) = &page.cursor {
        put_cursor(tx, connection, cursor).await?;
    }
    Ok(())
}

/// Of a deal that stands twice in a page, the newer state.
fn newest_of(deals: &[(Deal, i64)]) -> Vec<&(Deal, i64)> {
    let mut newest: BTreeMap<&str, &(Deal, i64)> = BTreeMap::new();
    for deal in deals {
        let older = newest.get(deal.0.id.as_str()).is_some_and(|seen| seen.0.updated_at > deal.0.updated_at);
        if !older {
            newest.insert(&deal.0.id, deal);
        }
    }
    newest.into_values().collect()
}

async fn put_contacts(tx: &mut Session, connection: &str, contacts: &[Told<'_>], clients: &HashMap<String, i64>) -> Result<()> {
    let mut rows = Vec::with_capacity(contacts.len());
    let mut address_rows = Vec::new();
    for Told { contact, addresses } in contacts {
        let client_id = clients.get(&contact.id).copied().unwrap_or_default();
        rows.push(ContactRow { id: &contact.id, client_id, body: to_json(contact)? });
        for (rank, (address, hash)) in addresses.iter().enumerate() {
            address_rows.push(AddressRow { contact: &contact.id, hash: &hash.0, client_id, address: to_json(address)?, rank });
        }
    }
    tx.run(sql!("crm/put_contacts"), args![connection, json_rows(&rows)?]).await?;
    let ids = contacts.iter().map(|told| &told.contact.id);
    tx.run(sql!("client/drop_addresses"), args![named_rows(connection, ids)?]).await?;
    if !address_rows.is_empty() {
        tx.run(sql!("client/put_addresses"), args![connection, json_rows(&address_rows)?]).await?;
    }
    Ok(())
}

/// What all contacts who are these people say together of `touched`: addresses that contacts of a page have, or had before it. The word of
/// one who is not in the page is not lost, and a word that is taken back is.
async fn weigh(tx: &mut Session, roots: &BTreeSet<i64>, touched: &BTreeSet<&str>, now: Timestamp) -> Result<()> {
    if touched.is_empty() {
        return Ok(());
    }
    let hashes: Vec<Hash> = touched.iter().map(|hash| Hash { hash }).collect();
    let mut words = Words::default();
    for mut c in tx.rows(sql!("client/words"), args![people(roots)?, json_rows(&hashes)?]).await? {
        let (hash, connection) = (AddressHash(c.text()?), c.text()?);
        let address: Address = c.json()?;
        let (sms, email) = (c.opt_int()?, c.opt_int()?);
        let consent = ContactConsent { sms: sms.map(|given| given != 0), email: email.map(|given| given != 0) };
        words.hear(&connection, &consent, &hash, address.medium());
    }
    let said: HashSet<&str> = words.0.keys().map(|(address, _)| address.0.as_str()).collect();
    let unsaid: Vec<Hash> = touched.iter().filter(|hash| !said.contains(*hash)).map(|hash| Hash { hash }).collect();
    if !unsaid.is_empty() {
        tx.run(sql!("client/unsay_consents"), args![json_rows(&unsaid)?]).await?;
    }
    let rows = words.0.iter().map(|((address, medium), (given, source))| ConsentRow {
        address: &address.0,
        medium: medium.as_str(),
        given: u8::from(*given),
        source,
    });
    let rows: Vec<ConsentRow> = rows.collect();
    if !rows.is_empty() {
        tx.run(sql!("client/put_consents"), args![now, json_rows(&rows)?]).await?;
    }
    Ok(())
}

async fn put_deals(tx: &mut Session, connection: &str, deals: &[&(Deal, i64)], clients: &HashMap<String, i64>) -> Result<()> {
    if deals.is_empty() {
        return Ok(());
    }
    let rows: Vec<DealRow> = deals
        .iter()
        .map(|(deal, hash)| {
            Ok(DealRow {
                id: &deal.id,
                hash: *hash,
                updated_at: deal.updated_at.map(Timestamp::as_millisecond),
                stage_changed_at: deal.stage_changed_at.map(Timestamp::as_millisecond),
                deleted: u8::from(deal.state == DealState::Deleted),
                state: state_word(deal.state),
                client_id: clients.get(&deal.id).copied().unwrap_or_default(),
                body: to_json(deal)?,
            })
        })
        .collect::<Result<_>>()?;
    tx.run(sql!("crm/put_deals"), args![connection, json_rows(&rows)?]).await?;
    tx.run(sql!("crm/move_copies"), args![named_rows(connection, deals.iter().map(|(d, _)| &d.id))?]).await?;
    Ok(())
}
