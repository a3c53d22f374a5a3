//! What clients do, as the engine hears it: in which order, and what must not get lost or in the way.

use crate::town::{BASE, CONTACTS, DEALS, Town, contact, funnel, lost, open, snapshot};
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    engine::Subject,
    model::{ClickVerdict, EffectRef, InboxEvent, Phone, SignalKind, SignalSubject},
    store::{Clicked, Incoming, Load},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn phone(number: u32) -> Phone {
    Phone::parse(&format!("+7999000{number:04}"), "RU").unwrap()
}

fn incoming(id: String, event: InboxEvent, now: Timestamp) -> Incoming {
    Incoming { source: "test".into(), id, event, received_at: now, not_before: None, suppress: Vec::new(), click: None }
}

fn call(number: u32, now: Timestamp) -> Incoming {
    let subject = SignalSubject { phone: Some(phone(number)), ..SignalSubject::default() };
    let event = InboxEvent::Signal { kind: SignalKind::InboundCall, subject, at: now, text: None, reaction: None };
    incoming(format!("call {number}"), event, now)
}

fn click(effect: EffectRef, at: Timestamp) -> Incoming {
    let verdict = Some(ClickVerdict::Human);
    let event = InboxEvent::Click { effect, link: 0, at, verdict };
    let click = Clicked { effect, link: 0, at, verdict, why: "alone".into() };
    Incoming { click: Some(click), ..incoming(format!("click {at}"), event, at) }
}

/// Clients whose deals are lost on Monday at 12:00 in Moscow and who got the first message on Tuesday at 10:00.
async fn town(clients: u32) -> Town {
    let (mut contacts, mut before, mut after) = (CONTACTS.to_owned(), DEALS.to_owned(), DEALS.to_owned());
    for n in 1..=clients {
        contacts += &contact(n);
        before += &open(n, n, "2026-03-01");
        after += &lost(n, n, "2026-03-02");
    }
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &before)];
    let mut town = Town::with(&files, at("2026-03-02T05:59:30Z")).await;
    town.run(at("2026-03-02T09:30:00Z")).await;
    std::fs::write(town.folder.join("deals.csv"), after).unwrap();
    town.run(at("2026-03-03T12:00:00Z")).await;
    town
}

async fn of(town: &Town, number: u32) -> Subject {
    let subject = SignalSubject { phone: Some(phone(number)), ..SignalSubject::default() };
    town.store.journal.load(&Load::Signal(subject), town.clock.now()).await.unwrap().remove(0)
}

/// Somebody opens the link of one SMS a thousand times, and another client calls.
#[tokio::test]
async fn a_thousand_clicks_on_one_link_keep_no_call_waiting() {
    let town = town(2).await;
    let clicked = of(&town, 1).await;
    let effect = EffectRef { copy: clicked.copy.id, seq: clicked.ledger[0].seq };
    let now = town.clock.now();
    let clicks: Vec<Incoming> = (0..1000).map(|n| click(effect, now + SignedDuration::from_millis(n))).collect();
    town.store.journal.receive(clicks).await.unwrap();
    town.clock.advance(now + SignedDuration::from_secs(2));
    town.store.journal.receive(vec![call(2, town.clock.now())]).await.unwrap();
    for _ in 0..5 {
        town.engine.step().await.unwrap();
    }
    assert_eq!(town.counts("flats").await.revived, 1, "the call is heard");
    assert!(town.store.journal.inbox(town.clock.now(), 10).await.unwrap().is_empty(), "and nothing is left over");
    let lines = town.story("flats", "d1").await;
    assert!(lines.iter().any(|line| line.contains("Click")), "{lines:?}");
}

