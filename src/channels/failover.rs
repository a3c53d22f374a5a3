//! The providers of one channel in order. The next one gets a message only if the former certainly did not accept it.

use super::{Channel, Job, Report};
use crate::model::{EffectRef, Outcome};
use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};
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

/// One channel out of providers in order: the next one gets a message only if those before certainly did not accept it. At least one
/// is given.
#[must_use]
pub fn in_order(mut providers: Vec<Arc<dyn Channel>>) -> Arc<dyn Channel> {
    if providers.len() == 1 { providers.swap_remove(0) } else { Arc::new(Failover::new(providers)) }
}

/// A message under way and what the provider before said of it.
type Batch = BTreeMap<Key, (Job, Option<Outcome>)>;

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
        let asked = provider.clone();
        let (tx, mut outcomes) = mpsc::unbounded_channel();
        let jobs = batch.values().map(|(job, _)| job.clone()).collect();
        let mut running = JoinSet::new();
        running.spawn(async move { provider.perform(jobs, deadline, tx).await });
        while let Some(first) = outcomes.recv().await {
            let mut onward = Batch::new();
            let mut next = Some(first);
            while let Some(report) = next {
                if let Some((job, before)) = batch.remove(&(report.effect, report.attempt)) {
                    let goes_on = may_go_on(&report.outcome) || asked.only_here(&report.outcome);
                    if goes_on && !last {
                        onward.insert((report.effect, report.attempt), (job, Some(worse(before, report.outcome))));
                    } else {
                        let outcome = if goes_on { worse(before, report.outcome) } else { settled(before, report.outcome) };
                        let _ = reports.send(Report { outcome, ..report });
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
            let _ = reports.send(Report {
                effect,
                attempt,
                outcome: Outcome::Unknown { reason: "the channel gave no outcome".into() },
            });
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
        // The pause is for all of them: it ends when the first may take messages again, and soon if that is not known of one.
        (Some(Outcome::ChannelDown { after: a, .. }), Outcome::ChannelDown { reason, after: b }) => {
            Outcome::ChannelDown { reason, after: a.zip(b).map(|(a, b)| a.min(b)) }
        }
        // Who does not carry this recipient is not down: the message waits for the other, and nothing else does.
        (Some(Outcome::Rejected { .. }), Outcome::Retry { reason, after } | Outcome::ChannelDown { reason, after })
        | (Some(Outcome::Retry { reason, after } | Outcome::ChannelDown { reason, after }), Outcome::Rejected { .. }) => {
            Outcome::Retry { reason, after }
        }
        (_, now) => now,
    }
}

/// The last word, an answer that no other provider may follow. One that did not begin leaves what the former said, if that may pass.
fn settled(before: Option<Outcome>, now: Outcome) -> Outcome {
    match (before, now) {
        (Some(before), Outcome::NotStarted) if may_go_on(&before) => before,
        (_, now) => now,
    }
}

#[async_trait::async_trait]
impl Channel for Failover {
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: UnboundedSender<Report>) {
        let batch = jobs.into_iter().map(|job| ((job.effect, job.attempt), (job, None))).collect();
        stage(self.providers.clone(), 0, batch, deadline, reports).await;
    }

    fn close(&self) {
        self.providers.iter().for_each(|p| p.close());
    }

    fn capacity(&self) -> usize {
        self.providers.iter().map(|p| p.capacity()).max().unwrap_or(0)
    }

    fn in_flight_bound(&self) -> usize {
        self.providers.iter().map(|p| p.in_flight_bound()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Channel, Failover, Job, Report};
    use crate::{
        content::Rendered,
        model::{Address, CopyId, EffectRef, Outcome, Phone},
    };
    use std::sync::{Arc, Mutex};
    use tokio::{
        sync::{
            Notify,
            mpsc::{self, UnboundedSender},
        },
        time::Instant,
    };

    /// Answers each message as told; one without an answer waits for `release`.
    struct Fake {
        answers: Vec<Option<Outcome>>,
        got: Mutex<Vec<i32>>,
        release: Notify,
    }

    impl Fake {
        fn new(answers: impl IntoIterator<Item = Option<Outcome>>) -> Arc<Self> {
            Arc::new(Self { answers: answers.into_iter().collect(), got: Mutex::default(), release: Notify::new() })
        }

        fn got(&self) -> Vec<i32> {
            let mut got = self.got.lock().unwrap().clone();
            got.sort_unstable();
            got
        }
    }

    #[async_trait::async_trait]
    impl Channel for Fake {
        async fn perform(&self, jobs: Vec<Job>, _: Instant, reports: UnboundedSender<Report>) {
            let mut slow = Vec::new();
            for job in jobs {
                self.got.lock().unwrap().push(job.effect.seq);
                match &self.answers[usize::try_from(job.effect.seq).unwrap()] {
                    Some(outcome) => reports.send(Report { effect: job.effect, attempt: 1, outcome: outcome.clone() }).unwrap(),
                    None => slow.push(job),
                }
            }
            for job in slow {
                self.release.notified().await;
                reports
                    .send(Report { effect: job.effect, attempt: 1, outcome: Outcome::Unknown { reason: "late".into() } })
                    .unwrap();
            }
        }

        fn close(&self) {}

        fn capacity(&self) -> usize {
            4
        }

        fn in_flight_bound(&self) -> usize {
            4
        }

        fn only_here(&self, refusal: &Outcome) -> bool {
            matches!(refusal, Outcome::Rejected { reason, .. } if reason == "not here")
        }
    }

    fn jobs(count: usize) -> Vec<Job> {
        (0..count)
            .map(|n| Job {
                effect: EffectRef { copy: CopyId(1), seq: i32::try_from(n).unwrap() },
                attempt: 1,
                key: uuid::Uuid::nil(),
                to: Address::Phone(Phone::parse("+79990001122", "RU").unwrap()),
                message: Rendered::Sms { from: "X".into(), text: "hi".into() },
                receipt_url: None,
            })
            .collect()
    }

    fn accepted(by: &str) -> Outcome {
        Outcome::Accepted { provider: by.into(), provider_id: None }
    }

    #[tokio::test]
    async fn the_next_provider_gets_only_what_was_certainly_not_accepted() {
        let retry = |r: &str| Outcome::Retry { reason: r.into(), after: None };
        let down = |r: &str| Outcome::ChannelDown { reason: r.into(), after: None };
        let for_hours = |r: &str, n| Outcome::ChannelDown { reason: r.into(), after: Some(std::time::Duration::from_hours(n)) };
        let rejected = Outcome::Rejected { reason: "no".into(), suppress: true };
        let unknown = Outcome::Unknown { reason: "?".into() };
        // first provider · second provider · what is reported
        let table = [
            (accepted("a"), None, accepted("a")),
            (unknown.clone(), None, unknown.clone()),
            (rejected.clone(), None, rejected.clone()),
            (Outcome::NotStarted, None, Outcome::NotStarted),
            (retry("a"), Some(accepted("b")), accepted("b")),
            (down("a"), Some(accepted("b")), accepted("b")),
            (retry("a"), Some(unknown.clone()), unknown.clone()),
            (retry("a"), Some(retry("b")), retry("a")),
            (down("a"), Some(down("b")), down("b")),
            (for_hours("a", 2), Some(for_hours("b", 3)), for_hours("b", 2)),
            (for_hours("a", 2), Some(down("b")), down("b")),
            (retry("a"), Some(down("b")), retry("a")),
            (down("a"), Some(retry("b")), retry("b")),
            (down("a"), Some(Outcome::NotStarted), down("a")),
        ];
        let first = Fake::new(table.iter().map(|(a, ..)| Some(a.clone())));
        let second = Fake::new(table.iter().map(|(_, b, _)| b.clone()));
        let channel = Failover::new(vec![first.clone(), second.clone()]);
        let (tx, mut rx) = mpsc::unbounded_channel();
        channel.perform(jobs(table.len()), Instant::now(), tx).await;
        let mut reports = Vec::new();
        while let Some(report) = rx.recv().await {
            reports.push(report);
        }
        reports.sort_by_key(|r| r.effect);
        assert_eq!(reports.iter().map(|r| &r.outcome).collect::<Vec<_>>(), table.iter().map(|(.., want)| want).collect::<Vec<_>>());
        assert_eq!(second.got(), (4..14).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_number_that_one_provider_does_not_carry_goes_to_the_next_and_pauses_nothing() {
        let retry = |r: &str| Outcome::Retry { reason: r.into(), after: None };
        let down = |r: &str| Outcome::ChannelDown { reason: r.into(), after: None };
        let rejected = |r: &str| Outcome::Rejected { reason: r.into(), suppress: false };
        let here = || rejected("not here");
        let table = [
            (here(), accepted("b"), accepted("b")),
            (here(), here(), here()),
            (here(), rejected("no"), rejected("no")),
            (here(), retry("b"), retry("b")),
            (here(), down("b"), retry("b")),
            (here(), Outcome::NotStarted, Outcome::NotStarted),
            (retry("a"), here(), retry("a")),
            (down("a"), here(), retry("a")),
            (down("a"), rejected("no"), rejected("no")),
        ];
        let first = Fake::new(table.iter().map(|(a, ..)| Some(a.clone())));
        let second = Fake::new(table.iter().map(|(_, b, _)| Some(b.clone())));
        let channel = Failover::new(vec![first, second]);
        let (tx, mut rx) = mpsc::unbounded_channel();
        channel.perform(jobs(table.len()), Instant::now(), tx).await;
        let mut got = vec![None; table.len()];
        while let Some(report) = rx.recv().await {
            got[usize::try_from(report.effect.seq).unwrap()] = Some(report.outcome);
        }
        assert_eq!(got, table.map(|(.., want)| Some(want)));
    }

    #[tokio::test]
    async fn a_slow_message_does_not_hold_up_the_failover_of_others() {
        let first = Fake::new([None, Some(Outcome::Retry { reason: "no".into(), after: None })]);
        let second = Fake::new([None, Some(accepted("b"))]);
        let channel = Arc::new(Failover::new(vec![first.clone(), second]));
        let (tx, mut rx) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move { channel.perform(jobs(2), Instant::now(), tx).await });
        let report = rx.recv().await.unwrap();
        assert_eq!((report.effect.seq, report.outcome), (1, accepted("b")));
        first.release.notify_one();
        assert_eq!(rx.recv().await.unwrap().outcome, Outcome::Unknown { reason: "late".into() });
        task.await.unwrap();
    }
}
