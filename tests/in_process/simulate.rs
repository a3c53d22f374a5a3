//! What `simulate` predicts is what the workers, with a real store and channels that accept, then send: the same item to the same deal
//! in the same minute.

use crate::town::{BASE, CONTACTS, DEALS, Sent, Town, contact, funnel, lost, predict, predict_copies, predicted};
use jiff::{SignedDuration, Timestamp};
use rekindle::simulate::{Behaviour, Difference, Outcome, Report, World, diff};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The example of a property developer in a folder of its own, live, with `edit` made to its files.
fn folder(home: &Path, edit: impl Fn(&str) -> String) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/property-developer");
    let data = home.join("data");
    std::fs::create_dir_all(&data).unwrap();
    for file in std::fs::read_dir(from.join("data")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), data.join(file.file_name())).unwrap();
    }
    for file in std::fs::read_dir(&from).unwrap().map(|f| f.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "yaml") {
            let text = std::fs::read_to_string(&file).unwrap().replace("mode: Observe", "mode: Live");
            std::fs::write(home.join(file.file_name().unwrap()), edit(&text)).unwrap();
        }
    }
    home.to_owned()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_and_a_later_item_moves() {
    let home = tempfile::tempdir().unwrap();
    let old = folder(&home.path().join("old"), str::to_owned);
    let new = folder(&home.path().join("new"), |text| text.replacen("after: 3d", "after: 4d", 1));
    let from: Timestamp = "2026-11-20T06:00:00Z".parse().unwrap();
    let behaviour = Behaviour::parse("all: {click: 20%, answer: 5%, unsubscribe: 2%}", "behaviour.yaml").unwrap();
    let (world, before) = predict(&old, from, 20, Some(behaviour.clone())).await;
    let (again, twice) = predict(&old, from, 20, Some(behaviour)).await;
    let json = |world: &World, outcome: &Outcome| serde_json::to_string(&Report::of(outcome, world)).unwrap();
    assert_eq!(json(&world, &before), json(&again, &twice));
    let report = Report::of(&before, &world);
    assert!(report.messages > 100 && report.clicks > 10 && report.answers > 0, "{} messages", report.messages);

    let (_, quiet) = predict(&old, from, 20, None).await;
    let (later, after) = predict(&new, from, 20, None).await;
    let difference = diff((&world, &quiet), (&later, &after));
    let moved = difference.items.iter().find(|i| i.item == "new-layouts").unwrap();
    assert!(!moved.later.is_empty() && moved.earlier.is_empty() && moved.gained.is_empty(), "{moved:?}");
    assert!(diff((&world, &quiet), (&world, &quiet)).items.is_empty());
}

/// The same days with SQLite and the workers.
async fn lived(folder: &Path, from: Timestamp, days: i64) -> Sent {
    let mut town = Town::open(folder, from).await;
    town.run(from + SignedDuration::from_hours(days * 24)).await;
    town.sent().await
}

#[tokio::test]
async fn what_is_predicted_is_what_is_sent() {
    let from: Timestamp = "2026-11-20T06:00:00Z".parse().unwrap();
    // As it is; with channels so slow that messages push each other out of their minutes; and with so little money beside that what
    // is due while its window is closed may find none.
    let (much, little) = ("perDay: \"1500\"", "perDay: \"60\", over: Skip");
    for (name, rate, money) in
        [("as-it-is", "perSecond: 20", much), ("slow", "perSecond: 0.02", much), ("poor", "perSecond: 0.02", little)]
    {
        let home = tempfile::tempdir().unwrap();
        let folder = folder(&home.path().join(name), |text| text.replace("perSecond: 20", rate).replace(much, money));
        let (world, outcome) = predict(&folder, from, 14, None).await;
        let (predicted, sent) = (predicted(&world, &outcome), lived(&folder, from, 14).await);
        let wrong: Vec<_> = predicted.symmetric_difference(&sent).collect();
        assert!(wrong.is_empty(), "{name}: {} of {} differ, like {:?}", wrong.len(), sent.len(), &wrong[..wrong.len().min(6)]);
        assert!(sent.len() > if name == "poor" { 50 } else { 100 }, "{name}: only {} were sent", sent.len());
        let held_up: u64 = outcome.held_up.iter().map(|(times, _)| times).sum();
        assert_eq!(held_up > 0, name != "as-it-is", "{name}: {held_up} held up");
        if name == "poor" {
            assert!(Report::of(&outcome, &world).skipped.contains_key("BudgetReached"), "there is money for all");
            continue;
        }
        // What is needed is said of what wants to leave, not of what the rate lets through.
        for channel in Report::of(&outcome, &world).capacity {
            let enough = channel.needed_per_second <= channel.per_second;
            assert_eq!(enough, name != "slow" || channel.held_up == 0, "{name}: {channel:?}");
        }
    }
}

