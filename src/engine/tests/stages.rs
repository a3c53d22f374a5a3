//! Where a deal stands, and what takes precedence.

use super::customers::with_customers;
use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;
use jiff::SignedDuration;

#[test]
fn first_sight_puts_a_deal_where_it_belongs() {
    let cases: [(&str, fn(&mut Deal), Role); 9] = [
        ("open and worked on", |_| {}, Role::InWork),
        ("silent for two weeks", |d| d.last_activity_at = Some(t("2026-02-16T12:00")), Role::Stalled),
        (
            "silent, but a task is planned",
            |d| {
                d.last_activity_at = Some(t("2026-02-16T12:00"));
                d.next_task_at = Some(t("2026-03-05T12:00"));
            },
            Role::InWork,
        ),
        (
            "a task overdue since Wednesday no longer protects",
            |d| {
                d.last_activity_at = Some(t("2026-02-16T12:00"));
                d.next_task_at = Some(t("2026-02-25T12:00"));
            },
            Role::Stalled,
        ),
        (
            "a task overdue since Friday evening still does",
            |d| {
                d.last_activity_at = Some(t("2026-02-16T12:00"));
                d.next_task_at = Some(t("2026-02-27T17:00"));
            },
            Role::InWork,
        ),
        ("lost for a named reason", |d| lose(d, "Layout ", t("2026-03-01T12:00")), Role::Warming),
        ("lost for a new reason", |d| lose(d, "price", t("2026-03-01T12:00")), Role::NotWarmed),
        ("lost before the funnel existed", |d| lose(d, "layout", t("2025-12-01T12:00")), Role::Backfill),
        ("won", |d| d.state = DealState::Won, Role::Archived),
    ];
    for (what, edit, role) in cases {
        let mut world = World::new(plan());
        edit(&mut world.subject.deal);
        world.sight();
        assert_eq!(world.role(), role, "{what}");
    }
}

#[test]
fn a_loss_that_we_saw_needs_no_date() {
    let mut world = World::new(plan());
    world.sight();
    world.change(|deal| {
        lose(deal, "layout", noon());
        deal.stage_changed_at = None;
    });
    assert_eq!(world.role(), Role::Warming);
}

#[test]
fn silence_is_measured_in_working_time() {
    let mut world = World::new(plan());
    // Worked on Monday noon; five working days later is the next Monday.
    world.sight();
    assert_eq!(world.subject.copy.next_at, Some(t("2026-03-09T12:00")));
    world.run(t("2026-03-09T11:59"));
    assert_eq!(world.role(), Role::InWork);
    world.run(t("2026-03-09T12:00"));
    assert_eq!(world.role(), Role::Stalled);
    assert_eq!(world.told(), ["task m1", "notify m1"]);
    world.run(t("2026-03-11T12:00"));
    assert_eq!(world.told(), ["task m1", "notify m1", "notify s1"]);
    world.run(t("2026-05-01T12:00"));
    assert_eq!(world.told().len(), 3, "never twice for the same silence");
}

#[test]
fn a_silence_that_a_task_interrupts_is_the_same_silence() {
    let mut world = World::new(plan());
    world.sight();
    world.run(t("2026-03-09T12:00"));
    world.change(|deal| deal.next_task_at = Some(t("2026-03-10T12:00")));
    assert_eq!(world.role(), Role::InWork);
    world.run(t("2026-03-11T12:01"));
    assert_eq!(world.role(), Role::Stalled, "the task is overdue by a working day");
    assert_eq!(world.told(), ["task m1", "notify m1"], "the manager was told of this silence already");
    world.change(|deal| {
        deal.last_activity_at = Some(t("2026-03-11T12:01"));
        deal.next_task_at = None;
    });
    world.run(t("2026-03-18T12:01"));
    assert_eq!(world.role(), Role::Stalled);
    assert_eq!(world.told().iter().filter(|w| *w == "task m1").count(), 2, "another silence, another reminder");
}

#[test]
fn the_longest_silence_names_the_stage() {
    let mut plan = plan();
    plan.stages.stalled.push(cold("frozen", vec![trigger(TriggerKind::Inactivity(d("20d")))], vec![]));
    let mut world = World::new(plan);
    world.sight();
    world.pass("10d");
    assert_eq!(world.subject.copy.stage, "stalled");
    world.pass("30d");
    assert_eq!((world.subject.copy.stage.as_str(), world.subject.copy.cycle), ("frozen", 1));
}

