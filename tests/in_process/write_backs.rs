//! Write-backs through a real store: when they are tried again, and whom they keep waiting.

use crate::town::{BASE, CONTACTS, DEALS, Town, contact, funnel, open, snapshot};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    crm::{Connector, CrmError, ReadPage, WriteBack},
    model::{Contact, Deal, FunnelKey, InboxEvent, Outcome, Phone, SignalKind, SignalSubject},
    store::{Cursor, Incoming},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

fn monday() -> Timestamp {
    "2026-03-02T05:59:30Z".parse().unwrap()
}

/// Clients call, by the number of their contact.
pub async fn call(town: &Town, numbers: impl Iterator<Item = u32>) {
    let one = |n: u32| {
        let phone = Phone::parse(&format!("+7999000{n:04}"), "RU").unwrap();
        let subject = SignalSubject { phone: Some(phone), ..SignalSubject::default() };
        let event = InboxEvent::Signal { kind: SignalKind::InboundCall, subject, at: town.clock.now(), text: None, reaction: None };
        Incoming {
            source: "test".into(),
            id: format!("call {n} {}", town.clock.now()),
            event,
            received_at: town.clock.now(),
            not_before: None,
            suppress: Vec::new(),
            click: None,
        }
    };
    town.store.journal.receive(numbers.map(one).collect()).await.unwrap();
    town.engine.settle().await.unwrap();
}

/// Three hundred write-backs wait for a CRM that is away, and its connection is taken out of Git. The manager of another CRM is told at
/// once who called, and nothing is lost: the connection comes back, and so do its tasks.
#[tokio::test]
async fn tasks_of_a_connection_that_is_gone_hold_up_nobody_elses() {
    let connection = BASE.split("---").next().unwrap();
    let journal = |of: &str, name: &str| of.replace("    timeZone:", &format!("    writeBack: {{path: {name}}}\n    timeZone:"));
    let other = connection.replace("name: crm,", "name: other,").replace("deals.csv", "other.csv");
    let other = journal(&other, "other.jsonl").replace("contacts.csv", "people.csv");
    let rest = BASE.replace(connection, "");
    let flats = funnel("flats", "  managers: {fallback: m1}");
    let houses = funnel("houses", "  managers: {fallback: m2}").replace("crmRef: {name: crm}", "crmRef: {name: other}");
    let without = format!("{other}{rest}{houses}");
    let manifests = format!("{}---{without}{flats}", journal(connection, "away/crm.jsonl"));
    let (mut contacts, mut deals) = (CONTACTS.to_owned(), DEALS.to_owned());
    for n in 1..=100 {
        contacts += &contact(n);
        deals += &open(n, n, "2026-02-01");
    }
    let (people, theirs) = (CONTACTS.to_owned() + &contact(200), DEALS.to_owned() + &open(1, 200, "2026-02-01"));
    let files = [
        ("all.yaml", manifests.as_str()),
        ("contacts.csv", &contacts),
        ("deals.csv", &deals),
        ("people.csv", &people),
        ("other.csv", &theirs),
    ];
    let mut town = Town::with(&files, monday()).await;
    call(&town, 1..=100).await;
    let waiting = |town: &Town| {
        let (store, later) = (town.store.clone(), town.clock.now() + SignedDuration::from_hours(2));
        async move { store.journal.outbox(later, 1000).await.unwrap().len() }
    };
    assert_eq!(waiting(&town).await, 300);
    std::fs::write(town.folder.join("all.yaml"), without).unwrap();
    let declared = [FunnelKey { namespace: "shop".into(), name: "houses".into() }].into();
    town.engine.publish(&snapshot(&town.folder), Some(&declared)).await.unwrap();
    town.engine.settle().await.unwrap();
    town.run(monday() + SignedDuration::from_hours(1)).await;
    call(&town, std::iter::once(200)).await;
    let told = std::fs::read_to_string(town.folder.join("other.jsonl")).unwrap_or_default();
    assert!(told.contains("dev.rekindle.deal.task") && told.contains("m2"), "{told}");
    std::fs::create_dir(town.folder.join("away")).unwrap();
    std::fs::write(town.folder.join("all.yaml"), manifests).unwrap();
    town.publish().await;
    town.run(monday() + SignedDuration::from_hours(2)).await;
    let told = std::fs::read_to_string(town.folder.join("away/crm.jsonl")).unwrap_or_default();
    assert_eq!((told.lines().count(), waiting(&town).await), (300, 0));
}

