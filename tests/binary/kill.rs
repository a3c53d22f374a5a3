//! SIGKILL with messages in flight, again and again: nothing twice, nothing neither sent nor visible. And proof that these checks
//! can fail: the same with a store that forgets, and with a relay that loses what it accepted.

use crate::{harness::World, sink::Sink};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    time::Duration,
};

/// Connections × pipeline depth of the channel in the manifest: what one kill may leave unclear.
const BOUND: usize = 8;

/// How many kills: thirty in the suite, `REKINDLE_KILLS=50` for the figure.
fn kills() -> usize {
    std::env::var("REKINDLE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30)
}

/// What stands in the ledger and in the sink's own log after the last message came to rest. Each client is worth one message.
#[derive(Default)]
struct Tally {
    /// All kills.
    killed: usize,
    /// Those that met messages in flight, by the sink's count: only they are counted as a trial.
    in_flight: Vec<usize>,
    accepted: Vec<String>,
    /// How often the sink has a letter to each client.
    arrived: BTreeMap<usize, usize>,
    clients: usize,
    known: usize,
    unknown: usize,
    /// Whose message `rekindle resolve` lists.
    unclear: BTreeSet<usize>,
    /// How many more were unclear after each kill, as soon as the next process was at work.
    left: Vec<usize>,
}

impl Tally {
    fn distinct(&self) -> usize {
        self.accepted.iter().collect::<HashSet<_>>().len()
    }

    fn twice(&self) -> usize {
        let mut times: HashMap<&String, u32> = HashMap::new();
        for key in &self.accepted {
            *times.entry(key).or_default() += 1;
        }
        times.values().filter(|n| **n > 1).count()
    }

    /// Whose message the ledger calls accepted and the sink does not have. By client: what is unclear and did arrive must not stand in
    /// for what was lost.
    fn lost(&self) -> Vec<usize> {
        (0..self.clients).filter(|client| !self.unclear.contains(client) && !self.arrived.contains_key(client)).collect()
    }

    fn check(&self, kills: usize) {
        let counted = self.in_flight.len();
        eprintln!(
            "{} kills, {counted} of them with {:?} in flight; {} known accepted, {} unclear of which the sink accepted {}",
            self.killed,
            self.in_flight,
            self.known,
            self.unknown,
            self.distinct().saturating_sub(self.known)
        );
        assert_eq!(self.twice(), 0, "sent twice");
        let again: Vec<_> = self.arrived.iter().filter(|(_, times)| **times > 1).collect();
        assert!(again.is_empty(), "clients who got it more than once: {again:?}");
        assert!(self.lost().is_empty(), "the ledger says accepted, and the sink has none of {:?}", self.lost());
        assert!(self.arrived.keys().all(|client| *client < self.clients), "the sink has messages that the ledger does not know");
        assert_eq!((self.known + self.unknown, self.unclear.len()), (self.clients, self.unknown), "each is accepted, or listed");
        // A message that was intended and had not reached the sink yet is unclear too: every kill may leave some.
        assert_eq!(self.left.len(), self.killed);
        assert!(self.left.iter().all(|left| *left <= BOUND), "unclear after each kill: {:?}, at most {BOUND} may be", self.left);
        assert_eq!(counted, kills, "kills that met messages in flight, of {}", self.killed);
    }
}

/// Loses `deals` deals and kills the sender while their messages leave. `between`: what happens to the dead one's store.
fn torment(world: &World, sink: &Sink, kills: usize, deals: usize, mut between: impl FnMut(usize)) -> Tally {
    world.deals(deals, false);
    let mut running = world.start();
    world.wait("the import", Duration::from_mins(1), || world.in_role("InWork") == deals as u64);
    world.deals(deals, true);
    let (mut in_flight, mut killed) = (Vec::new(), 0);
    let (mut left, mut unclear) = (Vec::new(), 0);
    let mut grown = |killed: usize| {
        let now = unclear_now(world);
        if killed > left.len() {
            left.push(usize::try_from(now.saturating_sub(unclear)).unwrap());
        }
        unclear = now;
    };
    let mut last = 0;
    loop {
        let (mut enough, mut through) = (false, false);
        world.wait("messages to leave", Duration::from_secs(90), || {
            assert!(!running.exited(), "it ended by itself:\n{}", world.log());
            let accepted = sink.accepted().len();
            enough = accepted >= last + 20 && sink.in_flight() > 0;
            // Few are left: no more kill with something in flight is to be had.
            through = accepted + BOUND * (killed + 1) >= deals;
            enough || through
        });
        if through || in_flight.len() == kills {
            break;
        }
        // Whoever sends has taken over, and called unclear what the killed one left.
        grown(killed);
        running.kill();
        killed += 1;
        let now = sink.in_flight();
        if now > 0 {
            in_flight.push(now);
        }
        between(killed);
        last = sink.accepted().len();
        running = world.start();
    }
    let settled = || world.messages("accepted") + world.messages("unknown");
    world.wait("the rest", Duration::from_secs(90), || settled() == deals as u64);
    assert!(running.stop(), "SIGTERM ends it cleanly");
    grown(killed);
    let (known, unknown) = (world.messages("accepted"), world.messages("unknown"));
    let listed = world.command(&["resolve", "-o", "json"]);
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let unclear = listed.iter().map(|message| number(message["deal"].as_str().unwrap(), "D", "")).collect();
    let mut arrived: BTreeMap<usize, usize> = BTreeMap::new();
    for letter in sink.letters() {
        *arrived.entry(number(&letter.to, "client", "@mail.example")).or_default() += 1;
    }
    let accepted = sink.accepted();
    let (known, unknown) = (known.try_into().unwrap(), unknown.try_into().unwrap());
    Tally { killed, in_flight, accepted, arrived, clients: deals, known, unknown, unclear, left }
}

/// As `rekindle status` counts them, which takes so long that the kill would miss what it aims at.
fn unclear_now(world: &World) -> u64 {
    const COUNT: &str = "SELECT count(*) FROM effect WHERE kind = 'message' AND status = 2";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count: i64 = runtime.block_on(async {
        if world.store.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(&world.store).await.unwrap();
            sqlx::query_scalar(COUNT).fetch_one(&mut connection).await.unwrap()
        } else {
            let mut connection = PgConnection::connect(&world.store).await.unwrap();
            sqlx::query_scalar(COUNT).fetch_one(&mut connection).await.unwrap()
        }
    });
    count.try_into().unwrap()
}

