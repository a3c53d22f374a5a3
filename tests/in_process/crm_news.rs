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

/// A pipeline is named as people write it, like stages and reasons.
#[tokio::test]
async fn a_pipeline_is_found_whatever_its_letters() {
    let rows = DEALS.to_owned()
        + &lost(1, 1, "2026-03-01").replace("Sales", "Продажи")
        + &lost(2, 2, "2026-03-01").replace("Sales", "Аренда");
    let contacts = CONTACTS.to_owned() + &contact(1) + &contact(2);
    let manifests = format!("{BASE}{}", funnel("flats", "")).replace("entity: Deal", "entity: Deal, pipeline: продажи");
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &rows)];
    let town = Town::with(&files, monday()).await;
    let counts = town.counts("flats").await;
    assert_eq!(counts.stages.iter().map(|s| s.deals).sum::<u64>(), 1, "{:?}", counts.stages);
}
