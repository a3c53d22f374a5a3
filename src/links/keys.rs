//! Subkeys of the installation's secret, one for each purpose, so that what was made for one never verifies for another.

use crate::model::{Address, AddressHash};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

/// Everything that is signed or hashed with the installation's secret.
#[derive(Clone)]
pub struct Keys {
    pub(super) click: hmac::Key,
    pub(super) unsubscribe: hmac::Key,
    code: hmac::Key,
    address: hmac::Key,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<keys>")
    }
}

impl Keys {
    /// Derives the subkeys. The secret is uniformly random, so HKDF's extract step has nothing to do: this is its expand step
    /// (RFC 5869 §3.3) for one block each.
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let subkey = |purpose: &str| {
            let mut context = hmac::Context::with_key(&root);
            context.update(b"rekindle/");
            context.update(purpose.as_bytes());
            context.update(&[1]);
            hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
        };
        Self { click: subkey("click"), unsubscribe: subkey("unsubscribe"), code: subkey("code"), address: subkey("address") }
    }

    /// What is stored in place of a short code: 22 characters. A stolen database holds no working code.
    #[must_use]
    pub fn code_hash(&self, code: &str) -> String {
        first_16(&self.code, code.as_bytes())
    }

    /// What ledgers, caps and suppressions hold in place of an address: 22 characters.
    #[must_use]
    pub fn address_hash(&self, address: &Address) -> AddressHash {
        AddressHash(first_16(&self.address, address.identity().as_bytes()))
    }
}

fn first_16(key: &hmac::Key, text: &[u8]) -> String {
    let tag = hmac::sign(key, text);
    URL_SAFE_NO_PAD.encode(tag.as_ref().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use crate::model::{Address, Email};

    #[test]
    fn purposes_are_apart_and_hashes_hide_what_they_hash() {
        let keys = Keys::derive(&[7; 32]);
        let address = Address::Email(Email::parse("Sara@example.com").unwrap());
        let same = Address::Email(Email::parse("sara@EXAMPLE.com").unwrap());
        assert_eq!(keys.address_hash(&address), keys.address_hash(&same));
        assert_ne!(keys.address_hash(&address).0, keys.code_hash(&address.identity()));
        assert_ne!(keys.code_hash("a"), Keys::derive(&[8; 32]).code_hash("a"));
        assert_eq!(keys.code_hash("a").len(), 22);
        assert_eq!(format!("{keys:?}"), "<keys>");
    }
}
