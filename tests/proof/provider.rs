//! Providers as they are: slow, out of order, at a loss, and sometimes they take a message and lose the reply. They outlive every
//! process that talks to them.

use super::{
    node::Node,
    scenario::Fault,
    world::{Bug, LEASE, World},
};
use futures::future::join_all;
use rekindle::{
    channels::{Channel, Job, Report},
    model::{EffectRef, Outcome, stable_hash},
    store::qualified,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

pub struct SimProvider {
    pub name: String,
    pub world: Arc<World>,
    pub node: Arc<Node>,
    pub closed: AtomicBool,
}

impl SimProvider {
    async fn one(&self, job: Job, deadline: Instant, reports: &UnboundedSender<Report>) {
        let outcome = self.talk(&job, deadline).await;
        self.node.gate().await;
        let _ = reports.send(Report { effect: job.effect, attempt: job.attempt, outcome });
    }

    async fn talk(&self, job: &Job, deadline: Instant) -> Outcome {
        let (world, node) = (&self.world, &self.node);
        node.gate().await;
        let n = stable_hash(&[self.name.as_bytes(), job.effect.to_string().as_bytes(), &job.attempt.to_be_bytes()]) >> 16;
        let dice = world.dice;
        tokio::time::sleep(Duration::from_millis(dice.roll("connect", n, 40))).await;
        let fault = world.fault_of_hand_over();
        match fault {
            Some(Fault::CrashBefore) => node.die().await,
            Some(Fault::PausedBefore(ms)) => node.pause(ms),
            _ => {}
        }
        node.gate().await;
        if self.closed.load(Ordering::SeqCst) {
            return Outcome::NotStarted;
        }
        let deadline = if world.bug == Some(Bug::LateRenewal) { deadline + LEASE } else { deadline };
        if Instant::now() >= deadline {
            return Outcome::NotStarted;
        }
        let manners = world.manners();
        let is = |what: &str, share: u64| dice.chance(what, n, share);
        let busy = |reason: &str, after| Outcome::Retry { reason: reason.into(), after };
        if world.bug == Some(Bug::MarkBeforeSend) {
            // Written down as accepted; the bytes come a moment later, if the process lives.
            world
                .store
                .call({
                    let mark = rekindle::store::Mark {
                        effect: job.effect,
                        attempt: job.attempt,
                        outcome: Outcome::Accepted { provider: self.name.clone(), provider_id: None },
                        at: node.clock.now(),
                        next: None,
                    };
                    move |journal| Box::pin(async move { journal.mark(vec![mark]).await })
                })
                .await
                .ok();
            tokio::time::sleep(Duration::from_millis(20)).await;
            node.gate().await;
        }
        // From here on the provider may have it.
        let key = match world.bug {
            Some(Bug::KeyPerAttempt) if job.attempt > 1 => uuid_of(&job.key, job.attempt),
            _ => job.key.to_string(),
        };
        world.truth().bytes(&node.name, &self.name, job.effect, &key, &serde_json::to_value(&job.message).unwrap());
        if fault == Some(Fault::Refused) || is("refuses", manners.refuses) {
            return busy("refused", None);
        }
        if is("429", manners.too_many) {
            world.truth().note("429");
            if world.bug == Some(Bug::TooManyIsSent) {
                return Outcome::Accepted { provider: self.name.clone(), provider_id: None };
            }
            return busy("too many", Some(Duration::from_secs(30)));
        }
        if is("money", manners.out_of_money) {
            return Outcome::ChannelDown { reason: "out of money".into(), after: None };
        }
        if is("rejects", manners.rejects) {
            return Outcome::Rejected { reason: "no such number".into(), suppress: dice.chance("bad", n, 500) };
        }
        let unknown = |reason: &str| {
            world.truth().unclear.insert(job.effect);
            let as_refused = match world.bug {
                Some(Bug::RetryOnTimeout) => true,
                Some(Bug::FailoverFromUnknown) => self.name == "one",
                // That it may leave once more was said after an attempt before.
                Some(Bug::OneWarningForAll) => world.truth().announced.contains_key(&job.effect),
                _ => false,
            };
            if as_refused {
                return busy("timeout", None);
            }
            Outcome::Unknown { reason: reason.into() }
        };
        if is("breaks", manners.breaks) {
            return unknown("the connection broke");
        }
        world.accept(job, &self.name, n);
        match fault {
            Some(Fault::CrashAfter) => node.die().await,
            Some(Fault::PausedAfter(ms)) => node.pause(ms),
            _ => {}
        }
        let slow = if is("slow", manners.slow) { 15_000 + dice.roll("how slow", n, 30_000) } else { dice.roll("reply", n, 200) };
        tokio::time::sleep(Duration::from_millis(slow)).await;
        if fault == Some(Fault::ReplyLost) || is("drops", manners.drops_reply) {
            return unknown("no reply");
        }
        Outcome::Accepted { provider: self.name.clone(), provider_id: Some(provider_id(job)) }
    }
}

/// What a provider calls a message.
fn provider_id(job: &Job) -> String {
    format!("{}-{}", job.effect, job.attempt)
}

fn uuid_of(key: &impl std::fmt::Display, attempt: i32) -> String {
    format!("{key}/{attempt}")
}

#[async_trait::async_trait]
impl Channel for SimProvider {
    async fn perform(&self, jobs: Vec<Job>, deadline: Instant, reports: UnboundedSender<Report>) {
        let _busy = Busy::new(&self.node);
        join_all(jobs.into_iter().map(|job| self.one(job, deadline, &reports))).await;
    }

    fn close(&self) {
        if !self.node.dead() {
            self.closed.store(true, Ordering::SeqCst);
        }
    }

    fn capacity(&self) -> usize {
        super::fixture::BOUND
    }

    fn in_flight_bound(&self) -> usize {
        super::fixture::BOUND
    }
}

/// A process is busy while it waits for a provider.
struct Busy<'a>(&'a Node);

impl<'a> Busy<'a> {
    fn new(node: &'a Node) -> Self {
        node.busy.fetch_add(1, Ordering::SeqCst);
        Self(node)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    /// A provider takes a message, and tells so later, sooner, twice or about another one.
    fn accept(self: &Arc<Self>, job: &Job, provider: &str, n: u64) {
        let effect = job.effect;
        self.truth().accept(effect, self.scenario.resend);
        let (dice, manners) = (self.dice, self.manners());
        let bounced = dice.chance("bounces", n, manners.bounces);
        let after = if dice.chance("early", n, manners.early) { 0 } else { 1_000 + dice.roll("receipt", n, 20_000) };
        let outcome =
            if bounced { Outcome::Rejected { reason: "mailbox gone".into(), suppress: false } } else { Outcome::Delivered };
        if provider != "relay" && dice.chance("by id", n, manners.by_id) {
            if bounced {
                self.truth().bounced.insert(effect);
            }
            self.clone().report_by_id(qualified("shop/sms", provider), provider_id(job), outcome.clone(), after);
        } else {
            self.clone().report(effect, outcome.clone(), after, format!("{effect}/1"));
        }
        if dice.chance("twice", n, manners.twice) {
            // The very same once more, and the same under another number.
            self.clone().report(effect, outcome.clone(), after + 3_000, format!("{effect}/1"));
            self.clone().report(effect, outcome, after + 5_000, format!("{effect}/2"));
        }
        if dice.chance("stray", n, manners.stray) {
            let stray = EffectRef { copy: rekindle::model::CopyId(effect.copy.0 + 1_000), seq: effect.seq };
            self.clone().report(stray, Outcome::Delivered, after, format!("{stray}/1"));
        }
    }
}
