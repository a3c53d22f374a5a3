//! The providers of one channel in order. The next one gets a message only if the former certainly did not accept it.

use super::{Channel, Job, Report};
use crate::model::{EffectRef, Outcome};
use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::JoinSet,
    time::Instant,
};

type Key = (EffectRef, i32);

/// Providers tried one after the other, a message at a time: one that was refused does not wait for those still under way.
pub(super) struct Failover {
    providers: Arc<[Arc<dyn Channel>]>,
}

/// A message under way and what the provider before said of it.
type Batch = HashMap<Key, (Job, Option<Outcome>)>;

impl Failover {
    pub(super) fn new(providers: Vec<Arc<dyn Channel>>) -> Self {
        Self { providers: providers.into() }
    }
}

/// Whether another provider may be tried. A refusal of the message or its recipient is an answer, not an outage.
const fn may_go_on(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { .. } | Outcome::ChannelDown { .. })
}

fn stage(
    providers: Arc<[Arc<dyn Channel>]>,
    index: usize,
    mut batch: Batch,
    deadline: Instant,
    reports: UnboundedSender<Report>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let Some(provider) = providers.get(index).cloned() else { return };
        let last = index + 1 == providers.len();
        let (tx, mut outcomes) = mpsc::unbounded_channel();
        let jobs = batch.values().map(|(job, _)| job.clone()).collect();
        let mut running = JoinSet::new();
        running.spawn(async move { provider.perform(jobs, deadline, tx).await });
        while let Some(first) = outcomes.recv().await {
            let mut onward = Batch::new();
            let mut next = Some(first);
            while let Some(report) = next {
                if let Some((job, before)) = batch.remove(&(report.effect, report.attempt)) {
                    if !last && may_go_on(&report.outcome) {
                        onward.insert((report.effect, report.attempt), (job, Some(worse(before, report.outcome))));
                    } else {
                        let _ = reports.send(Report { outcome: settled(before, report.outcome), ..report });
                    }
                }
                next = outcomes.try_recv().ok();
            }
            if !onward.is_empty() {
                running.spawn(stage(providers.clone(), index + 1, onward, deadline, reports.clone()));
            }
        }
        while running.join_next().await.is_some() {}
        // A provider that ended without a word (a defect) may have sent it.
        for ((effect, attempt), _) in batch {
            let _ = reports.send(Report { effect, attempt, outcome: Outcome::Unknown { reason: "the channel gave no outcome".into() } });
        }
    })
}

/// Of two certain refusals the one that may pass by itself: the channel pauses only if no provider is left.
fn worse(before: Option<Outcome>, now: Outcome) -> Outcome {
    match (before, now) {
        (Some(Outcome::Retry { reason, after: a }), Outcome::Retry { after: b, .. }) => {
            Outcome::Retry { reason, after: a.into_iter().chain(b).min() }
        }
        (Some(retry @ Outcome::Retry { .. }), Outcome::ChannelDown { .. }) => retry,
        (_, now) => now,
    }
}

/// The last word. A provider that did not begin leaves what the former said; two refusals become one.
fn settled(before: Option<Outcome>, now: Outcome) -> Outcome {
    match (before, now) {
        (Some(before), Outcome::NotStarted) => before,
        (before, now) if may_go_on(&now) => worse(before, now),
        (_, now) => now,
    }
}

#[async_trait::async_trait]
impl Channel for Failover {
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: UnboundedSender<Report>) {
        let batch = jobs.into_iter().map(|job| ((job.effect, job.attempt), (job, None))).collect();
        stage(self.providers.clone(), 0, batch, deadline, reports).await;
    }

    fn capacity(&self) -> usize {
        self.providers.iter().map(|p| p.capacity()).max().unwrap_or(0)
    }

    fn in_flight_bound(&self) -> usize {
        self.providers.iter().map(|p| p.in_flight_bound()).sum()
    }
}