/// A CRM that answers 429 whenever it is asked, and says "in a second".
#[derive(Default)]
struct Impatient(Strict, Mutex<u32>);

#[async_trait]
impl Connector for Impatient {
    async fn changed(&self, cursor: &Cursor) -> Result<bool, CrmError> {
        self.0.changed(cursor).await
    }

    async fn read(&self, cursor: &Cursor, limit: usize, now: Timestamp) -> Result<ReadPage, CrmError> {
        self.0.read(cursor, limit, now).await
    }

    async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome> {
        *self.1.lock().unwrap() += 1;
        jobs.iter().map(|_| Outcome::Retry { reason: "429".into(), after: Some(Duration::from_secs(1)) }).collect()
    }
}

#[tokio::test]
async fn a_crm_that_says_in_a_second_all_day_is_not_asked_each_second_all_day() {
    let crm = Arc::new(Impatient::default());
    let manifests = format!("{BASE}{}", funnel("flats", "  managers: {fallback: m1}"));
    let mut town = Town::with_crm(&[("all.yaml", manifests.as_str())], monday(), Some(crm.clone())).await;
    call(&town, std::iter::once(1)).await;
    let asked = || *crm.1.lock().unwrap();
    town.run(monday() + SignedDuration::from_secs(11)).await;
    assert!(asked() > 8, "it is believed at first: {}", asked());
    town.run(monday() + SignedDuration::from_hours(4)).await;
    assert!((20..100).contains(&asked()), "{}", asked());
}

/// A CRM that answers 429 once, and says for how long.
#[derive(Default)]
struct Strict(Mutex<u32>);

#[async_trait]
impl Connector for Strict {
    async fn changed(&self, cursor: &Cursor) -> Result<bool, CrmError> {
        Ok(cursor.position != 1)
    }

    async fn read(&self, cursor: &Cursor, _: usize, _: Timestamp) -> Result<ReadPage, CrmError> {
        let phones = vec![Phone::parse("+79990000001", "RU").unwrap()];
        let touched = Some(monday() - SignedDuration::from_hours(24 * 30));
        let deal = Deal { id: "d1".into(), contacts: vec!["k1".into()], last_activity_at: touched, ..Deal::default() };
        Ok(ReadPage {
            contacts: vec![Contact { id: "k1".into(), phones, ..Contact::default() }],
            deals: vec![deal],
            full_look: true,
            cursor: Cursor { position: 1.into(), ..cursor.clone() },
            ..ReadPage::default()
        })
    }

    async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome> {
        let mut asked = self.0.lock().unwrap();
        *asked += 1;
        let wait = Outcome::Retry { reason: "429".into(), after: Some(Duration::from_mins(10)) };
        let accepted = Outcome::Accepted { provider: "strict".into(), provider_id: None };
        let answers = jobs.iter().enumerate().map(|(n, _)| match n {
            0 if *asked == 1 => wait.clone(),
            _ if *asked == 1 => Outcome::NotStarted,
            _ => accepted.clone(),
        });
        answers.collect()
    }
}

