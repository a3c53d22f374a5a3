//! To which address a message may go: suppressions and consent, address by address.

use super::{ConsentRule, Item, KnownAddress, Plan, Subject};
use crate::model::{Consent, ConsentStatus, Purpose, SkipReason, SuppressionScope};

/// The first known address of the item's medium that may be written to, and the consent it relies on (`crm:sales-crm`).
///
/// # Errors
/// `NoAddress` when there is none of that medium; otherwise what forbids the best of them.
pub(super) fn recipient<'a>(
    plan: &Plan,
    subject: &'a Subject,
    item: &Item,
) -> Result<(&'a KnownAddress, Option<String>), SkipReason> {
    let mut reason = SkipReason::NoAddress;
    for known in subject.client.addresses.iter().filter(|a| a.address.medium() == item.medium) {
        if suppressed(plan, subject, item, known) {
            if reason == SkipReason::NoAddress {
                reason = SkipReason::Suppressed;
            }
            continue;
        }
        if item.purpose == Purpose::Service {
            return Ok((known, None));
        }
        match consent(plan, subject, item, known) {
            Some(source) => return Ok((known, Some(source))),
            None => reason = SkipReason::NoConsent,
        }
    }
    Err(reason)
}

fn suppressed(plan: &Plan, subject: &Subject, item: &Item, known: &KnownAddress) -> bool {
    subject.client.suppressions.iter().any(|s| {
        s.forbids(&plan.policy.brand, item.medium, item.purpose)
            && match &s.scope {
                // The loader found it by the person, through whatever id a merge left.
                SuppressionScope::Client(_) => true,
                SuppressionScope::Address(hash) => *hash == known.hash,
            }
    })
}

/// The newest word counts, whether it names our brand or none. What the client took back through us, no CRM gives back.
fn consent(plan: &Plan, subject: &Subject, item: &Item, known: &KnownAddress) -> Option<String> {
    let applies = |c: &&Consent| {
        c.address == known.hash
            && c.medium == item.medium
            && c.purpose == Purpose::Advertising
            && c.brand.as_deref().is_none_or(|b| b == plan.policy.brand)
    };
    let newest = subject
        .client
        .consents
        .iter()
        .filter(applies)
        // Of two at the same instant the refusal holds.
        .max_by_key(|c| (is_own(c), c.at, c.status == ConsentStatus::Withdrawn));
    match (newest, plan.policy.consent) {
        (Some(c), _) if c.status == ConsentStatus::Given => Some(c.source.clone()),
        (Some(_), _) | (None, ConsentRule::Recorded) => None,
        (None, ConsentRule::AssumedFromCrm) => Some(format!("assumed:{}", plan.connection)),
    }
}

fn is_own(consent: &Consent) -> bool {
    consent.status == ConsentStatus::Withdrawn && consent.source == Consent::UNSUBSCRIBED
}
