//! CRM connectors: one module a system. Reading is idempotent and by cursor; writing carries an origin mark and happens at least
//! once, in order for each deal.

mod cloud_event;
mod connector;
mod file;
mod journal;
mod resolver;
mod webhook;
mod write_back;
#[cfg(test)]
mod write_back_tests;

pub use connector::{Connector, CrmError, Ids, Operation, ReadPage, WriteBack};
pub use file::FileConnector;
pub(crate) use resolver::Elsewhere;

use crate::compile::{ConnectionKind, ConnectionWiring};
use std::sync::Arc;

/// Builds the connector of a connection.
///
/// # Errors
/// [`CrmError::Settings`] when its settings cannot work. Nothing is read yet.
pub fn connect(connection: &ConnectionWiring) -> Result<Arc<dyn Connector>, CrmError> {
    match &connection.kind {
        ConnectionKind::File(_) => Ok(Arc::new(FileConnector::new(connection)?)),
    }
}
