//! Deals that the CRM does not show for a while, or that an edit hides: what a copy was, it is when they are back.

use super::customers::with_customers;
use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;

#[test]
fn a_deal_restored_in_the_crm_is_taken_up_again() {
    let mut world = World::lost(plan(), "layout");
    world.change(|d| d.state = DealState::Deleted);
    assert_eq!((world.role(), world.subject.copy.next_at), (Role::Archived, None));
    world.pass("2d");
    world.change(|d| d.state = DealState::Lost);
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 1), "it goes on");
}

/// A deal that one export of the CRM lacked is no other when it is back: what was lost or sold before the funnel began stays so, what
/// happened while it was out of sight is new.
#[test]
fn what_comes_back_from_nowhere_is_what_it_was() {
    let hide: fn(&mut Deal) = |deal| deal.state = DealState::Deleted;
    for (changed_at, lost, sent) in
        [("2025-11-01T12:00", Role::Backfill, 0), ("2026-02-20T12:00", Role::Warming, 0), ("2026-03-02T13:00", Role::Warming, 1)]
    {
        let mut world = World::new(plan());
        lose(&mut world.subject.deal, "layout", t(changed_at.min("2026-03-01T12:00")));
        world.sight();
        world.change(hide);
        world.pass("2h");
        world.change(|deal| lose(deal, "layout", t(changed_at)));
        assert_eq!(world.role(), lost, "lost at {changed_at}");

        let mut world = World::new(with_customers(vec![rule("other")]));
        world.plan.stages.warming[0].enter.truncate(1);
        world.subject.deal.state = DealState::Won;
        world.subject.deal.stage_changed_at = Some(t("2025-11-01T12:00"));
        world.sight();
        world.change(hide);
        world.pass("2h");
        world.change(|deal| {
            deal.state = DealState::Won;
            deal.stage_changed_at = Some(t(changed_at));
        });
        world.pass("10d");
        assert_eq!((world.role(), world.sent().len()), (Role::Customer, sent), "sold at {changed_at}");
    }
}

/// One export lacked the deals of clients who were being warmed, or an edit led to another pipeline for a day: they go on where they were,
/// and hear nothing twice. A CRM need not date anything for that.
#[test]
fn a_warming_that_was_out_of_sight_goes_on() {
    let hide: fn(&mut World) = |world| world.change(|deal| deal.state = DealState::Deleted);
    let elsewhere: fn(&mut World) = |world| {
        world.plan.pipeline = Some("Rent".into());
        world.decide(&Event::Replan);
    };
    for (dated, out) in [(true, hide), (false, hide), (true, elsewhere)] {
        let mut plan = plan();
        plan.reentry = Reentry::Always;
        let mut world = World::new(plan);
        world.sight();
        world.change(|deal| lose(deal, "layout", noon()));
        if !dated {
            world.change(|deal| deal.stage_changed_at = None);
        }
        world.pass("4d");
        assert_eq!((world.role(), world.sent().len()), (Role::Warming, 1));
        out(&mut world);
        assert_eq!((world.role(), world.ends()), (Role::Archived, vec![CycleEnd::Deleted]));
        world.pass("1d");
        world.plan.pipeline = None;
        if world.subject.deal.state == DealState::Deleted {
            world.change(|deal| deal.state = DealState::Lost);
        } else {
            world.decide(&Event::Replan);
        }
        assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 1));
        world.pass("60d");
        assert_eq!(
            world.sent(),
            [("03-05 12:00", "first"), ("03-12 12:00", "second"), ("03-19 12:00", "third")]
                .map(|(at, item)| (at.into(), item.into()))
        );
        assert!(world.cycles.contains(&CycleChange::Resume { cycle: 1 }));
    }
    // Lost anew meanwhile: that is another cycle.
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    hide(&mut world);
    world.pass("1d");
    let now = world.now;
    world.change(|deal| lose(deal, "layout", now));
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 2));
}

/// Whatever a copy was when its deal went out of sight, it is when it is back: who came back, refused, bought or waits for `reentry`.
#[test]
fn nothing_begins_anew_because_a_deal_was_out_of_sight() {
    type Act = fn(&mut World);
    let cases: [(&str, Act); 6] = [
        ("revived", |w| w.signal(SignalKind::InboundCall)),
        ("refused", |w| w.signal(SignalKind::Refusal)),
        ("unsubscribed", |w| {
            let at = w.now;
            w.decide(&Event::Unsubscribed { at, only: None });
        }),
        ("bought", |w| w.change(|deal| deal.state = DealState::Won)),
        ("bought, and is quiet", |w| {
            w.change(|deal| deal.state = DealState::Won);
            w.pass("95d");
        }),
        ("held by reentry", |w| {
            w.signal(SignalKind::InboundCall);
            w.change(|deal| deal.state = DealState::Open);
            let now = w.now;
            w.change(|deal| lose(deal, "layout", now));
            assert_eq!(w.subject.copy.cycle, 2);
        }),
    ];
    for (what, act) in cases {
        let told = |world: &World| (world.sent(), world.told(), world.role(), world.subject.copy.cycle);
        let live = |out_of_sight: bool| {
            let mut world = World::lost(with_customers(vec![rule("other")]), "layout");
            world.pass("4d");
            act(&mut world);
            if out_of_sight {
                let state = world.subject.deal.state;
                world.change(|deal| deal.state = DealState::Deleted);
                world.change(|deal| deal.state = state);
            }
            world.pass("120d");
            told(&world)
        };
        assert_eq!(live(true), live(false), "{what}");
    }
}
