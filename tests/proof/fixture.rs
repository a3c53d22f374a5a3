//! A small installation: one funnel, two channels, one list of four items, eight deals of six people in three time zones.

use jiff::{SignedDuration, Timestamp};
use rekindle::{
    compile::{Severity, Snapshot, compile},
    model::{Contact, Deal, DealState, Email, FieldValue, FunnelKey, Manager, ManagerId, Money, Phone, Text},
    source::{Admission, load_text},
};
use std::{path::Path, sync::OnceLock};

pub const CRM: &str = "shop/crm";
pub const DEALS: usize = 8;
pub const PEOPLE: usize = 6;
/// Connections × pipeline depth of each channel: what one kill may leave unclear.
pub const BOUND: usize = 4;
/// Clients hear from us between these hours of their own day.
pub const WINDOW: (i8, i8) = (10, 20);
/// Messages to one client in one day of theirs.
pub const CAP: usize = 2;
/// The items of the list, in their order.
pub const ITEMS: [&str; 4] = ["hello", "letter", "again", "last"];

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: gateway, namespace: shop}
stringData: {username: u, password: p}
---
apiVersion: rekindle.dev/v1alpha1
kind: CrmConnection
metadata: {name: crm, namespace: shop}
spec:
  type: File
  file: {deals: {path: deals.csv}, writeBack: {path: out.jsonl}}
  sync: {every: 1m}
  maxStaleness: 2h
  fields: [{name: city, of: Client, from: city, type: String}]
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: sms, namespace: shop}
spec:
  sms: {from: SHOP, optOut: Link}
  providers:
    - {name: one, type: Kannel, kannel: {url: "http://127.0.0.1:1", secretRef: {name: gateway}}}
    - {name: two, type: Kannel, kannel: {url: "http://127.0.0.1:2", secretRef: {name: gateway}}}
  rate: {perSecond: 5}
  retry: {min: 20s, max: 5m}
  onAmbiguous: AMBIGUOUS
  expiresAfter: 12h
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: mail, namespace: shop}
spec:
  email: {from: {name: Shop, address: hello@news.shop.example}, postalAddress: "Shop, Main street 1"}
  providers: [{name: relay, type: Smtp, smtp: {host: 127.0.0.1, port: 25, tls: None}}]
  rate: {perSecond: 5}
  retry: {min: 20s, max: 5m}
  onAmbiguous: AMBIGUOUS
  expiresAfter: 2d
---
apiVersion: rekindle.dev/v1alpha1
kind: ContactPolicy
metadata: {name: default, namespace: shop}
spec:
  brand: shop
  consent: {advertising: AssumedFromCrm}
  timeZone: Europe/Moscow
  zones: {Berlin: Europe/Berlin, Vladivostok: Asia/Vladivostok}
  windows: [{from: "10:00", to: "20:00"}]
  caps: [{atMost: 2, per: Day}]
  spread: 2m
---
apiVersion: rekindle.dev/v1alpha1
kind: ContentList
metadata: {name: lost, namespace: shop}
spec:
  title: Lost
  items:
    - name: hello
      title: Hello
      after: HELLO
      sms: {text: "EDIT {{ client.firstName | default('Hello') }}, look: {{ links.shop }}"}
      links: {shop: "https://shop.example/new"}
    - name: letter
      title: Letter
      after: 40m
      email:
        subject: "{{ client.firstName | default('Hello') }}, EDIT"
        markdown: "[Look]({{ links.shop }})"
      links: {shop: "https://shop.example/letter"}
    - name: again
      title: Again
      after: 3h
      sms: {text: "EDIT again: {{ links.shop }}"}
      links: {shop: "https://shop.example/again"}
    - name: last
      title: Last
      after: 1d
      email:
        subject: "Last EDIT"
        markdown: "[Look]({{ links.shop }})"
      links: {shop: "https://shop.example/last"}
---
apiVersion: rekindle.dev/v1alpha1
kind: ReactivationFunnel
metadata: {name: flats, namespace: shop}
spec:
  mode: Live
  source: {crmRef: {name: crm}, entity: Deal}
  policyRef: {name: default}
  channels: [{name: sms, ref: {name: sms}}, {name: mail, ref: {name: mail}}]
  stages:
    inWork: {title: In work}
    stalled:
      - {name: stalled, title: Stalled, enter: [{inactivity: 20d}], remind: [{after: 0h, who: Manager}]}
    warming:
      - {name: warming, title: Warming, enter: [{lost: [Price, Layout]}], content: [{listRef: {name: lost}}]}
    revived: {title: Revived, returnTo: {stage: Talks, ifOpen: Keep}}
    unsubscribed: {title: Unsubscribed}
  replies: Ask
  reentry: {after: 60d}
