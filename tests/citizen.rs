//! A citizen of Unix: how a real daemon starts, stops, and treats files, disks, logs and signals.

mod common;

use common::machine::{self, Machine};
use common::{Daemon, Said, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_second_start_is_refused() {
    let node = Daemon::start("node1");
    let (mut same_state, mut same_socket) = (Daemon::prepared("node1"), Daemon::prepared("node1"));
    same_state.state = node.state.clone();
    same_socket.socket = node.socket.clone();
    for second in [same_state, same_socket] {
        for detach in [&[][..], &["-d"]] {
            let said = Said::from(second.command().args(detach).output().unwrap());
            assert_eq!(said.status, 1, "{said:?}");
            assert!(said.err.contains("daustd is already running"), "{said:?}");
        }
    }
    node.daust(&["ping"]).expect_out("pong\n");
}

#[test]
fn stopped_and_started_again_at_once() {
    let node = Daemon::start("node1");
    for _ in 0..3 {
        node.daust(&["stop"]).expect_out("stopped\n");
        let log = node.path("log");
        let started = Said::from(node.command().arg("-d").arg("-l").arg(log).output().unwrap());
        assert_eq!(started, Said { status: 0, out: String::new(), err: String::new() });
        node.daust(&["ping"]).expect_out("pong\n");
    }
}

#[test]
fn detached_means_ready_and_a_failure_is_told() {
    let node = Daemon::prepared("node1");
    let log = node.path("log");
    let started = Said::from(node.command().arg("-d").arg("-l").arg(log).output().unwrap());
    assert_eq!(started, Said { status: 0, out: String::new(), err: String::new() });
    // Not waited for: the first command finds it ready.
    node.daust(&["ping"]).expect_out("pong\n");

    let mut taken = Daemon::prepared("node2");
    taken.address = node.address;
    let failed = Said::from(taken.command().arg("-d").output().unwrap());
    assert_eq!((failed.status, failed.out.as_str()), (1, ""), "{failed:?}");
    assert!(failed.err.contains("4040"), "the port is not named: {failed:?}");

    node.daust(&["stop"]).expect_out("stopped\n");
    wait_until("the socket to close", || match node.daust(&["ping"]) {
        said if said.status == 3 => Ok(()),
        said => Err(format!("{said:?}")),
    });
}

/// systemd's end of the socket it gives to a service.
fn manager(path: &Path) -> UnixDatagram {
    let manager = UnixDatagram::bind(path).unwrap();
    manager.set_read_timeout(Some(common::PATIENCE)).unwrap();
    manager
}

fn hear(manager: &UnixDatagram, wanted: &str) {
    let mut buffer = [0; 512];
    loop {
        let length = manager.recv(&mut buffer).unwrap_or_else(|e| panic!("no {wanted}: {e}"));
        if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == wanted) {
            return;
        }
    }
}

#[test]
fn the_service_manager_is_told() {
    let mut node = Daemon::prepared("node1");
    let path = node.path("notify");
    let manager = manager(&path);
    let mut command = node.command();
    node.run(command.env("NOTIFY_SOCKET", &path));
    hear(&manager, "READY=1");
    node.signal("-TERM");
    hear(&manager, "STOPPING=1");
    assert_eq!(node.wait_end(), 0);
}

/// Holds the one thread that runs the loop, as a debugger does; the others go on.
const HOLD: &str = "exit 9 if syscall($ARGV[0], 0x4206, $ARGV[1] + 0, 0, 0) \
    || syscall($ARGV[0], 0x4207, $ARGV[1] + 0, 0, 0); $| = 1; print \"held\\n\"; <STDIN>";
const PTRACE: &str = if cfg!(target_arch = "x86_64") { "101" } else { "117" };

