//! Runs drawn from seeds.

use super::{
    scenario::{Line, Scenario},
    world::{Outcome, run},
};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Leaves out whatever the failure does not need. Returns the scenario and what is still wrong with it.
fn shrink(mut scenario: Scenario, promise: &'static str) -> (Scenario, Outcome) {
    let fails = |scenario: &Scenario| {
        let outcome = run(scenario.clone(), None, false);
        outcome.violation.as_ref().is_some_and(|v| v.promise == promise)
    };
    let started = std::time::Instant::now();
    let patient = || started.elapsed() < Duration::from_mins(1);
    let mut size = scenario.lines.len();
    while size > 0 && patient() {
        let mut at = 0;
        while at < scenario.lines.len() && patient() {
            let mut smaller = scenario.clone();
            smaller.lines.drain(at..(at + size).min(scenario.lines.len()));
            if fails(&smaller) { scenario = smaller } else { at += size }
        }
        size /= 2;
    }
    let mut peaceful = scenario.clone();
    peaceful.manners = super::scenario::Manners::default();
    if fails(&peaceful) {
        scenario = peaceful;
    }
    let outcome = run(scenario.clone(), None, true);
    (scenario, outcome)
}

/// Says everything needed to run it again, and stops the test.
fn report(scenario: Scenario, outcome: &Outcome) -> ! {
    let violation = outcome.violation.clone().unwrap();
    let seed = scenario.seed;
    let sqlite = if scenario.sqlite { " REKINDLE_STORE=sqlite" } else { "" };
    eprintln!("seed {seed}{sqlite}: {violation:?}; looking for a smaller one");
    let (smaller, told) = shrink(scenario, violation.promise);
    let lines: Vec<String> = smaller.lines.iter().map(|line| format!("  {line:?}")).collect();
    panic!(
        "{} is broken: {}\nreplay: REKINDLE_SEED={seed}{sqlite} cargo test --test proof one_seed -- --nocapture\n\
         smaller, {} processes, {:?}:\n{}\nstill wrong: {:?}\n{}",
        violation.promise,
        violation.what,
        smaller.processes,
        smaller.manners,
        lines.join("\n"),
        told.violation,
        told.story
    );
}

#[derive(Default)]
struct Sum {
    messages: AtomicU64,
    crashes: AtomicU64,
    takeovers: AtomicU64,
    unknown: AtomicU64,
    changes: AtomicU64,
    questions: AtomicU64,
    seconds: AtomicU64,
}

fn many(seeds: std::ops::Range<u64>, sqlite: bool) {
    let (next, sum, failed) = (AtomicU64::new(seeds.start), Sum::default(), Mutex::new(None));
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || failed.lock().unwrap().is_some() {
                        return;
                    }
                    let scenario = Scenario::drawn(seed, sqlite);
                    if std::env::var("REKINDLE_WATCH").is_ok() {
                        eprintln!("{seed}");
                    }
                    let outcome = run(scenario.clone(), None, false);
                    sum.messages.fetch_add(outcome.messages, Ordering::SeqCst);
                    sum.crashes.fetch_add(outcome.crashes, Ordering::SeqCst);
                    sum.takeovers.fetch_add(outcome.takeovers, Ordering::SeqCst);
                    sum.unknown.fetch_add(outcome.unknown as u64, Ordering::SeqCst);
                    sum.changes.fetch_add(outcome.ops, Ordering::SeqCst);
                    sum.questions.fetch_add(outcome.questions, Ordering::SeqCst);
                    sum.seconds.fetch_add(outcome.simulated.as_secs(), Ordering::SeqCst);
                    if outcome.violation.is_some() {
                        failed.lock().unwrap().get_or_insert((scenario, outcome));
                    }
                }
            });
        }
    });
    let get = |n: &AtomicU64| n.load(Ordering::SeqCst);
    eprintln!(
        "{} seeds on {}: {:.1} simulated years, {} messages, {} crashes, {} take-overs, {} left unclear, {} changes, {} questions to the store, in {:?}",
        seeds.end - seeds.start,
        if sqlite { "SQLite" } else { "the model" },
        Duration::from_secs(get(&sum.seconds)).as_secs_f64() / 31_557_600.0,
        get(&sum.messages),
        get(&sum.crashes),
        get(&sum.takeovers),
        get(&sum.unknown),
        get(&sum.changes),
        get(&sum.questions),
        started.elapsed()
    );
    if let Some((scenario, outcome)) = failed.into_inner().unwrap() {
        report(scenario, &outcome);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

#[test]
fn whatever_happens_on_the_model() {
    let first = number("REKINDLE_FIRST").unwrap_or(0);
    many(first..first + number("REKINDLE_SEEDS").unwrap_or(2_000), false);
}

#[test]
fn whatever_happens_on_sqlite() {
    let first = number("REKINDLE_FIRST").unwrap_or(0);
    many(first..first + number("REKINDLE_SEEDS").map_or(20, |n| n / 20), true);
}

/// The same seed is the same run, to the last event; else a failure could not be looked at.
#[test]
fn a_seed_is_one_run() {
    for seed in 0..12 {
        for sqlite in [false, true] {
            let scenario = Scenario::drawn(seed, sqlite && seed < 3);
            let (one, two) = (run(scenario.clone(), None, true), run(scenario, None, true));
            if one.trace != two.trace {
                let differs = one.story.lines().zip(two.story.lines()).find(|(a, b)| a != b);
                panic!("seed {seed}: {differs:?}");
            }
        }
    }
}

/// `REKINDLE_SEED=n`: that one, told in full.
#[test]
fn one_seed() {
    let Some(seed) = number("REKINDLE_SEED") else { return };
    let sqlite = std::env::var("REKINDLE_STORE").is_ok_and(|s| s == "sqlite");
    let scenario = Scenario::drawn(seed, sqlite);
    for line in &scenario.lines {
        if let Line::At(at, what) = line {
            eprintln!("{at} s: {what:?}");
        }
    }
    let outcome = run(scenario.clone(), None, true);
    eprintln!("{}", outcome.story);
    eprintln!("{:?} after {:?}, {} messages", outcome.violation, outcome.simulated, outcome.messages);
    if outcome.violation.is_some() {
        report(scenario, &outcome);
    }
}

/// A world without faults does the whole job, so that what the others promise is not promised of nothing.
#[test]
fn in_peace_everything_arrives_once() {
    for sqlite in [false, true] {
        let outcome = run(Scenario { sqlite, ..Scenario::quiet(1) }, None, true);
        assert_eq!(outcome.violation, None, "{}", outcome.story);
        assert_eq!((outcome.messages, outcome.unknown, outcome.crashes), (12, 0, 0), "{}", outcome.story);
    }
}
