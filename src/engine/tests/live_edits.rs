//! The table "Live edits" of docs/semantics.md, a test a row. In each, a client had `first` on the 5th of March and waits for `second`
//! (7d later) and `third` (7d after that); the edit is published on the 6th.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;

/// Publishes an edit and lets it play out. What was sent after it.
fn edited(edit: impl FnOnce(&mut Plan)) -> (World, Vec<String>) {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    assert_eq!(world.sent().len(), 1);
    edit(&mut world.plan);
    world.decide(&Event::Replan);
    assert_eq!(world.sent().len(), 1, "publishing sends nothing");
    world.pass("90d");
    let rest = world.sent().into_iter().skip(1).map(|(at, item)| format!("{at} {item}")).collect();
    (world, rest)
}

fn layout(plan: &mut Plan) -> &mut List {
    plan.lists.get_mut("layout").unwrap()
}

const UNTOUCHED: [&str; 2] = ["03-12 12:00 second", "03-19 12:00 third"];

#[test]
fn text_changed() {
    // A new text may need another value; the plan knows nothing else of it.
    let (world, rest) = edited(|p| layout(p).items[1].requires = vec!["client.city".into()]);
    assert_eq!(rest, ["03-12 12:00 third"], "the clock counts from what was sent");
    assert_eq!(world.skipped(), [("second".to_owned(), SkipReason::MissingValue)]);
    let (_, rest) = edited(|p| layout(p).items[0].requires = vec!["client.city".into()]);
    assert_eq!(rest, UNTOUCHED, "what was sent is not sent again");
}

#[test]
fn delay_changed() {
    for (after, want) in [
        ("10d", ["03-15 12:00 second", "03-22 12:00 third"]),
        ("2d", ["03-07 12:00 second", "03-14 12:00 third"]),
        // Overdue by the edit: released from the moment of publishing on.
        ("12h", ["03-06 12:00 second", "03-13 12:00 third"]),
    ] {
        assert_eq!(edited(|p| layout(p).items[1].after = d(after)).1, want, "{after}");
    }
    let (world, rest) = edited(|p| {
        layout(p).items[1].after = d("12h");
        layout(p).overdue = Overdue::Skip;
    });
    assert_eq!(rest, ["03-12 12:00 third"]);
    assert_eq!(world.skipped(), [("second".to_owned(), SkipReason::TooOld)]);
}

#[test]
fn order_changed() {
    assert_eq!(edited(|p| layout(p).items.swap(1, 2)).1, ["03-12 12:00 third", "03-19 12:00 second"]);
    // What moved in front of the last one sent is behind the client.
    assert_eq!(edited(|p| layout(p).items.swap(0, 1)).1, ["03-12 12:00 third"]);
}

#[test]
fn item_inserted() {
    for (place, want) in [
        (0, vec![UNTOUCHED[0], UNTOUCHED[1]]),
        (1, vec!["03-08 12:00 new", "03-15 12:00 second", "03-22 12:00 third"]),
        (3, vec![UNTOUCHED[0], UNTOUCHED[1], "03-22 12:00 new"]),
    ] {
        assert_eq!(edited(|p| layout(p).items.insert(place, item("new", "3d"))).1, want, "{place}");
    }
}

#[test]
fn item_removed() {
    assert_eq!(edited(|p| drop(layout(p).items.remove(0))).1, UNTOUCHED);
    assert_eq!(edited(|p| drop(layout(p).items.remove(1))).1, ["03-12 12:00 third"]);
    assert_eq!(edited(|p| layout(p).items.truncate(1)).1, [""; 0]);
}

/// What comes after `second`, of a list of four, when these edits are published one after the other.
fn goes_on(mode: Mode, edits: &[fn(&mut Vec<Item>)]) -> Vec<String> {
    let mut plan = plan();
    plan.mode = mode;
    layout(&mut plan).items.push(item("fourth", "7d"));
    let mut world = World::lost(plan, "layout");
    world.run(t("2026-03-13T12:00"));
    for edit in edits {
        edit(&mut layout(&mut world.plan).items);
        world.decide(&Event::Replan);
    }
    world.pass("90d");
    let all = if mode == Mode::Live { world.sent() } else { world.observed() };
    all.into_iter().skip(2).map(|(_, item)| item).collect()
}

