//! The contract, case by case.

use super::Backend;
use super::world::*;
use jiff::Timestamp;
use rekindle::engine::{CycleChange, CycleEnd, History, Pause, PauseUntil, Says, Voice};
use rekindle::model::*;
use rekindle::store::*;
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

fn messages_to(store: &Store, n: u32) -> AddressHash {
    store.journal.address_hash(&Address::Phone(phone(n)))
}

fn accepted(id: Option<&str>) -> Outcome {
    Outcome::Accepted { provider: "p".into(), provider_id: id.map(Into::into) }
}

fn mark(effect: EffectRef, attempt: i32, outcome: Outcome) -> Mark {
    Mark { effect, attempt, outcome, at: at(20), next: None }
}

fn retry(effect: EffectRef, attempt: i32, when: i64, payload: &str) -> Mark {
    let outcome = Outcome::Retry { reason: "Busy".into(), after: None };
    Mark { next: Some(NextAttempt { at: at(when), payload: payload.into() }), ..mark(effect, attempt, outcome) }
}

fn incoming(id: &str, event: InboxEvent) -> Incoming {
    Incoming { source: "web".into(), id: id.into(), event, received_at: at(5), not_before: None, suppress: Vec::new(), click: None }
}

fn call(n: u32) -> InboxEvent {
    InboxEvent::Signal {
        kind: SignalKind::InboundCall,
        subject: SignalSubject { phone: Some(phone(n)), ..SignalSubject::default() },
        at: at(5),
        text: None,
        reaction: None,
    }
}

pub async fn one_engine_at_a_time(backend: &Backend) {
    let World { store, lease } = World::new(backend).await;
    let journal = &store.journal;
    assert_eq!(journal.take("two", TTL).await.unwrap(), None);
    assert!(journal.renew(&lease, TTL).await.unwrap());
    // After an ambiguous COMMIT an owner takes its own lease again.
    let again = journal.take("one", TTL).await.unwrap().unwrap();
    assert_eq!(again.epoch, lease.epoch + 1);
    assert!(!journal.renew(&lease, TTL).await.unwrap());
    journal.release(&lease).await.unwrap();
    assert_eq!(journal.take("two", TTL).await.unwrap(), None, "an old lease gives nothing up");
    journal.release(&again).await.unwrap();
    let two = journal.take("two", Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(two.epoch, again.epoch + 1);
    assert!(!journal.renew(&two, TTL).await.unwrap(), "its time is over");
}

pub async fn a_lost_lease_stores_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    world.store.journal.release(&world.lease).await.unwrap();
    world.store.journal.take("two", TTL).await.unwrap().unwrap();
    let batch = Batch { now: Some(at(0)), page: Some(page(vec![], vec![deal("d", "")])), ..Batch::default() };
    let lost = world.store.journal.commit(&world.lease, batch).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost), "{lost}");
    assert!(world.store.journal.deal_ids(CRM, "", 100).await.unwrap().is_empty());
    let lost = world.store.journal.set_cursor(&world.lease, CRM, &Cursor::default()).await.unwrap_err();
    assert_eq!(lost.label(), "lease_lost");
    assert!(world.store.journal.start(&world.lease, &[effect(CopyId(1), 1)], at(0)).await.is_err());
}

pub async fn a_takeover_turns_open_messages_into_unknown_and_write_backs_into_due(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let store = &world.store;
    let waiting =
        NewEffect { status: EffectStatus::Planned, payload: Some("text".into()), ..message(store, 4, "third", &phone(1)) };
    let effects = vec![message(store, 1, "first", &phone(1)), write_back(2, "move"), write_back(3, "comment"), waiting];
    world.decide(copy, effects).await;
    store.journal.start(&world.lease, &[effect(copy, 2)], at(11)).await.unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Intended));

    store.journal.release(&world.lease).await.unwrap();
    let two = store.journal.take("two", TTL).await.unwrap().unwrap();
    assert_eq!(two.orphans, 1);
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Unknown));
    let unclear = store.views.ambiguous(10).await.unwrap();
    assert_eq!(unclear.iter().map(|a| (a.effect, a.text_kept)).collect::<Vec<_>>(), [(effect(copy, 1), false)]);
    let due = world.outbox(at(12)).await;
    let expected = [(2, "{\"n\":2}", 1), (3, "{\"n\":3}", 0), (4, "text", 0)];
    assert_eq!(due, expected.map(|(seq, payload, attempt)| (effect(copy, seq), payload.to_owned(), attempt)));
    let again = store.journal.take("two", TTL).await.unwrap().unwrap();
    assert_eq!(again.orphans, 0);
}

/// `onAmbiguous: Resend`: the text outlives the process that would have sent it, and the ledger says that it went out again.
pub async fn a_channel_that_resends_keeps_its_text_over_a_takeover(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let first = NewEffect { resend: true, payload: Some("text".into()), ..message(&world.store, 1, "first", &phone(1)) };
    world.decide(copy, vec![first]).await;
    assert!(world.outbox(at(99)).await.is_empty(), "it is under way");
    journal.release(&world.lease).await.unwrap();
    let two = journal.take("two", TTL).await.unwrap().unwrap();
    assert_eq!(two.orphans, 0, "nothing is left for a person");
    assert_eq!(world.outbox(at(99)).await, [(effect(copy, 1), "text".to_owned(), 1)], "the same text, and its second attempt");
    journal.start(&two, &[effect(copy, 1)], at(20)).await.unwrap();
    // The second answer is unclear as well.
    let unclear = Outcome::Unknown { reason: "timeout".into() };
    let next = Some(NextAttempt { at: at(30), payload: "text".into() });
    journal.mark(vec![Mark { next, ..mark(effect(copy, 1), 2, unclear) }]).await.unwrap();
    assert!(world.outbox(at(29)).await.is_empty());
    assert_eq!(world.outbox(at(30)).await, [(effect(copy, 1), "text".to_owned(), 2)]);
    // Put off, for its window is closed or its channel rests: people still read that it may be the second time.
    let next = Some(NextAttempt { at: at(31), payload: "text".into() });
    journal.mark(vec![Mark { next, ..mark(effect(copy, 1), 2, Outcome::NotStarted) }]).await.unwrap();
    assert_eq!(world.copy(copy).await.ledger[0].reason.as_deref(), Some("unclear (timeout), sent again"));
    journal.start(&two, &[effect(copy, 1)], at(31)).await.unwrap();
    // A refusal of the third says nothing about the first two.
    let refused = Outcome::Rejected { reason: "no such mailbox".into(), suppress: false };
    journal.mark(vec![mark(effect(copy, 1), 3, refused)]).await.unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Unknown));
    assert_eq!(world.store.views.channels().await.unwrap()[0].resent, 2);
    let story = world.store.views.timeline(&funnel(), "d").await.unwrap();
    assert!(story.iter().any(|line| line.text.contains("handed over 3 times")), "{story:#?}");
}

pub async fn a_person_resolves_what_nobody_could_tell(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let effects = (1..=5).map(|n| message(&world.store, n, &format!("i{n}"), &phone(1))).collect();
    world.decide(copy, effects).await;
    for seq in 1..=4 {
        let next = (seq < 4).then(|| NextAttempt { at: at(30), payload: format!("text {seq}") });
        let unclear = Outcome::Unknown { reason: "timeout".into() };
        journal.mark(vec![Mark { next, ..mark(effect(copy, seq), 1, unclear) }]).await.unwrap();
    }
    assert!(world.outbox(at(9_999_999)).await.is_empty(), "nothing of it goes out by itself");
    assert_ne!(
        journal.next_due().await.unwrap().map(|at| at.as_second() / 30_000_000_000),
        Some(1),
        "nobody waits for the year 3000"
    );
    let listed = world.store.views.ambiguous(10).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|a| (a.effect.seq, a.deal.as_str(), a.reason.as_str(), a.text_kept)).collect();
    assert_eq!(
        listed,
        [(1, "d", "timeout", true), (2, "d", "timeout", true), (3, "d", "timeout", true), (4, "d", "timeout", false)]
    );
    let of = |seqs: &[i32]| seqs.iter().map(|seq| effect(copy, *seq)).collect::<Vec<_>>();
    let some = async |which: Unclear, limit| {
        let found = world.store.views.unclear(&which, limit).await.unwrap();
        found.into_iter().map(|a| a.effect.seq).collect::<Vec<_>>()
    };
    let channel = |name: &str| Unclear { channel: Some(name.into()), ..Unclear::default() };
    assert_eq!((some(channel("sms"), 2).await, some(channel("mail"), 2).await), (vec![1, 2], vec![]));
    let behind = Unclear { after: Some((at(10), effect(copy, 2))), ..channel("sms") };
    assert_eq!(some(behind, 9).await, [3, 4], "the next page");
    assert_eq!(some(Unclear { named: of(&[5, 4, 2]), ..channel("sms") }, 1).await, [2, 4], "5 is under way");
    assert_eq!(some(Unclear { named: of(&[4]), ..channel("mail") }, 9).await, [0; 0]);
    assert_eq!(journal.resolve(&of(&[1, 5]), Resolution::Accepted, at(40)).await.unwrap(), of(&[1]), "5 is under way");
    assert_eq!(journal.resolve(&of(&[2]), Resolution::Dropped, at(40)).await.unwrap(), of(&[2]));
    assert_eq!(journal.resolve(&of(&[3, 4]), Resolution::Resend, at(40)).await.unwrap(), of(&[3]), "the text of 4 is gone");
    assert_eq!(journal.resolve(&of(&[1, 2, 3]), Resolution::Dropped, at(41)).await.unwrap(), [], "settled");
    assert_eq!(world.outbox(at(40)).await, [(effect(copy, 3), "text 3".to_owned(), 1)]);
    let status =
        [world.status(copy, 1).await, world.status(copy, 2).await, world.status(copy, 3).await, world.status(copy, 4).await];
    let expected = [EffectStatus::Accepted, EffectStatus::Failed, EffectStatus::Planned, EffectStatus::Unknown];
    assert_eq!(status, expected.map(Some));
    // A receipt resolves what is left.
    journal.mark(vec![mark(effect(copy, 4), -1, Outcome::Delivered)]).await.unwrap();
    assert!(world.store.views.ambiguous(10).await.unwrap().is_empty());
    let story = world.store.views.timeline(&funnel(), "d").await.unwrap();
    assert!(story.iter().any(|line| line.text.contains("resolved by hand: the provider has it")), "{story:#?}");
}

pub async fn hand_overs_are_counted(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    assert_eq!(journal.intents().await.unwrap(), 0);
    world.decide(copy, vec![message(&world.store, 1, "first", &phone(1)), write_back(2, "move")]).await;
    world.decide(copy, vec![message(&world.store, 3, "first", &phone(1))]).await;
    assert_eq!(journal.intents().await.unwrap(), 1, "neither a write-back nor what was tried before");
    journal.mark(vec![retry(effect(copy, 1), 1, 20, "text")]).await.unwrap();
    journal.start(&world.lease, &[effect(copy, 1), effect(copy, 2)], at(20)).await.unwrap();
    assert_eq!(journal.intents().await.unwrap(), 2);
    journal.raise_intents(&world.lease, 1_000, at(30)).await.unwrap();
    journal.raise_intents(&world.lease, 10, at(30)).await.unwrap();
    assert_eq!(journal.intents().await.unwrap(), 1_000);
}

/// Its ids are out in the world: in links, receipts and write-backs of what the restored database has forgotten.
pub async fn after_a_restore_no_old_id_means_anything_new_and_known_ones_keep_their_meaning(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![NewEffect { codes: vec!["code".into()], ..message(&world.store, 1, "first", &phone(1)) }]).await;
    let under_way = world.decided(copy, vec![message(&world.store, 2, "second", &phone(1))]).await;
    let client = world.copy(copy).await.client.id.unwrap();

    let mut last = (copy, client, 2);
    // Also when the clock was wrong the first time.
    for (n, second) in [(2_u32, 100_000), (3, 100_000), (4, 50), (5, 200_000)] {
        journal.raise_intents(&world.lease, 10, at(second)).await.unwrap();
        let seq = world.copy(copy).await.copy.next_seq;
        let (deal, contact) = (format!("d{n}"), format!("c{n}"));
        let new = world.deals(&[(deal.as_str(), contact.as_str(), n)]).await[0];
        let theirs = world.copy(new).await.client.id.unwrap();
        let far = (new.0 - last.0.0 > 10_000, theirs.0 - last.1.0 > 10_000, seq - last.2 > 10_000);
        assert_eq!(far, (true, true, true), "{n}: {new:?} {theirs:?} {seq} after {last:?}");
        last = (new, theirs, seq);
    }

    // A page, say, whose rows it takes over: nothing of that may count as seen.
    let page = page(vec![], vec![deal("other", "")]);
    let before = Batch { now: Some(at(11)), page: Some(page), changes: vec![under_way], ..Batch::default() };
    let refused = journal.commit(&world.lease, before).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost), "{refused}: it was decided with a number that may have been given before");
    assert_eq!(journal.stored(CRM, &["other".into()]).await.unwrap(), []);
    let known = journal.effect(effect(copy, 1)).await.unwrap().expect("the link of a message that is known");
    assert_eq!((known.client, known.key.item.as_str()), (client, "first"));
    assert_eq!(journal.codes(&["code".into()]).await.unwrap()["code"], (effect(copy, 1), 0));
    assert!(journal.effect(effect(copy, 2)).await.unwrap().is_none(), "a link of what was forgotten leads to nobody");
    let commit = world.decide(copy, vec![message(&world.store, last.2, "second", &phone(1))]).await;
    assert!(commit.stale.is_empty() && commit.conflicts.is_empty(), "{commit:?}");
    journal.mark(vec![mark(effect(copy, last.2), 1, accepted(None))]).await.unwrap();
    assert_eq!(world.status(copy, last.2).await, Some(EffectStatus::Accepted));
}

pub async fn a_decision_on_an_old_version_is_dropped(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let tick = world.decided(copy, vec![message(&world.store, 1, "first", &phone(1))]).await;
    let mut call = world.decided(copy, Vec::new()).await;
    call.copy.role = Role::Revived;
    call.copy.next_at = None;
    assert_eq!(world.commit(Batch { now: Some(at(1)), changes: vec![call], ..Batch::default() }).await.stale, []);
    let commit = world.commit(Batch { now: Some(at(2)), changes: vec![tick], ..Batch::default() }).await;
    assert_eq!(commit.stale, [copy]);
    let subject = world.copy(copy).await;
    assert_eq!((subject.copy.role, subject.copy.next_at, subject.ledger.len()), (Role::Revived, None, 0));
    assert!(subject.client.recent.is_empty());
}

pub async fn the_same_item_is_never_written_twice(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    world.decide(copy, vec![message(&world.store, 1, "first", &phone(1))]).await;
    let commit = world.decide(copy, vec![message(&world.store, 2, "first", &phone(1))]).await;
    assert_eq!(commit.conflicts, [effect(copy, 2)]);
    assert_eq!(commit.stale, [], "the copy's own state is stored");
    let subject = world.copy(copy).await;
    assert_eq!((subject.ledger.len(), subject.client.recent.len(), subject.copy.next_seq), (1, 1, 3));
    // Both at once, too.
    let both = vec![message(&world.store, 3, "second", &phone(1)), message(&world.store, 4, "second", &phone(1))];
    assert_eq!(world.decide(copy, both).await.conflicts.len(), 1);
}