/// A folder with `n` deals lost on Monday at 12:00 in Moscow and the usual funnel, edited. All questions begin at that moment.
fn simple(home: &Path, n: u32, edit: impl Fn(String) -> String) -> PathBuf {
    let (mut contacts, mut deals) = (CONTACTS.to_owned(), DEALS.to_owned());
    for k in 1..=n {
        contacts += &contact(k);
        deals += &lost(k, k, "2026-03-02");
    }
    let manifests = edit(format!("{BASE}{}", funnel("flats", "")));
    for (name, text) in [("all.yaml", &manifests), ("contacts.csv", &contacts), ("deals.csv", &deals)] {
        std::fs::write(home.join(name), text).unwrap();
    }
    home.to_owned()
}

/// What the simulation of such a folder reports.
async fn reported(n: u32, days: i64, behaviour: &str, edit: impl Fn(String) -> String) -> Report {
    let home = tempfile::tempdir().unwrap();
    let behaviour = (!behaviour.is_empty()).then(|| Behaviour::parse(behaviour, "behaviour.yaml").unwrap());
    let monday: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    let (world, outcome) = predict(&simple(home.path(), n, edit), monday, days, behaviour).await;
    Report::of(&outcome, &world)
}

/// Two hours until the window opens, then one after the other, and at last until the end of the simulation for the cap.
#[tokio::test]
async fn each_reason_gets_the_time_that_was_waited_for_it() {
    let capped = |text: String| {
        text.replace("  spread: 0s\n", "  spread: 0s\n  caps: [{atMost: 1, per: 30d}]\n")
            .replace("perSecond: 20", "perSecond: 0.02")
            .replace("from: \"10:00\"", "from: \"14:00\"")
    };
    let report = reported(40, 10, "", capped).await;
    let figures = |reason: &str| {
        let p = report.postponed.iter().find(|p| p.reason == reason).unwrap();
        (p.times, p.still_waiting, p.mean_hours, p.longest_hours)
    };
    assert_eq!(figures("OutsideWindow"), (40, 0, 2.0, 2.0));
    assert_eq!(figures("RateLimited"), (39, 0, 0.3, 0.5));
    // From a day after the first message until the tenth day is over.
    assert_eq!(figures("CapReached"), (40, 40, 189.7, 190.0));
    assert!((report.waited_for_window - 100.0).abs() < 0.1, "{}", report.waited_for_window);
    assert_eq!((report.messages, report.items[1].still_waiting), (40, 40));
}

