//! One host: look, put, start, wait until it is a member. A failure names its step; what was put until
//! then the script there takes away by itself.

use crate::cli::add::host::Host;
use crate::cli::add::local::{Local, Programs, fits};
use crate::cli::add::ssh::Session;
use crate::client::render::escape;
use crate::wire::ids::NodeId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const LOOK: &str = concat!(include_str!("places.sh"), include_str!("look.sh"));
const PUT: &str = concat!(include_str!("places.sh"), include_str!("put.sh"));
const REMOVE: &str = concat!(include_str!("places.sh"), include_str!("remove.sh"));
const UNIT: &str = include_str!("../../../systemd/daustd.service.in");
const USER_UNIT: &str = include_str!("user.service");
/// How long a started node may take to become a member, how often that is looked at, and how often
/// this node itself says hello to it.
const MEMBER_WAIT: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const CONTACT_AGAIN: Duration = Duration::from_secs(2);
/// How long its goodbye may take to arrive here.
const GOODBYE_WAIT: Duration = Duration::from_secs(5);

/// How it ended well.
#[derive(Debug, Default)]
pub struct Outcome {
    pub name: String,
    pub id: Option<NodeId>,
    pub changed: bool,
}

/// What all hosts have in common.
pub struct Work<'a> {
    pub local: &'a Local,
    /// `system` or `user`.
    pub mode: &'static str,
    pub builds: Option<&'a Path>,
    /// The programs that run here.
    pub own: Arc<Programs>,
}

/// Says how far a host is.
pub type Tell<'a> = &'a dyn Fn(&str);

/// What `look.sh` found, by name.
type Facts = BTreeMap<String, String>;

fn fact<'a>(facts: &'a Facts, name: &str) -> &'a str {
    facts.get(name).map_or("", String::as_str)
}

pub fn add(host: &Host, work: &Work, tell: Tell) -> Result<Outcome, String> {
    tell("looking at it");
    let facts = look(host, work.mode).map_err(|why| format!("look: {why}"))?;
    let node = node(fact(&facts, "node"));
    let member = match &node {
        Some((id, _)) => work.local.is_member(*id)?,
        None => false,
    };
    let as_it_is = || {
        let (id, name) = node.clone()?;
        member.then_some(Outcome { name, id: Some(id), changed: false })
    };
    if let (Some(outcome), false) = (as_it_is(), facts.contains_key("added")) {
        return Ok(outcome);
    }
    check(&facts, work.mode).map_err(|why| format!("check: {why}"))?;
    let mut untried = String::new();
    for programs in
        fitting(fact(&facts, "machine"), work).map_err(|why| format!("programs: {why}"))?
    {
        let same = programs.files.iter().all(|(name, _, sum)| fact(&facts, name) == sum);
        if let (Some(outcome), true) = (as_it_is(), same) {
            return Ok(outcome);
        }
        let mut put = Put { host, work, tell, facts: &facts, step: "copy" };
        match put.run((!same).then_some(&*programs))? {
            Ok(outcome) => return Ok(outcome),
            Err(why) => untried = why,
        }
    }
    Err(format!(
        "try: the programs do not run there ({untried}): --builds DIR names others, in DIR/{}",
        escape(fact(&facts, "machine"))
    ))
}

fn look(host: &Host, mode: &str) -> Result<Facts, String> {
    let mut session = Session::start(host, LOOK, &[mode])?;
    let mut facts = Facts::new();
    while let Some(line) = session.hear() {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("done", _) => return Ok(facts),
            (name, value) => drop(facts.insert(name.to_string(), value.trim().to_string())),
        }
    }
    Err(session.why())
}

/// Id and name in the answer to `daust -j ping`.
fn node(line: &str) -> Option<(NodeId, String)> {
    let object: serde_json::Value = serde_json::from_str(line).ok()?;
    let id = u64::from_str_radix(object["from_id"].as_str()?, 16).ok()?;
    Some((NodeId(id), object["from"].as_str()?.to_string()))
}