pub async fn a_deal_seen_twice_has_one_copy(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let mut again = new_copy(&deal("d", "c"));
    again.copy.role = Role::InWork;
    let commit = world.commit(Batch { now: Some(at(1)), changes: vec![again], ..Batch::default() }).await;
    assert_eq!((commit.created, commit.stale), (vec![copy], vec![copy]));
    assert_eq!(world.copy(copy).await.copy.role, Role::Warming);
}

pub async fn several_decisions_about_one_copy_stand_together(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let first = world.decided(copy, vec![message(&world.store, 1, "first", &phone(1))]).await;
    let mut second = world.decided(copy, vec![write_back(2, "move")]).await;
    second.copy.role = Role::Revived;
    second.copy.next_seq = 3;
    let commit = world.commit(Batch { now: Some(at(1)), changes: vec![first, second], ..Batch::default() }).await;
    assert!(commit.stale.is_empty() && commit.conflicts.is_empty());
    let subject = world.copy(copy).await;
    assert_eq!((subject.copy.role, subject.copy.ver, subject.copy.next_seq, subject.ledger.len()), (Role::Revived, 2, 3, 2));
}

pub async fn sent_messages_count_and_certain_failures_are_given_back(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    for (seq, item) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        world.decide(copy, vec![message(&world.store, seq, item, &phone(1))]).await;
    }
    let recent = world.copy(copy).await.client.recent;
    let items: Vec<&str> = recent.iter().map(|r| r.item.as_str()).collect();
    assert_eq!(items, ["default/winback/a", "default/winback/b", "default/winback/c", "default/winback/d"]);
    assert_eq!((recent[0].copy, &recent[0].address, recent[0].at), (copy, &messages_to(&world.store, 1), at(10)));
    let rejected = Outcome::Rejected { reason: "NoSuchNumber".into(), suppress: false };
    journal
        .mark(vec![
            mark(effect(copy, 1), 1, rejected),
            mark(effect(copy, 2), 1, Outcome::Expired),
            mark(effect(copy, 3), 1, Outcome::Unknown { reason: "Timeout".into() }),
            mark(effect(copy, 4), 1, accepted(None)),
        ])
        .await
        .unwrap();
    let subject = world.copy(copy).await;
    let items: Vec<&str> = subject.client.recent.iter().map(|r| r.item.as_str()).collect();
    assert_eq!(items, ["default/winback/c", "default/winback/d"], "unknown counts, certainly not sent does not");
    let statuses: Vec<EffectStatus> = subject.ledger.iter().map(|e| e.status).collect();
    assert_eq!(statuses, [EffectStatus::Failed, EffectStatus::Expired, EffectStatus::Unknown, EffectStatus::Accepted]);
    assert_eq!(subject.ledger[0].reason.as_deref(), Some("NoSuchNumber"));
    // After 180 days nothing of it matters any more.
    let later = journal.load(&Load::Copies(vec![copy]), at(10) + days(179)).await.unwrap();
    assert_eq!(later[0].client.recent.len(), 2);
    let later = journal.load(&Load::Copies(vec![copy]), at(10) + days(181)).await.unwrap();
    assert!(later[0].client.recent.is_empty());
}

/// The first hand-over may have reached the client: what becomes of a later one gives no place of a cap back.
pub async fn what_went_out_again_keeps_its_place(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let ends: [(&str, Outcome); 5] = [
        ("rejected", Outcome::Rejected { reason: "no such number".into(), suppress: false }),
        ("expired", Outcome::Expired),
        ("busy", Outcome::Retry { reason: "busy".into(), after: None }),
        ("down", Outcome::ChannelDown { reason: "no money".into(), after: None }),
        ("taken-back", Outcome::NotStarted),
    ];
    for (seq, (item, _)) in (1..).zip(&ends) {
        let text = NewEffect { resend: true, payload: Some("text".into()), ..message(&world.store, seq, item, &phone(1)) };
        world.decide(copy, vec![text]).await;
        let unclear = Outcome::Unknown { reason: "timeout".into() };
        let next = Some(NextAttempt { at: at(30), payload: "text".into() });
        journal.mark(vec![Mark { next, ..mark(effect(copy, seq), 1, unclear) }]).await.unwrap();
        assert_eq!(journal.start(&world.lease, &[effect(copy, seq)], at(31)).await.unwrap(), [effect(copy, seq)], "{item}");
    }
    for (seq, (_, end)) in (1..).zip(&ends) {
        journal.mark(vec![mark(effect(copy, seq), 2, end.clone())]).await.unwrap();
    }
    let subject = world.copy(copy).await;
    assert_eq!(subject.client.recent.len(), ends.len(), "all of them count: {:?}", subject.ledger);
    let statuses: Vec<EffectStatus> = subject.ledger.iter().map(|e| e.status).collect();
    assert_eq!(statuses[..4], [EffectStatus::Unknown; 4]);
    assert_eq!(statuses[4], EffectStatus::Planned, "it never left a second time, and still has its turn");
}

/// What bounces was taken before, whichever news comes first and how often it is told: it counts.
pub async fn a_bounce_gives_no_place_back(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let bounce = |seq| mark(effect(copy, seq), -1, Outcome::Rejected { reason: "mailbox gone".into(), suppress: false });
    for (seq, item) in [(1, "before"), (2, "after"), (3, "other")] {
        world.decide(copy, vec![message(&world.store, seq, item, &phone(1))]).await;
    }
    journal.mark(vec![bounce(1)]).await.unwrap();
    journal.mark(vec![mark(effect(copy, 1), 1, accepted(None)), mark(effect(copy, 2), 1, accepted(None))]).await.unwrap();
    for _ in 0..2 {
        journal.mark(vec![bounce(1), bounce(2)]).await.unwrap();
    }
    let subject = world.copy(copy).await;
    let items: Vec<&str> = subject.client.recent.iter().map(|r| r.item.as_str()).collect();
    assert_eq!(items, ["default/winback/before", "default/winback/after", "default/winback/other"]);
    assert_eq!((subject.ledger[0].status, subject.ledger[1].status), (EffectStatus::Failed, EffectStatus::Failed));
}

pub async fn two_clients_with_one_phone_are_counted_together(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c1", 1)]).await;
    let one = world.decided(copies[0], vec![message(&world.store, 1, "first", &phone(1))]).await;
    let two = world.decided(copies[1], vec![message(&world.store, 1, "first", &phone(1))]).await;
    let commit = world.commit(Batch { now: Some(at(1)), changes: vec![one, two], ..Batch::default() }).await;
    assert_eq!(commit.stale, [copies[1]], "neither had counted the other");
    let second = world.copy(copies[1]).await;
    assert_eq!(second.client.recent.len(), 1, "deciding again, it sees the first");
    assert!(second.ledger.is_empty());
}

pub async fn an_event_is_stored_once(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let later = Incoming { not_before: Some(at(60)), ..incoming("b", call(2)) };
    let new = journal.receive(vec![incoming("a", call(1)), incoming("a", call(1)), later]).await.unwrap();
    assert_eq!(new, [true, false, true]);
    assert_eq!(journal.receive(vec![incoming("a", call(1))]).await.unwrap(), [false]);
    let other = Incoming { source: "sms".into(), ..incoming("a", call(1)) };
    assert_eq!(journal.receive(vec![other]).await.unwrap(), [true]);
    let rows = journal.inbox(at(5), 10).await.unwrap();
    assert_eq!(rows.iter().map(|r| (r.event.clone(), r.attempts)).collect::<Vec<_>>(), [(Ok(call(1)), 0), (Ok(call(1)), 0)]);
    assert_eq!(journal.inbox(at(5), 1).await.unwrap()[0].attempts, 1, "handed out before");
    journal.lived(&[rows[0].id, 999]).await.unwrap();
    assert_eq!(journal.inbox(at(5), 1).await.unwrap()[0].attempts, 0, "its process has survived it");
    assert_eq!(journal.next_due().await.unwrap(), Some(Timestamp::UNIX_EPOCH), "at once");
    let consumed = rows.iter().map(|r| r.id).collect();
    world.commit(Batch { now: Some(at(6)), consumed, ..Batch::default() }).await;
    assert!(journal.inbox(at(59), 10).await.unwrap().is_empty());
    assert_eq!(journal.next_due().await.unwrap(), Some(at(60)));
    assert_eq!(journal.inbox(at(60), 10).await.unwrap().len(), 1);
    assert_eq!(journal.receive(vec![incoming("a", call(1))]).await.unwrap(), [false], "consumed is still seen");
}

/// A replica's clock is an hour ahead of the engine's; or the engine's own was a day ahead, and was put right.
pub async fn what_a_clock_that_is_ahead_has_stamped_waits_for_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let ahead = Incoming { received_at: at(3_600), ..incoming("ahead", call(1)) };
    journal.receive(vec![ahead, incoming("right", call(2))]).await.unwrap();
    let heard = journal.inbox(at(5), 10).await.unwrap().into_iter().map(|row| row.event.unwrap()).collect::<Vec<_>>();
    assert_eq!(heard, [call(1), call(2)], "the client has called, in the order of arrival");
    let change = world.decided(copy, vec![write_back(1, "task")]).await;
    world.commit(Batch { now: Some(at(86_400)), changes: vec![change], ..Batch::default() }).await;
    world.decide(copy, vec![write_back(2, "comment")]).await;
    let due = world.outbox(at(10)).await;
    assert_eq!(due.into_iter().map(|(effect, ..)| effect.seq).collect::<Vec<_>>(), [1, 2], "the manager is told now");
}

pub async fn what_is_put_off_comes_back_as_it_was_left(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    journal.receive(vec![incoming("a", call(1)), incoming("b", call(2))]).await.unwrap();
    let rows = journal.inbox(at(5), 10).await.unwrap();
    let InboxEvent::Signal { kind, subject, at: when, text, reaction } = call(1) else { return };
    let left = InboxEvent::Signal { kind, subject: SignalSubject { only: vec![CopyId(7)], ..subject }, at: when, text, reaction };
    let put_off = PutOff { id: rows[0].id, until: at(60), event: left.clone() };
    world.commit(Batch { now: Some(at(6)), consumed: vec![rows[1].id], put_off: vec![put_off], ..Batch::default() }).await;
    assert!(journal.inbox(at(59), 10).await.unwrap().is_empty());
    let ahead = async |after, until| journal.inbox_ahead(at(after), at(until), 10).await.unwrap();
    assert_eq!((ahead(5, 59).await.len(), ahead(59, 60).await.len(), ahead(60, 90).await.len()), (0, 1, 0));
    // Who put it off has survived it.
    for _ in 0..2 {
        assert_eq!(ahead(5, 60).await[0].attempts, 0, "looked at is not handed out");
    }
    let back = journal.inbox(at(60), 10).await.unwrap();
    assert_eq!(back[0].attempts, 0);
    assert_eq!(back.iter().map(|r| (r.id, r.event.clone())).collect::<Vec<_>>(), [(rows[0].id, Ok(left))]);
    assert_eq!(journal.receive(vec![incoming("a", call(1))]).await.unwrap(), [false], "it is still known");
}

pub async fn events_that_commit_late_are_not_lost(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    // A replica may have drawn its row's number long before it commits: reading "after the last one seen" would lose it.
    journal.receive(vec![incoming("late", call(1)), incoming("early", call(2))]).await.unwrap();
    let rows = journal.inbox(at(5), 10).await.unwrap();
    world.commit(Batch { now: Some(at(6)), consumed: vec![rows[1].id], ..Batch::default() }).await;
    assert_eq!(journal.inbox(at(6), 10).await.unwrap()[0].id, rows[0].id);
}

pub async fn a_poison_event_is_set_aside_visibly(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let poison = "INSERT INTO inbox (received_at, ready_at, event) VALUES (1, 0, '{\"what\":1}')";
    if !backend.execute(poison).await {
        return;
    }
    journal.receive(vec![incoming("a", call(1))]).await.unwrap();
    let rows = journal.inbox(at(5), 10).await.unwrap();
    assert_eq!(rows[0].event, Err("{\"what\":1}".into()));
    assert_eq!(rows[1].event, Ok(call(1)), "the one behind it is not held up");
    journal.bury(&world.lease, Source::Inbox, rows[0].id, "not an event", at(6)).await.unwrap();
    assert_eq!(journal.inbox(at(6), 10).await.unwrap().len(), 1);
    let letters = world.store.views.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].source.as_str(), letters[0].error.as_str(), letters[0].at), ("inbox", "not an event", at(6)));
    journal.bury(&world.lease, Source::Inbox, rows[0].id, "again", at(7)).await.unwrap();
    assert_eq!(world.store.views.dead_letters(10).await.unwrap().len(), 1, "it is gone already");
}

pub async fn a_copy_that_cannot_be_processed_is_set_aside(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![write_back(1, "move"), write_back(2, "task")]).await;
    journal.bury(&world.lease, Source::Outbox(2), copy.0, "cannot be read", at(11)).await.unwrap();
    journal.bury(&world.lease, Source::Outbox(2), copy.0, "cannot be read", at(11)).await.unwrap();
    let left: Vec<EffectRef> = world.outbox(at(99)).await.into_iter().map(|(effect, ..)| effect).collect();
    assert_eq!(left, [effect(copy, 1)], "what comes before it is somebody else's");
    journal.bury(&world.lease, Source::Outbox(1), copy.0, "no such stage", at(11)).await.unwrap();
    journal.bury(&world.lease, Source::Copy, copy.0, "panicked", at(12)).await.unwrap();
    assert!(world.outbox(at(99)).await.is_empty());
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Failed));
    assert!(journal.due(at(9999), None, 10).await.unwrap().is_empty());
    let letters = world.store.views.dead_letters(10).await.unwrap();
    assert_eq!(letters.iter().map(|l| l.source.as_str()).collect::<Vec<_>>(), ["copy", "outbox", "outbox"], "newest first");
}

