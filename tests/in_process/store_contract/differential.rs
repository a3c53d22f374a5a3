//! The same operations, drawn from a seed, on a database and on the collections in memory: after each one both must know the same.

use super::Backend;
use super::world::*;
use jiff::Timestamp;
use rekindle::engine::{CycleChange, CycleEnd, Voice};
use rekindle::model::*;
use rekindle::store::*;
use std::fmt::Write as _;

const PEOPLE: u32 = 5;
const DEALS: usize = 6;

/// Numbers that only depend on the seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 += 1;
        stable_hash(&[&self.0.to_be_bytes()]) % sides
    }

    fn person(&mut self) -> u32 {
        u32::try_from(self.roll(u64::from(PEOPLE))).unwrap()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Page { person: u32, second: Option<u32>, deal: u64, state: DealState, version: i64, consent: Option<bool> },
    Gone { person: u32 },
    Message { deal: u64, person: u32, item: u64, planned: bool, resend: bool, costs: Option<i64> },
    WriteBacks { deal: u64 },
    Cycle { deal: u64, end: bool },
    Start,
    Mark { deal: u64, seq: i32, attempt: i32, outcome: Outcome, again: bool },
    Receipt { id: u64, outcome: Outcome },
    Receive { id: u64, person: u32, suppress: bool },
    Consume,
    Hold(HoldScope),
    Release(HoldScope),
    TakeOver,
    Publish(u64),
    Retire,
    Resolve { deal: u64, seq: i32, how: Resolution },
    Click { deal: u64, seq: i32, id: u64, verdict: Option<ClickVerdict> },
    Judge { deal: u64, seq: i32, verdict: ClickVerdict },
    Bury { source: Source, deal: u64 },
    Cursor(u64),
    Raise(i64),
}

fn step(dice: &mut Dice, n: i64) -> Step {
    let deal = dice.roll(DEALS as u64);
    let scopes = [HoldScope::All, HoldScope::Channel("sms".into()), HoldScope::Funnel(funnel())];
    let scope = scopes[usize::try_from(dice.roll(3)).unwrap()].clone();
    let reason = || "Busy".to_owned();
    let seq = |dice: &mut Dice| 1 + i32::try_from(dice.roll(6)).unwrap();
    let verdict = |dice: &mut Dice| if dice.roll(2) == 0 { ClickVerdict::Human } else { ClickVerdict::Machine };
    match dice.roll(27) {
        0..=3 => Step::Page {
            person: dice.person(),
            second: (dice.roll(6) == 0).then(|| dice.person()),
            deal,
            state: [DealState::Lost, DealState::Open, DealState::Won, DealState::Deleted][usize::try_from(dice.roll(4)).unwrap()],
            version: n - i64::try_from(dice.roll(4)).unwrap(),
            consent: [None, Some(true), Some(false)][usize::try_from(dice.roll(3)).unwrap()],
        },
        4..=7 => Step::Message {
            deal,
            person: dice.person(),
            item: dice.roll(4),
            planned: dice.roll(4) == 0,
            resend: dice.roll(4) == 0,
            costs: (dice.roll(3) == 0).then(|| i64::try_from(dice.roll(3)).unwrap() * 10),
        },
        8 => Step::WriteBacks { deal },
        9 => Step::Cycle { deal, end: dice.roll(2) == 0 },
        10 | 11 => Step::Start,
        12..=14 => Step::Mark {
            deal,
            seq: seq(dice),
            attempt: i32::try_from(dice.roll(4)).unwrap() - 1,
            outcome: match dice.roll(8) {
                0 | 1 => Outcome::Accepted { provider: "p".into(), provider_id: Some(dice.roll(5).to_string()) },
                2 => Outcome::Delivered,
                3 => Outcome::Retry { reason: reason(), after: None },
                4 => Outcome::Rejected { reason: reason(), suppress: dice.roll(3) == 0 },
                5 => Outcome::Unknown { reason: reason() },
                6 => Outcome::NotStarted,
                _ => Outcome::Expired,
            },
            again: dice.roll(2) == 0,
        },
        15 => Step::Receipt { id: dice.roll(5), outcome: Outcome::Delivered },
        16 => Step::Receive { id: dice.roll(12), person: dice.person(), suppress: dice.roll(3) == 0 },
        17 => Step::Consume,
        18 => match dice.roll(3) {
            0 => Step::Hold(scope),
            _ => Step::Release(scope),
        },
        19 => match dice.roll(3) {
            0 => Step::Publish(dice.roll(2)),
            _ => Step::TakeOver,
        },
        20 | 21 => Step::Click { deal, seq: seq(dice), id: dice.roll(20), verdict: (dice.roll(2) == 0).then(|| verdict(dice)) },
        22 => Step::Judge { deal, seq: seq(dice), verdict: verdict(dice) },
        23 => Step::Resolve {
            deal,
            seq: seq(dice),
            how: [Resolution::Accepted, Resolution::Dropped, Resolution::Resend][usize::try_from(dice.roll(3)).unwrap()],
        },
        25 => Step::Gone { person: dice.person() },
        24 => Step::Bury { source: [Source::Inbox, Source::Copy][usize::try_from(dice.roll(2)).unwrap()], deal },
        _ => match dice.roll(4) {
            0 => Step::Retire,
            1 => Step::Raise(i64::try_from(dice.roll(30)).unwrap()),
            _ => Step::Cursor(dice.roll(3)),
        },
    }
}

