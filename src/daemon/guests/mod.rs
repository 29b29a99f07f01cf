//! The containers of this machine, as a Docker Engine (or what speaks like one) tells: a thread waits
//! for its events and hands the loop all that there are. It reads, and asks for nothing to be done.
//!
//! Who may use the Engine's socket may become root by it. So it is opened only once the sandbox is
//! entered, with the rights of whom the daemon runs as: none is kept from before.

mod engine;

use crate::daemon::options::Settings;
use crate::wire::guest::{Guest, GuestState, Guests};
use crate::wire::limits::GUESTS;
use engine::{Engine, Event};
use mio::Waker;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Pictures that wait for the loop; while so many do the thread waits.
const WAITING: usize = 64;
/// First and longest pause between two attempts to reach the Engine.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(60);

pub struct Watch {
    told: Receiver<Guests>,
}

impl Watch {
    /// Where nothing is watched, that says why.
    pub fn start(settings: &Settings, waker: Arc<Waker>) -> Result<Watch, String> {
        let (teller, told) = sync_channel(WAITING);
        let socket = match &settings.guests {
            Ok(_) if settings.bind.is_some_and(|ip| ip.is_loopback()) => {
                Err("no container reaches a loopback address (-b)".to_string())
            }
            guests => guests.clone(),
        };
        match socket {
            Ok(socket) => start_thread(socket, teller, waker)?,
            Err(why) => {
                // The loop's first turn takes it.
                let _ = teller.try_send(Err(why));
            }
        }
        Ok(Watch { told })
    }

    pub fn take(&self) -> Option<Guests> {
        self.told.try_recv().ok()
    }
}

fn start_thread(
    socket: PathBuf,
    teller: SyncSender<Guests>,
    waker: Arc<Waker>,
) -> Result<(), String> {
    let mut follower = Follower { engine: Engine { socket }, there: BTreeMap::new(), over: false };
    let mut tell = move |guests: Guests| {
        teller.send(guests).map_err(|_| Over)?;
        waker.wake().map_err(|_| Over)
    };
    thread::Builder::new()
        .name("guests".to_string())
        .spawn(move || follower.run(&mut tell))
        .map(drop)
        .map_err(|e| format!("can not start the thread that watches containers: {e}"))
}

/// Nobody listens any more.
struct Over;

/// Why following ends.
enum End {
    Over,
    Lost(String),
}

impl From<Over> for End {
    fn from(_: Over) -> End {
        End::Over
    }
}

impl From<String> for End {
    fn from(why: String) -> End {
        End::Lost(why)
    }
}

type Tell<'a> = &'a mut dyn FnMut(Guests) -> Result<(), Over>;

struct Follower {
    engine: Engine,
    /// What ran when it was looked at last, while the Engine does not answer too.
    there: BTreeMap<String, Guest>,
    /// There are more than are watched, and that was said.
    over: bool,
}

impl Follower {
    fn run(&mut self, tell: Tell) {
        let mut pause = PAUSE;
        loop {
            let mut reached = false;
            let end = self.follow(tell, &mut reached);
            let Err(End::Lost(why)) = end else { return };
            if tell(Err(why)).is_err() {
                return;
            }
            pause = if reached { PAUSE } else { pause };
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    fn follow(&mut self, tell: Tell, reached: &mut bool) -> Result<(), End> {
        // Before the list: what happens in between is told as well.
        let events = self.engine.events()?;
        self.look_at_all()?;
        *reached = true;
        self.tell(tell)?;
        for event in events {
            if self.happened(event?)? {
                self.tell(tell)?;
            }
        }
        Ok(())
    }

    /// What ran at the last look and does not now ended in between.
    fn look_at_all(&mut self) -> Result<(), String> {
        let now = self.engine.containers(None)?;
        for (id, guest) in &mut self.there {
            if !now.iter().any(|one| one.id == *id)
                && let Some(ending) = self.engine.ending(id)?
            {
                guest.state = GuestState::Ended(ending);
            }
        }
        now.into_iter().for_each(|guest| self.put(guest));
        Ok(())
    }

    /// Whether it is worth telling.
    fn happened(&mut self, event: Event) -> Result<bool, String> {
        Ok(match event {
            Event::Ended(id, ending) => {
                let guest = self.there.get_mut(&id);
                guest.map(|guest| guest.state = GuestState::Ended(ending)).is_some()
            }
            Event::Removed(id) => self.there.remove(&id).is_some(),
            Event::Changed(id) => {
                let found = self.engine.containers(Some(&id))?;
                let any = !found.is_empty();
                found.into_iter().for_each(|guest| self.put(guest));
                any
            }
        })
    }

    fn put(&mut self, guest: Guest) {
        if self.there.len() < GUESTS || self.there.contains_key(&guest.id) {
            self.there.insert(guest.id.clone(), guest);
        } else if !self.over {
            self.over = true;
            log::warn!("limit of {GUESTS} containers watched reached: others are not seen to end");
        }
    }

    /// Those that ended are told once.
    fn tell(&mut self, tell: Tell) -> Result<(), Over> {
        tell(Ok(self.there.values().cloned().collect()))?;
        self.there.retain(|_, guest| !matches!(guest.state, GuestState::Ended(_)));
        Ok(())
    }
}