/// Which client it is, by their deal or their address.
fn number(text: &str, before: &str, after: &str) -> usize {
    let number = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text} is nobody's"))
}

/// Longer than a kill takes on a busy machine, so that it meets what it aims at.
const DELAY: Duration = Duration::from_millis(50);

#[test]
fn kills_in_flight_lose_nothing_and_send_nothing_twice() {
    let kills = kills();
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), DELAY);
    torment(&World::new(sink.port), &sink, kills, 120 + kills * 80, |_| {}).check(kills);
}

#[test]
fn kills_in_flight_lose_nothing_and_send_nothing_twice_on_postgres() {
    let kills = kills();
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), DELAY);
    let Some(world) = World::new(sink.port).on_postgres() else { return };
    torment(&world, &sink, kills, 120 + kills * 80, |_| {}).check(kills);
}

/// Control: a store that is put back to what it was before the second kill forgets sends, and that must show.
#[test]
fn the_check_finds_duplicates_when_the_store_forgets() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), DELAY);
    let world = World::new(sink.port);
    let file = |suffix: &str| world.dir.path().join(format!("store.db{suffix}"));
    let copy = |from: &Path, to: &Path| if from.exists() { std::fs::copy(from, to).map(drop) } else { Ok(()) };
    let tally = torment(&world, &sink, 2, 200, |killed| {
        for part in ["", "-wal"] {
            let (live, kept) = (file(part), file(&format!("{part}.kept")));
            if killed == 1 { copy(&live, &kept) } else { copy(&kept, &live) }.unwrap();
        }
        let _ = std::fs::remove_file(file("-shm"));
        // The witness would notice.
        let _ = std::fs::remove_file(file(".witness"));
    });
    assert!(tally.twice() > 0, "the store forgot {:?} and nobody noticed", tally.in_flight);
}

/// A channel that resends: nothing is left unclear, and the ledger announces whatever the sink got a second time.
#[test]
fn what_was_in_flight_is_sent_again_where_the_channel_says_so() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start(home.path(), DELAY);
    let world = World::new(sink.port);
    world.edit("  rate: {perSecond", "  onAmbiguous: Resend\n  rate: {perSecond");
    let tally = torment(&world, &sink, 4, 300, |_| {});
    assert!(!tally.in_flight.is_empty(), "no kill met a message in flight");
    assert_eq!((tally.known, tally.unknown, tally.distinct()), (300, 0, 300));
    let resent = world.status()["channels"][0]["resent"].as_u64().unwrap();
    let again = u64::try_from(tally.accepted.len() - tally.distinct()).unwrap();
    assert!(again <= resent, "{again} came twice and the ledger tells of {resent}");
    assert!(resent >= again.max(1) && resent <= u64::try_from(tally.killed * BOUND).unwrap(), "{resent} announced");
}

/// Control: a relay that accepts and loses.
#[test]
fn the_check_finds_what_a_relay_lost() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::start_with(home.path(), DELAY, 5, 0);
    let tally = torment(&World::new(sink.port), &sink, 1, 100, |_| {});
    assert!(!tally.lost().is_empty(), "every fifth message was lost and nobody noticed");
}

/// Control: one message is lost, while more than one that nobody can tell about has arrived, so that the numbers fit.
#[test]
fn the_check_finds_one_lost_message_among_many_unclear_ones() {
    let all_but_one = (0..20).filter(|client| *client != 3).map(|client| (client, 1)).collect();
    let tally = Tally { arrived: all_but_one, clients: 20, known: 15, unknown: 5, unclear: (15..20).collect(), ..Tally::default() };
    assert_eq!(tally.lost(), [3]);
    let shown = Tally { unclear: [3].into(), ..tally };
    assert!(shown.lost().is_empty(), "what is listed is not lost in silence");
}

/// Control: a kill that leaves too many is not made good by one that leaves few.
#[test]
#[should_panic(expected = "unclear after each kill")]
fn the_check_finds_one_kill_that_leaves_too_much() {
    let (left, unclear) = (vec![BOUND + 1, 0], (0..=BOUND).collect());
    Tally { killed: 2, clients: BOUND + 1, unknown: BOUND + 1, unclear, left, ..Tally::default() }.check(0);
}
