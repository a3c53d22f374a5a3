//! From a snapshot of resources to what is in force: revisions in the store, plans in memory, adapters outside.

use super::{
    Adapters, Live, Plans,
    engine::{Engine, WorkerError, lock},
};
use crate::{
    compile::{self, Finding, FunnelSnapshot, ObjectRef, Snapshot, Stops},
    model::FunnelKey,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How often an engine at work asks whether somebody else has published. What it sends is refused sooner.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What publishing a snapshot came to.
#[derive(Debug, Default)]
pub struct Published {
    /// Funnels in force, with their revision and whether it is new.
    pub funnels: Vec<(FunnelKey, i64, bool)>,
    /// Funnels whose edit is broken: their last good revision stays in force (`None`: they never had one).
    pub kept: Vec<(FunnelKey, Option<i64>)>,
    /// Of those that were kept: the connections and channels that their revision knows as they are now.
    pub known: BTreeMap<FunnelKey, BTreeSet<ObjectRef>>,
    /// What stops those that were kept, in words: a stop holds although the rest of its edit does not.
    pub stopped: BTreeMap<FunnelKey, Vec<&'static str>>,
    /// What keeps those in force from sending, in words; absent: nothing does.
    pub silent: BTreeMap<FunnelKey, Vec<&'static str>>,
    /// Those whose manifests let them send from now on and did not before, and those kept of which the last stop was taken back.
    pub released: BTreeSet<FunnelKey>,
    pub retired: Vec<FunnelKey>,
    pub findings: Vec<Finding>,
    /// Adapters that could not be built: resource and reason.
    pub adapters: Vec<(String, String)>,
}

impl Engine {
    /// Publishes a snapshot. `declared`: the funnels that exist, broken ones too; `None` when that is not known for sure, and then
    /// nothing counts as deleted.
    ///
    /// # Errors
    /// When the store cannot be used: what was in force stays in force.
    pub async fn publish(&self, snapshot: &Snapshot, declared: Option<&BTreeSet<FunnelKey>>) -> Result<Published, WorkerError> {
        self.publish_beside(snapshot, declared, &BTreeSet::new()).await
    }

    /// As [`Engine::publish`], where some namespaces could not be read: nothing of them counts as deleted, what is in force there stays.
    ///
    /// # Errors
    /// As there.
    pub async fn publish_beside(
        &self,
        snapshot: &Snapshot,
        declared: Option<&BTreeSet<FunnelKey>>,
        unread: &BTreeSet<String>,
    ) -> Result<Published, WorkerError> {
        let now = self.clock.now();
        let output = compile::compile(snapshot);
        let mut published = Published { findings: output.findings, ..Published::default() };
        let mut plans = Plans::default();
        let before = self.plans.load_full();
        for (funnel, good) in &output.funnels {
            let json = serde_json::to_value(good).unwrap_or_default();
            let number = self.journal.publish(funnel, &good.voice(), &json, now).await?;
            let since = self.journal.first_published(funnel).await?.unwrap_or(now);
            match compile::compile_funnel(good, number, since) {
                Ok(compiled) => {
                    let was = before.get(funnel);
                    let fresh = was.is_none_or(|live| live.plan.revision != number);
                    let silent = good.silent_by();
                    if silent.is_empty() && was.is_some_and(|live| live.plan.silent()) {
                        published.released.insert(funnel.clone());
                    } else if !silent.is_empty() {
                        published.silent.insert(funnel.clone(), silent);
                    }
                    plans.0.insert(funnel.clone(), compiled.into());
                    published.funnels.push((funnel.clone(), number, fresh));
                }
                Err(findings) => published.findings.extend(findings),
            }
        }
        for revision in self.journal.revisions().await? {
            let funnel = &revision.funnel;
            if plans.0.contains_key(funnel) || revision.deleted {
                continue;
            }
            if declared.is_some_and(|declared| !declared.contains(funnel)) && !unread.contains(&funnel.namespace) {
                self.journal.retire(funnel, now).await?;
                published.retired.push(funnel.clone());
                continue;
            }
            // Broken by this edit, or unreadable: the last good revision goes on.
            let kept = match serde_json::from_value::<FunnelSnapshot>(revision.snapshot) {
                Ok(kept) => {
                    published.known.insert(funnel.clone(), kept.knows(snapshot));
                    self.keep(&output.stops, kept, revision.number, &mut published, now).await?
                }
                Err(_) => None,
            };
            published.kept.push((funnel.clone(), kept.as_ref().map(|live| live.plan.revision)));
            if let Some(live) = kept {
                plans.0.insert(funnel.clone(), live);
            }
        }
        for funnel in declared.into_iter().flatten() {
            if !plans.0.contains_key(funnel) && !published.kept.iter().any(|(kept, _)| kept == funnel) {
                published.kept.push((funnel.clone(), None));
            }
        }
        plans.1 = published.kept.iter().filter(|(_, revision)| revision.is_none()).map(|(funnel, _)| funnel.clone()).collect();
        let kept = published.kept.iter().any(|(_, revision)| revision.is_some());
        let (adapters, errors) = self.adapters.load().update(self.wiring_with_kept(output.wiring, kept));
        published.adapters = errors;
        self.adapters.store(Arc::new(adapters));
        self.wired.store(true, Ordering::SeqCst);
        self.plans.store(Arc::new(plans));
        self.set_published();
        self.wake();
        Ok(published)
    }

    /// The last good revision with the stops of the broken edit. They are published like any other edit, so that every replica obeys, and
    /// nothing that was decided before them leaves.
    async fn keep(
        &self,
        stops: &Stops,
        mut snapshot: FunnelSnapshot,
        mut number: i64,
        published: &mut Published,
        now: Timestamp,
    ) -> Result<Option<Live>, WorkerError> {
        let funnel = snapshot.key();
        let since = self.journal.first_published(&funnel).await?.unwrap_or(now);
        let laid = stops.lay_over(&snapshot).filter(|laid| compile::compile_funnel(laid, number, since).is_ok());
        if let Some(laid) = laid {
            let json = serde_json::to_value(&laid).unwrap_or_default();
            number = self.journal.publish(&funnel, &laid.voice(), &json, now).await?;
            if !snapshot.stopped_by().is_empty() && laid.stopped_by().is_empty() {
                published.released.insert(funnel.clone());
            }
            snapshot = laid;
        }
        let stopped = snapshot.stopped_by();
        if !stopped.is_empty() {
            published.stopped.insert(funnel, stopped);
        }
        Ok(compile::compile_funnel(&snapshot, number, since).ok().map(Live::from))
    }

    /// Works by what another replica published: the newest revisions of the store. `snapshot`: what this replica itself sees, for the
    /// addresses and secrets that never stand in the store; `None`: as before. Until it has seen any, nothing is read from a CRM
    /// and messages wait. True: something else is in force now.
    ///
    /// # Errors
    /// When the store cannot be used: what was in force stays in force.
    pub async fn follow(&self, snapshot: Option<&Snapshot>) -> Result<bool, WorkerError> {
        let before = self.plans.load_full();
        let plans = self.newest(&before).await?;
        let changed = *self.publications_count() == 0 || numbers(&plans) != numbers(&before) || plans.1 != before.1;
        if let Some(snapshot) = snapshot {
            let output = compile::compile(snapshot);
            let kept = plans.0.keys().any(|funnel| !output.funnels.contains_key(funnel));
            let (adapters, errors) = self.adapters.load().update(self.wiring_with_kept(output.wiring, kept));
            for (resource, error) in errors {
                tracing::warn!(resource, error, "cannot be used");
            }
            self.adapters.store(Arc::new(adapters));
            self.wired.store(true, Ordering::SeqCst);
        }
        if changed || snapshot.is_some() {
            self.plans.store(Arc::new(plans));
            self.set_published();
            self.wake();
        }
        Ok(changed)
    }

    /// Every so often, and first thing after the lease was taken: has somebody else published?
    pub(super) async fn revision_pass(&self) -> Result<usize, WorkerError> {
        let asked = lock(&self.caught_up).is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if asked { Ok(0) } else { Ok(usize::from(self.catch_up().await?)) }
    }

    /// Puts in force what another process published since. Each process publishes what it sees itself, and one that was held up may
    /// publish an older edit after a newer one, which a third then publishes again: the same text under a number that nobody told the
    /// engine at work. By its own it would be refused every message for ever.
    pub(super) async fn catch_up(&self) -> Result<bool, WorkerError> {
        let before = self.plans.load_full();
        let mut plans = self.newest(&before).await?;
        *lock(&self.caught_up) = Some(Instant::now());
        if numbers(&plans) == numbers(&before) {
            return Ok(false);
        }
        // Declared here and never valid: no revision tells of them.
        plans.1.extend(before.1.iter().filter(|funnel| !plans.0.contains_key(*funnel)).cloned());
        self.plans.store(Arc::new(plans));
        self.set_published();
        Ok(true)
    }

    /// The newest revisions of the store, compiled unless they are in force already.
    async fn newest(&self, before: &Plans) -> Result<Plans, WorkerError> {
        let mut plans = Plans::default();
        for revision in self.journal.revisions().await?.into_iter().filter(|revision| !revision.deleted) {
            let funnel = &revision.funnel;
            if let Some(live) = before.get(funnel).filter(|live| live.plan.revision == revision.number) {
                plans.0.insert(funnel.clone(), live.clone());
                continue;
            }
            let since = self.journal.first_published(funnel).await?.unwrap_or_else(|| self.clock.now());
            let compiled = serde_json::from_value::<FunnelSnapshot>(revision.snapshot)
                .ok()
                .and_then(|snapshot| compile::compile_funnel(&snapshot, revision.number, since).ok());
            match compiled {
                Some(compiled) => {
                    plans.0.insert(funnel.clone(), Live::from(compiled));
                }
                // Published by a newer version than ours, perhaps: nothing is sent by what we do not understand.
                None => {
                    plans.1.insert(funnel.clone());
                }
            }
        }
        Ok(plans)
    }

    /// A funnel kept at its last good revision still needs the connections and channels that a broken edit may have taken away.
    fn wiring_with_kept(&self, mut wiring: crate::compile::Wiring, kept: bool) -> crate::compile::Wiring {
        if kept {
            let before: Arc<Adapters> = self.adapters.load_full();
            for (key, state) in &before.connections {
                wiring.connections.entry(key.clone()).or_insert_with(|| state.wiring.clone());
            }
            for (key, state) in &before.channels {
                wiring.channels.entry(key.clone()).or_insert_with(|| state.wiring.clone());
            }
        }
        wiring
    }
}

/// Which revision of each funnel is in force.
fn numbers(plans: &Plans) -> Vec<(&FunnelKey, i64)> {
    plans.0.iter().map(|(funnel, live)| (funnel, live.plan.revision)).collect()
}