#[test]
fn precedence() {
    // From Warming after a first message, what does each change make of it?
    let cases: [(&str, fn(&mut World), Role, &[CycleEnd]); 8] = [
        ("deleted", |w| w.change(|d| d.state = DealState::Deleted), Role::Archived, &[CycleEnd::Deleted]),
        ("won", |w| w.change(|d| d.state = DealState::Won), Role::Archived, &[CycleEnd::Won]),
        ("reopened by hand", |w| w.change(|d| reopen(d, "Talks")), Role::InWork, &[CycleEnd::Assisted]),
        ("called", |w| w.signal(SignalKind::InboundCall), Role::Revived, &[CycleEnd::Revived]),
        (
            "opted out, then called: the call reaches the manager but revives nothing",
            |w| {
                let at = w.now;
                w.decide(&Event::Unsubscribed { at, only: None });
                w.signal(SignalKind::InboundCall);
                assert_eq!(w.told(), ["comment", "task m1", "notify m1"]);
            },
            Role::Unsubscribed,
            &[CycleEnd::Unsubscribed],
        ),
        (
            "opted out, then the reason was corrected",
            |w| {
                let at = w.now;
                w.decide(&Event::Unsubscribed { at, only: None });
                w.change(|d| d.lost_reason = Some("other".into()));
            },
            Role::Unsubscribed,
            &[CycleEnd::Unsubscribed],
        ),
        (
            "opted out, then reopened by hand",
            |w| {
                let at = w.now;
                w.decide(&Event::Unsubscribed { at, only: None });
                w.change(|d| reopen(d, "Talks"));
            },
            Role::InWork,
            &[CycleEnd::Unsubscribed],
        ),
        ("the reason became one that nobody named", |w| w.change(|d| d.lost_reason = Some("price".into())), Role::NotWarmed, &[]),
    ];
    for (what, happen, role, ends) in cases {
        let mut world = World::lost(plan(), "layout");
        world.pass("4d");
        assert_eq!(world.sent().len(), 1);
        happen(&mut world);
        assert_eq!(world.role(), role, "{what}");
        assert_eq!(world.ends(), ends, "{what}");
        if role != Role::InWork {
            world.pass("60d");
            assert_eq!(world.sent().len(), 1, "{what}: nothing more is sent");
        }
    }
}

fn reopen(deal: &mut Deal, stage: &str) {
    deal.state = DealState::Open;
    deal.stage = stage.into();
    deal.last_activity_at = Some(t("2026-03-06T13:00"));
}

#[test]
fn a_call_returns_the_deal_and_our_own_echo_changes_nothing() {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    world.signal(SignalKind::MissedCall);
    assert_eq!(world.told(), ["move Talks", "comment", "task m1", "notify m1"]);
    assert_eq!(world.subject.copy.state.echo.as_deref(), Some("Talks"));
    // Until the move has arrived, the deal still reads as lost.
    world.change(|d| d.title = "Flat 7".into());
    assert_eq!(world.role(), Role::Revived);
    let moved = world.now;
    world.change(|d| {
        d.state = DealState::Open;
        d.stage = "talks".into();
        d.stage_changed_at = Some(moved);
    });
    assert_eq!((world.role(), &world.subject.copy.state.echo), (Role::Revived, &None));
    assert_eq!(world.ends(), [CycleEnd::Revived], "counted once");
    // Given up once more: the next cycle.
    world.pass("1d");
    let again = world.now;
    world.change(|d| lose(d, "layout", again));
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 2));
}

#[test]
fn a_revived_open_deal_that_goes_silent_is_stalled_again() {
    let mut world = World::new(plan());
    world.sight();
    world.pass("8d");
    assert_eq!(world.role(), Role::Stalled);
    world.signal(SignalKind::Chat);
    assert_eq!(world.role(), Role::Revived);
    assert!(!world.told().contains(&"move Talks".to_owned()), "an open deal stays where it is");
    world.pass("1d");
    assert_eq!(world.role(), Role::Revived);
    world.pass("10d");
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Stalled, 2));
}

#[test]
fn who_was_never_written_to_is_organic_and_a_reopening_is_not_ours() {
    let mut called = World::lost(plan(), "layout");
    called.signal(SignalKind::InboundCall);
    assert_eq!(called.ends(), [CycleEnd::Organic]);
    let mut reopened = World::lost(plan(), "layout");
    reopened.change(|d| reopen(d, "Talks"));
    assert_eq!(reopened.ends(), [CycleEnd::Reopened]);
    let mut late = World::lost(plan(), "other");
    late.pass("40d");
    late.signal(SignalKind::InboundCall);
    assert_eq!(late.ends(), [CycleEnd::Organic], "the last message is older than the attribution");
    // What was refused, or was still refused when it expired, reached nobody; what nobody can tell about may have.
    for (status, end) in [
        (EffectStatus::Failed, CycleEnd::Organic),
        (EffectStatus::Expired, CycleEnd::Organic),
        (EffectStatus::Unknown, CycleEnd::Revived),
        (EffectStatus::Accepted, CycleEnd::Revived),
    ] {
        let mut written = World::lost(plan(), "layout");
        written.pass("4d");
        assert!(!written.sent().is_empty());
        written.subject.ledger.iter_mut().for_each(|entry| entry.status = status);
        written.signal(SignalKind::InboundCall);
        assert_eq!(written.ends(), [end], "{status:?}");
    }
    // A click of yesterday counts however old its message is, if it is one of this cycle.
    for (cycle, end) in [(1, CycleEnd::Revived), (0, CycleEnd::Organic)] {
        let mut clicked = World::lost(plan(), "other");
        clicked.pass("40d");
        for entry in &mut clicked.subject.ledger {
            entry.key.cycle = cycle;
            entry.clicked_at = Some(clicked.now - SignedDuration::from_hours(24));
        }
        clicked.signal(SignalKind::InboundCall);
        assert_eq!(clicked.ends(), [end], "clicked in cycle {cycle}");
    }
}