/// One of the two stores.
struct Side {
    world: World,
    copies: [CopyId; DEALS],
    /// The numbers of messages before the newest ones: they go on far away once ids were left behind.
    before: i32,
}

impl Side {
    async fn new(backend: &Backend) -> Self {
        let world = World::new(backend).await;
        // What was never published is never retired.
        world.store.journal.publish(&funnel(), &Voice::default(), &serde_json::json!({ "v": 0 }), at(0)).await.unwrap();
        Self { world, copies: [CopyId(0); DEALS], before: 0 }
    }

    fn known(&self, deal: u64) -> Option<CopyId> {
        Some(self.copies[usize::try_from(deal).unwrap()]).filter(|id| id.0 != 0)
    }

    /// One of the first messages of a deal since.
    fn effect(&self, deal: u64, seq: i32) -> Option<EffectRef> {
        self.known(deal).map(|copy| effect(copy, self.before + seq))
    }

    async fn commit(&self, batch: Batch) -> String {
        format!("{:?}", self.world.commit(batch).await)
    }

    async fn change(&self, deal: u64, now: Timestamp, edit: impl FnOnce(&mut Change)) -> String {
        let Some(copy) = self.known(deal) else { return String::new() };
        let mut change = self.world.decided(copy, Vec::new()).await;
        edit(&mut change);
        change.copy.next_seq += i32::try_from(change.effects.len()).unwrap();
        self.commit(Batch { now: Some(now), changes: vec![change], ..Batch::default() }).await
    }

