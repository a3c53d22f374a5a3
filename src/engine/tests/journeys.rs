//! The way through a list: timing, live edits, modes, re-entry.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;
use jiff::SignedDuration;
use jiff::civil::Weekday;

fn at(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn edit<'w>(world: &'w mut World, list: &str) -> &'w mut List {
    world.plan.lists.get_mut(list).unwrap()
}

#[test]
fn items_count_from_the_one_sent_before() {
    let mut world = World::lost(plan(), "layout");
    world.pass("60d");
    assert_eq!(world.sent(), at(&[("03-05 12:00", "first"), ("03-12 12:00", "second"), ("03-19 12:00", "third")]));
    assert_eq!(world.subject.copy.next_at, None, "a copy at the end costs nothing");
    let contacted = world.cycles.iter().filter(|c| matches!(c, CycleChange::Contacted { cycle: 1, .. })).count();
    assert_eq!(contacted, 3);
}

#[test]
fn skipped_items_do_not_move_the_clock() {
    let mut plan = plan();
    plan.lists.get_mut("layout").unwrap().items[1].when = when("client.city == 'Omsk'");
    let mut world = World::lost(plan, "layout");
    world.pass("60d");
    assert_eq!(world.sent(), at(&[("03-05 12:00", "first"), ("03-12 12:00", "third")]));
    assert_eq!(world.skipped(), [("second".to_owned(), SkipReason::ConditionFalse)]);
}

#[test]
fn at_and_days_align_in_the_clients_zone() {
    let mut plan = plan();
    let items = &mut plan.lists.get_mut("layout").unwrap().items;
    items[0].at = Some(time("11:00"));
    items[1].days = vec![Weekday::Tuesday, Weekday::Thursday];
    items[2].days = vec![Weekday::Saturday];
    items[2].at = Some(time("15:00"));
    let mut world = World::lost(plan, "layout");
    world.subject.contact.as_mut().unwrap().time_zone = Some("Asia/Omsk".into());
    world.decide(&Event::Replan);
    world.pass("60d");
    // Omsk is three hours ahead of Moscow: 11:00 there is 08:00 here, and 15:00 is 12:00. Three days after noon is past 11:00.
    assert_eq!(world.sent(), at(&[("03-06 08:00", "first"), ("03-17 07:00", "second"), ("03-28 12:00", "third")]));
}

#[test]
fn a_corrected_reason_switches_the_list_and_repeats_nothing() {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    world.change(|d| d.lost_reason = Some("other".into()));
    world.pass("3d");
    world.change(|d| d.lost_reason = Some("layout".into()));
    world.pass("60d");
    let items: Vec<_> = world.sent().into_iter().map(|s| s.1).collect();
    assert_eq!(items, ["first", "hello", "second", "third"]);
    assert_eq!(world.subject.copy.cycle, 1);
}

#[test]
fn stop_when_ends_the_journey_but_not_the_stage() {
    let mut plan = plan();
    plan.stages.warming[0].stop_when = when("cycle.booked");
    let mut world = World::lost(plan, "layout");
    world.pass("4d");
    world.signal(SignalKind::Booked);
    world.pass("60d");
    assert_eq!((world.sent().len(), world.role()), (1, Role::Warming));
}

#[test]
fn what_stop_when_ended_stays_ended() {
    let mut plan = plan();
    plan.stages.warming[0].stop_when = when("deal.rooms == 2");
    let mut world = World::lost(plan, "layout");
    world.pass("4d");
    let rooms = |world: &mut World, n: f64| world.change(|deal| drop(deal.fields.insert("rooms".into(), FieldValue::Number(n))));
    rooms(&mut world, 2.0);
    for _ in 0..3 {
        world.decide(&Event::Replan);
        world.decide(&Event::Timer);
    }
    let told = world.history.iter().filter(|h| matches!(h, History::Note { text } if text.contains("stopWhen"))).count();
    assert_eq!(told, 1, "people are told why it ended, once");
    rooms(&mut world, 3.0);
    world.pass("60d");
    assert_eq!(world.sent().len(), 1, "it does not begin again when the condition no longer holds");
    edit(&mut world, "layout").items.push(item("fourth", "1d"));
    world.decide(&Event::Replan);
    world.pass("10d");
    assert_eq!(world.sent().last().unwrap().1, "fourth", "what is appended later is news");
}

