//! Failing interleavings, each as a test that can be found by its row in docs/reliability.md. What every store must do in one order of
//! steps is a case of the store contract; here stands what needs a broken wire or two real connections at once.

mod blind;
mod clock;
mod fence;
mod lost_commit;
mod merge;
mod one_address;
mod pinned_log;
mod read_only;
mod silent;
mod stop;
