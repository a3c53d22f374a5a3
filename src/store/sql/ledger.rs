//! Single effects, as the web asks for them.

use super::Result;
use super::dialect::sql;
use super::open::Database;
use super::session::{args, json_rows};
use super::subject::purpose_word;
use super::suppress::{medium_word, ref_rows};
use crate::model::{AddressHash, ClickVerdict, ClientId, CopyId, EffectKey, EffectRef, EffectStatus, FunnelKey, Purpose};
use crate::store::rules::HITS;
use crate::store::{Clicked, EffectInfo};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

#[derive(Serialize)]
pub(super) struct ClickedRow {
    copy_id: i64,
    seq: i32,
    at: i64,
    human: u8,
}

#[derive(Serialize)]
struct CodeHash<'a> {
    hash: &'a str,
}

/// A hit as the table of clicks has it.
#[derive(Serialize)]
pub(super) struct ClickRow<'a> {
    copy_id: i64,
    seq: i32,
    link: i16,
    at: i64,
    verdict: Option<&'static str>,
    why: &'a str,
}

impl<'a> ClickRow<'a> {
    pub(super) fn of(hit: &'a Clicked) -> Self {
        Self {
            copy_id: hit.effect.copy.0,
            seq: hit.effect.seq,
            link: hit.link,
            at: hit.at.as_millisecond(),
            verdict: hit.verdict.map(ClickVerdict::as_str),
            why: &hit.why,
        }
    }
}

pub(super) async fn effects(database: &Database, effects: &[EffectRef]) -> Result<Vec<EffectInfo>> {
    if effects.is_empty() {
        return Ok(Vec::new());
    }
    let asked: BTreeSet<EffectRef> = effects.iter().copied().collect();
    let asked = ref_rows(&asked.into_iter().collect::<Vec<_>>())?;
    let mut session = database.read().await?;
    let mut found: HashMap<EffectRef, EffectInfo> = HashMap::new();
    for mut c in session.rows(sql!("effect/info"), args![&asked]).await? {
        let effect = EffectRef { copy: CopyId(c.int()?), seq: c.small()? };
        let info = EffectInfo {
            effect,
            key: EffectKey { cycle: c.small()?, list: c.text()?, item: c.text()?, recipient: AddressHash(c.text()?) },
            funnel: FunnelKey { namespace: c.text()?, name: c.text()? },
            client: ClientId(c.int()?),
            brand: c.text()?,
            medium: c.opt_text()?.as_deref().and_then(medium_word),
            purpose: c.opt_text()?.as_deref().and_then(purpose_word).unwrap_or(Purpose::Service),
            status: EffectStatus::from_code(c.small()?).unwrap_or(EffectStatus::Unknown),
            at: c.time()?,
            links: c.opt_json()?.unwrap_or_default(),
            target: c.text()?,
            hits: Vec::new(),
        };
        found.insert(effect, info);
    }
    if !found.is_empty() {
        for mut c in session.rows(sql!("effect/hits"), args![asked, HITS]).await? {
            let effect = EffectRef { copy: CopyId(c.int()?), seq: c.small()? };
            let hit = (c.small()?, c.time()?);
            if let Some(info) = found.get_mut(&effect) {
                info.hits.push(hit);
            }
        }
    }
    Ok(effects.iter().filter_map(|effect| found.get(effect).cloned()).collect())
}

pub(super) async fn codes(database: &Database, hashes: &[String]) -> Result<HashMap<String, (EffectRef, i16)>> {
    let asked: Vec<CodeHash> = hashes.iter().map(|hash| CodeHash { hash }).collect();
    let rows = database.read().await?.rows(sql!("effect/code"), args![json_rows(&asked)?]).await?;
    rows.into_iter().map(|mut c| Ok((c.text()?, (EffectRef { copy: CopyId(c.int()?), seq: c.small()? }, c.small()?)))).collect()
}

pub(super) async fn by_provider_id(database: &Database, provider: &str, id: &str) -> Result<Option<EffectRef>> {
    let rows = database.read().await?.rows(sql!("effect/by_provider_id"), args![provider, id]).await?;
    rows.into_iter().next().map(|mut c| Ok(EffectRef { copy: CopyId(c.int()?), seq: c.small()? })).transpose()
}

/// Final verdicts, and what they say of the effects, in one transaction.
pub(super) async fn judge(database: &Database, hits: &[Clicked]) -> Result<()> {
    if hits.is_empty() {
        return Ok(());
    }
    let clicks: Vec<ClickRow> = hits.iter().map(ClickRow::of).collect();
    let mut tx = database.write().await?;
    tx.run(sql!("effect/judge"), args![json_rows(&clicks)?]).await?;
    let settled = json_rows(&settled(hits))?;
    tx.run(sql!("outbox/unpark"), args![&settled]).await?;
    tx.run(sql!("effect/clicked"), args![settled]).await?;
    tx.commit().await
}

/// One row for each effect: the first human hit, else any.
pub(super) fn settled<'a>(hits: impl IntoIterator<Item = &'a Clicked>) -> Vec<ClickedRow> {
    let mut rows: Vec<ClickedRow> = hits
        .into_iter()
        .map(|c| ClickedRow {
            copy_id: c.effect.copy.0,
            seq: c.effect.seq,
            at: c.at.as_millisecond(),
            human: u8::from(c.verdict == Some(ClickVerdict::Human)),
        })
        .collect();
    rows.sort_by_key(|c| (c.copy_id, c.seq, 1 - c.human, c.at));
    rows.dedup_by_key(|c| (c.copy_id, c.seq));
    rows
}
