//! One watch a kind (and namespace, where only some are watched).

use super::{
    Cluster, KubeError,
    index::{Index, Item, Seen},
};
use crate::{
    api,
    compile::{ObjectRef, SourceObject},
};
use futures::StreamExt as _;
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, PartialObjectMeta, TypeMeta},
    core::GroupVersionKind,
    runtime::{WatchStreamExt as _, utils::Backoff, watcher},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    pin::pin,
    sync::Arc,
    time::Duration,
};

/// Kinds whose bodies are fetched only when something names them.
pub(super) const BODIES: [&str; 2] = ["Secret", "ConfigMap"];

/// A kind of ours.
pub(super) fn ours(kind: &str) -> Option<ApiResource> {
    let definition = api::definitions().into_iter().find(|definition| definition.spec.names.kind == kind)?;
    let gvk = GroupVersionKind::gvk(api::GROUP, api::VERSION, kind);
    Some(ApiResource::from_gvk_with_plural(&gvk, &definition.spec.names.plural))
}

pub(super) fn core(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}

impl Cluster {
    /// Starts all watches; they end with the runtime. A server that is away or refuses is asked again and again, and `failed` is told the
    /// label of each time.
    pub fn watch(self: &Arc<Self>, failed: impl Fn(&'static str) + Clone + Send + Sync + 'static) {
        let everywhere = [None];
        let some: Vec<Option<&str>> = self.namespaces.iter().map(|namespace| Some(namespace.as_str())).collect();
        let mut number = 0;
        for namespace in if some.is_empty() { &everywhere[..] } else { &some } {
            for definition in api::definitions() {
                if let Some(kind) = ours(&definition.spec.names.kind) {
                    tokio::spawn(self.clone().follow(
                        self.api(&kind, *namespace),
                        number,
                        kind.kind.clone(),
                        our_item,
                        failed.clone(),
                    ));
                    number += 1;
                }
            }
            for kind in BODIES {
                let resource = core(kind);
                let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
                    Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                    None => Api::all_with(self.client.clone(), &resource),
                };
                let item = |_: &str, object: PartialObjectMeta<DynamicObject>| {
                    Some(Item::Body(object.metadata.resource_version.unwrap_or_default()))
                };
                tokio::spawn(self.clone().follow(api, number, kind.to_owned(), item, failed.clone()));
                number += 1;
            }
        }
    }

