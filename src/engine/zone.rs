//! In which zone a client lives: the first source that knows.

use super::{Plan, Subject};
use crate::model::{Address, FieldValue};
use jiff::tz::TimeZone;

/// The client's own field (contact, then deal) → city or region in the policy's map → a phone number of a country with exactly
/// one zone → the policy's default.
#[must_use]
pub fn zone_of(plan: &Plan, subject: &Subject) -> TimeZone {
    own_zone(subject)
        .or_else(|| mapped_zone(plan, subject))
        .or_else(|| phone_zone(subject))
        .unwrap_or_else(|| plan.policy.time_zone.clone())
}

fn own_zone(subject: &Subject) -> Option<TimeZone> {
    let contact = subject.contact.as_ref().and_then(|c| c.time_zone.as_deref());
    let field = match subject.deal.fields.get("timeZone") {
        Some(FieldValue::Text(name)) => Some(name.as_str()),
        _ => None,
    };
    // `Etc/Unknown` is one that jiff knows and nobody lives in.
    [contact, field].into_iter().flatten().find_map(|name| TimeZone::get(name.trim()).ok().filter(|zone| !zone.is_unknown()))
}

fn mapped_zone(plan: &Plan, subject: &Subject) -> Option<TimeZone> {
    if plan.policy.zone_map.is_empty() {
        return None;
    }
    let contact = subject.contact.as_ref().map(|c| &c.fields);
    ["city", "region"].into_iter().find_map(|key| {
        contact.into_iter().chain([&subject.deal.fields]).find_map(|fields| match fields.get(key) {
            Some(FieldValue::Text(place)) => plan.policy.zone_map.get(&place.trim().to_lowercase()).cloned(),
            _ => None,
        })
    })
}

fn phone_zone(subject: &Subject) -> Option<TimeZone> {
    subject.client.addresses.iter().find_map(|known| match &known.address {
        Address::Phone(phone) => {
            let (_, zone) = ONE_ZONE.iter().find(|(prefix, _)| phone.as_str().starts_with(prefix))?;
            TimeZone::get(zone).ok()
        }
        Address::Email(_) => None,
    })
}

/// Calling codes whose whole territory keeps one time. Russia, the US, Canada, Brazil, Spain, Portugal and the like are left out
/// on purpose: there the number does not tell. (+76 and +77 are Kazakhstan, one zone since March 2024.)
pub(super) const ONE_ZONE: [(&str, &str); 54] = [
    ("+20", "Africa/Cairo"),
    ("+27", "Africa/Johannesburg"),
    ("+30", "Europe/Athens"),
    ("+31", "Europe/Amsterdam"),
    ("+32", "Europe/Brussels"),
    ("+353", "Europe/Dublin"),
    ("+355", "Europe/Tirane"),
    ("+357", "Asia/Nicosia"),
    ("+358", "Europe/Helsinki"),
    ("+359", "Europe/Sofia"),
    ("+36", "Europe/Budapest"),
    ("+370", "Europe/Vilnius"),
    ("+371", "Europe/Riga"),
    ("+372", "Europe/Tallinn"),
    ("+373", "Europe/Chisinau"),
    ("+374", "Asia/Yerevan"),
    ("+375", "Europe/Minsk"),
    ("+380", "Europe/Kyiv"),
    ("+381", "Europe/Belgrade"),
    ("+382", "Europe/Podgorica"),
    ("+385", "Europe/Zagreb"),
    ("+386", "Europe/Ljubljana"),
    ("+387", "Europe/Sarajevo"),
    ("+389", "Europe/Skopje"),
    ("+39", "Europe/Rome"),
    ("+40", "Europe/Bucharest"),
    ("+41", "Europe/Zurich"),
    ("+420", "Europe/Prague"),
    ("+421", "Europe/Bratislava"),
    ("+43", "Europe/Vienna"),
    ("+44", "Europe/London"),
    ("+45", "Europe/Copenhagen"),
    ("+46", "Europe/Stockholm"),
    ("+47", "Europe/Oslo"),
    ("+48", "Europe/Warsaw"),
    ("+49", "Europe/Berlin"),
    ("+63", "Asia/Manila"),
    ("+65", "Asia/Singapore"),
    ("+66", "Asia/Bangkok"),
    ("+76", "Asia/Almaty"),
    ("+77", "Asia/Almaty"),
    ("+81", "Asia/Tokyo"),
    ("+82", "Asia/Seoul"),
    ("+84", "Asia/Ho_Chi_Minh"),
    ("+90", "Europe/Istanbul"),
    ("+91", "Asia/Kolkata"),
    ("+966", "Asia/Riyadh"),
    ("+971", "Asia/Dubai"),
    ("+972", "Asia/Jerusalem"),
    ("+992", "Asia/Dushanbe"),
    ("+993", "Asia/Ashgabat"),
    ("+994", "Asia/Baku"),
    ("+995", "Asia/Tbilisi"),
    ("+998", "Asia/Tashkent"),
];
