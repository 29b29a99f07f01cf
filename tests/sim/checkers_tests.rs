//! The checkers, tested with bad histories made by hand: a wrong checker is the worst bug.

use crate::checkers::*;
use herd::wire::ids::NodeId;
use herd::wire::info::{NodeInfo, State, TraceRow};
use std::collections::BTreeSet;

const SECOND_US: u64 = 1_000_000;

fn row(id: u64, state: State) -> NodeInfo {
    NodeInfo { id: NodeId(id), name: format!("node{id}"), state, ..NodeInfo::default() }
}

fn rows(states: &[State]) -> Vec<NodeInfo> {
    states.iter().enumerate().map(|(at, state)| row(at as u64 + 1, *state)).collect()
}

fn branch(id: u64, depth: u32) -> TraceRow {
    TraceRow { depth, id: NodeId(id), name: format!("node{id}"), ..TraceRow::default() }
}

#[test]
fn requests_end_exactly_once_and_in_time() {
    let mut requests = Requests::default();
    requests.asked(0, 1, 10);
    assert!(requests.part(0, 1, false).is_ok());
    assert!(requests.overdue(10).is_ok());
    assert!(requests.overdue(11).is_err(), "never answered");
    assert!(requests.part(0, 1, true).is_ok());
    assert!(requests.overdue(11).is_ok());
    assert!(requests.part(0, 1, true).is_err(), "two ends");
    assert!(requests.part(0, 2, true).is_err(), "nobody asked");
    requests.asked(1, 1, 10);
    requests.forget(1);
    assert!(requests.overdue(11).is_ok(), "its process is gone");
}

#[test]
fn ages_younger_than_the_truth_are_seen() {
    let mut ages = Ages::default();
    ages.word([Some(NodeId(2)), None], SECOND_US);
    let mut list = rows(&[State::Alive, State::Alive]);
    let now_us = 60 * SECOND_US;
    list[1].last_seen_ms = 59_000;
    assert!(ages.list(&list, 0, now_us).is_ok());
    list[1].last_seen_ms = 59_000 - AGE_TOLERANCE_MS;
    assert!(ages.list(&list, 0, now_us).is_ok());
    list[1].last_seen_ms -= 1;
    assert!(ages.list(&list, 0, now_us).is_err());
    assert!(ages.list(&list, 1, now_us).is_ok());
}

#[test]
fn more_bytes_out_than_in_are_seen() {
    let stranger = "10.0.0.9:5".parse().unwrap();
    let mut amplification = Amplification::default();
    assert!(amplification.sent(0, stranger, 5_000).is_ok(), "a node may begin");
    amplification.taken(0, stranger, 1_000);
    assert!(amplification.sent(0, stranger, 900).is_ok());
    assert!(amplification.sent(0, stranger, 101).is_err());
}

#[test]
fn lists_that_contradict_events_are_seen() {
    let mut shown = Shown::default();
    shown.event(0, NodeId(2), State::Suspect, 5);
    assert!(shown.list(0, &rows(&[State::Alive, State::Suspect]), 6).is_ok());
    assert!(shown.list(0, &rows(&[State::Alive, State::Alive]), 7).is_err());
    shown.event(0, NodeId(2), State::Down, 8);
    shown.event(0, NodeId(2), State::Down, 9);
    assert_eq!(shown.downs, [(8, 0, NodeId(2))]);
}

/// Two machines steady from the start; machine 0 shows machine 1 down since `since_us`.
fn accusation(since_us: u64) -> Checkers {
    let mut checkers = Checkers::default();
    checkers.truth.identity(1, NodeId(2));
    checkers.shown.event(0, NodeId(2), State::Down, since_us);
    checkers
}

fn together() -> BTreeSet<(usize, usize)> {
    BTreeSet::new()
}

const IDS: [Option<NodeId>; 2] = [Some(NodeId(1)), Some(NodeId(2))];

#[test]
fn false_downs_are_seen() {
    let since_us = 100 * SECOND_US;
    let mut checkers = accusation(since_us);
    let end_us = since_us + FALSE_DOWN_MS * 1_000;
    assert!(checkers.downs(&[true, true], &IDS, &together(), false, end_us).is_ok());
    assert!(checkers.downs(&[true, true], &IDS, &together(), false, end_us + 1).is_err());
    assert!(
        checkers.downs(&[true, false], &IDS, &together(), false, end_us + 1).is_ok(),
        "it is down"
    );
    assert!(
        checkers.downs(&[false, true], &IDS, &together(), false, end_us + 1).is_ok(),
        "who says so is"
    );
    assert!(checkers.downs(&[true, true], &IDS, &together(), true, end_us + 1).is_ok(), "split");
    let renamed = [Some(NodeId(1)), Some(NodeId(9))];
    assert!(
        checkers.downs(&[true, true], &renamed, &together(), false, end_us + 1).is_ok(),
        "a former id"
    );
    checkers.shown.event(0, NodeId(2), State::Alive, end_us);
    assert!(
        checkers.downs(&[true, true], &IDS, &together(), false, end_us + 1).is_ok(),
        "taken back"
    );
}