pub async fn a_hold_stops_messages_and_nothing_else(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let scopes = [HoldScope::All, HoldScope::Channel("sms".into()), HoldScope::Funnel(funnel())];
    for (n, scope) in (1_u32..).zip(scopes) {
        let copy = world.deals(&[(&format!("d{n}"), &format!("c{n}"), n)]).await[0];
        let hold = Hold { scope: scope.clone(), since: at(1), by: "sre".into(), reason: "looking".into() };
        journal.hold(hold.clone()).await.unwrap();
        assert_eq!(journal.holds().await.unwrap(), [hold]);
        let first = NewEffect { payload: Some("text".into()), ..message(&world.store, 1, "first", &phone(n)) };
        let commit = world.decide(copy, vec![first, message(&world.store, 2, "second", &phone(n)), write_back(3, "move")]).await;
        assert_eq!(commit.held, [effect(copy, 1), effect(copy, 2)], "{scope:?}");
        assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Planned));
        // The text that only the worker has is stored with the news that nothing was started.
        let next = Some(NextAttempt { at: at(10), payload: "second".into() });
        journal.mark(vec![Mark { next, ..mark(effect(copy, 2), 1, Outcome::NotStarted) }]).await.unwrap();
        assert_eq!(world.outbox(at(10)).await, [(effect(copy, 3), "{\"n\":3}".into(), 0)]);
        assert!(journal.start(&world.lease, &[effect(copy, 1)], at(10)).await.unwrap().is_empty());
        journal.start(&world.lease, &[effect(copy, 3)], at(10)).await.unwrap();
        journal.mark(vec![mark(effect(copy, 3), 1, accepted(None))]).await.unwrap();
        assert_eq!(journal.next_due().await.unwrap(), Some(at(100)), "what is on hold wakes nobody");

        assert!(journal.release_hold(&scope).await.unwrap());
        assert!(!journal.release_hold(&scope).await.unwrap());
        let due = world.outbox(at(10)).await;
        assert_eq!(due, [(effect(copy, 1), "text".to_owned(), 0), (effect(copy, 2), "second".to_owned(), 0)]);
        assert_eq!(journal.start(&world.lease, &[effect(copy, 1), effect(copy, 2)], at(10)).await.unwrap().len(), 2);
        journal.mark(vec![mark(effect(copy, 1), 1, accepted(None)), mark(effect(copy, 2), 1, accepted(None))]).await.unwrap();
        assert_eq!(world.status(copy, 2).await, Some(EffectStatus::Accepted));
    }
    // Nobody who holds as well takes away what the witness says.
    let by = |by: &str, reason: &str| Hold { scope: HoldScope::All, since: at(1), by: by.into(), reason: reason.into() };
    for (who, why, reason) in
        [("sre", "first", "first"), ("witness", "behind", "behind"), ("sre", "x", "behind"), ("witness", "y", "y")]
    {
        journal.hold(by(who, why)).await.unwrap();
        assert_eq!(journal.holds().await.unwrap()[0].reason, reason, "{who} {why}");
    }
}

/// A hold may keep hundred thousands waiting: whoever has seen them all does not go through them again, and misses nothing else.
pub async fn what_is_known_to_be_on_hold_stands_in_nobodys_way(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let waiting = |seq, from| NewEffect {
        status: EffectStatus::Planned,
        payload: Some("text".into()),
        not_before: Some(at(from)),
        ..message(&world.store, seq, &format!("i{seq}"), &phone(1))
    };
    let task = NewEffect { not_before: Some(at(40)), ..write_back(2, "task") };
    world.decide(copy, vec![waiting(1, 30), task, waiting(3, 60), waiting(4, 50)]).await;
    let found = async |low: Option<i64>, limit| {
        let rows = world.store.journal.outbox_beside(&[], low.map(at), at(99), limit).await.unwrap();
        rows.into_iter().map(|row| row.effect.seq).collect::<Vec<_>>()
    };
    assert_eq!((found(None, 9).await, found(None, 3).await), (vec![1, 2, 4, 3], vec![1, 2, 4]), "the oldest first");
    assert_eq!((found(Some(50), 9).await, found(Some(50), 2).await), (vec![2, 4, 3], vec![2, 4]));
    assert_eq!((found(Some(61), 9).await, found(Some(30), 9).await), (vec![2], vec![1, 2, 4, 3]));
}

pub async fn a_held_message_whose_text_died_with_its_process_is_shown_as_failed(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    journal.hold(Hold { scope: HoldScope::All, since: at(1), by: "sre".into(), reason: "stop".into() }).await.unwrap();
    assert_eq!(world.decide(copy, vec![message(&world.store, 1, "a", &phone(1))]).await.held, [effect(copy, 1)]);
    journal.release(&world.lease).await.unwrap();
    assert_eq!(journal.take("two", TTL).await.unwrap().unwrap().orphans, 0, "it certainly was not sent");
    journal.release_hold(&HoldScope::All).await.unwrap();
    let ledger = world.copy(copy).await.ledger;
    assert_eq!((ledger[0].status, ledger[0].reason.as_deref()), (EffectStatus::Failed, Some("TextLost")));
    assert_eq!(journal.next_due().await.unwrap(), Some(at(100)), "and wakes nobody for ever");
}

pub async fn revisions_are_numbered_by_content(backend: &Backend) {
    let store = backend.open().await;
    let journal = &store.journal;
    let (a, b) = (serde_json::json!({"a": 1}), serde_json::json!({"b": 2}));
    assert_eq!(journal.first_published(&funnel()).await.unwrap(), None);
    assert_eq!(journal.publish(&funnel(), &Voice::default(), &a, at(1)).await.unwrap(), 1);
    assert_eq!(journal.publish(&funnel(), &Voice::default(), &a, at(2)).await.unwrap(), 1);
    assert_eq!(journal.publish(&funnel(), &Voice::default(), &b, at(3)).await.unwrap(), 2);
    assert_eq!(journal.publish(&funnel(), &Voice::default(), &a, at(4)).await.unwrap(), 3, "rolling back is publishing again");
    let newest = |number, published_at, deleted| Revision { funnel: funnel(), number, published_at, snapshot: a.clone(), deleted };
    assert_eq!(journal.revisions().await.unwrap(), [newest(3, at(4), false)]);
    journal.retire(&funnel(), at(5)).await.unwrap();
    journal.retire(&funnel(), at(6)).await.unwrap();
    assert_eq!(journal.revisions().await.unwrap(), [newest(4, at(5), true)]);
    assert_eq!(journal.publish(&funnel(), &Voice::default(), &a, at(7)).await.unwrap(), 5, "re-created, it goes on where it was");
    assert_eq!(journal.first_published(&funnel()).await.unwrap(), Some(at(1)));
    assert_eq!(store.views.funnels().await.unwrap(), [funnel()]);
    let other = FunnelKey { name: "other".into(), ..funnel() };
    journal.retire(&other, at(8)).await.unwrap();
    assert_eq!(journal.publish(&other, &Voice::default(), &b, at(9)).await.unwrap(), 1);
}

pub async fn other_deals_of_a_client_know_in_whose_name_a_funnel_speaks(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c", 1), ("d2", "c", 1)]).await;
    let journal = &world.store.journal;
    let sibling = async || world.copy(copies[0]).await.client.siblings.remove(0);
    assert_eq!((sibling().await.voice, sibling().await.says), (Voice::default(), None), "not published yet");
    let voice = |priority| Voice { brand: "acme".into(), policy: "shop/default".into(), priority, ..Voice::default() };
    journal.publish(&funnel(), &voice(0), &serde_json::json!(1), at(1)).await.unwrap();
    assert_eq!(sibling().await.voice, voice(0));
    // What an older version had published is told anew, although nothing of it changed.
    assert_eq!(journal.publish(&funnel(), &voice(3), &serde_json::json!(1), at(1)).await.unwrap(), 1);
    assert_eq!(sibling().await.voice, voice(3));
    let mut change = world.decided(copies[1], Vec::new()).await;
    let says = Some(Says { at: at(500), medium: Medium::Email });
    change.copy.state.says.clone_from(&says);
    world.commit(Batch { now: Some(at(10)), changes: vec![change], ..Batch::default() }).await;
    assert_eq!(sibling().await.says, says);
    // What was sent is known by its policy.
    world.decide(copies[0], vec![message(&world.store, 1, "first", &phone(1))]).await;
    assert_eq!(world.copy(copies[1]).await.client.recent[0].policy.as_deref(), Some("shop/default"));
}

pub async fn money_is_counted_with_the_intent_and_given_back(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2), ("d3", "c3", 3), ("d4", "c4", 4)]).await;
    let journal = &world.store.journal;
    let charge = |cost, per_day, per_month| {
        let (policy, currency, day) = ("shop/default".into(), "RUB".into(), "2026-03-02".into());
        Charge { policy, currency, day, cost, per_day, per_month }
    };
    let period = |text: &str| Period { policy: "shop/default".into(), currency: "RUB".into(), period: text.into() };
    let asked = [period("2026-03-02"), period("2026-03"), period("2026-03-03")];
    let spent = async || journal.spent(&asked).await.unwrap();
    assert_eq!(spent().await, [0, 0, 0]);
    let priced =
        |n: u32, seq, item: &str, charge| NewEffect { charge: Some(charge), ..message(&world.store, seq, item, &phone(n)) };
    // Three in one batch, of which the budget affords two: each is looked at with what those before it cost.
    let mut changes = Vec::new();
    for (copy, n) in copies.iter().zip(1..).take(3) {
        changes.push(world.decided(*copy, vec![priced(n, 1, "a", charge(40, Some(100), None))]).await);
    }
    let commit = world.commit(Batch { now: Some(at(10)), changes, ..Batch::default() }).await;
    assert_eq!((commit.stale.as_slice(), spent().await), (&copies[2..3], vec![80, 80, 0]));
    assert_eq!(world.status(copies[2], 1).await, None, "it is decided again");
    // The month is counted whatever the day allows; a write-back or a message without a limit passes.
    let over = world.decide(copies[2], vec![priced(3, 1, "a", charge(30, None, Some(100)))]).await;
    assert_eq!((over.stale, spent().await), (vec![copies[2]], vec![80, 80, 0]));
    let fits = world.decide(copies[2], vec![priced(3, 1, "a", charge(20, Some(100), Some(100))), write_back(2, "task")]).await;
    assert_eq!((fits.stale, spent().await), (vec![], vec![100, 100, 0]));
    let service = world.decide(copies[3], vec![priced(4, 1, "a", charge(7, None, None))]).await;
    assert_eq!((service.stale, spent().await), (vec![], vec![107, 107, 0]));
    // Tried before: nothing is written, nothing counted.
    let again = world.decide(copies[3], vec![priced(4, 2, "a", charge(7, None, None))]).await;
    assert_eq!((again.conflicts.len(), spent().await), (1, vec![107, 107, 0]));
    // What was taken, or may have been, stays counted; what certainly did not leave is given back, once.
    let refused = || Outcome::Rejected { reason: "no".into(), suppress: false };
    journal.mark(vec![mark(effect(copies[0], 1), 1, accepted(None))]).await.unwrap();
    journal.mark(vec![mark(effect(copies[1], 1), 1, Outcome::Unknown { reason: "?".into() })]).await.unwrap();
    assert_eq!(spent().await, [107, 107, 0]);
    for _ in 0..2 {
        journal.mark(vec![mark(effect(copies[2], 1), 1, refused())]).await.unwrap();
        assert_eq!(spent().await, [87, 87, 0]);
    }
    // A bounce was delivered to somebody: it costs.
    journal.mark(vec![mark(effect(copies[0], 1), -1, refused())]).await.unwrap();
    assert_eq!(spent().await, [87, 87, 0]);
    let told = world.store.views.spent_since("2026-03").await.unwrap();
    let told: Vec<(&str, i64)> = told.iter().map(|s| (s.period.period.as_str(), s.spent)).collect();
    assert_eq!(told, [("2026-03", 87), ("2026-03-02", 87)]);
    assert_eq!(world.store.views.spent_since("2026-04").await.unwrap(), []);
}

pub async fn a_message_decided_on_an_old_revision_is_decided_again(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    journal.publish(&funnel(), &Voice::default(), &serde_json::json!(1), at(1)).await.unwrap();
    journal.publish(&funnel(), &Voice::default(), &serde_json::json!(2), at(2)).await.unwrap();
    let first = message(&world.store, 1, "first", &phone(1));
    let refused = world.decide(copy, vec![first.clone()]).await;
    assert_eq!((refused.stale, refused.outdated), (vec![copy], BTreeSet::from([funnel()])), "and told why");
    let taken = world.decide(copy, vec![NewEffect { revision: 2, ..first }]).await;
    assert_eq!((taken.stale, taken.outdated), (vec![], BTreeSet::new()));
    journal.retire(&funnel(), at(3)).await.unwrap();
    let after = NewEffect { revision: 3, ..message(&world.store, 2, "second", &phone(1)) };
    assert_eq!(world.decide(copy, vec![after]).await.stale, [copy], "a deleted funnel sends nothing");
    assert_eq!(world.decide(copy, vec![write_back(2, "move")]).await.stale, [], "what the manager must know still goes");
}

pub async fn a_receipt_may_come_before_the_mark(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let bounce = Outcome::Rejected { reason: "Bounced".into(), suppress: false };
    let orders: [(&str, [Outcome; 2], EffectStatus); 2] = [
        ("delivered", [Outcome::Delivered, accepted(None)], EffectStatus::Delivered),
        ("bounced", [bounce, accepted(None)], EffectStatus::Failed),
    ];
    for (n, (item, [receipt, sent], expected)) in (0..).zip(orders) {
        let (early, late) = (2 * n + 1, 2 * n + 2);
        world.decide(copy, vec![message(&world.store, early, &format!("{item}-early"), &phone(1))]).await;
        world.decide(copy, vec![message(&world.store, late, &format!("{item}-late"), &phone(1))]).await;
        journal.mark(vec![mark(effect(copy, early), -1, receipt.clone())]).await.unwrap();
        journal.mark(vec![mark(effect(copy, early), 1, sent.clone())]).await.unwrap();
        journal.mark(vec![mark(effect(copy, late), 1, sent)]).await.unwrap();
        journal.mark(vec![mark(effect(copy, late), -1, receipt.clone()), mark(effect(copy, late), -1, receipt)]).await.unwrap();
        assert_eq!(world.status(copy, early).await, Some(expected), "{item} early");
        assert_eq!(world.status(copy, late).await, Some(expected), "{item} late");
    }
    assert!(world.outbox(at(99)).await.is_empty());
}

pub async fn a_receipt_by_the_providers_id_may_come_before_the_mark(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1)), message(&world.store, 2, "b", &phone(1))]).await;
    assert_eq!(journal.receipt("p", "id-1", Outcome::Delivered, at(30)).await.unwrap(), None);
    assert_eq!(journal.by_provider_id("p", "id-1").await.unwrap(), None);
    journal
        .mark(vec![mark(effect(copy, 1), 1, accepted(Some("id-1"))), mark(effect(copy, 2), 1, accepted(Some("id-2")))])
        .await
        .unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Delivered));
    assert_eq!(world.status(copy, 2).await, Some(EffectStatus::Accepted));
    assert_eq!(journal.receipt("p", "id-2", Outcome::Delivered, at(30)).await.unwrap(), Some(effect(copy, 2)));
    assert_eq!(world.status(copy, 2).await, Some(EffectStatus::Delivered));
    assert_eq!(journal.by_provider_id("p", "id-1").await.unwrap(), Some(effect(copy, 1)));
    assert_eq!(journal.by_provider_id("q", "id-1").await.unwrap(), None);
}

