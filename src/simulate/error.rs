//! Why nothing can be simulated.

use crate::{crm::CrmError, store::StoreError};

#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error("{connection} cannot be read: {source}")]
    Crm {
        connection: String,
        #[source]
        source: CrmError,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there are no deals in the files of {connections}; export them, or write --deals FILE or --store URL")]
    NoDeals { connections: String },
    #[error("a funnel reads {connection}, and nothing says where its deals are; declare it in the folder")]
    NoConnection { connection: String },
    #[error("the funnels read several connections ({names}), so it is not clear whose deals --deals means; leave it out")]
    SeveralConnections { names: String },
    #[error("the store knows none of the funnels {asked}; it has {there}. Simulate a new funnel without --store")]
    NotInStore { asked: String, there: String },
    #[error("{what}")]
    Behaviour { what: String },
}

impl SimulateError {
    /// Stable name.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Crm { .. } => "crm",
            Self::Store(_) => "store",
            Self::NoDeals { .. } => "no_deals",
            Self::NoConnection { .. } => "no_connection",
            Self::SeveralConnections { .. } => "several_connections",
            Self::NotInStore { .. } => "not_in_store",
            Self::Behaviour { .. } => "behaviour",
        }
    }
}
