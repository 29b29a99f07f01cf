//! Discovery by multicast DNS (RFC 6762, 6763): says that a daustd is here, and finds others on the
//! local network. The library has a thread of its own; a second one waits for what it found and
//! wakes the loop. What is found is handed to the node as addresses, and nothing else.

use crate::daemon::options::Settings;
use crate::wire::discovery::{Discovered, MARK, SERVICE, mark};
use crate::wire::limits::DISCOVERED;
use mdns_sd::{IfKind, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use mio::Waker;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// What was found and waits for the loop; while so much does the thread waits.
const WAITING: usize = 64;
/// How often the library looks for new interfaces, seconds.
const INTERFACES_S: u32 = 30;
/// How long the end waits until the network was told.
const LAST_WORD: Duration = Duration::from_millis(200);

/// How long discovery rests where the network invents instances without end.
const REST: Duration = Duration::from_secs(600);

pub struct Discovery {
    /// `-b`: nothing is said or heard elsewhere.
    bind: Option<IpAddr>,
    port: u16,
    waker: Arc<Waker>,
    library: Option<Library>,
    rests_since: Option<Instant>,
    /// By full name of the service: its addresses, and the mark of its herd.
    there: BTreeMap<String, (Vec<SocketAddr>, Option<String>)>,
    /// Drawn at start: it tells nobody who this is, and keeps apart those of one name.
    instance: String,
    /// What is said now: of which herd, at which addresses.
    said: Option<(u64, Vec<IpAddr>)>,
}

struct Library {
    service: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    /// Instances that it remembers. It has no limit of its own.
    remembered: usize,
}

impl Library {
    fn open(bind: Option<IpAddr>, waker: Arc<Waker>) -> Result<Library, String> {
        let service = ServiceDaemon::new().map_err(|e| e.to_string())?;
        let loopback = vec![IfKind::LoopbackV4, IfKind::LoopbackV6];
        let chosen = match bind.filter(|ip| !ip.is_unspecified()).map(IfKind::Addr) {
            None => service.disable_interface(loopback),
            Some(only) => {
                service.disable_interface(IfKind::All).and_then(|()| service.enable_interface(only))
            }
        };
        chosen
            .and_then(|()| service.set_ip_check_interval(INTERFACES_S))
            .map_err(|e| e.to_string())?;
        let found = service.browse(SERVICE).map_err(|e| e.to_string())?;
        let (sender, events) = sync_channel(WAITING);
        thread::Builder::new()
            .name("discovery".to_string())
            .spawn(move || {
                // Until nobody listens any more.
                for event in found {
                    if sender.send(event).is_err() {
                        return;
                    }
                    let _ = waker.wake();
                }
            })
            .map_err(|e| format!("can not start its thread: {e}"))?;
        Ok(Library { service, events, remembered: 0 })
    }
}

impl Discovery {
    /// None where it is switched off, or there is no network to look at.
    pub fn start(settings: &Settings, seed: [u8; 8], waker: Arc<Waker>) -> Option<Discovery> {
        if !settings.discovery || settings.bind.is_some_and(|ip| ip.is_loopback()) {
            return None;
        }
        let instance = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        let (bind, port, there) = (settings.bind, settings.port, BTreeMap::new());
        let (library, rests_since, said) = (None, None, None);
        Some(Discovery { bind, port, waker, library, rests_since, there, instance, said })
    }

    /// Says where this node is and of which herd (0: an open one), where that changed.
    pub fn say(&mut self, herd: u64, own: &[IpAddr]) {
        let rested = self.rests_since.is_some_and(|since| since.elapsed() >= REST);
        let moved = rested || self.said.as_ref().is_none_or(|said| said.1 != own);
        if !moved && self.said.as_ref().is_some_and(|said| said.0 == herd) {
            return;
        }
        if moved {
            self.open();
        }
        self.said = Some((herd, own.to_vec()));
        let Some(library) = &self.library else { return };
        let at: Vec<IpAddr> = own.iter().copied().filter(|ip| !ip.is_loopback()).collect();
        let properties: Vec<(&str, String)> =
            mark(herd, &self.instance).into_iter().map(|mark| (MARK, mark)).collect();
        let host = format!("daust-{}.local.", self.instance);
        let said =
            ServiceInfo::new(SERVICE, &self.instance, &host, &at[..], self.port, &properties[..])
                .and_then(|info| library.service.register(info));
        if let Err(e) = said {
            log::warn!("discovery does not show this node: {e}");
        }
    }

    /// Begins anew. On a network that came later the library itself would ask once an hour.
    fn open(&mut self) {
        self.close();
        self.rests_since = None;
        self.library = Library::open(self.bind, self.waker.clone())
            .inspect_err(|e| log::warn!("nobody is found by discovery, nor finds this node: {e}"))
            .ok();
    }

    fn close(&mut self) {
        if let Some(library) = self.library.take() {
            let _ = library.service.shutdown();
        }
    }

    /// All that is there, where something changed.
    pub fn take(&mut self) -> Option<Vec<Discovered>> {
        let mut changed = false;
        while let Some(event) = self.library.as_ref().and_then(|one| one.events.try_recv().ok()) {
            changed |= match event {
                ServiceEvent::ServiceFound(..) => self.remember(),
                ServiceEvent::ServiceResolved(service) => self.resolved(&service),
                ServiceEvent::ServiceRemoved(_, name) => {
                    self.library.iter_mut().for_each(|one| one.remembered -= one.remembered.min(1));
                    self.there.remove(&name).is_some()
                }
                _ => false,
            };
        }
        let (herd, _) = self.said.as_ref().filter(|_| changed)?;
        let all = self.there.iter().flat_map(|(name, (at, said))| {
            let instance = name.split('.').next().unwrap_or_default();
            let alike = mark(*herd, instance) == *said;
            at.iter().map(move |at| Discovered { at: *at, alike })
        });
        Some(all.take(DISCOVERED).collect())
    }

    /// A network that invents instances without end is not looked at for a while.
    fn remember(&mut self) -> bool {
        let Some(library) = &mut self.library else { return false };
        library.remembered += 1;
        let over = library.remembered > DISCOVERED;
        if over {
            let rest_s = REST.as_secs();
            log::warn!(
                "discovery rests for {rest_s} s: over {DISCOVERED} instances are shown here"
            );
            self.there.clear();
            self.close();
            self.rests_since = Some(Instant::now());
        }
        over
    }

    /// Whether that is news.
    fn resolved(&mut self, service: &ResolvedService) -> bool {
        let name = service.get_fullname();
        if name.starts_with(&self.instance) {
            return false;
        }
        let ips = service.get_addresses().iter().map(|ip| ip.to_ip_addr());
        let mut at: Vec<SocketAddr> = ips
            .filter(|ip| !ip.is_loopback() && !is_link_local(*ip))
            .map(|ip| SocketAddr::new(ip, service.get_port()))
            .collect();
        at.sort_unstable();
        let said = service.get_property_val_str(MARK).map(str::to_string);
        self.there.insert(name.to_string(), (at.clone(), said.clone())) != Some((at, said))
    }

    /// Takes back what was said.
    pub fn finish(mut self) {
        let name = format!("{}.{SERVICE}", self.instance);
        let told = self.library.as_ref().and_then(|one| one.service.unregister(&name).ok());
        if let Some(told) = told {
            let _ = told.recv_timeout(LAST_WORD);
        }
        self.close();
    }
}

/// Such an address says nothing without the interface.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
