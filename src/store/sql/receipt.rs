//! Receipts that name only the provider's own id.

use super::Result;
use super::dialect::sql;
use super::open::Database;
use super::outbox::mark_in;
use super::session::{args, to_json};
use crate::model::{CopyId, EffectRef, Outcome};
use crate::store::Mark;
use crate::store::outcome::of_channel;
use jiff::Timestamp;

/// Marks the effect that the id belongs to. If no mark brought the id yet, the receipt waits for the mark in the id's row.
pub(super) async fn receipt(
    database: &Database,
    provider: &str,
    id: &str,
    outcome: Outcome,
    at: Timestamp,
) -> Result<Option<EffectRef>> {
    let mut tx = database.write().await?;
    let rows = tx.rows(sql!("effect/receipt"), args![provider, id, to_json(&outcome)?, at]).await?;
    let mut effect = None;
    if let Some(mut c) = rows.into_iter().next()
        && let (Some(copy), Some(seq)) = (c.opt_int()?, c.opt_int()?)
    {
        effect = Some(EffectRef { copy: CopyId(copy), seq: i32::try_from(seq).unwrap_or(i32::MAX) });
    }
    if effect.is_none()
        && let Some((channel, name)) = of_channel(provider)
    {
        let rows = tx.rows(sql!("effect/by_bare_name"), args![name, id, channel]).await?;
        if let Some(mut c) = rows.into_iter().next() {
            effect = Some(EffectRef { copy: CopyId(c.int()?), seq: c.small()? });
        }
    }
    if let Some(effect) = effect {
        mark_in(&mut tx, vec![Mark { effect, attempt: -1, outcome, at, next: None }]).await?;
    }
    tx.commit().await?;
    Ok(effect)
}