    #[allow(clippy::too_many_lines)]
    async fn perform(&mut self, step: &Step, n: i64) -> String {
        let now = at(n);
        let journal = self.world.store.journal.clone();
        match step.clone() {
            Step::Page { person, second, deal: number, state, version, consent } => {
                let id = format!("d{number}");
                let mut who = contact(&format!("c{person}"), person);
                who.phones.extend(second.map(phone));
                who.consent.sms = consent;
                let updated_at = Some(at(version));
                let fresh = Deal { state, updated_at, ..deal(&id, &format!("c{person}")) };
                let new = self.known(number).is_none();
                let changes = if new { vec![new_copy(&fresh)] } else { Vec::new() };
                let batch = Batch { now: Some(now), page: Some(page(vec![who], vec![fresh])), changes, ..Batch::default() };
                let commit = self.world.commit(batch).await;
                if new {
                    self.copies[usize::try_from(number).unwrap()] = commit.created[0];
                }
                format!("{commit:?}")
            }
            Step::Gone { person } => {
                let page = Page { gone_contacts: vec![format!("c{person}")], ..page(vec![], vec![]) };
                self.commit(Batch { now: Some(now), page: Some(page), ..Batch::default() }).await
            }
            Step::Message { deal, person, item, planned, resend, costs } => {
                let store = self.world.store.clone();
                self.change(deal, now, |change| {
                    let mut new = message(&store, change.copy.next_seq, &format!("i{item}"), &phone(person));
                    new.codes = vec![format!("{deal}.{}", change.copy.next_seq)];
                    new.revision = 99;
                    new.resend = resend;
                    new.charge = costs.map(|cost| Charge {
                        policy: "shop/default".into(),
                        currency: "RUB".into(),
                        day: format!("2026-03-{:02}", 1 + n / 20),
                        cost,
                        per_day: Some(30),
                        per_month: Some(90),
                    });
                    if planned {
                        new.status = EffectStatus::Planned;
                    }
                    if planned || resend {
                        new.payload = Some("text".into());
                    }
                    change.effects = vec![new];
                })
                .await
            }
            Step::WriteBacks { deal } => {
                self.change(deal, now, |change| {
                    let seq = change.copy.next_seq;
                    change.effects = vec![write_back(seq, "move"), write_back(seq + 1, "task")];
                })
                .await
            }
            Step::Cycle { deal, end } => {
                self.change(deal, now, |change| {
                    let cycle = change.copy.cycle + i32::from(!end);
                    change.cycle = vec![if end {
                        CycleChange::End { cycle, at: now, how: CycleEnd::Revived }
                    } else {
                        CycleChange::Begin { cycle, at: now, holdout: false }
                    }];
                    change.copy.cycle = cycle;
                    change.copy.role = if end { Role::Revived } else { Role::Warming };
                    change.copy.next_at = (!end).then(|| at(n + 50));
                    change.history = vec![moved(change.copy.role, "step")];
                })
                .await
            }
            Step::Start => {
                let due = journal.outbox(now, 3).await.unwrap();
                let effects: Vec<EffectRef> = due.iter().map(|o| o.effect).collect();
                format!("{:?}", journal.start(&self.world.lease, &effects, now).await.unwrap())
            }
            Step::Mark { deal, seq, attempt, outcome, again } => {
                let Some(effect) = self.effect(deal, seq) else { return String::new() };
                let next = again.then(|| NextAttempt { at: at(n + 5), payload: "again".into() });
                journal.mark(vec![Mark { effect, attempt, outcome, at: now, next }]).await.unwrap();
                String::new()
            }
            Step::Receipt { id, outcome } => format!("{:?}", journal.receipt("p", &id.to_string(), outcome, now).await.unwrap()),
            Step::Receive { id, person, suppress } => {
                let subject = SignalSubject { phone: Some(phone(person)), ..SignalSubject::default() };
                let found = journal.load(&Load::Signal(subject.clone()), now).await.unwrap();
                let client = found.first().and_then(|s| s.client.id).filter(|_| suppress);
                let suppression = client.map(|client| Suppression {
                    scope: SuppressionScope::Client(client),
                    brand: Some("acme".into()),
                    medium: None,
                    purpose: Some(Purpose::Advertising),
                    reason: SuppressionReason::Unsubscribed,
                    at: now,
                });
                let event = InboxEvent::Unsubscribe { subject, at: now, only: None };
                let incoming = Incoming {
                    source: "web".into(),
                    id: id.to_string(),
                    event,
                    received_at: now,
                    not_before: (id % 3 == 0).then(|| at(n + 7)),
                    suppress: suppression.into_iter().collect(),
                    click: None,
                };
                format!("{:?}", journal.receive(vec![incoming]).await.unwrap())
            }
            Step::Consume => {
                let rows = journal.inbox(now, 2).await.unwrap();
                let consumed = rows.iter().map(|r| r.id).collect();
                self.commit(Batch { now: Some(now), consumed, ..Batch::default() }).await + &format!("{rows:?}")
            }
            Step::Hold(scope) => {
                journal.hold(Hold { scope, since: now, by: "sre".into(), reason: "step".into() }).await.unwrap();
                String::new()
            }
            Step::Release(scope) => format!("{:?}", journal.release_hold(&scope).await.unwrap()),
            Step::TakeOver => {
                journal.release(&self.world.lease).await.unwrap();
                let lease = journal.take("one", TTL).await.unwrap().unwrap();
                let told = format!("{lease:?}");
                self.world.lease = lease;
                told
            }
            Step::Retire => format!("{:?}", journal.retire(&funnel(), now).await.unwrap()),
            Step::Resolve { deal, seq, how } => {
                let Some(effect) = self.effect(deal, seq) else { return String::new() };
                format!("{:?}", journal.resolve(&[effect], how, now).await.unwrap())
            }
            Step::Click { deal, seq, id, verdict } => {
                let Some(effect) = self.effect(deal, seq) else { return String::new() };
                let hit = Clicked { effect, link: 0, at: now, verdict, why: "step".into() };
                let incoming = Incoming {
                    source: "click".into(),
                    id: id.to_string(),
                    event: InboxEvent::Click { effect: hit.effect, link: 0, at: now, verdict },
                    received_at: now,
                    not_before: verdict.is_none().then(|| at(n + 2)),
                    suppress: Vec::new(),
                    click: Some(hit),
                };
                format!("{:?}", journal.receive(vec![incoming]).await.unwrap())
            }
            Step::Judge { deal, seq, verdict } => {
                let Some(effect) = self.effect(deal, seq) else { return String::new() };
                // What was clicked last, as a glance at the effect tells.
                let known = journal.effect(effect).await.unwrap();
                let Some((link, hit_at)) = known.and_then(|known| known.hits.last().copied()) else { return String::new() };
                let hit = Clicked { effect, link, at: hit_at, verdict: Some(verdict), why: "judged".into() };
                journal.judge(&[hit]).await.unwrap();
                String::new()
            }
            Step::Bury { source, deal } => {
                let id = match source {
                    Source::Copy => self.known(deal).map(|copy| copy.0),
                    _ => journal.inbox(at(n + 100), 1).await.unwrap().first().map(|row| row.id),
                };
                let Some(id) = id else { return String::new() };
                journal.bury(&self.world.lease, source, id, "it cannot be read", now).await.unwrap();
                String::new()
            }
            Step::Cursor(position) => {
                let cursor = Cursor { position: position.into(), read_at: Some(now), rows: position, ..Cursor::default() };
                journal.set_cursor(&self.world.lease, CRM, &cursor).await.unwrap();
                String::new()
            }
            Step::Raise(to) => {
                journal.raise_intents(&self.world.lease, to, now).await.unwrap();
                if let Some(copy) = self.copies.iter().find(|copy| copy.0 != 0) {
                    self.before = self.world.copy(*copy).await.copy.next_seq - 1;
                }
                String::new()
            }
            Step::Publish(what) => {
                format!(
                    "{:?}",
                    journal.publish(&funnel(), &Voice::default(), &serde_json::json!({ "v": what }), now).await.unwrap()
                )
            }
        }
    }