    /// What each watch is of, in the order of their numbers: the namespace (none: all of them) and the kind.
    fn watched(&self) -> Vec<(Option<&str>, String)> {
        let kinds = api::definitions().into_iter().map(|definition| definition.spec.names.kind);
        let kinds: Vec<String> = kinds.chain(BODIES.map(str::to_owned)).collect();
        let namespaces: Vec<Option<&str>> = match &self.namespaces[..] {
            [] => vec![None],
            some => some.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        namespaces.into_iter().flat_map(|namespace| kinds.iter().map(move |kind| (namespace, kind.clone()))).collect()
    }

    /// The namespaces that cannot be read, where all others can. `None`: it is not known yet what there is.
    pub(super) fn unread(&self, index: &Index) -> Option<BTreeSet<String>> {
        let (mut unread, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        for (watch, (namespace, _)) in self.watched().into_iter().enumerate() {
            if index.given_up(watch) {
                unread.insert(namespace?.to_owned());
            } else if !index.is_listed(watch) {
                waiting.insert(namespace?.to_owned());
            }
        }
        let some = self.namespaces.is_empty() || self.namespaces.iter().any(|namespace| !unread.contains(namespace));
        (some && waiting.is_subset(&unread)).then_some(unread)
    }

    /// What the API server does not tell now, and why, in words for whoever can give the right. `None`: it tells everything.
    #[must_use]
    pub fn silent(&self) -> Option<String> {
        let index = self.index();
        let mut found: BTreeMap<(Option<&str>, String), Vec<String>> = BTreeMap::new();
        for (watch, (namespace, kind)) in self.watched().into_iter().enumerate() {
            if let Some(why) = index.silent(watch) {
                found.entry((namespace, why.to_owned())).or_default().push(kind);
            }
        }
        let said = found.into_iter().map(|((namespace, why), kinds)| {
            let place = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
            format!("{}{place} ({why})", kinds.join(", "))
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    async fn follow<K, F>(
        self: Arc<Self>,
        api: Api<K>,
        watch: usize,
        kind: String,
        item: F,
        failed: impl Fn(&'static str) + Send + Sync + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        F: Fn(&str, K) -> Option<Item> + Send,
    {
        let namespace = api.namespace().map(str::to_owned);
        let mut stream = pin!(watcher(api, watcher::Config::default()).backoff(Waits::default()));
        let mut away = false;
        while let Some(event) = stream.next().await {
            // `Init` comes before anybody is asked.
            if !matches!(event, Ok(watcher::Event::Init) | Err(_)) {
                if std::mem::take(&mut away) {
                    tracing::info!(kind, namespace, "the API server is watched again");
                }
                self.index().answered(watch);
            }
            let changed = match event {
                Ok(watcher::Event::Init) => {
                    self.index().begin(watch);
                    false
                }
                Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                    let key = key(&kind, &object);
                    match item(&kind, object) {
                        Some(item) => self.index().apply(watch, key, item),
                        None => self.index().delete(&key),
                    }
                }
                Ok(watcher::Event::Delete(object)) => self.index().delete(&key(&kind, &object)),
                Ok(watcher::Event::InitDone) => self.index().finish(watch),
                Err(error) => {
                    // Nothing counts as deleted because nobody can be asked.
                    let error = why(error);
                    if error.is(410) {
                        // What was seen is too old to be continued: usual, and listed anew at once.
                        continue;
                    }
                    failed(error.label());
                    self.index().failed(watch, error.is(403) || error.is(404), error.to_string());
                    if !std::mem::replace(&mut away, true) {
                        let hint = if error.is(404) { "; is its definition installed? see rekindle crds" } else { "" };
                        tracing::warn!(kind, namespace, label = error.label(), "{error}{hint}; what is in force stays in force");
                    }
                    false
                }
            };
            if changed {
                self.changes.send_modify(|n| *n += 1);
            }
        }
    }
}

/// How long a broken watch waits before it asks again: twice as long each time, a part of it drawn, so that replicas do not ask as
/// one. Bounded far below what clients of the API server usually allow themselves (30 s): until then a replica that has just started
/// knows no address to send to.
struct Waits(Duration);

impl Waits {
    const SHORTEST: Duration = Duration::from_millis(400);
    const LONGEST: Duration = Duration::from_secs(2);
}

impl Default for Waits {
    fn default() -> Self {
        Self(Self::SHORTEST)
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(Self::LONGEST);
        let drawn = u32::from(uuid::Uuid::now_v7().as_bytes()[15]);
        Some(wait + wait * drawn / 512)
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

fn why(error: watcher::Error) -> KubeError {
    match error {
        watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e) | watcher::Error::WatchFailed(e) => e.into(),
        watcher::Error::WatchError(status) => KubeError::Refused { code: status.code, reason: status.reason.clone() },
        watcher::Error::NoResourceVersion => KubeError::Refused { code: 0, reason: "NoResourceVersion".into() },
    }
}

fn key<K: Resource>(kind: &str, object: &K) -> ObjectRef {
    let meta = object.meta();
    ObjectRef {
        kind: kind.to_owned(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

/// `None`: it is being deleted; whoever's finalizer holds it up, nothing is sent for it any more.
fn our_item(kind: &str, mut object: DynamicObject) -> Option<Item> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let namespace = object.metadata.namespace.unwrap_or_default();
    let name = object.metadata.name.unwrap_or_default();
    let types = object.types.unwrap_or(TypeMeta { api_version: api::API_VERSION.into(), kind: kind.to_owned() });
    let value = json!({
        "apiVersion": types.api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": object.data["spec"].take(),
    });
    let seen = Seen {
        uid: object.metadata.uid.unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        status: object.data.get_mut("status").map_or(Value::Null, Value::take),
    };
    let source = SourceObject { api_version: api::API_VERSION.into(), kind: kind.to_owned(), namespace, name, value, origin: None };
    Some(Item::Ours(Box::new((source, seen))))
}
