//! What a user sees of good and bad files.

use super::{FileConnector, FileWiring};
use crate::compile::{ConnectionKind, ConnectionWiring, FieldKind, FieldOf, FieldWiring, FileSource};
use crate::crm::{Connector, CrmError, ReadPage};
use crate::model::{Contact, Deal, DealState, FieldValue, Manager, Phone};
use crate::store::{Cursor, Finding};
use jiff::Timestamp;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

fn now() -> Timestamp {
    "2026-03-10T12:00:00Z".parse().unwrap()
}

fn inline(name: &str, text: &[u8]) -> FileSource {
    FileSource::Inline { name: name.into(), bytes: Arc::new(text.to_vec()) }
}

fn wiring(deals: FileSource) -> FileWiring {
    FileWiring {
        deals,
        contacts: None,
        managers: None,
        deal_columns: [].into(),
        contact_columns: [].into(),
        manager_columns: [].into(),
        won_stages: vec!["Won".into(), "Продано".into()],
        lost_stages: vec!["Lost".into(), "Потеряно".into()],
        open_stages: vec![],
        encoding: "utf-8".into(),
        delimiter: None,
        time_zone: "Europe/Moscow".into(),
        pipeline: Some("Продажи".into()),
        max_age: None,
        journal: None,
        webhook: None,
    }
}

fn connection(file: FileWiring) -> ConnectionWiring {
    let field = |name: &str, of, kind| FieldWiring { name: name.into(), from: format!("UF_{}", name.to_uppercase()), of, kind };
    ConnectionWiring {
        key: "marketing/sales-crm".into(),
        every: std::time::Duration::from_mins(1),
        region: "RU".into(),
        fields: vec![
            field("layout", FieldOf::Deal, FieldKind::String),
            field("area", FieldOf::Deal, FieldKind::Number),
            field("city", FieldOf::Client, FieldKind::String),
        ],
        kind: ConnectionKind::File(file),
    }
}

/// One that declares no fields.
fn bare_connection(file: FileWiring) -> ConnectionWiring {
    ConnectionWiring { fields: vec![], ..connection(file) }
}

fn connector(file: FileWiring) -> FileConnector {
    FileConnector::new(&connection(file)).unwrap()
}

#[derive(Default)]
struct Seen {
    deals: Vec<Deal>,
    contacts: Vec<Contact>,
    managers: Vec<Manager>,
    kept: Vec<String>,
    findings: Vec<Finding>,
    full_look: bool,
    cursor: Cursor,
    pages: usize,
}

impl Seen {
    fn count(&self, kind: &str) -> u64 {
        self.findings.iter().find(|f| f.kind == kind).map_or(0, |f| f.count)
    }

    fn example(&self, kind: &str) -> &str {
        self.findings.iter().find(|f| f.kind == kind).map_or("", |f| &f.examples[0])
    }

    fn ids(&self) -> Vec<&str> {
        self.deals.iter().map(|d| d.id.as_str()).collect()
    }
}

async fn read_from(connector: &FileConnector, cursor: Cursor, limit: usize) -> Result<Seen, CrmError> {
    let mut seen = Seen { cursor, ..Seen::default() };
    loop {
        let page: ReadPage = connector.read(&seen.cursor, limit, now()).await?;
        assert!(page.deals.len() + page.contacts.len().min(page.managers.len()) <= limit);
        seen.pages += 1;
        seen.deals.extend(page.deals);
        seen.contacts.extend(page.contacts);
        seen.managers.extend(page.managers);
        seen.kept.extend(page.kept);
        seen.cursor = page.cursor;
        if !page.more {
            seen.full_look = page.full_look;
            seen.findings = page.findings;
            assert_eq!(seen.findings, seen.cursor.findings);
            return Ok(seen);
        }
    }
}

async fn read(file: FileWiring) -> Seen {
    read_from(&connector(file), Cursor::default(), 100).await.unwrap()
}

async fn read_text(text: &str) -> Seen {
    read(wiring(inline("deals.csv", text.as_bytes()))).await
}

fn text(value: &str) -> FieldValue {
    FieldValue::Text(value.into())
}

#[tokio::test]
async fn a_finished_look_tells_pipelines_and_stages() {
    let seen = read_text("id,stage\nD1,Talks\nD2,Lost\nD3,Talks\n").await;
    let stages: Vec<&String> = seen.cursor.pipelines.values().flatten().collect();
    assert_eq!(
        (seen.cursor.pipelines.len(), stages),
        (1, vec![&"Lost".to_owned(), &"Talks".to_owned()]),
        "of {} deals",
        seen.deals.len()
    );
}

#[tokio::test]
async fn a_deal_with_its_contact_inline() {
    let seen = read_text(
        "id,title,stage,lost reason,manager,amount,currency,created_at,closedAt,nextTaskAt,name,firstName,phone,email,consent,UF_LAYOUT,UF_AREA,UF_CITY\n\
         D1,2-room flat,Lost,Layout,ivanov,\"5 400 000,50\",rub,01.02.2026,2026-03-01 10:00,2026-03-12,Anna Petrova,Anna,8 (999) 000-00-01|+79990000002,anna@example.com,\"sms,email\",2,\"54,5\",Москва\n",
    )
    .await;
    assert_eq!(seen.findings, []);
    let deal = &seen.deals[0];
    assert_eq!((deal.id.as_str(), deal.state, deal.lost_reason.as_deref()), ("D1", DealState::Lost, Some("Layout")));
    assert_eq!((deal.amount.0, deal.currency.as_deref(), deal.pipeline.as_str()), (540_000_050, Some("RUB"), "Продажи"));
    assert_eq!(deal.created_at.unwrap().to_string(), "2026-01-31T21:00:00Z");
    assert_eq!(deal.stage_changed_at.unwrap().to_string(), "2026-03-01T07:00:00Z", "lost when it was closed");
    assert_eq!(deal.next_task_at.unwrap().to_string(), "2026-03-12T20:59:59Z", "a day as a due time is its end");
    assert_eq!(deal.contacts, ["deal:D1"]);
    assert_eq!((&deal.fields["layout"], &deal.fields["area"]), (&text("2"), &FieldValue::Number(54.5)));
    let contact = &seen.contacts[0];
    assert_eq!(contact.id, "deal:D1");
    assert_eq!(contact.phones.iter().map(Phone::as_str).collect::<Vec<_>>(), ["+79990000001", "+79990000002"]);
    assert_eq!((contact.consent.sms, contact.consent.email), (Some(true), Some(true)));
    assert_eq!(contact.fields["city"], text("Москва"));
    assert!(seen.full_look && seen.cursor.complete);
    assert_eq!((seen.cursor.rows, seen.cursor.read_at), (1, Some(now())));
}

