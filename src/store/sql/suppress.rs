//! Prohibitions and withdrawn consent.

use super::Result;
use super::dialect::sql;
use super::open::Database;
use super::session::{Session, args, json_rows};
use crate::model::{CopyId, EffectRef, Medium, Purpose, Suppression, SuppressionReason, SuppressionScope};
use serde::Serialize;

pub(super) const fn purpose_text(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Advertising => "Advertising",
        Purpose::Service => "Service",
    }
}

pub(super) fn medium_word(word: &str) -> Option<Medium> {
    [Medium::Sms, Medium::Email].into_iter().find(|m| m.as_str() == word)
}

/// Empty texts: any.
#[derive(Serialize)]
struct Row<'a> {
    scope: &'static str,
    who: String,
    brand: &'a str,
    medium: &'static str,
    purpose: &'static str,
    reason: &'static str,
    at: i64,
}

/// An effect by its short reference.
#[derive(Serialize, Clone, Copy)]
pub(super) struct RefRow {
    pub copy_id: i64,
    pub seq: i32,
}

impl From<EffectRef> for RefRow {
    fn from(effect: EffectRef) -> Self {
        Self { copy_id: effect.copy.0, seq: effect.seq }
    }
}

pub(super) fn ref_rows(effects: &[EffectRef]) -> Result<String> {
    json_rows(&effects.iter().copied().map(RefRow::from).collect::<Vec<_>>())
}

pub(super) async fn put(tx: &mut Session, suppressions: &[Suppression]) -> Result<()> {
    if suppressions.is_empty() {
        return Ok(());
    }
    let row = |s: &'_ Suppression| -> (&'static str, String) {
        match &s.scope {
            SuppressionScope::Client(id) => ("client", id.0.to_string()),
            SuppressionScope::Address(hash) => ("address", hash.0.clone()),
        }
    };
    let rows: Vec<Row> = suppressions
        .iter()
        .map(|s| {
            let (scope, who) = row(s);
            Row {
                scope,
                who,
                brand: s.brand.as_deref().unwrap_or_default(),
                medium: s.medium.map_or("", Medium::as_str),
                purpose: s.purpose.map_or("", purpose_text),
                reason: s.reason.as_str(),
                at: s.at.as_millisecond(),
            }
        })
        .collect();
    tx.run(sql!("client/suppress"), args![json_rows(&rows)?]).await?;
    let withdrawn: Vec<&Row> = rows.iter().filter(|r| r.reason == SuppressionReason::Unsubscribed.as_str()).collect();
    if !withdrawn.is_empty() {
        tx.run(sql!("client/withdraw"), args![json_rows(&withdrawn)?]).await?;
    }
    Ok(())
}

pub(super) async fn suppressed(database: &Database, effects: &[EffectRef]) -> Result<Vec<EffectRef>> {
    if effects.is_empty() {
        return Ok(Vec::new());
    }
    let rows = database.read().await?.rows(sql!("effect/suppressed"), args![ref_rows(effects)?]).await?;
    rows.into_iter().map(|mut c| Ok(EffectRef { copy: CopyId(c.int()?), seq: c.small()? })).collect()
}
