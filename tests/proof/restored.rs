//! I11: a database that was put back to an earlier copy sends nothing again that was attempted since.

use super::{
    scenario::Scenario,
    world::{Bug, Outcome, run},
};

fn seeds(few: u64) -> std::ops::Range<u64> {
    if std::env::var("REKINDLE_PROOF").is_ok_and(|all| all == "all") { 0..few * 20 } else { 0..few }
}

/// A run whose restored database lacks something.
fn forgetful(seed: u64, witness: bool, bug: Option<Bug>) -> Option<Outcome> {
    let verbose = std::env::var("REKINDLE_SEED").is_ok_and(|one| one == seed.to_string());
    let outcome = run(Scenario { witness, ..Scenario::restored(seed) }, bug, verbose);
    eprint!("{}", outcome.story);
    outcome.restored.as_ref().is_some_and(|restored| restored.forgotten > 0).then_some(outcome)
}

#[test]
fn a_restored_database_sends_nothing_again() {
    let (mut noticed, mut had_to, mut within_a_block) = (0, 0, 0);
    for seed in seeds(20) {
        let Some(outcome) = forgetful(seed, true, None) else { continue };
        assert_eq!(outcome.violation, None, "REKINDLE_SEED={seed} of the restored: {:?}", outcome.restored);
        let noticeable = outcome.restored.is_some_and(|restored| restored.noticeable);
        assert!(outcome.held || !noticeable, "seed {seed}: it forgot what was sent before a rest, and nothing is on hold");
        had_to += u32::from(noticeable);
        noticed += u32::from(outcome.held);
        within_a_block += u32::from(!outcome.held);
    }
    eprintln!(
        "restored databases that had forgotten attempts: {noticed} noticed and held ({had_to} had to be), {within_a_block} within the \
         newest block"
    );
    assert!(had_to >= 3, "hardly anything was tried");
    // What nothing bounds is no design.
    assert!(within_a_block * 4 <= noticed, "{within_a_block} were not noticed, {noticed} were");
}

/// What the witness was told does not decide what it had to be told.
#[test]
fn a_witness_that_is_told_too_little_is_found_out() {
    let mut outcomes = seeds(20).filter_map(|seed| forgetful(seed, true, Some(Bug::WitnessFromZero)));
    let missed = |outcome: Outcome| {
        let noticeable = outcome.restored.is_some_and(|restored| restored.noticeable);
        outcome.violation.is_some_and(|violation| violation.promise == "I11") || noticeable && !outcome.held
    };
    assert!(outcomes.any(missed), "a database that sends again is called one that nobody could notice");
}

/// Without a witness the same runs send again: the check can fail.
#[test]
fn without_a_witness_a_restored_database_sends_again() {
    let broken = seeds(20).filter_map(|seed| forgetful(seed, false, None)).filter_map(|outcome| outcome.violation);
    let promises: Vec<&str> = broken.map(|violation| violation.promise).collect();
    assert!(promises.contains(&"I11"), "{promises:?}");
}

/// Whatever else goes wrong, a database that was never put back is not taken for one.
#[test]
fn a_database_that_never_went_back_is_not_distrusted() {
    for seed in seeds(60) {
        let outcome = run(Scenario { witness: true, ..Scenario::drawn(seed, false) }, None, false);
        assert_eq!(outcome.violation, None, "seed {seed} with a witness");
    }
}
