//! One conversation with a script on another machine, over the person's own ssh: its configuration,
//! agent and known hosts count as they do when ssh is typed.

use crate::cli::add::host::Host;
use crate::client::render::escape;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

/// Seconds until a connection has to be there, and between two looks at whether it still is.
const CONNECT_S: u32 = 10;
const ALIVE_S: u32 = 5;
/// Of what the other machine says: bytes of a line, and of its complaints.
const LINE_BYTES: u64 = 4 << 10;
const COMPLAINT_BYTES: u64 = 16 << 10;

pub struct Session {
    child: Child,
    /// None once nothing more is said.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    complaints: Option<JoinHandle<String>>,
    host: Host,
}

impl Session {
    /// Runs the script there with these arguments.
    pub fn start(host: &Host, script: &str, arguments: &[&str]) -> Result<Session, String> {
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes"]);
        command.args(["-o", &format!("ConnectTimeout={CONNECT_S}")]);
        command.args(["-o", &format!("ServerAliveInterval={ALIVE_S}")]);
        if let Some(port) = host.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &host.destination, &line(script, arguments)]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("ssh can not be run: {e}"))?;
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(output), Some(errors)) = (output, errors) else {
            return Err("ssh can not be run: it has no output".to_string());
        };
        let complaints = Some(std::thread::spawn(move || read_complaints(errors)));
        let output = BufReader::new(output);
        Ok(Session { child, input, output, complaints, host: host.clone() })
    }

    /// The next line; None at the end.
    pub fn hear(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        self.output.by_ref().take(LINE_BYTES).read_until(b'\n', &mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim_end().to_string();
        (!bytes.is_empty()).then_some(text)
    }

    /// False: nobody listens any more.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        let said = |input: &mut ChildStdin| input.write_all(bytes).and_then(|()| input.flush());
        self.input.as_mut().is_some_and(|input| said(input).is_ok())
    }

    /// Ends it, and says why it failed: never an empty sentence.
    pub fn why(self) -> String {
        self.complaint().unwrap_or_else(|| "the connection broke".to_string())
    }

    /// Ends it, and gives the last that was complained of.
    pub fn complaint(mut self) -> Option<String> {
        self.input = None;
        let status = self.child.wait();
        let said = self.complaints.take().and_then(|thread| thread.join().ok());
        let said = said.unwrap_or_default();
        let by_ssh = status.is_ok_and(|status| status.code() == Some(255));
        let known = by_ssh.then(|| explain(&said, &self.host)).flatten();
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        known.or_else(|| last.map(escape))
    }
}

/// Who is not waited for would stay a zombie. The script there ends by itself: it hears no more.
impl Drop for Session {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

fn read_complaints(errors: impl Read) -> String {
    let mut errors = errors.take(COMPLAINT_BYTES);
    let mut bytes = Vec::new();
    let _ = errors.read_to_end(&mut bytes);
    // What is more is of no use, but ssh must not wait for us to read it.
    let _ = io::copy(&mut errors.into_inner(), &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The refusals of ssh that people meet, with the way out.
fn explain(said: &str, host: &Host) -> Option<String> {
    let port = host.port.map(|port| format!("-p {port} ")).unwrap_or_default();
    let typed = format!("ssh {port}{}", host.destination);
    if said.contains("IDENTIFICATION HAS CHANGED") {
        return Some(format!(
            "its host key is another one than known_hosts says: was it made anew, or does somebody \
             stand in between? `{typed}` says which line"
        ));
    }
    if said.contains("Host key verification failed") {
        return Some(format!("its host key is not known yet: type `{typed}` once and look at it"));
    }
    said.contains("Permission denied").then(|| {
        format!(
            "ssh would need a password: type `ssh-copy-id {port}{}` once, or unlock your key with \
             ssh-add",
            host.destination
        )
    })
}

/// One line for the login shell there.
fn line(script: &str, arguments: &[&str]) -> String {
    let words = ["exec", "sh", "-c"].map(String::from).into_iter();
    let quoted = [script, "daust"].into_iter().chain(arguments.iter().copied()).map(quote);
    words.chain(quoted).collect::<Vec<_>>().join(" ")
}

/// One word for any shell, whatever is in it.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_script_as_they_are() {
        let words = ["", "a b", "it's", "$(id)", "`id`", "a\nb", "\\", "-n", "'\"'\\''", "*"];
        let typed = line("printf '<%s>' \"$@\"", &words);
        let output = Command::new("sh").args(["-c", &typed]).output().unwrap();
        let expected: String = words.iter().map(|word| format!("<{word}>")).collect();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[test]
    fn refusals_of_ssh_name_the_way_out() {
        let host: Host = "me@box:2222".parse().unwrap();
        for (said, part) in [
            ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "`ssh -p 2222 me@box`"),
            ("Host key verification failed.", "not known yet"),
            ("me@box: Permission denied (publickey,password).", "ssh-copy-id -p 2222 me@box"),
        ] {
            assert!(explain(said, &host).unwrap().contains(part), "{said}");
        }
        assert_eq!(explain("ssh: connect to host box port 22: No route to host", &host), None);
    }
}
