//! Bugs planted on purpose: for each, some checker fails within the stated number of seeds. A
//! checker that never fails proves nothing.

use crate::runner::{Scenario, run_seed};
use crate::scenarios::*;
use herd::node::planted::Bug;

/// Seeds in which each bug must be seen at the latest.
const SEEDS: u64 = 10;

const PLANTED: &[(Bug, &[Scenario])] = &[
    (Bug::DownWithoutVote, &[loss::ten_minutes_at_30]),
    (Bug::VotesUnchecked, &[hostile::lone_liar]),
    (Bug::CutOffDeclares, &[one_way::deaf, islands::halves]),
    (Bug::HearsayRefreshes, &[last_seen::dead, last_seen::living]),
    (Bug::ReplayTaken, &[replay::recorded, loss::disorder]),
    (Bug::ExecutedAgain, &[loss::disorder, loss::ten_minutes_at_30]),
    (Bug::DoneTwice, &[join::eight, loss::disorder]),
    (Bug::DeadendRelays, &[parents::deadend]),
    (Bug::NotNudged, &[loss::ten_minutes_at_30]),
    (Bug::NotGreeted, &[islands::halves, rejoin::remembered]),
    (Bug::NeverHidden, &[hidden::three_levels]),
    (Bug::ParentKept, &[parents::process]),
    (Bug::NotPadded, &[join::eight]),
    (Bug::GoodbyeUntold, &[goodbye::leave]),
    (Bug::OpenHelloTaken, &[keyed::strangers]),
    (Bug::RefusedAlways, &[keyed::flood]),
    (Bug::KeyNotPulled, &[rotation::under_loss]),
    (Bug::KeySealsAtOnce, &[rotation::under_loss, rotation::away]),
    (Bug::KeysNotKept, &[rotation::away]),
    (Bug::NotRemade, &[rotation::revoked_and_rotated]),
    (Bug::JournalNotKept, &[history::kept]),
    (Bug::LookJoins, &[doctor::nobody_joins]),
    (Bug::RevokedHeard, &[rotation::revoked]),
    (Bug::OpenEndsAtOnce, &[adopt::under_loss]),
    (Bug::AdoptedByAnybody, &[adopt::stranger]),
    (Bug::PipeNotKept, &[pipes::idle_and_broken]),
    (Bug::TokenUsedAgain, &[tokens::one_of_many]),
    (Bug::PetsForgotten, &[lives::all]),
    (Bug::TestimonyUnchecked, &[guests::liar]),
];

#[test]
fn planted_bugs_are_found() {
    let mut missed = Vec::new();
    for (bug, scenarios) in PLANTED {
        let found = (0..SEEDS)
            .flat_map(|seed| scenarios.iter().map(move |scenario| (seed, scenario)))
            .find_map(|(seed, scenario)| {
                run_seed(seed, *scenario, Some(*bug)).failure.map(|failure| (seed, failure))
            });
        match found {
            Some((seed, failure)) => {
                let sentence = failure.lines().last().unwrap_or_default();
                println!("{bug:?}: seed {seed}: {sentence}");
            }
            None => missed.push(format!("{bug:?}")),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {}", missed.join(", "));
}
