//! Stops that hold although the rest of an edit does not: who stops a funnel must not have to wait until somebody has repaired its list.

use super::{FunnelSnapshot, resources::Resources};
use crate::model::{FunnelKey, Mode};
use std::collections::BTreeMap;

/// What the newest resources say of stopping, whatever else is wrong with them.
#[derive(Debug, Default)]
pub struct Stops {
    funnels: BTreeMap<FunnelKey, Said>,
    /// Namespace and name of each policy that can be read, and whether it is paused.
    policies: BTreeMap<(String, String), bool>,
}

#[derive(Debug)]
struct Said {
    suspend: bool,
    observe: bool,
    policy: String,
}

impl Stops {
    pub(super) fn of(all: &Resources<'_>) -> Self {
        let funnel = |(namespace, name): &(String, String)| FunnelKey { namespace: namespace.clone(), name: name.clone() };
        let funnels = all.funnels.iter().map(|(key, resource)| {
            let spec = &resource.spec;
            let observe = spec.mode == Mode::Observe;
            (funnel(key), Said { suspend: spec.suspend, observe, policy: spec.policy_ref.name.clone() })
        });
        let policies = all.policies.iter().map(|(key, resource)| (key.clone(), resource.spec.paused));
        Self { funnels: funnels.collect(), policies: policies.collect() }
    }

    /// A revision that goes on because the newest edit is broken, with the stops of that edit. `None`: it has them as it is.
    #[must_use]
    pub fn lay_over(&self, kept: &FunnelSnapshot) -> Option<FunnelSnapshot> {
        let mut laid = kept.clone();
        let said = self.funnels.get(&kept.key());
        if let Some(said) = said {
            laid.spec.suspend = said.suspend;
            // A broken edit may send it back to Observe and let it go on, but never makes it send for the first time.
            let live = kept.spec.mode == Mode::Live || kept.held_back;
            laid.held_back = live && said.observe;
            laid.spec.mode = if live && !said.observe { Mode::Live } else { Mode::Observe };
        }
        // The policy that it works by, and the one that it is meant to work by.
        let policy = |name: &String| self.policies.get(&(kept.namespace.clone(), name.clone())).copied();
        let (works, meant) = (policy(&kept.spec.policy_ref.name), said.and_then(|said| policy(&said.policy)));
        if works.is_some() || meant.is_some() {
            laid.policy.paused = works.unwrap_or_default() || meant.unwrap_or_default();
        }
        (laid != *kept).then_some(laid)
    }
}

impl FunnelSnapshot {
    /// What stops it, in words.
    #[must_use]
    pub fn stopped_by(&self) -> Vec<&'static str> {
        self.with_stops(self.held_back)
    }

    /// All that keeps it from sending, in words: its stops, and that it only observes, though nobody stopped it.
    #[must_use]
    pub fn silent_by(&self) -> Vec<&'static str> {
        self.with_stops(self.spec.mode == Mode::Observe)
    }

    /// The stops of a funnel that may send otherwise.
    #[must_use]
    pub fn stops(&self) -> Vec<&'static str> {
        self.with_stops(false)
    }

    fn with_stops(&self, observes: bool) -> Vec<&'static str> {
        let stops = [
            (self.spec.suspend, "spec.suspend is true"),
            (self.policy.paused, "its ContactPolicy is paused"),
            (observes, "spec.mode is Observe"),
        ];
        stops.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect()
    }
}
