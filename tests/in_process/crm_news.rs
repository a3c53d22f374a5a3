//! What the CRM tells anew, and what a funnel is told to read, through a real store: who is looked at because of it, and what a client gets.

use crate::town::{BASE, CONTACTS, DEALS, Town, contact, funnel, lost, minute, open};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rekindle::{
    crm::{Connector, CrmError, ReadPage, WriteBack},
    model::{ConsentStatus, Contact, Deal, DealState, FieldValue, FunnelKey, Outcome, Phone, Role},
    store::{Cursor, Load},
};
use sqlx::{Connection as _, Executor as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

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

/// The visit is the client's own field, in a file of contacts or beside the deal.
fn clinic(inline: bool) -> String {
    let manifests = format!("{BASE}{}", funnel("flats", ""))
        .replace("  region: RU", "  fields: [{name: visitAt, of: Client, from: visit, type: Date}]\n  region: RU");
    let list = "sms: {text: \"three\"}}\n";
    let visit = "    - {name: visit, title: Visit, date: {field: visitAt, before: 1d}, at: \"11:00\", sms: {text: \"visit\"}}\n";
    let manifests = manifests.replace(list, &format!("{list}{visit}"));
    if inline {
        manifests
            .replace("    contacts: {path: contacts.csv}\n", "")
            .replace("    contactColumns: {id: id, name: name, phone: phone, consent: consent}\n", "")
            .replace("contactId: contact}", "contactId: contact, name: name, phone: phone, consent: consent}")
    } else {
        manifests
    }
}

/// The client's date is filled in when the list is through, and moved to an earlier day later: nothing of the deal has changed.
#[tokio::test]
async fn a_date_of_the_client_counts_when_it_is_filled_and_when_it_is_moved() {
    for inline in [false, true] {
        let files = |deal: String, visit: &str| {
            let row = |text: String, more: &str| format!("{};{more}\n", text.trim_end());
            let person = contact(1).trim_end().trim_start_matches("k1;").to_owned() + ";" + visit;
            if inline {
                (String::new(), row(DEALS.to_owned(), "name;phone;consent;visit") + &row(deal, &person))
            } else {
                (row(CONTACTS.to_owned(), "visit") + &row(contact(1), visit), DEALS.to_owned() + &deal)
            }
        };
        let (contacts, deals_file) = files(open(1, 1, "2026-03-01"), "");
        let manifests = clinic(inline);
        let all = [("all.yaml", manifests.as_str()), ("contacts.csv", contacts.as_str()), ("deals.csv", deals_file.as_str())];
        let mut town = Town::with(&all, monday()).await;
        let mut told = vec![
            ("2026-03-02T06:00:00Z", files(lost(1, 1, "2026-03-01"), ""), None),
            ("2026-03-06T08:00:00Z", files(lost(1, 1, "2026-03-01"), "2026-03-20"), Some("2026-03-19 08:00")),
            ("2026-03-10T08:00:00Z", files(lost(1, 1, "2026-03-01"), "2026-03-13"), Some("2026-03-12 08:00")),
        ];
        for (at, (contacts, rows), due) in told.drain(..) {
            town.run(at.parse().unwrap()).await;
            std::fs::write(town.folder.join("contacts.csv"), contacts).unwrap();
            std::fs::write(town.folder.join("deals.csv"), rows).unwrap();
            town.engine.sync_soon();
            town.engine.settle().await.unwrap();
            if let Some(due) = due {
                assert_eq!(town.store.journal.next_due().await.unwrap().map(minute), Some(due.to_owned()), "inline: {inline}");
            }
        }
        town.run(monday() + hours(24 * 30)).await;
        let sent: Vec<String> = town.sent().await.into_iter().map(|(_, item, at)| format!("{} {item}", &at[8..])).collect();
        assert!(sent.contains(&"12 08:00 warm/visit".to_owned()) && sent.len() == 4, "inline: {inline}, {sent:?}");
        assert_eq!(deals(&town, Role::Warming).await, 1, "nobody worked on the deal");
    }
}

/// A visit in the CRM of an office in Moscow is a day of the client: the reminder of the day before comes on the day before, everywhere.
#[tokio::test]
async fn the_day_before_a_visit_is_the_clients_own() {
    for (zone, sent) in [("Europe/Kaliningrad", "12 09:00"), ("America/New_York", "12 15:00"), ("Asia/Vladivostok", "12 01:00")] {
        let with = |text: String, more: &str| format!("{};{more}\n", text.trim_end());
        let contacts = with(CONTACTS.to_owned(), "visit;zone") + &with(contact(1), &format!("13.03.2026;{zone}"));
        let deals_file = DEALS.to_owned() + &open(1, 1, "2026-03-01");
        let manifests = clinic(false).replace("consent: consent}", "consent: consent, timeZone: zone}");
        let all = [("all.yaml", manifests.as_str()), ("contacts.csv", contacts.as_str()), ("deals.csv", deals_file.as_str())];
        let mut town = Town::with(&all, monday()).await;
        town.run(monday() + hours(1)).await;
        std::fs::write(town.folder.join("deals.csv"), DEALS.to_owned() + &lost(1, 1, "2026-03-01")).unwrap();
        town.run(monday() + hours(24 * 14)).await;
        let sent_at: Vec<String> = town.sent().await.into_iter().map(|(_, item, at)| format!("{} {item}", &at[8..])).collect();
        assert!(sent_at.contains(&format!("{sent} warm/visit")), "{zone}: {sent_at:?}");
    }
}

/// A CRM with an interface of its own, whose contacts come apart from its deals.
#[derive(Default)]
struct Api(Mutex<Told>);

#[derive(Default)]
struct Told {
    version: u64,
    contacts: Vec<Contact>,
    deals: Vec<Deal>,
    kept: Vec<String>,
}

#[async_trait]
impl Connector for Api {
    async fn changed(&self, cursor: &Cursor) -> Result<bool, CrmError> {
        Ok(cursor.position != self.0.lock().unwrap().version)
    }

    async fn read(&self, cursor: &Cursor, _: usize, _: Timestamp) -> Result<ReadPage, CrmError> {
        let told = self.0.lock().unwrap();
        Ok(ReadPage {
            contacts: told.contacts.clone(),
            deals: told.deals.clone(),
            kept: told.kept.clone(),
            full_look: true,
            cursor: Cursor { position: told.version.into(), ..cursor.clone() },
            ..ReadPage::default()
        })
    }

    async fn write(&self, jobs: &[WriteBack]) -> Vec<Outcome> {
        jobs.iter().map(|_| Outcome::Accepted { provider: "api".into(), provider_id: None }).collect()
    }
}

impl Api {
    /// What it tells next.
    async fn tells(&self, town: &Town, contacts: Vec<Contact>, deals: Vec<Deal>) -> BTreeMap<String, i64> {
        {
            let mut told = self.0.lock().unwrap();
            let before: Vec<String> = told.deals.drain(..).map(|deal| deal.id).collect();
            told.kept.extend(before);
            (told.contacts, told.deals) = (contacts, deals);
            told.version += 1;
        }
        town.engine.sync_soon();
        town.engine.settle().await.unwrap();
        let funnel = FunnelKey { namespace: "shop".into(), name: "flats".into() };
        let ids = town.store.journal.copies_of(&funnel, rekindle::model::CopyId(0), 1000).await.unwrap();
        let copies = town.store.journal.load(&Load::Copies(ids), town.clock.now()).await.unwrap();
        copies.into_iter().map(|s| (s.deal.id, s.copy.ver)).collect()
    }
}

/// Whose deals are looked at when contacts are told: those of contacts that are new or changed, and of nobody else.
#[tokio::test]
async fn only_contacts_that_say_something_new_are_looked_into() {
    let api = Arc::new(Api::default());
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let town = Town::with_crm(&[("all.yaml", manifests.as_str())], monday(), Some(api.clone())).await;
    let contact = |n: u32| Contact {
        id: format!("k{n}"),
        phones: vec![Phone::parse(&format!("+7999000{n:04}"), "RU").unwrap()],
        fields: BTreeMap::from([("rooms".to_owned(), FieldValue::Number(0.1 + f64::from(n) / 3.0))]),
        ..Contact::default()
    };
    let deal = |n: u32| Deal {
        id: format!("d{n}"),
        stage: "Lost".into(),
        state: DealState::Lost,
        stage_changed_at: Some(monday()),
        contacts: vec![format!("k{n}"), "k500".into()],
        ..Deal::default()
    };
    let contacts: Vec<Contact> = (1..=500).map(contact).collect();
    let begun = api.tells(&town, Vec::new(), (1..=500).map(deal).collect()).await;
    assert_eq!(begun.len(), 500);
    // Who is looked at, by how often the row of their deal was written since.
    let differ = |before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>| -> Vec<String> {
        after.iter().filter(|(deal, ver)| before.get(*deal) != Some(ver)).map(|(deal, _)| deal.clone()).collect()
    };
    let met = api.tells(&town, contacts.clone(), Vec::new()).await;
    assert_eq!(differ(&begun, &met).len(), 500, "the deals were there first, and now it is known whose they are");
    let again = api.tells(&town, contacts.clone(), Vec::new()).await;
    assert_eq!(differ(&met, &again), Vec::<String>::new(), "nothing new");
    let mut moved = contacts;
    moved[6].fields.insert("city".into(), FieldValue::Text("Владивосток".into()));
    // The second contact of all deals, whom nobody writes to; and the first of one.
    moved[499].time_zone = Some("Asia/Vladivostok".into());
    let after = api.tells(&town, moved.clone(), Vec::new()).await;
    assert_eq!(differ(&again, &after), ["d500", "d7"]);
    // Told together with the deal, it is one look.
    moved[6].fields.clear();
    let together = Deal { title: "Three rooms".into(), ..deal(7) };
    let last = api.tells(&town, moved, vec![together]).await;
    assert_eq!((differ(&after, &last), last["d7"] - after["d7"]), (vec!["d7".to_owned()], 1));
}

/// A version before told a deal's own contact under the id of the deal, and a day as a moment. The next one says both anew: it is the same
/// client, who gets each message once, and what was said under the old id is forgotten.
#[tokio::test]
async fn an_upgrade_that_tells_contacts_and_days_anew_sends_nothing_twice() {
    let api = Arc::new(Api::default());
    let manifests = clinic(false).replace("of: Client", "of: Deal");
    let mut town = Town::with_crm(&[("all.yaml", manifests.as_str())], monday(), Some(api.clone())).await;
    let phone = |n: u32| Phone::parse(&format!("+7999000{n:04}"), "RU").unwrap();
    let contact = |id: &str, phones: Vec<Phone>| Contact { id: id.into(), phones, ..Contact::default() };
    let deal = |contact: &str, visit: &str| Deal {
        id: "1".into(),
        stage: "Lost".into(),
        state: DealState::Lost,
        stage_changed_at: Some(monday()),
        contacts: vec![contact.into()],
        fields: [("visitAt".to_owned(), FieldValue::Text(visit.into()))].into(),
        ..Deal::default()
    };
    api.tells(&town, vec![contact("1", vec![phone(1), phone(2)])], vec![deal("1", "2026-03-04T21:00:00Z")]).await;
    town.run(monday() + hours(26)).await;
    assert_eq!(town.sent().await.len(), 1);
    let known = async |town: &Town| {
        let funnel = FunnelKey { namespace: "shop".into(), name: "flats".into() };
        let ids = town.store.journal.copies_of(&funnel, rekindle::model::CopyId(0), 10).await.unwrap();
        let copy = town.store.journal.load(&Load::Copies(ids), town.clock.now()).await.unwrap().remove(0);
        (copy.client.id, copy.client.addresses.len())
    };
    let (client, _) = known(&town).await;
    let told = vec![contact("1", vec![]), contact("deal:1", vec![phone(1)])];
    api.tells(&town, told, vec![deal("deal:1", "2026-03-05")]).await;
    assert_eq!(known(&town).await, (client, 1), "the second number was told under the old id alone");
    town.run(monday() + hours(24 * 14)).await;
    let items: Vec<String> = town.sent().await.into_iter().map(|(_, item, at)| format!("{} {item}", &at[8..])).collect();
    assert_eq!(items.len(), 4, "{items:?}");
    assert!(items.contains(&"04 08:00 warm/visit".to_owned()), "{items:?}");
}

/// What is known of consent for the client of a deal.
async fn consents(town: &Town, deal: &str) -> Vec<ConsentStatus> {
    let funnel = FunnelKey { namespace: "shop".into(), name: "flats".into() };
    let ids = town.store.journal.copies_of(&funnel, rekindle::model::CopyId(0), 1000).await.unwrap();
    let copies = town.store.journal.load(&Load::Copies(ids), town.clock.now()).await.unwrap();
    let subject = copies.into_iter().find(|subject| subject.deal.id == deal).unwrap();
    subject.client.consents.into_iter().map(|consent| consent.status).collect()
}

async fn reads(town: &Town, deals: &str) {
    std::fs::write(town.folder.join("deals.csv"), deals).unwrap();
    town.engine.sync_soon();
    town.engine.settle().await.unwrap();
}

/// After an upgrade all contacts are weighed once more. Where a row cannot be read, that is not repeated at each interval for ever.
#[tokio::test]
async fn an_upgrade_beside_a_broken_row_reads_everything_anew_once() {
    let manifests = format!("{BASE}{}", funnel("flats", ""));
    let (contacts, rows) = (CONTACTS.to_owned() + &contact(1), DEALS.to_owned() + &open(1, 1, "2026-03-01"));
    let town = Town::with(&[("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &rows)], monday()).await;
    assert_eq!(consents(&town, "d1").await, [ConsentStatus::Given]);
    let database = format!("sqlite:{}", town.folder.join("run.db").display());
    let mut database = sqlx::SqliteConnection::connect(&database).await.unwrap();
    // As the version before left it: it knew nothing of weighing, and another's word had won.
    database.execute("UPDATE connection SET cursor = json_remove(cursor, '$.weighed')").await.unwrap();
    database.execute("DELETE FROM consent").await.unwrap();
    // Nobody can say whose this row is.
    let broken = format!("{rows};Sales\n");
    reads(&town, &broken).await;
    assert_eq!(consents(&town, "d1").await, [ConsentStatus::Given], "read anew");
    let cursor = town.store.journal.cursor("shop/crm").await.unwrap();
    assert!(cursor.weighed && cursor.findings.iter().any(|f| f.kind == "DeletionsWithheld"), "{cursor:?}");
    database.execute("DELETE FROM consent").await.unwrap();
    for _ in 0..2 {
        reads(&town, &broken).await;
        assert_eq!(consents(&town, "d1").await, [], "nothing has changed since");
    }
}

/// Without a file of contacts. The deal that said no for a number is in the export no more, and the client of the other says yes.
#[tokio::test]
async fn a_no_goes_with_the_last_deal_that_said_it() {
    let row = |text: String, person: &str| format!("{};{person}\n", text.trim_end());
    let begun = row(DEALS.to_owned(), "name;phone;consent;visit");
    let yes = begun + &row(open(2, 2, "2026-03-01"), "Anna;+79990000001;yes;");
    let no = row(open(1, 1, "2026-03-01"), "Anna;+79990000001;no;");
    let manifests = clinic(true);
    let both = format!("{yes}{no}");
    let town = Town::with(&[("all.yaml", manifests.as_str()), ("deals.csv", &both)], monday()).await;
    assert_eq!(consents(&town, "d2").await, [ConsentStatus::Withdrawn]);
    reads(&town, &format!("{yes}d1;Sales\n")).await;
    assert_eq!(consents(&town, "d2").await, [ConsentStatus::Withdrawn], "its row is there, and cannot be read");
    reads(&town, &yes).await;
    assert_eq!(consents(&town, "d2").await, [ConsentStatus::Given]);
}

/// A funnel is told to read another CRM, in which the same ids mean other people. Nobody of the first one is written to, or written there.
#[tokio::test]
async fn deals_of_a_connection_that_is_read_no_more_are_left_behind() {
    let connection = BASE.split("---").next().unwrap();
    let other =
        connection.replace("name: crm,", "name: other,").replace("deals.csv", "other.csv").replace("contacts.csv", "people.csv");
    let journal = |of: String, name: &str| of.replace("    timeZone:", &format!("    writeBack: {{path: {name}}}\n    timeZone:"));
    let revived = "    revived: {title: Revived, returnTo: {stage: Talks}}";
    let manifests = format!(
        "{}---{}{}",
        journal(other, "other.jsonl"),
        BASE.replace(connection, &journal(connection.to_owned(), "crm.jsonl")),
        funnel("flats", "")
    )
    .replace("    revived: {title: Revived}", revived);
    let contacts = CONTACTS.to_owned() + &contact(1) + &contact(2);
    let begun = DEALS.to_owned() + &open(1, 1, "2026-03-01") + &open(2, 2, "2026-03-01");
    let people = CONTACTS.to_owned() + &contact(8) + &contact(9);
    let theirs = DEALS.to_owned() + &open(1, 8, "2026-03-01") + &open(3, 9, "2026-03-01");
    let files = [
        ("all.yaml", manifests.as_str()),
        ("contacts.csv", &contacts),
        ("deals.csv", &begun),
        ("people.csv", &people),
        ("other.csv", &theirs),
    ];
    let mut town = Town::with(&files, monday()).await;
    std::fs::write(town.folder.join("deals.csv"), DEALS.to_owned() + &lost(1, 1, "2026-03-02") + &lost(2, 2, "2026-03-02"))
        .unwrap();
    town.run("2026-03-03T08:00:00Z".parse().unwrap()).await;
    assert_eq!((town.sent().await.len(), deals(&town, Role::Warming).await), (2, 2));
    // The first client calls, and the edit is in force before the call is heard: their deal is in the CRM that is read no more.
    let incoming = rekindle::store::Incoming {
        source: "test".into(),
        id: "call".into(),
        event: rekindle::model::InboxEvent::Signal {
            kind: rekindle::model::SignalKind::InboundCall,
            subject: rekindle::model::SignalSubject {
                phone: Some(Phone::parse("+79990000001", "RU").unwrap()),
                ..Default::default()
            },
            at: town.clock.now(),
            text: None,
            reaction: None,
        },
        received_at: town.clock.now(),
        not_before: None,
        suppress: Vec::new(),
        click: None,
    };
    town.store.journal.receive(vec![incoming]).await.unwrap();
    town.edit("all.yaml", "crmRef: {name: crm}", "crmRef: {name: other}").await;
    assert_eq!((deals(&town, Role::Archived).await, deals(&town, Role::InWork).await), (2, 2));
    town.run(monday() + hours(24 * 10)).await;
    assert_eq!((town.sent().await.len(), deals(&town, Role::Archived).await), (2, 2), "they get nothing more");
    let written = |name: &str| std::fs::read_to_string(town.folder.join(name)).unwrap_or_default();
    assert!(
        !written("other.jsonl").contains("\"move\"") && !written("other.jsonl").contains("Talks"),
        "{}",
        written("other.jsonl")
    );
    let story = town.story("flats", "d2").await.join("\n");
    assert!(story.contains("shop/other now; this deal belongs to shop/crm"), "{story}");
    // It was a mistake. They go on where they were.
    town.edit("all.yaml", "crmRef: {name: other}", "crmRef: {name: crm}").await;
    assert_eq!((deals(&town, Role::Archived).await, deals(&town, Role::Warming).await), (2, 2));
    town.run(monday() + hours(24 * 20)).await;
    let sent: Vec<String> = town.sent().await.into_iter().map(|(deal, item, _)| format!("{deal} {item}")).collect();
    let each = ["d1 warm/one", "d1 warm/three", "d1 warm/two", "d2 warm/one", "d2 warm/three", "d2 warm/two"];
    assert_eq!(sent, each, "nothing twice");
}

/// Somebody mended the connection's time zone, or the CRM was moved: times of changes went back, and the win is a win all the same.
#[tokio::test]
async fn a_sale_is_seen_although_its_time_of_change_went_back() {
    let manifests =
        format!("{BASE}{}", funnel("flats", "")).replace("contactId: contact}", "contactId: contact, updatedAt: updated}");
    let deals_file = |row: &str, updated: &str| format!("{};updated\n{};{updated}\n", DEALS.trim_end(), row.trim_end());
    let row = open(1, 1, "2026-03-01");
    let (contacts, begun) = (CONTACTS.to_owned() + &contact(1), deals_file(&row, "2026-03-02 08:50"));
    let files = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &begun)];
    let town = Town::with(&files, monday()).await;
    assert_eq!(deals(&town, Role::InWork).await, 1);
    let won = row.replace(";Talks;", ";Won;");
    std::fs::write(town.folder.join("deals.csv"), deals_file(&won, "2026-03-02 05:50")).unwrap();
    town.engine.sync_soon();
    town.engine.settle().await.unwrap();
    assert_eq!((deals(&town, Role::InWork).await, deals(&town, Role::Archived).await), (0, 1));
}

/// A manager left, and a client had their data erased: their deals still name them.
#[tokio::test]
async fn who_left_the_files_is_told_nothing_and_written_to_no_more() {
    let files = "    contacts: {path: contacts.csv}\n";
    let manifests = format!("{BASE}{}", funnel("flats", "  managers: {fallback: m9}"))
        .replace(files, &format!("{files}    managers: {{path: managers.csv}}\n"))
        .replace("    timeZone:", "    writeBack: {path: out.jsonl}\n    timeZone:");
    let rows = |rows: &[String]| {
        let rows = rows.iter().map(|row| format!("{};m1\n", row.trim_end()));
        format!("{};manager\n", DEALS.trim_end()) + &rows.collect::<Vec<_>>().concat()
    };
    let contacts = CONTACTS.to_owned() + &contact(1) + &contact(2) + &contact(3);
    let begun = rows(&[open(1, 1, "2026-02-01"), open(2, 2, "2026-03-01"), open(3, 3, "2026-03-01")]);
    let managers = "id;name\nm1;Ivan\nm2;Petra\n";
    let all = [("all.yaml", manifests.as_str()), ("contacts.csv", &contacts), ("deals.csv", &begun), ("managers.csv", managers)];
    let mut town = Town::with(&all, monday()).await;
    let lost = rows(&[open(1, 1, "2026-02-01"), lost(2, 2, "2026-03-02"), lost(3, 3, "2026-03-02")]);
    std::fs::write(town.folder.join("deals.csv"), lost).unwrap();
    town.engine.sync_soon();
    town.engine.settle().await.unwrap();
    assert_eq!((deals(&town, Role::Stalled).await, deals(&town, Role::Warming).await), (1, 2));

    std::fs::write(town.folder.join("contacts.csv"), CONTACTS.to_owned() + &contact(1) + &contact(3)).unwrap();
    std::fs::write(town.folder.join("managers.csv"), "id;name\nm2;Petra\n").unwrap();
    town.engine.sync_soon();
    town.engine.settle().await.unwrap();
    crate::write_backs::call(&town, std::iter::once(1)).await;
    let told = std::fs::read_to_string(town.folder.join("out.jsonl")).unwrap_or_default();
    assert!(told.contains("dev.rekindle.deal.task") && told.contains("\"m9\"") && !told.contains("\"m1\""), "{told}");
    town.run(monday() + hours(24 * 5)).await;
    let sent: BTreeSet<String> = town.sent().await.into_iter().map(|(deal, ..)| deal).collect();
    assert_eq!(sent, BTreeSet::from(["d3".to_owned()]));
    let story = town.story("flats", "d2").await.join("\n");
    assert!(story.contains("NoAddress") || story.contains("address"), "{story}");
}
