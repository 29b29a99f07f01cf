//! What the daemon is asked to do: command line, then environment, then configuration file, then
//! defaults. One table names every option; the configuration file uses the same names (see
//! configuration.rs).

use crate::daemon::configuration;
use crate::daemon::container;
use crate::daemon::homes::Home;
use crate::daemon::logging::Target;
use crate::daemon::metrics::Place;
use crate::node::Threshold;
use crate::wire::PORT;
use crate::wire::command::Rank;
use crate::wire::ids::Name;
use crate::wire::life::Class;
use crate::wire::limits::{HOMES, TIMEOUT_MS};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where root's files are, unless ./configure said else.
pub const CONFIGURATION: &str = match option_env!("HERD_CONFIGURATION") {
    Some(path) => path,
    None => "/etc/daust/daustd.toml",
};
const STATE_DIR: &str = match option_env!("HERD_STATE_DIR") {
    Some(path) => path,
    None => "/var/lib/daust",
};
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// MeshNet's `timeout` at most, milliseconds: beyond it nobody would ever be found dead.
const TIMEOUT_MAX_MS: u64 = 60_000;

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Flag,
    Value,
    Many,
}

pub struct Row {
    short: &'static str,
    pub long: &'static str,
    pub kind: Kind,
    hint: &'static str,
    help: &'static str,
}

const fn row(
    short: &'static str,
    long: &'static str,
    kind: Kind,
    hint: &'static str,
    help: &'static str,
) -> Row {
    Row { short, long, kind, hint, help }
}

/// Options of the command line that the configuration file may carry too.
pub const TABLE: &[Row] = &[
    row("d", "daemon", Kind::Flag, "", "detach once the sockets are bound"),
    row("n", "name", Kind::Value, "NAME", "name of this node (the host name)"),
    row("i", "iface", Kind::Value, "IFACE", "interface whose address is the internal ip"),
    row("b", "bind", Kind::Value, "ADDR", "listen on this address only"),
    row("P", "port", Kind::Value, "PORT", "UDP and TCP port (4040)"),
    row("k", "keynode", Kind::Many, "ADDR[:PORT]", "phone this node (repeatable)"),
    row("p", "publicface", Kind::Value, "ADDR", "public ip, instead of what others see"),
    row("e", "deadend", Kind::Flag, "", "answer, but relay for nobody"),
    row("", "class", Kind::Value, "CLASS", "pet, cattle, or ephemeral as a container is"),
    row("", "open-public", Kind::Flag, "", "take peers on public addresses into an open herd"),
    row("", "key-file", Kind::Value, "PATH", "file of the herd key (open herd if there is none)"),
    row(
        "",
        "join",
        Kind::Value,
        "TOKEN",
        "get the herd key for this: TOKEN@ADDR, a file, or - (stdin)",
    ),
    row("", "no-sandbox", Kind::Flag, "", "keep all rights of the process, to debug it"),
    row("l", "logfile", Kind::Value, "PATH", "log here; SIGHUP opens it again"),
    row("S", "state-dir", Kind::Value, "DIR", "where the identity and the peers are kept"),
    row("s", "socket", Kind::Value, "PATH", "control socket"),
];

/// What the daemon runs with.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub detach: bool,
    pub name: Option<Name>,
    pub interface: Option<String>,
    pub bind: Option<IpAddr>,
    pub port: u16,
    pub homes: Vec<Home>,
    pub public_face: Option<IpAddr>,
    pub deadend: bool,
    pub open_public: bool,
    /// Where the herd key must be; None: where one is looked for.
    pub key_file: Option<PathBuf>,
    /// Where a join token is, for the first start.
    pub join: Option<String>,
    pub sandbox: bool,
    /// The configuration file, which SIGHUP reads again.
    pub configuration: PathBuf,
    pub logfile: Option<PathBuf>,
    pub state_dir: PathBuf,
    pub socket: PathBuf,
    /// How often `-v` was given.
    pub verbose: usize,
    /// What other nodes may have done here, at most.
    pub accept: Rank,
    /// A group of local users who may look and change nothing.
    pub readers: Option<String>,
    /// What kind of life it leads.
    pub class: Class,
    /// What shows that this is a container.
    pub container: Option<&'static str>,
    /// The socket of the Engine whose containers are watched, or why none is.
    pub guests: Result<PathBuf, String>,
    /// Finds others on the local network, and is found.
    pub discovery: bool,
    /// Where figures are to be had, if anywhere.
    pub metrics: Option<Place>,
    pub threshold: Threshold,
    pub timeout_ms: u64,
}

