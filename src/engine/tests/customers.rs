//! Those who bought: what follows a sale, and how they are won back.

use super::stages::names;
use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;

#[test]
fn a_client_who_called_about_another_deal_was_not_quiet() {
    let mut plan = plan();
    plan.stages.customer = Some(cold("customer", vec![], vec![rule("other")]));
    plan.stages.warming[0].enter.push(trigger(TriggerKind::ClientQuiet(d("90d"))));
    let mut world = World::new(plan.clone());
    world.sight();
    world.change(|d| d.state = DealState::Won);
    world.pass("60d");
    let heard_at = Some(world.now);
    world.subject.client.siblings = vec![Sibling {
        copy: CopyId(9),
        funnel: plan.funnel,
        role: Role::InWork,
        deal_open: true,
        cycle_at: None,
        speaks: false,
        heard_at,
        says: None,
        voice: Voice::default(),
    }];
    world.pass("89d");
    assert_eq!(world.role(), Role::Customer);
    world.pass("2d");
    assert_eq!(world.role(), Role::Warming);
}

#[test]
fn buyers_are_kept_when_the_funnel_has_customers() {
    let mut plan = plan();
    plan.stages.customer = Some(cold("customer", vec![], vec![rule("other")]));
    plan.stages.warming[0].enter.push(trigger(TriggerKind::ClientQuiet(d("90d"))));
    let mut world = World::new(plan);
    world.sight();
    world.change(|d| d.state = DealState::Won);
    assert_eq!(world.role(), Role::Customer);
    world.pass("3d");
    assert_eq!(world.sent().len(), 1, "feedback");
    world.signal(SignalKind::InboundCall);
    assert_eq!(world.role(), Role::Customer);
    world.pass("89d");
    assert_eq!(world.role(), Role::Customer, "the call counts as hearing of them");
    world.pass("2d");
    assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 1));
    world.signal(SignalKind::InboundCall);
    assert_eq!(world.role(), Role::Revived);
}

#[test]
fn a_sale_ends_the_warming() {
    let mut plan = plan();
    plan.stages.customer = Some(cold("customer", vec![], vec![]));
    let mut world = World::lost(plan, "layout");
    world.pass("4d");
    world.change(|deal| deal.state = DealState::Won);
    assert_eq!(names(&world), (Role::Customer, "customer"));
}

/// Also where what brought them there goes on holding.
#[test]
fn a_sale_ends_a_warming_whose_condition_still_holds() {
    let mut plan = plan();
    plan.stages.customer = Some(cold("customer", vec![], vec![]));
    plan.stages.warming[0].enter = vec![Trigger { when: when("deal.amount > 0"), ..trigger(TriggerKind::When) }];
    let mut world = World::new(plan);
    world.sight();
    assert_eq!(world.role(), Role::Warming);
    world.change(|deal| deal.state = DealState::Won);
    assert_eq!(world.ends(), [CycleEnd::Won]);
}

/// Customers who are warmed when they were quiet for 90 days; a feedback request two days after the sale.
pub(super) fn with_customers(content: Vec<ContentRule>) -> Plan {
    let mut plan = plan();
    plan.stages.customer = Some(cold("customer", vec![], content));
    plan.stages.warming[0].enter.push(trigger(TriggerKind::ClientQuiet(d("90d"))));
    plan
}

/// Nothing but time brings a customer back, whether the funnel has something to send them or not.
#[test]
fn a_customer_who_goes_quiet_is_warmed() {
    for content in [vec![], vec![rule("other")]] {
        let mut world = World::new(with_customers(content));
        world.sight();
        world.change(|deal| deal.state = DealState::Won);
        world.pass("89d");
        assert_eq!(world.role(), Role::Customer);
        world.pass("2d");
        assert_eq!(world.role(), Role::Warming);
    }
}

/// However long the CRM had recorded no word of theirs.
#[test]
fn who_buys_is_heard_of() {
    let (dated, undated) = (Some(noon()), None);
    for sold_at in [dated, undated] {
        let mut world = World::new(with_customers(vec![]));
        world.subject.deal.next_task_at = Some(t("2027-01-01T12:00"));
        world.subject.deal.last_activity_at = Some(t("2026-01-05T12:00"));
        world.plan.stages.warming[0].enter.retain(|t| matches!(t.kind, TriggerKind::Lost(_)));
        world.sight();
        world.plan = with_customers(vec![]);
        world.now = t("2026-04-20T12:00");
        world.change(|deal| {
            deal.state = DealState::Won;
            deal.stage_changed_at = sold_at.map(|_| t("2026-04-20T12:00"));
        });
        assert_eq!(world.role(), Role::Customer);
        world.pass("1h");
        assert_eq!(world.role(), Role::Customer);
        world.decide(&Event::Replan);
        world.run(t("2026-07-19T11:59"));
        assert_eq!(world.role(), Role::Customer);
        world.run(t("2026-07-19T12:00"));
        assert_eq!(world.role(), Role::Warming);
    }
}

