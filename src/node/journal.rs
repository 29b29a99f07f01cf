//! Table: the journal. Who changed something here or wanted to, what became of the other nodes, which
//! strangers were refused. Kept with what is known of the peers (`keeping`), in slots that are
//! written over in turn: on disk it takes no more room than here.

use crate::node::boundary::{Kept, User};
use crate::node::rights::Asker;
use crate::wire::codec;
use crate::wire::command::{Command, Rank, Scope};
use crate::wire::history::{Entry, EntryKind};
use crate::wire::ids::NodeId;
use crate::wire::limits::{
    JOURNAL_COMMANDS, JOURNAL_EVENTS, JOURNAL_STRANGERS, JOURNAL_TEXT_BYTES,
};
use crate::wire::reply::Failure;
use crate::wire::time::Time;
use minicbor::{Decode, Encode};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

const JOURNAL: &str = "journal/";
/// Name and length of each ring: none can push out what is in another.
const RINGS: [(&str, usize); 3] =
    [("command", JOURNAL_COMMANDS), ("event", JOURNAL_EVENTS), ("stranger", JOURNAL_STRANGERS)];
const NO_GOODBYE: &str = "after an end without goodbye";
/// The verb of pipes, which somebody's script may open without end.
const PIPE: &str = "nc";
/// A command that is refused again within this time is counted, not written again, seconds.
const AGAIN_S: u64 = 60;

#[derive(Clone, Encode, Decode)]
struct Written {
    /// Counts the entries of all rings.
    #[n(0)]
    number: u64,
    /// Counts those of its ring.
    #[n(1)]
    place: u64,
    #[n(2)]
    entry: Entry,
    /// What kind of command it was: its words without names of nodes. A start forgets it.
    #[cbor(skip)]
    kind: String,
}

/// How long the disk may wait for what is new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// It goes with news of the peers.
    Sometime,
    /// Strangers and repeats, of which there may be many.
    Soon,
    /// A command: who asked is answered in this turn.
    Now,
}

pub struct Journal {
    rings: [VecDeque<Written>; 3],
    next_number: u64,
    /// Ring and place of what is not handed on to be kept yet.
    unkept: BTreeSet<(usize, u64)>,
    /// When that is to be kept.
    pub due: Due,
    /// The time of day, and when it was that.
    clock: (u64, Time),
}

impl Journal {
    pub fn new(kept: &Kept, now: Time, unix_s: u64) -> Journal {
        let mut written: Vec<Written> = kept
            .entries
            .range(JOURNAL.to_string()..)
            .take_while(|(key, _)| key.starts_with(JOURNAL))
            .filter_map(|(_, bytes)| codec::decode(bytes).ok())
            .collect();
        written.sort_by_key(|written| written.number);
        let mut journal = Journal {
            rings: Default::default(),
            next_number: written.last().map_or(0, |last| last.number.saturating_add(1)),
            unkept: BTreeSet::new(),
            due: Due::Sometime,
            clock: (unix_s, now),
        };
        for one in written {
            journal.put(ring_of(one.entry.kind), one);
        }
        journal
    }

    /// Leaves an empty one behind.
    pub fn take(&mut self, now: Time) -> Journal {
        let empty = Journal::new(&Kept::default(), now, self.unix_s(now));
        std::mem::replace(self, empty)
    }

    pub fn set_clock(&mut self, now: Time, unix_s: u64) {
        self.clock = (unix_s, now);
    }

    pub fn unix_s(&self, now: Time) -> u64 {
        self.clock.0.saturating_add(now.ms_since(self.clock.1) / 1_000)
    }

    /// What became of a node.
    pub fn event(&mut self, now: Time, kind: EntryKind, id: NodeId, name: &str, text: &str) {
        let entry = Entry { kind, id, name: name.to_string(), text: text.to_string(), ..blank() };
        self.add(now, entry, String::new());
    }

    /// This node started. That the time before ended without a goodbye (a crash, a power cut) is told.
    pub fn started(&mut self, now: Time, id: NodeId, keys: &str) {
        let events = self.rings[ring_of(EntryKind::Started)].iter().rev();
        let mut kinds = events.map(|one| one.entry.kind);
        let last = kinds.find(|kind| matches!(kind, EntryKind::Started | EntryKind::Stopped));
        let crashed = last == Some(EntryKind::Started);
        let text = match (keys, crashed) {
            (keys, false) => keys.to_string(),
            ("", true) => NO_GOODBYE.to_string(),
            (keys, true) => format!("{keys}; {NO_GOODBYE}"),
        };
        self.event(now, EntryKind::Started, id, "", &text);
    }

