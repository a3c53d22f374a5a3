//! What arrives from outside: stored once, at once, with what must hold from that moment.

use super::Result;
use super::dialect::sql;
use super::lease::fence;
use super::ledger::{ClickRow, settled};
use super::open::Database;
use super::session::{Cells, args, json_rows, to_json};
use super::suppress;
use crate::model::EffectStatus;
use crate::store::rules::up_to_ms;
use crate::store::{InboxRow, Incoming, Lease, PutOff, Source};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashSet;

#[derive(Serialize)]
struct Seen<'a> {
    source: &'a str,
    id: &'a str,
    at: i64,
}

#[derive(Serialize)]
struct Row {
    received_at: i64,
    ready_at: i64,
    event: String,
}

#[derive(Serialize)]
struct Id {
    id: i64,
}

pub(super) fn id_rows(ids: &[i64]) -> Result<String> {
    json_rows(&ids.iter().map(|id| Id { id: *id }).collect::<Vec<_>>())
}

#[derive(Serialize)]
struct PutOffRow {
    id: i64,
    ready_at: i64,
    event: String,
}

pub(super) fn put_off_rows(rows: &[PutOff]) -> Result<String> {
    let row = |r: &PutOff| Ok(PutOffRow { id: r.id, ready_at: up_to_ms(r.until), event: to_json(&r.event)? });
    json_rows(&rows.iter().map(row).collect::<Result<Vec<_>>>()?)
}

pub(super) async fn receive(database: &Database, incoming: Vec<Incoming>) -> Result<Vec<bool>> {
    if incoming.is_empty() {
        return Ok(Vec::new());
    }
    // The database replaces NUL; the answer must be told by what it stored.
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let mut tx = database.write().await?;
    let seen: Vec<Seen> =
        incoming.iter().map(|i| Seen { source: &i.source, id: &i.id, at: i.received_at.as_millisecond() }).collect();
    let mut fresh = HashSet::new();
    for mut c in tx.rows(sql!("inbox/seen"), args![json_rows(&seen)?]).await? {
        fresh.insert((c.text()?, c.text()?));
    }
    // The first of several with one id is the new one.
    let answers: Vec<bool> = incoming.iter().map(|i| fresh.remove(&(clean(&i.source), clean(&i.id)))).collect();
    let new = || incoming.iter().zip(&answers).filter(|(_, new)| **new).map(|(i, _)| i);

    let rows: Vec<Row> = new()
        .map(|i| {
            let received_at = i.received_at.as_millisecond();
            // What waits for no moment is ready whatever the clock says that stamped it.
            Ok(Row { received_at, ready_at: i.not_before.map_or(0, up_to_ms), event: to_json(&i.event)? })
        })
        .collect::<Result<_>>()?;
    if !rows.is_empty() {
        tx.run(sql!("inbox/insert"), args![json_rows(&rows)?]).await?;
    }
    let clicks: Vec<_> = new().filter_map(|i| i.click.as_ref()).collect();
    if !clicks.is_empty() {
        let rows: Vec<ClickRow> = clicks.iter().map(|c| ClickRow::of(c)).collect();
        tx.run(sql!("inbox/clicks"), args![json_rows(&rows)?]).await?;
        let settled = json_rows(&settled(clicks))?;
        tx.run(sql!("outbox/unpark"), args![&settled]).await?;
        tx.run(sql!("effect/clicked"), args![settled]).await?;
    }
    let suppressions: Vec<_> = new().flat_map(|i| i.suppress.iter().cloned()).collect();
    suppress::put(&mut tx, &suppressions).await?;
    tx.commit().await?;
    Ok(answers)
}

fn row(mut c: Cells) -> Result<InboxRow> {
    let (id, text) = (c.int()?, c.text()?);
    let event = serde_json::from_str(&text).map_err(|_| text);
    Ok(InboxRow { id, event, received_at: c.time()?, attempts: c.small()? })
}

pub(super) async fn ahead(database: &Database, after: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
    let rows = database.read().await?.rows(sql!("inbox/ahead"), args![after, until, limit]).await?;
    rows.into_iter().map(row).collect()
}

pub(super) async fn ready(database: &Database, now: Timestamp, limit: u32) -> Result<Vec<InboxRow>> {
    let rows = database.read().await?.rows(sql!("inbox/ready"), args![now, limit]).await?;
    let out = rows.into_iter().map(row).collect::<Result<Vec<_>>>()?;
    if !out.is_empty() {
        let ids: Vec<i64> = out.iter().map(|r| r.id).collect();
        let mut tx = database.write().await?;
        tx.run(sql!("inbox/attempt"), args![id_rows(&ids)?]).await?;
        tx.commit().await?;
    }
    Ok(out)
}

pub(super) async fn lived(database: &Database, rows: &[i64]) -> Result<()> {
    let mut tx = database.write().await?;
    tx.run(sql!("inbox/lived"), args![id_rows(rows)?]).await?;
    tx.commit().await
}

pub(super) async fn bury(database: &Database, lease: &Lease, source: Source, id: i64, error: &str, now: Timestamp) -> Result<()> {
    let mut tx = database.write().await?;
    fence(&mut tx, lease).await?;
    let (word, body) = match source {
        Source::Inbox => {
            let row = tx.rows(sql!("inbox/take_out"), args![id]).await?.into_iter().next();
            ("inbox", row.map(|mut c| c.text()).transpose()?)
        }
        Source::Outbox(seq) => {
            let row = tx.rows(sql!("outbox/take_out"), args![id, seq]).await?.into_iter().next();
            let body = row.map(|mut c| c.opt_text()).transpose()?.map(Option::unwrap_or_default);
            if body.is_some() {
                let status = EffectStatus::Failed.code();
                let failed = serde_json::json!({ "copy_id": id, "seq": seq, "status": status, "reason": "SetAside" });
                tx.run(sql!("lease/orphan_effects"), args![json_rows(&[failed])?]).await?;
            }
            ("outbox", body)
        }
        Source::Copy => {
            let gone = tx.run(sql!("copy/disarm"), args![id]).await?;
            ("copy", (gone > 0).then(String::new))
        }
    };
    if let Some(body) = body {
        tx.run(sql!("inbox/bury"), args![word, id, now, error, body]).await?;
    }
    tx.commit().await
}
