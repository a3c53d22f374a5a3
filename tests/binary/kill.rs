//! SIGKILL with messages in flight, again and again: nothing twice, nothing neither sent nor visible.

use crate::{harness::World, sink::Sink};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// Connections × pipeline depth of the channel in the manifest: what one kill may leave unclear.
const BOUND: usize = 8;

#[test]
fn kills_in_flight_lose_nothing_and_send_nothing_twice() {
    let kills: usize = std::env::var("REKINDLE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let deals = 60 + kills * 40;
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), Duration::from_millis(15));
    let world = World::new(sink.port);
    world.deals(deals, false);
    let mut running = world.start();
    world.wait("the import", Duration::from_mins(1), || world.in_role("InWork") == deals as u64);
    world.deals(deals, true);
    let (mut counted, mut in_flight) = (0, Vec::new());
    let mut last = 0;
    loop {
        let (mut enough, mut through) = (false, false);
        world.wait("messages to leave", Duration::from_secs(90), || {
            assert!(!running.exited(), "it ended by itself:\n{}", world.log());
            let accepted = sink.accepted().len();
            enough = accepted >= last + 20 && sink.in_flight() > 0;
            // Few are left: no more kill with something in flight is to be had.
            through = accepted + BOUND * (counted + 1) >= deals;
            enough || through
        });
        if through || counted == kills {
            break;
        }
        running.kill();
        let now = sink.in_flight();
        if now > 0 {
            counted += 1;
            in_flight.push(now);
        }
        last = sink.accepted().len();
        running = world.start();
    }
    world.wait("the rest", Duration::from_secs(90), || world.messages("accepted") + world.messages("unknown") == deals as u64);
    assert!(running.stop(), "SIGTERM ends it cleanly");

    let accepted = sink.accepted();
    let mut times: HashMap<&String, u32> = HashMap::new();
    for key in &accepted {
        *times.entry(key).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "sent twice: {twice:?}");
    let distinct: HashSet<&String> = accepted.iter().collect();
    let unknown = world.messages("unknown");
    let known = world.messages("accepted");
    assert!(distinct.len() as u64 >= known, "the ledger says accepted of more than the sink has");
    assert!(distinct.len() as u64 <= known + unknown, "the sink has messages that the ledger does not know");
    assert!(unknown <= (counted * BOUND) as u64, "{unknown} unclear after {counted} kills, at most {BOUND} each");
    assert!(counted >= kills / 2, "only {counted} of {kills} kills met messages in flight");
    eprintln!(
        "{counted} kills with {in_flight:?} in flight; {known} known accepted, {unknown} unclear of which the sink accepted {}",
        distinct.len() as u64 - known
    );
}
