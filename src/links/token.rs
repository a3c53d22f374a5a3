//! Signed tokens of email links.
//!
//! Click: `base64url(kid 1 | ver 1 | copy 8 | seq 4 | link 2 | day 4 | mac 16)` = 36 bytes = 48 characters.
//! Unsubscribe: `base64url(kid 1 | ver 1 | copy 8 | seq 4 | mac 16)` = 30 bytes = 40 characters.
//! Both lengths are multiples of three bytes: no padding, no spare bits, one spelling for a token. `kid` names the key, for
//! rotation; `mac` is HMAC-SHA256 cut to 16 bytes, checked in constant time before anything else is looked at.

use super::Keys;
use crate::model::{CopyId, EffectRef};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::hmac;

/// How long click tokens work. Unsubscribe tokens always do.
pub const CLICK_LIFETIME_DAYS: i32 = 400;

const KID: u8 = 1;
const VERSION: u8 = 1;
const MAC: usize = 16;
const CLICK: usize = 20;
const UNSUBSCRIBE: usize = 14;

/// What a verified click token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClickToken {
    pub effect: EffectRef,
    /// Index into the effect's stored targets.
    pub link: i16,
    /// Days since 1970-01-01 (UTC) when it was made.
    pub day: i32,
}

impl ClickToken {
    /// Older than [`CLICK_LIFETIME_DAYS`], or from the future by more than a day.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        let age = i64::from(unix_day(now)) - i64::from(self.day);
        !(-1..=i64::from(CLICK_LIFETIME_DAYS)).contains(&age)
    }
}

/// Days since 1970-01-01 (UTC).
#[must_use]
pub fn unix_day(at: Timestamp) -> i32 {
    i32::try_from(at.as_second().div_euclid(86_400)).unwrap_or(0)
}

impl Keys {
    /// The token of one link of one email.
    #[must_use]
    pub fn click_token(&self, token: ClickToken) -> String {
        let mut bytes = head(token.effect);
        bytes.extend_from_slice(&token.link.to_be_bytes());
        bytes.extend_from_slice(&token.day.to_be_bytes());
        seal(&self.click, bytes)
    }

    /// Reads a click token. Expiry is the caller's: [`ClickToken::expired`].
    #[must_use]
    pub fn verify_click(&self, token: &str) -> Option<ClickToken> {
        let bytes = open::<CLICK>(&self.click, token)?;
        let (head, rest) = bytes.split_at_checked(UNSUBSCRIBE)?;
        let (link, day) = rest.split_first_chunk::<2>()?;
        Some(ClickToken {
            effect: effect(head)?,
            link: i16::from_be_bytes(*link),
            day: i32::from_be_bytes(*day.first_chunk::<4>()?),
        })
    }

    /// The token of the unsubscribe link of one message.
    #[must_use]
    pub fn unsubscribe_token(&self, effect: EffectRef) -> String {
        seal(&self.unsubscribe, head(effect))
    }

    #[must_use]
    pub fn verify_unsubscribe(&self, token: &str) -> Option<EffectRef> {
        effect(&open::<UNSUBSCRIBE>(&self.unsubscribe, token)?)
    }
}

fn head(effect: EffectRef) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CLICK + MAC);
    bytes.extend_from_slice(&[KID, VERSION]);
    bytes.extend_from_slice(&effect.copy.0.to_be_bytes());
    bytes.extend_from_slice(&effect.seq.to_be_bytes());
    bytes
}

fn effect(head: &[u8]) -> Option<EffectRef> {
    let rest = head.strip_prefix(&[KID, VERSION])?;
    let (copy, seq) = rest.split_first_chunk::<8>()?;
    Some(EffectRef { copy: CopyId(i64::from_be_bytes(*copy)), seq: i32::from_be_bytes(*seq.first_chunk::<4>()?) })
}

