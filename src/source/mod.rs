//! Where resources come from: a folder of manifests (later: the Kubernetes API) → `compile::Snapshot`.

mod node;
mod scalar;
mod yaml;

pub use node::{Content, Field, Node, Position};
pub use yaml::{YamlError, parse};
