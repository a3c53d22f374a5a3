//! The protocol of one message in small: take-over × intent × mark, every order in which up to three processes can do it, with deaths,
//! lost replies and leases that run out at any moment. A state space this size needs no more than a queue and a set. The broken
//! variants are witnesses: each must have a way to break a promise, else the model would prove nothing.

use std::collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Effect {
    /// Not written down yet.
    None,
    /// Intended under this epoch.
    Open(u8),
    Unknown,
    /// Certainly not accepted: waits in the outbox.
    Waiting,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Outcome {
    Accepted,
    Unknown,
    /// Refused or never started: certainly not accepted.
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    Idle,
    /// Has read the copy at this version, with no effect in its ledger.
    Decided(u8),
    /// Inside a transaction that found its lease in force (and holds its row): an intent decided on this version, or a retry.
    Intending(u8),
    Starting,
    MustSend(u8),
    Told(u8, Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Worker {
    /// 0: none.
    epoch: u8,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct State {
    epoch: u8,
    expired: bool,
    ver: u8,
    effect: Effect,
    attempt: u8,
    /// How often the provider took it.
    taken: u8,
    deaths: u8,
    workers: [Worker; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Right,
    /// Transactions do not look at the lease.
    NoFence,
    /// The take-over does not wait for transactions in flight: what they write is not among the orphans it finds.
    TakeOverDoesNotWait,
    /// Neither the version nor the ledger's key stops a second intent.
    NoKeyNoVersion,
    /// A take-over leaves open intents to be sent again.
    OrphansResent,
    /// Written down as accepted before the bytes leave.
    MarkBeforeSend,
    /// An outcome counts whatever attempt it is about.
    AnyAttempt,
    /// What is unknown is tried again.
    RetryUnknown,
}

const EPOCHS: u8 = 4;
const DEATHS: u8 = 2;
const ATTEMPTS: u8 = 3;

/// Every state that can come next.
fn next(state: &State, variant: Variant) -> Vec<(String, State)> {
    let mut out = Vec::new();
    if !state.expired && state.epoch > 0 {
        out.push(("the lease runs out".to_owned(), State { expired: true, ..*state }));
    }
    let writing = |w: &Worker| matches!(w.phase, Phase::Intending(_) | Phase::Starting);
    let in_flight = state.workers.iter().any(writing);
    for (n, worker) in state.workers.iter().enumerate() {
        let mut step = |what: &str, change: &dyn Fn(&mut State)| {
            let mut after = *state;
            change(&mut after);
            out.push((format!("{n} {what}"), after));
        };
        let go = |after: &mut State, phase: Phase| after.workers[n].phase = phase;
        let fenced = worker.epoch == state.epoch || variant == Variant::NoFence;
        if worker.epoch != 0 && state.deaths < DEATHS {
            step("dies", &|s| {
                s.deaths += 1;
                s.workers[n] = Worker { epoch: 0, phase: Phase::Idle };
            });
        }
        let free = state.epoch == 0 || state.expired;
        let waits = in_flight && variant != Variant::TakeOverDoesNotWait;
        if free && !waits && state.epoch < EPOCHS && worker.phase == Phase::Idle {
            step("takes over", &|s| {
                s.epoch += 1;
                s.expired = false;
                s.workers[n].epoch = s.epoch;
                if let Effect::Open(_) = s.effect {
                    s.effect = if variant == Variant::OrphansResent { Effect::Waiting } else { Effect::Unknown };
                }
            });
        }
        match worker.phase {
            Phase::Idle if worker.epoch != 0 => {
                if state.effect == Effect::None || variant == Variant::NoKeyNoVersion {
                    step("decides", &|s| go(s, Phase::Decided(state.ver)));
                }
                if state.effect == Effect::Waiting && fenced && state.attempt < ATTEMPTS {
                    step("begins a retry", &|s| go(s, Phase::Starting));
                }
            }
            Phase::Decided(ver) => {
                let phase = if fenced { Phase::Intending(ver) } else { Phase::Idle };
                step("begins an intent", &|s| go(s, phase));
            }
            Phase::Intending(ver) => {
                let may = ver == state.ver && state.effect == Effect::None || variant == Variant::NoKeyNoVersion;
                step("commits an intent", &|s| {
                    go(s, Phase::Idle);
                    if may {
                        s.ver = s.ver.saturating_add(1).min(3);
                        s.attempt = 1;
                        s.effect = if variant == Variant::MarkBeforeSend { Effect::Accepted } else { Effect::Open(worker.epoch) };
                        go(s, Phase::MustSend(1));
                    }
                });
                if may {
                    // The reply to COMMIT is lost: it gives up its lease and knows nothing.
                    step("commits an intent and does not learn it", &|s| {
                        s.ver = s.ver.saturating_add(1).min(3);
                        s.attempt = 1;
                        s.effect = Effect::Open(worker.epoch);
                        s.expired |= s.epoch == worker.epoch;
                        s.workers[n] = Worker { epoch: 0, phase: Phase::Idle };
                    });
                }
            }
            Phase::Starting => step("commits a retry", &|s| {
                go(s, Phase::Idle);
                if s.effect == Effect::Waiting {
                    s.attempt += 1;
                    s.effect = Effect::Open(worker.epoch);
                    go(s, Phase::MustSend(s.attempt));
                }
            }),
            Phase::MustSend(attempt) => {
                // It may have stood still since it looked at its deadline: nothing closes that, so it may send at any time.
                step("sends, accepted", &|s| {
                    s.taken += 1;
                    go(s, Phase::Told(attempt, Outcome::Accepted));
                });
                step("sends, accepted, no reply", &|s| {
                    s.taken += 1;
                    go(s, Phase::Told(attempt, Outcome::Unknown));
                });
                step("sends, lost, no reply", &|s| go(s, Phase::Told(attempt, Outcome::Unknown)));
                step("does not send, or is refused", &|s| go(s, Phase::Told(attempt, Outcome::Not)));
            }
            Phase::Told(attempt, outcome) => {
                let merge = |s: &mut State| {
                    let mine = attempt == s.attempt || variant == Variant::AnyAttempt;
                    let pending = matches!(s.effect, Effect::Open(_) | Effect::Unknown);
                    match outcome {
                        Outcome::Accepted => s.effect = Effect::Accepted,
                        Outcome::Unknown if mine && pending => {
                            s.effect = if variant == Variant::RetryUnknown { Effect::Waiting } else { Effect::Unknown };
                        }
                        Outcome::Not if mine && pending => s.effect = Effect::Waiting,
                        _ => {}
                    }
                };
                step("marks", &|s| {
                    go(s, Phase::Idle);
                    merge(s);
                });
                // It will mark once more.
                step("marks and does not learn it", &merge);
            }
            Phase::Idle => {}
        }
    }
    out
}

/// The promise that a state breaks.
fn broken(state: &State) -> Option<&'static str> {
    let pending = |w: &Worker| matches!(w.phase, Phase::MustSend(_) | Phase::Told(..));
    if state.taken > 1 {
        return Some("I1: taken twice");
    }
    if state.taken == 1 && matches!(state.effect, Effect::None | Effect::Waiting) {
        return Some("I9: the provider has it and the ledger would send it again");
    }
    if state.effect == Effect::Accepted && state.taken == 0 && !state.workers.iter().any(pending) {
        return Some("I9: accepted, and no provider has it");
    }
    match state.effect {
        Effect::Open(epoch) if epoch < state.epoch => Some("I9: an open intent that no take-over found"),
        _ => None,
    }
}

/// Looks at every reachable state; the shortest way to a broken one, if there is one.
fn explore(variant: Variant) -> (usize, Option<(&'static str, Vec<String>)>) {
    let idle = Worker { epoch: 0, phase: Phase::Idle };
    let start =
        State { epoch: 0, expired: false, ver: 0, effect: Effect::None, attempt: 0, taken: 0, deaths: 0, workers: [idle; 3] };
    let mut before: HashMap<State, Option<(State, String)>> = HashMap::from([(start, None)]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        if let Some(promise) = broken(&state) {
            let (mut way, mut at) = (Vec::new(), state);
            while let Some(Some((from, what))) = before.get(&at) {
                way.push(what.clone());
                at = *from;
            }
            way.reverse();
            return (before.len(), Some((promise, way)));
        }
        for (what, mut after) in next(&state, variant) {
            // Which of the processes it is makes no difference.
            after.workers.sort_unstable();
            if let Entry::Vacant(new) = before.entry(after) {
                new.insert(Some((state, what)));
                queue.push_back(after);
            }
        }
    }
    (before.len(), None)
}

#[test]
fn no_order_of_events_breaks_the_protocol() {
    let (states, broken) = explore(Variant::Right);
    eprintln!("{states} states");
    assert_eq!(broken, None);
    assert!(states > 1_000, "{states} states are too few to mean anything");
}

#[test]
fn every_broken_variant_has_a_witness() {
    let mut promises = BTreeSet::new();
    for variant in [
        Variant::NoFence,
        Variant::TakeOverDoesNotWait,
        Variant::NoKeyNoVersion,
        Variant::OrphansResent,
        Variant::MarkBeforeSend,
        Variant::AnyAttempt,
        Variant::RetryUnknown,
    ] {
        let (states, broken) = explore(variant);
        let Some((promise, way)) = broken else { panic!("{variant:?} breaks nothing in {states} states") };
        eprintln!("{variant:?}: {promise}, after {} steps: {way:?}", way.len());
        promises.insert(promise);
    }
    assert_eq!(promises.len(), 4, "each promise of the model can be broken: {promises:?}");
}