/// Who waits for a cap had their turn; who went on to another list had left this one. Both are told as they are, and no list is lost.
#[tokio::test]
async fn why_nobody_gets_an_item_is_told_as_it_is() {
    let nobody = |report: &Report, item: &str| {
        report.items.iter().find(|i| i.item == item).and_then(|i| i.nobody.clone()).unwrap_or_else(|| format!("{item} is sent"))
    };
    let capped = |text: String| text.replace("  spread: 0s\n", "  spread: 0s\n  caps: [{atMost: 1, per: 30d}]\n");
    let report = reported(3, 10, "", capped).await;
    assert_eq!(nobody(&report, "one"), "one is sent");
    assert_eq!(
        nobody(&report, "two"),
        "its turn came, but it waits at the end: the client has had as many messages as the caps allow for now (3)"
    );
    assert_eq!(nobody(&report, "three"), "nobody's turn came in these days");

    let rule = "{listRef: {name: warm}}";
    let list = "apiVersion: rekindle.dev/v1alpha1\nkind: ContentList\nmetadata: {name: late, namespace: shop}\nspec:\n  title: Late\n  \
                items: [{name: last, title: Last, after: 1d, sms: {text: \"last\"}}]\n";
    let moved = |text: String| {
        let text = text.replace(rule, &format!("{{when: \"cycle.days >= 3\", listRef: {{name: late}}}}, {rule}"));
        format!("{}\n---\n{list}", text.replace("name: two, title: Two, after: 1d", "name: two, title: Two, after: 5d"))
    };
    let report = reported(3, 10, "", moved).await;
    assert_eq!(nobody(&report, "last"), "last is sent");
    assert_eq!(nobody(&report, "two"), "everybody left the list warm for another before its turn came");
    let flows: Vec<(&str, &str, u64, usize)> =
        report.flows.iter().map(|(a, b, n, step)| (a.as_str(), b.as_str(), *n, *step)).collect();
    let over = ("list late", "journey over, no answer", 3, 2);
    assert_eq!(flows, [("Warming", "list warm", 3, 0), over, ("list warm", "list late", 3, 1)]);
}

/// A condition that passes `validate` and has no answer for real deals is told beforehand, not found out when nobody gets anything.
#[tokio::test]
async fn a_condition_without_an_answer_is_told() {
    let broken =
        |text: String| text.replace("{listRef: {name: warm}}", "{when: \"1 / (deal.amount - 1000) > 0\", listRef: {name: warm}}");
    let report = reported(3, 10, "", broken).await;
    let note = "shop/flats: the condition 1 / (deal.amount - 1000) > 0 has no answer for 3 deals (it divides by zero): it counts as false \
                there";
    assert_eq!((report.messages, report.notes), (0, vec![note.to_owned()]));
}

/// Deals lost before the funnel began are told, whether anybody admits them or not.
#[tokio::test]
async fn who_waits_in_backfill_is_told() {
    let waits = |backfill: &'static str| async move {
        let home = tempfile::tempdir().unwrap();
        let edit = |text: String| text.replace("  stages:\n", &format!("{backfill}  stages:\n"));
        let folder = simple(home.path(), 30, edit);
        let (world, outcome) = predict(&folder, "2026-03-10T05:00:00Z".parse().unwrap(), 2, None).await;
        let report = Report::of(&outcome, &world);
        (report.waiting_in_backfill, report.notes.join("; "))
    };
    let (waiting, note) = waits("").await;
    assert_eq!(waiting, 30);
    assert!(note.contains("30 deals were lost before it began; 30 wait") && note.contains("no backfill"), "{note}");
    let (waiting, note) = waits("  backfill: {lostWithin: 90d, perDay: 10}\n").await;
    assert!((5..=12).contains(&waiting) && note.contains("admits 10 a day"), "{waiting}: {note}");
}

/// A message may cost less than a cent.
#[tokio::test]
async fn money_is_not_rounded_away() {
    let cheap = |text: String| {
        let budget = "  brand: novydom\n  budget: {currency: RUB, perDay: \"0.0105\", perMonth: \"0.1234\"}\n";
        text.replace("\"4.20\"", "\"0.0035\"").replace("  brand: novydom\n", budget)
    };
    let report = reported(2, 10, "", cheap).await;
    let amounts: Vec<String> = report.cost.iter().map(|c| format!("{:?}", c.amount.unwrap())).collect();
    assert_eq!(amounts, ["0.021"]);
    let budget = &report.budgets[0];
    assert_eq!((budget.per_day, budget.per_month, budget.spent), (Some(0.0105), Some(0.1234), 0.021));
}