/// The stored revision cannot be read by this version (after a rollback, perhaps), and the edit in the folder is broken: there is
/// nothing to work by. One client calls, one clicks, one opts out of the brand. Then the edit is put right.
#[tokio::test]
async fn whoever_calls_while_the_funnel_is_broken_gets_no_message_once_it_is_repaired() {
    let mut town = town(4).await;
    town.run(at("2026-03-04T06:30:00Z")).await;
    assert_eq!(town.sent().await.len(), 4);
    let good = std::fs::read_to_string(town.folder.join("all.yaml")).unwrap();
    std::fs::write(town.folder.join("all.yaml"), good.replace("listRef: {name: warm}", "listRef: {name: gone}")).unwrap();
    let store = format!("sqlite:{}", town.folder.join("run.db").display());
    break_revisions(&store).await;
    let published = town.engine.publish(&snapshot(&town.folder), None).await.unwrap();
    assert!(matches!(published.kept.as_slice(), [(_, None)]), "{:?}", published.kept);
    town.engine.settle().await.unwrap();

    let now = town.clock.now();
    let clicker = of(&town, 2).await;
    let effect = |of: &Subject| EffectRef { copy: of.copy.id, seq: of.ledger[0].seq };
    let refused = SignalSubject { effect: Some(effect(&of(&town, 3).await)), ..SignalSubject::default() };
    let stop = incoming("stop".into(), InboxEvent::Unsubscribe { subject: refused, at: now, only: None }, now);
    let arrived = vec![call(1, now), click(effect(&clicker), now), stop];
    town.store.journal.receive(arrived).await.unwrap();
    // Over 10:00 in Moscow, when the second message is due.
    town.run(at("2026-03-04T07:30:00Z")).await;
    assert_eq!(town.sent().await.len(), 4, "a broken funnel sends nothing");

    std::fs::write(town.folder.join("all.yaml"), good.replace("title: Warm", "title: Warmer")).unwrap();
    town.publish().await;
    town.run(at("2026-03-04T08:00:00Z")).await;
    let counts = town.counts("flats").await;
    assert_eq!(counts.revived, 1, "the call");
    let told = town.story("flats", "d2").await;
    assert!(told.iter().any(|line| line.contains("Click")), "{told:?}");
    let refused = town.story("flats", "d3").await;
    assert!(refused.iter().any(|line| line.contains("opted out")), "{refused:?}");
    town.run(at("2026-03-09T12:00:00Z")).await;
    let sent = town.sent().await;
    let more = |deal: &str| sent.iter().filter(|(of, ..)| of == deal).count() - 1;
    assert_eq!((more("d1"), more("d3")), (0, 0), "whoever called or opted out gets nothing more: {sent:?}");
    let calls = town.story("flats", "d1").await.iter().filter(|line| line.contains("InboundCall")).count();
    assert!(calls >= 1 && town.store.journal.inbox(town.clock.now(), 10).await.unwrap().is_empty());
    assert_eq!(town.counts("flats").await.revived, 1, "heard once");
}

/// A stack overflow cannot be caught: whatever one event does to the process that looks at it, others are heard, and it is set aside.
#[tokio::test]
async fn an_event_that_ends_every_process_keeps_no_call_waiting_for_ever() {
    use sqlx::{Connection as _, Executor as _};
    let mut town = town(3).await;
    let now = town.clock.now();
    town.store.journal.receive(vec![call(1, now), call(2, now), call(3, now)]).await.unwrap();
    let store = format!("sqlite:{}", town.folder.join("run.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&store).await.unwrap();
    connection.execute("UPDATE inbox SET attempts = 20 WHERE id = (SELECT min(id) FROM inbox)").await.unwrap();
    connection.execute("UPDATE inbox SET attempts = 6 WHERE id = (SELECT max(id) FROM inbox)").await.unwrap();
    town.run(now + SignedDuration::from_mins(2)).await;
    assert_eq!(town.counts("flats").await.revived, 2, "the others have called");
    assert!(town.store.journal.inbox(town.clock.now(), 10).await.unwrap().is_empty());
    let letters = town.store.views.dead_letters(10).await.unwrap();
    assert_eq!(letters.iter().map(|l| l.source.as_str()).collect::<Vec<_>>(), ["inbox"]);
    assert!(letters[0].error.starts_with("the process ended 20 times"), "{}", letters[0].error);
}

async fn break_revisions(store: &str) {
    use sqlx::{Connection as _, Executor as _};
    let mut connection = sqlx::SqliteConnection::connect(store).await.unwrap();
    connection.execute("UPDATE revision SET snapshot = '{}'").await.unwrap();
}