#[tokio::test]
async fn three_files_with_mapped_columns() {
    let mut file =
        wiring(inline("deals.csv", b"opportunity_id,sales_agent,deal_stage,contact_id\n1,Moses,Won,K1\n2,Nobody,Engaging,K9\n"));
    file.contacts = Some(inline("contacts.csv", b"contact_id,name,email,agreed\nK1,Sara Moreau,sara@example.com,yes\n"));
    file.managers = Some(inline("teams.csv", b"sales_agent,manager\nMoses,Dustin\nDustin,\n"));
    file.deal_columns = [
        ("id", "opportunity_id"),
        ("manager", "sales_agent"),
        ("stage", "deal_stage"),
        ("contactId", "contact_id"),
        ("consent", "agreed"),
    ]
    .map(|(k, v)| (k.into(), v.into()))
    .into();
    file.manager_columns = [("id", "sales_agent"), ("supervisor", "manager")].map(|(k, v)| (k.into(), v.into())).into();
    let seen = read(file).await;
    assert_eq!(seen.ids(), ["1", "2"]);
    assert_eq!(seen.deals[0].contacts, ["K1"]);
    assert_eq!(seen.contacts[0].consent.email, Some(true), "`columns` may name a contact's column");
    assert_eq!(seen.managers[0].supervisor.as_ref().unwrap().0, "Dustin");
    assert_eq!(seen.managers[0].name.0, "Moses");
    assert_eq!((seen.count("UnknownManager"), seen.count("UnknownContact")), (1, 1));
    assert_eq!(
        seen.example("UnknownContact"),
        "deals.csv:3: contactId names a contact that the contacts file does not have; add a row there"
    );
}

#[tokio::test]
async fn json_lines() {
    let lines = concat!(
        "{\"id\": 7, \"stage\": \"Lost\", \"phone\": [\"+79990000001\", \"+79990000002\"], \"consent\": true}\n",
        "not json\n",
        "{\"stage\": \"New\", \"ID\": \"8\", \"amount\": 12.5, \"manager\": null, \"email\": \"a@example.com\"}\n",
    );
    let seen = read(wiring(inline("deals.jsonl", lines.as_bytes()))).await;
    assert_eq!(seen.ids(), ["7", "8"]);
    assert_eq!((seen.contacts[0].phones.len(), seen.contacts[0].consent.sms), (2, Some(true)));
    assert_eq!((seen.deals[1].amount.0, seen.contacts[1].emails.len()), (1250, 1));
    assert_eq!(seen.example("BrokenRow"), "deals.jsonl:2: the line is not a JSON object; write one object in braces a line");
    assert!(!seen.full_look, "nobody knows whose line was lost");
}

