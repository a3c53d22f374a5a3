//! What goes wrong, drawn from a seed, and where it hit.

use super::{
    frames::kind_of,
    town::{LEASE, REPLICAS, Town},
    wire::{Aim, Doing, Fault},
};
use crate::dice::Dice;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    KillWorker,
    KillAtWrite,
    KillAtCommit,
    KillBeforeCommit,
    KillStandby,
    Stop,
    StopPostgres,
    CutInRequest,
    CutAfterRequest,
    CutBeforeReply,
    CutAtCommit,
    Silence,
    Freeze,
    Slices,
    Delays,
    Refuse,
}

impl Event {
    /// With its share in a hundred.
    const ALL: [(Self, u64, &str); 16] = [
        (Self::KillWorker, 18, "SIGKILL of the working engine"),
        (Self::KillAtWrite, 8, "SIGKILL at a statement that writes"),
        (Self::KillAtCommit, 6, "SIGKILL at a COMMIT that arrives"),
        (Self::KillBeforeCommit, 6, "SIGKILL at a COMMIT that does not"),
        (Self::KillStandby, 8, "SIGKILL of a standby"),
        (Self::Stop, 12, "SIGSTOP for longer than the lease"),
        (Self::StopPostgres, 7, "pg_ctl stop -m immediate"),
        (Self::CutInRequest, 5, "cut within a request"),
        (Self::CutAfterRequest, 5, "cut after a request"),
        (Self::CutBeforeReply, 5, "cut before the reply"),
        (Self::CutAtCommit, 6, "cut before the reply to COMMIT"),
        (Self::Silence, 3, "silent for good (half-open)"),
        (Self::Freeze, 3, "nothing moves for longer than the lease"),
        (Self::Slices, 3, "everything in slices"),
        (Self::Delays, 3, "everything late"),
        (Self::Refuse, 3, "all cut, new ones refused"),
    ];

    fn draw(dice: Dice, n: u64) -> Self {
        let mut roll = dice.roll("event", n, Self::ALL.iter().map(|(_, share, _)| share).sum());
        for (event, share, _) in Self::ALL {
            if roll < share {
                return event;
            }
            roll -= share;
        }
        Self::KillWorker
    }
}

/// Where one hit.
struct Hit {
    flying: usize,
    at: Doing,
}

/// All that happened.
#[derive(Default)]
pub struct Histogram {
    hits: BTreeMap<Event, Vec<(usize, &'static str)>>,
    /// Those that found nothing to hit, and do not count.
    missed: BTreeMap<Event, usize>,
}

const FLYING: [(&str, usize); 4] = [("0", 0), ("1–2", 2), ("3–5", 5), ("6–8", usize::MAX)];
const PLACES: [&str; 7] = ["idle", "lease", "read", "BEGIN, fence", "write", "COMMIT", "between"];

impl Histogram {
    fn note(&mut self, event: Event, hit: &Hit) {
        let place = match &hit.at {
            at if at.waiting => kind_of(&at.statement),
            at if at.inside => "between",
            _ => "idle",
        };
        self.hits.entry(event).or_default().push((hit.flying, place));
    }

    pub fn add(&mut self, other: Self) {
        for (event, n) in other.missed {
            *self.missed.entry(event).or_default() += n;
        }
        for (event, hits) in other.hits {
            self.hits.entry(event).or_default().extend(hits);
        }
    }

    pub fn of(&self, event: Event) -> usize {
        self.hits.get(&event).map_or(0, Vec::len)
    }

    pub fn missed(&self) -> usize {
        self.missed.values().sum()
    }

    pub fn count(&self) -> usize {
        self.hits.values().map(Vec::len).sum()
    }