#[tokio::test]
async fn a_crm_that_says_when_to_come_again_is_left_alone_until_then() {
    let crm = Arc::new(Strict::default());
    let manifests = format!("{BASE}{}", funnel("flats", "  managers: {fallback: m1}"));
    let mut town = Town::with_crm(&[("all.yaml", manifests.as_str())], monday(), Some(crm.clone())).await;
    call(&town, std::iter::once(1)).await;
    let asked = || *crm.0.lock().unwrap();
    assert_eq!(asked(), 1);
    town.run(monday() + SignedDuration::from_secs(599)).await;
    assert_eq!(asked(), 1);
    town.run(monday() + SignedDuration::from_secs(602)).await;
    assert_eq!(asked(), 2);
    assert!(town.store.journal.outbox(monday() + SignedDuration::from_hours(9), 99).await.unwrap().is_empty());
}

/// What a connector says of what it was given.
type Answer = fn(&[WriteBack]) -> Vec<Outcome>;

/// A CRM with one deal that does with the first write-backs as told, and takes all later ones.
struct Frail {
    crm: Strict,
    first: Answer,
    /// How many it was given, each time.
    given: Mutex<Vec<usize>>,
}

#[async_trait]
impl Connector for Frail {
    async fn changed(&self, cursor: &Cursor) -> Result<bool, CrmError> {
        self.crm.changed(cursor).await
    }

    async fn read(&self, cursor: &Cursor, limit: usize, now: Timestamp) -> Result<ReadPage, CrmError> {
        self.crm.read(cursor, limit, now).await
    }

    async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome> {
        let times = {
            let mut given = self.given.lock().unwrap();
            given.push(jobs.len());
            given.len()
        };
        if times == 1 {
            return (self.first)(jobs);
        }
        jobs.iter().map(|_| Outcome::Accepted { provider: "frail".into(), provider_id: None }).collect()
    }
}

impl Frail {
    /// A client of its deal calls, and its manager is to be told.
    async fn called(first: Answer) -> (Arc<Self>, Town) {
        let crm = Arc::new(Self { crm: Strict::default(), first, given: Mutex::default() });
        let manifests = format!("{BASE}{}", funnel("flats", "  managers: {fallback: m1}"));
        let town = Town::with_crm(&[("all.yaml", manifests.as_str())], monday(), Some(crm.clone())).await;
        call(&town, std::iter::once(1)).await;
        (crm, town)
    }

    fn given(&self) -> Vec<usize> {
        self.given.lock().unwrap().clone()
    }
}

fn busy(jobs: &[WriteBack]) -> Vec<Outcome> {
    jobs.iter().map(|_| Outcome::Retry { reason: "busy".into(), after: None }).collect()
}

/// Damaged, or of a later version that was rolled back.
#[tokio::test]
async fn a_write_back_that_cannot_be_read_is_shown_and_holds_up_nothing_behind_it() {
    let (crm, mut town) = Frail::called(busy).await;
    town.damage("UPDATE outbox SET payload = '{\"do\":\"dance\"}' WHERE seq = (SELECT min(seq) FROM outbox)").await;
    town.run(monday() + SignedDuration::from_mins(5)).await;
    let given = crm.given();
    assert!(given.len() == 2 && given[0] > 1 && given[1] == given[0] - 1, "{given:?}");
    let letters = town.store.views.dead_letters(9).await.unwrap();
    let shown: Vec<_> = letters.iter().map(|letter| (letter.source.as_str(), letter.error.as_str())).collect();
    assert_eq!(shown, [("outbox", "the stored write-back cannot be read")]);
}

fn panics(_: &[WriteBack]) -> Vec<Outcome> {
    panic!("a bug of the connector");
}

fn silent(_: &[WriteBack]) -> Vec<Outcome> {
    Vec::new()
}

#[tokio::test]
async fn a_connector_that_panics_or_answers_too_little_keeps_no_task_for_ever() {
    for first in [panics as Answer, silent] {
        let (crm, mut town) = Frail::called(first).await;
        town.run(monday() + SignedDuration::from_mins(5)).await;
        let given = crm.given();
        assert!(given.len() == 2 && given[0] > 0 && given[1] == given[0], "{given:?}");
    }
}
