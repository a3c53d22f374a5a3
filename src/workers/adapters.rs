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
    /// Since when, and why: its providers refused our account, and have taken nothing since.
    refusal: Mutex<Option<(Timestamp, String)>>,
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
            Outcome::Accepted { .. } | Outcome::Delivered | Outcome::Rejected { .. } => {
                *trouble = None;
                *lock(&self.refusal) = None;
            }
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
            Outcome::ChannelDown { reason, .. } => {
                let mut refusal = lock(&self.refusal);
                let since = refusal.as_ref().map_or(now, |(since, _)| *since);
                *refusal = Some((since, reason.clone()));
            }
            // Nobody's fault.
            Outcome::Unknown { .. } | Outcome::NotStarted | Outcome::Expired => {}
        }
    }

    /// Since when its providers refuse our account, and why. It outlives the pause: that it may be tried again does not mean that
    /// anything was repaired, and while nothing is due nobody finds out.
    #[must_use]
    pub fn refused(&self) -> Option<(Timestamp, String)> {
        lock(&self.refusal).clone()
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

    /// Whether it may go on for settings that cannot be opened. It would hand the texts of another medium to the wrong provider, and
    /// who narrows a channel to a few addresses means it.
    fn may_stand_in_for(&self, settings: &ChannelWiring) -> bool {
        self.wiring.medium == settings.medium && self.wiring.test_recipients == settings.test_recipients
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
    /// cannot be built is said; a channel goes on as it was then, unless that would reach others than the edit means, and anything
    /// else is left out.
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
            let old = self.channels.get(key);
            // Not what was last asked for: that may be what could not be opened.
            if let Some(old) = old.filter(|old| old.wiring == *settings) {
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
                        refusal: Mutex::new(None),
                        trouble: Mutex::new(None),
                    };
                    next.channels.insert(key.clone(), Arc::new(state));
                }
                Err(error) => {
                    errors.push((format!("MessageChannel {key}"), error.to_string()));
                    next.channels.extend(old.filter(|old| old.may_stand_in_for(settings)).map(|old| (key.clone(), old.clone())));
                }
            }
        }
        (next, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::Adapters;
    use crate::{
        compile::{ChannelWiring, DkimWiring, KannelWiring, OnAmbiguous, ProviderKind, ProviderWiring, Secret, Wiring},
        model::{HumanDuration, Medium},
    };

    fn wiring(channel: ChannelWiring) -> Wiring {
        Wiring { channels: [(channel.key.clone(), channel)].into(), ..Wiring::default() }
    }

    #[test]
    fn a_channel_whose_edit_cannot_be_opened_goes_on_unless_others_would_be_reached() {
        let kannel = KannelWiring {
            url: "http://kannel:13013".into(),
            username: "tester".into(),
            password: Secret("foobar".into()),
            from: "7777".into(),
            connections: 1,
        };
        let good = ChannelWiring {
            key: "shop/sms".into(),
            medium: Medium::Sms,
            providers: vec![ProviderWiring { name: "main".into(), kind: ProviderKind::Kannel(kannel) }],
            per_second: 1.0,
            burst: 1,
            on_ambiguous: OnAmbiguous::Hold,
            retry_min: HumanDuration::days(1),
            retry_max: HumanDuration::days(1),
            test_recipients: Vec::new(),
            dkim: None,
            keyword: None,
        };
        let key = DkimWiring { domain: "example.com".into(), selector: "s1".into(), private_key: Secret("junk".into()) };
        let junk = ChannelWiring { dkim: Some(key), ..good.clone() };
        let (open, errors) = Adapters::default().update(wiring(good.clone()));
        assert!(errors.is_empty() && open.channels.len() == 1);
        let cases = [
            ("broken", junk.clone(), 1),
            ("and slower", ChannelWiring { per_second: 0.5, ..junk.clone() }, 1),
            ("and to few", ChannelWiring { test_recipients: vec!["+79990000001".into()], ..junk.clone() }, 0),
            ("and for emails", ChannelWiring { medium: Medium::Email, ..junk.clone() }, 0),
        ];
        for (what, edit, goes_on) in cases {
            let (edited, errors) = open.update(wiring(edit.clone()));
            assert_eq!((errors.len(), edited.channels.len()), (1, goes_on), "{what}");
            let (again, errors) = edited.update(wiring(edit));
            assert_eq!((errors.len(), again.channels.len()), (1, goes_on), "{what}: it is still to be put right");
            let (repaired, errors) = again.update(wiring(good.clone()));
            assert_eq!((errors.len(), repaired.channels.len()), (0, 1), "{what}");
        }
    }
}
