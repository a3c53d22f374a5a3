//! What is in force: each funnel's newest good revision, compiled once.

use crate::{
    compile::Compiled,
    content::Texts,
    engine::{Plan, Subject},
    model::FunnelKey,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A funnel ready to work by.
#[derive(Clone, Debug)]
pub struct Live {
    pub plan: Arc<Plan>,
    pub texts: Arc<Texts>,
}

impl From<Compiled> for Live {
    fn from(compiled: Compiled) -> Self {
        Self { plan: compiled.plan, texts: compiled.texts }
    }
}

/// All funnels in force, and those that exist but cannot be worked by (broken, with no good revision to go on with).
#[derive(Clone, Debug, Default)]
pub struct Plans(pub BTreeMap<FunnelKey, Live>, pub BTreeSet<FunnelKey>);

impl Plans {
    #[must_use]
    pub fn get(&self, funnel: &FunnelKey) -> Option<&Live> {
        self.0.get(funnel)
    }

    /// Tells a copy in whose name its client's other copies speak, and which of them are silent: a stop or an edit is known here before
    /// the store knows it.
    pub fn introduce(&self, subject: &mut Subject) {
        for sibling in &mut subject.client.siblings {
            match self.get(&sibling.funnel) {
                Some(live) => sibling.voice = live.plan.voice(),
                None => sibling.voice.silent = self.1.contains(&sibling.funnel),
            }
        }
    }

    /// The funnels that read a connection (key `namespace/name`).
    pub fn reading<'a>(&'a self, connection: &'a str) -> impl Iterator<Item = &'a Live> {
        self.0.values().filter(move |live| connection_key(&live.plan) == connection)
    }
}

/// `namespace/name` of the connection a funnel reads.
#[must_use]
pub fn connection_key(plan: &Plan) -> String {
    format!("{}/{}", plan.funnel.namespace, plan.connection)
}

/// `namespace/name` of a message channel.
#[must_use]
pub fn channel_key(plan: &Plan, resource: &str) -> String {
    format!("{}/{resource}", plan.funnel.namespace)
}
