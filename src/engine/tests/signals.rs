//! Signals, clicks, replies, and whom they reach.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;
use jiff::SignedDuration;

fn warm() -> World {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    assert_eq!(world.sent().len(), 1);
    world
}

fn click(world: &mut World) {
    let at = world.now;
    world.decide(&Event::Click { seq: 1, link: 0, at });
}

#[test]
fn what_each_signal_does_to_a_warm_copy() {
    use SignalKind as S;
    for (kind, role, told, more) in [
        (S::InboundCall, Role::Revived, 4, 0),
        (S::MissedCall, Role::Revived, 4, 0),
        (S::Chat, Role::Revived, 4, 0),
        (S::Form, Role::Revived, 4, 0),
        (S::OutboundCall, Role::Warming, 0, 2),
        (S::Reply, Role::Warming, 3, 0),
        (S::Refusal, Role::Warming, 0, 0),
        (S::Booked, Role::Warming, 0, 2),
        (S::TaskClosed, Role::Warming, 0, 2),
    ] {
        let mut world = warm();
        world.signal(kind);
        assert_eq!((world.role(), world.told().len()), (role, told), "{kind:?}");
        world.pass("90d");
        assert_eq!(world.sent().len() - 1, more, "{kind:?}: messages that still follow");
    }
}

/// What a manager does is no word of the client: `clientQuiet` goes on counting.
#[test]
fn only_a_call_from_the_client_is_heard() {
    for (kind, heard) in [(SignalKind::OutboundCall, false), (SignalKind::Booked, true), (SignalKind::Chat, true)] {
        let mut world = warm();
        world.signal(kind);
        assert_eq!(world.subject.copy.state.heard_at, heard.then_some(world.now), "{kind:?}");
    }
}

/// One call does one thing: it revives, and does not at once begin the stage that calls lead to.
#[test]
fn a_signal_that_moved_the_deal_is_used_up() {
    let mut plan = plan();
    let called = cold("called", vec![trigger(TriggerKind::Signal(SignalKind::InboundCall))], vec![rule("other")]);
    plan.stages.stalled.insert(0, called);
    let mut world = World::new(plan);
    world.sight();
    world.pass("8d");
    assert_eq!((world.role(), world.subject.copy.stage.as_str()), (Role::Stalled, "stalled"));
    world.signal(SignalKind::InboundCall);
    assert_eq!(world.role(), Role::Revived);
    // Where it moves nothing by itself, the stage begins.
    let mut open = World::new(world.plan.clone());
    open.sight();
    open.signal(SignalKind::InboundCall);
    assert_eq!((open.role(), open.subject.copy.stage.as_str()), (Role::Stalled, "called"));
}

#[test]
fn a_reply_waits_for_what_the_manager_says() {
    for (reaction, role, ends, more) in [
        (Some(Reaction::Revived), Role::Revived, vec![CycleEnd::Revived], 0),
        (Some(Reaction::Declined), Role::Warming, vec![CycleEnd::Refused], 0),
        (Some(Reaction::GoOn), Role::Warming, vec![], 2),
        (None, Role::Warming, vec![], 0),
    ] {
        let mut world = warm();
        world.signal(SignalKind::Reply);
        world.pass("1d");
        world.react(reaction);
        assert_eq!((world.role(), world.ends()), (role, ends), "{reaction:?}");
        world.pass("90d");
        assert_eq!(world.sent().len() - 1, more, "{reaction:?}");
    }
    let mut revives = plan();
    revives.replies = Replies::Revive;
    let mut world = World::lost(revives, "layout");
    world.signal(SignalKind::Reply);
    assert_eq!(world.role(), Role::Revived);
}

#[test]
fn a_click_is_interest() {
    let mut world = warm();
    click(&mut world);
    assert_eq!(world.told(), ["comment", "task m1", "notify m1"]);
    world.pass("1h");
    click(&mut world);
    assert_eq!(world.told().len(), 3, "at most once a day");
    world.pass("2d");
    click(&mut world);
    assert_eq!(world.told().len(), 6);
    assert_eq!(world.role(), Role::Warming);
    // The journey waits two working days at most, and ends the wait when the task is closed.
    let until = world.subject.copy.state.pause.clone().unwrap().until;
    assert_eq!(until, t("2026-03-10T12:00"), "clicked on Friday noon");
    world.react(None);
    assert_eq!(world.subject.copy.state.pause, None);
    let mut revives = plan();
    revives.stages.revival.signals.insert(SignalKind::Click);
    let mut world = World::lost(revives, "layout");
    click(&mut world);
    assert_eq!(world.role(), Role::Revived);
}