impl Settings {
    pub fn log_target(&self) -> Target {
        match (&self.logfile, self.detach) {
            (Some(path), _) => Target::File(path.clone()),
            (None, true) => Target::Syslog,
            (None, false) => Target::StandardError,
        }
    }

    /// What only a start can change, and is other in `fresh`.
    pub fn fixed_changes(&self, fresh: &Settings) -> Vec<&'static str> {
        let changes = [
            ("name", self.name != fresh.name),
            ("bind", self.bind != fresh.bind),
            ("port", self.port != fresh.port),
            ("publicface", self.public_face != fresh.public_face),
            ("deadend", self.deadend != fresh.deadend),
            ("open-public", self.open_public != fresh.open_public),
            ("key-file", self.key_file != fresh.key_file),
            ("no-sandbox", self.sandbox != fresh.sandbox),
            ("state-dir", self.state_dir != fresh.state_dir),
            ("socket", self.socket != fresh.socket),
            ("accept", self.accept != fresh.accept),
            ("readers", self.readers != fresh.readers),
            ("class", self.class != fresh.class),
            ("guests", self.guests != fresh.guests),
            ("discovery", self.discovery != fresh.discovery),
            ("metrics", self.metrics != fresh.metrics),
            ("consensus_treshold", self.threshold != fresh.threshold),
            ("timeout", self.timeout_ms != fresh.timeout_ms),
        ];
        changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }
}

/// What the arguments ask for.
#[derive(Debug)]
pub enum Asked {
    Run(Box<Settings>),
    /// `--remembered`: say who was known, and end.
    Remembered(Box<Settings>),
    /// `-h` or `-V`: print this and end well.
    Print(String),
}

/// Values by long option name, as typed.
pub type Values = BTreeMap<String, Vec<String>>;

/// Where paths come from when nobody names them.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Where it was typed: a detached daemon stands in `/`, and paths typed relative must not move.
    pub directory: PathBuf,
    pub root: bool,
    pub home: Option<PathBuf>,
    pub runtime_dir: Option<PathBuf>,
    pub socket: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub docker_host: Option<PathBuf>,
    pub container: Option<&'static str>,
}