/// What it is, kind, bytes, place of the first example, deals read, deals kept, whether missing deals count as deleted.
type BadInput<'a> = (&'a str, &'a str, &'a [u8], &'a str, &'a [&'a str], &'a [&'a str], bool);

/// One row of bad input each: what is counted, and what is nevertheless read.
#[tokio::test]
async fn bad_rows_are_counted_and_the_rest_goes_on() {
    let huge = format!("id,stage,title\n1,New,{}\n2,New,b\n", "x".repeat(10_000_000));
    let table: &[BadInput] = &[
        ("a short row", "BrokenRow", b"id,stage,title\n1,New\n2,New,b\n", "deals.csv:2", &["2"], &["1"], true),
        ("a long row", "BrokenRow", b"id,stage,title\n1,New,a,b\n2,New,b\n", "deals.csv:2", &["2"], &["1"], true),
        (
            "an unquoted comma, where the id comes last",
            "BrokenRow",
            b"stage,title,id\nNew,flat, big,7\nNew,b,2\n",
            "deals.csv:2",
            &["2"],
            &[],
            false,
        ),
        (
            "colleagues behind a switchboard",
            "InvalidPhone",
            "id,stage,phone,email\n1,New,+7 495 123-45-67 доб. 101,a@example.com\n2,New,,b@example.com\n".as_bytes(),
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        (
            "a comma that may mean thousands",
            "InvalidAmount",
            b"id,stage,amount\n1,New,\"12,500\"\n2,New,5\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        ("an open quote", "BrokenRow", b"id,stage,title\n1,New,\"a\n2,New,b\n", "deals.csv:2", &["2"], &["1"], true),
        ("an open quote first", "BrokenRow", b"id,stage,title\n\"1,New,a\n2,New,b\n", "deals.csv:2", &["2"], &[], false),
        ("a duplicate id", "DuplicateId", b"id,stage,title\n1,New,a\n2,New,b\n1,Won,c\n", "deals.csv:2", &["2", "1"], &[], true),
        ("no id", "MissingId", b"id,stage,title\n,New,a\n2,New,b\n", "deals.csv:2", &["2"], &[], true),
        ("no stage", "MissingStage", b"id,stage,title\n1,,a\n2,New,b\n", "deals.csv:2", &["1", "2"], &[], true),
        (
            "a lost stage nobody named",
            "UnknownStage",
            b"id,stage,title\n1,Closed lost,a\n2,New,b\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        ("no date", "InvalidDate", b"id,stage,createdAt\n1,New,03/01/2026\n2,New,\n", "deals.csv:2", &["1", "2"], &[], true),
        (
            "a date to come",
            "FutureDate",
            b"id,stage,lastActivityAt\n1,New,2062-03-01\n2,New,\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        ("no amount", "InvalidAmount", b"id,stage,amount\n1,New,a lot\n2,New,5\n", "deals.csv:2", &["1", "2"], &[], true),
        (
            "no phone number",
            "InvalidPhone",
            b"id,stage,phone,email\n1,New,12,a@example.com\n2,New,,b@example.com\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        (
            "no email",
            "InvalidEmail",
            b"id,stage,phone,email\n1,New,+79990000001,a@b\n2,New,,b@example.com\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        (
            "no address",
            "NoAddress",
            b"id,stage,phone,email\n1,New,,\n2,New,,b@example.com\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        (
            "no consent word",
            "InvalidConsent",
            b"id,stage,email,consent\n1,New,a@example.com,maybe\n2,New,b@example.com,yes\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        (
            "no zone",
            "InvalidTimeZone",
            b"id,stage,email,timeZone\n1,New,a@example.com,Moscow\n2,New,b@example.com,\n",
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        (
            "no number",
            "InvalidField",
            "id,stage,UF_AREA\n1,New,большая\n2,New,54\n".as_bytes(),
            "deals.csv:2",
            &["1", "2"],
            &[],
            true,
        ),
        ("a NUL byte", "NulByte", b"id,stage,title\n1,New,a\0b\n2,New,b\n", "deals.csv:2", &["1", "2"], &[], true),
        (
            "another encoding",
            "WrongEncoding",
            b"id,stage,title\n1,New,\xcf\xf0\xe8\xe2\xe5\xf2\n2,New,b\n",
            "deals.csv:2",
            &["2"],
            &["1"],
            true,
        ),
        ("a huge cell", "TooLong", huge.as_bytes(), "deals.csv:2", &["1", "2"], &[], true),
    ];
    for (what, kind, bytes, place, deals, kept, full_look) in table {
        let seen = read(wiring(inline("deals.csv", bytes))).await;
        assert_eq!(seen.count(kind), 1, "{what}: {:?}", seen.findings);
        assert!(seen.example(kind).starts_with(&format!("{place}: ")), "{what}: {}", seen.example(kind));
        assert!(seen.example(kind).contains(';'), "{what}: says what to write: {}", seen.example(kind));
        assert_eq!(
            (seen.ids(), seen.kept.iter().map(String::as_str).collect::<Vec<_>>()),
            (deals.to_vec(), kept.to_vec()),
            "{what}"
        );
        assert_eq!(seen.full_look, *full_look, "{what}");
    }
}

/// Deals and contacts are numbered alike: deal 123 has a client of its own, whatever contact 123 is called.
#[tokio::test]
async fn a_deal_without_a_contact_is_not_the_contact_of_the_same_number() {
    let seen = read_text("id,stage,contactId,phone\n123,New,,+79990000001\n9,New,123,+79990000002\n").await;
    assert_eq!(seen.deals.iter().map(|d| d.contacts[0].as_str()).collect::<Vec<_>>(), ["deal:123", "123"]);
    let phones: Vec<(&str, &str)> = seen.contacts.iter().map(|c| (c.id.as_str(), c.phones[0].as_str())).collect();
    assert_eq!(phones, [("deal:123", "+79990000001"), ("123", "+79990000002")]);

    let mut file = wiring(inline("deals.csv", b"id,stage,contactId,phone\n123,New,,+79990000001\n"));
    file.contacts = Some(inline("contacts.csv", b"id,phone\n123,+79990000002\n"));
    let seen = read(file).await;
    let phones: Vec<(&str, &str)> = seen.contacts.iter().map(|c| (c.id.as_str(), c.phones[0].as_str())).collect();
    assert_eq!(phones, [("123", "+79990000002"), ("deal:123", "+79990000001")]);
}

/// What the version before told of a deal's own contact would be held against the client for ever: an old number, a consent of then.
#[tokio::test]
async fn the_first_look_of_a_new_version_takes_back_contacts_with_the_ids_of_deals() {
    let text = "id,stage,contactId,phone\n1,New,,+79990000001\n2,New,,+79990000002\n3,New,2,+79990000003\n";
    let connector = connector(wiring(inline("deals.csv", text.as_bytes())));
    let mut seen = read_from(&connector, Cursor::default(), 10).await.unwrap();
    assert_eq!(seen.contacts.len(), 3, "nothing is taken back where nothing was told");
    let position = seen.cursor.position.as_object_mut().unwrap();
    assert_eq!(position.remove("own"), Some(true.into()));
    position["files"]["settings"] = "what rows meant to the version before".into();
    let again = read_from(&connector, seen.cursor, 10).await.unwrap();
    let mut told: Vec<(&str, usize)> = again.contacts.iter().map(|c| (c.id.as_str(), c.phones.len())).collect();
    told.sort_unstable();
    assert_eq!(told, [("1", 0), ("2", 1), ("deal:1", 1), ("deal:2", 1)], "2 is somebody else");
    let changed = text.replace("New", "Won");
    let next = FileConnector::new(&connection(wiring(inline("deals.csv", changed.as_bytes())))).unwrap();
    assert_eq!(read_from(&next, again.cursor, 10).await.unwrap().contacts.len(), 3, "once");
}

#[tokio::test]
async fn the_last_of_equal_ids_counts() {
    let seen = read_text("id,stage\n1,New\n1,Talks\n1,Won\n").await;
    assert_eq!(seen.deals.iter().map(|d| d.stage.as_str()).collect::<Vec<_>>(), ["Won"]);
    assert_eq!((seen.count("DuplicateId"), seen.cursor.rows), (2, 1));
    assert!(seen.example("DuplicateId").contains("line 4"));
}

/// An exporter that leaves out what is empty: which deal comes first decides nothing.
#[tokio::test]
async fn lines_of_json_may_leave_out_what_is_empty() {
    let (bare, full) =
        ("{\"id\": 1, \"name\": \"Anna\"}\n", "{\"id\": 2, \"stage\": \"New\", \"phone\": \"+79990000001\", \"due\": null}\n");
    for text in [format!("{bare}{full}"), format!("{full}{bare}")] {
        let mut file = wiring(inline("deals.jsonl", text.as_bytes()));
        file.deal_columns = [("nextTaskAt".to_owned(), "due".to_owned())].into();
        let seen = read_from(&FileConnector::new(&bare_connection(file)).unwrap(), Cursor::default(), 10).await.unwrap();
        assert_eq!(seen.count("MissingColumn"), 0, "{text}");
        let phones: BTreeMap<&str, usize> = seen.contacts.iter().map(|c| (c.id.as_str(), c.phones.len())).collect();
        assert_eq!(phones, [("deal:1", 0), ("deal:2", 1)].into(), "{text}");
    }
    // Whose deal it is does not change on a day when nobody has a number.
    let seen = read(wiring(inline("deals.jsonl", b"{\"id\": 1, \"stage\": \"New\"}\n"))).await;
    assert_eq!(seen.deals[0].contacts, ["deal:1"]);
    let error = connector(wiring(inline("deals.jsonl", b"{\"id\": 1}\n"))).read(&Cursor::default(), 10, now()).await.unwrap_err();
    assert!(error.to_string().contains("no column for `stage`"), "{error}");
}

#[tokio::test]
async fn findings_count_all_show_five_and_hold_no_values() {
    let rows = (0..50).fold(String::new(), |text, i| text + &format!("{i},New,secret-{i},secret{i}@nowhere\n"));
    let seen = read_text(&format!("id,stage,phone,email\n{rows}")).await;
    assert_eq!((seen.count("InvalidPhone"), seen.count("InvalidEmail"), seen.count("NoAddress")), (50, 50, 50));
    let of_rows = seen.findings.iter().filter(|f| f.kind != "MissingColumn");
    let examples: Vec<&String> = of_rows.flat_map(|f| &f.examples).collect();
    assert_eq!(examples.len(), 15);
    assert!(examples.iter().all(|e| !e.contains("secret")));
}

#[tokio::test]
async fn spellings_of_a_file() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("id;stage;title\r\n1;Lost;Привет\r\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let (win1251, _, _) = encoding_rs::WINDOWS_1251.encode("id;stage;title\r\n1;Потеряно;Привет\r\n");
    for (what, bytes, encoding) in [
        ("a BOM", "\u{feff}id,stage,title\n1,Lost,Привет\n".as_bytes(), "utf-8"),
        ("semicolons", "id;stage;title\n1;Lost;Привет\n".as_bytes(), "utf-8"),
        ("tabs", "id\tstage\ttitle\n1\tLost\tПривет\n".as_bytes(), "utf-8"),
        ("Excel's sep line", "sep=;\nid;stage;title\n1;Lost;Привет\n".as_bytes(), "utf-8"),
        ("quotes", "\"ID\",\"Stage\",\"Title\"\n\"1\",\" Lost \",\"Привет\"".as_bytes(), "utf-8"),
        ("blank lines", "\n\nid,stage,title\n\n1,Lost,Привет\n\n\n".as_bytes(), "utf-8"),
        ("trailing delimiters", "id,stage,title\n1,Lost,Привет,,,\n".as_bytes(), "utf-8"),
        ("windows-1251", &win1251, "windows-1251"),
        ("UTF-16 by its mark", &utf16, "utf-8"),
        ("a mark wins over the label", "\u{feff}id,stage,title\n1,Lost,Привет\n".as_bytes(), "windows-1251"),
    ] {
        let file = FileWiring { encoding: encoding.into(), ..wiring(inline("deals.csv", bytes)) };
        let connector = FileConnector::new(&bare_connection(file)).unwrap();
        let seen = read_from(&connector, Cursor::default(), 100).await.unwrap();
        assert_eq!(seen.findings, [], "{what}");
        let deal = &seen.deals[0];
        assert_eq!((deal.id.as_str(), deal.state, deal.title.as_str()), ("1", DealState::Lost, "Привет"), "{what}");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_say_what_to_write() {
    for (file, want) in [
        (
            wiring(inline("deals.csv", b"number,stage\n1,New\n")),
            "deals.csv has no column for `id`; its columns are `number`, `stage`; map one of them in `columns`, like `id: NAME`",
        ),
        (wiring(inline("deals.csv", b"")), "deals.csv is empty; its first line must name the columns, at least id, stage"),
    ] {
        let error = connector(file).read(&Cursor::default(), 10, now()).await.unwrap_err();
        assert_eq!((error.label(), error.to_string().as_str()), ("settings", want));
    }
    let headless = wiring(inline("deals.csv", "1,Анна Петрова,anna@example.com\n".as_bytes()));
    let error = connector(headless).read(&Cursor::default(), 10, now()).await.unwrap_err().to_string();
    assert!(!error.contains("Анна") && !error.contains("anna@"), "a first line that is no header is a person: {error}");
    for file in [
        FileWiring { encoding: "latin-42".into(), ..wiring(inline("d.csv", b"")) },
        FileWiring { time_zone: "Mars/Olympus".into(), ..wiring(inline("d.csv", b"")) },
    ] {
        assert_eq!(FileConnector::new(&connection(file)).err().unwrap().label(), "settings");
    }
    let gone = wiring(FileSource::Path("/nonexistent/deals.csv".into()));
    assert_eq!(connector(gone).read(&Cursor::default(), 10, now()).await.unwrap_err().label(), "unavailable");
}

#[tokio::test]
async fn a_declared_column_that_is_not_there_is_told_once() {
    let mut file = wiring(inline("deals.csv", b"id,stage\n1,New\n2,New\n"));
    file.deal_columns = [("lastActivityAt".to_owned(), "last_touch".to_owned())].into();
    let seen = read_from(&FileConnector::new(&bare_connection(file.clone())).unwrap(), Cursor::default(), 10).await.unwrap();
    assert_eq!((seen.deals.len(), seen.count("MissingColumn")), (2, 1));
    assert!(seen.example("MissingColumn").contains("`last_touch`"));

    // A typo in `fields`: a condition on it would never hold, and nothing would say why. The client's may stand in either file.
    let seen = read(file.clone()).await;
    assert_eq!(seen.count("MissingColumn"), 4);
    file.contacts = Some(inline("contacts.csv", b"id,UF_CITY\nK1,x\n"));
    assert_eq!(read(file.clone()).await.count("MissingColumn"), 3);
    file.contacts = Some(inline("contacts.csv", b"id\nK1\n"));
    assert_eq!(read(file.clone()).await.count("MissingColumn"), 4);
    file.deals = inline("deals.csv", b"id,stage,UF_CITY\n1,New,x\n");
    assert_eq!(read(file).await.count("MissingColumn"), 3);
}

/// Somebody renames a field in the CRM. Without its column every deal would be silent, or nobody would have a phone, at once.
#[tokio::test]
async fn a_column_that_was_there_and_is_gone_changes_no_deal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    let declared = |mut file: FileWiring| {
        file.deal_columns = [("lastActivityAt".to_owned(), "last_touch".to_owned())].into();
        file
    };
    for (what, file, column, looks) in [
        ("declared", declared(wiring(FileSource::Path(path.clone()))), "last_touch", None),
        ("a declared field", wiring(FileSource::Path(path.clone())), "UF_AREA", None),
        ("by our own name", wiring(FileSource::Path(path.clone())), "phone", Some(2)),
    ] {
        let connector = connector(file.clone());
        let header = format!("id,stage,title,{column}\n");
        write_old(&path, &format!("{header}1,New,a,\n"), 100);
        let seen = read_from(&connector, Cursor::default(), 10).await.unwrap();
        let renamed = |row: &str| write_old(&path, &format!("{}{row}", header.replace(column, "renamed")), 90);
        for look in 0..looks.unwrap_or(10) {
            renamed(&format!("1,New,{look},\n"));
            let error = connector.read(&seen.cursor, 10, now()).await.unwrap_err();
            assert_eq!(error.label(), "suspicious", "{what}");
            assert!(error.to_string().contains(&format!("`{column}` of deals.csv")), "{error}");
        }
        if looks.is_some() {
            assert_eq!(read_from(&connector, seen.cursor.clone(), 10).await.unwrap().deals.len(), 1, "{what}: believed");
        } else {
            // What the manifest says of the column decides.
            let mut other = connection(file);
            other.fields.retain(|field| field.from != column);
            let ConnectionKind::File(wiring) = &mut other.kind;
            wiring.deal_columns.clear();
            let other = FileConnector::new(&other).unwrap();
            assert_eq!(read_from(&other, seen.cursor.clone(), 10).await.unwrap().deals.len(), 1, "{what}: taken out");
        }
        write_old(&path, &format!("{header}1,Won,a,\n"), 80);
        assert_eq!(read_from(&connector, seen.cursor, 10).await.unwrap().deals.len(), 1, "{what}: back again");
    }
}

#[tokio::test]
async fn a_key_that_few_lines_of_json_had_may_be_in_none() {
    let lines =
        |n: usize, more: &str| (0..n).fold(String::new(), |text, i| text + &format!("{{\"id\": {i}, \"stage\": \"New\"{more}}}\n"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.jsonl");
    for (had, suspicious) in [(19, false), (20, true)] {
        write_old(&path, &lines(had, ", \"nextTaskAt\": \"2026-03-12\""), 100);
        let connector = connector(wiring(FileSource::Path(path.clone())));
        let seen = read_from(&connector, Cursor::default(), 100).await.unwrap();
        write_old(&path, &lines(had, ""), 90);
        assert_eq!(connector.read(&seen.cursor, 100, now()).await.is_err(), suspicious, "{had}");
    }
}

#[tokio::test]
async fn an_export_that_stopped_coming_is_not_the_crms_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    let file = FileWiring { max_age: Some(std::time::Duration::from_hours(26)), ..wiring(FileSource::Path(path.clone())) };
    write_old(&path, &rows(3), 3600);
    let seen = read_from(&connector(file.clone()), Cursor::default(), 10).await.unwrap();
    assert!(!connector(file.clone()).changed(&seen.cursor).await.unwrap());
    write_old(&path, &rows(3), 3 * 24 * 3600);
    let late = connector(file.clone());
    assert!(late.changed(&seen.cursor).await.unwrap(), "who reads is told");
    let error = late.read(&seen.cursor, 10, now()).await.unwrap_err();
    assert_eq!(error.label(), "suspicious");
    assert!(error.to_string().contains("longer ago than maxAge"), "{error}");
    assert_eq!(late.read(&seen.cursor, 10, now()).await.unwrap_err().to_string(), error.to_string(), "it says the same every time");
    let whatever = FileWiring { max_age: None, ..file };
    assert!(read_from(&connector(whatever), seen.cursor, 10).await.is_ok());
}

fn rows(n: usize) -> String {
    (0..n).fold("id,stage\n".to_owned(), |text, i| text + &format!("{i},New\n"))
}

/// A file whose time lies so far back that its stamp is settled.
fn write_old(path: &Path, text: &str, age: u64) {
    std::fs::write(path, text).unwrap();
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
}

#[tokio::test]
async fn pages_are_bounded_and_a_lost_one_starts_the_look_again() {
    let connector = connector(wiring(inline("deals.csv", rows(95).as_bytes())));
    let seen = read_from(&connector, Cursor::default(), 10).await.unwrap();
    assert_eq!((seen.deals.len(), seen.cursor.rows), (95, 95));
    assert!(seen.pages >= 10);

    let first = connector.read(&Cursor::default(), 10, now()).await.unwrap();
    connector.read(&first.cursor, 10, now()).await.unwrap();
    let again = read_from(&connector, first.cursor.clone(), 10).await.unwrap();
    assert_eq!(again.deals.len(), 95, "the second page was not stored: everything comes again");
    let elsewhere = FileConnector::new(&connection(wiring(inline("deals.csv", rows(95).as_bytes())))).unwrap();
    assert_eq!(read_from(&elsewhere, first.cursor, 10).await.unwrap().deals.len(), 95, "after a restart too");
}

#[tokio::test]
async fn only_a_changed_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    write_old(&path, &rows(3), 100);
    let connector = connector(wiring(FileSource::Path(path.clone())));
    assert!(connector.changed(&Cursor::default()).await.unwrap());
    let seen = read_from(&connector, Cursor::default(), 10).await.unwrap();
    assert!(!connector.changed(&seen.cursor).await.unwrap());

    write_old(&path, &rows(3), 50);
    assert!(connector.changed(&seen.cursor).await.unwrap(), "its time is another");
    let touched = read_from(&connector, seen.cursor, 10).await.unwrap();
    assert_eq!((touched.deals.len(), touched.full_look), (0, false), "its content is not");
    assert!(!connector.changed(&touched.cursor).await.unwrap());

    write_old(&path, &rows(4), 50);
    let more = read_from(&connector, touched.cursor, 10).await.unwrap();
    assert_eq!((more.ids(), more.kept.len(), more.full_look), (vec!["3"], 3, true), "of its rows only the new one is told");

    let mut other = wiring(FileSource::Path(path.clone()));
    other.won_stages.push("New".into());
    let other = self::connector(other);
    assert!(other.changed(&more.cursor).await.unwrap(), "another mapping reads the same file anew");
    assert_eq!(read_from(&other, more.cursor, 10).await.unwrap().deals[0].state, DealState::Won);
}

#[tokio::test]
async fn a_file_written_a_moment_ago_is_looked_at_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    std::fs::write(&path, rows(3)).unwrap();
    let connector = connector(wiring(FileSource::Path(path)));
    let seen = read_from(&connector, Cursor::default(), 10).await.unwrap();
    assert!(connector.changed(&seen.cursor).await.unwrap(), "a second write may have left the same time and size");
    assert_eq!(read_from(&connector, seen.cursor, 10).await.unwrap().deals.len(), 0);
}

#[tokio::test]
async fn an_emptied_file_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    write_old(&path, &rows(3), 100);
    let connector = connector(wiring(FileSource::Path(path.clone())));
    let seen = read_from(&connector, Cursor::default(), 10).await.unwrap();
    for emptied in ["", "id,stage\n", "id,stage\n,New\n,New\n", "\n\n"] {
        write_old(&path, emptied, 90);
        for _ in 0..5 {
            let error = connector.read(&seen.cursor, 10, now()).await.unwrap_err();
            assert_eq!(error.label(), if emptied == "\n\n" { "settings" } else { "suspicious" }, "{emptied:?}");
        }
    }
    write_old(&path, &rows(2), 80);
    let back = read_from(&connector, seen.cursor, 10).await.unwrap();
    assert_eq!((back.deals.len() + back.kept.len(), back.full_look), (2, true));
}

#[tokio::test]
async fn a_file_that_halved_is_believed_when_it_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    write_old(&path, &rows(100), 100);
    let connector = connector(wiring(FileSource::Path(path.clone())));
    let seen = read_from(&connector, Cursor::default(), 1000).await.unwrap();
    let suspicious = async || connector.read(&seen.cursor, 1000, now()).await.err().map(|e| e.label());
    write_old(&path, &rows(40), 90);
    assert_eq!(suspicious().await, Some("suspicious"));
    assert_eq!(suspicious().await, Some("suspicious"));
    write_old(&path, &rows(30), 80);
    assert_eq!(suspicious().await, Some("suspicious"), "it still changes: counting begins again");
    assert_eq!(suspicious().await, Some("suspicious"));
    let believed = read_from(&connector, seen.cursor.clone(), 1000).await.unwrap();
    assert_eq!((believed.deals.len() + believed.kept.len(), believed.full_look), (30, true));
}

#[tokio::test]
async fn unchanged_contacts_are_not_handed_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    write_old(&path, "id,stage,contactId\n1,New,K1\n", 100);
    let mut file = wiring(FileSource::Path(path.clone()));
    file.contacts = Some(inline("contacts.csv", b"id,email\nK1,a@example.com\nK2,\n"));
    let connector = connector(file);
    let seen = read_from(&connector, Cursor::default(), 10).await.unwrap();
    assert_eq!((seen.contacts.len(), seen.count("NoAddress")), (2, 1));
    write_old(&path, "id,stage,contactId\n1,Won,K1\n", 90);
    let again = read_from(&connector, seen.cursor, 10).await.unwrap();
    assert_eq!((again.contacts.len(), again.deals.len(), again.count("NoAddress")), (0, 1, 1));
}

#[tokio::test]
async fn people_count_as_gone_only_where_their_file_can_be_believed() {
    let folder = tempfile::tempdir().unwrap();
    let [deals, contacts, managers] = ["deals.csv", "contacts.csv", "managers.csv"].map(|name| folder.path().join(name));
    write_old(&deals, "id,stage,contactId,manager,phone\nD1,New,K1,M1,\nD2,New,,M1,+79990000002\n", 100);
    write_old(&contacts, "id,phone\nK1,+79990000001\nK2,+79990000003\n", 100);
    write_old(&managers, "id,name\nM1,Ivan\nM2,Petra\n", 100);
    let mut file = wiring(FileSource::Path(deals.clone()));
    file.contacts = Some(FileSource::Path(contacts.clone()));
    file.managers = Some(FileSource::Path(managers.clone()));
    let connector = connector(file);
    let own = |page: &ReadPage| {
        let told = page.contacts.iter().map(|c| c.id.clone()).filter(|id| !id.starts_with('K'));
        told.collect::<Vec<String>>()
    };
    let there = |page: &ReadPage, ids: &[&str]| {
        let has = |ids: &[&str], of: &Option<crate::crm::Ids>| of.as_ref().map(|of| ids.iter().filter(|id| of.has(id)).count());
        (has(ids, &page.contacts_there), has(&["M1", "M2"], &page.managers_there))
    };
    let first = connector.read(&Cursor::default(), 100, now()).await.unwrap();
    let own = own(&first);
    assert_eq!(own.len(), 1, "the deal's own contact");
    let everybody = ["K1", "K2", own[0].as_str()];
    assert_eq!(there(&first, &everybody), (Some(3), Some(2)));
    assert_eq!(there(&first, &["K3"]), (Some(0), Some(2)));

    write_old(&contacts, "id,phone\nK1,+79990000001\n", 90);
    write_old(&managers, "id,name\nM2,Petra\n", 90);
    let fewer = connector.read(&first.cursor, 100, now()).await.unwrap();
    assert_eq!(there(&fewer, &["K1", own[0].as_str()]), (Some(2), Some(1)), "with rows that were told before");
    assert_eq!(there(&fewer, &["K2"]), (Some(0), Some(1)));

    // A row of which nobody can say whose it is.
    std::fs::write(&contacts, b"id,phone\nK1,+79990000001\n\xff\xfe,+79990000003\n").unwrap();
    let hidden = connector.read(&fewer.cursor, 100, now()).await.unwrap();
    assert_eq!((there(&hidden, &everybody), hidden.full_look), ((None, Some(1)), true));
    assert!(hidden.findings.iter().any(|f| f.kind == "DeletionsWithheld"), "{:?}", hidden.findings);

    for (path, emptied) in [(&managers, "id,name\n"), (&contacts, "id,phone\n")] {
        let before = std::fs::read(path).unwrap();
        std::fs::write(path, emptied).unwrap();
        for _ in 0..5 {
            assert_eq!(connector.read(&hidden.cursor, 100, now()).await.unwrap_err().label(), "suspicious");
        }
        std::fs::write(path, before).unwrap();
    }
    let many = (0..30).fold(String::new(), |rows, n| rows + &format!("K{n},\n"));
    std::fs::write(&contacts, format!("id,phone\n{many}")).unwrap();
    let many = connector.read(&hidden.cursor, 100, now()).await.unwrap();
    std::fs::write(&contacts, "id,phone\nK1,+79990000001\n").unwrap();
    for _ in 0..2 {
        assert_eq!(connector.read(&many.cursor, 100, now()).await.unwrap_err().label(), "suspicious", "more than half of them");
    }
    let believed = connector.read(&many.cursor, 100, now()).await.unwrap();
    assert_eq!(there(&believed, &["K1", "K2"]), (Some(1), Some(1)), "it stays so");
}

#[tokio::test]
async fn contacts_beside_deals_are_gone_with_the_last_row_that_tells_of_them() {
    let told = "id,stage,contactId,phone\n1,New,K1,+79990000001\n2,New,,+79990000002\n";
    // Row 3 names a contact, and cannot be read any further than its id.
    let named = [("3,New,K3,+79990000003\n", Some(true)), ("3\n", None), ("3,Won,K1,+79990000001\n", Some(false))];
    let nobody_named = "id,stage,phone\n1,New,+79990000001\n2,New,+79990000002\n";
    let own = [("3,New,+79990000003\n", Some(true)), ("3\n", Some(true)), ("", Some(false))];
    for (begun, gone, more) in [(told, "K3", &named[..]), (nobody_named, "deal:3", &own[..])] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deals.csv");
        let connector = connector(wiring(FileSource::Path(path.clone())));
        let mut cursor = Cursor::default();
        for (row, there) in more {
            std::fs::write(&path, format!("{begun}{row}")).unwrap();
            let page = connector.read(&cursor, 100, now()).await.unwrap();
            assert!(page.full_look);
            assert_eq!(page.contacts_there.as_ref().map(|ids| ids.has(gone)), *there, "{gone}, {row:?}");
            assert!(page.contacts_there.is_none_or(|ids| ids.has("deal:2")), "told before, or anew");
            assert_eq!(page.findings.iter().any(|f| f.kind == "DeletionsWithheld"), there.is_none());
            cursor = page.cursor;
        }
    }
    let nobody = connector(wiring(inline("deals.csv", b"id,stage,contactId\n1,New,K1\n")));
    assert!(nobody.read(&Cursor::default(), 100, now()).await.unwrap().contacts_there.is_none(), "no row tells of any");
}

#[tokio::test]
async fn of_an_export_written_anew_only_the_changes_are_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    let connector = connector(wiring(FileSource::Path(path.clone())));
    std::fs::write(&path, "id,stage,phone\n1,New,+79990000001\n2,New,+79990000002\n3,New,nonsense\n4,New,+79990000004\n").unwrap();
    let first = read_from(&connector, Cursor::default(), 10).await.unwrap();
    assert_eq!((first.deals.len(), first.contacts.len(), first.count("InvalidPhone")), (4, 4, 1));

    let text = "id,stage,phone\n5,New,+79990000005\n3,New,nonsense\n2,Won,+79990000002\n1,New,+79990000001\n";
    std::fs::write(&path, text).unwrap();
    let next = read_from(&connector, first.cursor.clone(), 10).await.unwrap();
    assert_eq!(next.ids(), ["5", "3", "2"], "a row that something is wrong with is told, and counted, every time");
    assert_eq!(next.kept, ["1"]);
    assert_eq!((next.count("InvalidPhone"), next.full_look, next.cursor.rows), (1, true, 4));
    assert_eq!(
        next.cursor.pipelines,
        first.cursor.pipelines.into_keys().map(|p| (p, ["New", "Won"].map(String::from).into())).collect()
    );

    std::fs::write(&path, text.replace("5,New", "5,Won")).unwrap();
    let stale = read_from(&connector, Cursor { position: serde_json::Value::Null, ..next.cursor.clone() }, 10).await.unwrap();
    assert_eq!(stale.deals.len(), 4, "what was told is not what was stored last");
    let newcomer = Cursor { meeting: vec!["sales".into()], ..stale.cursor };
    assert_eq!(read_from(&connector, newcomer, 10).await.unwrap().deals.len(), 4, "somebody has met none of them");
}

/// What a caller knows who stores each page.
#[derive(Default)]
struct Knowledge {
    deals: BTreeMap<String, Deal>,
    contacts: BTreeMap<String, Contact>,
    cursor: Cursor,
}

impl Knowledge {
    /// Reads on, for at most so many pages, and does with them what `workers::sync` does. Whether the end was reached.
    async fn read(&mut self, connector: &FileConnector, pages: usize) -> bool {
        self.cursor.looking = false;
        let mut seen = BTreeSet::new();
        for _ in 0..pages {
            let page = connector.read(&self.cursor, 2, now()).await.unwrap();
            seen.extend(page.deals.iter().map(|d| d.id.clone()).chain(page.kept));
            self.contacts.extend(page.contacts.into_iter().map(|c| (c.id.clone(), c)));
            self.deals.extend(page.deals.into_iter().map(|d| (d.id.clone(), d)));
            self.cursor = page.cursor;
            if !page.more {
                if page.full_look {
                    self.deals.retain(|id, _| seen.contains(id));
                }
                if let Some(there) = page.contacts_there {
                    self.contacts.retain(|id, _| there.has(id));
                }
                return true;
            }
        }
        false
    }
}

fn exported(rows: &[(u8, u8, u8, u8, u8)]) -> String {
    let line = |(id, stage, contact, phone, manager): &(u8, u8, u8, u8, u8)| {
        let phone = ["", "nonsense", "+79990000001", "+79990000002"][usize::from(*phone)];
        format!(
            "{id},{},{},{phone},{}\n",
            ["New", "Won"][usize::from(*stage)],
            ["", "K1", "K2"][usize::from(*contact)],
            ["", "ann", "bob"][usize::from(*manager)]
        )
    };
    rows.iter().map(line).fold("id,stage,contactId,phone,manager\n".to_owned(), |text, line| text + &line)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever is exported, in whichever order, however a look is broken off: who reads on with a connector that remembers what it told
    /// knows in the end what one knows who reads the last export alone.
    #[test]
    fn what_is_passed_over_is_known(
        exports in prop::collection::vec((prop::collection::vec((0_u8..5, 0_u8..2, 0_u8..3, 0_u8..4, 0_u8..3), 1..7), prop::bool::ANY, 1_usize..4), 2..7),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (deals, managers) = (folder.path().join("deals.csv"), folder.path().join("managers.csv"));
            let wired = || FileWiring { managers: Some(FileSource::Path(managers.clone())), ..wiring(FileSource::Path(deals.clone())) };
            let connector = connector(wired());
            let mut known = Knowledge::default();
            for (rows, bob_is_there, pages) in &exports {
                std::fs::write(&deals, exported(rows)).unwrap();
                std::fs::write(&managers, if *bob_is_there { "id\nann\nbob\n" } else { "id\nann\n" }).unwrap();
                known.read(&connector, *pages).await;
            }
            assert!(known.read(&connector, 100).await);
            let mut fresh = Knowledge::default();
            fresh.read(&self::connector(wired()), 100).await;
            assert_eq!(known.deals.keys().collect::<Vec<_>>(), fresh.deals.keys().collect::<Vec<_>>());
            assert_eq!(known.deals, fresh.deals);
            assert_eq!((&known.cursor.findings, &known.cursor.pipelines), (&fresh.cursor.findings, &fresh.cursor.pipelines));
            assert_eq!(known.contacts, fresh.contacts);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No bytes stop the connector, and it never hands out a deal without an id or one id twice.
    #[test]
    fn no_bytes_panic(
        header in prop::sample::select(vec!["id,stage,phone,createdAt\n", "id;stage\n", "{\"id\":1,\"stage\":2}\n", "", "\u{feff}id\tstage\n"]),
        name in prop::sample::select(vec!["d.csv", "d.jsonl", "d"]),
        encoding in prop::sample::select(vec!["utf-8", "windows-1251", "utf-16le", "shift_jis"]),
        body in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\",;\n\r\0{}:1 \xff".to_vec())], 0..400),
    ) {
        let bytes = [header.as_bytes(), &body].concat();
        let connector = connector(FileWiring { encoding: encoding.into(), ..wiring(inline(name, &bytes)) });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if let Ok(seen) = runtime.block_on(read_from(&connector, Cursor::default(), 7)) {
            let mut ids = seen.ids();
            prop_assert!(ids.iter().all(|id| !id.is_empty()));
            ids.sort_unstable();
            let all = ids.len();
            ids.dedup();
            prop_assert_eq!(ids.len(), all);
        }
    }
}

