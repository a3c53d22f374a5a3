//! What is known of a CRM connection: deals, contacts, managers, how far it was read.

use super::Result;
use super::dialect::sql;
use super::lease::fence;
use super::open::Database;
use super::session::{Session, args, json_rows, to_json};
use crate::model::{Contact, Manager};
use crate::store::{Cursor, Lease, Stored};
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
struct NamedRow<'a> {
    connection: &'a str,
    id: &'a str,
}

/// A row of a connection by its id.
#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord, Hash, Clone)]
pub(super) struct Named {
    pub connection: String,
    pub id: String,
}

/// Rows of one connection. It stands in each of them: a parameter of its own misleads PostgreSQL (`crm/stored.sql`).
pub(super) fn named_rows<'a>(connection: &'a str, ids: impl Iterator<Item = &'a String>) -> Result<String> {
    json_rows(&ids.map(|id| NamedRow { connection, id }).collect::<Vec<_>>())
}

pub(super) async fn stored(database: &Database, connection: &str, ids: &[String]) -> Result<Vec<Stored>> {
    let mut session = database.read().await?;
    let mut found = HashMap::new();
    for mut c in session.rows(sql!("crm/stored"), args![named_rows(connection, ids.iter())?]).await? {
        let row = Stored { id: c.text()?, hash: c.int()?, updated_at: c.opt_time()?, deleted: c.flag()? };
        found.insert(row.id.clone(), row);
    }
    Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
}

pub(super) async fn deal_ids(database: &Database, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
    let rows = database.read().await?.rows(sql!("crm/deal_ids"), args![connection, after, limit]).await?;
    rows.into_iter().map(|mut c| c.text()).collect()
}

pub(super) async fn contact_ids(database: &Database, connection: &str, after: &str, limit: u32) -> Result<Vec<String>> {
    let rows = database.read().await?.rows(sql!("crm/contact_ids"), args![connection, after, limit]).await?;
    rows.into_iter().map(|mut c| c.text()).collect()
}

pub(super) async fn contacts(database: &Database, connection: &str, ids: &[String]) -> Result<Vec<Contact>> {
    let names: Vec<Named> = ids.iter().map(|id| Named { connection: connection.into(), id: id.clone() }).collect();
    let mut found = contacts_by_id(&mut database.read().await?, &names).await?;
    Ok(names.iter().filter_map(|name| found.remove(name)).collect())
}

pub(super) async fn contacts_by_id(session: &mut Session, names: &[Named]) -> Result<HashMap<Named, Contact>> {
    let rows = if names.is_empty() { Vec::new() } else { session.rows(sql!("crm/contacts"), args![json_rows(names)?]).await? };
    rows.into_iter().map(|mut c| Ok((Named { connection: c.text()?, id: c.text()? }, c.json()?))).collect()
}

pub(super) async fn managers_by_id(session: &mut Session, names: &[Named]) -> Result<HashMap<Named, Manager>> {
    let rows =
        if names.is_empty() { Vec::new() } else { session.rows(sql!("crm/managers_by_id"), args![json_rows(names)?]).await? };
    rows.into_iter().map(|mut c| Ok((Named { connection: c.text()?, id: c.text()? }, c.json()?))).collect()
}

pub(super) async fn managers(database: &Database, connection: &str) -> Result<Vec<Manager>> {
    let rows = database.read().await?.rows(sql!("crm/managers"), args![connection]).await?;
    rows.into_iter().map(|mut c| c.json()).collect()
}

pub(super) async fn cursor(database: &Database, connection: &str) -> Result<Cursor> {
    let rows = database.read().await?.rows(sql!("crm/cursor"), args![connection]).await?;
    rows.into_iter().next().map_or_else(|| Ok(Cursor::default()), |mut c| c.json())
}

pub(super) async fn set_cursor(database: &Database, lease: &Lease, connection: &str, cursor: &Cursor) -> Result<()> {
    let mut tx = database.write().await?;
    fence(&mut tx, lease).await?;
    put_cursor(&mut tx, connection, cursor).await?;
    tx.commit().await
}

pub(super) async fn put_cursor(tx: &mut Session, connection: &str, cursor: &Cursor) -> Result<()> {
    tx.run(sql!("crm/set_cursor"), args![connection, to_json(cursor)?]).await?;
    Ok(())
}
