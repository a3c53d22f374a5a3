//! Messages on a date.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;

fn dated(name: &str, offset: &str, before: bool) -> Item {
    let mut item = item(name, "0h");
    item.purpose = Purpose::Service;
    item.date = Some(DateRule { path: "deal.visitAt".into(), offset: d(offset), before, yearly: false });
    item
}

/// A list with one item in the order (after 2d) and one on a date.
fn world(item_on_date: Item) -> World {
    let mut plan = plan();
    plan.lists.get_mut("other").unwrap().items.insert(0, item_on_date);
    World::lost(plan, "other")
}

fn set(world: &mut World, value: &str) {
    let value = FieldValue::Text(value.into());
    world.change(|deal| drop(deal.fields.insert("visitAt".into(), value)));
}

/// Only what was sent on a date.
fn on_date(world: &World) -> Vec<String> {
    world.sent().into_iter().filter(|(_, item)| item == "visit").map(|(at, _)| at).collect()
}

#[test]
fn before_and_after_a_date() {
    // The deal is lost on Monday, the 2nd of March, at noon; windows are open from 10 to 20.
    for (offset, before, at, visit, sent) in [
        ("1d", true, None, "2026-03-10T15:00", Some("03-09 15:00")),
        ("1d", true, Some("11:00"), "2026-03-10T15:00", Some("03-09 11:00")),
        ("2h", true, None, "2026-03-10T15:00", Some("03-10 13:00")),
        ("1d", true, None, "2026-03-10", Some("03-09 10:00")),
        ("2d", false, None, "2026-03-10T15:00", Some("03-12 15:00")),
        ("0h", false, Some("12:30"), "2026-03-10", Some("03-10 12:30")),
        // Booked today for tonight: at once.
        ("1d", true, None, "2026-03-02T18:00", Some("03-02 12:00")),
        // Too late for a week before.
        ("7d", true, None, "2026-03-04T18:00", None),
        // It took place before.
        ("1d", true, None, "2026-03-01T18:00", None),
        ("2d", false, None, "2026-02-10T18:00", None),
        ("1d", true, None, "soon", None),
        ("1d", true, None, "", None),
    ] {
        let mut item = dated("visit", offset, before);
        item.at = at.map(time);
        let mut world = world(item);
        set(&mut world, visit);
        world.pass("60d");
        assert_eq!(on_date(&world).first().map(String::as_str), sent, "{offset} {before} {at:?} {visit}");
        assert!(on_date(&world).len() < 2);
        let in_order = world.sent().into_iter().find(|(_, item)| item == "hello");
        assert_eq!(in_order.unwrap().0, "03-04 12:00", "{visit}: the order waits for no date");
    }
}

#[test]
fn a_date_that_is_moved_moves_the_message_until_it_was_sent() {
    let mut world = world(dated("visit", "1d", true));
    set(&mut world, "2026-03-10T15:00");
    world.pass("2d");
    set(&mut world, "2026-03-20T15:00");
    world.pass("10d");
    assert_eq!(on_date(&world), [""; 0]);
    world.pass("30d");
    assert_eq!(on_date(&world), ["03-19 15:00"]);
    set(&mut world, "2026-05-20T15:00");
    world.pass("60d");
    assert_eq!(on_date(&world), ["03-19 15:00"], "once in a cycle");
}

/// Connectors used to tell a day as the midnight of their own zone. The same day told as a day sends nothing twice and skips nothing.
#[test]
fn a_day_told_as_a_day_from_now_on_is_kept_once() {
    for (told, sent_before) in [("2d", false), ("10d", true)] {
        let mut world = world(dated("visit", "1d", true));
        set(&mut world, "2026-03-09T21:00:00Z");
        world.pass(told);
        assert_eq!(!on_date(&world).is_empty(), sent_before);
        set(&mut world, "2026-03-10");
        world.pass("60d");
        assert_eq!(on_date(&world), ["03-09 10:00"], "after {told}");
    }
}

#[test]
fn a_date_filled_when_the_order_is_through_is_kept_all_the_same() {
    let mut world = world(dated("visit", "1d", true));
    world.pass("20d");
    assert_eq!(world.subject.copy.next_at, None);
    set(&mut world, "2026-04-10T15:00");
    assert_eq!(world.subject.copy.next_at, Some(t("2026-04-09T15:00")));
    world.pass("30d");
    assert_eq!(on_date(&world), ["04-09 15:00"]);
}

