//! Short codes of SMS links. A signed token would be more than half of a Cyrillic part, so an SMS carries a random code of 12
//! characters (71 bits: with 10^8 live codes and 1,000 guesses a second, one hit in about a thousand years). Only its keyed
//! hash is stored ([`super::Keys::code_hash`]).

use ring::rand::{SecureRandom, SystemRandom};

/// Characters of a code.
pub const CODE_LENGTH: usize = 12;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct RandomError;

/// Fills a buffer with random bytes: [`system_random`], or a seeded source where a run must be repeatable.
pub type Random<'a> = &'a (dyn Fn(&mut [u8]) -> Result<(), RandomError> + Sync);

/// The system's cryptographic randomness.
pub fn system_random(bytes: &mut [u8]) -> Result<(), RandomError> {
    SystemRandom::new().fill(bytes).map_err(|_| RandomError)
}

/// A new code.
pub fn new_code(random: Random<'_>) -> Result<String, RandomError> {
    let mut code = String::with_capacity(CODE_LENGTH);
    let mut bytes = [0_u8; 2 * CODE_LENGTH];
    // A byte of 248 or more is thrown away, so that all characters are equally likely. 64 rounds never run out in practice;
    // a broken source does not loop for ever.
    for _ in 0..64 {
        random(&mut bytes)?;
        for byte in bytes {
            if byte < 248
                && let Some(c) = ALPHABET.get(usize::from(byte % 62))
            {
                code.push(char::from(*c));
                if code.len() == CODE_LENGTH {
                    return Ok(code);
                }
            }
        }
    }
    Err(RandomError)
}

/// Whether a text has the shape of a code. Says nothing of its being known.
#[must_use]
pub fn is_code(text: &str) -> bool {
    text.len() == CODE_LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::{RandomError, is_code, new_code, system_random};
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_short_plain_and_different() {
        let codes: BTreeSet<String> = (0..1000).map(|_| new_code(&system_random).unwrap()).collect();
        assert_eq!(codes.len(), 1000);
        assert!(codes.iter().all(|code| is_code(code)));
        let seen: BTreeSet<char> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(seen.len(), 62, "every character comes up");
    }

    #[test]
    fn a_broken_source_is_an_error() {
        assert_eq!(new_code(&|_| Err(RandomError)), Err(RandomError));
        let stuck = |bytes: &mut [u8]| {
            bytes.fill(255);
            Ok(())
        };
        assert_eq!(new_code(&stuck), Err(RandomError));
    }

    #[test]
    fn what_is_no_code() {
        for bad in ["", "abc", "abcdefghijkl ", "abcdefghijk-", "абвгде", "abcdefghijklm"] {
            assert!(!is_code(bad), "{bad}");
        }
    }
}
