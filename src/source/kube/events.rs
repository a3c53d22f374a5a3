//! Events on a resource: what a person would want to know. Each is an object of its own, because a recorder that folds repeats keeps
//! the first one's words, and ours count something.

use super::{Cluster, KubeError, within};
use crate::{api, compile::ObjectRef};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::api::{Api, PostParams};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Normal,
    Warning,
}

/// One event. Never personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub weight: Weight,
    /// A documented word.
    pub reason: &'static str,
    /// What was done, a word.
    pub action: &'static str,
    /// At most 1 kB.
    pub note: String,
}

impl Cluster {
    /// # Errors
    /// The server is away or refuses: an event that cannot be told is not kept.
    pub async fn tell(&self, object: &ObjectRef, uid: &str, identity: &str, happening: &Happening) -> Result<(), KubeError> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &object.namespace);
        let now = Timestamp::now();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", object.name, now.as_nanosecond())),
                namespace: Some(object.namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(happening.action.to_owned()),
            reason: Some(happening.reason.to_owned()),
            note: Some(happening.note.chars().take(1000).collect()),
            type_: Some(if happening.weight == Weight::Normal { "Normal" } else { "Warning" }.to_owned()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some("rekindle.dev/operator".to_owned()),
            reporting_instance: Some(identity.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(api::API_VERSION.to_owned()),
                kind: Some(object.kind.clone()),
                namespace: Some(object.namespace.clone()),
                name: Some(object.name.clone()),
                uid: Some(uid.to_owned()),
                ..ObjectReference::default()
            }),
            ..Event::default()
        };
        within(api.create(&PostParams::default(), &event)).await.map(|_| ())
    }
}
