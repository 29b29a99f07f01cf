//! What is in the journal reaches the disk: a command's entry in the turn that answers it, and, where
//! the disk is slow, no more than one batch at a time.

use crate::mesh::{Mesh, Who, options};
use herd::node::{Input, Kept, Node, Output, User};
use herd::wire::command::{Command, Scope};
use herd::wire::control::Request;
use herd::wire::ids::ClientId;
use herd::wire::time::Time;
use std::collections::BTreeMap;

/// One node, and a disk that answers when it is told to.
struct Slow {
    node: Node,
    now: Time,
    /// The entries of the journal in each batch, and the batch's ticket.
    batches: Vec<(u64, Vec<String>)>,
    answered: usize,
}

impl Slow {
    fn new() -> Slow {
        let who = Who::new(1, 5);
        let entries = BTreeMap::from([("identity".into(), who.identity.to_secret().to_vec())]);
        let kept = Kept { start_counter: 5, entries };
        let now = Time::from_ms(1_000_000);
        let node = Node::new(options("node1", 0, &[]), kept, [1; 32], now);
        let mut slow = Slow { node, now, batches: Vec::new(), answered: 0 };
        slow.turn(None);
        // What belongs to the start is kept a moment later.
        slow.now = slow.now.plus_ms(2_000);
        slow.turn(None);
        slow
    }

    fn turn(&mut self, input: Option<Input>) {
        if let Some(input) = input {
            self.node.handle(self.now, input);
        }
        self.node.tick(self.now);
        while let Some(output) = self.node.poll() {
            match output {
                Output::Keep { ticket, entries } => {
                    let names = entries.into_iter().map(|(name, _)| name);
                    let journal = names.filter(|name| name.starts_with("journal/command/"));
                    self.batches.push((ticket, journal.collect()));
                }
                Output::Part { .. } => self.answered += 1,
                _ => {}
            }
        }
    }

    fn ask(&mut self, command: Command) {
        let request = Request { number: 1, scope: Scope::Here, command, timeout_ms: 0 };
        let (client, user) = (ClientId(1), User::default());
        self.turn(Some(Input::Request { client, user, request }));
    }

    fn entries(&self) -> usize {
        self.batches.iter().map(|(_, entries)| entries.len()).sum()
    }
}

#[test]
fn a_command_is_handed_to_the_disk_in_the_turn_that_answers_it() {
    let mut slow = Slow::new();
    for (result, commands) in [(Ok(()), 1..=3), (Err("the disk is full".to_string()), 4..=6)] {
        for number in commands {
            slow.ask(Command::KeyText);
            assert!(number > 1 || slow.entries() == 1, "not in its turn: {:?}", slow.batches);
            slow.ask(Command::Forget(format!("nobody {number}")));
            // The first of a kind is a line; one that is refused again in a minute is counted.
            slow.now = slow.now.plus_ms(61_000);
            assert_eq!(slow.answered, 2 * number);
            let (ticket, _) = *slow.batches.last().unwrap();
            slow.turn(Some(Input::Kept { ticket, result: result.clone() }));
            assert_eq!(slow.entries(), 2 * number, "{:?}", slow.batches);
        }
    }
}

/// However slow it is: all is answered, its queue gets one batch, and then all the rest at once.
#[test]
fn a_slow_disk_delays_no_answer_and_gets_one_batch_at_a_time() {
    let mut slow = Slow::new();
    for number in 1..=5 {
        slow.now = slow.now.plus_ms(61_000);
        slow.ask(Command::Forget(format!("nobody {number}")));
        assert_eq!((slow.answered, slow.entries()), (number, 1), "{:?}", slow.batches);
    }
    let (ticket, _) = *slow.batches.iter().find(|(_, entries)| !entries.is_empty()).unwrap();
    slow.turn(Some(Input::Kept { ticket, result: Ok(()) }));
    assert_eq!(slow.entries(), 5, "{:?}", slow.batches);
}

/// A goodbye waits for no slow disk: what is new is handed over with it.
#[test]
fn the_end_hands_over_what_still_waits() {
    let mut slow = Slow::new();
    slow.ask(Command::KeyText);
    slow.ask(Command::Stop);
    assert_eq!(slow.entries(), 2, "{:?}", slow.batches);
}

#[test]
fn two_commands_at_once_outlive_a_crash() {
    let mut mesh = Mesh::new();
    mesh.add("node1", &[]);
    mesh.run_ms(3_000);
    mesh.request(0, Scope::Here, Command::KeyText);
    mesh.request(0, Scope::Here, Command::Token);
    mesh.run_ms(100);
    let kept = mesh.members[0].kept.keys().filter(|key| key.starts_with("journal/command/"));
    assert_eq!(kept.count(), 2);
}