    /// Everything that can be asked, with the names of the addresses in place of their hashes (each installation has its own key).
    async fn knows(&self, n: i64) -> String {
        let (store, now) = (&self.world.store, at(n));
        let journal = &store.journal;
        let copies = self.copies.to_vec();
        let mut out = String::new();
        for subject in journal.load(&Load::Copies(copies.clone()), now).await.unwrap() {
            let _ = writeln!(out, "{subject:#?}");
        }
        let effects: Vec<EffectRef> =
            copies.iter().flat_map(|c| (1..8).flat_map(|seq| [effect(*c, seq), effect(*c, self.before + seq)])).collect();
        let _ = writeln!(out, "{:#?}", journal.suppressed(&effects).await.unwrap());
        let _ = writeln!(out, "{:#?}", journal.outbox(at(n + 100), 99).await.unwrap());
        let _ =
            writeln!(out, "{:#?} {:#?}", journal.next_due().await.unwrap(), journal.due(at(n + 99), Some(at(3)), 4).await.unwrap());
        let _ = writeln!(out, "{:#?} {:#?}", journal.holds().await.unwrap(), journal.deal_ids(CRM, "", 1_000).await.unwrap());
        let _ = writeln!(out, "{:#?}", journal.contact_ids(CRM, "", 1_000).await.unwrap());
        let views = &store.views;
        let _ =
            writeln!(out, "{:#?} {:#?}", views.counts(&funnel(), Some(at(5)), now).await.unwrap(), views.channels().await.unwrap());
        let _ = writeln!(out, "{:#?}", views.stages_at(&funnel(), &[at(n / 2), now]).await.unwrap());
        let _ = writeln!(out, "{:#?} {:#?}", views.ambiguous(9).await.unwrap(), views.variants(&funnel(), at(3)).await.unwrap());
        let known: Vec<String> = journal.effects(&effects).await.unwrap().iter().map(|e| format!("{e:?}")).collect();
        let _ = writeln!(out, "{known:#?} {}", journal.intents().await.unwrap());
        let codes: Vec<String> = (0..DEALS).flat_map(|deal| (1..8).map(move |seq| format!("{deal}.{seq}"))).collect();
        let codes: std::collections::BTreeMap<_, _> = journal.codes(&codes).await.unwrap().into_iter().collect();
        let _ = writeln!(out, "{codes:#?}");
        for id in 0..5 {
            let _ = writeln!(out, "{:?}", journal.by_provider_id("p", &id.to_string()).await.unwrap());
        }
        let _ = writeln!(
            out,
            "{:#?} {:#?} {:#?} {}",
            views.spent_since("2026-03").await.unwrap(),
            views.messages_by_channel(at(3)).await.unwrap(),
            views.messages_by_funnel(at(3)).await.unwrap(),
            views.past_revivals(&funnel()).await.unwrap()
        );
        let _ = writeln!(out, "{:#?} {:#?}", journal.cursor(CRM).await.unwrap(), journal.revisions().await.unwrap());
        let _ = writeln!(out, "{:#?}", journal.copies_of(&funnel(), CopyId(0), 99).await.unwrap());
        let _ = writeln!(
            out,
            "{:#?} {:#?}",
            journal.backfill(&funnel(), at(-10_000), 99).await.unwrap(),
            views.dead_letters(9).await.unwrap()
        );
        for deal in 0..DEALS {
            let _ = writeln!(out, "{:#?}", views.timeline(&funnel(), &format!("d{deal}")).await.unwrap());
        }
        let ids: Vec<String> = (0..DEALS).map(|deal| format!("d{deal}")).collect();
        let _ = writeln!(out, "{:#?}", journal.stored(CRM, &ids).await.unwrap());
        for person in 0..PEOPLE {
            let hash = journal.address_hash(&Address::Phone(phone(person)));
            out = out.replace(&hash.0, &format!("phone {person}"));
            let hash = journal.address_hash(&Address::Email(Email::parse(&format!("c{person}@example.com")).unwrap()));
            out = out.replace(&hash.0, &format!("email {person}"));
        }
        out
    }
}