#[tokio::test]
async fn a_file_written_during_the_look_deletes_nothing_and_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deals.csv");
    write_old(&path, &rows(30), 100);
    let connector = connector(wiring(FileSource::Path(path.clone())));
    let first = connector.read(&Cursor::default(), 10, now()).await.unwrap();
    write_old(&path, &rows(25), 90);
    let seen = read_from(&connector, first.cursor, 10).await.unwrap();
    assert!(!seen.full_look && !seen.cursor.complete);
    assert!(connector.changed(&seen.cursor).await.unwrap());
    let again = read_from(&connector, seen.cursor, 10).await.unwrap();
    assert_eq!((again.deals.len(), again.full_look, again.cursor.complete), (25, true, true));
}

#[tokio::test]
async fn stages_that_the_connection_names() {
    let text = b"id,stage\n1,New\n2,talks\n3,Parked\n4, LOST \n5,won\n";
    let open = FileWiring { open_stages: vec!["new".into(), "Talks".into()], ..wiring(inline("deals.csv", text)) };
    for (file, unknown) in [(open, 1), (wiring(inline("deals.csv", text)), 0)] {
        let seen = read(file).await;
        assert_eq!(seen.count("UnknownStage"), unknown);
        assert_eq!(
            seen.deals.iter().map(|d| d.state).collect::<Vec<_>>(),
            [DealState::Open, DealState::Open, DealState::Open, DealState::Lost, DealState::Won]
        );
    }
}

#[tokio::test]
async fn a_header_in_another_encoding_says_so() {
    let (header, _, _) = encoding_rs::WINDOWS_1251.encode("ID;Стадия\n1;Новая\n");
    let mut file = wiring(inline("deals.csv", &header));
    file.deal_columns = [("stage".to_owned(), "Стадия".to_owned())].into();
    let error = connector(file.clone()).read(&Cursor::default(), 10, now()).await.unwrap_err().to_string();
    assert!(error.contains("set `encoding`"), "{error}");
    assert_eq!(read(FileWiring { encoding: "windows-1251".into(), ..file }).await.deals[0].stage, "Новая");
}