/// Whoever works on the deal is told, and gets no task beside the one they have.
#[test]
fn a_click_of_a_deal_in_work_is_told_without_a_task() {
    let mut world = warm();
    world.signal(SignalKind::InboundCall);
    let before = world.told().len();
    click(&mut world);
    assert_eq!(world.told()[before..], ["comment", "notify m1"]);
    // The next one counts from the moment on at which the day is over.
    let (at, told) = (world.now, world.told().len());
    for (later, more) in [(at + SignedDuration::from_secs(86_399), 0), (at + SignedDuration::from_secs(86_400), 2)] {
        world.now = later;
        click(&mut world);
        assert_eq!(world.told().len(), told + more, "{later}");
    }
    let mut observing = warm();
    observing.plan.mode = Mode::Observe;
    observing.signal(SignalKind::InboundCall);
    let before = observing.told().len();
    click(&mut observing);
    assert_eq!(observing.told().len(), before, "nobody is told of a funnel that only observes");
}

#[test]
fn a_click_delays_the_next_message() {
    let mut world = World::lost(plan(), "layout");
    world.run(t("2026-03-12T11:00"));
    click(&mut world);
    world.run(t("2026-03-12T13:00"));
    assert_eq!(world.sent().len(), 1);
    assert_eq!(world.waiting(), Some(PostponeReason::Paused));
    world.run(t("2026-03-20T11:00"));
    assert_eq!(world.sent()[1], ("03-16 11:00".to_owned(), "second".to_owned()), "two working days later");
}

#[test]
fn who_is_told() {
    let away = |mut m: Manager| {
        m.absent_until = Some(t("2026-04-01T00:00"));
        Some(m)
    };
    let cases = [
        (Some(manager("m1")), None, None, "task m1"),
        (away(manager("m1")), Some(manager("d1")), Some(manager("s1")), "task d1"),
        (away(manager("m1")), away(manager("d1")), Some(manager("s1")), "task s1"),
        (away(manager("m1")), None, None, "task head@novydom.example"),
        (None, None, None, "task head@novydom.example"),
    ];
    for (owner, deputy, supervisor, who) in cases {
        let mut world = warm();
        (world.subject.manager, world.subject.deputy, world.subject.supervisor) = (owner, deputy, supervisor);
        world.signal(SignalKind::InboundCall);
        assert!(world.told().contains(&who.to_owned()), "{who}: {:?}", world.told());
    }
    let mut world = warm();
    world.plan.managers.fallback = None;
    world.subject.manager = away(manager("m1")).filter(|_| true);
    world.subject.supervisor = None;
    world.signal(SignalKind::InboundCall);
    assert!(world.told().contains(&"task m1".to_owned()), "an absent owner is better than nobody");
}

#[test]
fn tasks_are_due_in_working_time() {
    let mut world = warm();
    // Friday, 17:45.
    world.run(t("2026-03-06T17:45"));
    world.signal(SignalKind::InboundCall);
    let due =
        world.effects.iter().find_map(|(_, e)| if let EffectKind::Task { due_at, .. } = e.kind { Some(due_at) } else { None });
    assert_eq!(due, Some(t("2026-03-09T09:15")));
}

#[test]
fn a_late_report_of_an_old_call_revives_nothing() {
    let mut world = warm();
    // What counts of a lost deal is when it was lost, not since when it is silent.
    world.subject.copy.state.silence = None;
    world.decide(&Event::Signal { kind: SignalKind::InboundCall, at: t("2026-03-02T09:00"), direct: true, reaction: None });
    assert_eq!(world.role(), Role::Warming);
}

fn sibling(copy: i64, role: Role, cycle_at: Option<&str>) -> Sibling {
    Sibling {
        copy: CopyId(copy),
        funnel: plan().funnel,
        role,
        deal_open: role == Role::InWork,
        cycle_at: cycle_at.map(t),
        speaks: true,
        heard_at: None,
        says: None,
        voice: Voice::default(),
    }
}

#[test]
fn a_call_without_a_deal_revives_the_leading_copy_only() {
    for (other, direct, role) in [
        (None, false, Role::Revived),
        (Some(sibling(9, Role::Warming, Some("2026-02-01T12:00"))), false, Role::Warming),
        (Some(sibling(9, Role::Warming, Some("2026-02-01T12:00"))), true, Role::Revived),
        (Some(sibling(9, Role::Warming, Some("2026-03-20T12:00"))), false, Role::Revived),
        (Some(sibling(9, Role::Revived, Some("2026-02-01T12:00"))), false, Role::Warming),
        (Some(sibling(9, Role::InWork, None)), false, Role::Warming),
    ] {
        let mut world = warm();
        world.subject.client.siblings = other.clone().into_iter().collect();
        let at = world.now;
        world.decide(&Event::Signal { kind: SignalKind::InboundCall, at, direct, reaction: None });
        assert_eq!(world.role(), role, "{other:?} direct={direct}");
    }
}

