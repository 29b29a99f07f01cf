//! The Engine's API, the little of it that is read, over its Unix socket: GET and nothing else. Asked in
//! HTTP/1.0, whose answers come without chunks and end with the connection.

use crate::wire::guest::{Guest, GuestState};
use crate::wire::limits::{ENGINE_ANSWER_BYTES, ENGINE_EVENT_BYTES, NAME_BYTES};
use crate::wire::rumor::Ending;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long one answer may take; events are waited for without end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes and lines of what comes before an answer's body.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;
/// Digits of a container's id that people are shown.
const SHORT_ID: usize = 12;
/// What may change of a container, as the API's filter of events, encoded for a path:
/// `{"event":["start","die","destroy","pause","unpause","rename","connect","disconnect"]}`.
const EVENTS: &str = "/events?filters=%7B%22event%22%3A%5B%22start%22%2C%22die%22%2C%22destroy%22%2C\
                      %22pause%22%2C%22unpause%22%2C%22rename%22%2C%22connect%22%2C%22disconnect%22\
                      %5D%7D";

pub struct Engine {
    pub socket: PathBuf,
}

/// What an event says.
#[derive(Debug, PartialEq)]
pub enum Event {
    Ended(String, Ending),
    /// Taken away, whether its end was told or not.
    Removed(String),
    /// Something else: it is to be looked at.
    Changed(String),
}

pub struct Events(BufReader<UnixStream>);

impl Engine {
    /// Those that run or are paused: all, or the one of this id.
    pub fn containers(&self, id: Option<&str>) -> Result<Vec<Guest>, String> {
        let path = match id {
            Some(id) => format!("/containers/json?filters=%7B%22id%22%3A%5B%22{id}%22%5D%7D"),
            None => "/containers/json".to_string(),
        };
        let list = self.json(&path)?.ok_or("it does not list its containers")?;
        let all = list.as_array().ok_or("its list of containers is none")?;
        Ok(all.iter().filter_map(container).collect())
    }

    /// How a container ended that runs no more; None if it runs.
    pub fn ending(&self, id: &str) -> Result<Option<Ending>, String> {
        let Some(container) = self.json(&format!("/containers/{id}/json"))? else {
            return Ok(Some(Ending::default()));
        };
        let state = &container["State"];
        let runs = state["Running"].as_bool().unwrap_or_default();
        Ok((!runs).then(|| Ending { exit_status: state["ExitCode"].as_i64() }))
    }

    /// From now on.
    pub fn events(&self) -> Result<Events, String> {
        let (status, answer) = self.get(EVENTS)?;
        if status != 200 {
            return Err(format!("its events: HTTP status {status}"));
        }
        answer.get_ref().set_read_timeout(None).map_err(|e| e.to_string())?;
        Ok(Events(answer))
    }

    /// None where the Engine knows no such thing.
    fn json(&self, path: &str) -> Result<Option<Value>, String> {
        let (status, answer) = self.get(path)?;
        match status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(format!("{path}: HTTP status {status}")),
        }
        let mut body = Vec::new();
        let most = ENGINE_ANSWER_BYTES as u64 + 1;
        answer.take(most).read_to_end(&mut body).map_err(|e| e.to_string())?;
        if body.len() > ENGINE_ANSWER_BYTES {
            return Err(format!("its answer is over the limit of {ENGINE_ANSWER_BYTES} bytes"));
        }
        serde_json::from_slice(&body).map(Some).map_err(|e| format!("{path}: {e}"))
    }

    /// Status, and an answer of which the body is still to be read.
    fn get(&self, path: &str) -> Result<(u16, BufReader<UnixStream>), String> {
        let failed = |e: std::io::Error| format!("{}: {e}", self.socket.display());
        let mut stream = UnixStream::connect(&self.socket).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").map_err(failed)?;
        let mut answer = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let room = (HEAD_BYTES - head.len()) as u64;
            let read = (&mut answer).take(room).read_until(b'\n', &mut head).map_err(failed)?;
            if read == 0 {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok((status(&head)?, answer))
    }
}

fn status(head: &[u8]) -> Result<u16, String> {
    let mut lines = [httparse::EMPTY_HEADER; HEAD_LINES];
    let mut response = httparse::Response::new(&mut lines);
    response.parse(head).map_err(|e| format!("it does not speak HTTP: {e}"))?;
    let coded = |line: &httparse::Header| line.name.eq_ignore_ascii_case("transfer-encoding");
    if response.headers.iter().any(coded) {
        return Err("it answers HTTP/1.0 in chunks: no Engine does".to_string());
    }
    response.code.ok_or("it does not speak HTTP".to_string())
}

/// Waits for the next that matters.
impl Iterator for Events {
    type Item = Result<Event, String>;

    fn next(&mut self) -> Option<Result<Event, String>> {
        loop {
            let mut line = Vec::new();
            let most = ENGINE_EVENT_BYTES as u64;
            match (&mut self.0).take(most).read_until(b'\n', &mut line) {
                Err(e) => return Some(Err(format!("its events ended: {e}"))),
                Ok(_) if !line.ends_with(b"\n") => {
                    let long = line.len() == ENGINE_EVENT_BYTES;
                    let limit = format!("an event over the limit of {ENGINE_EVENT_BYTES} bytes");
                    return Some(Err(if long { limit } else { "its events ended".to_string() }));
                }
                Ok(_) => {}
            }
            match serde_json::from_slice(&line) {
                Err(e) => return Some(Err(format!("an event that is none: {e}"))),
                Ok(value) => {
                    if let Some(event) = event(&value) {
                        return Some(Ok(event));
                    }
                }
            }
        }
    }
}

fn event(value: &Value) -> Option<Event> {
    let (actor, action) = (&value["Actor"], value["Action"].as_str()?);
    let attributes = &actor["Attributes"];
    match (value["Type"].as_str()?, action) {
        ("container", "die") => {
            let status = attributes["exitCode"].as_str().and_then(|text| text.parse().ok());
            Some(Event::Ended(id(&actor["ID"])?, Ending { exit_status: status }))
        }
        ("container", "destroy") => Some(Event::Removed(id(&actor["ID"])?)),
        ("container", _) => Some(Event::Changed(id(&actor["ID"])?)),
        ("network", "connect" | "disconnect") => {
            Some(Event::Changed(id(&attributes["container"])?))
        }
        _ => None,
    }
}

/// Goes into paths as it is.
fn id(value: &Value) -> Option<String> {
    let plain = |id: &&str| {
        (1..=2 * NAME_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    value.as_str().filter(plain).map(str::to_string)
}

/// One of a list; None if it neither runs nor is paused.
fn container(value: &Value) -> Option<Guest> {
    let id = id(&value["Id"])?;
    let state = match value["State"].as_str()? {
        "running" => GuestState::Running,
        "paused" => GuestState::Paused,
        _ => return None,
    };
    // A link to it from another container is a name as well, with that one's name before it.
    let names = value["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut names = names.map(|name| name.trim_start_matches('/'));
    let own = names.find(|name| !name.contains('/') && name.len() <= NAME_BYTES);
    let name = own.unwrap_or(&id[..id.len().min(SHORT_ID)]).to_string();
    let networks = value["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let at = |network: &Value, family| network[family].as_str().and_then(|ip| ip.parse().ok());
    let addresses: Vec<IpAddr> = networks
        .flat_map(|(_, network)| ["IPAddress", "GlobalIPv6Address"].map(|ip| at(network, ip)))
        .flatten()
        .collect();
    Some(Guest { id, name, addresses, state })
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
