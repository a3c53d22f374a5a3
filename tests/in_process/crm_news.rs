//! What the CRM tells anew, and what a funnel is told to read, through a real store: who is looked at because of it, and what a client gets.

use crate::town::{BASE, CONTACTS, DEALS, Town, contact, funnel, lost};
use jiff::{SignedDuration, Timestamp};
use rekindle::model::Role;

fn monday() -> Timestamp {
    "2026-03-02T05:59:30Z".parse().unwrap()
}

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

async fn deals(town: &Town, role: Role) -> u64 {
    town.counts("flats").await.stages.iter().filter(|s| s.role == role).map(|s| s.deals).sum()
}

/// A marketer adds a lost reason. Its fresh losses are admitted, although more old ones than a day has room for were there before.
#[tokio::test]
async fn a_reason_added_later_is_not_starved_by_losses_that_are_too_old() {
    let (mut contacts, mut rows) = (CONTACTS.to_owned(), DEALS.to_owned());
    for n in 1..=65 {
        contacts += &contact(n);
        rows += &if n <= 60 { lost(n, n, "2024-01-10") } else { lost(n, n, "2026-02-10").replace("price", "layout") };
    }
    let manifests =
        format!("{BASE}{}", funnel("flats", "  backfill: {lostWithin: 180d, perDay: 48}")).replace("{lost: []}", "{lost: [price]}");
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &rows)];
    let mut town = Town::with(&files, monday()).await;
    town.run(monday() + hours(24)).await;
    assert_eq!((deals(&town, Role::Backfill).await, deals(&town, Role::NotWarmed).await), (60, 5));
    town.edit("all.yaml", "{lost: [price]}", "{lost: [price, layout]}").await;
    town.run(monday() + hours(48)).await;
    assert_eq!((deals(&town, Role::Backfill).await, deals(&town, Role::Warming).await), (60, 5));
}