/// What became of a task is about the deal that it belongs to. If none is named it is the one that waits for a word, or the only one.
#[test]
fn a_closed_task_of_another_deal_changes_nothing() {
    let other = || sibling(9, Role::Revived, Some("2026-03-20T12:00"));
    let cold = || sibling(9, Role::Warming, Some("2026-03-20T12:00"));
    for (reaction, role, ends) in [
        (Reaction::Revived, Role::Revived, vec![CycleEnd::Revived]),
        (Reaction::Declined, Role::Warming, vec![CycleEnd::Refused]),
        (Reaction::GoOn, Role::Warming, vec![]),
    ] {
        for (direct, waits, sibling, meant) in
            [(false, false, cold(), false), (false, true, cold(), true), (true, false, cold(), true), (false, false, other(), true)]
        {
            let mut world = warm();
            if waits {
                world.signal(SignalKind::Reply);
            }
            world.subject.client.siblings = vec![sibling];
            world.pass("1m");
            let (at, heard) = (world.now, world.subject.copy.state.heard_at);
            world.decide(&Event::Signal { kind: SignalKind::TaskClosed, at, direct, reaction: Some(reaction) });
            assert!(meant || world.subject.copy.state.heard_at == heard, "{reaction:?}: nobody was heard of");
            let (role, ends) = if meant { (role, ends.clone()) } else { (Role::Warming, vec![]) };
            assert_eq!((world.role(), world.ends()), (role, ends), "{reaction:?} direct={direct} waits={waits}");
            assert!(!(waits && meant) || world.subject.copy.state.pause.is_none(), "{reaction:?}: the word has come");
        }
    }
}

/// Who wants no more emails said nothing about SMS: the list goes on with what else it has, and with nothing it is over.
#[test]
fn opting_out_of_one_medium_leaves_the_other() {
    for (only, mixed, role, ends) in [
        (Some(Medium::Email), true, Role::Warming, vec![]),
        (Some(Medium::Sms), true, Role::Warming, vec![]),
        (Some(Medium::Email), false, Role::Unsubscribed, vec![CycleEnd::Unsubscribed]),
        (None, true, Role::Unsubscribed, vec![CycleEnd::Unsubscribed]),
    ] {
        let mut plan = plan();
        for (n, item) in plan.lists.get_mut("layout").unwrap().items.iter_mut().enumerate() {
            item.medium = if mixed && n > 0 { Medium::Sms } else { Medium::Email };
        }
        let mut world = World::lost(plan, "layout");
        world.pass("4d");
        assert_eq!(world.sent().len(), 1);
        let at = world.now;
        world.subject.client.suppressions.push(Suppression {
            scope: SuppressionScope::Client(ClientId(7)),
            brand: Some("novydom".into()),
            medium: only,
            purpose: Some(Purpose::Advertising),
            reason: SuppressionReason::Unsubscribed,
            at,
        });
        world.decide(&Event::Unsubscribed { at, only });
        assert_eq!((world.role(), world.ends()), (role, ends), "{only:?}");
        world.pass("30d");
        let more = if only == Some(Medium::Email) && mixed { 2 } else { 0 };
        assert_eq!(world.sent().len() - 1, more, "{only:?}: messages that still follow");
    }
}

/// Who is spoken to already ends nothing by a word: not by a refusal, an opt-out, a click, nor by what came of a task.
#[test]
fn a_deal_in_work_stays_in_work_whatever_its_client_says() {
    let closed = |reaction| Event::Signal { kind: SignalKind::TaskClosed, at: noon(), direct: true, reaction: Some(reaction) };
    for event in [
        Event::Unsubscribed { at: noon(), only: None },
        Event::Signal { kind: SignalKind::Refusal, at: noon(), direct: true, reaction: None },
        closed(Reaction::Declined),
        closed(Reaction::Revived),
    ] {
        let mut world = World::new(plan());
        world.sight();
        world.decide(&event);
        assert_eq!((world.role(), world.ends(), world.told()), (Role::InWork, vec![], vec![]), "{event:?}");
    }
}

/// A funnel that only observes, or is stopped, takes up no call: the one that works on the client does.
#[test]
fn a_silent_funnel_takes_no_call_from_another() {
    let silent = |role| {
        let mut sibling = sibling(9, role, Some("2026-02-01T12:00"));
        (sibling.voice.silent, sibling.voice.observes) = (true, true);
        sibling
    };
    let (observed, reopened) = (silent(Role::Revived), Sibling { deal_open: true, ..silent(Role::Revived) });
    for (other, role) in [
        (silent(Role::Warming), Role::Revived),
        (observed, Role::Revived),
        (reopened, Role::Warming),
        (silent(Role::InWork), Role::Warming),
    ] {
        let mut world = warm();
        world.subject.client.siblings = vec![other.clone()];
        let at = world.now;
        world.decide(&Event::Signal { kind: SignalKind::InboundCall, at, direct: false, reaction: None });
        assert_eq!(world.role(), role, "{other:?}");
    }
}