#[test]
fn a_reminder_does_not_wait_for_advertising_that_waits() {
    let mut world = world(dated("visit", "1d", true));
    world.plan.policy.caps = vec![Cap { medium: None, at_most: 1, per: CapPer::Month }];
    world.subject.client.recent.push(Recent {
        at: noon(),
        medium: Medium::Sms,
        purpose: Purpose::Advertising,
        item: "marketing/else/else".into(),
        copy: CopyId(99),
        policy: None,
        address: AddressHash("#else".into()),
    });
    set(&mut world, "2026-03-10T15:00");
    world.pass("10d");
    assert_eq!(world.sent(), [("03-09 15:00".to_owned(), "visit".to_owned())]);
    assert_eq!(world.waiting(), Some(PostponeReason::CapReached));
    // Nor when both wait, each for its own: the reminder for the morning, the advertising for next month.
    let mut world = World { effects: Vec::new(), ..world };
    set(&mut world, "2026-03-20T15:00");
    world.subject.copy.state.journey.as_mut().unwrap().dated.clear();
    world.subject.ledger.clear();
    world.plan.lists.get_mut("other").unwrap().items[0].at = Some(time("21:00"));
    world.decide(&Event::Replan);
    world.pass("10d");
    assert_eq!(world.sent(), [("03-20 10:00".to_owned(), "visit".to_owned())]);
    assert_eq!(world.waiting(), Some(PostponeReason::CapReached));
}

#[test]
fn a_closed_window_does_not_carry_a_reminder_past_its_visit() {
    // Two hours before nine in the morning is a quarter of a working day too early for the window.
    let mut world = world(dated("visit", "2h", true));
    set(&mut world, "2026-03-10T09:00");
    world.pass("30d");
    assert_eq!(on_date(&world), [""; 0]);
    assert_eq!(world.skipped(), [("visit".to_owned(), SkipReason::TooOld)]);
}

#[test]
fn birthdays_come_every_year() {
    for (birthday, offset, sent) in [
        ("1980-03-15", "0h", "03-15 10:00"),
        ("1980-03-01", "0h", "03-01 10:00"), // next year's
        ("1980-02-29", "0h", "02-28 10:00"), // no leap year
        ("1980-01-01", "3d", "12-29 10:00"),
    ] {
        let mut item = dated("visit", offset, true);
        item.date.as_mut().unwrap().yearly = true;
        let mut world = world(item);
        set(&mut world, birthday);
        world.pass("364d");
        assert_eq!(on_date(&world), [sent], "{birthday}");
    }
}

#[test]
fn observing_tells_a_date_once() {
    let mut item = dated("visit", "1d", true);
    item.when = when("deal.amount < 0.0");
    let mut world = world(item);
    world.plan.mode = Mode::Observe;
    set(&mut world, "2026-03-10T15:00");
    world.pass("30d");
    let told = world.history.iter().filter(|line| matches!(line, History::Note { text } if text.contains("would skip visit")));
    assert_eq!(told.count(), 1);
    assert_eq!(world.observed().len(), 1);
}

#[test]
fn stopping_stops_dates_as_well() {
    let mut world = world(dated("visit", "1d", true));
    world.plan.lists.get_mut("other").unwrap().stop_when = when("cycle.booked");
    set(&mut world, "2026-03-10T15:00");
    world.signal(SignalKind::Booked);
    world.pass("30d");
    assert_eq!(world.sent(), []);
}

/// `reentry` holds back what is on a date as well: not before it has passed.
#[test]
fn reentry_holds_for_dates() {
    for (visit, sent) in [("2026-03-20T12:00", None), ("2026-04-20T12:00", Some("04-19 12:00"))] {
        let mut item = dated("visit", "1d", true);
        item.purpose = Purpose::Advertising;
        let mut world = world(item);
        world.plan.reentry = Reentry::After(d("30d"));
        world.pass("3d");
        assert_eq!(world.sent().len(), 1);
        world.signal(SignalKind::InboundCall);
        let now = world.now;
        world.change(|deal| {
            deal.state = DealState::Open;
            deal.last_activity_at = Some(now);
        });
        world.change(|deal| lose(deal, "other", now));
        assert_eq!((world.role(), world.subject.copy.cycle), (Role::Warming, 2));
        set(&mut world, visit);
        world.pass("60d");
        assert_eq!(on_date(&world).first().map(String::as_str), sent, "a visit on {visit}");
    }
}