#[test]
fn triggers() {
    let mut base = plan();
    let enter = |kind| vec![trigger(kind)];
    type Setup = fn(&mut World);
    let cases: Vec<(&str, TriggerKind, Setup, bool)> = vec![
        ("moved there", TriggerKind::MovedTo(vec!["Thinking".into()]), |w| w.change(|d| d.stage = "thinking".into()), true),
        ("moved elsewhere", TriggerKind::MovedTo(vec!["Thinking".into()]), |w| w.change(|d| d.stage = "Other".into()), false),
        ("field filled", TriggerKind::FieldFilled("visit".into()), |w| set(w, "visit", "yes"), true),
        ("field empty", TriggerKind::FieldFilled("visit".into()), |w| set(w, "visit", "  "), false),
        (
            "field changed to",
            TriggerKind::FieldChanged { field: "heat".into(), from: None, to: Some("cold".into()) },
            |w| set(w, "heat", "Cold"),
            true,
        ),
        (
            "field changed from something else",
            TriggerKind::FieldChanged { field: "heat".into(), from: Some("warm".into()), to: None },
            |w| set(w, "heat", "cold"),
            false,
        ),
        (
            "a date comes",
            TriggerKind::Date { field: "handover".into(), offset: d("3d"), before: true },
            |w| {
                set(w, "handover", "2026-03-10");
                w.run(t("2026-03-07T00:00"));
            },
            true,
        ),
        (
            "a date is not there yet",
            TriggerKind::Date { field: "handover".into(), offset: d("3d"), before: true },
            |w| {
                set(w, "handover", "2026-03-10");
                w.run(t("2026-03-06T23:59"));
            },
            false,
        ),
        (
            "a date long past",
            TriggerKind::Date { field: "handover".into(), offset: d("3d"), before: true },
            |w| set(w, "handover", "2025-03-10"),
            false,
        ),
        ("a signal", TriggerKind::Signal(SignalKind::Booked), |w| w.signal(SignalKind::Booked), true),
        ("the client is quiet", TriggerKind::ClientQuiet(d("4d")), |w| w.pass("4d"), true),
        ("the client is not quiet", TriggerKind::ClientQuiet(d("5d")), |w| w.pass("4d"), false),
    ];
    for (what, kind, happen, warms) in cases {
        base.stages.warming[0].enter = enter(kind);
        let mut world = World::new(base.clone());
        world.sight();
        happen(&mut world);
        assert_eq!(world.role() == Role::Warming, warms, "{what}");
        if warms {
            // A title edited by a robot is no work; a logged call is.
            world.change(|d| d.title = "renamed".into());
            assert_eq!(world.role(), Role::Warming, "{what} stays");
            world.pass("1h");
            let now = world.now;
            world.change(|d| d.last_activity_at = Some(now));
            assert_eq!(world.role(), Role::InWork, "{what} ends with work");
        }
    }
}

fn set(world: &mut World, field: &str, text: &str) {
    world.change(|d| {
        d.fields.insert(field.into(), FieldValue::Text(text.into()));
    });
}

/// A visit that is cancelled, a manager's field that is cleared, one that is filled for the first time.
#[test]
fn a_field_that_is_emptied_or_was_empty_changes() {
    let warms = |from: Option<&str>, to: Option<&str>, was: &str, is: &str| {
        let mut plan = plan();
        let (from, to) = (from.map(String::from), to.map(String::from));
        plan.stages.warming[0].enter = vec![trigger(TriggerKind::FieldChanged { field: "heat".into(), from, to })];
        let mut world = World::new(plan);
        world.subject.deal.fields.insert("heat".into(), FieldValue::Text(was.into()));
        world.sight();
        set(&mut world, "heat", is);
        world.role() == Role::Warming
    };
    for (from, to, was, is, answer) in [
        (Some(""), Some("B"), "", "b", true),
        (Some(""), None, "", "b", true),
        (Some(""), None, "a", "b", false),
        (None, Some(""), "a", " ", true),
        (Some("A"), Some(""), "a", "", true),
        (None, Some(""), "a", "b", false),
    ] {
        assert_eq!(warms(from, to, was, is), answer, "{from:?} to {to:?}: {was} becomes {is}");
    }
}