    /// As the documentation shows it.
    pub fn table(&self) -> String {
        let head: Vec<&str> = FLYING.iter().map(|(name, _)| *name).chain(PLACES).collect();
        let mut out = format!("| event | n | missed | {} |\n|---|---|---|{}\n", head.join(" | "), "---|".repeat(head.len()));
        for (event, _, name) in Event::ALL {
            let hits = self.hits.get(&event).map_or(&[][..], Vec::as_slice);
            let bucket = |n: usize| FLYING.iter().position(|(_, most)| n <= *most).unwrap_or(0);
            let flying = (0..FLYING.len()).map(|i| hits.iter().filter(|(n, _)| bucket(*n) == i).count());
            let places = PLACES.iter().map(|place| hits.iter().filter(|(_, at)| at == place).count());
            let cells: Vec<String> = flying.chain(places).map(|n| if n == 0 { String::new() } else { n.to_string() }).collect();
            let missed = self.missed.get(&event).copied().unwrap_or(0);
            let _ = writeln!(out, "| {name} | {} | {missed} | {} |", hits.len(), cells.join(" | "));
        }
        out
    }
}

/// Lets `wanted` events happen, and remembers where they hit.
pub fn torment(town: &mut Town, dice: Dice, wanted: usize) -> Histogram {
    let mut histogram = Histogram::default();
    let mut n = 0;
    while histogram.count() < wanted {
        town.wait("somebody who works and messages in flight", true, |town| town.worker().is_some() && town.sinks.in_flight() > 0);
        // Not always at the first moment.
        town.live(Duration::from_millis(dice.roll("wait", n, 250)));
        let event = Event::draw(dice, n);
        match strike(town, event, dice, n) {
            Some(hit) => histogram.note(event, &hit),
            None => *histogram.missed.entry(event).or_default() += 1,
        }
        n += 1;
        let missed = histogram.missed();
        assert!(missed <= 20 + histogram.count() * 2, "{missed} of {n} events found nothing to hit: {:?}", histogram.missed);
    }
    histogram
}

/// `None`: it found nothing to hit.
fn strike(town: &mut Town, event: Event, dice: Dice, n: u64) -> Option<Hit> {
    let worker = town.worker()?;
    // Wires of standbys break, too.
    let whose = if dice.chance("whose wire", n, 150) { (worker + 1) % REPLICAS } else { worker };
    // Most requests are questions; what writes is more worth breaking.
    let aim = if dice.chance("aim", n, 600) { Aim::Write } else { Aim::Any };
    let longer = LEASE.mul_f64(1.3) + Duration::from_millis(dice.roll("longer", n, 1000));
    match event {
        Event::KillWorker => {
            // It stands still while we look, so that what is counted is what the kill meets.
            town.signal(worker, "-STOP");
            let hit = look(town, worker);
            if hit.flying == 0 {
                town.signal(worker, "-CONT");
                return None;
            }
            town.kill(worker);
            town.start(worker);
            Some(hit)
        }
        Event::KillAtWrite | Event::KillAtCommit | Event::KillBeforeCommit => {
            let aim = if event == Event::KillAtWrite { Aim::Write } else { Aim::Commit };
            let at = armed(town, worker, Fault::Hold, aim);
            let flying = town.sinks.in_flight();
            if at.is_none() || flying == 0 {
                town.replicas[worker].wire.release(true);
                return None;
            }
            town.kill(worker);
            town.replicas[worker].wire.release(event != Event::KillBeforeCommit);
            town.start(worker);
            at.map(|at| Hit { flying, at })
        }
        Event::KillStandby => {
            let other = (worker + 1 + usize::try_from(dice.roll("who", n, 2)).unwrap_or(0)) % REPLICAS;
            let hit = look(town, other);
            town.kill(other);
            town.start(other);
            Some(hit)
        }
        Event::Stop => {
            town.signal(worker, "-STOP");
            let hit = look(town, worker);
            town.live(longer);
            town.signal(worker, "-CONT");
            Some(hit)
        }
        Event::StopPostgres => {
            let hit = look(town, worker);
            town.postgres.stop_at_once();
            std::thread::sleep(Duration::from_millis(dice.roll("away", n, 1500)));
            town.postgres.start();
            Some(hit)
        }
        Event::CutInRequest => cut(town, whose, Fault::CutInRequest, aim),
        Event::CutAfterRequest => cut(town, whose, Fault::CutAfterRequest, aim),
        Event::CutBeforeReply => cut(town, whose, Fault::CutBeforeReply, aim),
        Event::CutAtCommit => cut(town, worker, Fault::CutBeforeReply, Aim::Commit),
        Event::Silence => cut(town, whose, Fault::Silence, aim),
        Event::Freeze | Event::Slices | Event::Delays | Event::Refuse => {
            let hit = look(town, whose);
            let wire = &town.replicas[whose].wire;
            match event {
                Event::Freeze => wire.freeze(longer),
                Event::Slices => wire.slice(longer),
                Event::Delays => wire.delay(longer),
                _ => wire.refuse(longer),
            }
            town.live(longer);
            Some(hit)
        }
    }
}

fn look(town: &mut Town, n: usize) -> Hit {
    Hit { flying: town.sinks.in_flight(), at: town.replicas[n].wire.doing() }
}

fn cut(town: &mut Town, n: usize, fault: Fault, aim: Aim) -> Option<Hit> {
    let flying = town.sinks.in_flight();
    armed(town, n, fault, aim).map(|at| Hit { flying, at })
}

/// What the fault hit within three seconds.
fn armed(town: &mut Town, n: usize, fault: Fault, aim: Aim) -> Option<Doing> {
    town.replicas[n].wire.arm(fault, aim);
    let since = Instant::now();
    while !town.replicas[n].wire.was_hit() && since.elapsed() < Duration::from_secs(3) {
        town.feed();
        std::thread::sleep(Duration::from_millis(2));
    }
    town.replicas[n].wire.disarm()
}
