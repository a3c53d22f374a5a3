//! From the index to a snapshot: the bodies that something names are fetched, the others never.

use super::{Cluster, KubeError, index::Seen, references::named_bodies, watch, within};
use crate::{
    compile::{ObjectRef, Origin, Snapshot, SourceObject},
    model::FunnelKey,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::PoisonError,
};

/// Everything that is there, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub snapshot: Snapshot,
    /// Generation and identity of each resource of ours.
    pub seen: BTreeMap<ObjectRef, Seen>,
    /// Namespaces that cannot be read, beside others that can: what is there is not known, and nothing of it counts as deleted.
    pub unread: BTreeSet<String>,
}

impl Reading {
    /// The funnels that exist, broken ones too.
    #[must_use]
    pub fn declared(&self) -> BTreeSet<FunnelKey> {
        let funnels = self.seen.keys().filter(|object| object.kind == "ReactivationFunnel");
        funnels.map(|object| FunnelKey { namespace: object.namespace.clone(), name: object.name.clone() }).collect()
    }
}

impl Cluster {
    /// Everything, now. `None`: some watch has not told yet what there is, and nothing may count as missing. A namespace that cannot be
    /// read is left out, and said ([`Reading::unread`]), so that one missing right does not stop the others.
    ///
    /// # Errors
    /// A body that is named cannot be fetched: what is in force stays in force.
    pub async fn read(&self) -> Result<Option<Reading>, KubeError> {
        let (mut reading, wanted) = {
            let index = self.index();
            let Some(unread) = self.unread(&index) else { return Ok(None) };
            let mut reading = Reading { unread, ..Reading::default() };
            let mut wanted: BTreeMap<ObjectRef, String> = BTreeMap::new();
            for (key, object, seen) in index.ours() {
                if reading.unread.contains(&key.namespace) {
                    continue;
                }
                for body in named_bodies(&key.namespace, &object.value["spec"]) {
                    if let Some(version) = index.version(&body) {
                        wanted.insert(body, version.to_owned());
                    }
                }
                let origin =
                    self.volume_root.as_ref().map(|root| Origin { file: PathBuf::new(), base_dir: root.clone(), confined: true });
                reading.snapshot.objects.push(SourceObject { origin, ..object.clone() });
                reading.seen.insert(key.clone(), seen.clone());
            }
            (reading, wanted)
        };
        let mut bodies = BTreeMap::new();
        for (key, version) in wanted {
            let kept = self.bodies().get(&key).filter(|(of, _)| *of == version).cloned();
            let body = match kept {
                Some(body) => Some(body),
                None => self.fetch(&key).await?.map(|body| (version, body)),
            };
            if let Some(body) = body {
                reading.snapshot.objects.push(body.1.clone());
                bodies.insert(key, body);
            }
        }
        *self.bodies() = bodies;
        Ok(Some(reading))
    }

    /// Status of a resource as it was last seen.
    #[must_use]
    pub fn seen(&self, object: &ObjectRef) -> Option<Seen> {
        self.index().seen(object).cloned()
    }

    fn bodies(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectRef, (String, SourceObject)>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: deleted meanwhile, or not ours to read; the compiler then says that it is missing.
    async fn fetch(&self, key: &ObjectRef) -> Result<Option<SourceObject>, KubeError> {
        let api = self.api(&watch::core(&key.kind), Some(&key.namespace));
        let mut object = match within(api.get(&key.name)).await {
            Ok(object) => object,
            Err(error) if error.is(404) => return Ok(None),
            Err(error) if error.is(403) => {
                tracing::warn!(object = %key, "may not be read; give the operator's ServiceAccount the right to get it");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut value = serde_json::Map::new();
        for part in ["data", "binaryData"] {
            if let Some(data) = object.data.get_mut(part).map(Value::take) {
                value.insert(part.to_owned(), data);
            }
        }
        Ok(Some(SourceObject {
            api_version: "v1".into(),
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            value: Value::Object(value),
            origin: None,
        }))
    }
}