/// A day that was told as midnight of the CRM's zone, and is told as a day now: nobody changed it, and it does not come a second time.
#[test]
fn a_day_told_as_a_day_from_now_on_moves_nobody() {
    let mut plan = plan();
    plan.stages.stalled.clear();
    let with = |kind: TriggerKind| {
        let mut plan = plan.clone();
        plan.stages.warming[0].enter = vec![trigger(kind)];
        let mut world = World::new(plan);
        world.subject.contact.as_mut().unwrap().time_zone = Some("America/New_York".into());
        world.subject.deal.fields.insert("visitAt".into(), FieldValue::Text("2026-03-05T00:00:00Z".into()));
        world.sight();
        world
    };
    let mut world = with(TriggerKind::FieldChanged { field: "visitAt".into(), from: None, to: None });
    set(&mut world, "visitAt", "2026-03-05");
    assert_eq!(world.role(), Role::InWork);
    set(&mut world, "visitAt", "2026-03-06");
    assert_eq!(world.role(), Role::Warming);

    // It comes on the evening before in New York; a manager calls an hour later.
    for after in ["1h", "20d"] {
        let mut world = with(TriggerKind::Date { field: "visitAt".into(), offset: HumanDuration::ZERO, before: false });
        world.run("2026-03-05T00:00:00Z".parse().unwrap());
        assert_eq!(world.role(), Role::Warming);
        world.pass("1h");
        let now = world.now;
        world.change(|d| d.last_activity_at = Some(now));
        assert_eq!(world.role(), Role::InWork);
        world.pass(after);
        set(&mut world, "visitAt", "2026-03-05");
        assert_eq!((world.role(), world.subject.copy.cycle), (Role::InWork, 1), "{after} later");
        world.pass("1d");
        assert_eq!((world.role(), world.subject.copy.cycle), (Role::InWork, 1), "and the day after");
    }
}

#[test]
fn a_guard_can_wait_for_age() {
    let mut plan = plan();
    plan.stages.warming[0].enter = vec![Trigger { kind: TriggerKind::When, when: when("deal.ageDays >= 40") }];
    let mut world = World::new(plan);
    world.sight();
    world.run(t("2026-03-12T11:00"));
    assert_eq!(world.role(), Role::Stalled);
    world.run(t("2026-03-14T12:00"));
    assert_eq!(world.role(), Role::Warming);
}

#[test]
fn another_pipeline_is_none_of_ours() {
    let mut plan = plan();
    plan.pipeline = Some("sales".into());
    let mut world = World::lost(plan, "layout");
    assert_eq!(world.role(), Role::Warming);
    world.change(|d| d.pipeline = "Rent".into());
    assert_eq!((world.role(), world.ends()), (Role::Archived, vec![CycleEnd::Deleted]));
}

#[test]
fn backfill_admits_slowly_with_a_clock_of_its_own() {
    let mut with = plan();
    with.backfill = Some(Backfill { lost_within: d("180d"), per_day: 100 });
    let mut world = World::new(with.clone());
    lose(&mut world.subject.deal, "layout", t("2025-12-01T12:00"));
    world.sight();
    world.decide(&Event::Timer);
    assert_eq!(world.role(), Role::Backfill, "nothing but the worker admits it");
    assert_eq!(world.subject.copy.next_at, None);
    world.pass("10d");
    let decision = admit_backfill(&world.plan, &world.subject, world.now);
    world.apply(decision);
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 1));
    world.pass("4d");
    assert_eq!(world.sent(), [("03-15 12:00".to_owned(), "first".to_owned())]);
    // Too long ago, and without a `backfill` at all.
    for (plan, lost) in [(with, "2025-06-01T12:00"), (plan(), "2025-12-01T12:00")] {
        let mut world = World::new(plan);
        lose(&mut world.subject.deal, "layout", t(lost));
        world.sight();
        let decision = admit_backfill(&world.plan, &world.subject, world.now);
        assert_eq!(decision.copy.role, Role::Backfill);
    }
}

#[test]
fn holdout_is_a_share_of_clients_and_stays_theirs() {
    let mut plan = plan();
    plan.holdout_percent = 5.0;
    let held = (0..4000_i64)
        .filter(|client| {
            let mut world = World::new(plan.clone());
            // At first sight nobody knows whose deal it is: the store tells.
            world.subject.copy.client = ClientId(0);
            world.subject.client.id = None;
            lose(&mut world.subject.deal, "layout", noon());
            world.sight();
            assert!(!world.subject.copy.state.holdout && world.subject.copy.next_at == Some(noon()));
            world.subject.copy.client = ClientId(*client);
            world.subject.client.id = Some(ClientId(*client));
            world.run(noon());
            let told = world.cycles.contains(&CycleChange::HeldOut { cycle: 1 });
            assert_eq!(told, world.subject.copy.state.holdout);
            told
        })
        .count();
    assert!((150..=250).contains(&held), "{held} of 4000");
    // Two records of one person, merged: one answer from then on.
    let answers = |id: i64| {
        let mut world = World::new(plan.clone());
        world.sight();
        world.subject.copy.client = ClientId(id);
        world.subject.client.id = Some(ClientId(3));
        world.change(|d| lose(d, "layout", noon()));
        world.subject.copy.state.holdout
    };
    assert!((4..400).all(|id| answers(id) == answers(3)));
    plan.holdout_percent = 100.0;
    let mut world = World::lost(plan, "layout");
    world.pass("60d");
    assert_eq!(world.sent(), []);
    assert_eq!(world.skipped().iter().map(|s| s.1).collect::<Vec<_>>(), [SkipReason::Holdout; 3]);
    world.signal(SignalKind::InboundCall);
    assert_eq!(world.ends(), [CycleEnd::Organic]);
}

