//! `daust top`: the herd as it is, in the terminal, until somebody types q.
//!
//! view.rs is what is shown and what the keys change, draw.rs makes a screen of it, feed.rs asks the
//! daemon, terminal.rs takes the terminal and gives it back; here they meet.

mod draw;
mod feed;
mod terminal;
mod view;

use crate::cli::options::Options;
use crate::cli::screen::{Screen, unix_s};
use crate::cli::wrong_words;
use crate::client::path;
use feed::Feed;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::Terminal;
use ratatui::backend::TermionBackend;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use view::{View, Wish};

/// How often the daemon is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of keys taken at once.
const KEYS_BYTES: usize = 256;

/// Gives the exit status.
pub fn run(arguments: &[String], options: &Options, screen: &mut Screen) -> i32 {
    if let [word, ..] = arguments {
        return wrong_words(screen, &format!("`top` takes no argument `{word}`"));
    }
    if options.json {
        return wrong_words(screen, "`top` is for people: `list -j` prints the herd for programs");
    }
    let outcome = match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => watch(options),
        false => {
            Err("`top` wants a terminal to draw on, and keys from it: `daust show` prints the \
                      herd once, `daust watch` follows what happens"
                .to_string())
        }
    };
    if let Err(why) = outcome {
        screen.fail("refused", &why);
    }
    screen.status()
}

fn watch(options: &Options) -> Result<(), String> {
    let path = options.socket.clone().map_or_else(path::socket, Ok).map_err(|e| e.to_string())?;
    let fail = |e: io::Error| format!("can not use this terminal: {e}");
    let ends = signals(&[SIGHUP, SIGINT, SIGTERM]).map_err(fail)?;
    let resized = signals(&[SIGWINCH]).map_err(fail)?;
    let _taken = terminal::take().map_err(fail)?;
    let mut screen = Terminal::new(TermionBackend::new(io::stdout())).map_err(fail)?;
    let (mut feed, mut view) = (Feed::new(path), View::default());
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            feed.ask(&mut view);
            next = Instant::now() + INTERVAL;
        }
        let drawn = screen.draw(|frame| draw::draw(frame, &mut view, unix_s()));
        drawn.map_err(|e| format!("can not use this terminal: {e}"))?;
        let left = next.saturating_duration_since(Instant::now());
        let stdin = io::stdin();
        let sources = [Some(stdin.as_fd()), Some(ends.as_fd()), Some(resized.as_fd()), feed.fd()];
        let [keys, ended, _, told] = wait(sources, left).map_err(fail)?;
        empty(&resized);
        if ended || keys && press(&mut view).map_err(fail)? == Wish::End {
            return Ok(());
        }
        if told {
            feed.read(&mut view);
        }
    }
}

/// The end that can be read when one of these came.
fn signals(wanted: &[i32]) -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    for signal in wanted {
        pipe::register(*signal, writer.try_clone()?)?;
    }
    Ok(reader)
}

fn empty(mut pipe: &UnixStream) {
    let mut bytes = [0; KEYS_BYTES];
    while pipe.read(&mut bytes).is_ok_and(|length| length > 0) {}
}

/// Which of them has something to say, or none in this time.
fn wait<const N: usize>(sources: [Option<BorrowedFd>; N], left: Duration) -> io::Result<[bool; N]> {
    let of = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut open: Vec<PollFd> = sources.iter().flatten().map(|fd| of(*fd)).collect();
    // Rounded up: a turn that comes a little too early would only wait again.
    let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    match poll(&mut open, left) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(e) => return Err(e.into()),
    }
    let mut open = open.iter();
    Ok(sources
        .map(|source| source.is_some() && open.next().is_some_and(|one| one.any() == Some(true))))
}

/// Takes the keys that were typed. A terminal that went away ends it too.
fn press(view: &mut View) -> io::Result<Wish> {
    let mut bytes = [0; KEYS_BYTES];
    // A read of the descriptor itself: what the library buffers, poll does not see.
    let length = nix::unistd::read(io::stdin(), &mut bytes)?;
    if length == 0 {
        return Ok(Wish::End);
    }
    let keys = terminal::keys(&bytes[..length]);
    let end = keys.into_iter().any(|key| view.press(key) == Wish::End);
    Ok(if end { Wish::End } else { Wish::GoOn })
}