pub async fn two_channels_may_name_their_providers_alike(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let through =
        |seq, item: &str, channel: &str| NewEffect { target: channel.into(), ..message(&world.store, seq, item, &phone(1)) };
    world.decide(copy, vec![through(1, "a", "a/sms"), through(2, "b", "b/sms"), through(3, "old", "b/sms")]).await;
    let main = |channel: &str| qualified(channel, "main");
    let taken = |provider: String, id: &str| Outcome::Accepted { provider, provider_id: Some(id.into()) };
    // Both gateways count from 1000; the third message was sent by the version before this one.
    let marks = [taken(main("a/sms"), "1001"), taken(main("b/sms"), "1001"), taken("main".into(), "7")];
    journal.mark((1..).zip(marks).map(|(seq, outcome)| mark(effect(copy, seq), 1, outcome)).collect()).await.unwrap();
    let delivered = async |channel: &str, id: &str| journal.receipt(&main(channel), id, Outcome::Delivered, at(30)).await.unwrap();
    assert_eq!(delivered("b/sms", "1001").await, Some(effect(copy, 2)));
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Accepted), "nobody reported on it");
    assert_eq!(world.status(copy, 2).await, Some(EffectStatus::Delivered));
    assert_eq!(delivered("a/sms", "7").await, None, "it left through another channel");
    assert_eq!(delivered("b/sms", "7").await, Some(effect(copy, 3)));
    assert_eq!(world.status(copy, 3).await, Some(EffectStatus::Delivered));
    // A replica of the version before asks by the bare name.
    assert_eq!(journal.receipt("main", "1001", Outcome::Delivered, at(30)).await.unwrap(), Some(effect(copy, 1)));
    // A receipt that overtakes its mark waits for that of its own channel.
    world.decide(copy, vec![through(4, "c", "a/sms"), through(5, "d", "b/sms")]).await;
    assert_eq!(delivered("b/sms", "1002").await, None);
    let marks = [(4, taken(main("a/sms"), "1002")), (5, taken(main("b/sms"), "1002"))];
    journal.mark(marks.into_iter().map(|(seq, outcome)| mark(effect(copy, seq), 1, outcome)).collect()).await.unwrap();
    assert_eq!(world.status(copy, 4).await, Some(EffectStatus::Accepted));
    assert_eq!(world.status(copy, 5).await, Some(EffectStatus::Delivered));
}

/// A gateway counts anew after a restart, or each day.
pub async fn a_number_that_a_gateway_gives_again_is_the_newest_messages(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2)]).await;
    let journal = &world.store.journal;
    let main = qualified("a/sms", "main");
    let report = async |outcome| journal.receipt(&main, "7", outcome, at(30)).await.unwrap();
    for (copy, n) in [(copies[0], 1), (copies[1], 2)] {
        world.decide(copy, vec![message(&world.store, 1, "a", &phone(n))]).await;
        let taken = Outcome::Accepted { provider: main.clone(), provider_id: Some("7".into()) };
        journal.mark(vec![mark(effect(copy, 1), 1, taken)]).await.unwrap();
        assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Accepted), "nothing was reported of this one");
        assert_eq!(journal.by_provider_id(&main, "7").await.unwrap(), Some(effect(copy, 1)));
        if n == 1 {
            assert_eq!(report(Outcome::Delivered).await, Some(effect(copy, 1)));
        }
    }
    let gone = Outcome::Rejected { reason: "NoSuchNumber".into(), suppress: true };
    assert_eq!(report(gone).await, Some(effect(copies[1], 1)));
    let barred = async |copy| world.copy(copy).await.client.suppressions.len();
    assert_eq!((barred(copies[0]).await, barred(copies[1]).await), (0, 1), "the number that is dead, and no other");
    assert_eq!(world.status(copies[0], 1).await, Some(EffectStatus::Delivered));
}

pub async fn outcomes_only_get_stronger(backend: &Backend) {
    use EffectStatus::{Accepted, Delivered, Failed, Unknown};
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let unknown = || Outcome::Unknown { reason: "Timeout".into() };
    let rejected = || Outcome::Rejected { reason: "No".into(), suppress: false };
    let table: [(&[Outcome], EffectStatus); 7] = [
        (&[unknown()], Unknown),
        (&[unknown(), accepted(None)], Accepted),
        (&[unknown(), rejected()], Failed),
        (&[accepted(None), unknown()], Accepted),
        (&[accepted(None), rejected()], Accepted),
        (&[Outcome::Delivered, accepted(None), unknown(), rejected(), Outcome::Expired], Delivered),
        (&[rejected(), unknown(), Outcome::NotStarted], Failed),
    ];
    for (seq, (outcomes, expected)) in (1..).zip(table) {
        world.decide(copy, vec![message(&world.store, seq, &format!("i{seq}"), &phone(1))]).await;
        for outcome in outcomes {
            journal.mark(vec![mark(effect(copy, seq), 1, outcome.clone())]).await.unwrap();
        }
        assert_eq!(world.status(copy, seq).await, Some(expected), "{outcomes:?}");
    }
    journal.mark(vec![mark(effect(copy, 99), -1, Outcome::Delivered)]).await.unwrap();
}

pub async fn an_outcome_is_stored_after_the_lease_is_lost(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1)), message(&world.store, 2, "b", &phone(1))]).await;
    journal.release(&world.lease).await.unwrap();
    journal.take("two", TTL).await.unwrap().unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Unknown));
    journal.mark(vec![mark(effect(copy, 1), 1, accepted(None)), retry(effect(copy, 2), 1, 50, "text")]).await.unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Accepted));
    assert_eq!(world.status(copy, 2).await, Some(EffectStatus::Planned), "certainly not accepted: it may be tried again");
    assert_eq!(world.outbox(at(50)).await, [(effect(copy, 2), "text".to_owned(), 1)]);
}

pub async fn a_retry_keeps_its_text_and_an_old_attempt_cannot_undo_it(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1))]).await;
    journal.mark(vec![retry(effect(copy, 1), 1, 50, "text")]).await.unwrap();
    assert!(world.outbox(at(49)).await.is_empty());
    assert_eq!(journal.next_due().await.unwrap(), Some(at(50)));
    let row = journal.outbox(at(50), 10).await.unwrap().remove(0);
    assert_eq!((row.kind.as_str(), row.target.as_str(), row.attempt, row.expires_at), ("message", "sms", 1, Some(at(86_400))));
    assert_eq!((row.funnel, row.connection.as_str(), row.deal.as_str()), (funnel(), CRM, "d"));
    assert_eq!(journal.start(&world.lease, &[effect(copy, 1)], at(50)).await.unwrap(), [effect(copy, 1)]);
    assert!(journal.start(&world.lease, &[effect(copy, 1)], at(50)).await.unwrap().is_empty(), "under way already");
    // News of the first attempt, late: the second is under way.
    journal.mark(vec![retry(effect(copy, 1), 1, 60, "other")]).await.unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Intended));
    journal.mark(vec![retry(effect(copy, 1), 2, 70, "")]).await.unwrap();
    assert_eq!(world.outbox(at(70)).await, [(effect(copy, 1), "text".to_owned(), 2)]);
}

/// A receiver that has been away for months: PostgreSQL counts attempts in 16 bits.
pub async fn a_task_that_was_tried_very_often_still_goes_out_one_day(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![write_back(1, "task")]).await;
    for tried in [31_999, 32_000, 32_767] {
        if !backend.execute(&format!("UPDATE effect SET attempt = {tried}, resends = {tried}")).await {
            break;
        }
        let row = journal.outbox(at(100), 10).await.unwrap().remove(0);
        assert_eq!(journal.start(&world.lease, &[row.effect], at(100)).await.unwrap(), [row.effect], "after {tried}");
        journal.mark(vec![retry(row.effect, row.attempt + 1, 50, &row.payload)]).await.unwrap();
        assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Planned), "it is heard that {tried} + 1 failed");
    }
    let row = journal.outbox(at(100), 10).await.unwrap().remove(0);
    journal.start(&world.lease, &[row.effect], at(100)).await.unwrap();
    journal.mark(vec![mark(row.effect, row.attempt + 1, accepted(None))]).await.unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Accepted));
}

pub async fn a_hard_bounce_suppresses_the_address(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2)]).await;
    let journal = &world.store.journal;
    for (copy, n) in [(copies[0], 1), (copies[1], 2)] {
        world.decide(copy, vec![message(&world.store, 1, "a", &phone(n)), message(&world.store, 2, "b", &phone(n))]).await;
    }
    let gone = Outcome::Rejected { reason: "NoSuchNumber".into(), suppress: true };
    journal.mark(vec![mark(effect(copies[0], 1), 1, gone)]).await.unwrap();
    let stopped = journal.suppressed(&[effect(copies[0], 2), effect(copies[1], 2)]).await.unwrap();
    assert_eq!(stopped, [effect(copies[0], 2)]);
    let suppressions = world.copy(copies[0]).await.client.suppressions;
    assert_eq!(suppressions[0].scope, SuppressionScope::Address(messages_to(&world.store, 1)));
    assert_eq!(suppressions[0].reason, SuppressionReason::HardBounce);
}

pub async fn write_backs_of_a_deal_keep_their_order(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![write_back(1, "move"), write_back(2, "comment"), write_back(3, "task")]).await;
    let order = |due: Vec<(EffectRef, String, i32)>| due.into_iter().map(|(e, _, _)| e.seq).collect::<Vec<_>>();
    assert_eq!(order(world.outbox(at(10)).await), [1, 2, 3]);
    journal.start(&world.lease, &[effect(copy, 1)], at(10)).await.unwrap();
    assert!(world.outbox(at(10)).await.is_empty(), "they wait for the one under way");
    assert_eq!(journal.next_due().await.unwrap(), Some(at(100)), "and so does the clock");
    journal.mark(vec![retry(effect(copy, 1), 1, 40, "")]).await.unwrap();
    assert!(world.outbox(at(39)).await.is_empty(), "and for the one that is tried again");
    assert_eq!(journal.next_due().await.unwrap(), Some(at(40)));
    // What is decided meanwhile comes after all of them.
    world.decide(copy, vec![write_back(4, "note")]).await;
    assert!(world.outbox(at(39)).await.is_empty(), "a newer one does not overtake the one that is tried again");
    assert_eq!(journal.next_due().await.unwrap(), Some(at(40)));
    assert_eq!(order(world.outbox(at(40)).await), [1, 2, 3, 4]);
    // Each is put off by itself, and those under way together with those that wait: the order is still theirs.
    let all = [1, 2, 3].map(|seq| effect(copy, seq));
    assert_eq!(journal.start(&world.lease, &all, at(40)).await.unwrap(), all);
    let not_started = Mark { outcome: Outcome::NotStarted, ..retry(all[2], 1, 60, "{}") };
    journal.mark(vec![mark(all[0], 2, accepted(None)), retry(all[1], 1, 90, "{}"), not_started]).await.unwrap();
    world.decide(copy, vec![write_back(5, "note")]).await;
    assert!(world.outbox(at(89)).await.is_empty());
    assert_eq!(order(world.outbox(at(90)).await), [2, 3, 4, 5]);
    journal.start(&world.lease, &[all[1], all[2]], at(90)).await.unwrap();
    journal.mark(vec![retry(all[1], 2, 150, "{}")]).await.unwrap();
    // The process dies before it can say what became of the third.
    journal.release(&world.lease).await.unwrap();
    let two = journal.take("two", TTL).await.unwrap().unwrap();
    assert!(world.outbox(at(149)).await.is_empty());
    assert_eq!(order(world.outbox(at(150)).await), [2, 3, 4, 5]);
    let all = [2, 3, 4, 5].map(|seq| effect(copy, seq));
    assert_eq!(journal.start(&two, &all, at(150)).await.unwrap(), all);
    let attempts = [3, 3, 1, 1];
    journal.mark(all.iter().zip(attempts).map(|(e, attempt)| mark(*e, attempt, accepted(None))).collect()).await.unwrap();
    assert!(world.outbox(at(999)).await.is_empty());
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Accepted));
}

pub async fn clients_who_share_an_address_are_one(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2), ("d3", "c3", 3)]).await;
    let client = |s: rekindle::engine::Subject| s.client.id.unwrap();
    let (one, two) = (client(world.copy(copies[0]).await), client(world.copy(copies[1]).await));
    assert_ne!(one, two);
    let suppression = Suppression {
        scope: SuppressionScope::Client(two),
        brand: Some("acme".into()),
        medium: None,
        purpose: Some(Purpose::Advertising),
        reason: SuppressionReason::Unsubscribed,
        at: at(1),
    };
    world.commit(Batch { now: Some(at(1)), suppress: vec![suppression.clone()], ..Batch::default() }).await;
    // The second contact turns out to have the first one's number.
    let mut second = contact("c2", 2);
    second.phones.push(phone(1));
    world.commit(Batch { now: Some(at(2)), page: Some(page(vec![second], vec![])), ..Batch::default() }).await;
    let (first, second) = (world.copy(copies[0]).await, world.copy(copies[1]).await);
    assert_eq!(first.client.id, Some(one.min(two)));
    assert_eq!(second.client.id, first.client.id);
    assert_eq!(first.client.suppressions, [suppression], "what one refused, both refused");
    assert_eq!(first.client.siblings.iter().map(|s| s.copy).collect::<Vec<_>>(), [copies[1]]);
    assert_eq!((first.client.siblings[0].deal_open, first.client.siblings[0].cycle_at), (false, Some(at(0))));
    assert_eq!(first.client.addresses.len(), 4, "both phones, both mailboxes");
    assert_eq!(second.client.addresses[0].address, Address::Phone(phone(2)), "one's own come first");
    assert_eq!(second.copy.client, two, "rows are not rewritten");
    assert_eq!(second.copy.shard, shard_of(two));
    // A third one joins later; the chain still leads to the oldest.
    let mut third = contact("c3", 3);
    third.phones.push(phone(2));
    world.commit(Batch { now: Some(at(3)), page: Some(page(vec![third], vec![])), ..Batch::default() }).await;
    assert_eq!(world.copy(copies[2]).await.client.id, first.client.id);
    assert_eq!(world.copy(copies[2]).await.client.siblings.len(), 2);
}

pub async fn a_deal_may_come_before_its_contact(backend: &Backend) {
    let world = World::new(backend).await;
    let first = deal("d", "c");
    let batch = Batch {
        now: Some(at(0)),
        page: Some(page(vec![], vec![first.clone()])),
        changes: vec![new_copy(&first)],
        ..Batch::default()
    };
    let copy = world.commit(batch).await.created[0];
    let before = world.copy(copy).await;
    assert!(before.contact.is_none() && before.client.addresses.is_empty());
    world.commit(Batch { now: Some(at(1)), page: Some(page(vec![contact("c", 1)], vec![])), ..Batch::default() }).await;
    let after = world.copy(copy).await;
    assert_eq!((after.client.id, after.contact.map(|c| c.id)), (before.client.id, Some("c".into())));
    assert_eq!(after.client.addresses.len(), 2);
}

pub async fn a_deal_that_changes_its_contact_changes_its_client(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "", 0), ("d2", "c2", 2)]).await;
    let lonely = world.copy(copies[0]).await.client.id;
    assert_ne!(lonely, None);
    world.commit(Batch { now: Some(at(1)), page: Some(page(vec![], vec![deal("d1", "c2")])), ..Batch::default() }).await;
    let (first, second) = (world.copy(copies[0]).await, world.copy(copies[1]).await);
    assert_eq!(first.client.id, second.client.id);
    assert_eq!(first.copy.shard, second.copy.shard);
    assert_eq!(second.client.siblings.len(), 1);
}

