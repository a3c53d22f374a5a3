//! Guessing short codes is hopeless (71 bits), but each guess costs the store a look-up: an address that keeps guessing wrong
//! is asked to come later for a while. Only on the way to a target: opting out is always looked up.

use super::Settings;
use axum::http::HeaderMap;
use jiff::Timestamp;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

/// Wrong codes in a row that an address may try.
const BURST: f64 = 200.0;
/// How many it gets back in a second.
const PER_SECOND: f64 = 20.0;
/// Addresses remembered; beyond, all are forgotten at once.
const ADDRESSES: usize = 10_000;

/// The other end of the connection, set by the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

/// Who asks, as far as it can be known: the proxy's word if there is one, else the connection.
pub(super) fn client_ip(settings: &Settings, headers: &HeaderMap, peer: Option<Peer>) -> Option<IpAddr> {
    let told = settings.client_ip_header.as_ref().and_then(|name| {
        // The last one was written by the proxy next to us; those before it are whatever the client claimed.
        let last = headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
        // Some write the port as well.
        last.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
    });
    told.or(peer.map(|p| p.0.ip()))
}

#[derive(Default)]
pub(super) struct Guard {
    tried: Mutex<HashMap<IpAddr, (f64, Timestamp)>>,
}

impl Guard {
    /// Whether this address may still cause a look-up.
    pub fn allows(&self, ip: Option<IpAddr>, now: Timestamp) -> bool {
        let Some(ip) = ip else { return true };
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.get(&ip).is_none_or(|(used, at)| remaining(*used, *at, now) < BURST)
    }

    /// It tried a code that does not exist.
    pub fn missed(&self, ip: Option<IpAddr>, now: Timestamp) {
        let Some(ip) = ip else { return };
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.len() >= ADDRESSES && !tried.contains_key(&ip) {
            tried.retain(|_, (used, at)| remaining(*used, *at, now) > 0.0);
            if tried.len() >= ADDRESSES {
                tried.clear();
            }
        }
        let entry = tried.entry(ip).or_insert((0.0, now));
        *entry = (remaining(entry.0, entry.1, now) + 1.0, now);
    }
}

fn remaining(used: f64, at: Timestamp, now: Timestamp) -> f64 {
    (used - now.duration_since(at).as_secs_f64().max(0.0) * PER_SECOND).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::{Guard, Peer, client_ip};
    use crate::web::Settings;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use jiff::Timestamp;
    use std::net::SocketAddr;

    #[test]
    fn guessing_ends_and_begins_again() {
        let guard = Guard::default();
        let at = |s| Timestamp::from_second(s).unwrap();
        let ip = Some([10, 0, 0, 1].into());
        for _ in 0..200 {
            assert!(guard.allows(ip, at(0)));
            guard.missed(ip, at(0));
        }
        assert!(!guard.allows(ip, at(0)));
        assert!(guard.allows(Some([10, 0, 0, 2].into()), at(0)));
        assert!(guard.allows(ip, at(1)));
    }

    #[test]
    fn only_the_proxy_next_to_us_is_believed() {
        let peer = Some(Peer(SocketAddr::from(([10, 0, 0, 9], 1))));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.1.1.1, 2.2.2.2"));
        let mut settings = Settings::default();
        assert_eq!(client_ip(&settings, &headers, peer), Some([10, 0, 0, 9].into()));
        settings.client_ip_header = Some(HeaderName::from_static("x-forwarded-for"));
        assert_eq!(client_ip(&settings, &headers, peer), Some([2, 2, 2, 2].into()));
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.1.1.1,2.2.2.2:49152"));
        assert_eq!(client_ip(&settings, &headers, peer), Some([2, 2, 2, 2].into()));
        headers.insert("x-forwarded-for", HeaderValue::from_static("unknown"));
        assert_eq!(client_ip(&settings, &headers, peer), Some([10, 0, 0, 9].into()));
    }
}