    /// A machine got the herd key for a join token.
    pub fn joined(&mut self, now: Time, address: SocketAddr) {
        let entry = Entry { kind: EntryKind::Joined, address: Some(address), ..blank() };
        self.add(now, entry, String::new());
        self.due = Due::Now;
    }

    /// Another node is up: worth an entry if it was not before.
    pub fn up(&mut self, now: Time, id: NodeId, name: &str) {
        let mut events = self.rings[ring_of(EntryKind::Up)].iter().rev().map(|one| &one.entry);
        let last = events.find(|entry| entry.id == id && entry.kind != EntryKind::Key);
        match last.map(|entry| entry.kind) {
            Some(EntryKind::Up | EntryKind::Back) => {}
            Some(EntryKind::Down | EntryKind::Left) => {
                self.event(now, EntryKind::Back, id, name, "");
            }
            _ => self.event(now, EntryKind::Up, id, name, ""),
        }
    }

    pub fn stranger(&mut self, now: Time, address: SocketAddr, text: &str) {
        let (kind, text) = (EntryKind::Refused, text.to_string());
        self.add(now, Entry { kind, address: Some(address), text, ..blank() }, String::new());
        self.due = self.due.max(Due::Soon);
    }

    /// A command that changes something was carried out or handed on (`to` others), or not: then this
    /// is why.
    pub fn note(
        &mut self,
        now: Time,
        asker: &Asker,
        to: &Scope,
        command: &Command,
        failure: Option<&Failure>,
    ) {
        if command.rank() == Rank::Read {
            return;
        }
        let (words, verb) = (command.words(), command.verb());
        let (text, kind) = match to {
            Scope::Here => (words, verb.to_string()),
            Scope::Node(node) => (format!("remote {node} {words}"), format!("remote {verb}")),
            Scope::All => (format!("all {words}"), format!("all {verb}")),
        };
        let failure = failure.map_or_else(String::new, |failure| failure.detail.clone());
        let entry = Entry { kind: EntryKind::Command, text, failure, ..blank() };
        let entry = match asker {
            Asker::User(User { uid, name, .. }) => {
                Entry { uid: Some(*uid), name: name.clone(), ..entry }
            }
            Asker::Node { id, name, address } => {
                Entry { id: *id, name: name.clone(), address: *address, ..entry }
            }
        };
        if !self.is_again(now, &entry, &kind) {
            self.add(now, entry, kind);
            self.due = Due::Now;
        }
    }

    /// Counts the same asker's refused commands of one kind, and its pipes: who asks without end fills no ring, and
    /// hides nothing behind what he asks most.
    fn is_again(&mut self, now: Time, entry: &Entry, kind: &str) -> bool {
        let now_s = self.unix_s(now);
        let ring = ring_of(entry.kind);
        let pipe = kind.ends_with(PIPE);
        let again = |known: &&mut Written| {
            let (known, known_kind) = (&known.entry, &known.kind);
            let failed = [entry, known].map(|entry| !entry.failure.is_empty());
            (failed == [true; 2] || (pipe && failed == [false; 2] && entry.text == known.text))
                && (known.id, known.uid, known_kind.as_str()) == (entry.id, entry.uid, kind)
        };
        let is_late = |known: &Written| now_s.saturating_sub(known.entry.unix_s) < AGAIN_S;
        let mut late = self.rings[ring].iter_mut().rev().take_while(|known| is_late(known));
        let Some(known) = late.find(again) else { return false };
        known.entry.times = known.entry.times.saturating_add(1);
        self.unkept.insert((ring, known.place));
        self.due = self.due.max(Due::Soon);
        true
    }

    fn add(&mut self, now: Time, mut entry: Entry, kind: String) {
        entry.unix_s = self.unix_s(now);
        entry.text = short(entry.text);
        entry.failure = short(entry.failure);
        let ring = ring_of(entry.kind);
        let place = self.rings[ring].back().map_or(0, |last| last.place.saturating_add(1));
        self.unkept.insert((ring, place));
        self.put(ring, Written { number: self.next_number, place, entry, kind });
        self.next_number = self.next_number.saturating_add(1);
    }

    fn put(&mut self, ring: usize, written: Written) {
        let entries = &mut self.rings[ring];
        entries.push_back(written);
        if entries.len() > RINGS[ring].1
            && let Some(oldest) = entries.pop_front()
        {
            self.unkept.remove(&(ring, oldest.place));
        }
    }

