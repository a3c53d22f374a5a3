//! What the operator counts. Names and meanings are documented in `docs/metrics.md`.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByCall {
    call: &'static str,
    label: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByLabel {
    label: String,
}

/// Shared by both loops.
#[derive(Clone, Debug)]
pub struct ControlMetrics {
    leads: Gauge,
    publications: Counter,
    publish_failures: Family<ByLabel, Counter>,
    statuses: Family<ByKind, Counter>,
    api_failures: Family<ByCall, Counter>,
}

impl ControlMetrics {
    /// Registers the operator's metrics.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            leads: Gauge::default(),
            publications: Counter::default(),
            publish_failures: Family::default(),
            statuses: Family::default(),
            api_failures: Family::default(),
        };
        registry.register("rekindle_leader", "Whether this replica publishes and writes statuses", metrics.leads.clone());
        registry.register("rekindle_publications", "Snapshots compiled and published", metrics.publications.clone());
        registry.register("rekindle_publish_failures", "Publications that failed, by reason", metrics.publish_failures.clone());
        registry.register("rekindle_status_writes", "Statuses written to the API server, by kind", metrics.statuses.clone());
        registry.register("rekindle_api_failures", "Calls to the API server that failed", metrics.api_failures.clone());
        metrics
    }

    pub(super) fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }

    pub(super) fn published(&self) {
        self.publications.inc();
    }

    pub(super) fn publish_failed(&self, label: &str) {
        self.publish_failures.get_or_create(&ByLabel { label: label.to_owned() }).inc();
    }

    pub(super) fn status_written(&self, kind: &str) {
        self.statuses.get_or_create(&ByKind { kind: kind.to_owned() }).inc();
    }

    pub(super) fn api_failed(&self, call: &'static str, label: &str) {
        self.api_failures.get_or_create(&ByCall { call, label: label.to_owned() }).inc();
    }
}
