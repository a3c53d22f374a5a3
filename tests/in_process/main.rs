//! Tests within one process, of whole modules through their public doors, against real peers where a module meets the outside.

mod architecture;
mod channels;
mod examples;
mod peers;
mod store_contract;