pub async fn an_unsubscription_holds_from_its_arrival(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1))]).await;
    // Decided before it arrives, committed after.
    let late = world.decided(copy, vec![message(&world.store, 2, "b", &phone(1))]).await;
    let client = world.copy(copy).await.client.id.unwrap();
    let suppression = |brand: &str, medium| Suppression {
        scope: SuppressionScope::Client(client),
        brand: Some(brand.into()),
        medium,
        purpose: Some(Purpose::Advertising),
        reason: SuppressionReason::Unsubscribed,
        at: at(11),
    };
    let event = |n: i64| InboxEvent::Unsubscribe { subject: SignalSubject::default(), at: at(n), only: None };
    let other = Incoming {
        suppress: vec![suppression("other", None), suppression("acme", Some(Medium::Email))],
        ..incoming("a", event(11))
    };
    journal.receive(vec![other]).await.unwrap();
    assert!(journal.suppressed(&[effect(copy, 1)]).await.unwrap().is_empty(), "another brand, another medium");
    let this = Incoming { suppress: vec![suppression("acme", None)], ..incoming("b", event(12)) };
    journal.receive(vec![this]).await.unwrap();
    assert_eq!(journal.suppressed(&[effect(copy, 1)]).await.unwrap(), [effect(copy, 1)]);
    let commit = world.commit(Batch { now: Some(at(13)), changes: vec![late], ..Batch::default() }).await;
    assert_eq!(commit.stale, [copy]);
    assert_eq!(world.copy(copy).await.ledger.len(), 1);
    let mut service = message(&world.store, 2, "b", &phone(1));
    if let rekindle::engine::EffectKind::Message { purpose, .. } = &mut service.effect.kind {
        *purpose = Purpose::Service;
    }
    assert!(world.decide(copy, vec![service]).await.stale.is_empty(), "what they asked for still reaches them");
}

/// As the page of a message stores it.
fn opt_out(info: &EffectInfo, only: Option<Medium>) -> Incoming {
    let suppression = |scope, medium| Suppression {
        scope,
        brand: Some(info.brand.clone()),
        medium,
        purpose: Some(Purpose::Advertising),
        reason: SuppressionReason::Unsubscribed,
        at: at(11),
    };
    let subject = SignalSubject { effect: Some(info.effect), ..SignalSubject::default() };
    Incoming {
        suppress: vec![
            suppression(SuppressionScope::Client(info.client), only),
            suppression(SuppressionScope::Address(info.key.recipient.clone()), info.medium),
        ],
        ..incoming("opt-out", InboxEvent::Unsubscribe { subject, at: at(11), only })
    }
}

fn withdrawn(subject: &rekindle::engine::Subject) -> Vec<(Option<String>, Medium, String)> {
    let no = subject.client.consents.iter().filter(|c| c.status == ConsentStatus::Withdrawn);
    no.map(|c| (c.brand.clone(), c.medium, c.source.clone())).collect()
}

pub async fn who_was_written_to_opts_out_though_the_deal_changed_hands(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "anna", 1), ("d2", "anna", 1), ("d3", "boris", 2)]).await;
    let journal = &world.store.journal;
    let client = async |copy| world.copy(copy).await.client.id.unwrap();
    let (anna, boris) = (client(copies[1]).await, client(copies[2]).await);
    world.decide(copies[0], vec![message(&world.store, 1, "a", &phone(1)), write_back(2, "move")]).await;
    world.commit(Batch { now: Some(at(10)), page: Some(page(vec![], vec![deal("d1", "boris")])), ..Batch::default() }).await;
    assert_eq!(client(copies[0]).await, boris, "the deal has another contact person");

    let info = journal.effect(effect(copies[0], 1)).await.unwrap().unwrap();
    assert_eq!(info.client, anna, "whom the message was written to");
    let about = async |seq| {
        let subject = SignalSubject { effect: Some(effect(copies[0], seq)), ..SignalSubject::default() };
        let found = journal.load(&Load::Signal(subject), at(11)).await.unwrap();
        found.into_iter().map(|s| s.copy.id).collect::<Vec<_>>()
    };
    assert_eq!(about(1).await, [copies[1]], "her other deal, and not the one that is his now");
    assert_eq!(about(2).await, [copies[0], copies[2]], "what was asked of the manager is about whoever has the deal");

    assert_eq!(journal.receive(vec![opt_out(&info, None)]).await.unwrap(), [true]);
    let to =
        async |copy, seq: i32, n| world.decide(copy, vec![message(&world.store, seq, &format!("b{seq}"), &phone(n))]).await.stale;
    assert_eq!(to(copies[1], 1, 1).await, [copies[1]], "nothing more to her");
    assert_eq!((to(copies[0], 3, 2).await, to(copies[2], 1, 2).await), (vec![], vec![]), "and to him as before");
    let his = world.copy(copies[2]).await;
    assert_eq!((withdrawn(&his), his.client.suppressions), (vec![], vec![]));
    let acme = |medium| (Some("acme".to_owned()), medium, "unsubscribed".to_owned());
    let mut hers = withdrawn(&world.copy(copies[1]).await);
    hers.sort_by_key(|(_, medium, _)| *medium);
    assert_eq!(hers, [acme(Medium::Sms), acme(Medium::Email)]);
    let told = async |deal| {
        let story = world.store.views.timeline(&funnel(), deal).await.unwrap();
        story.iter().filter(|line| line.text.contains("before it got another client opted out")).count()
    };
    assert_eq!((told("d1").await, told("d2").await, told("d3").await), (1, 0, 0));
    // They turn out to be one person: what one refused, both refused.
    let both = Contact { phones: vec![phone(1), phone(2)], ..contact("boris", 2) };
    world.commit(Batch { now: Some(at(12)), page: Some(page(vec![both], vec![])), ..Batch::default() }).await;
    assert_eq!(to(copies[2], 2, 2).await, [copies[2]]);
    assert_eq!(told("d1").await, 0, "the deal is that person's");
}

pub async fn who_wants_no_more_of_one_medium_keeps_the_other(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1))]).await;
    let info = world.store.journal.effect(effect(copy, 1)).await.unwrap().unwrap();
    world.store.journal.receive(vec![opt_out(&info, Some(Medium::Sms))]).await.unwrap();
    let subject = world.copy(copy).await;
    assert_eq!(withdrawn(&subject), [(Some("acme".to_owned()), Medium::Sms, "unsubscribed".to_owned())]);
    let (advertising, acme) = (Purpose::Advertising, "acme");
    let forbidden = |medium| subject.client.suppressions.iter().any(|s| s.forbids(acme, medium, advertising));
    assert_eq!((forbidden(Medium::Sms), forbidden(Medium::Email)), (true, false));
}

/// The mail is a year old, its reader in no CRM any more; then somebody types the same mailbox in again.
pub async fn a_mailbox_that_nobody_had_is_opted_out_for_whoever_gets_it(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1))]).await;
    let gone = Page { gone_contacts: vec!["c".into()], ..page(vec![], vec![]) };
    world.commit(Batch { now: Some(at(11)), page: Some(gone), ..Batch::default() }).await;
    let info = journal.effect(effect(copy, 1)).await.unwrap().unwrap();
    journal.receive(vec![opt_out(&info, None)]).await.unwrap();

    let again = world.deals(&[("d2", "c2", 1)]).await[0];
    let subject = world.copy(again).await;
    assert_ne!(subject.client.id, Some(info.client), "somebody else, as far as we know");
    assert_eq!(withdrawn(&subject), [(Some("acme".to_owned()), Medium::Sms, "unsubscribed".to_owned())]);
    assert_eq!(world.decide(again, vec![message(&world.store, 1, "a", &phone(1))]).await.stale, [again]);
}

pub async fn a_withdrawn_consent_outlives_the_crms_yes(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let say = async |sms| {
        let mut person = contact("c", 1);
        person.consent = ContactConsent { sms, email: None };
        world.commit(Batch { now: Some(at(1)), page: Some(page(vec![person], vec![])), ..Batch::default() }).await;
        let consents = world.copy(copy).await.client.consents;
        consents.into_iter().map(|c| (c.brand, c.medium, c.status, c.source)).collect::<Vec<_>>()
    };
    let crm = || "crm:default/crm".to_owned();
    assert_eq!(say(None).await, []);
    assert_eq!(say(Some(true)).await, [(None, Medium::Sms, ConsentStatus::Given, crm())]);
    assert_eq!(say(None).await, [], "what the CRM says no more is unknown");
    assert_eq!(say(Some(true)).await, [(None, Medium::Sms, ConsentStatus::Given, crm())]);
    assert_eq!(say(Some(false)).await, [(None, Medium::Sms, ConsentStatus::Withdrawn, crm())]);
    assert_eq!(say(Some(true)).await, [(None, Medium::Sms, ConsentStatus::Given, crm())]);
    let suppression = Suppression {
        scope: SuppressionScope::Client(world.copy(copy).await.client.id.unwrap()),
        brand: None,
        medium: None,
        purpose: Some(Purpose::Advertising),
        reason: SuppressionReason::Unsubscribed,
        at: at(2),
    };
    world.store.journal.receive(vec![Incoming { suppress: vec![suppression], ..incoming("u", call(1)) }]).await.unwrap();
    let ours = |medium| (None, medium, ConsentStatus::Withdrawn, "unsubscribed".to_owned());
    for word in [Some(true), None] {
        let mut withdrawn = say(word).await;
        withdrawn.sort_by_key(|w| w.1);
        assert_eq!(withdrawn, [ours(Medium::Sms), ours(Medium::Email)], "{word:?}");
    }
}

pub async fn a_no_to_an_address_holds_whichever_of_its_contacts_is_edited(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c1", 1)]).await[0];
    let person = |id: &str, sms| Contact { consent: ContactConsent { sms, email: None }, ..contact(id, 1) };
    let says = async |connection: &str, contacts: Vec<Contact>, gone: &[&str]| {
        let gone_contacts = gone.iter().map(|id| (*id).to_owned()).collect();
        let page = Page { connection: connection.into(), gone_contacts, ..page(contacts, vec![]) };
        world.commit(Batch { now: Some(at(1)), page: Some(page), ..Batch::default() }).await;
        let consents = world.copy(copy).await.client.consents;
        consents.into_iter().map(|c| (c.status, c.source)).collect::<Vec<_>>()
    };
    let (no, yes) = (ConsentStatus::Withdrawn, ConsentStatus::Given);
    let told = |status, by: &str| [(status, format!("crm:{by}"))];
    let (one, two) = (person("c1", Some(false)), person("c2", Some(true)));
    assert_eq!(says(CRM, vec![one.clone(), two.clone()], &[]).await, told(no, CRM), "both at once");
    let edited = Contact { name: Text("Anna".into()), ..two };
    assert_eq!(says(CRM, vec![edited], &[]).await, told(no, CRM), "the other was edited");
    assert_eq!(says("default/other", vec![person("x", Some(true))], &[]).await, told(no, CRM), "another CRM says yes");
    assert_eq!(says(CRM, vec![person("c1", None)], &[]).await, told(yes, CRM), "the no is taken back");
    assert_eq!(says(CRM, vec![one], &[]).await, told(no, CRM));
    assert_eq!(says(CRM, vec![contact("c1", 2)], &[]).await, told(yes, CRM), "who said no has another number");
    assert_eq!(says(CRM, vec![], &["c2"]).await, told(yes, "default/other"), "who said yes is gone");
    assert_eq!(says("default/other", vec![], &["x"]).await, [], "and nobody says anything any more");
}

pub async fn a_number_that_was_corrected_joins_no_strangers(backend: &Backend) {
    let world = World::new(backend).await;
    let first = world.deals(&[("d1", "c1", 1)]).await[0];
    let put = async |contacts: Vec<Contact>| {
        world.commit(Batch { now: Some(at(1)), page: Some(page(contacts, vec![])), ..Batch::default() }).await;
    };
    let client = async |copy| world.copy(copy).await.client.id.unwrap();
    let one = client(first).await;
    let refused = Suppression {
        scope: SuppressionScope::Client(one),
        brand: Some("acme".into()),
        medium: None,
        purpose: Some(Purpose::Advertising),
        reason: SuppressionReason::Unsubscribed,
        at: at(1),
    };
    world.commit(Batch { now: Some(at(1)), suppress: vec![refused], ..Batch::default() }).await;
    put(vec![contact("c1", 2)]).await;
    let second = world.deals(&[("d2", "c2", 1)]).await[0];
    let two = client(second).await;
    assert_ne!(two, one, "the number's owner is not whom it was written down for by mistake");
    let subject = world.copy(second).await;
    assert!(subject.client.suppressions.is_empty() && subject.client.siblings.is_empty());
    let withdrawn = |c: &Consent| c.status == ConsentStatus::Withdrawn && c.source == Consent::UNSUBSCRIBED;
    assert!(subject.client.consents.iter().all(withdrawn) && subject.client.consents.len() == 2, "what was refused there, is");
    let call = Load::Signal(SignalSubject { phone: Some(phone(1)), ..SignalSubject::default() });
    let called = world.store.journal.load(&call, at(1)).await.unwrap();
    assert_eq!(called.iter().map(|s| s.copy.id).collect::<Vec<_>>(), [second], "who calls from it is its owner");
    // In one page, too: the number goes from one to the other.
    put(vec![contact("c1", 3), contact("c3", 2)]).await;
    let third = world.deals(&[("d3", "c3", 2)]).await[0];
    assert!(![one, two].contains(&client(third).await));
    // Whoever has a number still is joined, and comes back to their own.
    let fourth = world.deals(&[("d4", "c4", 3)]).await[0];
    assert_eq!((client(fourth).await, client(first).await), (one, one));
    put(vec![contact("c4", 4)]).await;
    put(vec![contact("c4", 3)]).await;
    assert_eq!(client(fourth).await, one);
    // The same contact, told under another id from now on.
    put(vec![Contact { id: "c3".into(), ..Contact::default() }, contact("c9", 2)]).await;
    let renamed = world.deals(&[("d9", "c9", 2)]).await[0];
    assert_eq!(client(renamed).await, client(third).await);
}

pub async fn who_left_the_crm_is_forgotten_and_what_was_done_is_not(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let put = async |page: Page| {
        world.commit(Batch { now: Some(at(1)), page: Some(page), ..Batch::default() }).await;
    };
    put(Page { managers: vec![manager("m1"), manager("m2")], ..page(vec![contact("c2", 2)], vec![]) }).await;
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1)), write_back(2, "task")]).await;
    let before = world.copy(copy).await;
    assert_eq!((before.client.addresses.len(), before.manager.is_some()), (2, true));
    assert_eq!(journal.contact_ids(CRM, "", 9).await.unwrap(), ["c", "c2"]);
    assert_eq!(journal.contact_ids(CRM, "c", 9).await.unwrap(), ["c2"]);
    let (gone_contacts, gone_managers) = (vec!["c".into(), "x".into()], vec![ManagerId("m1".into())]);
    put(Page { gone_contacts, gone_managers, ..page(vec![], vec![]) }).await;
    let after = world.copy(copy).await;
    assert!(after.contact.is_none() && after.client.addresses.is_empty() && after.manager.is_none());
    assert_eq!(journal.contact_ids(CRM, "", 9).await.unwrap(), ["c2"]);
    assert_eq!(journal.managers(CRM).await.unwrap(), [manager("m2")]);
    assert_eq!((after.ledger.len(), after.client.id), (before.ledger.len(), before.client.id));
    assert_eq!(world.outbox(at(20)).await.len(), 1, "the task is still due");
    assert!(!world.store.views.timeline(&funnel(), "d").await.unwrap().is_empty());
    put(page(vec![contact("c", 1)], vec![])).await;
    assert_eq!(world.copy(copy).await.client.id, before.client.id, "who comes back is who they were");
}

