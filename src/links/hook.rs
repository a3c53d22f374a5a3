//! Addresses at which providers report to us. Each carries a key of its channel, so that nobody else can report.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

/// What a provider reports at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookPath {
    /// What became of a message.
    Receipt,
    /// A message from a client.
    Inbound,
}

impl HookPath {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Inbound => "inbound",
        }
    }
}

/// The key of a channel (`namespace/name`): 22 characters, derived from the installation's secret.
#[must_use]
pub fn hook_key(secret: &[u8; 32], channel: &str) -> String {
    let tag = hmac::sign(&subkey(secret), channel.as_bytes());
    URL_SAFE_NO_PAD.encode(tag.as_ref().get(..16).unwrap_or_default())
}

/// Whether `presented` is the channel's key. Takes the same time whatever it is.
#[must_use]
pub fn hook_key_matches(secret: &[u8; 32], channel: &str, presented: &str) -> bool {
    let key = subkey(secret);
    let expected = hmac::sign(&key, hook_key(secret, channel).as_bytes());
    hmac::verify(&key, presented.as_bytes(), expected.as_ref()).is_ok()
}

/// The whole address, key included: `BASE/hooks/NAMESPACE/CHANNEL/PROVIDER/receipt?k=KEY`. Secret: not for logs.
#[must_use]
pub fn hook_url(base: &str, secret: &[u8; 32], channel: &str, provider: &str, path: HookPath) -> String {
    format!("{}/hooks/{channel}/{provider}/{}?k={}", base.trim_end_matches('/'), path.as_str(), hook_key(secret, channel))
}

fn subkey(secret: &[u8; 32]) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"rekindle/hook\x01").as_ref())
}

#[cfg(test)]
mod tests {
    use super::{HookPath, hook_key, hook_key_matches, hook_url};

    #[test]
    fn only_the_key_of_this_channel_opens_it() {
        let secret = [7; 32];
        let key = hook_key(&secret, "marketing/sms");
        assert!(hook_key_matches(&secret, "marketing/sms", &key));
        for (channel, presented) in
            [("marketing/sms2", key.as_str()), ("marketing/sms", ""), ("marketing/sms", "x"), ("marketing/sms", &key[..21])]
        {
            assert!(!hook_key_matches(&secret, channel, presented), "{channel} {presented}");
        }
        assert!(!hook_key_matches(&[8; 32], "marketing/sms", &key));
    }

    #[test]
    fn the_address_is_what_the_web_serves() {
        let url = hook_url("https://go.example.com/", &[7; 32], "marketing/sms", "main", HookPath::Receipt);
        assert!(url.starts_with("https://go.example.com/hooks/marketing/sms/main/receipt?k="), "{url}");
        assert_eq!(url.rsplit('=').next().map(str::len), Some(22));
    }
}