#[test]
fn downs_that_outlast_a_disturbance_are_seen() {
    let mut checkers = accusation(100 * SECOND_US);
    checkers.truth.disturbed(1, 120 * SECOND_US);
    let end_us = 120 * SECOND_US + HEAL_MS * 1_000;
    assert!(checkers.downs(&[true, true], &IDS, &together(), false, end_us).is_ok());
    assert!(checkers.downs(&[true, true], &IDS, &together(), false, end_us + 1).is_err());
    checkers.truth.network_disturbed(121 * SECOND_US);
    assert!(checkers.downs(&[true, true], &IDS, &together(), false, end_us + 1).is_ok());
}

#[test]
fn nobody_owes_word_of_whom_it_has_no_way_to() {
    let since_us = 100 * SECOND_US;
    let mut checkers = accusation(since_us);
    let late_us = since_us + FALSE_DOWN_MS * 1_000 + 1;
    let apart = BTreeSet::from([(0, 1)]);
    assert!(checkers.downs(&[true, true], &IDS, &apart, false, late_us).is_ok());
    let healed_us = late_us + HEAL_MS * 1_000;
    assert!(checkers.downs(&[true, true], &IDS, &together(), false, healed_us).is_ok());
    assert!(checkers.downs(&[true, true], &IDS, &together(), false, healed_us + 1).is_err());
}

#[test]
fn a_generation_that_goes_back_is_seen() {
    let mut generations = Generations::default();
    let mut own = row(1, State::Alive);
    own.generation = 7;
    assert!(generations.list(0, &own).is_ok());
    assert!(generations.list(0, &own).is_ok());
    own.generation = 6;
    assert!(generations.list(0, &own).is_err());
}

#[test]
fn a_command_executed_twice_is_seen() {
    let mut executed = Executed::default();
    assert!(executed.run(0, 1, NodeId(5), 1).is_ok());
    assert!(executed.run(0, 1, NodeId(5), 2).is_ok());
    assert!(executed.run(0, 1, NodeId(6), 1).is_ok());
    assert!(executed.run(1, 1, NodeId(5), 1).is_ok());
    assert!(executed.run(0, 1, NodeId(5), 1).is_err());
}

#[test]
fn disagreement_is_seen() {
    let live: BTreeSet<NodeId> = [NodeId(1), NodeId(2)].into();
    let good = rows(&[State::Alive, State::Alive, State::Down]);
    assert!(agree(std::slice::from_ref(&good), &live).is_ok());
    for bad in [
        rows(&[State::Alive]),
        rows(&[State::Alive, State::Suspect]),
        rows(&[State::Alive, State::Down]),
        rows(&[State::Alive, State::Alive, State::Alive]),
    ] {
        assert!(agree(&[good.clone(), bad], &live).is_err());
    }
}

#[test]
fn trees_that_are_none_are_seen() {
    let list = rows(&[State::Alive, State::Down, State::Left, State::Alive]);
    let good = [branch(1, 0), branch(2, 1), branch(4, 0)];
    assert!(tree(&list, &good).is_ok());
    let bad: [&[TraceRow]; 8] = [
        &[],
        &[branch(1, 0), branch(2, 1)],
        &[branch(1, 0), branch(2, 1), branch(2, 1), branch(4, 0)],
        &[branch(1, 0), branch(2, 2), branch(4, 0)],
        &[branch(1, 1), branch(2, 1), branch(4, 0)],
        &[branch(2, 0), branch(1, 0), branch(4, 0)],
        &[branch(1, 0), branch(2, 1), branch(3, 0), branch(4, 0)],
        &[branch(1, 0), branch(2, 1), branch(4, 0), branch(5, 0)],
    ];
    for (number, rows) in bad.into_iter().enumerate() {
        assert!(tree(&list, rows).is_err(), "bad tree {number}");
    }
}

#[test]
fn lists_beyond_bounds_are_seen() {
    let many: Vec<NodeInfo> = (0..1_025).map(|id| row(id, State::Alive)).collect();
    assert!(bounds(&many).is_ok());
    let more: Vec<NodeInfo> = (0..1_026).map(|id| row(id, State::Alive)).collect();
    assert!(bounds(&more).is_err());
    assert!(bounds(&[row(1, State::Alive), row(2, State::Alive), row(2, State::Down)]).is_err());
}