/// Who waits for a day's money is told of it once; that the month's is used up meanwhile is told all the same, and of the right month.
#[tokio::test]
async fn a_month_that_ends_after_a_day_did_is_told() {
    for (month, after, days, spent, want) in [
        ("12.60", "1d", 20, 12.6, Some("2026-03-04")),
        // In April there is money again, which is used up as well.
        ("12.60", "1d", 40, 25.2, Some("2026-03-04")),
        // The last two days of March do not use up its money; the first three of April use up April's.
        ("21.00", "28d", 30, 25.2, None),
        ("21.00", "28d", 47, 37.8, Some("2026-04-03")),
        ("1000", "1d", 5, 42.0, None),
    ] {
        let limited = |text: String| {
            let budget = format!("  brand: novydom\n  budget: {{currency: RUB, perDay: \"8.40\", perMonth: \"{month}\"}}\n");
            let text = text.replace("  brand: novydom\n", &budget);
            text.replace("name: one, title: One, after: 1d", &format!("name: one, title: One, after: {after}"))
        };
        let report = reported(40, days, "", limited).await;
        let budget = &report.budgets[0];
        let first = if after == "28d" { "2026-03-30" } else { "2026-03-03" };
        assert_eq!(budget.day_reached.as_deref(), Some(first), "{budget:?}");
        assert_eq!((budget.month_reached.as_deref(), budget.spent), (want, spent), "{budget:?}");
    }
}

/// Nobody clicks where there is no link, and who said no is not waited for.
#[tokio::test]
async fn clicks_need_a_link_and_a_refusal_is_an_end() {
    let all = "all: {click: 100%}\nmanagers: {after: 1h, declined: 100%}";
    let report = reported(5, 10, all, |text| text).await;
    assert_eq!((report.messages, report.clicks), (15, 0));
    let linked = |text: String| {
        let end = "    unsubscribed: {title: Unsubscribed}\n";
        ["one", "two", "three"].iter().fold(text.replace(end, &format!("{end}  managers: {{fallback: m1}}\n")), |text, word| {
            let linked = format!("sms: {{text: \"{word} {{{{ links.look }}}}\"}}, links: {{look: \"https://shop.example/look\"}}");
            text.replace(&format!("sms: {{text: \"{word}\"}}"), &linked)
        })
    };
    let report = reported(5, 10, all, linked).await;
    assert!(report.messages >= 5 && report.clicks == report.messages as u64, "{} of {}", report.clicks, report.messages);
    let ends: Vec<(&str, u64)> = report.flows.iter().map(|(_, to, n, _)| (to.as_str(), *n)).collect();
    assert_eq!(ends, [("list warm", 5), ("declined", 5)]);
}

/// A list may have 500 items, and there may be many lists.
#[tokio::test]
async fn there_may_be_very_many_items() {
    let home = tempfile::tempdir().unwrap();
    let items = (0..500).fold(String::new(), |all, n| {
        all + &format!("    - {{name: i{n}, title: I{n}, after: 1d, sms: {{text: \"text {n}\"}}}}\n")
    });
    let three = "    - {name: one, title: One, after: 1d, sms: {text: \"one\"}}\n    - {name: two, title: Two, after: 1d, sms: {text: \"two\"}}\n    \
                 - {name: three, title: Three, after: 1d, sms: {text: \"three\"}}\n";
    let folder = simple(home.path(), 1, |text| {
        assert!(text.contains(three));
        text.replace(three, &items)
    });
    let monday: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    let (world, outcome) = predict_copies(&folder, monday, 10, 132).await;
    let report = Report::of(&outcome, &world);
    assert_eq!(report.items.len(), 66_000);
    assert!(report.messages > 0 && report.items.last().unwrap().nobody.is_some());
}

