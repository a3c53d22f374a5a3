//! A manager moves a deal while our own move of it waits to be tried again, or after it was done and nobody knows. Their move stays.

use super::{
    scenario::{Happening, Line, Manners, Scenario},
    world::run,
};
use rekindle::model::DealState;

/// The client calls and the deal is to go back to work. The CRM is away; when it comes back, the deal is no longer what we decided on.
#[test]
fn a_managers_move_during_a_write_back_retry_stays() {
    let moves = [
        (Happening::Win(3), DealState::Won, "Won"),
        (Happening::Reopen(3), DealState::Open, "Talks"),
        (Happening::Delete(3), DealState::Deleted, "Lost"),
    ];
    for (theirs, state, stage) in moves {
        for manners in [Manners::default(), Manners { crm_unsure: 500, crm_busy: 300, ..Manners::default() }] {
            let lines = [
                (30, Happening::Lose(3)),
                (19_990, Happening::CrmDown(3_000)),
                (20_000, Happening::Call(3)),
                (21_000, theirs),
                (100_000, Happening::Touch(7)),
            ];
            let lines = lines.map(|(at, what)| Line::At(at, what)).to_vec();
            let outcome = run(Scenario { manners, lines, ..Scenario::quiet(7) }, None, true);
            assert_eq!(outcome.violation, None, "{}", outcome.story);
            let deal = &outcome.deals["D3"];
            assert_eq!((deal.state, deal.stage.as_str()), (state, stage), "{theirs:?}\n{}", outcome.story);
            assert!(outcome.story.contains("applied: move"), "it was tried: {}", outcome.story);
        }
    }
}

/// Without anybody's move, ours is done, also when the first reply is lost.
#[test]
fn a_move_that_nobody_contradicts_is_done() {
    let lines = [(30, Happening::Lose(3)), (20_000, Happening::Call(3))].map(|(at, what)| Line::At(at, what)).to_vec();
    let manners = Manners { crm_unsure: 800, ..Manners::default() };
    let outcome = run(Scenario { manners, lines, ..Scenario::quiet(7) }, None, true);
    assert_eq!((outcome.violation, outcome.deals["D3"].stage.as_str()), (None, "Talks"), "{}", outcome.story);
}

/// What a manager does after our move, of which the reply was lost, is theirs: the repetition finds another stage than it expects.
#[test]
fn a_deal_that_is_won_between_our_move_and_its_repetition_stays_won() {
    let lines =
        [(30, Happening::Lose(3)), (20_000, Happening::Call(3)), (20_003, Happening::Win(3)), (100_000, Happening::Touch(7))];
    let lines = lines.map(|(at, what)| Line::At(at, what)).to_vec();
    let manners = Manners { crm_unsure: 1000, ..Manners::default() };
    let outcome = run(Scenario { manners, lines, ..Scenario::quiet(7) }, None, true);
    let (ours, theirs) = (outcome.story.find("applied: move").unwrap(), outcome.story.find("Win(3)").unwrap());
    assert!(ours < theirs && outcome.story[theirs..].contains("applied: move"), "{}", outcome.story);
    assert_eq!((outcome.violation, outcome.deals["D3"].state), (None, DealState::Won), "{}", outcome.story);
}
