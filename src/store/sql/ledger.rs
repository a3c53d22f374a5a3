//! Single effects, as the web asks for them.

use super::Result;
use super::dialect::sql;
use super::open::Database;
use super::session::{args, json_rows};
use super::subject::purpose_word;
use super::suppress::medium_word;
use crate::model::{AddressHash, ClickVerdict, ClientId, CopyId, EffectKey, EffectRef, EffectStatus, FunnelKey, Purpose};
use crate::store::EffectInfo;
use jiff::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct ClickedRow {
    pub copy_id: i64,
    pub seq: i32,
    pub at: i64,
    pub human: u8,
}

pub(super) async fn effect(database: &Database, effect: EffectRef) -> Result<Option<EffectInfo>> {
    let mut session = database.read().await?;
    let Some(mut c) = session.rows(sql!("effect/info"), args![effect.copy.0, effect.seq]).await?.into_iter().next() else {
        return Ok(None);
    };
    let mut info = EffectInfo {
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
        hits: Vec::new(),
    };
    for mut c in session.rows(sql!("effect/hits"), args![effect.copy.0, effect.seq]).await? {
        info.hits.push((c.small()?, c.time()?));
    }
    Ok(Some(info))
}

pub(super) async fn code(database: &Database, hash: &str) -> Result<Option<(EffectRef, i16)>> {
    let rows = database.read().await?.rows(sql!("effect/code"), args![hash]).await?;
    rows.into_iter().next().map(|mut c| Ok((EffectRef { copy: CopyId(c.int()?), seq: c.small()? }, c.small()?))).transpose()
}

pub(super) async fn by_provider_id(database: &Database, provider: &str, id: &str) -> Result<Option<EffectRef>> {
    let rows = database.read().await?.rows(sql!("effect/by_provider_id"), args![provider, id]).await?;
    rows.into_iter().next().map(|mut c| Ok(EffectRef { copy: CopyId(c.int()?), seq: c.small()? })).transpose()
}

pub(super) async fn judge(
    database: &Database,
    effect: EffectRef,
    link: i16,
    at: Timestamp,
    verdict: ClickVerdict,
    why: &str,
) -> Result<()> {
    let mut tx = database.write().await?;
    tx.run(sql!("effect/judge"), args![effect.copy.0, effect.seq, i64::from(link), at, verdict.as_str(), why]).await?;
    let human = u8::from(verdict == ClickVerdict::Human);
    let row = ClickedRow { copy_id: effect.copy.0, seq: effect.seq, at: at.as_millisecond(), human };
    tx.run(sql!("effect/clicked"), args![json_rows(&[row])?]).await?;
    tx.commit().await
}
