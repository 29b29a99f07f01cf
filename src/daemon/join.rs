//! `--join`: a new machine shows a join token to the node that made it and gets the herd's key, before
//! its own node is made. The one place where the daemon waits for the network; it does so shut in.

use crate::daemon::homes::Home;
use crate::daemon::keys::{self, Found};
use crate::daemon::options::Settings;
use crate::daemon::process;
use crate::wire::limits::{DATAGRAM_BYTES, KEY_FILE_BYTES};
use crate::wire::refusal::Outside;
use crate::wire::token::{Answer, Attempt, Token};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// How long an answer is waited for, and after how long the question is said again.
const ANSWER: Duration = Duration::from_millis(1_800);
const AGAIN: Duration = Duration::from_millis(300);
/// A refusal can be forged by who sees the question: the true answer may come so much later.
const DOUBT: Duration = Duration::from_millis(300);

/// A token, and where it is known.
#[derive(Debug)]
pub struct Invitation {
    token: Token,
    at: Home,
}

/// What `--join` names: `-` for standard input, a file, or the token itself. Call it while standard
/// input still is what it was.
pub fn read(source: &str, directory: &Path) -> Result<Invitation, String> {
    let text = match source {
        "" => return Err("--join is empty: it names TOKEN@ADDR, a file, or - (stdin)".to_string()),
        "-" => read_text(io::stdin().lock(), "standard input")?,
        text if crate::wire::key::is_meant(text) => {
            let why = "--join takes a join token, not a herd key: what was typed may be seen by \
                       others now (`daust key rotate` makes another)";
            return Err(why.to_string());
        }
        token if Token::is_meant(token) => Zeroizing::new(token.to_string()),
        path => {
            let path = directory.join(path);
            let options =
                File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
            let named = path.display().to_string();
            let file = options.map_err(|e| format!("--join: can not read {named}: {e}"))?;
            check_mode(&file, &named)?;
            read_text(file, &named)?
        }
    };
    parse(&text)
}

/// A token that others can read may let another machine in. (A pipe is nobody else's.)
fn check_mode(file: &File, named: &str) -> Result<(), String> {
    let metadata = file.metadata().map_err(|e| format!("--join: can not read {named}: {e}"))?;
    let mode = metadata.permissions().mode() & 0o777;
    match metadata.is_file() && mode & 0o077 != 0 {
        true => Err(format!(
            "--join: others may read or write {named} (mode {mode:o}): chmod 600 {named}; if somebody \
             may have read it, `daust token` makes another"
        )),
        false => Ok(()),
    }
}

/// Takes a token out of the arguments of this process, which `ps` shows to everybody on the machine,
/// and out of the words that are kept of them.
pub fn hide(join: &str, words: &mut [String]) {
    if !Token::is_meant(join) {
        return;
    }
    if let Err(e) = process::wipe_argument(join) {
        eprintln!(
            "daustd: `ps` shows the join token here ({e}): --join - takes it from stdin instead"
        );
    }
    for word in words.iter_mut().filter(|word| word.ends_with(join)) {
        let kept = format!("{}-", &word[..word.len() - join.len()]);
        word.zeroize();
        *word = kept;
    }
}