pub async fn what_waits_for_a_busy_connection_hides_nothing_behind_it(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let other = NewEffect { target: "default/other".into(), ..write_back(3, "note") };
    world.decide(copy, vec![write_back(1, "move"), write_back(2, "task"), other]).await;
    let later =
        NewEffect { status: EffectStatus::Planned, payload: Some("text".into()), ..message(&world.store, 4, "a", &phone(1)) };
    world.decide(copy, vec![later]).await;
    let beside = async |busy: &[&str], limit| {
        let busy: Vec<String> = busy.iter().map(|name| (*name).to_owned()).collect();
        let rows = world.store.journal.outbox_beside(&busy, None, at(20), limit).await.unwrap();
        rows.into_iter().map(|row| row.effect.seq).collect::<Vec<_>>()
    };
    assert_eq!(beside(&[], 2).await, [1, 2]);
    assert_eq!(beside(&[CRM], 2).await, [3, 4]);
    assert_eq!(beside(&["default/other"], 9).await, [1, 2, 4]);
    assert_eq!(beside(&["default/other", CRM], 9).await, [4]);
    assert_eq!(beside(&["default/cr", "efault/crm"], 9).await, [1, 2, 3, 4], "only whole names");
}

pub async fn an_older_page_never_overwrites_a_newer_state(backend: &Backend) {
    let world = World::new(backend).await;
    let state =
        |version: i64, title: &str| (Deal { updated_at: Some(at(version)), title: title.into(), ..deal("d", "c") }, version);
    let put = async |deals: Vec<(Deal, i64)>| {
        let page = Page { deals, ..page(vec![], vec![]) };
        world.commit(Batch { now: Some(at(1)), page: Some(page), ..Batch::default() }).await;
        let ids = ["nobody".to_owned(), "d".to_owned()];
        world
            .store
            .journal
            .stored(CRM, &ids)
            .await
            .unwrap()
            .into_iter()
            .map(|s| (s.hash, s.updated_at, s.deleted))
            .collect::<Vec<_>>()
    };
    assert_eq!(put(vec![state(11, "eleven")]).await, [(11, Some(at(11)), false)]);
    assert_eq!(put(vec![state(10, "ten")]).await, [(11, Some(at(11)), false)]);
    assert_eq!(put(vec![state(12, "twelve"), state(9, "nine")]).await, [(12, Some(at(12)), false)], "twice in one page");
    let (gone, hash) = state(13, "gone");
    assert_eq!(put(vec![(Deal { state: DealState::Deleted, ..gone }, hash)]).await, [(13, Some(at(13)), true)]);
    assert!(world.store.journal.deal_ids(CRM, "", 100).await.unwrap().is_empty());
    let (undated, hash) = state(14, "undated");
    assert_eq!(put(vec![(Deal { updated_at: None, ..undated }, hash)]).await, [(14, None, false)], "no date: the last one wins");
    assert_eq!(world.store.journal.deal_ids(CRM, "", 100).await.unwrap(), ["d"]);
    assert_eq!(world.store.journal.deal_ids(CRM, "d", 100).await.unwrap(), Vec::<String>::new(), "the page after the last");
}

pub async fn a_subject_holds_everything_known(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let boss = manager("boss");
    let owner = Manager { deputy: Some(ManagerId("dep".into())), supervisor: Some(ManagerId("boss".into())), ..manager("m1") };
    let cursor =
        Cursor { read_at: Some(at(7)), complete: true, rows: 2, position: serde_json::json!({"line": 3}), ..Cursor::default() };
    let first = deal("d", "c");
    let full = Page {
        managers: vec![owner.clone(), manager("dep"), boss.clone()],
        cursor: Some(cursor.clone()),
        ..page(vec![contact("c", 1)], vec![first.clone()])
    };
    let mut change = new_copy(&first);
    let odd = "2027-01-15T08:00:00.123456789Z".parse::<Timestamp>().unwrap();
    change.copy.next_at = Some(odd);
    change.copy.state.messaged_at = Some(odd);
    let batch = Batch { now: Some(at(0)), page: Some(full), changes: vec![change.clone()], ..Batch::default() };
    let copy = world.commit(batch).await.created[0];
    let skip = NewEffect {
        effect: rekindle::engine::Effect {
            kind: rekindle::engine::EffectKind::Skip { reason: SkipReason::NoConsent },
            ..message(&world.store, 2, "b", &phone(1)).effect
        },
        status: EffectStatus::Skipped,
        ..message(&world.store, 2, "b", &phone(1))
    };
    world.decide(copy, vec![message(&world.store, 1, "a", &phone(1)), skip]).await;
    let s = world.copy(copy).await;
    assert_eq!(s.deal, first);
    assert_eq!(s.contact, Some(contact("c", 1)));
    assert_eq!((s.manager, s.deputy, s.supervisor), (Some(owner.clone()), Some(manager("dep")), Some(boss)));
    assert_eq!(s.crm_read_at, Some(at(7)));
    assert_eq!(journal.cursor(CRM).await.unwrap(), cursor);
    assert_eq!(world.store.views.cursors().await.unwrap(), [(CRM.to_owned(), cursor)]);
    assert_eq!(s.copy.state, change.copy.state, "state keeps what it is given");
    assert!(s.copy.next_at.unwrap() >= odd, "a moment is never read back earlier than it was set");
    assert!(s.copy.next_at.unwrap() <= odd + jiff::SignedDuration::from_millis(1));
    assert_eq!((s.copy.ver, s.copy.cycle, s.copy.amount, s.copy.stage.as_str()), (2, 1, Money(100_000), "warm"));
    assert_eq!(s.copy.shard, shard_of(s.copy.client));
    let ledger: Vec<_> = s.ledger.iter().map(|e| (e.seq, e.key.item.as_str(), e.status, e.reason.as_deref())).collect();
    assert_eq!(ledger, [(1, "a", EffectStatus::Intended, None), (2, "b", EffectStatus::Skipped, Some("NoConsent"))]);
    assert_eq!(s.client.recent.len(), 1, "what was skipped was not sent");
    assert_eq!(journal.managers(CRM).await.unwrap().len(), 3);
    assert_eq!(journal.contacts(CRM, &["x".into(), "c".into()]).await.unwrap(), [contact("c", 1)]);
    assert_eq!(journal.load(&Load::Copies(vec![CopyId(99), copy]), at(0)).await.unwrap().len(), 1);
    let by_deal = Load::Deals { connection: CRM.into(), ids: vec!["d".into(), "x".into()] };
    assert_eq!(journal.load(&by_deal, at(0)).await.unwrap().len(), 1);
}

pub async fn signals_find_their_client(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c1", 1), ("d3", "c3", 3)]).await;
    let name = |id: &str| Some((CRM.to_owned(), id.to_owned()));
    let nobody = SignalSubject::default;
    let email = Email::parse("C1@EXAMPLE.com").ok();
    let table = [
        (SignalSubject { effect: Some(effect(copies[0], 5)), ..nobody() }, 2),
        (SignalSubject { deal: name("d2"), ..nobody() }, 2),
        (SignalSubject { contact: name("c1"), ..nobody() }, 2),
        (SignalSubject { phone: Some(phone(1)), ..nobody() }, 2),
        (SignalSubject { email, ..nobody() }, 2),
        (SignalSubject { deal: name("unknown"), phone: Some(phone(3)), ..nobody() }, 1),
        (SignalSubject { phone: Some(phone(77)), ..nobody() }, 0),
        (nobody(), 0),
    ];
    for (subject, expected) in table {
        let found = world.store.journal.load(&Load::Signal(subject.clone()), at(0)).await.unwrap();
        assert_eq!(found.len(), expected, "{subject:?}");
    }
}

pub async fn news_of_a_contact_reach_all_deals_of_the_person(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2), ("d3", "c3", 1), ("d4", "c1", 1)]).await;
    // Its contact is not known yet.
    let early = deal("d5", "c5");
    let changes = vec![new_copy(&early)];
    let early = world.commit(Batch { now: Some(at(0)), page: Some(page(vec![], vec![early])), changes, ..Batch::default() }).await;
    let reached = async |ids: &[&str]| {
        let what = Load::Contacts { connection: CRM.into(), ids: ids.iter().map(|id| (*id).to_owned()).collect() };
        let found = journal.fetch(&what, at(0)).await.unwrap();
        assert!(found.iter().all(|loaded| loaded.connection == CRM));
        found.into_iter().map(|loaded| loaded.subject.copy.id).collect::<Vec<_>>()
    };
    assert_eq!(reached(&["c1"]).await, [copies[0], copies[2], copies[3]]);
    assert_eq!(reached(&["c5", "c2", "c2", "unknown"]).await, [copies[1], early.created[0]]);
    assert!(reached(&[]).await.is_empty());
    let mut gone = world.decided(copies[3], Vec::new()).await;
    gone.copy.role = Role::Archived;
    world.commit(Batch { now: Some(at(1)), changes: vec![gone], ..Batch::default() }).await;
    assert_eq!(reached(&["c3"]).await, [copies[0], copies[2]], "what is archived is left alone");
}

pub async fn due_copies_come_oldest_first(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let deals: Vec<Deal> = ["a", "b", "c", "d"].map(|id| deal(id, id)).into();
    let mut changes: Vec<Change> = deals.iter().map(new_copy).collect();
    for (change, next) in changes.iter_mut().zip([Some(at(30)), Some(at(10)), None, Some(at(20))]) {
        change.copy.next_at = next;
    }
    let batch = Batch { now: Some(at(0)), page: Some(page(vec![], deals)), changes, ..Batch::default() };
    let ids = world.commit(batch).await.created;
    assert_eq!(journal.next_due().await.unwrap(), Some(at(10)));
    let due = async |now, low, limit| {
        let found = journal.due(now, low, limit).await.unwrap();
        found.into_iter().map(|d| (d.copy, d.due_at)).collect::<Vec<_>>()
    };
    assert_eq!(due(at(9), None, 10).await, []);
    assert_eq!(due(at(30), None, 10).await, [(ids[1], at(10)), (ids[3], at(20)), (ids[0], at(30))]);
    assert_eq!(due(at(30), None, 1).await, [(ids[1], at(10))]);
    assert_eq!(due(at(30), Some(at(20)), 10).await, [(ids[3], at(20)), (ids[0], at(30))]);
    assert_eq!(journal.copies_of(&funnel(), CopyId(0), 3).await.unwrap(), ids[..3]);
    assert_eq!(journal.copies_of(&funnel(), ids[2], 3).await.unwrap(), ids[3..]);
}

/// Why messages wait, over all stages; stages are counted as ever.
pub async fn what_waits_is_counted_by_its_reason(backend: &Backend) {
    let world = World::new(backend).await;
    let deals: Vec<Deal> = ["a", "b", "c", "d", "e"].map(|id| deal(id, id)).into();
    let mut changes: Vec<Change> = deals.iter().map(new_copy).collect();
    for (change, why) in
        changes.iter_mut().zip([PostponeReason::BudgetReached, PostponeReason::Holiday, PostponeReason::BudgetReached])
    {
        change.copy.state.waiting = Some(why);
    }
    changes[2].copy.stage = "other".into();
    // A pause's own reason is none of these, though its text looks like one.
    changes[3].copy.state.pause = Some(Pause { until: at(50), why: PauseUntil::Answered });
    world.commit(Batch { now: Some(at(0)), page: Some(page(vec![], deals)), changes, ..Batch::default() }).await;
    let counts = world.store.views.counts(&funnel(), None, at(0)).await.unwrap();
    assert_eq!(counts.postponed, [("BudgetReached".to_owned(), 2), ("Holiday".to_owned(), 1)]);
    assert_eq!(counts.stages.iter().map(|s| (s.stage.as_str(), s.deals)).collect::<Vec<_>>(), [("other", 1), ("warm", 4)]);
}

pub async fn backfill_takes_fresh_losses_first(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let lost = |id: &str, when: Option<i64>| Deal { stage_changed_at: when.map(at), ..deal(id, id) };
    let deals = vec![lost("old", Some(-900)), lost("fresh", Some(-10)), lost("unknown", None), lost("other", Some(0))];
    let mut changes: Vec<Change> = deals.iter().map(new_copy).collect();
    for change in &mut changes[..3] {
        change.copy.role = Role::Backfill;
        change.copy.next_at = None;
    }
    let batch = Batch { now: Some(at(0)), page: Some(page(vec![], deals)), changes, ..Batch::default() };
    let ids = world.commit(batch).await.created;
    let waiting = async |since, limit| journal.backfill(&funnel(), at(since), limit).await.unwrap();
    assert_eq!(waiting(-1000, 10).await, [ids[1], ids[0]], "nobody knows when the third was lost: it waits in vain");
    assert_eq!(waiting(-1000, 1).await, [ids[1]]);
    assert_eq!((waiting(-900, 10).await.len(), waiting(-899, 10).await.len()), (2, 1), "what is too old stands in nobody's way");
    let counted = async |since| world.store.views.waiting_backfill(&funnel(), at(since)).await.unwrap();
    assert_eq!((counted(-900).await, counted(-899).await, counted(0).await), (2, 1, 0), "who can still be admitted");
    let mut admitted = world.decided(ids[1], Vec::new()).await;
    admitted.copy.role = Role::Warming;
    world.commit(Batch { now: Some(at(1)), changes: vec![admitted], ..Batch::default() }).await;
    assert_eq!(waiting(-1000, 10).await, [ids[0]]);
}

