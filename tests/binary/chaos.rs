//! Real processes and real faults: three replicas on a PostgreSQL behind wires that break, a relay and a gateway that misbehave, and
//! SIGKILL, SIGSTOP and `pg_ctl stop -m immediate` in between. Nothing twice, nothing neither sent nor visible, nothing called sent that
//! was not, nothing unclear without a reason. And proof that these checks can fail.
//!
//! A seed decides what happens and what the providers do; where in a program it hits is up to the machine, and counted.

mod events;
mod frames;
mod ledger;
mod postgres;
mod sinks;
mod sms;
mod smtp;
mod town;
mod verdict;
mod wire;

pub use postgres::Server;

use crate::dice::Dice;
use events::{Event, Histogram, torment};
use rekindle::model::EffectStatus;
use sinks::Flaws;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use town::Town;
use verdict::{Broken, Evidence};
use wire::{Aim, Fault};

/// A town keeps two cores busy: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// So many events for each town: a new database now and then, so that its size is not what takes the time.
const SLICE: usize = 100;

/// Faults end, everything comes to rest, and then new deals are served as if nothing had been.
fn rest(town: &mut Town, histogram: &Histogram) -> Evidence {
    town.sinks.calm();
    let planned = |town: &Town| town.lost * 2;
    town.wait("the rest", false, |town| town.ledger.rested() == Some(planned(town)));
    let before = (town.lost, town.sinks.book().accepted);
    town.wait("deals to be met", false, |town| town.ledger.met().is_some_and(|met| met >= before.0 + 10));
    town.lose(10);
    assert_eq!(town.lost, before.0 + 10);
    town.wait("new deals", false, |town| town.ledger.rested() == Some(planned(town)));
    // A late answer or a process that woke up late may still have something to say.
    town.wait("quiet", false, |town| town.sinks.in_flight() == 0 && town.sinks.quiet().as_secs() >= 3);
    let evidence = Evidence::of(town, histogram.of(Event::Stop));
    assert!(town.end(), "SIGTERM ends all of them cleanly\n{}", town.logs());
    evidence
}

fn line(seed: u64, histogram: &Histogram, evidence: &Evidence, since: Instant, standstill: Duration) -> String {
    let (interrupted, doubted) = evidence.unclear_by_cause();
    format!(
        "seed {seed}: {} events ({} more found nothing to hit) in {} s; {} deals, {} messages at the sinks; ledger: {} accepted, {} refused, \
         {interrupted} unclear by {} take-overs, {doubted} by {} doubtful answers; \
         nobody worked for {} s at most",
        histogram.count(),
        histogram.missed(),
        since.elapsed().as_secs(),
        evidence.lost,
        evidence.book.accepted,
        evidence.count(EffectStatus::Accepted),
        evidence.count(EffectStatus::Failed),
        evidence.takeovers,
        evidence.book.doubts.values().sum::<u32>(),
        standstill.as_secs(),
    )
}

#[test]
fn chaos_loses_nothing_and_sends_nothing_twice() {
    let _alone = alone();
    let (mut left, mut seed) = (usize::try_from(number("REKINDLE_CHAOS", 25)).unwrap(), number("REKINDLE_SEED", 1));
    let mut all = Histogram::default();
    let mut misdeeds = std::collections::BTreeMap::new();
    while left > 0 {
        let since = Instant::now();
        let events = left.min(SLICE);
        eprintln!("REKINDLE_SEED={seed} REKINDLE_CHAOS={events}");
        let Some(mut town) = Town::new(seed, Flaws::default()) else { return };
        let histogram = torment(&mut town, Dice(seed), events);
        let evidence = rest(&mut town, &histogram);
        eprintln!("{}", line(seed, &histogram, &evidence, since, town.standstill));
        let broken = evidence.broken();
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}\n{}", town.logs());
        for (what, n) in &evidence.book.misdeeds {
            *misdeeds.entry(what.clone()).or_insert(0) += n;
        }
        all.add(histogram);
        (left, seed) = (left - events, seed + 1);
    }
    eprintln!("{}\nwhat the sinks did: {misdeeds:?}", all.table());
}