/// A loop that hangs is not fed for, whatever its other threads do.
#[test]
fn the_watchdog_is_fed_by_the_loop_alone() {
    let mut node = Daemon::prepared("node1");
    let path = node.path("notify");
    let manager = manager(&path);
    let mut command = node.command();
    node.run(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000"));
    hear(&manager, "READY=1");
    (0..3).for_each(|_| hear(&manager, "WATCHDOG=1"));

    let pid = node.pid().to_string();
    let mut perl = Command::new("perl");
    perl.args(["-e", HOLD, PTRACE, &pid]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut holder) = perl.spawn() else { return println!("SKIPPED: no perl") };
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said != "held\n" {
        return println!("SKIPPED: no process may hold another here");
    }
    wait_until("the loop to be held", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.contains(") t ").then_some(()).ok_or(stat)
    });
    manager.set_nonblocking(true).unwrap();
    while manager.recv(&mut [0; 512]).is_ok() {}
    std::thread::sleep(std::time::Duration::from_millis(1_000));
    let word = manager.recv(&mut [0; 512]);
    assert!(word.is_err(), "a held loop says that it turns");

    manager.set_nonblocking(false).unwrap();
    drop(holder.stdin.take());
    holder.wait().unwrap();
    hear(&manager, "WATCHDOG=1");
}

#[test]
fn hangup_reopens_the_logfile() {
    let mut node = Daemon::prepared("node1");
    let log = node.path("log");
    let mut command = node.command();
    node.run(command.arg("-l").arg(&log));
    fs::rename(&log, node.path("log.1")).unwrap();
    node.signal("-HUP");
    wait_until("a new logfile", || log.exists().then_some(()).ok_or("it is not there"));
    node.daust(&["ping"]).expect_out("pong\n");
}

#[test]
fn without_a_state_directory_it_runs_and_says_so() {
    let mut node = Daemon::prepared("node1");
    fs::write(node.path("file"), "").unwrap();
    // Nobody can make a directory below a file, root neither.
    node.state = node.path("file/state");
    node.restart();
    assert!(node.log().contains("file/state"), "{}", node.log());
}

/// What a start in this directory says, with these options beside its own.
fn said(daemon: &Daemon, options: &[&str]) -> Said {
    Said::from(daemon.command().args(options).output().unwrap())
}

fn good() -> Said {
    Said { status: 0, out: String::new(), err: String::new() }
}

#[test]
fn what_can_not_be_is_told_to_whoever_starts_it() {
    let node = Daemon::prepared("node1");
    let configuration = node.path("daustd.toml");
    fs::write(&configuration, "name = 'node1'\nkeynodes = 'x'\n").unwrap();
    let configuration = configuration.to_str().unwrap();
    for (options, status, sentence) in [
        (&["-c", configuration][..], 2, "line 2: unknown key `keynodes`; known are "),
        (&["-l", "/nonexistent/log"], 1, "can not open the log file /nonexistent/log"),
        (&["-i", "no-such"], 1, "there is no interface `no-such`"),
        (&["-b", "127.0.0.1"], 2, "Option 'bind' given more than once"),
    ] {
        for detach in [&[][..], &["-d"]] {
            let said = said(&node, &[options, detach].concat());
            assert_eq!((said.status, said.out.as_str()), (status, ""), "{said:?}");
            assert!(said.err.starts_with("daustd: ") && said.err.contains(sentence), "{said:?}");
            assert!(!node.socket.exists(), "a socket is left behind");
        }
    }
}

#[test]
fn after_a_crash_everything_is_taken_over() {
    let mut node = Daemon::start("node1");
    let lock = fs::read_to_string(node.state.join("lock")).unwrap();
    assert_eq!(lock, format!("{}\n", node.pid()));
    node.kill();
    assert!(node.socket.exists(), "a crash leaves the socket");
    node.restart();
    assert_ne!(fs::read_to_string(node.state.join("lock")).unwrap(), lock);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&node.socket), 0o600);
    assert_eq!(mode(&node.state), 0o700);
    assert_eq!(mode(&node.state.join("state.redb")), 0o600);
}