fn seal(key: &hmac::Key, mut bytes: Vec<u8>) -> String {
    let mac = hmac::sign(key, &bytes);
    bytes.extend_from_slice(mac.as_ref().get(..MAC).unwrap_or_default());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The `N` signed bytes, if the signature is ours. base64 decodes strictly: no padding, no whitespace.
fn open<const N: usize>(key: &hmac::Key, token: &str) -> Option<[u8; N]> {
    if token.len() != (N + MAC) / 3 * 4 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (signed, mac) = bytes.split_first_chunk::<N>()?;
    let expected = hmac::sign(key, signed);
    // ring compares whole tags in constant time, not cut ones: so both cut tags are signed once more and those compared.
    let again = hmac::sign(key, expected.as_ref().get(..MAC)?);
    hmac::verify(key, mac, again.as_ref()).ok()?;
    Some(*signed)
}

#[cfg(test)]
mod tests {
    use super::{ClickToken, Keys};
    use crate::model::{CopyId, EffectRef};
    use proptest::prelude::{any, proptest};

    fn click(copy: i64, seq: i32, link: i16, day: i32) -> ClickToken {
        ClickToken { effect: EffectRef { copy: CopyId(copy), seq }, link, day }
    }

    #[test]
    fn every_change_of_one_character_is_refused() {
        let keys = Keys::derive(&[1; 32]);
        let token = keys.click_token(click(42, 3, 1, 20_000));
        let stop = keys.unsubscribe_token(EffectRef { copy: CopyId(42), seq: 3 });
        assert_eq!((token.len(), stop.len()), (48, 40));
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. ";
        for at in 0..48 {
            for c in alphabet {
                let change = |text: &str| -> Option<String> {
                    let mut bytes = text.as_bytes().to_vec();
                    (*bytes.get(at)? != *c).then(|| bytes[at] = *c)?;
                    String::from_utf8(bytes).ok()
                };
                if let Some(changed) = change(&token) {
                    assert_eq!(keys.verify_click(&changed), None, "{changed}");
                }
                if let Some(changed) = change(&stop) {
                    assert_eq!(keys.verify_unsubscribe(&changed), None, "{changed}");
                }
            }
        }
        assert!(keys.verify_click(&token).is_some() && keys.verify_unsubscribe(&stop).is_some());
    }

    #[test]
    fn other_spellings_other_keys_and_other_purposes_are_refused() {
        let keys = Keys::derive(&[1; 32]);
        let token = keys.click_token(click(1, 1, 0, 1));
        for bad in [
            String::new(),
            format!("{token}="),
            format!(" {token}"),
            format!("{token}\n"),
            token[..47].to_owned(),
            token.replace(char::is_alphanumeric, "é"),
            "A".repeat(48),
            "A".repeat(100_000),
        ] {
            assert_eq!(keys.verify_click(&bad), None, "{bad:.60}");
            assert_eq!(keys.verify_unsubscribe(&bad), None, "{bad:.60}");
        }
        assert_eq!(Keys::derive(&[2; 32]).verify_click(&token), None);
        assert_eq!(keys.verify_click(&keys.unsubscribe_token(EffectRef { copy: CopyId(1), seq: 1 })), None);
    }

    #[test]
    fn clicks_expire_after_400_days() {
        let token = click(1, 1, 0, 20_000);
        for (day, expired) in [(20_000, false), (20_400, false), (20_401, true), (19_999, false), (19_998, true)] {
            let now = jiff::Timestamp::from_second(day * 86_400 + 5).unwrap();
            assert_eq!(token.expired(now), expired, "{day}");
        }
    }

    proptest! {
        #[test]
        fn what_was_minted_is_read_back(copy in any::<i64>(), seq in any::<i32>(), link in any::<i16>(), day in any::<i32>()) {
            let keys = Keys::derive(&[9; 32]);
            let minted = click(copy, seq, link, day);
            assert_eq!(keys.verify_click(&keys.click_token(minted)), Some(minted));
            assert_eq!(keys.verify_unsubscribe(&keys.unsubscribe_token(minted.effect)), Some(minted.effect));
        }

        #[test]
        fn nothing_else_verifies(text in "[A-Za-z0-9_-]{40}|[A-Za-z0-9_-]{48}|.{0,60}") {
            let keys = Keys::derive(&[9; 32]);
            assert_eq!(keys.verify_click(&text), None);
            assert_eq!(keys.verify_unsubscribe(&text), None);
        }
    }
}
