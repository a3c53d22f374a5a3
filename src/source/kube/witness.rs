//! A `ConfigMap` as the witness outside the database (design §6.8): it outlives a volume or a database that is restored.
//!
//! Sending never rests on the API server: while that is away, blocks are used without being witnessed, and said so. What a database
//! restored in just that time forgot is not noticed.

use super::{Cluster, KubeError, heard_in, watch};
use crate::store::{Reserved, Witness, WitnessError};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// After a failure the API server is left alone for that long: a slow one must not slow sending down.
const REST: Duration = Duration::from_secs(10);

/// What it may take for an answer while a lease is taken over: nothing is sent meanwhile, and who was killed while the API server was away
/// must be replaced within the ten seconds that are promised.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
pub struct ConfigMapWitness {
    cluster: Arc<Cluster>,
    namespace: String,
    name: String,
    rest_until: Mutex<Option<Instant>>,
}

impl fmt::Debug for ConfigMapWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigMap {}/{}", self.namespace, self.name)
    }
}

impl ConfigMapWitness {
    #[must_use]
    pub const fn new(cluster: Arc<Cluster>, namespace: String, name: String) -> Self {
        Self { cluster, namespace, name, rest_until: Mutex::new(None) }
    }

    fn away(&self, error: &KubeError) {
        tracing::warn!(label = error.label(), witness = ?self, "{error}: hand-overs go on unwitnessed");
        *self.rest_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
    }
}

#[async_trait::async_trait]
impl Witness for ConfigMapWitness {
    async fn read(&self) -> Result<Option<Reserved>, WitnessError> {
        let api = self.cluster.api(&watch::core("ConfigMap"), Some(&self.namespace));
        let found = match heard_in(PATIENCE, api.get(&self.name)).await {
            Ok(found) => found,
            Err(error) if error.is(404) => return Ok(None),
            Err(error) => {
                self.away(&error);
                return Ok(None);
            }
        };
        let number = |key: &str| found.data["data"][key].as_str().and_then(|text| text.parse::<i64>().ok());
        match (number("from"), number("to")) {
            (Some(from), Some(to)) => Ok(Some(Reserved { from, to })),
            _ => Err(WitnessError {
                place: format!("{self:?}"),
                what: "understood",
                source: "its keys from and to are not whole numbers; delete it only if the database was never restored".into(),
            }),
        }
    }

    async fn write(&self, reserved: Reserved) -> Result<(), WitnessError> {
        let resting = *self.rest_until.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "data": {"from": reserved.from.to_string(), "to": reserved.to.to_string()},
        });
        let api = self.cluster.api(&watch::core("ConfigMap"), Some(&self.namespace));
        let parameters = PatchParams::apply(super::status::MANAGER).force();
        if let Err(error) = heard_in(PATIENCE, api.patch(&self.name, &parameters, &Patch::Apply(&body))).await {
            self.away(&error);
        }
        Ok(())
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(5)
    }
}
