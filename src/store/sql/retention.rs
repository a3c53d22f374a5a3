//! What is forgotten, and when. The ledger, its cycles and the stages of copies are never: they are what keeps a deal that is lost
//! again from hearing the same twice, and a re-created funnel from beginning anew.

use super::Result;
use super::dialect::{Statement, sql};
use super::lease::fence;
use super::open::Database;
use super::session::args;
use crate::store::Lease;
use crate::store::rules::{CLICKS_LIFE, DEAD_LETTERS_LIFE, PROVIDER_REFS_LIFE, SEEN_LIFE};
use jiff::{SignedDuration, Timestamp};

/// So many rows of each kind in one transaction: it must not hold up what is due.
const AT_ONCE: u32 = 2_000;

/// Returns whether there may be more.
pub(super) async fn purge(database: &Database, lease: &Lease, now: Timestamp) -> Result<bool> {
    let before = |life: SignedDuration| now.saturating_sub(life).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut tx = database.write().await?;
    fence(&mut tx, lease).await?;
    let old: [(&'static Statement, Timestamp); 5] = [
        (sql!("retention/seen"), before(SEEN_LIFE)),
        (sql!("retention/codes"), now),
        (sql!("retention/clicks"), before(CLICKS_LIFE)),
        (sql!("retention/provider_refs"), before(PROVIDER_REFS_LIFE)),
        (sql!("retention/dead_letters"), before(DEAD_LETTERS_LIFE)),
    ];
    let mut more = false;
    for (statement, before) in old {
        more |= tx.run(statement, args![before, AT_ONCE]).await? >= u64::from(AT_ONCE);
    }
    tx.commit().await?;
    Ok(more)
}