/// Whether a client is held out is asked once a cycle, when it begins: an edit of the share does not stop those who are being warmed.
#[test]
fn a_larger_holdout_concerns_the_next_cycle() {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    world.plan.holdout_percent = 100.0;
    world.decide(&Event::Replan);
    world.pass("10d");
    assert_eq!((world.subject.copy.state.holdout, world.sent().len(), world.skipped()), (false, 2, vec![]));
    assert!(!world.cycles.iter().any(|change| matches!(change, CycleChange::HeldOut { .. })));
}

#[test]
fn a_reopening_without_dates_is_work_all_the_same() {
    for reason in ["layout", "price"] {
        let mut world = World::new(plan());
        world.subject.deal.last_activity_at = None;
        world.subject.deal.stage_changed_at = None;
        world.subject.deal.created_at = Some(t("2026-02-28T12:00"));
        world.sight();
        world.change(|d| {
            lose(d, reason, noon());
            d.stage_changed_at = None;
        });
        world.pass("30d");
        world.change(|d| {
            d.state = DealState::Open;
            d.stage = "Talks".into();
        });
        assert_eq!(world.role(), Role::InWork, "{reason}");
        assert_eq!(world.ends().len(), usize::from(reason == "layout"));
        world.decide(&Event::Timer);
        world.change(|d| d.title = "x".into());
        assert_eq!(world.role(), Role::InWork, "{reason}");
        world.pass("8d");
        assert_eq!(world.role(), Role::Stalled, "{reason}");
    }
}

#[test]
fn a_reason_taken_back_and_forth_keeps_its_cycle() {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    world.change(|d| d.lost_reason = Some("price".into()));
    assert_eq!(world.role(), Role::NotWarmed);
    world.pass("2d");
    world.change(|d| d.lost_reason = Some("layout".into()));
    assert_eq!((world.role(), world.subject.copy.cycle, world.ends()), (Role::Warming, 1, vec![]));
    world.pass("60d");
    let items: Vec<_> = world.sent().into_iter().map(|s| s.1).collect();
    assert_eq!(items, ["first", "second", "third"]);
}

/// After a cycle's end a loss without a stage belongs to none: when its reason is corrected, the next one begins.
#[test]
fn a_reason_corrected_after_a_revival_begins_the_next_cycle() {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    world.signal(SignalKind::InboundCall);
    world.change(|deal| deal.state = DealState::Open);
    world.pass("1d");
    let now = world.now;
    world.change(|deal| lose(deal, "price", now));
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::NotWarmed, 1));
    world.change(|deal| deal.lost_reason = Some("layout".into()));
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 2));
}

#[test]
fn a_new_stage_for_a_reason_takes_up_those_who_were_lost_since_the_funnel_began() {
    let mut world = World::lost(plan(), "price");
    assert_eq!(world.role(), Role::NotWarmed);
    world.pass("10d");
    world.plan.stages.warming[0].enter = vec![trigger(TriggerKind::Lost(vec![]))];
    world.decide(&Event::Replan);
    assert_eq!((world.role(), world.sent()), (Role::Warming, vec![]));
    world.pass("3d");
    assert_eq!(world.sent(), [("03-14 12:00".to_owned(), "hello".to_owned())]);
}

#[test]
fn a_gentle_list_for_stalled_deals_goes_on_under_the_cycle_of_the_loss() {
    let mut plan = plan();
    plan.stages.stalled[0].content = vec![rule("other")];
    let mut world = World::new(plan);
    world.sight();
    world.run(t("2026-03-12T12:00"));
    assert_eq!((world.role(), world.sent().len()), (Role::Stalled, 1));
    let now = world.now;
    world.change(|d| lose(d, "other", now));
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 1));
    world.pass("10d");
    assert_eq!(world.sent().len(), 1, "the same item is not sent again in the same passage");
}

#[test]
fn the_state_of_a_warming_copy_is_small() {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    let json = serde_json::to_string(&world.subject.copy.state).unwrap();
    assert!(json.len() < 300, "{} bytes: {json}", json.len());
    assert_eq!(serde_json::from_str::<CopyState>(&json).unwrap(), world.subject.copy.state);
    world.signal(SignalKind::Reply);
    let json = serde_json::to_string(&world.subject.copy.state).unwrap();
    assert_eq!(serde_json::from_str::<CopyState>(&json).unwrap(), world.subject.copy.state);
}

#[test]
fn our_own_move_triggers_nothing() {
    let mut plan = plan();
    plan.stages.warming[0].enter.push(trigger(TriggerKind::MovedTo(vec!["Talks".into()])));
    let mut world = World::lost(plan, "layout");
    world.signal(SignalKind::InboundCall);
    world.change(|d| {
        d.state = DealState::Open;
        d.stage = "Talks".into();
    });
    assert_eq!(world.role(), Role::Revived);
}

