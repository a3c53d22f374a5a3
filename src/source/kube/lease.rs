//! The Lease in Kubernetes: it only chooses who publishes and writes statuses. Sending rests on the lease in the store.

use super::{Cluster, KubeError, within};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::api::{Api, PostParams};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// One replica's part in the election.
pub struct Election {
    cluster: Arc<Cluster>,
    namespace: String,
    name: String,
    identity: String,
    /// What was last seen, and since when it stands unchanged by our own clock: nobody's wall clock is trusted.
    seen: Option<(Lease, Instant)>,
    held_until: Option<Instant>,
    /// Since when it leads without working.
    idle_since: Option<Instant>,
    /// For how long it may, this time.
    patience: Duration,
}

impl Election {
    /// A Lease that is not renewed for that long is free.
    pub const DURATION: Duration = Duration::from_secs(10);
    /// How often to call [`Election::campaign`].
    pub const EVERY: Duration = Duration::from_secs(3);
    /// How much longer a replica waits whose engine stands by: who works should also report.
    const SHYNESS: Duration = Duration::from_secs(5);
    /// Where giving the Lease up brought it back, because whoever works cannot be reached or nobody works, it is done ever seldomer.
    const RELUCTANCE: Duration = Duration::from_mins(10);
    /// So many times as long it is kept where the store does not answer.
    const IN_DOUBT: u32 = 6;

    #[must_use]
    pub const fn new(cluster: Arc<Cluster>, namespace: String, name: String, identity: String) -> Self {
        Self { cluster, namespace, name, identity, seen: None, held_until: None, idle_since: None, patience: Self::DURATION }
    }

    /// Whether this replica may publish now. Ends by itself when nobody can be asked.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.held_until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes or renews the Lease. `works`: this replica holds the engine lease; `asked`: the store answers it. Who leads for longer than a
    /// Lease lasts while another works gives it up: what a channel is like is known to the one that sends. Who cannot ask the store does
    /// so later, because perhaps nobody can, and somebody must have said that.
    ///
    /// # Errors
    /// The server is away or refuses; what is held then runs out.
    pub async fn campaign(&mut self, works: bool, asked: bool) -> Result<(), KubeError> {
        let started = Instant::now();
        if works {
            self.patience = Self::DURATION;
        }
        let patience = if asked { self.patience } else { self.patience * Self::IN_DOUBT };
        if works || !self.leads() {
            self.idle_since = None;
        } else if started.duration_since(*self.idle_since.get_or_insert(started)) > patience {
            self.idle_since = None;
            self.patience = (self.patience * 2).min(Self::RELUCTANCE);
            self.resign().await;
            return Ok(());
        }
        if self.leads()
            && let Some((lease, _)) = self.seen.clone()
        {
            // Nobody else writes it while it is ours: no need to look first.
            let next = Lease { spec: Some(self.spec(lease.spec.as_ref())), ..lease };
            return self.settle(within(self.api().replace(&self.name, &PostParams::default(), &next)).await, started);
        }
        let found = match within(self.api().get(&self.name)).await {
            Ok(lease) => Some(lease),
            Err(error) if error.is(404) => None,
            Err(error) => return Err(error),
        };
        let Some(found) = found else {
            let fresh = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None)),
            };
            return self.settle(within(self.api().create(&PostParams::default(), &fresh)).await, started);
        };
        let since = match &self.seen {
            Some((seen, since)) if seen.metadata.resource_version == found.metadata.resource_version => *since,
            _ => started,
        };
        let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        let patience = if works { Self::DURATION } else { Self::DURATION + Self::SHYNESS };
        let free = holder.is_empty() && (works || since.elapsed() > Self::SHYNESS) || since.elapsed() > patience;
        self.seen = Some((found.clone(), since));
        if holder != self.identity && !free {
            self.held_until = None;
            return Ok(());
        }
        let next = Lease { spec: Some(self.spec(found.spec.as_ref())), ..found };
        self.settle(within(self.api().replace(&self.name, &PostParams::default(), &next)).await, started)
    }

    /// Gives the Lease up, so that another takes it at once.
    pub async fn resign(&mut self) {
        if self.held_until.take().is_none() {
            return;
        }
        if let Some((lease, _)) = self.seen.take() {
            let mut spec = lease.spec.clone().unwrap_or_default();
            spec.holder_identity = Some(String::new());
            let next = Lease { spec: Some(spec), ..lease };
            if let Err(error) = within(self.api().replace(&self.name, &PostParams::default(), &next)).await {
                tracing::debug!(label = error.label(), "the Lease runs out by itself");
            }
        }
    }

    fn settle(&mut self, written: Result<Lease, KubeError>, started: Instant) -> Result<(), KubeError> {
        match written {
            Ok(lease) => {
                self.seen = Some((lease, started));
                // A little less than others wait.
                self.held_until = Some(started + Self::DURATION.mul_f64(0.9));
                Ok(())
            }
            // Somebody else was faster.
            Err(error) if error.is(409) => {
                self.held_until = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mut spec = before.cloned().unwrap_or_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            spec.holder_identity = Some(self.identity.clone());
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default() + i32::from(before.is_some()));
        }
        spec.lease_duration_seconds = i32::try_from(Self::DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        spec
    }

    fn api(&self) -> Api<Lease> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }
}
