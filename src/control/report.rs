//! Standing and figures → statuses, written when they differ and not oftener than people read.

use super::{
    Control,
    conditions::keep_times,
    content_list, crm_connection,
    figures::{Counter, Figures},
    funnel::{self, Facts},
    message_channel, policy,
    reason::ConditionReason,
    standing::{Standing, key_of},
};
use crate::{
    compile::ObjectRef,
    model::FunnelKey,
    source::{KubeError, Seen},
    workers::Phase,
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// An object is written at most once in that time.
const APART: Duration = Duration::from_secs(5);
/// How often the loop looks.
const LOOK: Duration = Duration::from_millis(500);
/// Our own write comes back by the watch; until then it is believed.
const ECHO: Duration = Duration::from_secs(30);

/// What this replica last wrote.
struct Written {
    status: Value,
    at: Instant,
}

impl Control {
    pub(super) async fn report(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut counter = Counter::new();
        let mut figures = Figures::default();
        let mut written: BTreeMap<ObjectRef, Written> = BTreeMap::new();
        let mut quiet_until = Instant::now();
        while !*stop.borrow() {
            let leading = *self.leads.borrow();
            match self.standing().filter(|_| leading) {
                Some(standing) if Instant::now() >= quiet_until => {
                    let funnels: Vec<FunnelKey> = standing.reading.declared().into_iter().collect();
                    match counter.count(&self.store, &self.engine.plans(), &funnels, self.engine.clock().now()).await {
                        Some(Ok(fresh)) => figures = fresh,
                        Some(Err(error)) => tracing::warn!(label = error.label(), "the figures of statuses are older than usual"),
                        None => {}
                    }
                    written.retain(|object, _| standing.reading.seen.contains_key(object));
                    if !self.write(&standing, &figures, &mut written).await {
                        quiet_until = Instant::now() + APART;
                    }
                }
                Some(_) => {}
                None => written.clear(),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// False: the API server did not take all of it; what is missing is tried again later.
    async fn write(&self, standing: &Standing, figures: &Figures, written: &mut BTreeMap<ObjectRef, Written>) -> bool {
        let now = self.engine.clock().now();
        let mut answered = true;
        let resources: BTreeMap<(&str, &str, &str), &Value> = standing
            .reading
            .snapshot
            .objects
            .iter()
            .map(|o| ((o.kind.as_str(), o.namespace.as_str(), o.name.as_str()), &o.value))
            .collect();
        for (object, seen) in &standing.reading.seen {
            if written.get(object).is_some_and(|written| written.at.elapsed() < APART) {
                continue;
            }
            let key = (object.kind.as_str(), object.namespace.as_str(), object.name.as_str());
            let Some(resource) = resources.get(&key) else { continue };
            let Some(mut status) = self.describe(object, &resource["spec"], seen, standing, figures) else { continue };
            let before = match written.get(object).filter(|written| written.at.elapsed() < ECHO) {
                Some(written) => written.status.clone(),
                None => self.cluster.seen(object).map(|seen| seen.status).unwrap_or_default(),
            };
            keep_times(&mut status, &before, now);
            if same(&status, &before) {
                continue;
            }
            if let Err(error) = self.cluster.write_status(object, &status).await {
                self.metrics.api_failed("status", error.label());
                tracing::warn!(label = error.label(), %error, "statuses are written later");
                answered = false;
                // One status that is refused (a definition that lacks a field) must not keep those after it from being written.
                if matches!(error, KubeError::Refused { .. }) {
                    continue;
                }
                return false;
            }
            self.metrics.status_written(&object.kind);
            self.changed(object, seen, &before, &status).await;
            written.insert(object.clone(), Written { status, at: Instant::now() });
        }
        answered
    }

    fn describe(&self, object: &ObjectRef, spec: &Value, seen: &Seen, standing: &Standing, figures: &Figures) -> Option<Value> {
        let generation = seen.generation;
        let (adapters, now) = (self.engine.adapters(), self.engine.clock().now());
        match object.kind.as_str() {
            "CrmConnection" => json(&crm_connection::status(object, generation, standing, figures, &adapters)),
            "MessageChannel" => json(&message_channel::status(object, spec, generation, standing, figures, &adapters, now)),
            "ContactPolicy" => {
                let (plans, key) = (self.engine.plans(), format!("{}/{}", object.namespace, object.name));
                let plan = plans.0.values().map(|live| &*live.plan).find(|plan| plan.policy.key == key);
                json(&policy::status(object, generation, standing, figures, plan, now))
            }
            "ContentList" => json(&content_list::status(object, spec, generation, standing)),
            "ReactivationFunnel" => {
                let plans = self.engine.plans();
                let stopped = match &*self.engine.phase().borrow() {
                    Phase::StoreDown(why) => Some((ConditionReason::StoreUnavailable, why.clone())),
                    Phase::ClockWrong(why) => Some((ConditionReason::ClockWrong, why.clone())),
                    _ => None,
                };
                let live = plans.get(&key_of(object));
                let facts = Facts { standing, figures, adapters: &adapters, live, stopped, now };
                json(&funnel::status(object, generation, &facts))
            }
            _ => None,
        }
    }
}

fn json(status: &impl Serialize) -> Option<Value> {
    serde_json::to_value(status).ok()
}

/// Whether nothing would change; the order of conditions means nothing.
fn same(a: &Value, b: &Value) -> bool {
    let sorted = |status: &Value| {
        let mut status = status.clone();
        if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
            conditions.sort_by_key(|condition| condition["type"].to_string());
        }
        status
    };
    sorted(a) == sorted(b)
}