/// The first import finds the buyers of all years: none is asked how it was, none is recommended to a manager, and those who are quiet
/// are warmed. A sale since the funnel began is one like any other.
#[test]
fn what_follows_a_sale_does_not_follow_one_of_years_ago() {
    let old = Some(t("2025-11-01T12:00"));
    for (sold, sent, told) in [(old, 0, 0), (None, 0, 0), (Some(t("2026-01-01T00:00")), 1, 2)] {
        let mut plan = with_customers(vec![rule("other")]);
        plan.stages.warming[0].enter.truncate(1);
        plan.stages.customer.as_mut().unwrap().remind = vec![Reminder { after: d("3d"), who: RemindWho::Manager }];
        let mut world = World::new(plan);
        world.subject.deal.state = DealState::Won;
        world.subject.deal.stage_changed_at = sold;
        world.sight();
        assert_eq!(names(&world), (Role::Customer, "customer"));
        world.decide(&Event::Replan);
        world.pass("30d");
        assert_eq!((world.sent().len(), world.told().len()), (sent, told), "sold {sold:?}");
        // They buy once more: that is a new sale.
        world.change(|deal| deal.state = DealState::Open);
        world.change(|deal| deal.state = DealState::Won);
        world.pass("30d");
        assert_eq!((world.sent().len(), world.told().len()), (sent + 1, told + 2), "sold {sold:?}");
    }
    let mut world = World::new(with_customers(vec![]));
    world.subject.deal.state = DealState::Won;
    world.subject.deal.stage_changed_at = old;
    world.subject.deal.last_activity_at = Some(t("2025-08-01T12:00"));
    world.sight();
    world.pass("1h");
    assert_eq!(world.role(), Role::Warming);
}

/// A customer who was warmed and is heard of again is a customer again. Nobody bought anything.
#[test]
fn a_customer_back_from_a_warming_has_not_bought_again() {
    for (pause, end) in [("1d", CycleEnd::Reopened), ("5d", CycleEnd::Assisted)] {
        let mut plan = with_customers(vec![rule("other")]);
        plan.stages.warming[0].content = vec![rule("layout")];
        plan.stages.customer.as_mut().unwrap().remind = vec![Reminder { after: d("3d"), who: RemindWho::Manager }];
        let mut world = World::new(plan);
        world.sight();
        world.change(|deal| deal.state = DealState::Won);
        world.pass("90d");
        assert_eq!((world.role(), world.told().len()), (Role::Warming, 2));
        world.pass(pause);
        let heard = world.now;
        world.change(|deal| deal.last_activity_at = Some(heard));
        assert_eq!((names(&world), world.ends()), ((Role::Customer, "customer"), vec![end]));
        world.pass("60d");
        assert_eq!(world.sent().iter().filter(|(_, item)| item == "hello").count(), 1, "asked once how it was");
        assert_eq!(world.told().len(), 2, "reminded once");
        world.pass("31d");
        assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 2));
    }
}

/// Who opens a link of the message that was to bring them back goes on being warmed, and their manager decides; who calls was heard of.
#[test]
fn a_click_does_not_end_the_warming_of_a_quiet_client() {
    let warm = || {
        let mut plan = with_customers(vec![]);
        plan.stages.warming[0].content = vec![rule("layout")];
        plan.stages.revival.signals = [SignalKind::Booked].into();
        let mut world = World::new(plan);
        world.sight();
        world.change(|deal| deal.state = DealState::Won);
        world.pass("94d");
        assert_eq!((world.role(), world.sent().len()), (Role::Warming, 1));
        let seq = world.subject.ledger.last().unwrap().seq;
        world.decide(&Event::Click { seq, link: 0, at: world.now });
        assert_eq!(world.role(), Role::Warming, "after a click");
        world
    };
    let mut goes_on = warm();
    goes_on.react(Some(Reaction::GoOn));
    goes_on.pass("30d");
    assert_eq!((goes_on.role(), goes_on.sent().len()), (Role::Warming, 3));
    let mut declined = warm();
    declined.react(Some(Reaction::Declined));
    assert_eq!(declined.ends(), [CycleEnd::Refused]);
    let mut answered = warm();
    answered.signal(SignalKind::Reply);
    assert_eq!(answered.role(), Role::Warming);
    answered.signal(SignalKind::InboundCall);
    assert_eq!(answered.role(), Role::Customer, "a call was heard, though it revives nothing here");
    assert_eq!(answered.subject.copy.state.heard_at, Some(answered.now));
}

#[test]
fn managers_are_reminded_of_customers() {
    let mut plan = with_customers(vec![]);
    plan.stages.customer.as_mut().unwrap().remind =
        vec![Reminder { after: d("3d"), who: RemindWho::Manager }, Reminder { after: d("5d"), who: RemindWho::Supervisor }];
    let mut world = World::new(plan);
    world.sight();
    world.change(|deal| deal.state = DealState::Won);
    world.run(t("2026-03-05T11:59"));
    assert_eq!(world.told(), [""; 0]);
    world.run(t("2026-03-05T12:00"));
    assert_eq!(world.told(), ["task m1", "notify m1"]);
    world.run(t("2026-03-09T12:00"));
    assert_eq!(world.told(), ["task m1", "notify m1", "notify s1"]);
    assert!(world.effects.iter().all(|(_, e)| match &e.kind {
        EffectKind::Task { text, .. } | EffectKind::Notify { text, .. } =>
            matches!(text, TaskText::Forgotten { customer: true, .. }),
        _ => true,
    }));
    world.pass("60d");
    assert_eq!(world.told().len(), 3, "each once");
}

/// A funnel that gets a customer stage does not ask the buyers of the last year how it was.
#[test]
fn a_customer_stage_that_is_added_writes_to_nobody() {
    let mut world = World::new(plan());
    world.sight();
    world.change(|deal| {
        deal.state = DealState::Won;
        deal.stage_changed_at = Some(noon());
    });
    assert_eq!(world.role(), Role::Archived);
    world.plan = with_customers(vec![rule("other")]);
    world.decide(&Event::Replan);
    world.pass("30d");
    assert_eq!((world.role(), world.sent().len()), (Role::Customer, 0));
}
