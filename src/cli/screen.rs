//! Standard output and standard error: results go to the first, everything else to the second.
//!
//! With `-j` failures are results too, so that a program need read only one of the two; the
//! sentences for people are on standard error all the same. A reader that went away (`| head -1`)
//! ends the program without a word.

use crate::cli::{FAILED, WELL};
use crate::client::answers::Answer;
use crate::client::{json, render, table};
use crate::wire::command::Scope;
use crate::wire::finding::{Finding, Verdict};
use crate::wire::info::NodeInfo;
use crate::wire::reply::Reply;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the epoch.
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub struct Screen {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// Whether standard output is one: answers to `all` are shown as they arrive.
    pub terminal: bool,
    pub json: bool,
    pub verbose: bool,
    /// Nodes are shown as a table.
    pub table: bool,
    failed: bool,
    open: bool,
    blocks: usize,
}

impl Screen {
    pub fn standard() -> Screen {
        let terminal = io::stdout().is_terminal();
        Screen::new(Box::new(io::stdout()), Box::new(io::stderr()), terminal)
    }

    fn new(out: Box<dyn Write>, err: Box<dyn Write>, terminal: bool) -> Screen {
        let (json, verbose, table, failed, open, blocks) = (false, false, false, false, true, 0);
        Screen { out, err, terminal, json, verbose, table, failed, open, blocks }
    }

    /// False once nobody reads standard output any more.
    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn status(&self) -> i32 {
        if self.failed { FAILED } else { WELL }
    }

    /// Text on standard output, at once.
    pub fn result(&mut self, text: &str) {
        if !self.open {
            return;
        }
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        let Err(cause) = written else { return };
        self.open = false;
        if cause.kind() != ErrorKind::BrokenPipe {
            self.failed = true;
            self.tell(&format!("can not write to standard output: {cause}"));
        }
    }

    /// A line on standard error. If even that is closed there is nobody left to tell.
    pub fn tell(&mut self, line: &str) {
        let _ = writeln!(self.err, "{line}");
    }

    /// A failure that comes from no node; the sentence may quote what was typed.
    pub fn fail(&mut self, code: &str, why: &str) {
        self.failed = true;
        if self.json {
            self.result(&json::error_line(code, why));
        }
        self.tell(&render::escape(why));
    }

    /// What was found without asking anybody.
    pub fn finding(&mut self, finding: &Finding) {
        self.failed |= finding.verdict == Verdict::Wrong;
        let text =
            if self.json { json::finding_line(finding) } else { render::finding_line(finding) };
        self.result(&text);
    }

    /// One node's answer to a question for one node.
    pub fn answer(&mut self, scope: &Scope, answer: &Answer) {
        let text = self.text(answer);
        self.result(&text);
        self.complain(scope, answer);
    }

    /// One node's answer to a question for all: a block with a heading, if there is anything in it.
    pub fn block(&mut self, answer: &Answer) {
        let text = self.text(answer);
        if self.json || text.is_empty() {
            return self.answer(&Scope::All, answer);
        }
        let divider = if self.blocks == 0 { "" } else { "\n" };
        self.blocks += 1;
        self.result(&format!("{divider}{}{text}", render::heading(answer)));
        self.complain(&Scope::All, answer);
    }

    fn text(&self, answer: &Answer) -> String {
        if self.json {
            return json::lines(answer, self.verbose);
        }
        if !self.table {
            return render::text(answer, self.verbose);
        }
        if !answer.replies.iter().any(|reply| matches!(reply, Reply::Nodes { .. })) {
            return String::new();
        }
        let nodes = answer.replies.iter().flat_map(Reply::nodes);
        let shown = nodes.filter(|node| self.verbose || !node.replaced).cloned();
        let shown: Vec<NodeInfo> = shown.collect();
        let width = self.terminal.then(|| console::Term::stdout().size().1.into());
        table::text(&shown, width, unix_s())
    }

    fn complain(&mut self, scope: &Scope, answer: &Answer) {
        self.failed |= answer.failures().next().is_some() || answer.is_wrong();
        for line in render::complaints(scope, answer) {
            self.tell(&line);
        }
    }
}
