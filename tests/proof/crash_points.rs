//! Every single place at which a process can die, and for short stories every two of them: the changes that a story asks for are
//! counted, and it is told again with a death before and after each. Reads are no places of their own: dying before one is dying after
//! the change before it.

use super::{
    scenario::{Fault, Happening, Line, Manners, Scenario},
    world::{Outcome, run},
};
use rekindle::model::{DealState, Role};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

fn story(name: &str) -> Scenario {
    let at = |lines: &[(u64, Happening)]| lines.iter().map(|(at, what)| Line::At(*at, *what)).collect();
    let lines: Vec<Line> = match name {
        "a client is warmed through the whole list" => at(&[(30, Happening::Lose(2))]),
        "a client stops it" => at(&[(30, Happening::Lose(2)), (40_000, Happening::Stop(2))]),
        "a client calls" => at(&[(30, Happening::Lose(2)), (45_000, Happening::Call(2)), (50_000, Happening::Touch(2))]),
        "a client clicks and answers" => {
            at(&[(30, Happening::Lose(2)), (86_400, Happening::Click(2)), (90_000, Happening::Reply(2))])
        }
        "two deals of one client, one reopened" => {
            at(&[(30, Happening::Lose(0)), (60, Happening::Lose(6)), (50_000, Happening::Reopen(0)), (90_000, Happening::Win(0))])
        }
        "texts and delays are edited, with a hold" => at(&[
            (30, Happening::Lose(2)),
            (600, Happening::Publish(1, true)),
            (5_000, Happening::Hold),
            (90_000, Happening::Release),
            (95_000, Happening::Publish(2, false)),
        ]),
        "providers that do not know" => at(&[(30, Happening::Lose(2)), (60, Happening::Lose(3))]),
        "a deal that comes and goes" => {
            at(&[(30, Happening::Lose(2)), (300, Happening::GoBack(2)), (50_000, Happening::Delete(2))])
        }
        other => panic!("{other}"),
    };
    let manners = if name == "providers that do not know" {
        Manners { drops_reply: 250, refuses: 250, too_many: 200, slow: 150, early: 300, twice: 300, ..Manners::default() }
    } else {
        Manners::default()
    };
    let mut lines = lines;
    // Faults may strike until the story is over.
    lines.push(Line::At(250_000, Happening::Touch(7)));
    Scenario { seed: 5, processes: 2, sqlite: false, resend: false, manners, slow_store: 0, witness: false, lines }
}

/// What the story is there for and did not come about, wherever a process died: a message is at its provider or unclear, and what a
/// client or a manager does has its end.
fn unlike(name: &str, outcome: &Outcome) -> Option<String> {
    let Some(end) = outcome.ends.get("D2") else { return Some("D2 was never seen".into()) };
    let heard = |word: &str| end.signals.iter().filter(|signal| *signal == word).count();
    let deal = &outcome.deals["D2"];
    let messages = outcome.messages + outcome.unknown as u64;
    let (least, ends_well) = match name {
        "a client is warmed through the whole list" => (4, end.role == Role::Warming),
        "a client stops it" => (1, end.role == Role::Unsubscribed && outcome.messages <= 1),
        "a client calls" => {
            let back = deal.stage == "Talks" && deal.state == DealState::Open && !matches!(end.role, Role::Warming | Role::Stalled);
            (1, back && heard("InboundCall") == 1 && outcome.messages <= 1)
        }
        "a client clicks and answers" => (3, heard("Click") == 1 && heard("Reply") == 1 && outcome.messages <= 3),
        "two deals of one client, one reopened" | "texts and delays are edited, with a hold" => (2, true),
        "providers that do not know" => (4, true),
        "a deal that comes and goes" => (0, end.role == Role::Archived),
        other => panic!("{other}"),
    };
    (messages < least || !ends_well)
        .then(|| format!("{messages} messages, at least {least}; the deal ends as {end:?}, in the CRM as {}", deal.stage))
}

/// About two thirds of what each story asked for when it was last counted: one that asks for less tells something else.
fn least_places(name: &str) -> u64 {
    match name {
        "a client is warmed through the whole list" => 24,
        "a client stops it" => 14,
        "a client calls" => 22,
        "a client clicks and answers" => 31,
        "two deals of one client, one reopened" => 36,
        "texts and delays are edited, with a hold" => 28,
        "providers that do not know" => 55,
        "a deal that comes and goes" => 16,
        other => panic!("{other}"),
    }
}