/// What an edit of the usual folder changes, for deals and contacts like these; from Monday.
async fn edited(contacts: &str, deals: &str, days: i64, edit: impl Fn(String) -> String) -> Difference {
    let monday: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut sides = Vec::new();
    for side in ["before", "after"] {
        let folder = home.path().join(side);
        std::fs::create_dir_all(&folder).unwrap();
        simple(&folder, 0, |text| if side == "after" { edit(text) } else { text });
        std::fs::write(folder.join("contacts.csv"), format!("{CONTACTS}{contacts}")).unwrap();
        std::fs::write(folder.join("deals.csv"), format!("{DEALS}{deals}")).unwrap();
        sides.push(predict(&folder, monday, days, None).await);
    }
    diff((&sides[0].0, &sides[0].1), (&sides[1].0, &sides[1].1))
}

/// Three clients with a deal each.
fn three() -> (String, String) {
    ((1..=3).map(contact).collect(), (1..=3).map(|n| lost(n, n, "2026-03-02")).collect())
}

/// A longer wait is no loss: the journey still has it before it.
#[tokio::test]
async fn who_gets_it_behind_the_last_day_does_not_lose_it() {
    let (contacts, deals) = three();
    let later = |text: String| text.replace("name: two, title: Two, after: 1d", "name: two, title: Two, after: 20d");
    let difference = edited(&contacts, &deals, 10, later).await;
    assert_eq!((difference.deals, difference.from.as_str()), (3, "2026-03-02 12:00"));
    let told: Vec<_> = difference.items.iter().map(|i| (i.item.as_str(), i.lost.len(), i.not_yet.len())).collect();
    assert_eq!(told, [("three", 0, 3), ("two", 0, 3)]);
    // And what is gone is gone.
    let gone = |text: String| text.replace("    - {name: two, title: Two, after: 1d, sms: {text: \"two\"}}\n", "");
    let difference = edited(&contacts, &deals, 10, gone).await;
    let two = difference.items.iter().find(|i| i.item == "two").unwrap();
    assert_eq!((two.lost.len(), two.not_yet.len()), (3, 0));
}

/// A client with two deals gets the same, whichever of them speaks.
#[tokio::test]
async fn who_gets_it_through_another_deal_neither_gains_nor_loses_it() {
    let deals = lost(1, 1, "2026-03-02").replace("price", "dear") + &lost(2, 1, "2026-03-02").replace("price", "late");
    let mut through = Vec::new();
    for reason in ["dear", "late"] {
        let one_speaks = |text: String| text.replace("enter: [{lost: []}]", &format!("enter: [{{lost: [{reason}]}}]"));
        let difference = edited(&contact(1), &deals, 10, one_speaks).await;
        assert!(difference.items.iter().all(|i| i.gained.is_empty() && i.lost.is_empty()), "{:?}", difference.items);
        through.push(difference.items.iter().filter(|i| !i.through_other_deal.is_empty()).count());
    }
    through.sort_unstable();
    assert_eq!(through, [0, 3]);
}

/// Who loses everything by a condition that divides by zero is told why, not only that.
#[tokio::test]
async fn a_condition_that_an_edit_breaks_is_told_as_the_reason() {
    let (contacts, deals) = three();
    let broken =
        |text: String| text.replace("{listRef: {name: warm}}", "{when: \"1 / (deal.amount - 1000) > 0\", listRef: {name: warm}}");
    let difference = edited(&contacts, &deals, 10, broken).await;
    assert!(difference.items.iter().all(|i| i.lost.len() == 3), "{:?}", difference.items);
    let [note] = difference.notes.as_slice() else { panic!("{:?}", difference.notes) };
    assert!(note.contains("1 / (deal.amount - 1000) > 0 has no answer for 3 deals (it divides by zero)"), "{note}");
    assert!(edited(&contacts, &deals, 10, |text| text).await.notes.is_empty());
}