#[test]
fn an_item_that_is_not_wanted_does_not_wait_for_its_window() {
    let mut plan = plan();
    let items = &mut plan.lists.get_mut("layout").unwrap().items;
    (items[1].at, items[1].when) = (Some(time("23:00")), when("client.city == 'Omsk'"));
    let mut world = World::lost(plan, "layout");
    world.run(t("2026-03-10T12:00"));
    world.decide(&Event::Replan);
    assert_eq!(world.skipped(), []);
    world.run(t("2026-03-12T23:00"));
    assert_eq!(world.skipped(), [("second".to_owned(), SkipReason::ConditionFalse)]);
}

#[test]
fn after_a_standstill_what_merely_waited_is_not_left_out() {
    for (overdue, waits, outcome) in [
        (Overdue::Skip, false, "skipped"),
        (Overdue::Send, false, "sent"),
        (Overdue::Spread, false, "spread"),
        (Overdue::Skip, true, "sent"),
        (Overdue::Send, true, "sent"),
        (Overdue::Spread, true, "spread"),
    ] {
        let mut plan = plan();
        let list = plan.lists.get_mut("layout").unwrap();
        list.overdue = overdue;
        if waits {
            list.items[0].at = Some(time("21:00"));
        }
        let mut world = World::lost(plan, "layout");
        world.run(if waits { t("2026-03-05T22:00") } else { t("2026-03-04T12:00") });
        assert_eq!(world.waiting(), waits.then_some(PostponeReason::OutsideWindow));
        world.sleep(t("2026-03-13T12:00").duration_since(world.now));
        world.subject.crm_read_at = Some(world.now);
        world.decide(&Event::Timer);
        let got = match (world.sent().len(), world.skipped().len(), world.waiting()) {
            (1, 0, _) => "sent",
            (0, 1.., _) => "skipped",
            (0, 0, Some(PostponeReason::Spread)) => "spread",
            other => panic!("{other:?}"),
        };
        assert_eq!(got, outcome, "{overdue:?}, waited before: {waits}");
    }
}

#[test]
fn a_pause_that_only_an_answer_ends_is_not_looked_at() {
    let mut world = World::lost(plan(), "layout");
    world.subject.copy.state.pause = Some(Pause { until: jiff::Timestamp::MAX, why: PauseUntil::Answered });
    world.pass("30d");
    assert_eq!((world.sent(), world.waiting(), world.subject.copy.next_at), (vec![], Some(PostponeReason::Paused), None));
    // Whether an item is wanted is asked when it could go out, not while something else may still change the answer.
    edit(&mut world, "layout").items[0].when = when("client.city == 'Omsk'");
    world.decide(&Event::Replan);
    world.decide(&Event::Timer);
    assert_eq!(world.skipped(), []);
}

#[test]
fn live_edits() {
    type Edit = fn(&mut List);
    let cases: [(&str, Edit, &[(&str, &str)]); 6] = [
        ("a later moment", |l| l.items[1].after = d("10d"), &[("03-15 12:00", "second"), ("03-22 12:00", "third")]),
        ("an earlier moment", |l| l.items[1].after = d("2d"), &[("03-07 12:00", "second"), ("03-14 12:00", "third")]),
        (
            "inserted behind the client",
            |l| l.items.insert(0, item("zero", "1d")),
            &[("03-12 12:00", "second"), ("03-19 12:00", "third")],
        ),
        (
            "inserted in front",
            |l| l.items.insert(1, item("between", "3d")),
            &[("03-08 12:00", "between"), ("03-15 12:00", "second"), ("03-22 12:00", "third")],
        ),
        ("the next one removed", |l| drop(l.items.remove(1)), &[("03-12 12:00", "third")]),
        ("the last one sent removed", |l| drop(l.items.remove(0)), &[("03-12 12:00", "second"), ("03-19 12:00", "third")]),
    ];
    for (what, change, rest) in cases {
        let mut world = World::lost(plan(), "layout");
        world.pass("4d");
        change(edit(&mut world, "layout"));
        world.decide(&Event::Replan);
        assert_eq!(world.sent().len(), 1, "{what}: publishing sends nothing");
        world.pass("60d");
        assert_eq!(world.sent()[1..], at(rest), "{what}");
        assert_eq!(world.skipped(), [], "{what}");
    }
}

