//! Bugs that drawn runs once found, each told by itself.

use super::{
    scenario::{Happening, Line, Manners, Scenario},
    world::{Outcome, run},
};

fn told(processes: usize, manners: Manners, lines: &[(u64, Happening)]) -> Outcome {
    let lines = lines.iter().map(|(at, what)| Line::At(*at, *what)).collect();
    let outcome = run(Scenario { processes, manners, lines, ..Scenario::quiet(3) }, None, true);
    assert_eq!(outcome.violation, None, "{}", outcome.story);
    outcome
}

/// Seed 1298. A process that was held up publishes an older edit after a newer one, a third publishes the newer one again: the same
/// text under another number. The engine at work heard of neither, was refused every message as decided on an older revision, and asked
/// again for ever.
#[test]
fn processes_that_publish_past_each_other_come_to_rest() {
    let lose = [(30, Happening::Lose(2)), (31, Happening::Lose(3))];
    for (slow, again) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
        let past = [
            (600, Happening::PublishOn(0, 1, false)),
            (600, Happening::PublishOn(1, 1, false)),
            (600, Happening::PublishOn(2, 1, false)),
            (900, Happening::PublishOn(slow, 0, false)),
            (901, Happening::PublishOn(again, 1, false)),
        ];
        let outcome = told(3, Manners::default(), &[&lose[..], &past].concat());
        assert_eq!(outcome.messages, 8, "{}", outcome.story);
        assert_eq!(outcome.revisions, [4].into(), "{}", outcome.story);
    }
}

/// Whoever works finds out what is in force, although only another process was told.
#[test]
fn an_edit_that_only_a_standby_hears_of_is_in_force() {
    for told_one in 0..3 {
        let outcome = told(3, Manners::default(), &[(30, Happening::Lose(3)), (600, Happening::PublishOn(told_one, 2, false))]);
        assert_eq!(outcome.messages, 4, "{}", outcome.story);
        assert_eq!(outcome.revisions, [2].into(), "{}", outcome.story);
    }
}

/// A retry whose window closes before its turn waits for the morning; one that expires meanwhile says so. Both were once marked under the
/// number of an attempt that the store had not seen: ignored, they stayed due for ever.
#[test]
fn a_retry_that_is_put_off_rests() {
    let refused = Manners { refuses: 1000, ..Manners::default() };
    // Nothing is taken until the night: the text expires after twelve hours, the letter only after two days.
    let outcome = told(2, refused, &[(30, Happening::Lose(3)), (60_000, Happening::Touch(7))]);
    assert_eq!(outcome.messages, 3, "{}", outcome.story);
    assert!(outcome.story.contains("3.0 marked expired") || outcome.story.contains("4.0 marked expired"), "{}", outcome.story);
}

/// Seed 336. A write-back that was decided while an earlier one of its deal waited to be tried again overtook it.
#[test]
fn a_newer_write_back_does_not_overtake_one_that_is_tried_again() {
    let busy = Manners { crm_busy: 600, crm_unsure: 300, ..Manners::default() };
    let mut lines = vec![(30, Happening::Lose(3)), (86_400, Happening::Touch(7))];
    lines.extend((0..60).map(|n| (12_000 + 20 * n, if n % 2 == 0 { Happening::Click(3) } else { Happening::Reply(3) })));
    told(2, busy, &lines);
}

/// The same for one that is overtaken: the client calls while it waits.
#[test]
fn a_retry_that_is_overtaken_ends() {
    let refused = Manners { refuses: 1000, ..Manners::default() };
    let outcome = told(2, refused, &[(30, Happening::Lose(3)), (20_000, Happening::Call(3))]);
    assert_eq!(outcome.messages, 0, "{}", outcome.story);
}

/// Seed 63, once a retry was asked again whether its client waits for an answer: one that only a manager's word would end rested for ever,
/// past its expiry.
#[test]
fn a_retry_that_waits_for_an_answer_expires() {
    let refused = Manners { refuses: 1000, ..Manners::default() };
    let outcome = told(2, refused, &[(30, Happening::Lose(3)), (20_000, Happening::Reply(3))]);
    assert_eq!(outcome.messages, 0, "{}", outcome.story);
    assert!(outcome.story.contains("marked expired"), "{}", outcome.story);
}

/// Seed 18628. A clock that was a day ahead and was put right kept the CRM from being read for a day: the time of the next reading stood
/// where the wrong clock had put it. Channels' rates and pauses stood there as well.
#[test]
fn a_clock_that_was_ahead_and_is_put_right_keeps_nobody_waiting() {
    let lines = [
        (600, Happening::Jump(0, 86_400)),
        (1_000, Happening::Lose(2)),
        (40_000, Happening::ClocksRight),
        (50_000, Happening::Lose(3)),
        // Taken up again before the wrong clock's next reading: who reads by that one never learns that it was lost.
        (100_000, Happening::Reopen(3)),
    ];
    let outcome = told(1, Manners::default(), &lines);
    // All four of the first, and the two that the second got before it was taken up again.
    assert_eq!(outcome.messages, 6, "{}", outcome.story);
}
