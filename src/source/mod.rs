//! Where resources come from: a folder of manifests (later: the Kubernetes API) → `compile::Snapshot`.