/// A copy that an edit or a correction leads to Backfill waits there by the loss of its deal, like one that was there from the start.
pub async fn who_comes_to_backfill_later_waits_by_their_own_loss(backend: &Backend) {
    let world = World::new(backend).await;
    let journal = &world.store.journal;
    let lost = |id: &str, when: Option<i64>, hour: i64| Deal {
        stage_changed_at: when.map(at),
        updated_at: Some(at(hour)),
        ..deal(id, id)
    };
    let deals = vec![lost("old", Some(-900), 0), lost("fresh", Some(-10), 0), lost("unknown", None, 0)];
    let mut changes: Vec<Change> = deals.iter().map(new_copy).collect();
    changes[0].copy.role = Role::Backfill;
    let ids = world.commit(Batch { now: Some(at(0)), page: Some(page(vec![], deals)), changes, ..Batch::default() }).await.created;
    let waiting = async |since| journal.backfill(&funnel(), at(since), 10).await.unwrap();
    assert_eq!(waiting(-1000).await, [ids[0]]);
    let to_backfill = async |n: usize, batch: Batch| {
        let mut change = world.decided(ids[n], Vec::new()).await;
        change.copy.role = Role::Backfill;
        world.commit(Batch { now: Some(at(1)), changes: vec![change], ..batch }).await;
    };
    to_backfill(1, Batch::default()).await;
    to_backfill(2, Batch::default()).await;
    assert_eq!(waiting(-1000).await, [ids[1], ids[0]]);
    // The CRM tells when, in the batch that decides it.
    let told = page(vec![], vec![lost("unknown", Some(-5), 1)]);
    to_backfill(2, Batch { page: Some(told), ..Batch::default() }).await;
    assert_eq!(waiting(-1000).await, [ids[2], ids[1], ids[0]]);
    // An earlier version wrote 0 for a copy that it updated. The deal knows better.
    if backend.execute("UPDATE copy SET backfill_at = 0").await {
        assert_eq!(waiting(-1000).await, [ids[2], ids[1], ids[0]]);
        assert_eq!(waiting(-10).await, [ids[2], ids[1]]);
    }
}

pub async fn clicks_are_kept_and_judged(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let coded = NewEffect { codes: vec!["h0".into(), "h1".into()], ..message(&world.store, 1, "a", &phone(1)) };
    world.decide(copy, vec![coded]).await;
    let asked = ["h2", "h1", "h1"].map(str::to_owned);
    assert_eq!(journal.codes(&asked).await.unwrap(), HashMap::from([("h1".to_owned(), (effect(copy, 1), 1))]));
    journal.mark(vec![mark(effect(copy, 1), 1, Outcome::Unknown { reason: "Timeout".into() })]).await.unwrap();
    let hit = |link, when, verdict| Incoming {
        click: Some(Clicked { effect: effect(copy, 1), link, at: at(when), verdict, why: "why".into() }),
        ..incoming(&format!("{link}.{when}"), InboxEvent::Click { effect: effect(copy, 1), link, at: at(when), verdict })
    };
    journal.receive(vec![hit(0, 30, None), hit(1, 31, Some(ClickVerdict::Machine))]).await.unwrap();
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Accepted), "whoever opens it has got it");
    assert_eq!(world.copy(copy).await.ledger[0].clicked_at, None);
    let verdict =
        |link, when, verdict| Clicked { effect: effect(copy, 1), link, at: at(when), verdict: Some(verdict), why: "alone".into() };
    // Of several verdicts on one message in a batch, the human one tells; an unknown hit changes nothing.
    let verdicts =
        [verdict(1, 31, ClickVerdict::Machine), verdict(0, 30, ClickVerdict::Human), verdict(7, 30, ClickVerdict::Machine)];
    journal.judge(&verdicts).await.unwrap();
    journal.receive(vec![hit(0, 40, Some(ClickVerdict::Human))]).await.unwrap();
    assert_eq!(world.copy(copy).await.ledger[0].clicked_at, Some(at(30)), "the first one stays");
    let info = journal.effect(effect(copy, 1)).await.unwrap().unwrap();
    assert_eq!(info.hits, [(0, at(30)), (1, at(31)), (0, at(40))]);
    assert_eq!((info.brand.as_str(), info.medium, info.purpose), ("acme", Some(Medium::Sms), Purpose::Advertising));
    assert_eq!(info.target, "sms");
    assert_eq!((info.links.as_slice(), info.funnel), (["https://example.com/a".to_owned()].as_slice(), funnel()));
    assert_eq!(Some(info.client), world.copy(copy).await.client.id);
    assert!(journal.effect(effect(copy, 9)).await.unwrap().is_none());
    let several = journal.effects(&[effect(copy, 9), effect(copy, 1), effect(copy, 1)]).await.unwrap();
    assert_eq!(several.iter().map(|info| (info.effect, info.hits.len())).collect::<Vec<_>>(), [(effect(copy, 1), 3); 2]);
    let counts = world.store.views.counts(&funnel(), None, at(50)).await.unwrap();
    assert_eq!((counts.clicks_human, counts.clicks_machine), (2, 1));
    // Somebody opens it a thousand times: the newest hits are told.
    let many: Vec<Incoming> = (0..1000).map(|n| hit(n % 2, 1000 + i64::from(n), Some(ClickVerdict::Human))).collect();
    journal.receive(many).await.unwrap();
    let newest: Vec<(i16, Timestamp)> = (744..1000).map(|n| (n % 2, at(1000 + i64::from(n)))).collect();
    assert_eq!(journal.effect(effect(copy, 1)).await.unwrap().unwrap().hits, newest);
}

pub async fn what_is_useless_is_forgotten_and_the_ledger_never(backend: &Backend) {
    let world = World::new(backend).await;
    if backend.url.starts_with("memory") {
        return; // The model forgets nothing.
    }
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    let coded = NewEffect { codes: vec!["h0".into()], ..message(&world.store, 1, "a", &phone(1)) };
    world.decide(copy, vec![coded]).await;
    journal
        .mark(vec![mark(effect(copy, 1), 1, Outcome::Accepted { provider: "p".into(), provider_id: Some("id-1".into()) })])
        .await
        .unwrap();
    let hit = |link, verdict| Incoming {
        click: Some(Clicked { effect: effect(copy, 1), link, at: at(30), verdict: Some(verdict), why: "why".into() }),
        ..incoming(&format!("{link}"), InboxEvent::Click { effect: effect(copy, 1), link, at: at(30), verdict: Some(verdict) })
    };
    journal.receive(vec![hit(0, ClickVerdict::Human), hit(1, ClickVerdict::Machine), incoming("call", call(1))]).await.unwrap();
    let days = |days: i64| at(60) + jiff::SignedDuration::from_hours(24 * days);

    assert!(!journal.purge(&world.lease, days(80)).await.unwrap(), "there is no more");
    assert_eq!(journal.receive(vec![incoming("call", call(1))]).await.unwrap(), [false], "still remembered");
    assert_eq!(journal.by_provider_id("p", "id-1").await.unwrap(), Some(effect(copy, 1)));

    journal.purge(&world.lease, days(100)).await.unwrap();
    assert_eq!(journal.receive(vec![incoming("call", call(1))]).await.unwrap(), [true]);
    assert_eq!(journal.by_provider_id("p", "id-1").await.unwrap(), None);
    let old = ["h0".to_owned()];
    assert_eq!(journal.codes(&old).await.unwrap()["h0"], (effect(copy, 1), 0), "an old link still leads somewhere");

    journal.purge(&world.lease, days(500)).await.unwrap();
    assert!(journal.codes(&old).await.unwrap().is_empty());
    assert_eq!(journal.effect(effect(copy, 1)).await.unwrap().unwrap().hits, [(0, at(30))], "a person's click stays");
    assert_eq!(world.status(copy, 1).await, Some(EffectStatus::Accepted));
    // The same item in the same cycle stays what it is: sent.
    let again = NewEffect { ..message(&world.store, 2, "a", &phone(1)) };
    assert_eq!(world.decide(copy, vec![again]).await.conflicts, [effect(copy, 2)]);
}

pub async fn a_text_that_waits_for_a_person_does_not_wait_for_ever(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d", "c", 1)]).await[0];
    let journal = &world.store.journal;
    for seq in 1..=3 {
        world.decide(copy, vec![message(&world.store, seq, &format!("i{seq}"), &phone(1))]).await;
        let next = Some(NextAttempt { at: at(30), payload: "the whole text".into() });
        let unclear = Outcome::Unknown { reason: "timeout".into() };
        journal.mark(vec![Mark { next, ..mark(effect(copy, seq), 1, unclear) }]).await.unwrap();
    }
    // Two are clicked on: one verdict is known at once, the other later.
    let hit = |seq, verdict| Clicked { effect: effect(copy, seq), link: 0, at: at(40), verdict, why: "alone".into() };
    let arrived = Incoming { click: Some(hit(1, Some(ClickVerdict::Human))), ..incoming("click", call(1)) };
    journal.receive(vec![arrived]).await.unwrap();
    journal.judge(&[hit(2, Some(ClickVerdict::Human))]).await.unwrap();
    let listed = async || {
        let unclear = world.store.views.ambiguous(10).await.unwrap();
        unclear.into_iter().map(|a| (a.effect.seq, a.text_kept)).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [(3, true)], "who clicked has it");
    for seq in [1, 2] {
        // Whose key is taken fails.
        let probe = "INSERT INTO outbox (copy_id, seq, shard, due_at, kind, target) VALUES";
        backend.execute(&format!("{probe} ({}, {seq}, 0, 32503680000000, 'move', 'x')", copy.0)).await;
    }
    if backend.url.starts_with("memory") {
        return; // The model forgets nothing.
    }
    journal.purge(&world.lease, at(0) + days(3)).await.unwrap();
    assert_eq!(listed().await, [(3, true)], "it expired two days ago");
    journal.purge(&world.lease, at(0) + days(9)).await.unwrap();
    assert_eq!(listed().await, [(3, false)], "still to be resolved, but nobody sends it again");
    assert_eq!(journal.resolve(&[effect(copy, 3)], Resolution::Resend, at(0)).await.unwrap(), []);
    assert_eq!(journal.resolve(&[effect(copy, 3)], Resolution::Dropped, at(0)).await.unwrap(), [effect(copy, 3)]);
}

pub async fn of_a_deal_long_gone_nothing_remains_that_a_person_wrote(backend: &Backend) {
    let world = World::new(backend).await;
    if backend.url.starts_with("memory") {
        return; // The model forgets nothing.
    }
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2)]).await;
    let journal = &world.store.journal;
    for (copy, n) in [(copies[0], 1), (copies[1], 2)] {
        world.decide(copy, vec![message(&world.store, 1, "a", &phone(n))]).await;
        journal.mark(vec![mark(effect(copy, 1), 1, accepted(None))]).await.unwrap();
    }
    let left = Deal { state: DealState::Deleted, lost_reason: Some("Ill".into()), ..deal("d1", "c1") };
    let page_of = |deal| Batch { now: Some(at(30)), page: Some(page(vec![], vec![deal])), ..Batch::default() };
    world.commit(page_of(left)).await;
    let known = async |copy| {
        let deal = world.copy(copy).await.deal;
        let links = journal.effect(effect(copy, 1)).await.unwrap().unwrap().links.len();
        (deal.title, deal.contacts.len() + links + usize::from(deal.lost_reason.is_some()))
    };
    let ids = ["d1".to_owned()];
    let stored = || journal.stored(CRM, &ids);
    let before = stored().await.unwrap();
    journal.purge(&world.lease, at(0) + days(300)).await.unwrap();
    assert_eq!(known(copies[0]).await, ("Deal d1".to_owned(), 3), "its links lead somewhere yet");
    for _ in 0..2 {
        assert!(!journal.purge(&world.lease, at(0) + days(500)).await.unwrap());
        assert_eq!(known(copies[0]).await, (String::new(), 0));
        assert_eq!(known(copies[1]).await, ("Deal d2".to_owned(), 2), "one that the CRM has is left alone");
    }
    let deal = world.copy(copies[0]).await.deal;
    assert_eq!((deal.id.as_str(), deal.state, deal.amount), ("d1", DealState::Deleted, Money(100_000)));
    assert_eq!(stored().await.unwrap(), before, "it is no news that it is gone");
    assert_eq!(world.status(copies[0], 1).await, Some(EffectStatus::Accepted), "and what was sent is not sent again");
    world.commit(page_of(super::world::deal("d1", "c1"))).await;
    assert_eq!(known(copies[0]).await.0, "Deal d1", "who comes back is told anew");
}

pub async fn hostile_texts_come_back_as_they_are(backend: &Backend) {
    let world = World::new(backend).await;
    let texts =
        ["'; DROP TABLE deal; --", "\\u0000 \\", "\u{202e}abc\u{0301}", "{\"a\":[1]}", "😀\u{7f}\u{1}\t\r\n", "$1 ? :a @b %s", ""];
    for (n, text) in texts.iter().enumerate() {
        let id = format!("d{n}{text}");
        let hostile = Deal { title: (*text).into(), stage: "a\0b".into(), ..deal(&id, "") };
        let batch = Batch {
            now: Some(at(0)),
            page: Some(page(vec![], vec![hostile.clone()])),
            changes: vec![new_copy(&hostile)],
            ..Batch::default()
        };
        let copy = world.commit(batch).await.created[0];
        let subject = world.copy(copy).await;
        assert_eq!((subject.deal.id, subject.deal.title, subject.deal.stage), (id, (*text).to_owned(), "a\0b".to_owned()));
    }
    let nul = incoming("a\0b", call(1));
    assert_eq!(world.store.journal.receive(vec![nul.clone()]).await.unwrap(), [true]);
    assert_eq!(world.store.journal.receive(vec![nul]).await.unwrap(), [false]);
}

/// A deal may stall before it is lost, and an opt-out may come half a year after the first message.
pub async fn a_passage_counts_as_what_it_became_and_when(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2)]).await;
    let step = async |copy: CopyId, role, what, effects: Vec<NewEffect>| {
        let mut change = world.decided(copy, effects).await;
        change.copy.role = role;
        change.cycle = vec![what];
        world.commit(Batch { now: Some(at(2)), changes: vec![change], ..Batch::default() }).await;
    };
    for (n, copy) in (1..).zip(&copies) {
        step(*copy, Role::Stalled, CycleChange::Begin { cycle: 1, at: at(1), holdout: false }, vec![]).await;
        let sms = vec![message(&world.store, 1, "a", &phone(n))];
        step(*copy, Role::Warming, CycleChange::Contacted { cycle: 1, at: at(10) }, sms).await;
    }
    let counts = async |since| {
        let counts = world.store.views.counts(&funnel(), Some(at(since)), at(150)).await.unwrap();
        (counts.contacted, counts.revived, counts.unsubscribed)
    };
    assert_eq!(counts(5).await, (2, 0, 0), "first contacted since then");
    assert_eq!(counts(40).await, (0, 0, 0));
    step(copies[0], Role::Revived, CycleChange::End { cycle: 1, at: at(45), how: CycleEnd::Revived }, vec![]).await;
    step(copies[1], Role::Unsubscribed, CycleChange::End { cycle: 1, at: at(46), how: CycleEnd::Unsubscribed }, vec![]).await;
    assert_eq!(counts(40).await, (2, 1, 1), "long after they began");
    assert_eq!(counts(46).await, (1, 0, 1));
}