#[test]
fn what_an_edit_made_overdue_is_released_as_the_list_says() {
    for (overdue, sent, skipped) in [(Overdue::Send, 2, 0), (Overdue::Spread, 1, 0), (Overdue::Skip, 1, 1)] {
        let mut world = World::lost(plan(), "layout");
        world.plan.policy.spread = d("4h");
        world.run(t("2026-03-10T12:00"));
        edit(&mut world, "layout").overdue = overdue;
        edit(&mut world, "layout").items[1].after = d("1d");
        world.decide(&Event::Replan);
        assert_eq!(world.sent().len(), 1, "{overdue:?}: nothing on the spot");
        world.pass("1m");
        assert_eq!((world.sent().len(), world.skipped().len()), (sent, skipped), "{overdue:?}");
        // Publishing again and again does not push it away for ever.
        for _ in 0..12 {
            world.pass("20m");
            world.decide(&Event::Replan);
        }
        assert_eq!(world.sent().len(), if overdue == Overdue::Skip { 1 } else { 2 }, "{overdue:?}");
    }
}

#[test]
fn an_appended_item_reaches_those_who_wait_at_the_end() {
    for (waited, sent) in [("30d", 2), ("170d", 2), ("200d", 1)] {
        let mut world = World::lost(plan(), "other");
        world.pass(waited);
        assert_eq!(world.sent().len(), 1);
        edit(&mut world, "other").items.push(item("more", "5d"));
        world.decide(&Event::Replan);
        assert_eq!(world.sent().len(), 1);
        world.pass("1d");
        assert_eq!(world.sent().len(), sent, "appended after {waited}");
    }
}

#[test]
fn after_a_standstill_nothing_comes_in_a_burst() {
    let mut world = World::lost(plan(), "layout");
    world.plan.policy.spread = d("6h");
    world.run(t("2026-03-04T12:00"));
    world.sleep(SignedDuration::from_hours(6 * 24));
    world.decide(&Event::Timer);
    assert_eq!((world.sent().len(), world.waiting()), (0, Some(PostponeReason::Spread)));
    world.pass("1d");
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn going_live_starts_the_journey_again() {
    let mut plan = plan();
    plan.mode = Mode::Observe;
    plan.lists.get_mut("layout").unwrap().items[1].when = when("false");
    let mut world = World::lost(plan, "layout");
    world.pass("30d");
    assert_eq!(world.observed().len(), 2);
    assert_eq!(world.subject.ledger, [], "nothing that would keep an item from being sent");
    world.plan.mode = Mode::Live;
    world.decide(&Event::Replan);
    assert_eq!(world.sent(), []);
    world.pass("30d");
    assert_eq!(world.sent(), at(&[("04-04 12:00", "first"), ("04-11 12:00", "third")]));
}

#[test]
fn suspension_stops_sending_and_resuming_does_not_blast() {
    for policy in [false, true] {
        let mut world = World::lost(plan(), "layout");
        world.plan.policy.spread = d("4h");
        (world.plan.suspend, world.plan.policy.paused) = (!policy, policy);
        world.decide(&Event::Replan);
        world.pass("20d");
        assert_eq!((world.sent(), world.waiting()), (vec![], Some(PostponeReason::Suspended)));
        assert_eq!(world.subject.copy.next_at, None, "nobody has to look");
        (world.plan.suspend, world.plan.policy.paused) = (false, false);
        world.decide(&Event::Replan);
        assert_eq!((world.sent(), world.waiting()), (vec![], Some(PostponeReason::Spread)));
        world.pass("5h");
        assert_eq!(world.sent().len(), 1);
    }
}

#[test]
fn reentry_limits_messages_of_later_cycles_only() {
    for (reentry, first) in
        [(Reentry::Always, Some("03-16 12:00")), (Reentry::After(d("30d")), Some("04-09 12:00")), (Reentry::Never, None)]
    {
        let mut plan = plan();
        plan.reentry = reentry;
        let mut world = World::lost(plan, "layout");
        world.pass("4d");
        world.run(t("2026-03-07T12:00"));
        world.signal(SignalKind::InboundCall);
        world.run(t("2026-03-13T12:00"));
        let now = world.now;
        world.change(|d| {
            d.state = DealState::Open;
            d.stage = "Talks".into();
            d.last_activity_at = Some(now);
        });
        world.change(|d| lose(d, "layout", now));
        assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 2));
        world.pass("60d");
        assert_eq!(world.sent().get(1).map(|s| s.0.as_str()), first, "{reentry:?}");
    }
    // A stall that nobody wrote about does not count.
    let mut never = plan();
    never.reentry = Reentry::Never;
    let mut world = World::new(never);
    world.sight();
    world.pass("10d");
    assert_eq!(world.role(), Role::Stalled);
    let now = world.now;
    world.change(|d| d.last_activity_at = Some(now));
    world.change(|d| lose(d, "layout", now));
    assert_eq!(world.subject.copy.cycle, 2);
    world.pass("30d");
    assert_eq!(world.sent().len(), 3);
}

