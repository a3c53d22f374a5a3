//! Taking over rows that were read from a CRM.

use super::Result;
use super::crm::{named_rows, put_cursor};
use super::dialect::sql;
use super::identity::{addresses, identify};
use super::session::{Session, args, json_rows, to_json};
use crate::model::{Contact, Deal, DealState, Medium};
use crate::store::Page;
use crate::store::rules::AddressHasher;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

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
    hash: String,
    client_id: i64,
    address: String,
    rank: usize,
}

#[derive(Serialize)]
struct ConsentRow {
    address: String,
    medium: &'static str,
    given: u8,
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
    let contacts = last_of(&page.contacts, |c| &c.id);
    let deals = newest_of(&page.deals);
    if !contacts.is_empty() || !deals.is_empty() {
        let clients = identify(tx, hasher, connection, &contacts, &deals).await?;
        put_contacts(tx, hasher, connection, &contacts, &clients.contacts, now).await?;
        put_deals(tx, connection, &deals, &clients.deals).await?;
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

async fn put_contacts(
    tx: &mut Session,
    hasher: &AddressHasher,
    connection: &str,
    contacts: &[&Contact],
    clients: &HashMap<String, i64>,
    now: Timestamp,
) -> Result<()> {
    if contacts.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(contacts.len());
    let mut address_rows = Vec::new();
    let mut consents: BTreeMap<(String, &'static str), bool> = BTreeMap::new();
    for contact in contacts {
        let client_id = clients.get(&contact.id).copied().unwrap_or_default();
        rows.push(ContactRow { id: &contact.id, client_id, body: to_json(contact)? });
        for (rank, (address, hash)) in addresses(hasher, contact).into_iter().enumerate() {
            let medium = address.medium();
            let said = match medium {
                Medium::Sms => contact.consent.sms,
                Medium::Email => contact.consent.email,
            };
            if let Some(given) = said {
                // Two contacts with one address who disagree: no.
                consents.entry((hash.0.clone(), medium.as_str())).and_modify(|g| *g &= given).or_insert(given);
            }
            address_rows.push(AddressRow { contact: &contact.id, hash: hash.0, client_id, address: to_json(&address)?, rank });
        }
    }
    tx.run(sql!("crm/put_contacts"), args![connection, json_rows(&rows)?]).await?;
    tx.run(sql!("client/drop_addresses"), args![named_rows(connection, contacts.iter().map(|c| &c.id))?]).await?;
    if !address_rows.is_empty() {
        tx.run(sql!("client/put_addresses"), args![connection, json_rows(&address_rows)?]).await?;
    }
    if !consents.is_empty() {
        let rows: Vec<ConsentRow> =
            consents.into_iter().map(|((address, medium), given)| ConsentRow { address, medium, given: u8::from(given) }).collect();
        tx.run(sql!("client/put_consents"), args![format!("crm:{connection}"), now, json_rows(&rows)?]).await?;
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