fn check(facts: &Facts, mode: &str) -> Result<(), String> {
    if fact(facts, "system") != "Linux" {
        return Err(format!("it runs `{}`: daustd wants Linux", escape(fact(facts, "system"))));
    }
    if mode == "system" && fact(facts, "uid") != "0" {
        return Err("you are not root there: add root@HOST; or --user, which needs no root and \
                    puts all below the home directory"
            .to_string());
    }
    match facts.get("foreign") {
        Some(path) => Err(format!(
            "there is a daustd that `add` did not put, {}: start it there, then type `daust remote \
             ADDRESS ping` here",
            escape(path)
        )),
        None => Ok(()),
    }
}

/// The programs that may run there, the likeliest first.
fn fitting(machine: &str, work: &Work) -> Result<Vec<Arc<Programs>>, String> {
    let mut fitting = Vec::new();
    let here = std::env::consts::ARCH;
    if fits(here, machine) {
        fitting.push(work.own.clone());
    }
    // What `uname -m` says there becomes a part of a path here.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let builds = work.builds.filter(|_| !machine.is_empty() && machine.chars().all(plain));
    match builds.map(|builds| Programs::built(builds, machine)) {
        Some(Ok(programs)) => fitting.push(Arc::new(programs)),
        Some(Err(why)) if fitting.is_empty() => return Err(why),
        _ => {}
    }
    if fitting.is_empty() {
        let machine = escape(machine);
        return Err(format!(
            "it is a machine of kind {machine}, and these programs are for {here}: --builds DIR \
             names others, in DIR/{machine}/daust and daustd"
        ));
    }
    Ok(fitting)
}

/// The conversation with `put.sh`.
struct Put<'a> {
    host: &'a Host,
    work: &'a Work<'a>,
    tell: Tell<'a>,
    facts: &'a Facts,
    step: &'static str,
}

