//! Tests of whole modules through their public doors, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architecture;
