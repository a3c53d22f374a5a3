//! The other side of our connections.
pub mod postgres;