/// Found by the chaos above: it ended, and left it to its supervisor to start it again.
#[test]
fn a_process_whose_first_commit_gets_no_answer_waits_and_starts() {
    let _alone = alone();
    let Some(mut town) = Town::new(6, Flaws::default()) else { return };
    town.wait("the deals", false, |town| town.ledger.met().is_some_and(|met| met > 0));
    town.kill(0);
    town.replicas[0].wire.arm(Fault::CutBeforeReply, Aim::Commit);
    town.start(0);
    town.wait("it to wait", false, |town| town.replicas[0].wire.was_hit());
    town.wait("it to go on", false, |town| town.replicas[0].log().contains("the store answers"));
    assert!(town.end());
}

/// Control: a store that is put back to an earlier copy forgets what it sent, and that must show.
#[test]
fn the_chaos_check_finds_duplicates_when_the_store_forgets() {
    let _alone = alone();
    let Some(mut town) = Town::new(7, Flaws::default()) else { return };
    let histogram = torment(&mut town, Dice(7), 2);
    everybody_stands_still(&mut town, |town| town.postgres.keep());
    let before = town.sinks.book().accepted;
    town.wait("messages to be forgotten", true, |town| town.sinks.book().accepted >= before + 30);
    everybody_stands_still(&mut town, |town| town.postgres.forget());
    let evidence = rest(&mut town, &histogram);
    let broken = evidence.broken();
    assert!(broken.contains_key(&Broken::Twice), "the store forgot and nobody noticed: {broken:?}");
}

/// All processes are killed, and something happens to the store that was stopped.
fn everybody_stands_still(town: &mut Town, then: impl FnOnce(&Town)) {
    (0..town::REPLICAS).for_each(|n| town.kill(n));
    town.postgres.stop_at_once();
    then(town);
    town.postgres.start();
    (0..town::REPLICAS).for_each(|n| town.start(n));
}

/// Control: a gateway that forgets what it accepted, and one that delivers twice; then a ledger with which somebody meddled.
#[test]
fn the_chaos_check_finds_what_sinks_and_ledger_do_wrong() {
    let _alone = alone();
    let Some(mut town) = Town::new(8, Flaws { loses: 17, doubles: 13 }) else { return };
    let histogram = torment(&mut town, Dice(8), 3);
    let evidence = rest(&mut town, &histogram);
    let broken = evidence.broken();
    assert!(broken.contains_key(&Broken::Twice), "a sink delivered twice and nobody noticed: {broken:?}");
    assert!(broken.contains_key(&Broken::NotThere), "a sink lost messages and nobody noticed: {broken:?}");
    for promise in [
        Broken::OtherText,
        Broken::Lost,
        Broken::NotKnown,
        Broken::NotRefused,
        Broken::Unexplained,
        Broken::TooMany,
        Broken::Hidden,
    ] {
        assert!(!broken.contains_key(&promise), "{broken:?}");
    }
    let now_broken = |town: &mut Town, change: &'static str, promise: Broken| {
        town.ledger.meddle(change);
        let broken = Evidence::of(town, 0).broken();
        assert!(broken.contains_key(&promise), "after {change}: {broken:?}");
    };
    now_broken(
        &mut town,
        "DELETE FROM effect WHERE ctid IN (SELECT ctid FROM effect WHERE status = 6 AND item = 'text' LIMIT 1)",
        Broken::Lost,
    );
    now_broken(
        &mut town,
        "UPDATE effect SET status = 4, reason = 'no' WHERE ctid IN (SELECT ctid FROM effect WHERE status = 6 LIMIT 40)",
        Broken::NotKnown,
    );
    now_broken(
        &mut town,
        "UPDATE effect SET status = 2, reason = 'why not' WHERE ctid IN (SELECT ctid FROM effect WHERE status = 6 LIMIT 5)",
        Broken::Unexplained,
    );
    now_broken(&mut town, "UPDATE effect SET status = 2, reason = 'Interrupted' WHERE item IN ('letter', 'text')", Broken::TooMany);
    town.ledger.meddle("DELETE FROM effect WHERE status = 6");
    town.ledger.meddle("ALTER TABLE effect DROP CONSTRAINT effect_pkey");
    now_broken(&mut town, "INSERT INTO effect SELECT * FROM effect WHERE item = 'text'", Broken::Lost);
}
