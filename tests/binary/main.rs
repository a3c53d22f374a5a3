//! Tests of the real binary as its users run it.

mod demo;
mod harness;
mod kill;
mod run;
mod sink;
