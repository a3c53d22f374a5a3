//! CRM connectors: one module a system. Reading is idempotent and by cursor; writing carries an origin mark and happens at least
//! once, in order for each deal.

mod connector;

pub use connector::{Connector, CrmError, Operation, ReadPage, WriteBack};
