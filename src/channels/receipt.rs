//! What a provider reports later about a message.

use crate::model::{CopyId, EffectRef, Outcome};
use std::collections::BTreeMap;

/// Which message a receipt is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptFor {
    /// Our own reference came back.
    Effect(EffectRef),
    /// The provider's id, as it was told in `Outcome::Accepted { provider_id }`.
    ProviderId(String),
}

/// A receipt that says something final.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    pub of: ReceiptFor,
    pub outcome: Outcome,
}

/// It does not look like a report of this provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a report of this provider")]
pub struct Unreadable;

/// Decoded parameters of a request.
pub type Fields = BTreeMap<String, String>;

/// The parameter in receipt URLs that carries our reference.
pub(super) const EFFECT: &str = "effect";

/// The receipt URL of one message at one provider: `{provider}` filled in, our reference added.
pub(super) fn url(template: &str, provider: &str, effect: EffectRef) -> String {
    let mut url = template.replace("{provider}", provider);
    url.push(if url.contains('?') { '&' } else { '?' });
    url + &format!("{EFFECT}={effect}")
}

/// Our reference out of the query that [`url`] made.
pub(super) fn effect(query: &Fields) -> Option<EffectRef> {
    let (copy, seq) = query.get(EFFECT)?.split_once('.')?;
    Some(EffectRef { copy: CopyId(copy.parse().ok()?), seq: seq.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{effect, url};
    use crate::model::{CopyId, EffectRef};

    #[test]
    fn our_reference_comes_back() {
        let of = EffectRef { copy: CopyId(7001), seq: 12 };
        let url = url("https://x.test/hooks/m/sms/{provider}/receipt?k=1", "main", of);
        assert_eq!(url, "https://x.test/hooks/m/sms/main/receipt?k=1&effect=7001.12");
        assert_eq!(effect(&[("effect".to_owned(), "7001.12".to_owned())].into()), Some(of));
        for bad in ["7001", "7001.x", ".", ""] {
            assert_eq!(effect(&[("effect".to_owned(), bad.to_owned())].into()), None);
        }
    }
}
