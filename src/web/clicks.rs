//! Clicks on their way into the store: one task writes them in batches, so that thousands of redirects a second cost a few
//! hundred transactions. A redirect is answered after its click is stored; when the store is away, clicks wait here, bounded.

use super::metrics::{ClickLabels, Metrics, ReasonLabels};
use crate::{
    links::Judgement,
    model::{ClickVerdict, EffectRef, InboxEvent},
    store::{Clicked, Incoming, Journal},
};
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Clicks that may wait in memory: about 10 MB.
pub(super) const QUEUE: usize = 65_536;

/// Clicks of one transaction.
const BATCH: usize = 1_024;

/// Least time between the beginnings of two transactions; a lonely click waits for nothing.
const GATHER: Duration = Duration::from_millis(5);

/// Waits between attempts while the store is away.
const BACKOFF: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(2);

/// A judged hit that is to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub effect: EffectRef,
    pub link: i16,
    pub at: Timestamp,
    pub judgement: Judgement,
}

/// What is known when the redirect is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Stored,
    /// It waits in memory.
    Late,
    /// Too many wait already: it is lost, and counted.
    Dropped,
}

enum Entry {
    /// With its number in this process: the key under which a repeated write is known.
    Hit(Hit, u64, oneshot::Sender<()>),
    /// Answered when everything before it is stored.
    Flush(oneshot::Sender<()>),
}

pub(super) struct ClickLog {
    queue: mpsc::Sender<Entry>,
    count: AtomicU64,
    metrics: Metrics,
}

impl ClickLog {
    /// `room`: how many may wait.
    pub fn start(journal: Arc<dyn Journal>, metrics: Metrics, wake: Arc<dyn Fn() + Send + Sync>, room: usize) -> Self {
        let (queue, entries) = mpsc::channel(room);
        let writer = Writer { journal, metrics: metrics.clone(), wake, run: run_name() };
        tokio::spawn(writer.run(entries));
        Self { queue, count: AtomicU64::new(0), metrics }
    }

    /// Queues the hit and waits at most `wait` until it is stored.
    pub async fn record(&self, hit: Hit, wait: Duration) -> Recorded {
        let (done, stored) = oneshot::channel();
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.metrics
            .clicks
            .get_or_create(&ClickLabels {
                verdict: hit.judgement.verdict.map_or("open", ClickVerdict::as_str),
                why: hit.judgement.why,
            })
            .inc();
        self.metrics.clicks_waiting.inc();
        if self.queue.try_send(Entry::Hit(hit, number, done)).is_err() {
            self.metrics.clicks_waiting.dec();
            self.metrics.clicks_dropped.get_or_create(&ReasonLabels { reason: "queue_full" }).inc();
            return Recorded::Dropped;
        }
        match tokio::time::timeout(wait, stored).await {
            Ok(Ok(())) => Recorded::Stored,
            Ok(Err(_)) => Recorded::Dropped,
            Err(_) => {
                self.metrics.clicks_late.inc();
                Recorded::Late
            }
        }
    }

    /// Waits until everything queued so far is stored. False: not within `wait`.
    pub async fn flush(&self, wait: Duration) -> bool {
        let flush = async {
            let (done, stored) = oneshot::channel();
            self.queue.send(Entry::Flush(done)).await.is_ok() && stored.await.is_ok()
        };
        tokio::time::timeout(wait, flush).await.unwrap_or(false)
    }
}

struct Writer {
    journal: Arc<dyn Journal>,
    metrics: Metrics,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Tells apart the numbers of different processes.
    run: String,
}

impl Writer {
    /// Ends when the web is gone and everything is stored.
    async fn run(self, mut entries: mpsc::Receiver<Entry>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut began = Instant::now();
        while entries.recv_many(&mut batch, BATCH).await > 0 {
            let earliest = began + GATHER;
            if Instant::now() < earliest {
                tokio::time::sleep_until(earliest).await;
                while batch.len() < BATCH
                    && let Ok(entry) = entries.try_recv()
                {
                    batch.push(entry);
                }
            }
            began = Instant::now();
            self.store(&mut batch).await;
        }
    }

    /// Stores the batch however long it takes; leaves it empty.
    async fn store(&self, batch: &mut Vec<Entry>) {
        let mut pause = *BACKOFF.start();
        let mut warned = false;
        loop {
            let incoming: Vec<Incoming> = batch.iter().filter_map(|entry| self.incoming(entry)).collect();
            let size = incoming.len();
            // Most clicks are judged a moment later anyway; the others should not wait for the engine's next look.
            let awaited = incoming.iter().any(|i| {
                i.not_before.is_none() && !matches!(i.event, InboxEvent::Click { verdict: Some(ClickVerdict::Machine), .. })
            });
            let error = if incoming.is_empty() { None } else { self.journal.receive(incoming).await.err() };
            match error {
                None => {
                    if size > 0 {
                        #[allow(clippy::cast_precision_loss)] // a batch is small
                        self.metrics.click_batch.observe(size as f64);
                    }
                    if awaited {
                        (self.wake)();
                    }
                    for entry in batch.drain(..) {
                        self.settle(entry, true);
                    }
                    break;
                }
                Some(error) if error.temporary() => {
                    self.metrics.store_error(error.label());
                    if !warned {
                        tracing::warn!(reason = error.label(), waiting = size, "clicks cannot be stored now; they wait");
                        warned = true;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(*BACKOFF.end());
                }
                Some(error) => {
                    self.metrics.store_error(error.label());
                    tracing::error!(reason = error.label(), clicks = size, "the store refuses clicks; trying them one by one");
                    self.one_by_one(batch).await;
                    break;
                }
            }
        }
    }

    /// One click that the store refuses must not take the others with it.
    async fn one_by_one(&self, batch: &mut Vec<Entry>) {
        for entry in batch.drain(..) {
            let stored = match self.incoming(&entry) {
                Some(incoming) => self.journal.receive(vec![incoming]).await.is_ok(),
                None => true,
            };
            if !stored {
                self.metrics.clicks_dropped.get_or_create(&ReasonLabels { reason: "refused" }).inc();
            }
            self.settle(entry, stored);
        }
    }

    fn settle(&self, entry: Entry, stored: bool) {
        let done = match entry {
            Entry::Hit(_, _, done) => {
                self.metrics.clicks_waiting.dec();
                done
            }
            Entry::Flush(done) => done,
        };
        if stored {
            // Whoever asked may have gone on meanwhile.
            let _ = done.send(());
        }
    }

    fn incoming(&self, entry: &Entry) -> Option<Incoming> {
        let Entry::Hit(Hit { effect, link, at, judgement }, number, _) = *entry else { return None };
        let Judgement { verdict, why, settle_at } = judgement;
        Some(Incoming {
            source: "click".into(),
            id: format!("{}-{number}", self.run),
            event: InboxEvent::Click { effect, link, at, verdict },
            received_at: at,
            not_before: settle_at,
            suppress: Vec::new(),
            click: Some(Clicked { effect, link, at, verdict, why: why.into() }),
        })
    }
}

/// A name that no other process has: 16 hex digits.
fn run_name() -> String {
    let mut bytes = [0_u8; 8];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return uuid::Uuid::now_v7().simple().to_string();
    }
    bytes.iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}
