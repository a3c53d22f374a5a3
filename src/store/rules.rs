//! What every store does alike, whatever it is made of.

use super::{Hold, HoldScope};
use crate::engine::{CopyState, EffectKind, Sibling};
use crate::model::{Address, AddressHash, FunnelKey, Role};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jiff::{SignedDuration, Timestamp};
use ring::hmac;

/// Keyed hashes of addresses, under a key of their own.
#[derive(Clone)]
pub(super) struct AddressHasher(hmac::Key);

impl AddressHasher {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"rekindle address hash");
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }

    pub(super) fn hash(&self, address: &Address) -> AddressHash {
        let tag = hmac::sign(&self.0, address.identity().as_bytes());
        AddressHash(BASE64.encode(tag.as_ref().get(..16).unwrap_or_default()))
    }
}

/// For moments that must not come too early when they are read back: up to the next whole millisecond.
pub(crate) fn up_to_ms(at: Timestamp) -> i64 {
    let ms = at.as_millisecond();
    if at.as_nanosecond() > i128::from(ms) * 1_000_000 { ms + 1 } else { ms }
}

/// When a message that waits for a person is due, in milliseconds: never by itself (the year 3000).
pub(super) const NEVER_MS: i64 = 32_503_680_000_000;

/// From where the numbers of copies, clients and messages are given on once a database was put back to an earlier copy: nobody knows
/// which of them it gave since, and links, receipts and write-backs out there name them. The time decides, for the same copy may be put
/// back more than once: nothing is written down more often than once in a microsecond, or for one deal once in two seconds.
pub(super) fn fresh_numbers(now: Timestamp) -> [(&'static str, i64); 3] {
    let ids = now.as_microsecond().max(0);
    // Kept far from the end of its range, whatever a clock says.
    let seq = (now.as_second() / 2).clamp(0, 1_500_000_000);
    [("copy", ids), ("client", ids), ("seq", seq)]
}

/// How far they go on where they are that far already: a clock was wrong.
pub(super) const NUMBERS_SKIPPED: i64 = 1_000_000;

/// How [`Recent`] names an item.
pub(crate) fn item_name(namespace: &str, list: &str, item: &str) -> String {
    format!("{namespace}/{list}/{item}")
}

/// How far back caps and cooldowns look: as long as a journey lasts by default, so that no deal of a client repeats within its cycle
/// what another has said.
pub(crate) const RECENT: SignedDuration = SignedDuration::from_hours(180 * 24);

/// How long the id of an event from outside is remembered, so that it is heard once.
pub(super) const SEEN_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long a short link leads somewhere; raw hits are kept as long.
pub(super) const CODE_LIFE: SignedDuration = SignedDuration::from_hours(400 * 24);
pub(super) const CLICKS_LIFE: SignedDuration = CODE_LIFE;
/// Hits of one message that are told with it, the newest: scanners give themselves away by fewer.
pub(super) const HITS: u32 = 256;
/// How long a provider's own number of a message is remembered: receipts come within days.
pub(super) const PROVIDER_REFS_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long the text of an unclear message is kept after it has expired.
pub(super) const TEXTS_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
pub(super) const DEAD_LETTERS_LIFE: SignedDuration = SignedDuration::from_hours(180 * 24);

/// What the state of a sibling says of its client; `active`: the last activity that the CRM tells of.
pub(crate) fn with_state(sibling: Sibling, state: &CopyState, active: Option<Timestamp>) -> Sibling {
    let revived = (sibling.role == Role::Revived).then_some(state.entered_at).flatten();
    Sibling {
        cycle_at: state.cycle_at,
        speaks: state.speaks(),
        says: state.says.clone(),
        heard_at: [active, state.heard_at, revived].into_iter().flatten().max(),
        ..sibling
    }
}

/// Whether a message of that funnel through that channel is stopped by hand.
pub(super) fn is_held(holds: &[Hold], funnel: &FunnelKey, channel: &str) -> bool {
    holds.iter().any(|h| match &h.scope {
        HoldScope::All => true,
        HoldScope::Channel(name) => name == channel,
        HoldScope::Funnel(key) => key == funnel,
    })
}
/// The stored word of an effect's kind; `None`: it is not for the ledger.
pub(super) const fn kind_word(kind: &EffectKind) -> Option<&'static str> {
    match kind {
        EffectKind::Message { .. } => Some("message"),
        EffectKind::Skip { .. } => Some("skip"),
        EffectKind::Observed { .. } => None,
        EffectKind::Move { .. } => Some("move"),
        EffectKind::Comment { .. } => Some("comment"),
        EffectKind::Task { .. } => Some("task"),
        EffectKind::Notify { .. } => Some("notify"),
    }
}

/// When what waits for no moment is due. A write-back is, whatever a clock says: that of the process that decided it may have been ahead,
/// and put right since. So it counts as decided long ago, in the order of the decisions.
pub(crate) fn at_once(message: bool, now: Timestamp) -> Timestamp {
    const FURTHER_THAN_ANY_CLOCK: SignedDuration = SignedDuration::from_hours(400 * 24);
    if message { now } else { now.saturating_sub(FURTHER_THAN_ANY_CLOCK).unwrap_or(now) }
}

#[cfg(test)]
mod tests {
    use super::fresh_numbers;
    use jiff::Timestamp;

    #[test]
    fn the_same_copy_put_back_twice_gives_other_ids_each_time() {
        let at = |second| fresh_numbers(Timestamp::from_second(second).unwrap()).map(|(_, from)| from);
        let (before, after) = (at(1_800_000_000), at(1_800_003_600));
        // An hour's work is between them: a million deals, a thousand messages to each.
        for ((before, after), work) in before.iter().zip(after).zip([1_000_000, 1_000_000, 1_000]) {
            assert!(after - before > work, "{before} {after}");
        }
        for second in [i64::from(i32::MIN), 0, 253_402_000_000] {
            let [copy, client, seq] = at(second);
            assert!(copy >= 0 && client >= 0 && (0..2_000_000_000).contains(&seq), "{second}: a wrong clock exhausts nothing");
        }
    }
}
