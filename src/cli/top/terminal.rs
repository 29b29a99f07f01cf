//! Takes the terminal (no echo, no lines, a screen of its own) and gives it back as it was, however
//! the program ends; reads its keys.

use nix::libc;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use ratatui::termion::event::{Event, Key, parse_event};
use ratatui::termion::{cursor, screen};
use std::io::{self, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Held while the terminal is ours.
pub struct Taken {
    before: libc::termios,
    given_back: Arc<AtomicBool>,
}

pub fn take() -> io::Result<Taken> {
    let before = tcgetattr(io::stdin())?;
    let mut raw = before.clone();
    cfmakeraw(&mut raw);
    tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
    let taken = Taken { before: before.into(), given_back: Arc::default() };
    let (before, given_back) = (taken.before, taken.given_back.clone());
    let report = panic::take_hook();
    // Before the report of a fault: else it would be lost with our screen.
    panic::set_hook(Box::new(move |fault| {
        give_back(before, &given_back);
        report(fault);
    }));
    write!(io::stdout(), "{}{}", screen::ToAlternateScreen, cursor::Hide)?;
    io::stdout().flush()?;
    Ok(taken)
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back(self.before, &self.given_back);
    }
}

fn give_back(before: libc::termios, given_back: &AtomicBool) {
    if given_back.swap(true, SeqCst) {
        return;
    }
    // If the terminal is gone there is nothing to give back.
    let _ = write!(io::stdout(), "{}{}", cursor::Show, screen::ToMainScreen);
    let _ = io::stdout().flush();
    let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &Termios::from(before));
}

/// The keys in what was read. What is no key is passed over; a lone escape is one.
pub fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes.iter().map(|byte| Ok(*byte));
    while let Some(Ok(byte)) = rest.next() {
        match parse_event(byte, &mut rest) {
            Ok(Event::Key(key)) => keys.push(key),
            Err(_) if byte == b'\x1b' && rest.len() == 0 => keys.push(Key::Esc),
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_kind() {
        for (bytes, expected) in [
            (&b"q"[..], &[Key::Char('q')][..]),
            (b"\x1b", &[Key::Esc]),
            (b"\x1b[A\x1b[B", &[Key::Up, Key::Down]),
            (b"\x1b[5~/\x7f\r", &[Key::PageUp, Key::Char('/'), Key::Backspace, Key::Char('\n')]),
            (b"\x03", &[Key::Ctrl('c')]),
            ("\u{e9}".as_bytes(), &[Key::Char('\u{e9}')]),
            (b"\xff\xfe", &[]),
            (b"", &[]),
        ] {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }
}
