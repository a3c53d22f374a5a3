//! What the engine counts. Names and meanings are documented in `docs/metrics.md`; no label carries personal data.

use crate::{
    compile::ChannelWiring,
    engine::History,
    model::{ClickVerdict, Outcome},
    store::Pace,
};
use jiff::SignedDuration;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByLabel {
    label: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByPace {
    within: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByChannel {
    channel: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByWriteBack {
    connection: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByConnection {
    connection: String,
    label: String,
}

/// Shared by all passes.
#[derive(Clone, Debug)]
pub struct EngineMetrics {
    messages: Family<ByChannel, Counter>,
    write_backs: Family<ByWriteBack, Counter>,
    failures: Family<ByLabel, Counter>,
    sync_failures: Family<ByConnection, Counter>,
    deals: Family<ByConnection, Counter>,
    clicks: Family<ByLabel, Counter>,
    reactions: Family<ByPace, Counter>,
    escalations: Counter,
    lateness: Histogram,
    steps: Histogram,
    done: Counter,
    clock: Gauge,
}

impl EngineMetrics {
    /// Registers the engine's metrics.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages: Family::default(),
            write_backs: Family::default(),
            failures: Family::default(),
            sync_failures: Family::default(),
            deals: Family::default(),
            clicks: Family::default(),
            reactions: Family::default(),
            escalations: Counter::default(),
            lateness: Histogram::new(exponential_buckets(0.1, 4.0, 10)),
            steps: Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            done: Counter::default(),
            clock: Gauge::default(),
        };
        registry.register("rekindle_messages", "Outcomes of messages by channel", metrics.messages.clone());
        registry.register("rekindle_write_backs", "Outcomes of write-backs by connection", metrics.write_backs.clone());
        registry.register("rekindle_pass_failures", "Passes of the engine that failed, by reason", metrics.failures.clone());
        registry.register("rekindle_sync_failures", "CRM readings that failed, by reason", metrics.sync_failures.clone());
        registry.register("rekindle_deals_changed", "Deals taken over because they really changed", metrics.deals.clone());
        registry.register("rekindle_clicks_judged", "Final verdicts on clicks", metrics.clicks.clone());
        registry.register("rekindle_reactions", "Reactions of managers to interest, by working time", metrics.reactions.clone());
        registry.register("rekindle_escalations", "Times somebody above was told that nobody reacts", metrics.escalations.clone());
        registry.register("rekindle_lateness_seconds", "How late the earliest due copy was looked at", metrics.lateness.clone());
        registry.register("rekindle_step_seconds", "Length of one round of passes that had something to do", metrics.steps.clone());
        registry.register("rekindle_things_done", "Copies, events and effects dealt with", metrics.done.clone());
        let clock = "How far this machine's clock is ahead of the database's (PostgreSQL)";
        registry.register("rekindle_clock_ahead_seconds", clock, metrics.clock.clone());
        metrics
    }

    pub(super) fn clock_ahead(&self, ahead: SignedDuration) {
        self.clock.set(ahead.as_secs());
    }

    pub(super) fn outcome(&self, channel: &ChannelWiring, outcome: &Outcome) {
        self.messages.get_or_create(&ByChannel { channel: channel.key.clone(), outcome: word(outcome) }).inc();
    }

    pub(super) fn write_back(&self, connection: &str, outcome: &Outcome) {
        self.write_backs.get_or_create(&ByWriteBack { connection: connection.to_owned(), outcome: word(outcome) }).inc();
    }

    pub(super) fn pass_failed(&self, label: &str) {
        self.failures.get_or_create(&ByLabel { label: label.to_owned() }).inc();
    }

    pub(super) fn sync_failed(&self, connection: &str, label: &str) {
        self.sync_failures.get_or_create(&ByConnection { connection: connection.to_owned(), label: label.to_owned() }).inc();
    }

    pub(super) fn deals(&self, connection: &str, count: usize) {
        self.deals
            .get_or_create(&ByConnection { connection: connection.to_owned(), label: "changed".to_owned() })
            .inc_by(count as u64);
    }

    pub(super) fn click(&self, verdict: ClickVerdict) {
        self.clicks.get_or_create(&ByLabel { label: verdict.as_str().to_owned() }).inc();
    }

    pub(super) fn reaction(&self, line: &History) {
        match line {
            History::Reaction { seconds } => {
                self.reactions.get_or_create(&ByPace { within: Pace::of(*seconds).as_str() }).inc();
            }
            History::Unanswered { .. } => {
                self.escalations.inc();
            }
            _ => {}
        }
    }

    pub(super) fn lateness(&self, late: SignedDuration) {
        self.lateness.observe(late.as_secs_f64().max(0.0));
    }

    pub(super) fn step(&self, took: Duration, done: usize) {
        if done > 0 {
            self.steps.observe(took.as_secs_f64());
            self.done.inc_by(done as u64);
        }
    }
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Delivered => "delivered",
        Outcome::Retry { .. } => "retry",
        Outcome::Rejected { .. } => "rejected",
        Outcome::ChannelDown { .. } => "channel_down",
        Outcome::Unknown { .. } => "unknown",
        Outcome::NotStarted => "not_started",
        Outcome::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use super::{EngineMetrics, Outcome};

    #[test]
    fn tasks_that_a_crm_refuses_can_be_seen() {
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = EngineMetrics::new(&mut registry);
        metrics.write_back("shop/crm", &Outcome::Rejected { reason: "no such deal".into(), suppress: false });
        metrics.write_back("shop/crm", &Outcome::ChannelDown { reason: "404".into(), after: None });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for outcome in ["rejected", "channel_down"] {
            let line = format!("rekindle_write_backs_total{{connection=\"shop/crm\",outcome=\"{outcome}\"}} 1");
            assert!(text.contains(&line), "{text}");
        }
    }
}
