//! Bugs that somebody could write tomorrow. Each is worn over the real code like a glove, and the drawn runs must notice it; how many
//! runs that takes is the figure in `docs/reliability.md`.

use super::{
    scenario::Scenario,
    world::{Bug, run},
};
use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

/// Enough runs to notice each of them.
const MOST: u64 = 1_000;

/// The first seed whose run notices the bug, and which promise it breaks. `of`: only these promises count.
fn noticed(bug: Bug, of: &[&str]) -> Option<(u64, String)> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(None::<(u64, String)>));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= MOST || found.lock().unwrap().is_some() {
                        return;
                    }
                    let drawn = Scenario::drawn(seed, false);
                    // Only a channel that resends announces anything.
                    let resend = drawn.resend || bug == Bug::OneWarningForAll;
                    // Three processes, since most of these bugs need somebody to hand over to.
                    let scenario = Scenario { processes: 3, resend, ..drawn };
                    let Some(violation) = run(scenario, Some(bug), false).violation else { continue };
                    if of.is_empty() || of.contains(&violation.promise) {
                        let mut found = found.lock().unwrap();
                        if found.as_ref().is_none_or(|(earlier, _)| seed < *earlier) {
                            *found = Some((seed, format!("{}: {}", violation.promise, violation.what)));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

macro_rules! canaries {
    ($($name:ident: $bug:ident, $of:expr;)*) => {
        $(#[test]
        fn $name() {
            let Some((seed, what)) = noticed(Bug::$bug, &$of) else { panic!("{:?} is not noticed in {MOST} runs", Bug::$bug) };
            eprintln!("{:?} is noticed in run {}: {what}", Bug::$bug, seed + 1);
        })*
    };
}

canaries! {
    c01_no_epoch_check: NoEpochCheck, ["I1", "I2", "I5", "I9"];
    c02_epoch_checked_outside_the_transaction: CheckOutside, ["I5"];
    c03_renewal_accepted_after_the_deadline: LateRenewal, ["I5"];
    c04_deadline_counted_from_the_reply: DeadlineFromReply, ["I5"];
    c06_marked_before_sent: MarkBeforeSend, ["I9", "I8"];
    c07_timer_advanced_without_intent: TimerWithoutIntent, ["I9", "I2"];
    c08_no_unique_key: NoUnique, ["I1"];
    c09_a_conflict_goes_ahead: ConflictGoesAhead, ["I1", "I2"];
    c10_retried_on_timeout: RetryOnTimeout, ["I1"];
    c11_a_key_for_each_attempt: KeyPerAttempt, ["I1"];
    c12_rendered_again: RenderedAgain, ["I1"];
    c13_failover_from_unknown: FailoverFromUnknown, ["I1"];
    c14_no_sweep: NoSweep, ["I12"];
    c15_cooldown_off_by_one: CooldownOffByOne, ["I1", "I7"];
    c16_receipt_in_two_transactions: ReceiptTwoTransactions, ["I8"];
    c17_suppression_at_planning_only: SuppressionAtPlanning, ["I3"];
    c18_too_many_is_sent: TooManyIsSent, ["I9"];
    c19_cap_for_each_replica: CapPerReplica, ["I7"];
    c20_window_in_the_servers_zone: ServerZone, ["I4"];
    c20_window_an_hour_off_after_the_clocks_went_back: SummerTime, ["I4"];
    c21_an_event_consumed_in_another_transaction: ConsumedApart, ["I8"];
    c22_what_waits_is_called_unclear: WaitingOrphaned, ["I10"];
    c23_what_is_unclear_is_not_listed: UnclearHidden, ["I10"];
    c24_an_unsubscription_looked_at_when_planning_only: OptOutAtPlanning, ["I3"];
    c25_consent_taken_back_and_not_heard: ConsentForgotten, ["I3"];
    c26_one_warning_for_any_number_of_repetitions: OneWarningForAll, ["I1"];
    c27_a_receipt_before_its_id_is_dropped: EarlyReceiptDropped, ["I8"];
}

/// The ledger's key alone, with a reader that forgets everything, still lets nothing leave twice: what `c08` and `c09` take away.
#[test]
fn the_key_of_the_ledger_is_the_last_line() {
    for seed in 0..20 {
        let Some(violation) = run(Scenario::drawn(seed, false), Some(Bug::ForgottenLedger), false).violation else { continue };
        // Other deals of the same person are kept apart by what was sent lately, which this reader forgets as well.
        let others = violation.what.contains("through another deal");
        assert!(!["I1", "I2", "I5"].contains(&violation.promise) || others, "seed {seed}: {violation:?}");
    }
}
