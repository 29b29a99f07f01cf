//! Where the metrics are to be had: `metrics` of the configuration.

use crate::daemon::control_path::{self, Purpose, SocketFile};
use crate::daemon::udp;
use crate::wire::address::is_private;
use crate::wire::limits::METRICS_CLIENTS;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use socket2::Type;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const PURPOSE: Purpose = Purpose {
    what: "metrics socket",
    option: "`metrics`",
    taken: "another program answers at the metrics socket: `metrics` names another",
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    Address(SocketAddr),
    Path(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let path = Path::new(text.strip_prefix("unix:").unwrap_or(text));
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 => Ok(Place::Address(address)),
            _ if path.is_absolute() => Ok(Place::Path(path.to_path_buf())),
            _ => Err(format!(
                "metrics `{text}`: an address and port such as 127.0.0.1:4041 or [::1]:4041, or the \
                 whole path of a Unix socket"
            )),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Address(address) => write!(f, "http://{address}/metrics"),
            Place::Path(path) => path.display().fmt(f),
        }
    }
}

impl Place {
    /// The directory of its socket.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Place::Address(_) => None,
            Place::Path(path) => path.parent(),
        }
    }

    pub fn listen(&self) -> Result<Listener, String> {
        match self {
            Place::Address(address) => Self::listen_tcp(*address).map_err(|e| {
                format!("can not use {address} for metrics: {e}; `metrics` names another address")
            }),
            Place::Path(path) => {
                let (listener, file) = control_path::bind(path, &PURPOSE)?;
                let fail = |e| format!("can not use {} for metrics: {e}", path.display());
                listener.set_nonblocking(true).map_err(fail)?;
                Ok(Listener::Path(UnixListener::from_std(listener), file))
            }
        }
    }

    fn listen_tcp(address: SocketAddr) -> io::Result<Listener> {
        let socket = udp::bind(Type::STREAM, Some(address.ip()), address.port())?;
        socket.listen(METRICS_CLIENTS as i32)?;
        if !is_private(address.ip()) {
            log::warn!(
                "metrics on {address}: whoever reaches this address may read who is in the herd"
            );
        }
        Ok(Listener::Address(TcpListener::from_std(socket.into())))
    }
}

pub enum Listener {
    Address(TcpListener),
    Path(UnixListener, #[allow(dead_code)] SocketFile),
}

impl Listener {
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Address(listener) => listener,
            Listener::Path(listener, _) => listener,
        }
    }

    pub fn accept(&self) -> io::Result<Box<dyn Socket>> {
        Ok(match self {
            Listener::Address(listener) => Box::new(listener.accept()?.0),
            Listener::Path(listener, _) => Box::new(listener.accept()?.0),
        })
    }
}

/// A connection of either kind.
pub trait Socket: Read + Write + Source {
    /// Says that nothing more comes.
    fn end(&self);
}

impl Socket for TcpStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Socket for UnixStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths() {
        for (text, expected) in [
            ("127.0.0.1:4041", "http://127.0.0.1:4041/metrics"),
            ("[::1]:4041", "http://[::1]:4041/metrics"),
            ("/run/daust/metrics.sock", "/run/daust/metrics.sock"),
            ("unix:/m", "/m"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), expected);
        }
        for text in ["", "4041", "127.0.0.1", "127.0.0.1:0", "localhost:4041", "unix:m", "m.sock"] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.contains("127.0.0.1:4041"), "{error}");
        }
    }
}
