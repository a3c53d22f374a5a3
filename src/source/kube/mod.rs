//! A Kubernetes API server as the place where resources come from, and where their status is told.
//!
//! One watch a kind feeds one [`Index`](index::Index); [`Cluster::read`] makes a `compile::Snapshot` of it. Objects are watched as plain
//! JSON, so that one of a form that we do not understand is a finding of the compiler and never the end of a watch. Of Secrets and
//! `ConfigMaps` only the metadata is watched; the bodies of those that something refers to are fetched and kept as long as it does.

mod events;
mod index;
mod lease;
mod reading;
mod recall;
mod references;
mod status;
mod watch;
mod witness;

pub use events::{Happening, Weight};
pub use index::Seen;
pub use lease::Election;
pub use reading::Reading;
pub use references::named_resources;
pub use witness::ConfigMapWitness;

use crate::compile::{ObjectRef, SourceObject};
use index::Index;
use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject},
};
use recall::Recall;
use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch as signal;

/// What an API server may take for an answer before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it may take to take a connection. A server that comes back can leave attempts from before it hanging: a replica that waits
/// them out learns so much later what to send by.
const CONNECT: Duration = Duration::from_secs(2);

/// Why the API server could not be asked. Its label stands in metrics.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    #[error("there is no API server to work with: {0}; run inside a cluster, or set KUBECONFIG")]
    Config(String),
    /// It answered, and the answer was no. `what` carries no values of objects.
    #[error("the API server refused ({code} {reason})")]
    Refused { code: u16, reason: String },
    #[error("the API server cannot be reached")]
    Unavailable(#[source] Box<kube::Error>),
    #[error("the API server does not answer in time")]
    Slow,
}

impl KubeError {
    /// Stable name for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Refused { .. } => "refused",
            Self::Unavailable(_) => "unavailable",
            Self::Slow => "slow",
        }
    }

    fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }
}

impl From<kube::Error> for KubeError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused { code: status.code, reason: status.reason.clone() },
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

/// Waits for an answer, but not for ever.
async fn within<T>(answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, KubeError> {
    heard_in(PATIENCE, answer).await
}

async fn heard_in<T>(patience: Duration, answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, KubeError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(KubeError::Slow),
    }
}

/// One API server, as far as this process may look.
pub struct Cluster {
    client: Client,
    /// Empty: all of them.
    namespaces: Vec<String>,
    /// The one folder that a path in a connection may lead into.
    volume_root: Option<PathBuf>,
    recall: Option<Recall>,
    index: Arc<Mutex<Index>>,
    changes: signal::Sender<u64>,
    /// Bodies by object, with the resource version they were read at.
    bodies: Mutex<BTreeMap<ObjectRef, (String, SourceObject)>>,
}

impl Cluster {
    /// The API server that the process runs in, or that `KUBECONFIG` names. Asks it nothing yet: it may be away. `cache`: a folder of
    /// memory where what is read is kept for the next start.
    ///
    /// # Errors
    /// [`KubeError::Config`].
    pub async fn connect(
        namespaces: Vec<String>,
        volume_root: Option<PathBuf>,
        cache: Option<PathBuf>,
    ) -> Result<Arc<Self>, KubeError> {
        let mut config = kube::Config::infer().await.map_err(|e| KubeError::Config(e.to_string()))?;
        config.connect_timeout = Some(CONNECT);
        let client = Client::try_from(config).map_err(|e| KubeError::Config(e.to_string()))?;
        Ok(Arc::new(Self {
            client,
            namespaces,
            volume_root,
            recall: cache.map(Recall::new),
            index: Arc::default(),
            changes: signal::Sender::new(0),
            bodies: Mutex::default(),
        }))
    }

    /// Tells that something was created, changed or deleted; its number only grows.
    #[must_use]
    pub fn changes(&self) -> signal::Receiver<u64> {
        self.changes.subscribe()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Objects of a kind, in one namespace or all of them.
    fn api(&self, kind: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }
}