    /// What is to be kept now.
    pub fn take_unkept(&mut self) -> Vec<(String, Option<Vec<u8>>)> {
        self.due = Due::Sometime;
        let unkept = std::mem::take(&mut self.unkept);
        let entry = |(ring, place): (usize, u64)| {
            let (name, length) = RINGS[ring];
            let at = self.rings[ring].binary_search_by_key(&place, |written| written.place).ok()?;
            let key = format!("{JOURNAL}{name}/{}", place % length as u64);
            Some((key, Some(codec::encode(&self.rings[ring][at]))))
        };
        unkept.into_iter().filter_map(entry).collect()
    }

    /// The oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let mut all: Vec<&Written> = self.rings.iter().flatten().collect();
        all.sort_by_key(|written| written.number);
        all.into_iter().map(|written| &written.entry)
    }
}

fn ring_of(kind: EntryKind) -> usize {
    match kind {
        EntryKind::Command | EntryKind::Joined => 0,
        EntryKind::Refused => 2,
        _ => 1,
    }
}

fn blank() -> Entry {
    Entry { times: 1, ..Entry::default() }
}

/// What is longer than the limit ends with `...` there.
fn short(text: String) -> String {
    if text.len() <= JOURNAL_TEXT_BYTES {
        return text;
    }
    let mut end = JOURNAL_TEXT_BYTES - 3;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reply::ErrorCode;

    const NOW: Time = Time::from_ms(5_000);
    const UNIX_S: u64 = 1_700_000_000;

    fn fresh() -> Journal {
        Journal::new(&Kept::default(), NOW, UNIX_S)
    }

    fn node(number: u64) -> Asker {
        Asker::Node { id: NodeId(number), name: format!("node{number}"), address: None }
    }

    fn refused() -> Failure {
        Failure::new(ErrorCode::Refused, "not by you")
    }

    fn note(journal: &mut Journal, now: Time, asker: u64, command: Command, well: bool) {
        let refused = refused();
        let failure = (!well).then_some(&refused);
        journal.note(now, &node(asker), &Scope::Here, &command, failure);
    }

    fn keep(journal: &mut Journal, kept: &mut Kept) {
        let entries = journal.take_unkept().into_iter();
        kept.entries.extend(entries.map(|(key, value)| (key, value.expect("nothing is removed"))));
    }

    /// Each ring at its edge, in memory and on disk: the oldest entry makes room, in no other ring.
    #[test]
    fn rings_at_their_edges() {
        let (mut journal, mut kept) = (fresh(), Kept::default());
        for number in 0..=JOURNAL_COMMANDS as u64 {
            note(&mut journal, NOW, number, Command::Stop, true);
        }
        for port in 0..=JOURNAL_STRANGERS as u16 {
            journal.stranger(NOW, SocketAddr::from(([10, 0, 0, 1], port)), "why");
        }
        for number in 0..=JOURNAL_EVENTS as u64 {
            journal.event(NOW, EntryKind::Down, NodeId(number), "x", "silent");
            if number % 100 == 0 {
                keep(&mut journal, &mut kept);
            }
        }
        keep(&mut journal, &mut kept);
        let all = JOURNAL_COMMANDS + JOURNAL_STRANGERS + JOURNAL_EVENTS;
        assert_eq!(kept.entries.len(), all);
        let after = Journal::new(&kept, NOW, UNIX_S);
        for journal in [&journal, &after] {
            assert_eq!(journal.entries().count(), all);
            let first = |kind| journal.entries().find(|entry| entry.kind == kind).unwrap();
            assert_eq!(first(EntryKind::Command).id, NodeId(1));
            assert_eq!(first(EntryKind::Down).id, NodeId(1));
            assert_eq!(first(EntryKind::Refused).address.unwrap().port(), 1);
        }
        assert!(journal.entries().eq(after.entries()), "the same in the same order");
        assert_eq!(after.next_number, journal.next_number);
    }

    #[test]
    fn long_texts_end_at_the_limit() {
        for (length, whole) in [(JOURNAL_TEXT_BYTES, true), (JOURNAL_TEXT_BYTES + 1, false)] {
            let text = short("x".repeat(length));
            assert_eq!((text.len(), text.ends_with("...")), (JOURNAL_TEXT_BYTES, !whole));
        }
        assert!(short("\u{20ac}".repeat(200)).len() <= JOURNAL_TEXT_BYTES);
    }

    #[test]
    fn who_asks_without_end_takes_one_line_a_minute() {
        let mut journal = fresh();
        let forget = |name: &str| Command::Forget(name.into());
        for name in ["a", "b", "c"] {
            note(&mut journal, NOW, 1, forget(name), false);
        }
        note(&mut journal, NOW, 1, Command::Stop, false);
        note(&mut journal, NOW, 2, forget("a"), false);
        note(&mut journal, NOW, 1, forget("d"), true);
        note(&mut journal, NOW, 1, forget("e"), true);
        note(&mut journal, NOW.plus_ms(AGAIN_S * 1_000), 1, forget("f"), false);
        let lines: Vec<(u64, &str, u32)> =
            journal.entries().map(|e| (e.id.0, e.text.as_str(), e.times)).collect();
        let expected = [
            (1, "forget a", 3),
            (1, "stop", 1),
            (2, "forget a", 1),
            (1, "forget d", 1),
            (1, "forget e", 1),
            (1, "forget f", 1),
        ];
        assert_eq!(lines, expected);
    }

    /// What is refused most hides nothing: each kind has its line, wherever it was aimed.
    #[test]
    fn no_refusal_hides_behind_another() {
        let mut journal = fresh();
        let remote = |name: &str| Scope::Node(name.into());
        for (to, command) in [
            (Scope::Here, Command::Rotate),
            (Scope::Here, Command::Rotate),
            (Scope::Here, Command::KeyText),
            (Scope::Here, Command::Revoke("a".into())),
            (remote("key"), Command::Stop),
            (remote("key b"), Command::Stop),
            (Scope::All, Command::Stop),
            (Scope::Here, Command::List),
        ] {
            journal.note(NOW, &node(1), &to, &command, Some(&refused()));
        }
        let lines: Vec<(&str, u32)> =
            journal.entries().map(|e| (e.text.as_str(), e.times)).collect();
        let expected = [
            ("key rotate", 2),
            ("key show", 1),
            ("key revoke a", 1),
            ("remote key stop", 2),
            ("all stop", 1),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_restart_is_no_news_of_others() {
        let (mut journal, mut kept) = (fresh(), Kept::default());
        journal.up(NOW, NodeId(1), "a");
        journal.up(NOW, NodeId(1), "a");
        journal.up(NOW, NodeId(2), "b");
        journal.event(NOW, EntryKind::Down, NodeId(2), "b", "silent");
        keep(&mut journal, &mut kept);
        let mut journal = Journal::new(&kept, NOW, UNIX_S);
        journal.up(NOW, NodeId(1), "a");
        journal.up(NOW, NodeId(2), "b");
        let kinds: Vec<EntryKind> = journal.entries().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [EntryKind::Up, EntryKind::Up, EntryKind::Down, EntryKind::Back]);
    }

    #[test]
    fn an_end_without_goodbye_is_told_at_the_next_start() {
        let mut kept = Kept::default();
        let mut texts = Vec::new();
        for (keys, says_goodbye) in [("", false), ("", true), ("key 1", false), ("key 1", true)] {
            let mut journal = Journal::new(&kept, NOW, UNIX_S);
            journal.started(NOW, NodeId(1), keys);
            journal.event(NOW, EntryKind::CutOff, NodeId(1), "", "");
            texts.push(
                journal
                    .entries()
                    .filter(|e| e.kind == EntryKind::Started)
                    .last()
                    .unwrap()
                    .text
                    .clone(),
            );
            if says_goodbye {
                journal.event(NOW, EntryKind::Stopped, NodeId(1), "", "");
            }
            keep(&mut journal, &mut kept);
        }
        let crash = "after an end without goodbye";
        assert_eq!(texts, ["", crash, "key 1", &format!("key 1; {crash}")]);
    }

    /// A damaged entry loses only itself; a clock that is set right is believed from then on.
    #[test]
    fn damage_and_a_wrong_clock() {
        let (mut journal, mut kept) = (fresh(), Kept::default());
        for id in [1, 2] {
            journal.event(NOW.plus_ms(2_000), EntryKind::Up, NodeId(id), "x", "");
        }
        keep(&mut journal, &mut kept);
        let first = kept.entries.values_mut().next().unwrap();
        first.truncate(first.len() / 2);
        let mut journal = Journal::new(&kept, NOW, 5);
        assert_eq!(
            journal.entries().map(|e| (e.id.0, e.unix_s)).collect::<Vec<_>>(),
            [(2, UNIX_S + 2)]
        );
        journal.set_clock(NOW.plus_ms(1_000), UNIX_S + 60);
        journal.event(NOW.plus_ms(3_000), EntryKind::Up, NodeId(3), "x", "");
        assert_eq!(journal.entries().last().unwrap().unix_s, UNIX_S + 62);
    }
}
