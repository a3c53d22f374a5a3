//! Connections to one server: a queue of messages, workers that open and reuse sessions, and a back-off shared by all.

use super::{
    Timeouts,
    delivery::{self, Ended},
    session::{self, ConnectError},
};
use crate::{
    channels::{
        Job, backoff,
        dkim::Signer,
        ticket::{Progress, Ticket},
    },
    compile::SmtpWiring,
    model::Outcome,
};
use rustls::ClientConfig;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// So many sessions in a row that serve nothing are an outage.
const USELESS: u32 = 3;

/// A message on its way.
pub(super) struct Item {
    pub(super) job: Job,
    pub(super) ticket: Ticket,
    pub(super) deadline: Instant,
    /// How often a dying connection gave it back untouched.
    pub(super) returned: u8,
}

impl Item {
    pub(super) fn late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Certainly not accepted and not begun in earnest: someone may start it later.
    pub(super) fn not_started(mut self) {
        self.ticket.progress = Progress::Waiting;
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    workers: u32,
    idle: u32,
    /// Workers with an open session.
    live: u32,
    failures: u32,
    /// No new connection before that, and why.
    backoff: Option<(Instant, ConnectError)>,
}

pub(super) struct Pool {
    pub(super) wiring: SmtpWiring,
    pub(super) signer: Option<Arc<Signer>>,
    pub(super) limits: Timeouts,
    tls: Option<Arc<ClientConfig>>,
    state: Mutex<State>,
    wake: Notify,
    closed: watch::Sender<bool>,
}

impl Pool {
    pub(super) fn new(wiring: SmtpWiring, tls: Option<Arc<ClientConfig>>, signer: Option<Arc<Signer>>, limits: Timeouts) -> Self {
        Self { wiring, signer, limits, tls, state: Mutex::default(), wake: Notify::new(), closed: watch::Sender::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent between statements; a panic elsewhere must not stop all mail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues messages and sees that enough workers run.
    pub(super) fn push(self: &Arc<Self>, items: impl Iterator<Item = Item>) {
        let (mut spawn, mut queued) = (0, 0);
        let mut refused = Vec::new();
        {
            let mut state = self.state();
            if self.is_closed() {
                drop(state);
                items.for_each(Item::not_started);
                return;
            }
            let waiting = state.backoff.clone().filter(|(until, _)| Instant::now() < *until);
            match waiting {
                Some((until, why)) if state.live == 0 => {
                    let after = until.saturating_duration_since(Instant::now());
                    refused = items.map(|item| (item, outcome(&why, after))).collect();
                }
                backoff => {
                    let before = state.queue.len();
                    state.queue.extend(items);
                    queued = state.queue.len() - before;
                    if backoff.is_none() {
                        let wanted = u32::try_from(state.queue.len()).unwrap_or(u32::MAX).saturating_sub(state.idle);
                        spawn = wanted.min(self.wiring.connections.max(1).saturating_sub(state.workers));
                        state.workers += spawn;
                    }
                }
            }
        }
        for (item, outcome) in refused {
            item.ticket.report(outcome);
        }
        // One worker a message: waking all of hundreds for a handful costs more than sending it.
        for _ in 0..queued {
            self.wake.notify_one();
        }
        for _ in 0..spawn {
            tokio::spawn(work(Worker { pool: self.clone(), live: false, counted: true }));
        }
    }

    /// Takes back what has not begun of those whose deadline passed or whom nobody waits for.
    pub(super) fn withdraw(&self) {
        let mut late = Vec::new();
        {
            let mut state = self.state();
            let queue = std::mem::take(&mut state.queue);
            for item in queue {
                if item.late() || item.ticket.abandoned() { late.push(item) } else { state.queue.push_back(item) }
            }
        }
        late.into_iter().for_each(Item::not_started);
    }

    /// A message for a session with room in its pipeline.
    pub(super) fn try_take(&self) -> Option<Item> {
        loop {
            let item = self.state().queue.pop_front()?;
            if item.late() || item.ticket.abandoned() || self.is_closed() {
                item.not_started();
            } else {
                return Some(item);
            }
        }
    }

    /// An untouched message back to the front of the queue, twice at most.
    pub(super) fn put_back(&self, mut item: Item, why: &str) {
        item.ticket.progress = Progress::Begun;
        if item.late() || self.is_closed() {
            // Its withdrawal has passed: nobody would look for it in the queue.
            item.not_started();
            return;
        }
        if item.returned >= 2 {
            item.ticket.report(Outcome::Retry { reason: why.to_owned(), after: None });
            return;
        }
        item.returned += 1;
        item.ticket.progress = Progress::Waiting;
        self.state().queue.push_front(item);
        self.wake.notify_one();
    }

    /// Lets all workers end, once they have read the replies to what they handed over.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
        let queue = std::mem::take(&mut self.state().queue);
        queue.into_iter().for_each(Item::not_started);
        self.wake.notify_waiters();
    }

    /// Returns when nothing new may begin.
    pub(super) async fn closed(&self) {
        // The sender lives as long as the pool.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits for a message; `None` after the idle time or when closed. The worker is then no longer counted, so that a message
    /// pushed at this very moment gets a new one.
    async fn take(&self) -> Option<Item> {
        let until = Instant::now() + self.limits.idle;
        loop {
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            if let Some(item) = self.try_take() {
                return Some(item);
            }
            {
                let mut state = self.state();
                if !state.queue.is_empty() {
                    continue;
                }
                if self.is_closed() || Instant::now() >= until {
                    state.workers -= 1;
                    return None;
                }
                state.idle += 1;
            }
            let _ = tokio::time::timeout_at(until, woken).await;
            self.state().idle -= 1;
        }
    }

    fn connected(&self) {
        let mut state = self.state();
        state.live += 1;
        state.backoff = None;
    }

    fn served(&self) {
        self.state().failures = 0;
    }

    /// A session that was opened and then served nothing. Once may be chance; a server that does it again is down.
    fn useless(&self, why: String) -> bool {
        let down = {
            let mut state = self.state();
            if state.failures < USELESS {
                state.failures += 1;
            }
            state.failures >= USELESS
        };
        if down {
            self.unreachable(None, &ConnectError::Later(why));
        }
        down
    }

    /// A server that cannot be reached costs every waiting message one quick answer, not one time-out each.
    fn unreachable(&self, item: Option<Item>, why: &ConnectError) {
        let mut all: Vec<Item> = item.into_iter().collect();
        let after;
        {
            let mut state = self.state();
            let (failures, until) =
                backoff::next(&self.wiring.host, state.failures, state.backoff.as_ref().map(|(until, _)| *until));
            after = until.saturating_duration_since(Instant::now());
            state.failures = failures;
            state.backoff = Some((until, why.clone()));
            if state.live > 0 {
                // Other sessions are open: one connection too many, not an outage.
                for item in all.drain(..) {
                    if item.late() { item.not_started() } else { state.queue.push_front(item) }
                }
            } else {
                all.extend(state.queue.drain(..));
            }
        }
        if all.is_empty() {
            self.wake.notify_waiters();
            return;
        }
        tracing::warn!(host = %self.wiring.host, failures = self.state().failures, retry_in_ms = after.as_millis(), reason = why.reason(), "mail server not usable");
        for item in all {
            item.ticket.report(outcome(why, after));
        }
    }
}

impl ConnectError {
    fn reason(&self) -> &str {
        match self {
            Self::Later(reason) | Self::Settings(reason) => reason,
        }
    }
}

fn outcome(why: &ConnectError, after: Duration) -> Outcome {
    match why {
        ConnectError::Later(reason) => Outcome::Retry { reason: reason.clone(), after: Some(after) },
        ConnectError::Settings(reason) => Outcome::ChannelDown { reason: reason.clone(), after: None },
    }
}

/// Counts itself out, however it ends.
struct Worker {
    pool: Arc<Pool>,
    live: bool,
    counted: bool,
}

impl Worker {
    fn session_gone(&mut self) {
        if std::mem::take(&mut self.live) {
            self.pool.state().live -= 1;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.session_gone();
        if self.counted {
            self.pool.state().workers -= 1;
        }
    }
}

async fn work(mut worker: Worker) {
    let pool = worker.pool.clone();
    let mut open = None;
    while let Some(item) = pool.take().await {
        let session = match open.take() {
            Some(session) => session,
            None => match opened(&pool).await {
                None => {
                    item.not_started();
                    return;
                }
                Some(Ok(session)) => {
                    worker.live = true;
                    pool.connected();
                    session
                }
                Some(Err(why)) => {
                    pool.unreachable(Some(item), &why);
                    return;
                }
            },
        };
        match delivery::run(&pool, session, item).await {
            Ended::Useless(why) => {
                worker.session_gone();
                if pool.useless(why) {
                    return;
                }
                continue;
            }
            Ended::Open(session) if session.used < pool.wiring.messages_per_connection.max(1) => open = Some(session),
            Ended::Open(session) => {
                quit(session, &pool.limits).await;
                worker.session_gone();
            }
            Ended::Gone => worker.session_gone(),
        }
        pool.served();
    }
    worker.counted = false;
    if let Some(session) = open {
        quit(session, &pool.limits).await;
    }
}

/// A new session; `None` when the pool was closed meanwhile.
async fn opened(pool: &Pool) -> Option<Result<session::Session, ConnectError>> {
    tokio::select! {
        session = session::open(&pool.wiring, pool.tls.as_ref(), &pool.limits) => Some(session),
        () = pool.closed() => None,
    }
}

/// Says goodbye without waiting long for it: nothing depends on the answer.
async fn quit(mut session: session::Session, limits: &Timeouts) {
    let _ = session.wire.command("QUIT", limits.quit).await;
}
