//! What is forgotten, and when. The ledger, its cycles and the stages of copies are never: they are what keeps a deal that is lost
//! again from hearing the same twice, and a re-created funnel from beginning anew.

use super::Result;
use super::dialect::{Statement, sql};
use super::lease::fence;
use super::open::Database;
use super::session::{args, json_rows, to_json};
use crate::model::{Deal, DealState};
use crate::store::Lease;
use crate::store::rules::{CLICKS_LIFE, CODE_LIFE, DEAD_LETTERS_LIFE, PROVIDER_REFS_LIFE, SEEN_LIFE, TEXTS_LIFE};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

/// So many rows of each kind in one transaction: it must not hold up what is due.
const AT_ONCE: usize = 2_000;

enum Column {
    Text(&'static str),
    Int(&'static str),
}
use Column::{Int, Text};

/// One table: how the keys of old rows are found, and how rows are removed by them.
struct Kind {
    old: &'static Statement,
    forget: &'static Statement,
    key: &'static [Column],
    life: SignedDuration,
}

fn kinds() -> [Kind; 6] {
    [
        Kind {
            old: sql!("retention/old_seen"),
            forget: sql!("retention/seen"),
            key: &[Text("source"), Text("id")],
            life: SEEN_LIFE,
        },
        // A code says itself until when it leads somewhere.
        Kind {
            old: sql!("retention/old_codes"),
            forget: sql!("retention/codes"),
            key: &[Text("hash")],
            life: SignedDuration::ZERO,
        },
        Kind {
            old: sql!("retention/old_clicks"),
            forget: sql!("retention/clicks"),
            key: &[Int("copy_id"), Int("seq"), Int("link"), Int("at")],
            life: CLICKS_LIFE,
        },
        Kind {
            old: sql!("retention/old_provider_refs"),
            forget: sql!("retention/provider_refs"),
            key: &[Text("provider"), Text("id")],
            life: PROVIDER_REFS_LIFE,
        },
        Kind {
            old: sql!("retention/old_dead_letters"),
            forget: sql!("retention/dead_letters"),
            key: &[Int("id")],
            life: DEAD_LETTERS_LIFE,
        },
        Kind {
            old: sql!("retention/old_texts"),
            forget: sql!("retention/texts"),
            key: &[Int("copy_id"), Int("seq")],
            life: TEXTS_LIFE,
        },
    ]
}

/// A deal that left its CRM long ago: `gone` comes first, which is how the statement that looks for them tells it from others.
#[derive(Serialize)]
struct Gone {
    gone: bool,
    #[serde(flatten)]
    deal: Deal,
}

#[derive(Serialize)]
struct GoneRow {
    connection: String,
    id: String,
    body: String,
}

/// What figures and the history of its copies need of it, and nothing that a person wrote.
fn remains(id: &str, deal: Deal) -> Gone {
    let Deal { pipeline, stage, amount, currency, created_at, updated_at, stage_changed_at, last_activity_at, .. } = deal;
    let deal = Deal {
        id: id.to_owned(),
        pipeline,
        stage,
        state: DealState::Deleted,
        amount,
        currency,
        created_at,
        updated_at,
        stage_changed_at,
        last_activity_at,
        ..Deal::default()
    };
    Gone { gone: true, deal }
}

/// Titles, fields and link targets of deals that left the CRM so long ago that no link of theirs leads anywhere any more.
async fn strip_deals(database: &Database, lease: &Lease, now: Timestamp) -> Result<bool> {
    let before = now.saturating_sub(CODE_LIFE).unwrap_or(Timestamp::UNIX_EPOCH);
    let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    for mut c in database.read().await?.rows(sql!("retention/old_deals"), args![before, limit]).await? {
        let (connection, id, body) = (c.text()?, c.text()?, c.text()?);
        // One that is damaged is not kept for that.
        let deal: Deal = serde_json::from_str(&body).unwrap_or_default();
        let body = to_json(&remains(&id, deal))?;
        rows.push(GoneRow { connection, id, body });
    }
    if rows.is_empty() {
        return Ok(false);
    }
    let batch = json_rows(&rows)?;
    let mut tx = database.write().await?;
    fence(&mut tx, lease).await?;
    tx.run(sql!("retention/deals"), args![&batch]).await?;
    tx.run(sql!("retention/links"), args![batch]).await?;
    tx.commit().await?;
    Ok(rows.len() >= AT_ONCE)
}

/// Returns whether there may be more. Old rows are looked for outside of the transaction: that reads whole tables, and SQLite has one
/// writer.
pub(super) async fn purge(database: &Database, lease: &Lease, now: Timestamp) -> Result<bool> {
    let mut more = false;
    for kind in kinds() {
        let before = now.saturating_sub(kind.life).unwrap_or(Timestamp::UNIX_EPOCH);
        let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
        let mut keys: Vec<Map<String, Value>> = Vec::new();
        for mut c in database.read().await?.rows(kind.old, args![before, limit]).await? {
            let mut key = Map::new();
            for column in kind.key {
                match column {
                    Text(name) => key.insert((*name).into(), c.text()?.into()),
                    Int(name) => key.insert((*name).into(), c.int()?.into()),
                };
            }
            keys.push(key);
        }
        if keys.is_empty() {
            continue;
        }
        more |= keys.len() >= AT_ONCE;
        let mut tx = database.write().await?;
        fence(&mut tx, lease).await?;
        tx.run(kind.forget, args![json_rows(&keys)?]).await?;
        tx.commit().await?;
    }
    Ok(strip_deals(database, lease, now).await? || more)
}