#[test]
fn nobody_misses_a_message_because_others_were_removed() {
    type Edits = &'static [fn(&mut Vec<Item>)];
    let cases: [(&str, Edits, &[&str]); 7] = [
        ("the first, then the next", &[|i| drop(i.remove(0)), |i| drop(i.remove(0))], &["third", "fourth"]),
        ("the last one sent, then the one before it", &[|i| drop(i.remove(1)), |i| drop(i.remove(0))], &["third", "fourth"]),
        ("both at once", &[|i| drop(i.drain(..2))], &["third", "fourth"]),
        (
            "two put in front of all, and the last one sent removed",
            &[|i| {
                drop(i.remove(1));
                i.insert(0, item("x", "1d"));
                i.insert(1, item("y", "1d"));
            }],
            &["third", "fourth"],
        ),
        (
            "one put in behind the client, then the last one sent removed",
            &[|i| i.insert(1, item("x", "1d")), |i| drop(i.remove(2))],
            &["third", "fourth"],
        ),
        ("the first and the next one to come", &[|i| drop(i.remove(0)), |i| drop(i.remove(1))], &["fourth"]),
        ("the last one sent renamed", &[|i| i[1].name = "better".into()], &["better", "third", "fourth"]),
    ];
    for (what, edits, rest) in cases {
        for mode in [Mode::Live, Mode::Observe] {
            assert_eq!(goes_on(mode, edits), rest, "{what}, {mode:?}");
        }
    }
    // Put back, it is not sent a second time.
    assert_eq!(goes_on(Mode::Live, &[|i| drop(i.remove(1)), |i| i.insert(1, item("second", "7d"))]), ["third", "fourth"]);
}

/// The version before kept no names of what is behind a client, only the place of the last one.
#[test]
fn a_journey_that_the_version_before_stored_goes_on() {
    for mode in [Mode::Live, Mode::Observe] {
        let mut plan = plan();
        plan.mode = mode;
        let mut world = World::lost(plan, "layout");
        world.run(t("2026-03-13T12:00"));
        let journey = world.subject.copy.state.journey.as_mut().unwrap();
        assert_eq!((journey.last.as_deref(), journey.position), (Some("second"), 1), "what that version reads");
        journey.behind.clear();
        drop(layout(&mut world.plan).items.remove(1));
        world.decide(&Event::Replan);
        world.pass("30d");
        let all = if mode == Mode::Live { world.sent() } else { world.observed() };
        let items: Vec<String> = all.into_iter().map(|(_, item)| item).collect();
        assert_eq!(items, ["first", "second", "third"], "{mode:?}");
    }
}

#[test]
fn item_renamed() {
    assert_eq!(edited(|p| layout(p).items[1].name = "better".into()).1, ["03-12 12:00 better", UNTOUCHED[1]]);
    // Another name is another message, also for those who had the old one.
    let (_, rest) = edited(|p| layout(p).items[0].name = "better".into());
    assert_eq!(rest, ["03-08 12:00 better", "03-15 12:00 second", "03-22 12:00 third"]);
}

#[test]
fn title_changed() {
    let (_, rest) = edited(|p| {
        layout(p).title = "Another".into();
        layout(p).items.iter_mut().for_each(|i| i.title = "Another".into());
    });
    assert_eq!(rest, UNTOUCHED);
}

#[test]
fn weights_changed() {
    for (only, weights) in [("a", [1, 0]), ("b", [0, 1])] {
        let (world, rest) = edited(|p| {
            layout(p).items[1].variants =
                ["a", "b"].into_iter().zip(weights).map(|(name, weight)| Variant { name: name.into(), weight }).collect();
        });
        assert_eq!(rest, UNTOUCHED);
        let variants: Vec<_> = world
            .effects
            .iter()
            .filter_map(|(_, e)| if let EffectKind::Message { variant: Some(v), .. } = &e.kind { Some(v.as_str()) } else { None })
            .collect();
        assert_eq!(variants, [only]);
    }
}