"#;

/// What an edit of the manifests may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edition {
    /// The texts' wording.
    pub text: u8,
    /// The first item comes sooner or later.
    pub sooner: bool,
    pub resend: bool,
}

fn admission() -> &'static Admission {
    static ADMISSION: OnceLock<Admission> = OnceLock::new();
    ADMISSION.get_or_init(Admission::of_this_version)
}

/// The manifests of an edition, as an API server would have stored them.
pub fn snapshot(edition: Edition) -> Snapshot {
    static KNOWN: OnceLock<std::sync::Mutex<std::collections::BTreeMap<Edition, Snapshot>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(std::sync::Mutex::default).lock().unwrap();
    known.entry(edition).or_insert_with(|| read(edition)).clone()
}

fn read(edition: Edition) -> Snapshot {
    let text = MANIFESTS
        .replace("EDIT", ["One", "Two", "Three"][usize::from(edition.text % 3)])
        .replace("HELLO", if edition.sooner { "5m" } else { "2h" })
        .replace("AMBIGUOUS", if edition.resend { "Resend" } else { "Hold" });
    let admission = admission();
    let loaded = load_text(Path::new("/world/all.yaml"), text.as_bytes(), &admission.kinds());
    let admitted = admission.admit(&loaded);
    let problems = admitted.problems(compile(&admitted.snapshot).findings, &loaded);
    let errors: Vec<String> = problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    admitted.snapshot
}

pub fn funnel() -> FunnelKey {
    FunnelKey { namespace: "shop".into(), name: "flats".into() }
}

/// A Friday: half past ten in Moscow, early evening in Vladivostok, before the window in Berlin, where DST ends on the Sunday after.
pub fn start() -> Timestamp {
    "2026-10-23T07:30:00Z".parse().unwrap()
}

pub fn deal_id(n: usize) -> String {
    format!("D{n}")
}

/// Whose deal it is: two people have two deals each.
pub const fn person_of(deal: usize) -> usize {
    if deal < PEOPLE { deal } else { deal - PEOPLE }
}

/// Persons 4 and 5 share a phone.
pub fn phone(person: usize) -> Phone {
    Phone::parse(&format!("+799900000{:02}", if person == 5 { 4 } else { person }), "RU").unwrap()
}

pub fn email(person: usize) -> Email {
    Email::parse(&format!("p{person}@mail.example")).unwrap()
}

/// The zone in which a person lives: told by the city, Moscow if nobody knows.
pub const fn zone(person: usize) -> &'static str {
    match person % 3 {
        1 => "Europe/Berlin",
        2 => "Asia/Vladivostok",
        _ => "Europe/Moscow",
    }
}

pub fn contact(person: usize) -> Contact {
    let city = match person % 3 {
        1 => Some("Berlin"),
        2 => Some("Vladivostok"),
        _ => None,
    };
    Contact {
        id: format!("C{person}"),
        name: Text(format!("Person {person}")),
        first_name: Some(Text(format!("P{person}"))),
        phones: vec![phone(person)],
        emails: vec![email(person)],
        fields: city.map(|c| ("city".to_owned(), FieldValue::Text(c.into()))).into_iter().collect(),
        ..Contact::default()
    }
}

pub fn manager() -> Manager {
    Manager {
        id: ManagerId("m1".into()),
        name: Text("Manager".into()),
        first_name: None,
        email: None,
        phone: None,
        supervisor: None,
        deputy: None,
        absent_until: None,
    }
}

pub fn deal(n: usize) -> Deal {
    let before = start() - SignedDuration::from_hours(24);
    Deal {
        id: deal_id(n),
        title: format!("Flat {n}"),
        stage: "Talks".into(),
        state: DealState::Open,
        amount: Money(1_000_000),
        manager: Some(ManagerId("m1".into())),
        created_at: Some(before),
        updated_at: Some(before),
        stage_changed_at: Some(before),
        last_activity_at: Some(before),
        contacts: vec![format!("C{}", person_of(n))],
        ..Deal::default()
    }
}