#[test]
fn looking_twice_decides_nothing_new() {
    let mut world = World::lost(plan(), "layout");
    for _ in 0..5 {
        world.pass("1d");
        let (sent, copy) = (world.sent(), world.subject.copy.clone());
        for event in [Event::Timer, Event::Timer, Event::Deal { old: Some(Box::new(world.subject.deal.clone())) }, Event::Replan] {
            let decision = world.decide(&event);
            assert!(decision.effects.is_empty() && decision.history.is_empty() && decision.cycle.is_empty(), "{event:?}");
        }
        assert_eq!(world.sent(), sent);
        assert_eq!(world.subject.copy.state, copy.state);
        assert_eq!(world.subject.copy.next_at, copy.next_at);
    }
}

#[test]
fn the_first_message_of_a_new_cycle_waits_for_the_next_timer() {
    let mut plan = plan();
    plan.lists.get_mut("other").unwrap().items[0].after = HumanDuration::ZERO;
    let mut world = World::lost(plan, "other");
    assert_eq!(world.sent(), []);
    world.pass("0h");
    assert_eq!(world.sent(), at(&[("03-02 12:00", "hello")]));
}

#[test]
fn a_rule_that_time_fulfils_is_found_without_an_event() {
    let mut plan = plan();
    plan.stages.warming[0].content = vec![ContentRule { when: when("cycle.days >= 20"), list: "other".into() }];
    let mut world = World::lost(plan, "layout");
    world.run(t("2026-03-22T11:00"));
    assert_eq!(world.subject.copy.state.journey, None);
    world.pass("60d");
    assert_eq!(world.sent(), at(&[("03-24 12:00", "hello")]));
}

#[test]
fn two_items_at_once_are_two_decisions() {
    let mut plan = plan();
    plan.lists.get_mut("layout").unwrap().items.iter_mut().for_each(|i| i.after = HumanDuration::ZERO);
    let mut world = World::lost(plan, "layout");
    for sent in 1..=3 {
        world.decide(&Event::Timer);
        assert_eq!((world.sent().len(), world.subject.copy.next_at), (sent, (sent < 3).then(noon)));
    }
}

#[test]
fn a_stage_that_begins_on_a_timer_begins_before_it_sends() {
    let mut plan = plan();
    plan.lists.get_mut("other").unwrap().items[0].after = HumanDuration::ZERO;
    plan.stages.stalled[0].content = vec![rule("other")];
    let mut world = World::new(plan);
    world.sight();
    world.pass("10d");
    let words: Vec<_> = world.cycles.iter().map(|c| matches!(c, CycleChange::Begin { .. })).collect();
    assert_eq!((words, world.sent().len()), (vec![true, false], 1), "begun, then contacted");
}