/// Whom nothing will ever reach is not on the way to be reached.
#[tokio::test]
async fn who_can_be_sent_nothing_is_told_apart_from_whose_turn_has_not_come() {
    let monday: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    for (consent, days, want) in
        [("no", 10, "nothing could be sent"), ("yes", 1, "nothing sent yet"), ("yes", 10, "journey over, no answer")]
    {
        let home = tempfile::tempdir().unwrap();
        let folder = simple(home.path(), 1, |text| text);
        std::fs::write(folder.join("contacts.csv"), format!("{CONTACTS}{}", contact(1).replace(";yes", &format!(";{consent}"))))
            .unwrap();
        let (world, outcome) = predict(&folder, monday, days, None).await;
        let flows: Vec<String> = Report::of(&outcome, &world).flows.into_iter().map(|(_, to, ..)| to).collect();
        assert_eq!(flows, ["list warm", want], "{consent} {days}");
    }
}

/// Two funnels that use one list are two lines wherever figures are told by list.
#[tokio::test]
async fn figures_of_two_funnels_with_one_list_can_be_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let of = |text: &str, pipeline: &str| text.replace("entity: Deal", &format!("entity: Deal, pipeline: {pipeline}"));
    let folder = simple(home.path(), 2, |text| of(&text, "Flats") + &of(&funnel("houses", ""), "Houses"));
    let deals = [(1, "Flats"), (2, "Houses")].map(|(n, pipeline)| lost(n, n, "2026-03-02").replace("Sales", pipeline));
    std::fs::write(folder.join("deals.csv"), format!("{DEALS}{}", deals.concat())).unwrap();
    let (world, outcome) = predict(&folder, "2026-03-02T09:00:00Z".parse().unwrap(), 10, None).await;
    let report = Report::of(&outcome, &world);
    assert!(report.several_funnels());
    let keys: BTreeSet<_> = report.calendar.iter().map(|c| (&c.day, c.hour, &c.channel, &c.funnel, &c.list, &c.item)).collect();
    assert_eq!((keys.len(), report.calendar.len()), (6, 6), "{:?}", report.calendar);
    let costs: Vec<(&str, &str, u64)> = report.cost.iter().map(|c| (c.funnel.as_str(), c.list.as_str(), c.messages)).collect();
    assert_eq!(costs, [("shop/flats", "warm", 3), ("shop/houses", "warm", 3)]);
}

/// How many get which wording, and whose changes with the weights.
#[tokio::test]
async fn an_edit_of_variants_tells_who_gets_another_one() {
    let weights = |text: String, a: u32| {
        let of = |name: &str, weight: u32| format!("{{name: {name}, weight: {weight}, sms: {{text: \"{name}\"}}}}");
        let variants = format!("sms: {{text: \"one\"}}, variants: [{}, {}]", of("a", a), of("b", 100 - a));
        text.replace("sms: {text: \"one\"}", &variants)
    };
    let monday: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    let mut sides = Vec::new();
    for a in [50, 1] {
        let home = tempfile::tempdir().unwrap();
        sides.push(predict(&simple(home.path(), 40, |text| weights(text, a)), monday, 2, None).await);
    }
    let got = |(world, outcome): &(World, Outcome)| -> BTreeMap<String, String> {
        let one = |sent: &rekindle::simulate::Sent| (world.deal_id(sent.deal), outcome.run.variant(sent).unwrap().to_owned());
        outcome.tally.sent.iter().map(one).collect()
    };
    let (before, after) = (got(&sides[0]), got(&sides[1]));
    assert_eq!((before.len(), after.len()), (40, 40));
    let report = Report::of(&sides[0].1, &sides[0].0);
    for name in ["a", "b"] {
        let counted = before.values().filter(|variant| *variant == name).count() as u64;
        assert_eq!(report.items[0].variants[name], counted);
    }
    let changed: BTreeSet<String> =
        before.iter().filter(|(deal, variant)| after[*deal] != **variant).map(|(d, _)| d.clone()).collect();
    assert!(changed.len() > 5, "{changed:?}");
    let difference = diff((&sides[0].0, &sides[0].1), (&sides[1].0, &sides[1].1));
    let [one] = difference.items.as_slice() else { panic!("{:?}", difference.items) };
    assert_eq!(one.changed_variant.iter().cloned().collect::<BTreeSet<_>>(), changed);
}