#[test]
fn who_opted_out_of_an_open_deal_stays_so_until_somebody_works_on_it() {
    let mut world = World::new(plan());
    world.sight();
    world.pass("10d");
    assert_eq!(world.role(), Role::Stalled);
    let at = world.now;
    world.decide(&Event::Unsubscribed { at, only: None });
    world.change(|d| d.title = "x".into());
    world.decide(&Event::Replan);
    assert_eq!((world.role(), world.ends()), (Role::Unsubscribed, vec![CycleEnd::Unsubscribed]));
    world.pass("1h");
    let now = world.now;
    world.change(|d| d.last_activity_at = Some(now));
    assert_eq!(world.role(), Role::InWork);
}

#[test]
fn only_a_live_funnel_reminds_and_only_of_cold_deals() {
    let mut observing = plan();
    observing.mode = Mode::Observe;
    let mut world = World::new(observing);
    world.sight();
    world.pass("30d");
    assert_eq!((world.role(), world.told()), (Role::Stalled, vec![]));
    let mut world = World::new(plan());
    world.sight();
    world.pass("10d");
    let told = world.told().len();
    world.signal(SignalKind::InboundCall);
    let after = world.told().len();
    world.pass("30d");
    assert!(told > 0 && world.told().len() == after, "who came back is not forgotten");
}

/// A deal that first appears in a stage has moved there, if it is younger than the funnel. One that was deleted and comes back moves nowhere.
#[test]
fn what_is_new_has_moved_to_where_it_is() {
    let seen = |created: jiff::Timestamp| {
        let mut plan = plan();
        let stage = unseen().deal.stage;
        plan.stages.stalled.insert(0, cold("arrived", vec![trigger(TriggerKind::MovedTo(vec![stage]))], vec![]));
        let mut world = World::new(plan);
        world.subject.deal.created_at = Some(created);
        world.sight();
        world
    };
    let since = plan().since;
    let mut world = seen(since);
    assert_eq!((world.role(), world.subject.copy.stage.as_str()), (Role::Stalled, "arrived"));
    world.change(|deal| deal.state = DealState::Deleted);
    assert_eq!(world.role(), Role::Archived);
    world.change(|deal| deal.state = DealState::Open);
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Stalled, 1), "it is where it was");
    let mut older = seen(since - SignedDuration::from_secs(1));
    assert_eq!(older.role(), Role::InWork);
    older.change(|deal| deal.state = DealState::Deleted);
    older.change(|deal| deal.state = DealState::Open);
    assert_eq!(older.role(), Role::InWork, "it has not moved");
}

fn filled(field: &str) -> Trigger {
    trigger(TriggerKind::FieldFilled(field.into()))
}

pub(super) fn names(world: &World) -> (Role, &str) {
    (world.role(), world.subject.copy.stage.as_str())
}

/// What began by an event goes on though the event is over: for an open deal, a lost one whose reason no stage names, and a buyer.
#[test]
fn a_stage_that_an_event_began_goes_on() {
    type Edit = fn(&mut World);
    let open: Edit = |_| ();
    let lost: Edit = |world| world.change(|deal| lose(deal, "price", noon()));
    let won: Edit = |world| world.change(|deal| deal.state = DealState::Won);
    for (before, place) in [(open, Role::InWork), (lost, Role::NotWarmed), (won, Role::Customer)] {
        let mut plan = plan();
        plan.stages.customer = Some(cold("customer", vec![], vec![]));
        plan.stages.warming.push(cold("visited", vec![filled("visit")], vec![rule("other")]));
        let mut world = World::new(plan);
        world.sight();
        before(&mut world);
        assert_eq!(world.role(), place);
        set(&mut world, "visit", "2026-03-01");
        assert_eq!(names(&world), (Role::Warming, "visited"), "after {place:?}");
        world.decide(&Event::Replan);
        world.pass("1h");
        assert_eq!(names(&world), (Role::Warming, "visited"), "after {place:?}");
    }
}

#[test]
fn so_does_a_stalled_one() {
    let mut plan = plan();
    plan.stages.stalled.insert(0, cold("on hold", vec![filled("hold")], vec![]));
    let mut world = World::new(plan);
    world.sight();
    set(&mut world, "hold", "until autumn");
    assert_eq!(names(&world), (Role::Stalled, "on hold"));
    world.decide(&Event::Replan);
    world.pass("1h");
    assert_eq!(names(&world), (Role::Stalled, "on hold"));
}

/// A deal that came back can be lost again, whether the CRM dates that or not; one that merely was not moved back yet is not.
#[test]
fn what_came_back_can_be_lost_again() {
    let revived = || {
        let mut world = World::lost(plan(), "layout");
        world.pass("4d");
        world.signal(SignalKind::InboundCall);
        assert_eq!(world.role(), Role::Revived);
        world
    };
    let mut not_moved_yet = revived();
    not_moved_yet.change(|deal| deal.title = "Flat 7".into());
    assert_eq!(not_moved_yet.role(), Role::Revived);
    let mut undated = revived();
    undated.change(|deal| deal.state = DealState::Open);
    undated.change(|deal| {
        deal.state = DealState::Lost;
        deal.stage_changed_at = None;
    });
    assert_eq!((undated.role(), undated.subject.copy.cycle), (Role::Warming, 2));
    let mut dated = revived();
    let later = dated.now + SignedDuration::from_hours(1);
    dated.now = later;
    dated.change(|deal| deal.stage_changed_at = Some(later));
    assert_eq!((dated.role(), dated.subject.copy.cycle), (Role::Warming, 2));
}