#[test]
fn window_changed() {
    let (_, rest) = edited(|p| p.policy.windows = vec![window(&[], "15:00", "16:00")]);
    assert_eq!(rest, ["03-12 15:00 second", "03-19 15:00 third"]);
    // Who waits for the old opening does not wait any longer.
    let mut narrow = plan();
    narrow.policy.windows = vec![window(&[], "19:00", "20:00")];
    let mut world = World::lost(narrow, "other");
    world.run(t("2026-03-04T13:00"));
    assert_eq!(world.waiting(), Some(PostponeReason::OutsideWindow));
    world.plan.policy.windows = vec![window(&[], "10:00", "20:00")];
    world.decide(&Event::Replan);
    world.pass("1m");
    assert_eq!(world.sent(), [("03-04 13:00".to_owned(), "hello".to_owned())]);
}

#[test]
fn cap_changed() {
    let (_, rest) = edited(|p| p.policy.caps = vec![Cap { medium: None, at_most: 1, per: CapPer::Month }]);
    assert_eq!(rest, ["04-01 10:00 second", "05-01 10:00 third"], "what was sent in March before the edit counts");
}

#[test]
fn triggers_changed() {
    let (world, rest) = edited(|p| p.stages.warming[0].enter = vec![trigger(TriggerKind::Lost(vec!["price".into()]))]);
    assert_eq!((world.role(), rest), (Role::NotWarmed, vec![]));
    let (world, rest) = edited(|p| {
        let mut other = cold("narrow", vec![trigger(TriggerKind::Lost(vec!["layout".into()]))], vec![rule("other")]);
        other.title = "Narrow".into();
        p.stages.warming.insert(0, other);
    });
    assert_eq!((world.subject.copy.stage.as_str(), world.subject.copy.cycle), ("narrow", 1));
    assert_eq!(rest, ["03-08 12:00 hello"]);
}

/// Who is taken out of a stage by an edit was worked on by nobody: no success, no second cycle, and nothing twice when it is undone.
#[test]
fn an_edit_of_a_trigger_and_its_undoing_end_no_cycle() {
    type Set = fn(&mut Plan, bool);
    let inactivity: Set = |plan, edited| {
        let time = if edited { "60d" } else { "5d" };
        plan.stages.stalled[0].enter = vec![trigger(TriggerKind::Inactivity(d(time)))];
    };
    let quiet: Set = |plan, edited| {
        let time = if edited { "90d" } else { "5d" };
        plan.stages.warming[0].enter = vec![trigger(TriggerKind::ClientQuiet(d(time)))];
        plan.stages.stalled.clear();
    };
    let guard: Set = |plan, edited| {
        let text = if edited { "deal.amount > 100000000000" } else { "deal.amount > 1" };
        plan.stages.warming[0].enter = vec![Trigger { when: when(text), ..trigger(TriggerKind::When) }];
        plan.stages.stalled.clear();
    };
    for (what, set, won, left) in [
        ("inactivity", inactivity, false, Role::InWork),
        ("a quiet client", quiet, false, Role::InWork),
        ("a guard", guard, false, Role::InWork),
        ("a quiet buyer", quiet, true, Role::Customer),
    ] {
        let mut plan = plan();
        plan.reentry = Reentry::Always;
        plan.stages.customer = Some(cold("customer", vec![], vec![]));
        plan.stages.stalled[0].content = vec![rule("other")];
        plan.stages.warming[0].content = vec![rule("other")];
        set(&mut plan, false);
        let mut world = World::new(plan);
        world.sight();
        if won {
            world.change(|deal| deal.state = DealState::Won);
        }
        world.pass("20d");
        assert_eq!((world.sent().len(), world.subject.copy.cycle), (1, 1), "{what}");
        set(&mut world.plan, true);
        world.decide(&Event::Replan);
        assert_eq!((world.role(), world.ends()), (left, vec![]), "{what}");
        let told = |h: &History| matches!(h, History::Stage { to, why, .. } if *to == left && why == "no trigger holds any more");
        assert!(world.history.iter().any(told), "{what}");
        world.change(|deal| deal.title = "a robot's".into());
        world.pass("1h");
        set(&mut world.plan, false);
        world.decide(&Event::Replan);
        world.pass("40d");
        assert_eq!((world.sent().len(), world.subject.copy.cycle, world.ends()), (1, 1, vec![]), "{what}");
    }
}

