//! What a holdout says, and when it says nothing yet.

use crate::engine::{Arm, Uplift, uplift};

#[test]
fn a_difference_is_told_only_where_chance_does_not_explain_it() {
    let told = |treated: (u64, u64), holdout: (u64, u64)| {
        let arm = |(came, of)| Arm { came, of };
        match uplift(arm(treated), arm(holdout)) {
            None => "nothing".to_owned(),
            Some(Uplift::Points(points)) => format!("{points:.1}"),
            Some(Uplift::NotYet { needed }) => format!("needs {needed}"),
        }
    };
    for (treated, holdout, want) in [
        ((0, 0), (0, 0), "nothing"),
        ((5, 100), (0, 0), "nothing"),
        ((0, 0), (5, 100), "nothing"),
        ((120, 1200), (12, 300), "6.0"),
        ((300, 3000), (10, 300), "6.7"),
        // Messages drive them away.
        ((40, 800), (40, 400), "-5.0"),
        // Chance.
        ((5, 100), (5, 100), "needs 8700"),
        ((1000, 10000), (490, 5000), "needs 11000"),
        ((900, 1000), (90, 100), "needs 8300"),
        // Too few, however great the difference looks.
        ((6, 84), (0, 9), "needs 140"),
        ((0, 50), (0, 5), "needs 9800"),
        ((1, 1), (0, 1), "needs 10"),
        ((100, 2000), (2, 100), "needs 270"),
        // Nearly all of one side, nearly none of the other, of ten: more than ten.
        ((50, 50), (9, 10), "needs 160"),
    ] {
        assert_eq!(told(treated, holdout), want, "{treated:?} {holdout:?}");
    }
}

/// What is said to be needed is enough, if the shares stay as they are.
#[test]
fn so_many_as_are_needed_are_enough() {
    for (treated, holdout) in [((6, 84), (0, 9)), ((60, 900), (4, 100)), ((100, 2000), (2, 100))] {
        let arm = |(came, of): (u64, u64), times: u64| Arm { came: came * times, of: of * times };
        let Some(Uplift::NotYet { needed }) = uplift(arm(treated, 1), arm(holdout, 1)) else { panic!("{treated:?} {holdout:?}") };
        let times = needed.div_ceil(holdout.1);
        assert!(matches!(uplift(arm(treated, times), arm(holdout, times)), Some(Uplift::Points(_))), "{treated:?} {holdout:?}");
    }
}
