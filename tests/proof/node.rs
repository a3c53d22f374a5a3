//! One process: it can stand still, die at any moment, and have a wrong clock. A dead one's tasks wait for ever at their next door to
//! the outside, which nobody out there can tell from being gone.

use rekindle::workers::Clock;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

pub struct Node {
    /// Which of the processes, and how many of them there were before in its place.
    pub name: String,
    pub slot: usize,
    dead: AtomicBool,
    until: Mutex<Option<Instant>>,
    resumed: Notify,
    pub offset: Arc<AtomicI64>,
    pub clock: Clock,
    /// Conversations with providers.
    pub busy: AtomicUsize,
    pub stop: watch::Sender<bool>,
}

impl Node {
    pub fn new(name: String, slot: usize, clock: Clock, offset: Arc<AtomicI64>) -> Arc<Self> {
        Arc::new(Self {
            name,
            slot,
            dead: AtomicBool::new(false),
            until: Mutex::default(),
            resumed: Notify::new(),
            offset,
            clock,
            busy: AtomicUsize::new(0),
            stop: watch::Sender::new(false),
        })
    }

    pub fn dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        // Its loops end; whatever they still want from the outside waits for ever.
        self.stop.send_replace(true);
    }

    pub fn pause(&self, ms: u64) {
        *self.until.lock().unwrap() = Some(Instant::now() + Duration::from_millis(ms));
    }

    pub fn resume(&self) {
        *self.until.lock().unwrap() = None;
        self.resumed.notify_waiters();
    }

    pub fn stands_still(&self) -> bool {
        self.until.lock().unwrap().is_some_and(|until| until > Instant::now())
    }

    /// Every door to the outside: the dead never pass, the paused later.
    pub async fn gate(&self) {
        loop {
            if self.dead() {
                std::future::pending::<()>().await;
            }
            let resumed = self.resumed.notified();
            let until = *self.until.lock().unwrap();
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => {
                    let _ = tokio::time::timeout_at(until, resumed).await;
                }
                None => return,
            }
        }
    }

    pub async fn die(&self) {
        self.kill();
        self.gate().await;
    }
}
