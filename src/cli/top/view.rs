//! What `top` shows, and what keys change of it. Nothing in here draws or waits.

use crate::client::order::natural;
use crate::client::render::escape;
use crate::client::table::{COLUMNS, Column, row};
use crate::wire::info::NodeInfo;
use crate::wire::limits::NAME_BYTES;
use ratatui::termion::event::Key;
use std::collections::{BTreeMap, BTreeSet};

/// Whether to go on after a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    GoOn,
    End,
}

#[derive(Default)]
pub struct View {
    /// As the daemon gave them last, itself first.
    pub nodes: Vec<NodeInfo>,
    /// How long the daemon has believed itself cut off.
    pub stale_ms: Option<u64>,
    /// Open, or with which key.
    pub herd: String,
    /// Why nothing new comes, if so, and when it last did.
    pub trouble: Option<String>,
    pub told_unix_s: u64,
    pub tree: bool,
    pub backwards: bool,
    /// The place of the column that it is sorted by.
    sorted_by: usize,
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    /// The first line that is shown, and how many have room: drawing sets that.
    pub first: usize,
    pub room: usize,
}

/// A node as it is shown.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    pub cells: [String; 8],
    pub at: usize,
}

impl View {
    pub fn set(&mut self, nodes: Vec<NodeInfo>, stale_ms: Option<u64>, herd: String) {
        self.nodes = nodes;
        self.nodes.retain(|node| !node.replaced);
        self.stale_ms = stale_ms;
        self.herd = escape(&herd);
        self.trouble = None;
    }

    /// The daemon does not answer. What it said last stays.
    pub fn trouble(&mut self, why: &str) {
        self.trouble = Some(escape(why));
    }

    pub fn sorted_by(&self) -> Column {
        COLUMNS[self.sorted_by]
    }

    pub fn press(&mut self, key: Key) -> Wish {
        match key {
            Key::Ctrl('c') => return Wish::End,
            Key::Up => self.first = self.first.saturating_sub(1),
            Key::Down => self.first += 1,
            Key::PageUp => self.first = self.first.saturating_sub(self.room),
            Key::PageDown => self.first += self.room,
            Key::Home => self.first = 0,
            Key::End => self.first = self.nodes.len(),
            Key::Left => self.sorted_by = self.sorted_by.saturating_sub(1),
            Key::Right => self.sorted_by = (self.sorted_by + 1).min(COLUMNS.len() - 1),
            Key::Esc => (self.typing, self.filter) = (false, String::new()),
            _ if self.typing => self.type_filter(key),
            Key::Char('q') => return Wish::End,
            Key::Char('/') => self.typing = true,
            Key::Char('t') => self.tree = !self.tree,
            Key::Char('r') => self.backwards = !self.backwards,
            _ => {}
        }
        Wish::GoOn
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char('\n') => self.typing = false,
            Key::Backspace => drop(self.filter.pop()),
            Key::Char(letter) if !letter.is_control() && self.filter.len() < NAME_BYTES => {
                self.filter.push(letter);
            }
            _ => {}
        }
    }

    /// In order, those that the filter lets through. In a tree the name stands below its parent's.
    pub fn lines(&self, now_unix_s: u64) -> Vec<Line> {
        let order = self.order();
        let order = if self.tree { self.branches(&order) } else { flat(&order) };
        let wanted = self.filter.to_lowercase();
        let told = self.trouble.as_ref().map_or(now_unix_s, |_| self.told_unix_s);
        let untold_ms = now_unix_s.saturating_sub(told).saturating_mul(1_000);
        let line = |(at, depth): (usize, usize)| {
            let mut node = self.nodes[at].clone();
            node.last_seen_ms = node.last_seen_ms.saturating_add(untold_ms);
            let mut cells = row(&node, now_unix_s);
            let fits = cells.iter().any(|cell| cell.to_lowercase().contains(&wanted));
            if self.tree {
                cells[0] = format!("{}|__ {}", "    ".repeat(depth), cells[0]);
            }
            fits.then_some(Line { cells, at })
        };
        order.into_iter().filter_map(line).collect()
    }

    /// Places of all nodes, sorted; what is equal by name.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        let name = |at: &usize| (natural(&self.nodes[*at].name), self.nodes[*at].id);
        order.sort_by_cached_key(name);
        if self.backwards {
            order.reverse();
        }
        order.sort_by_cached_key(|at| self.key(&self.nodes[*at]));
        if self.backwards {
            order.reverse();
        }
        order
    }

    /// What it is sorted by: a number, or text with numbers in it.
    fn key(&self, node: &NodeInfo) -> (u64, Vec<(String, usize, String)>) {
        let text = |text: &str| (0, natural(text));
        let number = |number| (number, Vec::new());
        match self.sorted_by() {
            Column::Name => text(&node.name),
            Column::State => number(node.state as u64),
            Column::Address => {
                text(&node.internal_ip.map_or_else(String::new, |ip| ip.to_string()))
            }
            Column::Parent => text(&node.parent),
            Column::RoundTrip => number(node.rtt_us.unwrap_or(u64::MAX)),
            Column::LastSeen => number(node.last_seen_ms),
            Column::Version => text(&node.version),
            // The youngest first.
            Column::Uptime => number(u64::MAX - node.started_unix_s),
        }
    }

    /// Each hidden node below its parent, with how deep it stands. Who has none that is known, and a
    /// circle, stand outermost.
    fn branches(&self, order: &[usize]) -> Vec<(usize, usize)> {
        let named = |at: &usize| (self.nodes[*at].name.as_str(), *at);
        let by_name: BTreeMap<&str, usize> = order.iter().map(named).collect();
        let parent = |at: usize| {
            let parent = by_name.get(self.nodes[at].parent.as_str()).copied();
            parent.filter(|parent| self.nodes[at].hidden && *parent != at)
        };
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for at in order.iter().rev() {
            below[parent(*at).unwrap_or(*at)].push(*at);
        }
        let (mut drawn, mut lines) = (BTreeSet::new(), Vec::new());
        let roots = order.iter().filter(|at| parent(**at).is_none());
        // Then over all once more, for circles.
        for root in roots.chain(order) {
            let mut open = vec![(*root, 0)];
            while let Some((at, depth)) = open.pop() {
                if drawn.insert(at) {
                    lines.push((at, depth));
                    open.extend(below[at].iter().map(|child| (*child, depth + 1)));
                }
            }
        }
        lines
    }
}