#[test]
fn a_loss_of_the_moment_in_which_the_funnel_began_is_its_own() {
    for (seconds, role) in [(0, Role::Warming), (1, Role::Backfill)] {
        let mut world = World::new(plan());
        let lost = world.plan.since - SignedDuration::from_secs(seconds);
        lose(&mut world.subject.deal, "layout", lost);
        world.sight();
        assert_eq!(world.role(), role, "{seconds} s before");
    }
}

/// Silence is a state of open deals: a lost one is not warmed for it.
#[test]
fn a_lost_deal_is_not_inactive() {
    let mut plan = plan();
    plan.stages.warming[0].enter.push(trigger(TriggerKind::Inactivity(d("10d"))));
    let mut world = World::lost(plan, "price");
    world.pass("60d");
    assert_eq!(world.role(), Role::NotWarmed);
}

/// Where a deal goes on: a lost one always, an open one if the funnel says so and it is not there already, a won one never.
#[test]
fn a_revived_deal_goes_to_its_stage() {
    for (state, move_open, stage, moved) in [
        (DealState::Lost, false, "Lost", true),
        (DealState::Open, true, "Offer", true),
        (DealState::Open, true, " talks", false),
        (DealState::Open, false, "Offer", false),
        (DealState::Won, true, "Contract", false),
    ] {
        let mut plan = with_customers(vec![]);
        plan.stages.revival.return_to.move_open = move_open;
        let mut world = World::new(plan);
        world.sight();
        world.change(|deal| {
            deal.state = state;
            deal.stage = stage.into();
            deal.lost_reason = (state == DealState::Lost).then(|| "layout".into());
        });
        world.pass("91d");
        assert!(matches!(world.role(), Role::Stalled | Role::Warming), "{state:?} {:?}", world.role());
        let before = world.told().len();
        world.signal(SignalKind::InboundCall);
        assert_eq!(world.role(), Role::Revived);
        assert_eq!(world.told()[before..].contains(&"move Talks".into()), moved, "{state:?} in {stage}, {move_open}");
    }
}

/// Our own move is nobody's work: what is for deals that people move to that stage does not begin by it. Once a person has moved the deal
/// elsewhere, the next arrival is theirs.
#[test]
fn the_arrival_of_our_own_move_is_not_a_persons() {
    fn to(deal: &mut Deal, stage: &str) {
        deal.state = DealState::Open;
        deal.stage = stage.into();
    }
    type Edits = &'static [fn(&mut Deal)];
    let cases: [(Edits, Role); 4] = [
        (&[|deal| to(deal, "back ")], Role::Revived),
        (&[|deal| deal.title = "Flat 7".into(), |deal| to(deal, "Back")], Role::Revived),
        (&[|deal| to(deal, "Back"), |deal| to(deal, "Offer"), |deal| to(deal, "Back")], Role::Warming),
        (&[|deal| to(deal, "Offer"), |deal| to(deal, "Back")], Role::Warming),
    ];
    for (edits, role) in cases {
        let mut plan = plan();
        plan.stages.revival.return_to.stage = Some("Back".into());
        plan.stages.warming.push(cold("parked", vec![trigger(TriggerKind::MovedTo(vec!["Back".into()]))], vec![rule("other")]));
        let mut world = World::lost(plan, "layout");
        world.pass("4d");
        world.signal(SignalKind::InboundCall);
        assert_eq!(world.told()[0], "move Back");
        for edit in edits {
            world.change(edit);
        }
        assert_eq!(world.role(), role, "{} edits", edits.len());
    }
}

/// Without a holdout nothing stays open, and who was asked at once is not asked again.
#[test]
fn a_holdout_is_asked_once() {
    let mut world = World::new(plan());
    lose(&mut world.subject.deal, "layout", noon());
    world.sight();
    assert_eq!(world.subject.copy.next_at, Some(noon() + SignedDuration::from_hours(72)), "nothing to ask");
    let mut plan = plan();
    plan.holdout_percent = 100.0;
    let mut world = World::lost(plan, "layout");
    world.pass("1d");
    let begun = CycleChange::Begin { cycle: 1, at: noon(), holdout: true };
    assert_eq!(world.cycles, [begun]);
}

