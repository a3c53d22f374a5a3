//! Speed to lead.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;

fn warm() -> World {
    let mut plan = plan();
    plan.managers.escalate =
        vec![Reminder { after: d("30m"), who: RemindWho::Supervisor }, Reminder { after: d("1d"), who: RemindWho::Supervisor }];
    let mut world = World::lost(plan, "layout");
    world.pass("3d");
    world
}

fn click(world: &mut World) {
    let seq = world.subject.ledger.last().unwrap().seq;
    world.decide(&Event::Click { seq, link: 0, at: world.now });
}

fn escalated(world: &World) -> Vec<i64> {
    let minutes = |e: &Effect| match &e.kind {
        EffectKind::Notify { text: TaskText::Unanswered { minutes }, .. } => Some(*minutes),
        _ => None,
    };
    world.effects.iter().filter_map(|(_, e)| minutes(e)).collect()
}

fn reactions(world: &World) -> Vec<i64> {
    world.history.iter().filter_map(|h| if let History::Reaction { seconds } = h { Some(seconds / 60) } else { None }).collect()
}

#[test]
fn nobody_reacts_and_the_supervisor_hears_of_it() {
    let mut world = warm();
    click(&mut world);
    world.pass("29m");
    assert_eq!(escalated(&world), [0; 0]);
    world.pass("1m");
    assert_eq!(escalated(&world), [30]);
    assert_eq!(world.told().last().unwrap(), "notify s1");
    world.pass("30d");
    assert_eq!(escalated(&world), [30, 540], "each once");
    let told = |h: &&History| matches!(h, History::Unanswered { minutes: 30 | 540, supervisor: true });
    assert_eq!(world.history.iter().filter(told).count(), 2, "and counted");
}

#[test]
fn what_counts_as_a_reaction() {
    type Act = fn(&mut World);
    let cases: [(&str, Act, &[i64]); 7] = [
        ("a call", |w| w.signal(SignalKind::OutboundCall), &[12]),
        ("a closed task", |w| w.react(None), &[12]),
        (
            "work on the deal",
            |w| {
                let now = w.now;
                w.change(|deal| deal.last_activity_at = Some(now));
            },
            &[12],
        ),
        (
            "what was done just before",
            |w| {
                let before = w.subject.copy.state.interest.as_ref().map(|interest| interest.since);
                w.change(|deal| deal.last_activity_at = before);
            },
            &[],
        ),
        ("a change that nobody made", |w| w.change(|deal| deal.amount = Money(7)), &[]),
        ("a second click", click, &[]),
        ("a missed call", |w| w.signal(SignalKind::MissedCall), &[]),
    ];
    for (what, act, took) in cases {
        let mut world = warm();
        click(&mut world);
        world.pass("12m");
        act(&mut world);
        assert_eq!(reactions(&world), took, "{what}");
        world.pass("40m");
        assert_eq!(escalated(&world).len(), usize::from(took.is_empty()), "{what}");
    }
}

#[test]
fn a_call_that_was_taken_is_its_own_reaction() {
    let mut world = warm();
    click(&mut world);
    world.pass("5m");
    world.signal(SignalKind::InboundCall);
    assert_eq!(reactions(&world), [5]);
    world.pass("10d");
    assert_eq!(escalated(&world), [0; 0]);
    assert_eq!(world.subject.copy.state.interest, None);
}

#[test]
fn the_night_does_not_count() {
    let mut world = warm();
    world.run(t("2026-03-05T20:30"));
    click(&mut world);
    world.run(t("2026-03-06T09:29"));
    assert_eq!(escalated(&world), [0; 0]);
    world.run(t("2026-03-06T09:30"));
    assert_eq!(escalated(&world), [30]);
}

#[test]
fn a_suspended_funnel_reminds_nobody() {
    let mut world = warm();
    click(&mut world);
    world.plan.suspend = true;
    world.decide(&Event::Replan);
    world.pass("1h");
    assert_eq!(escalated(&world), [0; 0]);
    world.plan.suspend = false;
    world.decide(&Event::Replan);
    world.pass("1m");
    assert_eq!(escalated(&world).len(), 1);
}

/// Interest outlives a correction of the deal, but not the deal.
#[test]
fn who_waits_for_an_answer_and_leaves_keeps_nobody_busy() {
    let (corrected, deleted): (fn(&mut Deal), fn(&mut Deal)) =
        (|deal| deal.lost_reason = Some("price".into()), |deal| deal.state = DealState::Deleted);
    for (edit, role, told) in [(corrected, Role::NotWarmed, vec![30, 540]), (deleted, Role::Archived, vec![])] {
        let mut world = warm();
        click(&mut world);
        world.change(edit);
        assert_eq!(world.role(), role);
        world.pass("30d");
        assert_eq!(escalated(&world), told, "{role:?}");
    }
}