/// Among funnels that send nothing one deal takes up the call, too.
#[test]
fn one_deal_takes_up_a_call_also_while_everything_is_stopped() {
    let stop: fn(&mut Plan) = |plan| plan.suspend = true;
    let observe: fn(&mut Plan) = |plan| plan.mode = Mode::Observe;
    for edit in [stop, observe] {
        for role in [Role::Warming, Role::Revived] {
            let mut world = warm();
            edit(&mut world.plan);
            world.subject.client.siblings =
                vec![Sibling { voice: world.plan.voice(), ..sibling(9, role, Some("2026-02-01T12:00")) }];
            let at = world.now;
            world.decide(&Event::Signal { kind: SignalKind::InboundCall, at, direct: false, reaction: None });
            assert_eq!(world.role(), Role::Warming, "the other one is {role:?}");
        }
    }
}

/// A booking is remembered in any case, and brings the client back where the funnel says so.
#[test]
fn a_booking_revives_if_the_funnel_says_so() {
    for (listed, role) in [(false, Role::Warming), (true, Role::Revived)] {
        let mut plan = plan();
        if listed {
            plan.stages.revival.signals.insert(SignalKind::Booked);
        }
        let mut world = World::lost(plan, "layout");
        world.pass("4d");
        world.signal(SignalKind::Booked);
        assert_eq!((world.role(), world.subject.copy.state.booked), (role, true));
    }
}

/// What is entered by a click begins with it.
#[test]
fn a_click_may_lead_to_a_stage() {
    let mut plan = plan();
    plan.stages.warming.insert(0, cold("hot", vec![trigger(TriggerKind::Signal(SignalKind::Click))], vec![rule("other")]));
    let mut world = World::lost(plan, "layout");
    world.pass("4d");
    assert_eq!(world.subject.copy.stage, "warming");
    click(&mut world);
    assert_eq!(world.subject.copy.stage, "hot");
}

/// A pause needs somebody to end it: a second click, of which nobody is told, begins none.
#[test]
fn only_a_click_that_a_manager_hears_of_pauses() {
    let mut world = warm();
    click(&mut world);
    assert!(world.subject.copy.state.pause.is_some());
    world.react(None);
    assert!(world.subject.copy.state.pause.is_none());
    let told = world.told().len();
    world.pass("1h");
    click(&mut world);
    assert_eq!((world.subject.copy.state.pause.is_some(), world.told().len()), (false, told));
    world.pass("1d");
    click(&mut world);
    assert!(world.subject.copy.state.pause.is_some() && world.told().len() > told);
}

#[test]
fn observing_writes_nothing_to_the_crm() {
    let mut plan = plan();
    plan.mode = Mode::Observe;
    let mut world = World::lost(plan, "layout");
    world.pass("4d");
    click(&mut world);
    world.signal(SignalKind::InboundCall);
    assert_eq!((world.role(), world.told(), world.sent()), (Role::Revived, vec![], vec![]));
    assert_eq!(world.observed().len(), 1);
    assert_eq!(world.subject.copy.state.echo, None);
}

#[test]
fn a_signal_of_the_very_moment_of_the_loss_revives() {
    let mut world = World::lost(plan(), "layout");
    world.decide(&Event::Signal { kind: SignalKind::InboundCall, at: noon(), direct: true, reaction: None });
    assert_eq!(world.role(), Role::Revived);
}

#[test]
fn what_a_timer_begins_the_next_one_sends() {
    let mut plan = plan();
    plan.stages.stalled[0].content = vec![rule("other")];
    plan.lists.get_mut("other").unwrap().items[0].after = HumanDuration::ZERO;
    let mut world = World::new(plan);
    world.sight();
    while world.role() == Role::InWork {
        world.now = world.subject.copy.next_at.unwrap();
        world.subject.crm_read_at = Some(world.now);
        world.decide(&Event::Timer);
    }
    assert_eq!((world.role(), world.sent().len()), (Role::Stalled, 0), "it is planned");
    world.run(world.now);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn a_signal_from_before_the_silence_revives_no_stalled_deal() {
    for (earlier, role) in [("1s", Role::Stalled), ("0s", Role::Revived)] {
        let mut world = World::new(plan());
        world.sight();
        world.pass("10d");
        assert_eq!(world.role(), Role::Stalled);
        let since = world.subject.copy.state.silence.as_ref().unwrap().since;
        let at = since - d(earlier).signed();
        world.decide(&Event::Signal { kind: SignalKind::InboundCall, at, direct: true, reaction: None });
        assert_eq!(world.role(), role, "{earlier} before the silence");
    }
}
