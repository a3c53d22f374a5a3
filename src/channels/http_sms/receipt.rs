//! Receipts of a declared provider.

use super::rule::{Rule, Seen};
use crate::{
    channels::{
        ChannelError,
        receipt::{Fields, Receipt, ReceiptFor, Unreadable, effect},
    },
    compile::{HttpReceiptWiring, HttpSmsWiring},
    model::Outcome,
};

const NAMES: [&str; 4] = ["query", "form", "json", "body"];

struct Rules {
    id: Option<Rule>,
    delivered: Rule,
    failed: Rule,
}

impl Rules {
    fn compile(wiring: &HttpReceiptWiring) -> Result<Self, ChannelError> {
        // Without an `id`, only our own reference in the receipt URL tells what it is about.
        let id = match wiring.id.trim() {
            "" => None,
            rule => Some(Rule::compile(rule, "receipt.id", &NAMES)?),
        };
        Ok(Self {
            id,
            delivered: Rule::compile(&wiring.delivered, "receipt.delivered", &NAMES)?,
            failed: Rule::compile(&wiring.failed, "receipt.failed", &NAMES)?,
        })
    }
}

/// Whether the rules can be used, known before the first receipt comes.
pub(super) fn check(wiring: &HttpReceiptWiring) -> Result<(), ChannelError> {
    Rules::compile(wiring).map(|_| ())
}

/// Reads one receipt; `None` when it says nothing final. Our own reference in the query is believed before any id of the provider.
///
/// # Errors
/// It does not say which message it is about, or the provider has no rules for receipts.
pub fn read_receipt(wiring: &HttpSmsWiring, query: &Fields, form: &Fields, body: &[u8]) -> Result<Option<Receipt>, Unreadable> {
    let rules = wiring.receipt.as_ref().and_then(|rules| Rules::compile(rules).ok()).ok_or(Unreadable)?;
    let pairs = |fields: &'_ Fields| fields.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>();
    let (q, f) = (pairs(query), pairs(form));
    let seen = Seen::new()
        .map("query", q.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        .map("form", f.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        .body(body);
    let of = match effect(query) {
        Some(effect) => ReceiptFor::Effect(effect),
        None => ReceiptFor::ProviderId(rules.id.as_ref().and_then(|id| id.text(&seen)).ok_or(Unreadable)?),
    };
    let outcome = if rules.delivered.holds(&seen) {
        Outcome::Delivered
    } else if rules.failed.holds(&seen) {
        Outcome::Rejected { reason: "the provider's receipt says that it was not delivered".into(), suppress: false }
    } else {
        return Ok(None);
    };
    Ok(Some(Receipt { of, outcome }))
}