/// A stalled deal that heard of one message, and that an edit took out of its stage.
fn left_by_an_edit() -> World {
    let mut plan = plan();
    plan.stages.stalled[0].content = vec![rule("other")];
    plan.reentry = Reentry::Always;
    let mut world = World::new(plan);
    world.sight();
    world.pass("20d");
    assert_eq!((world.role(), world.sent().len()), (Role::Stalled, 1));
    world.plan.stages.stalled[0].enter = vec![trigger(TriggerKind::Inactivity(d("60d")))];
    world.decide(&Event::Replan);
    assert_eq!((world.role(), world.ends()), (Role::InWork, vec![]));
    world
}

#[test]
fn a_cycle_that_waits_ends_as_soon_as_somebody_takes_the_deal_up() {
    type Act = fn(&mut World);
    let cases: [(&str, Act, &[CycleEnd]); 9] = [
        ("a field", |w| w.change(|deal| drop(deal.fields.insert("rooms".into(), FieldValue::Number(2.0)))), &[]),
        (
            "work",
            |w| {
                let now = w.now;
                w.change(|deal| deal.last_activity_at = Some(now));
            },
            &[CycleEnd::Assisted],
        ),
        ("a task", |w| w.change(|deal| deal.next_task_at = Some(t("2026-03-25T12:00"))), &[CycleEnd::Assisted]),
        ("a call", |w| w.signal(SignalKind::InboundCall), &[CycleEnd::Assisted]),
        ("an answer", |w| w.signal(SignalKind::Reply), &[CycleEnd::Assisted]),
        ("an opt-out", |w| drop(w.decide(&Event::Unsubscribed { at: w.now, only: None })), &[CycleEnd::Unsubscribed]),
        ("no more emails", |w| drop(w.decide(&Event::Unsubscribed { at: w.now, only: Some(Medium::Email) })), &[]),
        ("a refusal", |w| w.signal(SignalKind::Refusal), &[CycleEnd::Refused]),
        ("a sale", |w| w.change(|deal| deal.state = DealState::Won), &[CycleEnd::Won]),
    ];
    for (what, act, ends) in cases {
        let mut world = left_by_an_edit();
        world.pass("1d");
        act(&mut world);
        world.decide(&Event::Replan);
        assert_eq!(world.ends(), ends, "{what}");
    }
    // Lost meanwhile, it goes on under the same cycle, as from the stage itself.
    let mut world = left_by_an_edit();
    let now = world.now;
    world.change(|deal| lose(deal, "other", now));
    world.pass("30d");
    assert_eq!((world.role(), world.subject.copy.cycle, world.sent().len()), (Role::Warming, 1, 1));
    // Worked on and silent once more, it begins the next one.
    let mut world = left_by_an_edit();
    let now = world.now;
    world.change(|deal| deal.last_activity_at = Some(now));
    world.plan.stages.stalled[0].enter = vec![trigger(TriggerKind::Inactivity(d("5d")))];
    world.decide(&Event::Replan);
    world.pass("30d");
    assert_eq!((world.subject.copy.cycle, world.sent().len()), (2, 2));
}

/// Neither who refused nor who answered hears anything because an edit took their deal out of its stage and back.
#[test]
fn an_edit_and_its_undoing_wake_nobody_who_refused_or_answered() {
    for signal in [SignalKind::Refusal, SignalKind::Reply] {
        let mut plan = plan();
        plan.stages.stalled[0].content = vec![rule("other")];
        plan.reentry = Reentry::Always;
        let mut world = World::new(plan);
        world.sight();
        world.run(t("2026-03-10T12:00"));
        assert_eq!((world.role(), world.sent().len()), (Role::Stalled, 0));
        world.signal(signal);
        for time in ["60d", "5d"] {
            world.plan.stages.stalled[0].enter = vec![trigger(TriggerKind::Inactivity(d(time)))];
            world.decide(&Event::Replan);
        }
        world.pass("30d");
        assert_eq!((world.role(), world.subject.copy.cycle, world.sent().len()), (Role::Stalled, 1, 0), "{signal:?}");
        if signal == SignalKind::Reply {
            world.react(Some(Reaction::GoOn));
            world.pass("5d");
            assert_eq!(world.sent().len(), 1, "the manager says go on");
        }
    }
}