/// Tells the story with each of these sets of faults; the first that breaks a promise stops the test.
fn all(name: &str, sqlite: bool, variants: &[Vec<Line>]) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(faults) = variants.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let mut scenario = Scenario { sqlite, ..story(name) };
                    scenario.lines.extend(faults.iter().copied());
                    let outcome = run(scenario.clone(), None, false);
                    if outcome.violation.is_some() || unlike(name, &outcome).is_some() {
                        failed.lock().unwrap().get_or_insert((faults.clone(), run(scenario, None, true)));
                        return;
                    }
                }
            });
        }
    });
    if let Some((faults, outcome)) = failed.into_inner().unwrap() {
        let unlike = unlike(name, &outcome);
        panic!("{name}, with {faults:?}: {:?}, {unlike:?}\n{}", outcome.violation, outcome.story);
    }
}

/// The changes that a story asks for until it is over. What comes after the last fault could strike is not counted.
fn places(name: &str) -> u64 {
    let outcome = run(story(name), None, true);
    assert_eq!(outcome.violation, None, "{name} in peace\n{}", outcome.story);
    assert_eq!(unlike(name, &outcome), None, "{name} in peace\n{}", outcome.story);
    let (places, least) = (outcome.before_rest, least_places(name));
    assert!(places >= least, "{name} asks for {places} changes, once it was more than {least}");
    places
}

/// Control: a story in which nobody does anything ends otherwise.
#[test]
fn a_story_that_does_not_happen_is_noticed() {
    for name in STORIES {
        let mut scenario = story(name);
        scenario.lines.retain(|line| matches!(line, Line::At(_, Happening::Touch(7))));
        assert!(unlike(name, &run(scenario, None, false)).is_some(), "{name}");
    }
}

fn single(name: &str, sqlite: bool) {
    let places = places(name);
    let faults = [Fault::CrashBefore, Fault::CrashAfter, Fault::ReplyLost];
    let variants: Vec<Vec<Line>> = (1..=places).flat_map(|n| faults.map(|fault| vec![Line::On(n, fault)])).collect();
    all(name, sqlite, &variants);
    eprintln!("{name}: K = {places}, {} single faults{}", variants.len(), if sqlite { " on SQLite" } else { "" });
}

fn pairs(name: &str) {
    let places = places(name);
    let mut variants = Vec::new();
    for one in 1..=places {
        // The second strikes the same story later, in what the first one made of it: the restart included.
        for two in one + 1..=places + 12 {
            for faults in [[Fault::CrashAfter; 2], [Fault::CrashBefore, Fault::CrashAfter], [Fault::ReplyLost, Fault::CrashAfter]] {
                variants.push(vec![Line::On(one, faults[0]), Line::On(two, faults[1])]);
            }
        }
    }
    all(name, false, &variants);
    eprintln!("{name}: K = {places}, {} pairs", variants.len());
}

fn everything() -> bool {
    std::env::var("REKINDLE_PROOF").is_ok_and(|all| all == "all")
}

/// In the suite on the model; `REKINDLE_PROOF=all` tells all of them on both stores.
macro_rules! stories {
    ($($name:ident: $story:expr;)*) => {
        const STORIES: &[&str] = &[$($story),*];

        $(mod $name {
            #[test]
            fn a_process_dies_at_every_single_place_on_the_model() {
                super::single($story, false);
            }

            #[test]
            fn a_process_dies_at_every_single_place_on_sqlite() {
                if super::everything() {
                    super::single($story, true);
                }
            }
        })*
    };
}

stories! {
    warmed: "a client is warmed through the whole list";
    stopped: "a client stops it";
    called: "a client calls";
    clicked: "a client clicks and answers";
    two_deals: "two deals of one client, one reopened";
    edited: "texts and delays are edited, with a hold";
    unclear: "providers that do not know";
    come_and_gone: "a deal that comes and goes";
}

#[test]
fn a_process_dies_at_every_two_places_while_a_client_is_warmed() {
    if everything() {
        pairs("a client is warmed through the whole list");
    }
}

#[test]
fn a_process_dies_at_every_two_places_while_a_client_calls() {
    if everything() {
        pairs("a client calls");
    }
}