async fn compare(backend: &Backend, seed: u64, steps: i64) {
    let (mut real, mut model) = (Side::new(backend).await, Side::new(&Backend::memory()).await);
    let mut dice = Dice(seed << 20);
    let mut done = Vec::new();
    for n in 1..=steps {
        let step = step(&mut dice, n);
        done.push(step.clone());
        let (said, expected) = (real.perform(&step, n).await, model.perform(&step, n).await);
        assert_eq!(said, expected, "seed {seed}, step {n} of {done:#?}");
        let (knows, expected) = (real.knows(n).await, model.knows(n).await);
        let differs = knows.lines().zip(expected.lines()).position(|(a, b)| a != b);
        if differs.is_some() || knows.len() != expected.len() {
            let from = differs.unwrap_or(0).saturating_sub(25);
            let part = |text: &str| text.lines().skip(from).take(40).collect::<Vec<_>>().join("\n");
            panic!(
                "seed {seed}, step {n}, last {:#?}\n--- database\n{}\n--- model\n{}",
                done.last(),
                part(&knows),
                part(&expected)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_does_what_the_model_does() {
    for seed in 0..12 {
        compare(&Backend::sqlite(), seed, 60).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_does_what_the_model_does() {
    for seed in 100..104 {
        if let Some(backend) = Backend::postgres().await {
            compare(&backend, seed, 60).await;
        }
    }
}