#[test]
fn stop_added() {
    let (mut world, rest) = edited(|p| p.stages.warming[0].stop_when = when("true"));
    assert_eq!(rest, [""; 0]);
    world.plan.stages.warming[0].stop_when = None;
    world.decide(&Event::Replan);
    world.pass("10d");
    assert_eq!(world.sent().len(), 1, "what it ended stays ended");
    layout(&mut world.plan).items.truncate(2);
    world.decide(&Event::Replan);
    world.pass("10d");
    assert_eq!(world.sent().len(), 1, "also when the list gets shorter");
    layout(&mut world.plan).items.push(item("news", "1d"));
    world.decide(&Event::Replan);
    world.pass("1d");
    assert_eq!(world.sent().last().unwrap().1, "news", "what is appended later is news");
}

#[test]
fn channel_changed() {
    let (world, rest) = edited(|p| {
        p.channels.push(Channel { resource: "second-sms".into(), name: "two".into(), ..p.channels[0].clone() });
        layout(p).items[1].channel = Some("two".into());
    });
    assert_eq!(rest, UNTOUCHED);
    let channels: Vec<_> = world
        .effects
        .iter()
        .filter_map(|(_, e)| if let EffectKind::Message { channel, .. } = &e.kind { Some(channel.as_str()) } else { None })
        .collect();
    assert_eq!(channels, ["sms", "second-sms", "sms"]);
}

#[test]
fn list_exchanged() {
    let (_, rest) = edited(|p| p.stages.warming[0].content = vec![rule("other")]);
    assert_eq!(rest, ["03-08 12:00 hello"]);
}

#[test]
fn going_live() {
    let mut observing = plan();
    observing.mode = Mode::Observe;
    let mut world = World::lost(observing, "other");
    world.pass("4d");
    assert_eq!((world.observed().len(), world.sent().len()), (1, 0));
    world.plan.mode = Mode::Live;
    world.decide(&Event::Replan);
    world.pass("30d");
    assert_eq!(world.sent(), [("03-08 12:00".to_owned(), "hello".to_owned())]);
}

#[test]
fn suspended() {
    let (world, rest) = edited(|p| p.suspend = true);
    assert_eq!((world.role(), rest), (Role::Warming, vec![]));
    let mut world = world;
    world.plan.suspend = false;
    world.decide(&Event::Replan);
    world.pass("1h");
    assert_eq!(world.sent().len(), 2, "one of the two that are overdue, not both");
}

#[test]
fn a_circle_of_branches_ends() {
    // Each message sends its client to the other list.
    let mut round = plan();
    let mut odd = rule("other");
    odd.when = when("cycle.sent % 2 == 1");
    round.stages.warming[0].content = vec![odd, rule("layout")];
    round.lists.get_mut("other").unwrap().items.push(item("again", "1d"));
    let mut world = World::lost(round, "layout");
    world.pass("400d");
    let mut items: Vec<_> = world.sent().into_iter().map(|s| s.1).collect();
    let count = items.len();
    items.sort();
    items.dedup();
    assert_eq!(items.len(), count, "nothing twice");
    assert_eq!(world.subject.copy.next_at, None, "and it comes to rest");
}

#[test]
fn a_clock_that_jumps() {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    let sent = world.sent();
    // Back by a month: nothing is due, nothing is sent again.
    world.now = t("2026-02-06T12:00");
    for _ in 0..3 {
        world.decide(&Event::Timer);
    }
    assert_eq!(world.sent(), sent);
    world.pass("60d");
    assert_eq!(world.sent().len(), 3);
    // Forward by a year: one at a time, not a burst.
    let mut world = World::lost(plan(), "layout");
    world.plan.policy.spread = d("6h");
    world.pass("4d");
    world.now = t("2027-03-06T12:00");
    world.decide(&Event::Timer);
    assert_eq!(world.sent().len(), 1);
}
