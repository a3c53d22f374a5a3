//! A `ConfigMap` as the witness outside the database (design §6.8): it outlives a volume or a database that is restored.
//!
//! Sending never rests on the API server: while that is away, blocks are used without being witnessed, and said so. What it knows is never
//! written over unread, and never put back: each write names the version that it replaces, so one that was long on its way, or of a
//! process that stood still, changes nothing.

use super::{Cluster, KubeError, heard_in, watch};
use crate::store::{Reserved, Said, Witness, WitnessError};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// After a failure the API server is left alone for that long: a slow one must not slow sending down.
const REST: Duration = Duration::from_secs(10);

/// What it may take for an answer while a lease is taken over: nothing is sent meanwhile, and who was killed while the API server was away
/// must be replaced within the ten seconds that are promised.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked at again because somebody else wrote meanwhile.
const ROUNDS: usize = 3;

/// What was last seen of the object. No version: there is none.
#[derive(Debug, Default)]
struct Stands {
    block: Option<Reserved>,
    version: Option<String>,
}

/// See the module.
pub struct ConfigMapWitness {
    cluster: Arc<Cluster>,
    namespace: String,
    name: String,
    rest_until: Mutex<Option<Instant>>,
    seen: Mutex<Option<Stands>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for ConfigMapWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigMap {}/{}", self.namespace, self.name)
    }
}

impl ConfigMapWitness {
    #[must_use]
    pub const fn new(cluster: Arc<Cluster>, namespace: String, name: String) -> Self {
        Self { cluster, namespace, name, rest_until: Mutex::new(None), seen: Mutex::new(None) }
    }

    fn away(&self, error: &KubeError) {
        tracing::warn!(label = error.label(), witness = ?self, "{error}: hand-overs go on unwitnessed");
        *lock(&self.rest_until) = Some(Instant::now() + REST);
    }

    fn rests(&self) -> bool {
        lock(&self.rest_until).is_some_and(|until| Instant::now() < until)
    }

    fn api(&self) -> Api<DynamicObject> {
        self.cluster.api(&watch::core("ConfigMap"), Some(&self.namespace))
    }

    /// `None`: the API server does not say.
    async fn look(&self) -> Result<Option<Stands>, WitnessError> {
        let found = match heard_in(PATIENCE, self.api().get(&self.name)).await {
            Ok(found) => found,
            Err(error) if error.is(404) => return Ok(Some(Stands::default())),
            Err(error) => {
                self.away(&error);
                return Ok(None);
            }
        };
        let number = |key: &str| found.data["data"][key].as_str().and_then(|text| text.parse::<i64>().ok());
        match (number("from"), number("to")) {
            (Some(from), Some(to)) => {
                Ok(Some(Stands { block: Some(Reserved { from, to }), version: found.metadata.resource_version }))
            }
            _ => Err(WitnessError {
                place: format!("{self:?}"),
                what: "understood",
                source: "its keys from and to are not whole numbers; delete it only if the database was never restored".into(),
            }),
        }
    }

    /// In the place of that version only, or as a new object. Answers the version that it is then.
    async fn put(&self, reserved: Reserved, version: Option<&str>) -> Result<Option<String>, KubeError> {
        let data = json!({"data": {"from": reserved.from.to_string(), "to": reserved.to.to_string()}});
        let manager = super::status::MANAGER;
        let written = if let Some(version) = version {
            let patch = json!({"metadata": {"resourceVersion": version}, "data": data["data"]});
            heard_in(PATIENCE, self.api().patch(&self.name, &PatchParams::apply(manager), &Patch::Merge(&patch))).await?
        } else {
            let fresh = DynamicObject::new(&self.name, &watch::core("ConfigMap")).within(&self.namespace).data(data);
            let parameters = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
            heard_in(PATIENCE, self.api().create(&parameters, &fresh)).await?
        };
        Ok(written.metadata.resource_version)
    }
}

#[async_trait::async_trait]
impl Witness for ConfigMapWitness {
    async fn read(&self) -> Result<Said, WitnessError> {
        if self.rests() {
            return Ok(Said::Away);
        }
        let Some(stands) = self.look().await? else { return Ok(Said::Away) };
        let block = stands.block;
        *lock(&self.seen) = Some(stands);
        Ok(Said::Block(block))
    }

    async fn write(&self, reserved: Reserved) -> Result<Said, WitnessError> {
        if self.rests() {
            return Ok(Said::Away);
        }
        for _ in 0..ROUNDS {
            let seen = lock(&self.seen).take();
            let stands = match seen {
                Some(stands) => stands,
                None => match self.look().await? {
                    Some(stands) => stands,
                    None => return Ok(Said::Away),
                },
            };
            if let Some(later) = stands.block.filter(|block| block.from > reserved.from) {
                return Ok(Said::Block(Some(later)));
            }
            match self.put(reserved, stands.version.as_deref()).await {
                Ok(version) => {
                    *lock(&self.seen) = Some(Stands { block: Some(reserved), version });
                    return Ok(Said::Block(Some(reserved)));
                }
                // Somebody else wrote, or deleted it.
                Err(error) if error.is(409) || error.is(404) => {}
                Err(error) => {
                    self.away(&error);
                    return Ok(Said::Away);
                }
            }
        }
        Ok(Said::Away)
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(5)
    }
}
