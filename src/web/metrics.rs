//! The web's own metrics. Names and labels are explained in `docs/metrics.md`; no label ever carries personal data, and every
//! label has few values.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub route: &'static str,
    pub method: &'static str,
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ClickLabels {
    pub verdict: &'static str,
    pub why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HowLabels {
    pub how: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SignalLabels {
    pub kind: &'static str,
    pub result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabels {
    pub result: &'static str,
}

/// A histogram of a route or of batches; a plain constructor, as `Family` needs one.
type Seconds = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// Counters and histograms, shared by cloning.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) seconds: Seconds,
    pub(super) connections: Gauge,
    pub(super) refused_connections: Counter,
    pub(super) clicks: Family<ClickLabels, Counter>,
    pub(super) click_batch: Histogram,
    pub(super) clicks_waiting: Gauge,
    pub(super) clicks_late: Counter,
    pub(super) clicks_dropped: Family<ReasonLabels, Counter>,
    pub(super) unsubscribes: Family<HowLabels, Counter>,
    pub(super) signals: Family<SignalLabels, Counter>,
    pub(super) receipts: Family<ResultLabels, Counter>,
    pub(super) inbound: Family<ResultLabels, Counter>,
    pub(super) store_errors: Family<ReasonLabels, Counter>,
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5])
}

impl Metrics {
    /// Makes them and adds them to `registry`. Their names begin with `rekindle_`: the registry must have no prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
            clicks: Family::default(),
            click_batch: Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]),
            clicks_waiting: Gauge::default(),
            clicks_late: Counter::default(),
            clicks_dropped: Family::default(),
            unsubscribes: Family::default(),
            signals: Family::default(),
            receipts: Family::default(),
            inbound: Family::default(),
            store_errors: Family::default(),
        };
        let m = metrics.clone();
        registry.register("rekindle_http_requests", "HTTP requests by route, method and status", m.requests);
        registry.register("rekindle_http_request_seconds", "Time to answer by route", m.seconds);
        registry.register("rekindle_http_connections", "Open HTTP connections", m.connections);
        registry.register(
            "rekindle_http_connections_refused",
            "Connections closed at once because as many as allowed were open",
            m.refused_connections,
        );
        registry.register("rekindle_clicks", "Hits on tracked links by verdict on arrival and its reason", m.clicks);
        registry.register("rekindle_click_batch_size", "Clicks stored in one transaction", m.click_batch);
        registry.register("rekindle_clicks_waiting", "Clicks that are not stored yet", m.clicks_waiting);
        registry.register("rekindle_clicks_late", "Redirects answered before their click was stored", m.clicks_late);
        registry.register("rekindle_clicks_dropped", "Clicks that were lost, by reason", m.clicks_dropped);
        registry.register("rekindle_unsubscribes", "Unsubscriptions stored, by how they came", m.unsubscribes);
        registry.register("rekindle_signals", "Signals by kind and result", m.signals);
        registry.register("rekindle_receipts", "Delivery receipts by result", m.receipts);
        registry.register("rekindle_inbound_messages", "Messages from clients by result", m.inbound);
        registry.register("rekindle_web_store_errors", "Store calls of the web that failed, by reason", m.store_errors);
        metrics
    }

    pub(super) fn store_error(&self, reason: &'static str) {
        self.store_errors.get_or_create(&ReasonLabels { reason }).inc();
    }
}