fn flat(order: &[usize]) -> Vec<(usize, usize)> {
    order.iter().map(|at| (*at, 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ids::NodeId;
    use crate::wire::info::State;

    fn node(name: &str, parent: &str, last_seen_ms: u64) -> NodeInfo {
        NodeInfo {
            id: NodeId(last_seen_ms),
            name: name.into(),
            parent: parent.into(),
            hidden: !parent.is_empty(),
            last_seen_ms,
            ..NodeInfo::default()
        }
    }

    fn view() -> View {
        let down = NodeInfo { state: State::Down, ..node("vm 2", "node1", 3_000) };
        let replaced = NodeInfo { replaced: true, ..node("gone", "", 0) };
        let nodes = vec![node("node1", "", 0), node("vm 10", "node1", 2_000), down, replaced];
        let mut view = View::default();
        view.set([nodes, vec![node("c", "vm 10", 4_000)]].concat(), None, "open".into());
        view
    }

    fn names(view: &View) -> Vec<String> {
        view.lines(0).iter().map(|line| line.cells[0].clone()).collect()
    }

    fn type_keys(view: &mut View, keys: &str) -> bool {
        keys.chars().any(|key| view.press(Key::Char(key)) == Wish::End)
    }

    #[test]
    fn sorted_by_any_column_both_ways() {
        let mut view = view();
        assert_eq!(names(&view), ["c", "node1", "vm 2", "vm 10"]);
        view.press(Key::Right);
        assert_eq!(names(&view), ["c", "node1", "vm 10", "vm 2"], "by state");
        type_keys(&mut view, "r");
        assert_eq!(names(&view), ["vm 2", "c", "node1", "vm 10"], "by state, backwards");
        for _ in 0..4 {
            view.press(Key::Right);
        }
        assert_eq!(names(&view), ["c", "vm 2", "vm 10", "node1"], "by age, backwards");
        for (key, column) in [(Key::Right, Column::Uptime), (Key::Left, Column::Name)] {
            (0..20).for_each(|_| assert_eq!(view.press(key), Wish::GoOn));
            assert_eq!(view.sorted_by(), column);
        }
    }

    #[test]
    fn a_tree_even_of_circles() {
        let mut view = view();
        type_keys(&mut view, "t");
        let expected = ["|__ node1", "    |__ vm 2", "    |__ vm 10", "        |__ c"];
        assert_eq!(names(&view), expected);
        let circle = vec![node("a", "b", 1), node("b", "a", 2), node("me", "me", 3)];
        view.set(circle, None, String::new());
        assert_eq!(names(&view), ["|__ me", "|__ a", "    |__ b"]);
        view.set(vec![node("x", "unknown", 1)], None, String::new());
        assert_eq!(names(&view), ["|__ x"]);
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut view = view();
        assert!(!type_keys(&mut view, "/Vm q"), "a letter of the filter ends nothing");
        assert!(names(&view).is_empty());
        view.press(Key::Backspace);
        assert_eq!(names(&view), ["c", "vm 2", "vm 10"], "its parent's too");
        type_keys(&mut view, "\n");
        assert!(!view.typing && view.filter == "Vm ");
        view.press(Key::Esc);
        assert_eq!(names(&view).len(), 4);
        type_keys(&mut view, "/down\n");
        assert_eq!(names(&view), ["vm 2"], "every cell counts");
        type_keys(&mut view, "/");
        type_keys(&mut view, &"x".repeat(NAME_BYTES));
        assert_eq!(view.filter.len(), NAME_BYTES, "no longer than a name");
        assert!(type_keys(&mut view, "\nq"));
        assert_eq!(view.press(Key::Ctrl('c')), Wish::End);
    }

    #[test]
    fn what_was_known_stays_while_nobody_answers() {
        let mut view = view();
        view.trouble("nobody listens on /x\u{1b}");
        assert_eq!(view.trouble.as_deref(), Some("nobody listens on /x\\u{1b}"));
        assert_eq!(names(&view).len(), 4);
        view.set(Vec::new(), None, String::new());
        assert_eq!(view.trouble, None);
    }
}
