//! The outside as the passes see it: connectors and channels built from the wiring, with their limiters and their moods.

use super::{Limiter, engine::lock};
use crate::{
    channels::{self, Channel, ChannelError},
    compile::{ChannelWiring, ConnectionWiring, Wiring},
    crm::{self, Connector, CrmError},
    model::{EffectRef, Outcome},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Builds what has an address outside from its settings.
pub trait Outside: Send + Sync {
    /// # Errors
    /// As [`crm::connect`].
    fn connect(&self, settings: &ConnectionWiring) -> Result<Arc<dyn Connector>, CrmError>;
    /// # Errors
    /// As [`channels::open`].
    fn open(&self, settings: &ChannelWiring) -> Result<Arc<dyn Channel>, ChannelError>;
}

/// The outside as it is. Simulations bring their own.
#[derive(Debug)]
pub struct RealOutside;

impl Outside for RealOutside {
    fn connect(&self, settings: &ConnectionWiring) -> Result<Arc<dyn Connector>, CrmError> {
        crm::connect(settings)
    }

    fn open(&self, settings: &ChannelWiring) -> Result<Arc<dyn Channel>, ChannelError> {
        channels::open(settings)
    }
}

/// Everything with an address outside.
#[derive(Clone)]
pub struct Adapters {
    pub connections: BTreeMap<String, Arc<ConnectionState>>,
    pub channels: BTreeMap<String, Arc<ChannelState>>,
    wiring: Wiring,
    outside: Arc<dyn Outside>,
}

impl Default for Adapters {
    fn default() -> Self {
        Self::of(Arc::new(RealOutside))
    }
}

pub struct ConnectionState {
    pub wiring: ConnectionWiring,
    pub connector: Arc<dyn Connector>,
    /// A write-back batch is under way: the next waits, so that the order within a deal holds.
    pub writing: AtomicBool,
}

/// A channel with what the passes must know about its day.
pub struct ChannelState {
    pub wiring: ChannelWiring,
    pub channel: Arc<dyn Channel>,
    pub limiter: Limiter,
    under_way: AtomicUsize,
    pace: Mutex<Pace>,
    /// From when, until when, and why.
    pause: Mutex<Option<(Timestamp, Timestamp, String)>>,
    trouble: Mutex<Option<Trouble>>,
}

/// Several messages one after the other were not taken, and none was meanwhile.
struct Trouble {
    since: Timestamp,
    last: Timestamp,
    messages: BTreeSet<EffectRef>,
    reason: String,
}

impl Trouble {
    /// So many different messages: one alone may have a full mailbox.
    const MESSAGES: usize = 3;
    /// A server that starts again is none.
    const LASTS: SignedDuration = SignedDuration::from_secs(5);
    /// How long it counts at least without another attempt.
    const REMEMBERED: SignedDuration = SignedDuration::from_mins(5);

    fn is_outage(&self) -> bool {
        self.messages.len() >= Self::MESSAGES && self.last.duration_since(self.since) >= Self::LASTS
    }
}

/// Room for one message of a channel, from before it is intended until its outcome is written down; free again when dropped.
pub struct Slot(Arc<ChannelState>);

impl Slot {
    #[must_use]
    pub const fn channel(&self) -> &Arc<ChannelState> {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        lock(&self.0.pace).landed += 1;
    }
}

impl ChannelState {
    /// Until when the channel paused itself (credentials, money), and why.
    #[must_use]
    pub fn paused(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        // Before it began: the clock was ahead then, and has been put right.
        lock(&self.pause).clone().filter(|(from, until, _)| *from <= now && now < *until).map(|(_, until, why)| (until, why))
    }

    pub fn pause(&self, from: Timestamp, until: Timestamp, why: &str) {
        *lock(&self.pause) = Some((from, until, why.to_owned()));
    }

    pub fn resume(&self) {
        *lock(&self.pause) = None;
    }

    /// What its providers said to a message.
    pub fn heard(&self, message: EffectRef, outcome: &Outcome, now: Timestamp) {
        let mut trouble = lock(&self.trouble);
        match outcome {
            Outcome::Accepted { .. } | Outcome::Delivered | Outcome::Rejected { .. } => *trouble = None,
            Outcome::Retry { reason, .. } => {
                let trouble = trouble.get_or_insert_with(|| Trouble {
                    since: now,
                    last: now,
                    messages: BTreeSet::new(),
                    reason: String::new(),
                });
                trouble.last = now;
                trouble.reason.clone_from(reason);
                if trouble.messages.len() < Trouble::MESSAGES {
                    trouble.messages.insert(message);
                }
            }
            // Its own fault, told by the pause; or nobody's.
            Outcome::ChannelDown { .. } | Outcome::Unknown { .. } | Outcome::NotStarted | Outcome::Expired => {}
        }
    }

    /// Since when nothing is taken by any of its providers, and why, in their codes and our words. What waits is tried again within
    /// `retry.max`, or a minute where a server is not reached; where nothing was for much longer, nothing waits, and nobody knows.
    #[must_use]
    pub fn outage(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        let remembered = self.wiring.retry_max.signed().saturating_mul(2).max(Trouble::REMEMBERED);
        let trouble = lock(&self.trouble);
        let trouble = trouble.as_ref().filter(|trouble| trouble.is_outage() && now.duration_since(trouble.last) <= remembered)?;
        Some((trouble.since, trouble.reason.clone()))
    }

    /// Room for one more message, if there is any. A kill makes everything intended ambiguous, so no more is intended than may be:
    /// connections × pipeline depth.
    #[must_use]
    pub fn slot(self: &Arc<Self>) -> Option<Slot> {
        let bound = self.channel.in_flight_bound().max(1);
        let claim = |n: usize| (n < bound).then_some(n + 1);
        self.under_way.fetch_update(Ordering::SeqCst, Ordering::SeqCst, claim).is_ok().then(|| Slot(self.clone()))
    }

    /// A slot whatever the bound: where time stands still, and for what is started already.
    #[must_use]
    pub fn extra_slot(self: &Arc<Self>) -> Slot {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Slot(self.clone())
    }

    /// When to ask again for room: those who find none are laid out at the pace of what lands, so that a long queue is not
    /// written anew every second.
    #[must_use]
    pub fn later(&self, now: Timestamp) -> Timestamp {
        lock(&self.pace).later(now)
    }
}

/// How fast messages land, and when the next one without room may ask.
struct Pace {
    landed: u32,
    since: Timestamp,
    per_second: f64,
    next: Timestamp,
}

impl Pace {
    /// Nobody waits longer than that for what may be a wrong guess.
    const LONGEST: SignedDuration = SignedDuration::from_secs(10);

    fn new(bound: usize) -> Self {
        let bound = u32::try_from(bound).unwrap_or(u32::MAX);
        Self { landed: 0, since: Timestamp::UNIX_EPOCH, per_second: f64::from(bound) * 50.0, next: Timestamp::UNIX_EPOCH }
    }

    fn later(&mut self, now: Timestamp) -> Timestamp {
        let passed = now.duration_since(self.since).as_secs_f64();
        if passed >= 1.0 {
            if passed < 10.0 {
                self.per_second = f64::midpoint(self.per_second, f64::from(self.landed) / passed).max(1.0);
            }
            (self.landed, self.since) = (0, now);
        }
        let at = self.next.max(now + SignedDuration::from_secs(1));
        if at > now + Self::LONGEST {
            return now + Self::LONGEST;
        }
        // Twice the pace: rather a few who ask in vain than a channel that waits for them, and a faster one is found out.
        self.next = at + SignedDuration::try_from_secs_f64(0.5 / self.per_second).unwrap_or(SignedDuration::ZERO);
        at
    }
}

impl Adapters {
    /// None yet; they will be built by `outside`.
    #[must_use]
    pub fn of(outside: Arc<dyn Outside>) -> Self {
        Self { connections: BTreeMap::new(), channels: BTreeMap::new(), wiring: Wiring::default(), outside }
    }

    /// The settings they were built from.
    #[must_use]
    pub const fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// Builds what changed and keeps what did not: open connections, reservations and pauses survive an edit elsewhere. What
    /// cannot be built is left out and said.
    #[must_use]
    pub fn update(&self, wiring: Wiring) -> (Self, Vec<(String, String)>) {
        let mut next = Self { wiring, ..Self::of(self.outside.clone()) };
        let mut errors = Vec::new();
        for (key, settings) in &next.wiring.connections {
            if let (Some(old), Some(before)) = (self.connections.get(key), self.wiring.connections.get(key))
                && before == settings
            {
                next.connections.insert(key.clone(), old.clone());
                continue;
            }
            match self.outside.connect(settings) {
                Ok(connector) => {
                    let state = ConnectionState { wiring: settings.clone(), connector, writing: AtomicBool::new(false) };
                    next.connections.insert(key.clone(), Arc::new(state));
                }
                Err(error) => errors.push((format!("CrmConnection {key}"), error.to_string())),
            }
        }
        for (key, settings) in &next.wiring.channels {
            if let (Some(old), Some(before)) = (self.channels.get(key), self.wiring.channels.get(key))
                && before == settings
            {
                next.channels.insert(key.clone(), old.clone());
                continue;
            }
            match self.outside.open(settings) {
                Ok(channel) => {
                    let bound = channel.in_flight_bound();
                    let state = ChannelState {
                        wiring: settings.clone(),
                        channel,
                        limiter: Limiter::new(settings.per_second, settings.burst),
                        under_way: AtomicUsize::new(0),
                        pace: Mutex::new(Pace::new(bound)),
                        pause: Mutex::new(None),
                        trouble: Mutex::new(None),
                    };
                    next.channels.insert(key.clone(), Arc::new(state));
                }
                Err(error) => errors.push((format!("MessageChannel {key}"), error.to_string())),
            }
        }
        (next, errors)
    }
}
