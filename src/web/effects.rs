//! What a link leads to: effects and short codes, looked up in the store once and then remembered for a while.

use super::{
    cache::Cache,
    lookups::{LookupError, Lookups},
};
use crate::{
    links::Sent,
    model::{AddressHash, ClientId, EffectRef, Medium},
    store::{EffectInfo, Journal},
};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};

/// Effects and codes kept in memory.
const CAPACITY: usize = 16_384;

/// Hits remembered for one message: more than any scanner needs to give itself away.
const HITS: usize = 32;

/// What the web remembers of a message. Its links never change.
pub(super) struct Known {
    pub effect: EffectRef,
    /// Whom it was written to, and where.
    pub client: ClientId,
    pub recipient: AddressHash,
    pub brand: String,
    pub medium: Option<Medium>,
    pub sent: Sent,
    pub links: Vec<String>,
    /// `namespace/name` of the channel it left through.
    pub channel: String,
    hits: Mutex<Vec<(i16, Timestamp)>>,
    fresh_until: Timestamp,
}

impl Known {
    /// `before`: what was remembered of it until now.
    fn new(info: EffectInfo, before: Option<&Self>, now: Timestamp) -> Self {
        // An effect whose acceptance is still under way will change its time at any moment.
        let fresh = if info.status.terminal() { SignedDuration::from_mins(10) } else { SignedDuration::from_secs(1) };
        let mut hits = info.hits;
        if let Some(before) = before {
            // Some of them may still be on their way into the store.
            let seen = before.hits.lock().unwrap_or_else(PoisonError::into_inner);
            hits.extend(seen.iter().filter(|hit| !hits.contains(hit)).copied().collect::<Vec<_>>());
            hits.sort_unstable_by_key(|(_, at)| *at);
        }
        hits.drain(..hits.len().saturating_sub(HITS));
        Self {
            effect: info.effect,
            client: info.client,
            recipient: info.key.recipient,
            brand: info.brand,
            medium: info.medium,
            sent: Sent { accepted_at: info.at },
            links: info.links,
            channel: info.target,
            hits: Mutex::new(hits),
            fresh_until: now.checked_add(fresh).unwrap_or(now),
        }
    }

    /// Gives the hits so far to `judge`, then adds this one.
    pub fn hit<T>(&self, link: i16, at: Timestamp, judge: impl FnOnce(&[(i16, Timestamp)]) -> T) -> T {
        let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        let result = judge(&hits);
        if hits.len() >= HITS {
            hits.remove(0);
        }
        hits.push((link, at));
        result
    }
}

pub(super) struct Effects {
    known: Cache<EffectRef, Arc<Known>>,
    codes: Cache<String, (EffectRef, i16)>,
    lookups: Lookups,
}

impl Effects {
    /// Must be called inside a tokio runtime.
    pub fn start(journal: Arc<dyn Journal>) -> Self {
        Self { known: Cache::new(CAPACITY), codes: Cache::new(CAPACITY), lookups: Lookups::start(journal) }
    }

    /// The message, from memory or from the store. While the store is away, what is remembered goes on working.
    pub async fn get(&self, effect: EffectRef, now: Timestamp) -> Result<Option<Arc<Known>>, LookupError> {
        let remembered = self.known.get(&effect);
        if let Some(known) = remembered.as_ref().filter(|k| now < k.fresh_until) {
            return Ok(Some(Arc::clone(known)));
        }
        match (self.lookups.effect(effect).await, remembered) {
            (Ok(Some(info)), before) => {
                let known = Arc::new(Known::new(info, before.as_deref(), now));
                // Another click may have asked at the same moment: what it was answered holds the hits since.
                Ok(Some(self.known.settle(effect, known, |there| now < there.fresh_until)))
            }
            (Err(_), Some(known)) => Ok(Some(known)),
            (Ok(None), _) => Ok(None),
            (Err(error), None) => Err(error),
        }
    }

    /// `namespace/name` of the channel it left through, which never changes. Nothing is remembered for it: receipts come for nearly every
    /// message, and would push the links of those that are clicked on out of memory.
    pub async fn channel(&self, effect: EffectRef) -> Result<Option<String>, LookupError> {
        match self.known.peek(&effect) {
            Some(known) => Ok(Some(known.channel.clone())),
            None => Ok(self.lookups.effect(effect).await?.map(|info| info.target)),
        }
    }

    /// The code's link if it is remembered: costs no look-up.
    pub fn remembered_code(&self, hash: &String) -> Option<(EffectRef, i16)> {
        self.codes.get(hash)
    }

    pub async fn code(&self, hash: &str) -> Result<Option<(EffectRef, i16)>, LookupError> {
        let found = self.lookups.code(hash).await?;
        if let Some(link) = found {
            self.codes.insert(hash.to_owned(), link);
        }
        Ok(found)
    }
}
