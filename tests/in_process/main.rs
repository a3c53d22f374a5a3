//! Tests of whole modules through their public doors, in one binary.

mod architecture;
