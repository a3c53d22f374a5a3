//! A small installation to try things on.

use jiff::{SignedDuration, Timestamp};
use rekindle::engine::{Copy, CopyState, Effect, EffectKind, History};
use rekindle::model::{
    Address, AddressHash, ClientId, Contact, CopyId, Deal, DealState, EffectKey, EffectRef, EffectStatus, Email, FunnelKey,
    Manager, ManagerId, Medium, Money, Phone, Purpose, Role, SendAs, Text,
};
use rekindle::store::{Batch, Change, Commit, Lease, Load, NewEffect, Page, Store};
use std::time::Duration;

pub const TTL: Duration = Duration::from_mins(1);
pub const CRM: &str = "default/crm";

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

pub fn funnel() -> FunnelKey {
    FunnelKey { namespace: "default".into(), name: "reactivation".into() }
}

pub fn phone(n: u32) -> Phone {
    Phone::parse(&format!("+7999{n:07}"), "RU").unwrap()
}

pub fn contact(id: &str, n: u32) -> Contact {
    Contact {
        id: id.into(),
        name: Text(format!("Client {id}")),
        phones: vec![phone(n)],
        emails: vec![Email::parse(&format!("c{n}@example.com")).unwrap()],
        ..Contact::default()
    }
}

pub fn deal(id: &str, contact: &str) -> Deal {
    Deal {
        id: id.into(),
        title: format!("Deal {id}"),
        stage: "Doesn't fit: layout".into(),
        state: DealState::Lost,
        amount: Money(100_000),
        manager: Some(ManagerId("m1".into())),
        contacts: if contact.is_empty() { Vec::new() } else { vec![contact.into()] },
        updated_at: Some(at(0)),
        stage_changed_at: Some(at(-100)),
        ..Deal::default()
    }
}

pub fn manager(id: &str) -> Manager {
    Manager {
        id: ManagerId(id.into()),
        name: Text(format!("Manager {id}")),
        first_name: None,
        email: None,
        phone: None,
        supervisor: None,
        deputy: None,
        absent_until: None,
    }
}

pub fn page(contacts: Vec<Contact>, deals: Vec<Deal>) -> Page {
    Page { connection: CRM.into(), contacts, deals: deals.into_iter().map(|d| (d, 1)).collect(), ..Page::default() }
}

pub fn new_copy(deal: &Deal) -> Change {
    Change {
        copy: Copy {
            id: CopyId(0),
            funnel: funnel(),
            client: ClientId(0),
            shard: 0,
            ver: 0,
            role: Role::Warming,
            stage: "warm".into(),
            cycle: 1,
            amount: deal.amount,
            next_at: Some(at(100)),
            next_seq: 1,
            state: CopyState { entered_at: Some(at(0)), cycle_at: Some(at(0)), ..CopyState::default() },
        },
        connection: CRM.into(),
        deal: deal.id.clone(),
        effects: Vec::new(),
        history: Vec::new(),
        cycle: Vec::new(),
    }
}

pub fn message(store: &Store, seq: i32, item: &str, to: &Phone) -> NewEffect {
    let address = Address::Phone(to.clone());
    let recipient = store.journal.address_hash(&address);
    NewEffect {
        effect: Effect {
            key: EffectKey { cycle: 1, list: "winback".into(), item: item.into(), recipient },
            seq,
            kind: EffectKind::Message {
                channel: "sms".into(),
                medium: Medium::Sms,
                purpose: Purpose::Advertising,
                address,
                variant: None,
                send_as: SendAs::Brand,
                consent: Some("crm:default/crm".into()),
                expires_at: at(86_400),
            },
        },
        status: EffectStatus::Intended,
        brand: "acme".into(),
        policy: "shop/default".into(),
        revision: 1,
        body_hash: Some("hash".into()),
        links: vec!["https://example.com/a".into()],
        codes: Vec::new(),
        payload: None,
        resend: false,
        charge: None,
        target: "sms".into(),
        not_before: None,
        expires_at: None,
    }
}

pub fn write_back(seq: i32, what: &str) -> NewEffect {
    NewEffect {
        effect: Effect {
            key: EffectKey { cycle: 1, list: format!("@{what}"), item: format!("{seq}"), recipient: AddressHash(String::new()) },
            seq,
            kind: EffectKind::Move { stage: "New".into() },
        },
        status: EffectStatus::Planned,
        brand: String::new(),
        policy: String::new(),
        revision: 1,
        body_hash: None,
        links: Vec::new(),
        codes: Vec::new(),
        payload: Some(format!("{{\"n\":{seq}}}")),
        resend: false,
        charge: None,
        target: CRM.into(),
        not_before: None,
        expires_at: None,
    }
}

pub fn effect(copy: CopyId, seq: i32) -> EffectRef {
    EffectRef { copy, seq }
}

/// A store with its lease.
pub struct World {
    pub store: Store,
    pub lease: Lease,
}

impl World {
    pub async fn new(backend: &super::Backend) -> Self {
        let store = backend.open().await;
        let lease = store.journal.take("one", TTL).await.unwrap().expect("the lease of a fresh database is free");
        Self { store, lease }
    }

    pub async fn commit(&self, batch: Batch) -> Commit {
        self.store.journal.commit(&self.lease, batch).await.unwrap()
    }

    /// Deals with their contacts, each with a warming copy. `(deal, contact, number of the phone)`.
    pub async fn deals(&self, rows: &[(&str, &str, u32)]) -> Vec<CopyId> {
        let deals: Vec<Deal> = rows.iter().map(|(d, c, _)| deal(d, c)).collect();
        let contacts = rows.iter().filter(|(_, c, _)| !c.is_empty()).map(|(_, c, n)| contact(c, *n)).collect();
        let changes = deals.iter().map(new_copy).collect();
        let batch = Batch { now: Some(at(0)), page: Some(page(contacts, deals)), changes, ..Batch::default() };
        let commit = self.commit(batch).await;
        assert_eq!((commit.created.len(), commit.stale.len()), (rows.len(), 0));
        commit.created
    }

    pub async fn copy(&self, id: CopyId) -> rekindle::engine::Subject {
        let mut found = self.store.journal.load(&Load::Copies(vec![id]), at(0)).await.unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    /// A decision on the stored version of a copy, with these effects.
    pub async fn decided(&self, id: CopyId, effects: Vec<NewEffect>) -> Change {
        let subject = self.copy(id).await;
        let mut copy = subject.copy;
        copy.next_seq += i32::try_from(effects.len()).unwrap();
        Change { copy, connection: CRM.into(), deal: subject.deal.id, effects, history: Vec::new(), cycle: Vec::new() }
    }

    pub async fn decide(&self, id: CopyId, effects: Vec<NewEffect>) -> Commit {
        let change = self.decided(id, effects).await;
        self.commit(Batch { now: Some(at(10)), changes: vec![change], ..Batch::default() }).await
    }

    pub async fn status(&self, id: CopyId, seq: i32) -> Option<EffectStatus> {
        self.copy(id).await.ledger.iter().find(|e| e.seq == seq).map(|e| e.status)
    }

    pub async fn outbox(&self, now: Timestamp) -> Vec<(EffectRef, String, i32)> {
        let rows = self.store.journal.outbox(now, 100).await.unwrap();
        rows.into_iter().map(|o| (o.effect, o.payload, o.attempt)).collect()
    }
}

pub fn moved(to: Role, why: &str) -> History {
    History::Stage { from: Role::Warming, to, stage: String::new(), why: why.into() }
}