pub async fn contacted_is_whom_a_message_may_have_reached(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d1", "c1", 1)]).await[0];
    let journal = &world.store.journal;
    let contacted = async || world.store.views.counts(&funnel(), None, at(150)).await.unwrap().contacted;
    let cycle = async |cycle, effects: Vec<NewEffect>| {
        let mut change = world.decided(copy, effects).await;
        change.cycle = vec![cycle];
        world.commit(Batch { now: Some(at(2)), changes: vec![change], ..Batch::default() }).await;
    };
    let write = async |seq, item| {
        let begun = CycleChange::Contacted { cycle: 1, at: at(2) };
        cycle(begun, vec![message(&world.store, seq, item, &phone(1))]).await;
    };
    cycle(CycleChange::Begin { cycle: 1, at: at(1), holdout: false }, vec![]).await;
    write(1, "a").await;
    assert_eq!(contacted().await, 1, "it is under way");
    let refused = || Outcome::Rejected { reason: "NoSuchNumber".into(), suppress: false };
    journal.mark(vec![mark(effect(copy, 1), 1, refused())]).await.unwrap();
    assert_eq!(contacted().await, 0, "nobody has it");
    write(2, "b").await;
    write(3, "c").await;
    journal.mark(vec![mark(effect(copy, 2), 1, accepted(Some("b"))), mark(effect(copy, 3), 1, Outcome::Expired)]).await.unwrap();
    assert_eq!(contacted().await, 1, "one of three");
    journal.mark(vec![mark(effect(copy, 2), -1, refused())]).await.unwrap();
    assert_eq!(contacted().await, 0, "it came back");
    journal.mark(vec![mark(effect(copy, 2), -1, Outcome::Delivered)]).await.unwrap();
    assert_eq!(contacted().await, 1, "another receipt knows better");
    cycle(CycleChange::End { cycle: 1, at: at(9), how: CycleEnd::Organic }, vec![write_back(4, "task")]).await;
    journal.mark(vec![mark(effect(copy, 4), 1, refused())]).await.unwrap();
    assert_eq!(contacted().await, 1, "a task that the CRM refuses is no message");
    journal.mark(vec![mark(effect(copy, 2), -1, refused())]).await.unwrap();
    assert_eq!(contacted().await, 1, "delivered is delivered");
}

pub async fn people_can_read_what_happened(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2), ("d3", "c3", 3)]).await;
    let views = &world.store.views;
    views.ping().await.unwrap();
    let cycle = async |copy: CopyId, when: i64, cycle, effects: Vec<NewEffect>| {
        let mut change = world.decided(copy, effects).await;
        change.cycle = vec![cycle];
        change.history = vec![History::List { list: "winback".into(), why: "Doesn't fit: layout".into() }];
        world.commit(Batch { now: Some(at(when)), changes: vec![change], ..Batch::default() }).await;
    };
    for copy in &copies {
        cycle(*copy, 1, CycleChange::Begin { cycle: 1, at: at(1), holdout: false }, vec![]).await;
    }
    cycle(copies[2], 1, CycleChange::HeldOut { cycle: 1 }, vec![]).await;
    for copy in &copies[..2] {
        let n = if *copy == copies[0] { 1 } else { 2 };
        cycle(*copy, 2, CycleChange::Contacted { cycle: 1, at: at(2) }, vec![message(&world.store, 1, "a", &phone(n))]).await;
    }
    // Out of sight for a moment, and back.
    cycle(copies[0], 3, CycleChange::End { cycle: 1, at: at(3), how: CycleEnd::Deleted }, vec![]).await;
    cycle(copies[0], 3, CycleChange::Resume { cycle: 1 }, vec![]).await;
    cycle(copies[0], 3, CycleChange::End { cycle: 1, at: at(3), how: CycleEnd::Revived }, vec![write_back(2, "task")]).await;
    cycle(copies[1], 4, CycleChange::Begin { cycle: 2, at: at(4), holdout: false }, vec![]).await;
    cycle(copies[2], 5, CycleChange::End { cycle: 1, at: at(5), how: CycleEnd::Organic }, vec![]).await;
    world.store.journal.mark(vec![mark(effect(copies[0], 1), 1, accepted(None))]).await.unwrap();

    let counts = views.counts(&funnel(), None, at(150)).await.unwrap();
    assert_eq!((counts.contacted, counts.revived, counts.organic, counts.holdout, counts.holdout_revived), (2, 1, 0, 1, 1));
    assert_eq!(
        (counts.treated, counts.treated_revived),
        (3, 1),
        "a passage that nothing was sent in counts as one of the holdout does"
    );
    assert_eq!((counts.due, counts.oldest_due), (3, Some(at(100))));
    let sms = |status: &str, n| ("Sms".to_owned(), status.to_owned(), n);
    assert_eq!(counts.messages, [sms("accepted", 1), sms("intended", 1)]);
    assert_eq!(counts.writebacks, [("move".to_owned(), "planned".to_owned(), 1)]);
    assert_eq!((counts.stages.len(), counts.stages[0].deals, counts.stages[0].amount), (1, 3, Money(300_000)));
    let lately = async |n| {
        let counts = views.counts(&funnel(), Some(at(n)), at(150)).await.unwrap();
        (counts.contacted, counts.revived, counts.organic, counts.holdout, counts.holdout_revived)
    };
    assert_eq!(lately(3).await, (2, 1, 0, 1, 1), "by when it ended, not by when it began");
    assert_eq!(lately(5).await, (0, 0, 0, 1, 1));
    assert_eq!(lately(6).await, (0, 0, 0, 0, 0));
    let nobody = FunnelKey { name: "nobody".into(), ..funnel() };
    assert_eq!(views.counts(&nobody, None, at(0)).await.unwrap(), FunnelCounts::default());
    let channels = views.channels().await.unwrap();
    assert_eq!(channels, [ChannelCounts { channel: "sms".into(), waiting: 1, ambiguous: 0, resent: 0 }]);
    let by_channel = views.messages_by_channel(at(0)).await.unwrap();
    let sms = |status, n| ("sms".to_owned(), status, n);
    assert_eq!(by_channel, [sms(EffectStatus::Intended, 1), sms(EffectStatus::Accepted, 1)]);
    assert_eq!(views.messages_by_channel(at(1_000_000)).await.unwrap(), []);

    let by_funnel = |status, n| (funnel(), status, n);
    let all = [by_funnel(EffectStatus::Intended, 1), by_funnel(EffectStatus::Accepted, 1)];
    assert_eq!(views.messages_by_funnel(at(2)).await.unwrap(), all);
    assert_eq!(views.messages_by_funnel(at(3)).await.unwrap(), [by_funnel(EffectStatus::Accepted, 1)]);
    assert_eq!(views.messages_by_funnel(at(21)).await.unwrap(), []);

    let story = views.timeline(&funnel(), "d1").await.unwrap();
    let lines: Vec<(&str, &str)> = story.iter().map(|e| (e.kind.as_str(), e.text.as_str())).collect();
    assert!(lines.contains(&("list", "warmed by winback: Doesn't fit: layout")), "{lines:?}");
    assert!(lines.contains(&("message", "winback/a by Sms through sms: accepted")), "{lines:?}");
    assert!(lines.contains(&("writeback", "move: planned")), "{lines:?}");
    assert!(story.is_sorted_by_key(|e| e.at));
    assert!(views.timeline(&funnel(), "nobody").await.unwrap().is_empty());
}

/// The variants of an item are told apart by what came of them; what was refused counts for none.
pub async fn variants_are_counted_by_what_came_of_them(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2), ("d3", "c3", 3)]).await;
    let journal = &world.store.journal;
    let of_variant = |seq, item: &str, n, name: Option<&str>| {
        let mut new = message(&world.store, seq, item, &phone(n));
        if let rekindle::engine::EffectKind::Message { variant, .. } = &mut new.effect.kind {
            *variant = name.map(Into::into);
        }
        new
    };
    for (n, copy) in (1..).zip(&copies) {
        let variant = if n == 2 { "b-1" } else { "b" };
        let effects =
            vec![of_variant(1, "first", n, Some(variant)), of_variant(2, "second", n, Some("a")), of_variant(3, "plain", n, None)];
        let mut change = world.decided(*copy, effects).await;
        change.cycle = vec![CycleChange::Begin { cycle: 1, at: at(1), holdout: false }];
        world.commit(Batch { now: Some(at(2)), changes: vec![change], ..Batch::default() }).await;
    }
    let refused = Outcome::Rejected { reason: "NoSuchNumber".into(), suppress: false };
    let mut marks: Vec<_> = copies.iter().map(|copy| mark(effect(*copy, 1), 1, accepted(None))).collect();
    marks.push(mark(effect(copies[0], 2), 1, Outcome::Delivered));
    marks.push(mark(effect(copies[1], 2), 1, refused));
    marks.extend(copies.iter().map(|copy| mark(effect(*copy, 3), 1, accepted(None))));
    journal.mark(marks).await.unwrap();
    let (clicked, when) = (effect(copies[2], 1), at(30));
    let hit = |verdict| Clicked { effect: clicked, link: 0, at: when, verdict, why: "why".into() };
    let event = InboxEvent::Click { effect: clicked, link: 0, at: when, verdict: None };
    journal.receive(vec![Incoming { click: Some(hit(None)), ..incoming("hit", event) }]).await.unwrap();
    journal.judge(&[hit(Some(ClickVerdict::Human))]).await.unwrap();
    for (copy, how) in [(copies[0], CycleEnd::Revived), (copies[1], CycleEnd::Organic)] {
        let mut change = world.decided(copy, vec![]).await;
        change.cycle = vec![CycleChange::End { cycle: 1, at: at(40), how }];
        world.commit(Batch { now: Some(at(40)), changes: vec![change], ..Batch::default() }).await;
    }
    let counted = async |funnel: &FunnelKey, since| {
        let rows = world.store.views.variants(funnel, at(since)).await.unwrap();
        let row = |v: VariantCount| format!("{}/{} {}: {} {} {}", v.list, v.item, v.variant, v.sent, v.clicked, v.revived);
        rows.into_iter().map(row).collect::<Vec<_>>()
    };
    let all = ["winback/first b: 2 1 1", "winback/first b-1: 1 0 0", "winback/second a: 1 0 1"];
    assert_eq!(counted(&funnel(), 0).await, all);
    assert_eq!(counted(&funnel(), 1_000_000).await, [""; 0]);
    let nobody = FunnelKey { name: "nobody".into(), ..funnel() };
    assert_eq!(counted(&nobody, 0).await, [""; 0]);
}

/// Whether a client who has come back is the first one.
pub async fn revivals_of_before_are_known_when_their_deals_have_left(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2)]).await;
    let past = async || world.store.views.past_revivals(&funnel()).await.unwrap();
    let turn = async |copy: CopyId, when: i64, role, number, cycle: Vec<CycleChange>| {
        let mut change = world.decided(copy, vec![]).await;
        (change.copy.role, change.copy.cycle, change.cycle) = (role, number, cycle);
        world.commit(Batch { now: Some(at(when)), changes: vec![change], ..Batch::default() }).await;
    };
    let begin = |cycle, when| CycleChange::Begin { cycle, at: at(when), holdout: false };
    let end = |cycle, when, how| CycleChange::End { cycle, at: at(when), how };
    // Stalled counts, too: the rate is of Warming alone.
    turn(copies[0], 1, Role::Stalled, 1, vec![begin(1, 1)]).await;
    turn(copies[1], 1, Role::Warming, 1, vec![begin(1, 1)]).await;
    assert_eq!(past().await, 0);
    turn(copies[0], 2, Role::Revived, 1, vec![end(1, 2, CycleEnd::Revived)]).await;
    assert_eq!(past().await, 0, "the first stands there");
    turn(copies[0], 3, Role::InWork, 1, vec![]).await;
    assert_eq!(past().await, 1, "and has left");
    turn(copies[1], 4, Role::Revived, 1, vec![end(1, 4, CycleEnd::Organic)]).await;
    assert_eq!(past().await, 1, "the second is not the first");
    turn(copies[0], 5, Role::Warming, 2, vec![begin(2, 5)]).await;
    turn(copies[0], 6, Role::Revived, 2, vec![end(2, 6, CycleEnd::Organic)]).await;
    assert_eq!(past().await, 1, "the same client again");
    let nobody = FunnelKey { name: "nobody".into(), ..funnel() };
    assert_eq!(world.store.views.past_revivals(&nobody).await.unwrap(), 0);
}

pub async fn reactions_are_counted_by_their_pace(backend: &Backend) {
    let world = World::new(backend).await;
    let copy = world.deals(&[("d1", "c1", 1)]).await[0];
    let lines = [60, 300, 301, 1800, 1801, 86_400, 86_401].map(|seconds| History::Reaction { seconds });
    let told = History::Unanswered { minutes: 30, supervisor: true };
    for (when, history) in [(10, lines.to_vec()), (20, vec![told, History::Note { text: "x".into() }])] {
        let mut change = world.decided(copy, Vec::new()).await;
        change.history = history;
        world.commit(Batch { now: Some(at(when)), changes: vec![change], ..Batch::default() }).await;
    }
    let counts = async |since| world.store.views.counts(&funnel(), since, at(30)).await.unwrap().reactions;
    let all = ReactionCounts { in_5m: 2, in_30m: 2, in_24h: 2, later: 1, escalated: 1 };
    assert_eq!(counts(None).await, all);
    assert_eq!(counts(Some(at(20))).await, ReactionCounts { escalated: 1, ..ReactionCounts::default() });
    let story = world.store.views.timeline(&funnel(), "d1").await.unwrap();
    let line = story.iter().find(|line| line.kind == "unanswered").unwrap();
    assert_eq!(line.text, "nobody reacted for 30 min of working time: the supervisor was told");
}

/// A column of card numbers taken for amounts, in a database of before they were refused.
pub async fn absurd_amounts_stop_no_figures(backend: &Backend) {
    let world = World::new(backend).await;
    let deals: Vec<Deal> =
        [("a", i64::MAX), ("b", i64::MAX), ("c", 50)].map(|(id, amount)| Deal { amount: Money(amount), ..deal(id, "") }).into();
    let changes = deals.iter().map(new_copy).collect();
    world.commit(Batch { now: Some(at(0)), page: Some(page(vec![], deals)), changes, ..Batch::default() }).await;
    let views = &world.store.views;
    let counts = views.counts(&funnel(), None, at(1)).await.unwrap();
    let then = views.stages_at(&funnel(), &[at(1)]).await.unwrap().remove(0);
    for stages in [counts.stages, then] {
        assert_eq!(stages.iter().map(|s| (s.deals, s.amount)).collect::<Vec<_>>(), [(3, Money(i64::MAX))]);
    }
}

pub async fn stages_can_be_replayed(backend: &Backend) {
    let world = World::new(backend).await;
    let copies = world.deals(&[("d1", "c1", 1), ("d2", "c2", 2)]).await;
    let mut change = world.decided(copies[0], Vec::new()).await;
    change.copy.role = Role::Revived;
    change.copy.stage = String::new();
    change.history = vec![moved(Role::Unsubscribed, "first"), moved(Role::Revived, "InboundCall")];
    world.commit(Batch { now: Some(at(50)), changes: vec![change], ..Batch::default() }).await;
    let moments = [at(-1), at(0), at(49), at(50)];
    let stages = world.store.views.stages_at(&funnel(), &moments).await.unwrap();
    let count = |role, stage: &str, deals| StageCount {
        role,
        stage: stage.into(),
        deals,
        amount: Money(100_000 * i64::try_from(deals).unwrap()),
    };
    let both = vec![count(Role::Warming, "warm", 2)];
    let split = vec![count(Role::Revived, "", 1), count(Role::Warming, "warm", 1)];
    assert_eq!(stages, [vec![], both.clone(), both, split]);
}