fn read_text(from: impl Read, named: &str) -> Result<Zeroizing<String>, String> {
    // As large as it may get: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES as usize + 1));
    let read = from.take(KEY_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|e| format!("--join: can not read {named}: {e}"))?;
    if text.len() as u64 > KEY_FILE_BYTES {
        return Err(format!("--join: {named} is over the limit of {KEY_FILE_BYTES} bytes"));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Invitation, String> {
    let (token, at) = match text.trim().rsplit_once('@') {
        Some((token, at)) => (token, Some(at)),
        None => (text.trim(), None),
    };
    let token = token.parse().map_err(|why| format!("--join: {why}"))?;
    let at = at.ok_or("--join: an address is missing: TOKEN@ADDR, as `daust token` prints it")?;
    let at = at.parse().map_err(|why| format!("--join: `{at}`, after the @: {why}"))?;
    Ok(Invitation { token, at })
}

/// Gets the key and writes it to the state directory, unless `found` is of that herd already; phones
/// the node that gave it from now on.
pub fn join(
    invitation: Invitation,
    found: Option<Found>,
    settings: &mut Settings,
) -> Result<Found, String> {
    let Invitation { token, at } = invitation;
    if let Some(found) = found {
        if found.key.herd() == token.herd() {
            log::info!("--join is not needed: this node has a key of that herd already");
            return Ok(found);
        }
        return Err(format!(
            "--join: this node has the key of another herd, in {}: move it away first",
            found.path.display()
        ));
    }
    if settings.key_file.is_some() {
        let why = "--join writes the key to the state directory: leave --key-file out";
        return Err(why.to_string());
    }
    let dumps = process::forbid_core_dumps();
    let key = ask(&token, &at, settings.bind).map_err(|why| format!("--join: {why}"))?;
    let path = keys::keep(&settings.state_dir, &key)
        .map_err(|e| format!("can not write the herd key to the state directory: {e}"))?;
    log::info!("herd key {} for a join token from {at}", key.fingerprint());
    settings.homes.push(at);
    Ok(Found { key, path, dumps })
}

fn ask(
    token: &Token,
    at: &Home,
    bind: Option<IpAddr>,
) -> Result<crate::wire::key::HerdKey, String> {
    let at = resolve(at)?;
    let mut attempt = Attempt::new(token, crate::daemon::seed()?)?;
    let socket = connect(at, bind).map_err(|e| format!("can not ask {at}: {e}"))?;
    let mut end = Instant::now() + ANSWER;
    let mut refused: Option<Outside> = None;
    let mut bytes = [0; DATAGRAM_BYTES];
    let mut next = Instant::now();
    while Instant::now() < end {
        if next <= Instant::now() {
            // An earlier question's ICMP error shows itself here as well.
            let _ = socket.send(&attempt.question);
            next = Instant::now() + AGAIN;
        }
        let wait = end.min(next).saturating_duration_since(Instant::now());
        socket
            .set_read_timeout(Some(wait.max(Duration::from_millis(1))))
            .map_err(|e| format!("can not wait for {at}: {e}"))?;
        match socket.recv(&mut bytes) {
            Ok(length) => match attempt.read(&bytes[..length]) {
                Answer::Key(key) => return Ok(key),
                Answer::Refused(why) if refused.is_none() => {
                    refused = Some(why);
                    end = end.min(Instant::now() + DOUBT);
                }
                Answer::Refused(_) | Answer::Noise => {}
            },
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                return Err(format!("no daustd listens at {at} (UDP): is it the right address?"));
            }
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(why) => format!("{at} {}", why.to_asker()),
        None => format!(
            "nobody answers at {at} (UDP): is the address right, daustd there not older than this \
             one, and the way open?"
        ),
    })
}

fn resolve(at: &Home) -> Result<SocketAddr, String> {
    let (name, port) = match at {
        Home::Address(address) => return Ok(*address),
        Home::Host { name, port } => (name, port),
    };
    let mut found = (name.as_str(), *port).to_socket_addrs().map_err(|e| format!("{name}: {e}"))?;
    found.next().ok_or(format!("{name} has no address"))
}

fn connect(at: SocketAddr, bind: Option<IpAddr>) -> io::Result<UdpSocket> {
    let any = match at.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let own = bind.filter(|ip| ip.is_ipv4() == at.is_ipv4()).unwrap_or(any);
    let socket = UdpSocket::bind((own, 0))?;
    socket.connect(at)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn words_that_are_kept_show_no_token() {
        let token = format!("{}@10.0.0.1", *Token::new(7, [9; 16]).to_text());
        let mut words: Vec<String> =
            ["-d", "--join", &token, &format!("--join={token}")].map(str::to_string).into();
        hide(&token, &mut words);
        assert_eq!(words, ["-d", "--join", "-", "--join=-"]);
        let mut words = vec!["--join".to_string(), "/run/token".to_string()];
        hide("/run/token", &mut words);
        assert_eq!(words[1], "/run/token");
    }

    #[test]
    fn what_is_no_token_says_why() {
        let token = Token::new(7, [9; 16]).to_text();
        let text = format!(" {}@10.0.0.1:5\n", *token);
        assert_eq!(parse(&text).unwrap().at, "10.0.0.1:5".parse().unwrap());
        for (text, part) in [
            (&token[..], "TOKEN@ADDR"),
            (&format!("{}@", *token), "neither an address"),
            (&format!("{}@10.0.0.1:0", *token), "`10.0.0.1:0`, after the @: a port is"),
            (&format!("{}@10.0.0.1:99999", *token), "`10.0.0.1:99999`, after the @: a port is"),
            (&format!("{}@10.0.0.1", &token[..40]), "8 groups of 6"),
            ("join1-@10.0.0.1", "8 groups of 6"),
            ("", "begins with join1-"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn the_limit_at_its_edge() {
        let path = std::env::temp_dir().join(format!("herd-join-{}", std::process::id()));
        let mut text = format!("{}@10.0.0.1", *Token::new(7, [9; 16]).to_text());
        text.extend(std::iter::repeat_n('\n', KEY_FILE_BYTES as usize - text.len()));
        std::fs::write(&path, &text).unwrap();
        let named = path.to_str().unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        assert!(read(named, Path::new("/")).unwrap_err().contains("mode 604): chmod 600"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(read("", Path::new("/")).unwrap_err().contains("--join is empty"));
        assert!(read(named, Path::new("/")).is_ok());
        std::fs::write(&path, text + "\n").unwrap();
        assert!(read(named, Path::new("/")).unwrap_err().contains("limit of 4096 bytes"));
        std::fs::remove_file(&path).unwrap();
        assert!(read(named, Path::new("/")).unwrap_err().contains(named));
    }
}
