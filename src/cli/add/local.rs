//! What the local node gives to one that is added: its addresses, the herd's key, its programs.

use crate::cli::options::Options;
use crate::cli::programs;
use crate::client::{Connection, Error, ask, path};
use crate::wire::PORT;
use crate::wire::command::{Command, Scope};
use crate::wire::ids::NodeId;
use crate::wire::info::{NodeInfo, State};
use crate::wire::reply::Reply;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How long another node may take to say that it is there, milliseconds.
const CONTACT_MS: u64 = 1_000;

/// The herd as the local node knows it.
pub struct Local {
    socket: PathBuf,
    own: NodeInfo,
    addresses: Vec<IpAddr>,
    /// The newest herd key; None in an open herd.
    pub key: Option<Zeroizing<String>>,
}

impl Local {
    pub fn look(options: &Options) -> Result<Local, String> {
        let socket = options.socket.clone().map_or_else(path::socket, Ok);
        let socket = socket.map_err(|e| e.to_string())?;
        let mut local =
            Local { socket, own: NodeInfo::default(), addresses: own_addresses(), key: None };
        let nodes = local.list().map_err(|e| format!("the local daustd: {e}"))?;
        local.own = nodes.into_iter().next().ok_or("the local daustd lists nobody")?;
        local.key = local.herd_key()?;
        Ok(local)
    }

    fn ask(&self, scope: Scope, command: Command, timeout_ms: u64) -> Result<Vec<Reply>, Error> {
        let mut daemon = Connection::open(&self.socket)?;
        let answers = ask::collect(&mut daemon, &scope, &command, timeout_ms)?;
        Ok(answers.into_iter().flat_map(|answer| answer.replies).collect())
    }

    fn list(&self) -> Result<Vec<NodeInfo>, Error> {
        ask::nodes(&mut Connection::open(&self.socket)?, 0)
    }

    /// The node of this id, if it is known here.
    pub fn find(&self, id: NodeId) -> Result<Option<NodeInfo>, String> {
        let nodes = self.list().map_err(|e| format!("the local daustd: {e}"))?;
        Ok(nodes.into_iter().find(|node| node.id == id))
    }

    pub fn is_member(&self, id: NodeId) -> Result<bool, String> {
        Ok(self.find(id)?.is_some_and(|node| node.state == State::Alive))
    }

    /// Says hello to whoever is at this address; whether he answers shows in the list.
    pub fn contact(&self, address: IpAddr) {
        let scope = Scope::Node(SocketAddr::new(address, PORT).to_string());
        let _ = self.ask(scope, Command::Ping, CONTACT_MS);
    }

    /// True once it is done: it is refused while the node is not known to be gone.
    pub fn forget(&self, id: NodeId) -> bool {
        let replies = self.ask(Scope::Here, Command::Forget(id.to_string()), 0);
        let done = |reply: &Reply| matches!(reply, Reply::Forgotten { .. });
        replies.is_ok_and(|replies| replies.iter().any(done))
    }

    fn herd_key(&self) -> Result<Option<Zeroizing<String>>, String> {
        let asked = |command| self.ask(Scope::Here, command, 0).map_err(|e| e.to_string());
        let keys = asked(Command::Keys)?;
        if keys.iter().all(|reply| matches!(reply, Reply::Keys(keys) if keys.is_empty())) {
            return Ok(None);
        }
        for reply in asked(Command::KeyText)? {
            match reply {
                Reply::KeyText(text) => return Ok(Some(Zeroizing::new(format!("{text}\n")))),
                Reply::Error(failure) => return Err(format!("the herd key: {}", failure.detail)),
                _ => {}
            }
        }
        Err("the local daustd does not say its herd key".to_string())
    }

    /// Where a node there reaches this one: at the address that ssh came from if it is one of ours
    /// (behind a NAT or a jump host it is another's), and at what this node tells everybody.
    pub fn homes(&self, ssh_from: Option<IpAddr>) -> Vec<SocketAddr> {
        let seen = ssh_from.filter(|ip| self.addresses.contains(ip) && !ip.is_loopback());
        let all = [seen, self.own.internal_ip, self.own.public_ip].into_iter().flatten();
        let port = if self.own.port == 0 { PORT } else { self.own.port };
        let mut homes = Vec::new();
        for ip in all {
            let home = SocketAddr::new(ip, port);
            if !homes.contains(&home) {
                homes.push(home);
            }
        }
        homes
    }
}

fn own_addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| interface.address);
    let ip = addresses.filter_map(|address| match address.as_sockaddr_in() {
        Some(v4) => Some(IpAddr::V4(v4.ip())),
        None => address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())),
    });
    ip.collect()
}

/// `daust` and `daustd` for one kind of machine.
pub struct Programs {
    pub files: [(&'static str, Vec<u8>, String); 2],
}

impl Programs {
    /// Those that run here.
    pub fn own() -> Result<Programs, String> {
        let daust = std::env::current_exe().map_err(|e| format!("this program's file: {e}"))?;
        Programs::read(&daust, &programs::find("daustd")?)
    }

    /// Of a directory of builds, for what `uname -m` says there.
    pub fn built(builds: &Path, machine: &str) -> Result<Programs, String> {
        let directory = builds.join(machine);
        Programs::read(&directory.join("daust"), &directory.join("daustd"))
    }

    fn read(daust: &Path, daustd: &Path) -> Result<Programs, String> {
        let file = |name, path: &Path| {
            let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let sum = hexadecimal(&Sha256::digest(&bytes));
            Ok::<_, String>((name, bytes, sum))
        };
        Ok(Programs { files: [file("daust", daust)?, file("daustd", daustd)?] })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether programs for `here` (Rust's name) may run on what `uname -m` calls `there`.
pub fn fits(here: &str, there: &str) -> bool {
    let there = match there {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        arm if arm.starts_with("armv") => "arm",
        other => other,
    };
    here == there
}
