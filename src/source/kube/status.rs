//! Writing a status: server-side apply under our own name, so that nobody else's fields are touched.

use super::{Cluster, KubeError, watch, within};
use crate::{api, compile::ObjectRef};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// Who our fields belong to in `metadata.managedFields`.
const MANAGER: &str = "rekindle-operator";

impl Cluster {
    /// Replaces what we said of an object. An object that is gone needs no status.
    ///
    /// # Errors
    /// The server is away or refuses.
    pub async fn write_status(&self, object: &ObjectRef, status: &Value) -> Result<(), KubeError> {
        let Some(kind) = watch::ours(&object.kind) else { return Ok(()) };
        let body = json!({
            "apiVersion": api::API_VERSION,
            "kind": object.kind,
            "metadata": {"name": object.name, "namespace": object.namespace},
            "status": status,
        });
        let api = self.api(&kind, Some(&object.namespace));
        let parameters = PatchParams::apply(MANAGER).force();
        match within(api.patch_status(&object.name, &parameters, &Patch::Apply(&body))).await {
            Err(error) if !error.is(404) => Err(error),
            _ => Ok(()),
        }
    }
}