#[test]
fn killed_at_any_time_it_stays_who_it_was() {
    let mut node = Daemon::prepared("node1");
    let mut ids = Vec::new();
    for round in 0..10 {
        node.restart();
        let said = node.daust(&["-j", "list"]);
        let own: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        ids.push(own["id"].as_str().unwrap().to_string());
        std::thread::sleep(std::time::Duration::from_millis(round * 7));
        node.kill();
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(!node.log().contains("damaged"), "{}", node.log());
}

#[test]
fn a_damaged_state_is_put_aside() {
    let mut node = Daemon::start("node1");
    node.daust(&["stop"]).expect_out("stopped\n");
    node.wait_end();
    fs::write(node.state.join("state.redb"), "no database").unwrap();
    node.restart();
    let aside = node.state.join("state.redb.damaged-1");
    assert_eq!(fs::read_to_string(&aside).unwrap(), "no database");
    wait_until("a line about it", || {
        let log = node.log();
        log.contains("was damaged").then_some(()).ok_or(log)
    });
}

/// Relative paths are those of the place it was typed in, after a SIGHUP too; what a running daemon
/// can not change is said.
#[test]
fn hangup_reads_the_configuration_again() {
    let node = Daemon::prepared("node1");
    let home = common::fresh_address();
    let configure = |text: &str| fs::write(node.path("conf"), text).unwrap();
    configure("timeout = 100\n");
    let mut command = node.command();
    command.args(["-d", "-c", "conf", "-l", "log"]).current_dir(node.path(""));
    assert_eq!(Said::from(command.output().unwrap()), good());
    let log = |wanted: &str| {
        wait_until(&format!("'{wanted}' in the log"), || {
            let log = fs::read_to_string(node.path("log")).unwrap();
            log.contains(wanted).then_some(()).ok_or(log)
        });
    };
    let hang_up = || {
        let pid = fs::read_to_string(node.state.join("lock")).unwrap();
        assert!(Command::new("kill").args(["-HUP", pid.trim()]).status().unwrap().success());
    };
    let mut other = Daemon::prepared("node2");
    other.address = home;
    other.restart();
    configure(&format!("timeout = 200\nport = 5050\nkeynode = '{home}'\niface = 'no-such'\n"));
    hang_up();
    log("configuration and log opened again");
    log("restart daustd to use what changed of port, timeout");
    log("the interface stays as it was: there is no interface `no-such`");
    // The new home is phoned.
    wait_until("node2 in the list", || {
        let said = node.daust(&["list"]);
        said.out.contains("node2: ").then_some(()).ok_or(said.out)
    });
    configure("keynodes = 1\n");
    hang_up();
    log("the configuration stays as it was: can not read ");
    configure("logfile = '/nonexistent/log'\n");
    node.daust(&["ping"]).expect_out("pong\n");
    node.daust(&["stop"]).expect_out("stopped\n");
}

/// A terminal that was stopped with ^S, or a pipe nobody reads.
#[test]
fn a_stuck_terminal_holds_up_nothing() {
    let (terminal, mut full) = std::io::pipe().unwrap();
    let filler = Command::new("timeout")
        .args(["1", "cat", "/dev/zero"])
        .stdout(full.try_clone().unwrap())
        .status();
    assert!(filler.is_ok());
    let node = Daemon::prepared("node1");
    let mut command = node.command();
    command.args(["-v", "-v"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(full.try_clone().unwrap()).spawn().unwrap();
    node.wait_answers();
    for _ in 0..20 {
        node.daust(&["ping"]).expect_out("pong\n");
    }
    node.daust(&["stop"]).expect_out("stopped\n");
    wait_until("the end", || child.try_wait().unwrap().ok_or("it still runs"));
    let _ = full.flush();
    drop(terminal);
}

/// Where the disk is full it goes on and says so; where it has room again nothing is missing.
#[test]
fn a_full_disk() {
    if !machine::available() {
        return;
    }
    let machine = Machine::new("disk");
    machine.must("mount -t tmpfs -o size=4m tmpfs /var/lib");
    machine.start("-b 127.0.0.1");
    machine.must("daustd -d -n other -b 127.0.0.2 -S /run/other -s /run/other.sock -l /run/log2");
    machine.run("cat /dev/zero >/var/lib/fill");
    machine.must("daust remote 127.0.0.2 ping");
    wait_log(&machine, "can not write /var/lib/daust/state.redb");
    wait_log(&machine, "cannot keep what is known, going on without");
    machine.must("daust remote other ping && rm /var/lib/fill");
    wait_log(&machine, "kept what could not be kept before");
    machine.must("kill -KILL $(cat /var/lib/daust/lock) && daust -s /run/other.sock stop");
    machine.start("-b 127.0.0.1");
    let list = machine.must("daust list");
    assert!(list.lines().count() == 2 && list.contains("\nother: "), "{list}");
}

/// Nothing can be written at the start: it starts, and says so to whoever starts it.
#[test]
fn a_disk_that_takes_nothing() {
    if !machine::available() {
        return;
    }
    let full = "mount -t tmpfs -o size=64k tmpfs /var/lib && cat /dev/zero >/var/lib/fill";
    let read_only = "mount -t tmpfs -o ro tmpfs /var/lib";
    for (prepare, why) in [(full, "No space left"), (read_only, "Read-only file system")] {
        let machine = Machine::new("disk");
        machine.run(prepare);
        let said = machine.run("daustd -d -l /run/log");
        let sentence = "daustd: nothing is kept in /var/lib/daust: ";
        assert!(said.status == 0 && said.err.starts_with(sentence), "{said:?}");
        assert!(said.err.contains(why) && said.err.contains("-S DIR"), "{said:?}");
        assert_eq!(machine.must("daust ping"), "pong\n");
    }
}

/// A limit of the shell it was typed in is as good as a full disk.
#[test]
fn a_limit_of_file_sizes() {
    let mut node = Daemon::prepared("node1");
    let typed = node.command();
    let line: Vec<&str> = typed.get_args().map(|word| word.to_str().unwrap()).collect();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 1; exec \"$@\"", "sh", common::DAUSTD]).args(line);
    node.run(&mut command);
    assert!(node.log().contains("nothing is kept in "), "{}", node.log());
    node.daust(&["stop"]).expect_out("stopped\n");
    assert_eq!(node.wait_end(), 0);
}

/// Whoever names a pipe gets what it says, or a sentence, and no daemon that waits for ever.
#[test]
fn pipes_in_place_of_files() {
    let node = Daemon::prepared("node1");
    let pipe = node.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let refused = said(&node, &["-d", "-l", pipe]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("can not open the log file"), "{refused:?}");
    let log = node.path("log");
    assert_eq!(said(&node, &["-d", "-c", pipe, "-l", log.to_str().unwrap()]), good());
    node.daust(&["stop"]).expect_out("stopped\n");
}

fn wait_log(machine: &Machine, wanted: &str) {
    wait_until(&format!("'{wanted}' in the log"), || {
        let log = machine.must("cat /run/log");
        log.contains(wanted).then_some(()).ok_or(log)
    });
}

#[test]
fn the_socket_is_its_group_s_where_there_is_one() {
    if !machine::available() {
        return;
    }
    let machine = Machine::new("group");
    let modes = "stat -c '%a %g' /run/daust /run/daust/daust.sock";
    machine.start("");
    assert_eq!(machine.must(modes), "700 0\n600 0\n");
    machine.must("daust stop && while test -e /run/daust/daust.sock; do sleep 0.1; done");
    machine.must("echo daust:x:4711: >/run/group && mount --bind /run/group /etc/group");
    machine.must("rmdir /run/daust");
    machine.start("");
    assert_eq!(machine.must(modes), "750 4711\n660 4711\n");
}

/// The socket of syslog goes and comes, as when syslogd is restarted: what is lost meanwhile is
/// counted, and it goes on.
#[test]
fn syslog_is_restarted() {
    if !machine::available() || UnixDatagram::unbound().unwrap().connect("/dev/log").is_ok() {
        return;
    }
    let machine = Machine::new("syslog");
    let path = machine.path("/run/syslog");
    let start = || {
        let _ = fs::remove_file(&path);
        let syslog = UnixDatagram::bind(&path).unwrap();
        syslog.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        syslog
    };
    let heard = |syslog: &UnixDatagram, wanted: &str| {
        // Of ten streams of one source that prove nothing two are refused, and logged.
        let streams = "for i in 1 2 3 4 5 6 7 8 9 10; do exec {fd}<>/dev/tcp/127.0.0.1/4040; done";
        wait_until(&format!("'{wanted}' in syslog"), || {
            let mut buffer = [0; 2_048];
            match syslog.recv(&mut buffer) {
                Ok(length) => {
                    let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    line.contains(wanted).then_some(()).ok_or(line)
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    machine.must(&format!("bash -c '{streams}'"));
                    Err("nothing".to_string())
                }
                Err(e) => Err(e.to_string()),
            }
        });
    };
    let syslog = start();
    assert_eq!(machine.must("daustd -d 2>&1"), "");
    heard(&syslog, "on port 4040");
    drop(syslog);
    machine
        .must("bash -c 'for i in 1 2 3 4 5 6 7 8 9; do exec {fd}<>/dev/tcp/127.0.0.1/4040; done'");
    let syslog = start();
    heard(&syslog, "lines were lost");
    heard(&syslog, "unproved streams a source");
}

/// The fields of a process's status that say what it may do.
fn status(node: &Daemon, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{field}:"))).unwrap();
    line.split_once(':').unwrap().1.split_whitespace().next().unwrap().to_string()
}

#[test]
fn root_gives_up_its_rights_and_becomes_the_owner_of_its_state() {
    if !nix::unistd::geteuid().is_root() {
        return println!("SKIPPED: only root can");
    }
    let plain = Daemon::start("node1");
    let mut owned = Daemon::prepared("node2");
    let other = Some(12_345);
    fs::create_dir_all(&owned.state).unwrap();
    std::os::unix::fs::chown(&owned.state, other, other).unwrap();
    owned.socket = owned.path("run/daust.sock");
    let log = owned.path("log");
    owned.run(owned.command().arg("-l").arg(&log));
    owned.wait_answers();
    for (node, user) in [(&plain, "0"), (&owned, "12345")] {
        assert_eq!(status(node, "Uid"), user);
        assert_eq!(status(node, "NoNewPrivs"), "1");
        for rights in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
            assert_eq!(status(node, rights), "0000000000000000", "{rights}");
        }
    }
    for path in [&log, &owned.socket, &owned.state.join("state.redb")] {
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap()), 12_345);
    }
    // Its log is opened again by the user it became.
    owned.signal("-HUP");
    wait_until("the log to be opened again", || match fs::read_to_string(&log).unwrap() {
        text if text.contains("opened again") => Ok(()),
        text => Err(text),
    });
}

/// Only where systemd is.
#[test]
fn the_unit_is_sound() {
    let root = env!("CARGO_MANIFEST_DIR");
    let unit = fs::read_to_string(format!("{root}/systemd/daustd.service.in")).unwrap();
    let programs = Path::new(common::DAUSTD).parent().unwrap().to_str().unwrap();
    let node = Daemon::prepared("unit");
    let path = node.path("daustd.service");
    fs::write(&path, unit.replace("@sbindir@", programs)).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let Ok(output) = verify.args(["verify", "--man=no"]).arg(&path).output() else { return };
    let said = Said::from(output);
    let of_ours: Vec<&str> =
        said.err.lines().filter(|line| line.contains("daustd.service")).collect();
    assert!(of_ours.is_empty(), "{of_ours:#?}");
}
