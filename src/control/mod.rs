//! What the operator does beside the engine: it publishes what the API server holds, and says there how it stands.
//!
//! Two loops, so that a slow API server never delays an edit: [`publish`] (watch → snapshot → compile → revision) and [`report`]
//! (figures → statuses and events). Both work on every replica; which of them publishes and reports is chosen by a Lease. Sending
//! depends on neither.

mod conditions;
mod content_list;
mod crm_connection;
mod figures;
mod funnel;
mod happenings;
mod message_channel;
mod metrics;
mod policy;
mod publish;
mod reason;
mod report;
mod standing;
#[cfg(test)]
mod tests;

pub use metrics::ControlMetrics;
pub use reason::ConditionReason;

use crate::{
    source::{Cluster, Election},
    store::Store,
    workers::{Engine, Phase},
};
use standing::Standing;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// How often it is said what the API server does not tell.
const MISSING: Duration = Duration::from_mins(1);

/// What both loops share.
pub struct Control {
    cluster: Arc<Cluster>,
    engine: Arc<Engine>,
    store: Store,
    identity: String,
    metrics: ControlMetrics,
    leads: watch::Sender<bool>,
    /// What this replica last published; `None` while it only follows.
    standing: Mutex<Option<Arc<Standing>>>,
}

impl Control {
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, engine: Arc<Engine>, store: Store, identity: String, metrics: ControlMetrics) -> Arc<Self> {
        Arc::new(Self { cluster, engine, store, identity, metrics, leads: watch::Sender::new(false), standing: Mutex::default() })
    }

    /// Works until `stop` turns true, then gives the Lease up.
    pub async fn run(self: Arc<Self>, election: Election, stop: watch::Receiver<bool>) {
        let metrics = self.metrics.clone();
        self.cluster.watch(move |label| metrics.api_failed("watch", label));
        tokio::join!(
            self.clone().elect(election, stop.clone()),
            self.clone().publish(stop.clone()),
            self.clone().say_what_is_missing(stop.clone()),
            self.clone().report(stop)
        );
    }

    /// A right that is missing for long must not be one line in the log of last week.
    async fn say_what_is_missing(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(MISSING) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if let Some(what) = self.cluster.silent() {
                tracing::warn!("cannot be watched: {what}; what is in force stays in force, and edits there wait");
            }
        }
    }

    async fn elect(self: Arc<Self>, mut election: Election, mut stop: watch::Receiver<bool>) {
        let mut phase = self.engine.phase();
        let mut refused = false;
        while !*stop.borrow() {
            let (works, asked) = {
                let now = phase.borrow_and_update();
                (*now == Phase::Working, !matches!(*now, Phase::StoreDown(_) | Phase::ClockWrong(_)))
            };
            match election.campaign(works, asked).await {
                Ok(()) => refused = false,
                Err(error) => {
                    self.metrics.api_failed("lease", error.label());
                    if !std::mem::replace(&mut refused, true) {
                        tracing::warn!(label = error.label(), %error, "the Lease cannot be asked for; sending goes on");
                    }
                }
            }
            let leads = election.leads();
            if self.leads.send_if_modified(|now| std::mem::replace(now, leads) != leads) {
                tracing::info!(leads, "publishing and reporting");
            }
            self.metrics.leads(leads);
            tokio::select! {
                () = tokio::time::sleep(Election::EVERY) => {}
                // Who has just begun to work should also report.
                _ = phase.changed() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
        self.leads.send_replace(false);
        election.resign().await;
    }

    fn standing(&self) -> Option<Arc<Standing>> {
        self.standing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set_standing(&self, standing: Option<Standing>) {
        *self.standing.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = standing.map(Arc::new);
    }
}
