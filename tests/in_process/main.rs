//! Tests within one process, against real peers where a module meets the outside.

mod channels;
mod peers;