/// Not every CRM dates a loss, and the reason may be told later than the loss.
#[test]
fn a_loss_that_we_saw_is_ours_when_its_reason_is_told_later() {
    let tell: fn(&mut Deal) = |deal| deal.lost_reason = Some("layout".into());
    let undated: fn(&mut Deal) = |deal| {
        deal.state = DealState::Lost;
        deal.stage_changed_at = None;
    };
    let mut seen = World::new(plan());
    seen.sight();
    seen.change(undated);
    assert_eq!(seen.role(), Role::NotWarmed);
    seen.change(tell);
    assert_eq!(seen.role(), Role::Warming);
    let mut found = World::new(plan());
    undated(&mut found.subject.deal);
    found.sight();
    found.change(tell);
    assert_eq!(found.role(), Role::Backfill, "nobody knows when that was");
    // Taken up again in between: the next loss is seen, whatever the first one was.
    found.change(|deal| deal.state = DealState::Open);
    found.change(undated);
    assert_eq!(found.role(), Role::Warming);
}

/// A task that stood there before is not work on the deal; one that is planned or moved is.
#[test]
fn a_task_planned_before_keeps_nobody_out_of_a_stage() {
    let by_date = trigger(TriggerKind::Date { field: "visit".into(), offset: d("1d"), before: true });
    let mut plan = plan();
    plan.stages.warming.insert(0, cold("before a visit", vec![by_date], vec![rule("other")]));
    plan.lists.get_mut("other").unwrap().items[0].after = HumanDuration::ZERO;
    let mut world = World::new(plan);
    world.subject.deal.next_task_at = Some(t("2026-03-06T12:00"));
    world.sight();
    set(&mut world, "visit", "2026-03-06T12:00");
    world.run(t("2026-03-05T12:30"));
    assert_eq!((names(&world), world.sent().len()), ((Role::Warming, "before a visit"), 1));
    world.change(|deal| deal.title = "Flat 7".into());
    assert_eq!(world.role(), Role::Warming);
    world.change(|deal| deal.next_task_at = Some(t("2026-03-10T12:00")));
    assert_eq!(world.role(), Role::InWork);
}

/// Guards on the time are asked every day, whether they hold or not.
#[test]
fn a_stage_is_left_when_its_time_is_over() {
    let mut plan = plan();
    let mut young = trigger(TriggerKind::Lost(vec![]));
    young.when = when("cycle.days < 40");
    plan.stages.warming = vec![
        cold("young", vec![young], vec![rule("other")]),
        cold("old", vec![trigger(TriggerKind::Lost(vec![]))], vec![rule("layout")]),
    ];
    let mut world = World::new(plan);
    world.sight();
    world.change(|deal| lose(deal, "price", noon()));
    // Without a cycle the guard asks about nothing yet.
    world.subject.copy.stage = "young".into();
    world.decide(&Event::Replan);
    world.pass("39d");
    assert_eq!(names(&world), (Role::Warming, "young"));
    world.pass("2d");
    assert_eq!(names(&world), (Role::Warming, "old"));
}

/// A longer silence leads to another stage, with reminders of its own; what became overdue together is told one after the other.
#[test]
fn each_stage_reminds_and_keeps_its_distances() {
    let mut plan = plan();
    let mut frozen = cold("frozen", vec![trigger(TriggerKind::Inactivity(d("20d")))], vec![]);
    frozen.remind = vec![Reminder { after: HumanDuration::ZERO, who: RemindWho::Supervisor }];
    plan.stages.stalled.push(frozen);
    let mut world = World::new(plan.clone());
    world.sight();
    world.pass("20d");
    assert_eq!(world.told(), ["task m1", "notify m1", "notify s1"], "stalled");
    world.pass("40d");
    assert_eq!(world.told(), ["task m1", "notify m1", "notify s1", "notify s1"], "frozen");

    plan.stages.stalled.truncate(1);
    plan.mode = Mode::Observe;
    let mut world = World::new(plan);
    world.sight();
    world.run(t("2026-03-16T12:00"));
    assert_eq!((world.role(), world.told().len()), (Role::Stalled, 0));
    world.plan.mode = Mode::Live;
    world.decide(&Event::Replan);
    world.run(t("2026-03-16T12:00"));
    assert_eq!(world.told(), ["task m1", "notify m1"], "the supervisor's is overdue, too");
    // Something else happens in between.
    world.decide(&Event::Timer);
    world.run(t("2026-03-18T11:59"));
    assert_eq!(world.told().len(), 2);
    world.run(t("2026-03-18T12:00"));
    assert_eq!(world.told(), ["task m1", "notify m1", "notify s1"]);
}

#[test]
fn stages_are_called_as_the_funnel_calls_them() {
    let mut plan = with_customers(vec![]);
    plan.stages.warming[0].title = "Подогрев".into();
    plan.stages.customer.as_mut().unwrap().title = "Покупатель".into();
    for (role, stage, title) in [
        (Role::InWork, "", Some("In work")),
        (Role::Stalled, "stalled", Some("stalled")),
        (Role::Warming, "warming", Some("Подогрев")),
        (Role::Revived, "", Some("Revived")),
        (Role::Unsubscribed, "", Some("Unsubscribed")),
        (Role::Customer, "customer", Some("Покупатель")),
        (Role::Warming, "removed since", None),
        (Role::Archived, "", None),
        (Role::Backfill, "", None),
        (Role::NotWarmed, "", None),
    ] {
        assert_eq!(plan.title(role, stage), title, "{role:?} {stage}");
    }
}