impl Put<'_> {
    /// The inner error: the programs can not be run there, others may.
    fn run(&mut self, programs: Option<&Programs>) -> Result<Result<Outcome, String>, String> {
        let files = self.files(programs);
        let added = if self.facts.contains_key("added") { "yes" } else { "no" };
        let mut session = Session::start(self.host, PUT, &[self.work.mode, added])?;
        (self.tell)("copying");
        let mut files = files.iter();
        let mut outcome = Outcome { changed: true, ..Outcome::default() };
        while let Some(line) = session.hear() {
            match line.split_once(' ').unwrap_or((&line, "")) {
                // Who hangs up meanwhile has said why, or ssh does: that is heard next.
                ("want", _) => drop(match files.next() {
                    Some((name, bytes)) => {
                        session.say(format!("{name} {}\n", bytes.len()).as_bytes())
                            && session.say(bytes)
                    }
                    None => session.say(b"go 0\n"),
                }),
                ("at", step) => self.at(step),
                ("untried", _) => return Ok(Err(session.why())),
                ("failed", why) => return Err(self.failed(why, session)),
                ("node", line) => {
                    let (id, name) = node(line).ok_or("start: it says no id")?;
                    outcome = Outcome { name, id: Some(id), ..outcome };
                    if let Err(why) = self.wait_member(id) {
                        drop(session);
                        forget(self.work.local, id);
                        return Err(format!("member: {why}"));
                    }
                    session.say(b"keep\n");
                }
                ("kept", _) => return Ok(Ok(outcome)),
                _ => {}
            }
        }
        Err(format!("{}: {}", self.step, session.why()))
    }

    fn at(&mut self, step: &str) {
        let (step, text) = match step {
            "try" => ("try", "trying the programs"),
            "place" => ("place", "putting all in its place"),
            _ => ("start", "starting daustd"),
        };
        self.step = step;
        (self.tell)(text);
    }

    fn failed(&self, why: &str, session: Session) -> String {
        let cause = session.complaint().map(|cause| format!(" ({cause})")).unwrap_or_default();
        format!("{}: {}{cause}", self.step, escape(why))
    }

    /// Name and contents of what is to be copied.
    fn files(&self, programs: Option<&Programs>) -> Vec<(&'static str, Zeroizing<Vec<u8>>)> {
        let programs = programs.iter().flat_map(|programs| &programs.files);
        let programs = programs.map(|(name, bytes, _)| (*name, bytes.clone()));
        let from = fact(self.facts, "connection").split(' ').next();
        let homes = self.work.local.homes(from.and_then(|from| from.parse().ok()));
        let unit = match self.work.mode {
            "user" => USER_UNIT.to_string(),
            _ => UNIT.replace("@sbindir@", "/usr/local/sbin"),
        };
        let texts = [("configuration", configuration(&homes)), ("unit", unit)];
        let texts = texts.into_iter().map(|(name, text)| (name, text.into_bytes()));
        let key = self.work.local.key.iter().map(|key| ("key", key.as_bytes().to_vec()));
        programs.chain(texts).chain(key).map(|(name, bytes)| (name, bytes.into())).collect()
    }

    fn wait_member(&self, id: NodeId) -> Result<(), String> {
        (self.tell)("waiting until it is a member");
        let server = fact(self.facts, "connection").split(' ').nth(2);
        let address: Option<IpAddr> = server.and_then(|server| server.parse().ok());
        let end = Instant::now() + MEMBER_WAIT;
        let mut contact = Instant::now() + LOOK_AGAIN;
        while !self.work.local.is_member(id)? {
            if Instant::now() > end {
                return Err(format!(
                    "it runs, and neither of the two hears the other within {} s: is UDP and TCP \
                     port {} open between them? `daust doctor ADDRESS` tells more",
                    MEMBER_WAIT.as_secs(),
                    crate::wire::PORT
                ));
            }
            if let Some(address) = address.filter(|_| contact < Instant::now()) {
                self.work.local.contact(address);
                contact = Instant::now() + CONTACT_AGAIN;
            }
            sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// `remove` knows it by its first line.
fn configuration(homes: &[SocketAddr]) -> String {
    let homes: Vec<String> = homes.iter().map(|home| format!("\"{home}\"")).collect();
    format!(
        "# By daust add: the nodes to phone. daustd(8) says what else may stand here.\n\
             keynode = [{}]\n",
        homes.join(", ")
    )
}

/// Takes away what `add` put there; gives the name, if it ran.
pub fn remove(
    host: &Host,
    mode: &str,
    local: Option<&Local>,
    tell: Tell,
) -> Result<Outcome, String> {
    let mut session = Session::start(host, REMOVE, &[mode])?;
    let mut outcome = Outcome { changed: true, ..Outcome::default() };
    let mut step = "look";
    while let Some(line) = session.hear() {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("node", line) => {
                let node = node(line);
                outcome.id = node.as_ref().map(|(id, _)| *id);
                outcome.name = node.map(|(_, name)| name).unwrap_or_default();
            }
            ("at", "stop") => {
                step = "stop";
                tell("stopping it");
            }
            ("at", _) => {
                step = "clear";
                tell("taking away what was put");
            }
            ("failed", why) => return Err(format!("{step}: {}", escape(why))),
            ("done", _) => {
                if let (Some(local), Some(id)) = (local, outcome.id)
                    && !forget(local, id)
                {
                    let name = escape(&outcome.name);
                    return Err(format!(
                        "forget: {name} is not there any more, and is still listed here: `daust \
                         forget {name}`"
                    ));
                }
                return Ok(outcome);
            }
            _ => {}
        }
    }
    Err(format!("{step}: {}", session.why()))
}

/// Once its goodbye is here; true if it is known no more.
fn forget(local: &Local, id: NodeId) -> bool {
    let end = Instant::now() + GOODBYE_WAIT;
    loop {
        if local.forget(id) || local.find(id).is_ok_and(|node| node.is_none()) {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(LOOK_AGAIN);
    }
}
