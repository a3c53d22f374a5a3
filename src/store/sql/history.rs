//! The life of a copy as it is told: stages, lists, signals, reactions, cycles.

use super::Result;
use super::commit::Placed;
use super::dialect::{Dialect, sql};
use super::session::{Session, args, json_rows, to_json};
use super::suppress::ref_rows;
use crate::engine::{CycleChange, History};
use crate::model::{CopyId, EffectRef};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
struct HistoryRow<'a> {
    copy_id: i64,
    ver: i64,
    n: usize,
    kind: &'static str,
    role: Option<&'static str>,
    stage: Option<&'a str>,
    amount: Option<i64>,
    body: String,
}

#[derive(Serialize)]
struct ReactionRow {
    copy_id: i64,
    ver: i64,
    n: usize,
    /// `None`: somebody above was told.
    seconds: Option<i64>,
}

pub(super) async fn write_history(tx: &mut Session, placed: &[Placed], now: Timestamp) -> Result<()> {
    let mut rows = Vec::new();
    let mut lines: HashMap<CopyId, usize> = HashMap::new();
    for Placed { copy, change } in placed {
        let amount = Some(change.copy.amount.0);
        let n = lines.entry(*copy).or_default();
        let mut push = |kind: &'static str, role: Option<&'static str>, stage, body| {
            let amount = if role.is_some() { amount } else { None };
            rows.push(HistoryRow { copy_id: copy.0, ver: change.copy.ver + 1, n: *n, kind, role, stage, amount, body });
            *n += 1;
        };
        // Every copy has a first line, so that its stage at any moment can be told.
        let placed_by_history = change.history.iter().any(|h| matches!(h, History::Stage { .. }));
        if change.copy.id.0 == 0 && !placed_by_history {
            push("stage", Some(change.copy.role.as_str()), Some(change.copy.stage.as_str()), String::new());
        }
        for line in &change.history {
            let body = to_json(line)?;
            match line {
                History::Stage { to, stage, .. } => push("stage", Some(to.as_str()), Some(stage.as_str()), body),
                History::List { .. } => push("list", None, None, body),
                History::Postponed { .. } => push("postponed", None, None, body),
                History::Signal { .. } => push("signal", None, None, body),
                History::Reaction { .. } => push("reaction", None, None, body),
                History::Unanswered { .. } => push("unanswered", None, None, body),
                History::Note { .. } => push("note", None, None, body),
            }
        }
    }
    if !rows.is_empty() {
        tx.run(sql!("copy/history"), args![json_rows(&rows)?, now]).await?;
    }
    write_reactions(tx, placed, now).await
}

/// Beside the lines of history, what people count of them.
async fn write_reactions(tx: &mut Session, placed: &[Placed], now: Timestamp) -> Result<()> {
    let mut rows: Vec<ReactionRow> = Vec::new();
    for Placed { copy, change } in placed {
        for line in &change.history {
            let seconds = match line {
                History::Reaction { seconds } => Some(*seconds),
                History::Unanswered { .. } => None,
                _ => continue,
            };
            // Unique within the batch, which is all that the key asks for.
            rows.push(ReactionRow { copy_id: copy.0, ver: change.copy.ver + 1, n: rows.len(), seconds });
        }
    }
    if !rows.is_empty() {
        tx.run(sql!("copy/reaction"), args![json_rows(&rows)?, now]).await?;
    }
    Ok(())
}

#[derive(Serialize)]
struct CycleRow {
    copy_id: i64,
    cycle: i32,
    at: i64,
    holdout: u8,
    role: &'static str,
    how: &'static str,
}

pub(super) async fn write_cycles(tx: &mut Session, placed: &[Placed]) -> Result<()> {
    let (mut begin, mut resume, mut held_out, mut contacted, mut end) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    // In the order in which outcomes lock them.
    let mut placed: Vec<&Placed> = placed.iter().filter(|placed| !placed.change.cycle.is_empty()).collect();
    placed.sort_by_key(|placed| placed.copy);
    for Placed { copy, change } in placed {
        let row = |cycle, at: Timestamp, holdout, how| CycleRow {
            copy_id: copy.0,
            cycle,
            at: at.as_millisecond(),
            holdout: u8::from(holdout),
            role: change.copy.role.as_str(),
            how,
        };
        for what in &change.cycle {
            match *what {
                CycleChange::Begin { cycle, at, holdout } => begin.push(row(cycle, at, holdout, "")),
                CycleChange::Resume { cycle } => resume.push(row(cycle, Timestamp::UNIX_EPOCH, false, "")),
                CycleChange::HeldOut { cycle } => held_out.push(row(cycle, Timestamp::UNIX_EPOCH, true, "")),
                CycleChange::Contacted { cycle, at } => contacted.push(row(cycle, at, false, "")),
                CycleChange::End { cycle, at, how } => end.push(row(cycle, at, false, how.as_str())),
            }
        }
    }
    // SQLite has one writer.
    let all: Vec<&CycleRow> = [&begin, &resume, &held_out, &contacted, &end].into_iter().flatten().collect();
    if all.len() > 1 && tx.dialect() == Dialect::Postgres {
        tx.run(sql!("cycle/lock_all"), args![json_rows(&all)?]).await?;
    }
    if !begin.is_empty() {
        let rows = json_rows(&begin)?;
        tx.run(sql!("cycle/close_open"), args![&rows]).await?;
        tx.run(sql!("cycle/begin"), args![rows]).await?;
    }
    if !resume.is_empty() {
        tx.run(sql!("cycle/resume"), args![json_rows(&resume)?]).await?;
    }
    if !held_out.is_empty() {
        tx.run(sql!("cycle/held_out"), args![json_rows(&held_out)?]).await?;
    }
    if !contacted.is_empty() {
        tx.run(sql!("cycle/contacted"), args![json_rows(&contacted)?]).await?;
    }
    if !end.is_empty() {
        tx.run(sql!("cycle/end"), args![json_rows(&end)?]).await?;
    }
    Ok(())
}

/// Whether the clients of these messages' cycles were contacted, now that some were refused, or were not after all.
pub(super) async fn reached(tx: &mut Session, messages: &[EffectRef]) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let refs = ref_rows(messages)?;
    tx.run(sql!("cycle/lock"), args![&refs]).await?;
    tx.run(sql!("cycle/reached"), args![refs]).await?;
    Ok(())
}