#[test]
fn a_long_journey_is_not_too_old_for_itself() {
    let mut plan = plan();
    plan.lists.get_mut("layout").unwrap().items[2].after = d("300d");
    let mut world = World::lost(plan, "layout");
    world.pass("400d");
    assert_eq!(world.sent().len(), 3);
}

#[test]
fn reentry_does_not_look_at_the_cycle_that_runs() {
    let mut plan = plan();
    plan.reentry = Reentry::Never;
    let mut world = World::lost(plan, "layout");
    world.pass("4d");
    world.change(|d| d.lost_reason = Some("other".into()));
    world.pass("10d");
    let items: Vec<_> = world.sent().into_iter().map(|s| s.1).collect();
    assert_eq!(items, ["first", "hello"], "the corrected list is walked");
}

#[test]
fn a_new_cycle_remembers_nothing_of_the_last_one() {
    let mut plan = plan();
    plan.reentry = Reentry::Always;
    plan.stages.warming[0].stop_when = when("cycle.booked || clicked()");
    let mut world = World::lost(plan, "layout");
    world.pass("4d");
    world.signal(SignalKind::Booked);
    world.subject.ledger.iter_mut().for_each(|e| e.clicked_at = Some(noon()));
    world.signal(SignalKind::InboundCall);
    world.pass("1d");
    let now = world.now;
    world.change(|d| d.state = DealState::Open);
    world.change(|d| lose(d, "layout", now));
    assert_eq!(world.subject.copy.cycle, 2);
    world.signal(SignalKind::InboundCall);
    assert_eq!(world.ends(), [CycleEnd::Revived, CycleEnd::Organic], "nothing was sent in the second one");
    world.pass("1d");
    let now = world.now;
    world.change(|d| d.state = DealState::Open);
    world.change(|d| lose(d, "layout", now));
    world.pass("30d");
    assert_eq!(world.sent().len(), 4, "neither the booking nor the click of the first cycle stops the third");
}

/// An earlier rule that time fulfils is found while a later one holds, and one that holds may cease to.
#[test]
fn a_list_changes_when_its_time_has_come() {
    let mut plan = plan();
    let (mut late, mut early) = (rule("other"), rule("layout"));
    late.when = when("cycle.days >= 60");
    early.when = None;
    plan.stages.warming[0].content = vec![late, early];
    let mut world = World::lost(plan, "layout");
    world.pass("59d");
    assert_eq!(world.sent().len(), 3, "the first list is through");
    world.pass("10d");
    assert_eq!(world.sent().last().unwrap().1, "hello");
}

/// Those who wait for their place behind an opening keep it when somebody publishes, or the deal changes: an edit is no burst.
#[test]
fn an_edit_releases_nobody_before_their_place() {
    let mut plan = plan();
    plan.policy.spread = d("4h");
    plan.lists.get_mut("other").unwrap().items[0].after = d("10h");
    let places = |interrupt: fn(&mut World)| -> Vec<String> {
        (1..60)
            .map(|id| {
                let mut world = World::new(plan.clone());
                world.sight();
                world.subject.copy.id = CopyId(id);
                world.change(|deal| lose(deal, "other", noon()));
                // At 22:00 the window is closed; it opens at 10:00.
                world.run(t("2026-03-03T10:01"));
                interrupt(&mut world);
                world.run(t("2026-03-03T20:00"));
                world.sent().into_iter().next().unwrap().0
            })
            .collect()
    };
    let undisturbed = places(|_| ());
    assert!(undisturbed.iter().filter(|at| *at > &"03-03 11:00".to_owned()).count() > 30, "{undisturbed:?}");
    assert_eq!(places(|world| drop(world.decide(&Event::Replan))), undisturbed);
    assert_eq!(places(|world| world.change(|deal| deal.title = "Flat 7".into())), undisturbed);
}
