//! Tests that run several modules together in one process, against real peers where there are any. One binary: it links once.
mod peers;
mod store_contract;
