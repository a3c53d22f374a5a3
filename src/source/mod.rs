//! Where resources come from: a folder of manifests, or a Kubernetes API server → `compile::Snapshot`.
//!
//! [`Folder`] reads files as kubectl does, [`Admission`] stores and refuses as the API server does, and [`Admitted::problems`] puts
//! the compiler's findings into the lines of their files: a folder means what it would mean in a cluster.

mod check;
mod folder;
mod form;
mod kube;
mod manifest;
mod nearest;
mod node;
mod problem;
mod rules;
mod scalar;
mod schema;
mod yaml;

pub use self::kube::{Cluster, Election, Happening, KubeError, Reading, Seen, Weight, named_resources};
pub use check::{Admission, Admitted};
pub use folder::{Folder, FolderError, Loaded, load_text};
pub use manifest::Manifest;
pub use node::{Content, Field, Node, Position};
pub use problem::Problem;
pub use yaml::{YamlError, parse};