impl Environment {
    pub fn of_process() -> Environment {
        let path = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Environment {
            directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            root: nix::unistd::geteuid().is_root(),
            home: path("HOME"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            socket: path("DAUST_SOCKET"),
            state_dir: path("DAUST_STATE_DIR"),
            key_file: path("DAUST_KEY_FILE"),
            docker_host: path("DOCKER_HOST"),
            container: container::mark(),
        }
    }

    fn state_dir(&self) -> Result<PathBuf, String> {
        match (&self.state_dir, &self.home) {
            (Some(given), _) => Ok(given.clone()),
            (None, _) if self.root => Ok(STATE_DIR.into()),
            (None, Some(home)) => Ok(home.join(".daust")),
            (None, None) => Err("HOME is not set: name a state directory with -S DIR".to_string()),
        }
    }

    /// Where Docker's own programs look for the Engine.
    fn engine(&self) -> Result<PathBuf, String> {
        let Some(host) = self.docker_host.as_ref().map(|host| host.to_string_lossy()) else {
            return Ok(DOCKER_SOCKET.into());
        };
        let path = host.strip_prefix("unix://").filter(|path| path.starts_with('/'));
        path.map(PathBuf::from).ok_or(format!("DOCKER_HOST is {host}, no Unix socket"))
    }

    fn socket(&self) -> Result<PathBuf, String> {
        match (&self.socket, &self.runtime_dir, &self.home) {
            (Some(given), ..) => Ok(given.clone()),
            _ if self.root => Ok("/run/daust/daust.sock".into()),
            (None, Some(runtime), _) => Ok(runtime.join("daust/daust.sock")),
            (None, None, Some(home)) => Ok(home.join(".daust/daust.sock")),
            _ => Err("HOME is not set: name a control socket with -s PATH".to_string()),
        }
    }
}

/// Reads the arguments (without the program's name) and the configuration they name.
pub fn read(arguments: &[String], environment: &Environment) -> Result<Asked, String> {
    let parser = parser();
    let matches =
        parser.parse(arguments).map_err(|e| format!("{e}; daustd -h lists the options"))?;
    if matches.opt_present("h") {
        return Ok(Asked::Print(parser.usage("Usage: daustd [options]")));
    }
    if matches.opt_present("V") {
        return Ok(Asked::Print(format!("daustd {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if let Some(word) = matches.free.first() {
        return Err(format!("daustd takes no word `{word}`; daustd -h lists the options"));
    }
    let mut values = typed(&matches);
    let explicit = matches.opt_str("c").map(|path| environment.directory.join(path));
    for (key, value) in configuration::read(explicit.as_deref())? {
        values.entry(key).or_insert(value);
    }
    let verbose = matches.opt_count("v");
    let mut settings = settings(&values, typed(&matches), verbose, environment)?;
    settings.configuration = explicit.unwrap_or(settings.configuration);
    let settings = Box::new(settings);
    let looks = matches.opt_present("remembered");
    Ok(if looks { Asked::Remembered(settings) } else { Asked::Run(settings) })
}

/// What a configuration file with this text, and no option, comes to.
pub fn of_configuration(text: &str, environment: &Environment) -> Result<Settings, String> {
    settings(&configuration::parse(text)?, Values::new(), 0, environment)
}

fn parser() -> getopts::Options {
    let mut parser = getopts::Options::new();
    for Row { short, long, kind, hint, help } in TABLE {
        match kind {
            Kind::Flag => parser.optflag(short, long, help),
            Kind::Value => parser.optopt(short, long, help, hint),
            Kind::Many => parser.optmulti(short, long, help, hint),
        };
    }
    parser.optopt("c", "config", "configuration (/etc/daust/daustd.toml if it exists)", "FILE");
    parser.optflagmulti("v", "verbose", "log more; twice for everything");
    parser.optflag("", "remembered", "write who was known here, for `daust show`, and end");
    parser.optflag("V", "version", "print the version");
    parser.optflag("h", "help", "print this");
    parser
}

fn typed(matches: &getopts::Matches) -> Values {
    let given = |row: &&Row| matches.opt_present(row.long);
    let strings = |row: &Row| match row.kind {
        Kind::Flag => vec!["true".to_string()],
        _ => matches.opt_strs(row.long),
    };
    TABLE.iter().filter(given).map(|row| (row.long.to_string(), strings(row))).collect()
}

fn settings(
    values: &Values,
    typed: Values,
    verbose: usize,
    environment: &Environment,
) -> Result<Settings, String> {
    let one = |key: &str| values.get(key).and_then(|words| words.last());
    let flag = |key: &str| values.contains_key(key);
    let absolute = |path: &Path| environment.directory.join(path);
    let path = |key: &str, variable: &Option<PathBuf>| match typed.get(key) {
        Some(words) => words.last().map(PathBuf::from),
        None => variable.clone().or_else(|| one(key).map(PathBuf::from)),
    };
    let homes = values.get("keynode").map(Vec::as_slice).unwrap_or_default();
    if homes.len() > HOMES {
        return Err(format!("{} homes are over the limit of {HOMES}", homes.len()));
    }
    let threshold = one("consensus_treshold").or(one("consensus_threshold"));
    let usual = if environment.container.is_some() { Class::Ephemeral } else { Class::Pet };
    let state_dir = path("state-dir", &environment.state_dir);
    let socket = path("socket", &environment.socket);
    Ok(Settings {
        detach: flag("daemon"),
        name: one("name").map(|v| parse("name", v)).transpose()?,
        interface: one("iface").cloned(),
        bind: one("bind").map(|v| address("bind", v)).transpose()?,
        port: one("port").map(|v| port(v)).transpose()?.unwrap_or(PORT),
        homes: homes.iter().map(|v| parse("keynode", v)).collect::<Result<_, _>>()?,
        public_face: one("publicface").map(|v| address("publicface", v)).transpose()?,
        deadend: flag("deadend"),
        open_public: flag("open-public"),
        key_file: path("key-file", &environment.key_file).map(|path| absolute(&path)),
        join: one("join").cloned(),
        sandbox: !flag("no-sandbox"),
        configuration: CONFIGURATION.into(),
        logfile: one("logfile").map(|v| absolute(Path::new(v))),
        state_dir: absolute(&state_dir.map_or_else(|| environment.state_dir(), Ok)?),
        socket: absolute(&socket.map_or_else(|| environment.socket(), Ok)?),
        verbose,
        accept: one("accept").map(|v| parse("accept", v)).transpose()?.unwrap_or(Rank::Execute),
        readers: one("readers").cloned(),
        class: one("class").map(|v| parse("class", v)).transpose()?.unwrap_or(usual),
        container: environment.container,
        guests: guests(one("guests"), environment)?,
        discovery: one("discovery").map(|v| parse("discovery", v)).transpose()?.unwrap_or(true),
        metrics: one("metrics").map(|v| v.parse()).transpose()?,
        threshold: threshold.map(|v| parse_threshold(v)).transpose()?.unwrap_or_default(),
        timeout_ms: one("timeout").map(|v| timeout_ms(v)).transpose()?.unwrap_or(TIMEOUT_MS),
    })
}

fn parse<T: FromStr<Err: std::fmt::Display>>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|e| format!("--{key} `{value}`: {e}"))
}

fn address(key: &str, value: &str) -> Result<IpAddr, String> {
    value.parse().map_err(|_| format!("--{key} `{value}`: not an IPv4 or IPv6 address"))
}

/// Whose containers are watched: the outer error is the configuration's, the inner one says why none.
fn guests(
    value: Option<&String>,
    environment: &Environment,
) -> Result<Result<PathBuf, String>, String> {
    match value.map_or("true", String::as_str) {
        "true" => Ok(environment.engine()),
        "false" => Ok(Err("guests = false in the configuration".to_string())),
        path if path.starts_with('/') => Ok(Ok(path.into())),
        other => Err(format!("guests `{other}`: true, false or the path of an Engine's socket")),
    }
}

fn port(value: &str) -> Result<u16, String> {
    let port = value.parse().ok().filter(|port| *port > 0);
    port.ok_or(format!("--port `{value}`: a port is a number from 1 to 65535"))
}

fn timeout_ms(value: &str) -> Result<u64, String> {
    let timeout_ms = value.parse().ok().filter(|t| (1..=TIMEOUT_MAX_MS).contains(t));
    timeout_ms.ok_or(format!("timeout `{value}`: milliseconds, from 1 to {TIMEOUT_MAX_MS}"))
}

/// `0.5` is a share of those who answered, `3` is a count.
fn parse_threshold(value: &str) -> Result<Threshold, String> {
    let count = value.parse().ok().filter(|count| *count > 0).map(Threshold::Count);
    let share = || value.parse().ok().filter(|s| (0.0..=1.0).contains(s)).map(Threshold::Share);
    let threshold = if value.contains('.') { share() } else { count };
    threshold.ok_or(format!(
        "consensus_treshold `{value}`: a share from 0.0 to 1.0, or a count of nodes from 1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Environment {
        Environment { root: true, ..Environment::default() }
    }

    fn run(arguments: &[&str], environment: &Environment) -> Result<Settings, String> {
        let mut all: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
        if !arguments.contains(&"-c") {
            all.extend(["-c".to_string(), "/dev/null".to_string()]);
        }
        match read(&all, environment)? {
            Asked::Run(settings) => Ok(*settings),
            Asked::Print(text) => Err(text),
            Asked::Remembered(_) => Err("it only looks".to_string()),
        }
    }

    #[test]
    fn every_option_reaches_its_setting() {
        let arguments = "-d -n vm-4 -i eth0 -b 127.0.0.2 -P 5000 -k 10.0.0.1 -k [::1]:7 \
             -k box:9 -p 1.2.3.4 -e --open-public --key-file /k \
             -l /l -S /s -s /c -v -v";
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let got = run(&words, &root()).unwrap();
        assert!(got.detach && got.deadend && got.open_public && got.verbose == 2);
        assert_eq!(got.name.unwrap().as_str(), "vm-4");
        assert_eq!(got.interface.as_deref(), Some("eth0"));
        assert_eq!(got.bind, Some("127.0.0.2".parse().unwrap()));
        assert_eq!(got.port, 5000);
        assert_eq!(got.public_face, Some("1.2.3.4".parse().unwrap()));
        assert_eq!(got.homes.len(), 3);
        assert_eq!(got.key_file, Some("/k".into()));
        let paths = (got.logfile.unwrap(), got.state_dir, got.socket);
        assert_eq!(paths, ("/l".into(), "/s".into(), "/c".into()));
    }

    #[test]
    fn paths_of_root_and_of_others() {
        let got = run(&[], &root()).unwrap();
        assert_eq!(got.socket, Path::new("/run/daust/daust.sock"));
        assert_eq!(got.state_dir, Path::new(STATE_DIR));
        let mut user = Environment { home: Some("/h".into()), ..Environment::default() };
        let got = run(&[], &user).unwrap();
        assert_eq!(got.socket, Path::new("/h/.daust/daust.sock"));
        assert_eq!(got.state_dir, Path::new("/h/.daust"));
        user.runtime_dir = Some("/r".into());
        assert_eq!(run(&[], &user).unwrap().socket, Path::new("/r/daust/daust.sock"));
        user.socket = Some("/e".into());
        assert_eq!(run(&[], &user).unwrap().socket, Path::new("/e"));
        assert_eq!(run(&["-s", "/t"], &user).unwrap().socket, Path::new("/t"));
        assert!(run(&[], &Environment::default()).unwrap_err().contains("-S DIR"));
    }

    #[test]
    fn wrong_words_name_themselves() {
        let cases: &[(&[&str], &str)] = &[
            (&["stop"], "`stop`"),
            (&["--nonsense"], "nonsense"),
            (&["-P", "0"], "1 to 65535"),
            (&["-P", "70000"], "70000"),
            (&["-b", "nowhere"], "nowhere"),
            (&["-n", "-x"], "begins and ends"),
            (&["-c", "/nonexistent/daustd.toml"], "/nonexistent/daustd.toml"),
        ];
        for (arguments, expected) in cases {
            let error = run(arguments, &root()).unwrap_err();
            assert!(error.contains(expected), "{arguments:?}: {error}");
        }
        let many: Vec<&str> = ["-k", "10.0.0.1"].repeat(HOMES + 1);
        assert!(run(&many[2..], &root()).is_ok());
        assert!(run(&many, &root()).unwrap_err().contains("limit of 16"));
    }

    #[test]
    fn configuration_uses_the_same_names() {
        let text = "name = 'a'\nport = 5\nkeynode = ['10.0.0.1', 'x:2']\ndeadend = true\n\
             daemon = false\nconsensus_treshold = 1.0\ntimeout = 250\naccept = 'read'\n\
             metrics = '127.0.0.1:4041'\n";
        let got = of_configuration(text, &root()).unwrap();
        assert_eq!((got.port, got.timeout_ms, got.homes.len()), (5, 250, 2));
        assert!(got.deadend && !got.detach);
        assert_eq!(got.metrics, "127.0.0.1:4041".parse().ok());
        let wrong = of_configuration("metrics = 4041", &root()).unwrap_err();
        assert!(wrong.contains("metrics `4041`"), "{wrong}");
        assert_eq!((got.threshold, got.accept), (Threshold::Share(1.0), Rank::Read));
        assert_eq!(of_configuration("", &root()).unwrap().accept, Rank::Execute);
        let wrong = of_configuration("accept = 'all'", &root()).unwrap_err();
        assert!(wrong.contains("read, operate or execute"), "{wrong}");
    }

    #[test]
    fn a_container_is_ephemeral_unless_told_else() {
        let container = Environment { container: Some("/.dockerenv"), ..root() };
        let class = |settings: Result<Settings, String>| settings.unwrap().class;
        assert_eq!(class(run(&[], &root())), Class::Pet);
        assert_eq!(class(run(&[], &container)), Class::Ephemeral);
        assert_eq!(class(run(&["--class", "pet"], &container)), Class::Pet);
        assert_eq!(class(of_configuration("class = 'cattle'", &container)), Class::Cattle);
        let wrong = of_configuration("class = 'dog'", &root()).unwrap_err();
        assert!(wrong.contains("pet, cattle or ephemeral"), "{wrong}");
    }

    #[test]
    fn the_engine_is_where_its_own_programs_look() {
        let host = |host: &str| Environment { docker_host: Some(host.into()), ..root() };
        let guests = |text, environment| of_configuration(text, &environment).unwrap().guests;
        assert_eq!(guests("", root()), Ok(DOCKER_SOCKET.into()));
        assert_eq!(guests("guests = true", host("unix:///r/d.sock")), Ok("/r/d.sock".into()));
        assert_eq!(guests("guests = '/p'", host("unix:///r/d.sock")), Ok("/p".into()));
        assert!(guests("", host("tcp://10.0.0.1")).unwrap_err().contains("no Unix socket"));
        assert!(guests("guests = false", root()).unwrap_err().contains("guests = false"));
        let wrong = of_configuration("guests = 'docker'", &root()).unwrap_err();
        assert!(wrong.contains("true, false or the path"), "{wrong}");
    }

    #[test]
    fn the_key_file_is_named_in_three_places() {
        let environment = Environment { key_file: Some("/e".into()), ..root() };
        let key_file = |settings: Result<Settings, String>| settings.unwrap().key_file;
        assert_eq!(key_file(run(&["--key-file", "/t"], &environment)), Some("/t".into()));
        for text in ["key-file = '/c'", "key_file = '/c'"] {
            assert_eq!(key_file(of_configuration(text, &environment)), Some("/e".into()));
            assert_eq!(key_file(of_configuration(text, &root())), Some("/c".into()));
        }
        assert_eq!(key_file(run(&[], &root())), None);
    }

    #[test]
    fn relative_paths_stay_where_they_were_typed() {
        let environment = Environment { directory: "/typed".into(), ..root() };
        let got = run(&["-l", "log", "-S", "state", "-s", "/s"], &environment).unwrap();
        let paths = (got.logfile.unwrap(), got.state_dir, got.socket);
        assert_eq!(paths, ("/typed/log".into(), "/typed/state".into(), "/s".into()));
        let error = run(&["-c", "no.toml"], &environment).unwrap_err();
        assert!(error.contains("/typed/no.toml"), "{error}");
    }

    #[test]
    fn what_only_a_start_can_change() {
        let old = of_configuration("", &root()).unwrap();
        let text = "port = 5\nkeynode = '10.0.0.1'\niface = 'eth0'\nlogfile = '/l'\ntimeout = 7";
        let fresh = of_configuration(text, &root()).unwrap();
        assert_eq!(old.fixed_changes(&fresh), ["port", "timeout"]);
        assert!(fresh.fixed_changes(&fresh).is_empty());
    }

    #[test]
    fn thresholds_at_their_edges() {
        assert_eq!(parse_threshold("3"), Ok(Threshold::Count(3)));
        assert_eq!(parse_threshold("0.0"), Ok(Threshold::Share(0.0)));
        for bad in ["0", "-1", "1.01", "-0.1", "half", "NaN", ""] {
            assert!(parse_threshold(bad).is_err(), "{bad}");
        }
    }
}
