//! Real programs that tests talk to, on loopback ports chosen by the system.

pub mod child;
pub mod kannel;
pub mod mta;
pub mod postgres;
