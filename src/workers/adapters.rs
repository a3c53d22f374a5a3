//! The outside as the passes see it: connectors and channels built from the wiring, with their limiters and their moods.

use super::Limiter;
use crate::{
    channels::{self, Channel},
    compile::{ChannelWiring, ConnectionWiring, Wiring},
    crm::{self, Connector},
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Everything with an address outside.
#[derive(Clone, Default)]
pub struct Adapters {
    pub connections: BTreeMap<String, Arc<ConnectionState>>,
    pub channels: BTreeMap<String, Arc<ChannelState>>,
    wiring: Wiring,
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
    pub in_flight: AtomicUsize,
    pause: Mutex<Option<(Timestamp, String)>>,
}

impl ChannelState {
    /// Until when the channel paused itself (credentials, money), and why.
    #[must_use]
    pub fn paused(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|(until, _)| *until > now)
    }

    pub fn pause(&self, until: Timestamp, why: &str) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, why.to_owned()));
    }

    pub fn resume(&self) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it makes sense to hand over one more now. Twice the capacity keeps its connections busy between two batches.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) < self.channel.capacity().max(1) * 2
    }
}

impl Adapters {
    /// Builds what changed and keeps what did not: open connections, reservations and pauses survive an edit elsewhere. What
    /// cannot be built is left out and said.
    #[must_use]
    pub fn update(&self, wiring: Wiring) -> (Self, Vec<(String, String)>) {
        let mut next = Self { wiring, ..Self::default() };
        let mut errors = Vec::new();
        for (key, settings) in &next.wiring.connections {
            if let (Some(old), Some(before)) = (self.connections.get(key), self.wiring.connections.get(key))
                && before == settings
            {
                next.connections.insert(key.clone(), old.clone());
                continue;
            }
            match crm::connect(settings) {
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
            match channels::open(settings) {
                Ok(channel) => {
                    let state = ChannelState {
                        wiring: settings.clone(),
                        channel,
                        limiter: Limiter::new(settings.per_second, settings.burst),
                        in_flight: AtomicUsize::new(0),
                        pause: Mutex::new(None),
                    };
                    next.channels.insert(key.clone(), Arc::new(state));
                }
                Err(error) => errors.push((format!("MessageChannel {key}"), error.to_string())),
            }
        }
        (next, errors)
    }
}
