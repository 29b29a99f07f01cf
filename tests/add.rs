//! `daust add` and `daust remove` against a real sshd in a machine of namespaces with a file system of
//! its own. Root, namespaces and sshd; says SKIPPED otherwise.

mod common;

use common::machine::{Machine, available, cable};
use common::{Said, wait_until};
use std::path::Path;

const SSHD: &str = "/usr/sbin/sshd";

/// A machine with a daustd, and one with nothing but sshd: 10.0.0.1 and 10.0.0.2.
struct World {
    home: Machine,
    target: Machine,
}

fn may() -> bool {
    let sshd = Path::new(SSHD).exists();
    if !sshd {
        eprintln!("SKIPPED: `daust add` is tried with sshd: ./bootstrap as root installs it");
    }
    sshd && available()
}

/// What the target may write is not this machine's.
const OF_ITS_OWN: &str = "set -e
    for place in /usr/local /root /var/log; do mount -t tmpfs tmpfs $place; done
    mkdir -p /run/over/upper /run/over/work /run/sshd /run/ssh /usr/local/bin
    mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/over/upper,workdir=/run/over/work /etc
    useradd -m -d /run/joe joe && usermod -p '*' joe
    ssh-keygen -q -t ed25519 -N '' -f /run/ssh/host_key
    cat >/run/ssh/config <<END
HostKey /run/ssh/host_key
AuthorizedKeysFile /run/ssh/%u.keys
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication yes
PidFile /run/ssh/pid
END";

/// The person's own ssh, whose files are in a home of the test.
const PERSON: &str = "set -e
    mkdir -p /run/person/.ssh /run/bin
    ssh-keygen -q -t ed25519 -N '' -f /run/person/.ssh/id
    cat >/run/person/.ssh/config <<END
IdentityFile /run/person/.ssh/id
IdentitiesOnly yes
UserKnownHostsFile /run/person/.ssh/known_hosts
GlobalKnownHostsFile none
Host box
    HostName 10.0.0.2
    User root
END
    printf '#!/bin/sh\\nexec /usr/bin/ssh -F /run/person/.ssh/config \"$@\"\\n' >/run/bin/ssh
    chmod 755 /run/bin/ssh
    cat /run/person/.ssh/id.pub";

impl World {
    fn new() -> World {
        let (home, target) = (Machine::new("home"), Machine::new("target"));
        cable((&home, "eth0"), (&target, "eth0"));
        home.add_address("eth0", "10.0.0.1/24");
        target.add_address("eth0", "10.0.0.2/24");
        let key = home.must(PERSON);
        target.must(OF_ITS_OWN);
        target.must(&format!("echo '{}' >/run/ssh/root.keys", key.trim()));
        target.must(&format!("{SSHD} -f /run/ssh/config"));
        let host_key = target.must("cat /run/ssh/host_key.pub");
        home.must(&format!("echo '10.0.0.2 {}' >/run/person/.ssh/known_hosts", host_key.trim()));
        let world = World { home, target };
        world.let_in("joe");
        world
    }

    fn let_in(&self, user: &str) {
        self.target.must(&format!("cp /run/ssh/root.keys /run/ssh/{user}.keys"));
    }

    fn daust(&self, words: &str) -> Said {
        self.home.run(&format!("PATH=/run/bin:$PATH HOME=/run/person daust {words}"))
    }

    /// It failed with this sentence, and there is nothing of it on the target.
    fn fails(&self, words: &str, part: &str) {
        let said = self.daust(words);
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{said:#?}");
        assert!(said.err.contains(part), "{part}: {said:#?}");
        self.wait_nothing_there();
    }

    /// What the target has of us: files, and processes.
    fn left_overs(&self) -> String {
        self.target.must(
            "find /usr/local /root /run/joe /var/lib /var/log /etc/daust /etc/systemd/system \
             \\( -name '*daust*' -o -name herd \\) 2>/dev/null; pidof daustd || true",
        )
    }

    fn wait_nothing_there(&self) {
        wait_until("nothing to be left on the target", || {
            let left = self.left_overs();
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }

    /// Nothing of herd's gets from one to the other.
    fn cut(&self) {
        self.target.disturb("eth0", "ip protocol udp drop");
    }
}

const MEMBERS: &str = "home: internal ip 10.0.0.1, public ip N/A, last seen N seconds ago\n\
                       target: internal ip 10.0.0.2, public ip N/A, last seen N seconds ago\n";

#[test]
fn a_machine_is_added_again_and_removed() {
    if !may() {
        return;
    }
    let world = World::new();
    // No daustd runs at home yet: it is started.
    let said = world.daust("add root@10.0.0.2");
    assert_eq!(said.status, 0, "{said:#?}");
    assert_eq!(said.out, "root@10.0.0.2: target is a member now\n");
    for step in ["daustd is started", "copying", "starting daustd", "waiting until it is a member"]
    {
        assert!(said.err.contains(step), "{step}: {said:#?}");
    }
    world.home.wait_says("list", MEMBERS);
    let files = world.left_overs();
    assert!(!files.contains("daust-add"), "{files}");
    let keynode = world.target.must("grep keynode /etc/daust/daustd.toml");
    assert_eq!(keynode, "keynode = [\"10.0.0.1:4040\"]\n");
    world
        .target
        .must("cmp $(command -v daustd) /usr/local/sbin/daustd && /usr/local/bin/herd ping");

    // By another name of it, and in JSON.
    let pid = world.target.must("pidof daustd");
    let said = world.daust("add box");
    assert_eq!(said.out, "box: target is a member already, nothing is changed\n", "{said:#?}");
    let said = world.daust("-j add box");
    assert!(said.out.contains("\"changed\":false") && said.out.contains("\"host\":\"box\""));
    assert_eq!(world.target.must("pidof daustd"), pid);

    // An older program there is replaced, and its node stays the same.
    let id = world.target.must("/usr/local/bin/daust -j ping");
    world.target.must("cd /usr/local/sbin && cp daustd x && printf x >>x && mv x daustd");
    let said = world.daust("add box");
    assert_eq!(said.out, "box: target is a member now\n", "{said:#?}");
    world.target.must("cmp $(command -v daustd) /usr/local/sbin/daustd");
    let field = |text: &str| text.split("from_id").nth(1).map(|text| text[..20].to_string());
    assert_eq!(field(&world.target.must("/usr/local/bin/daust -j ping")), field(&id));

    let said = world.daust("remove box");
    assert_eq!(said.out, "box: target is removed and forgotten\n", "{said:#?}");
    world.wait_nothing_there();
    world.home.wait_says("list", MEMBERS.split_inclusive('\n').next().unwrap());
    world.fails("remove box", "nothing that daust add put there");
}

#[test]
fn a_keyed_herd_hands_its_key_over() {
    if !may() {
        return;
    }
    let world = World::new();
    world.home.must("daust key new");
    world.home.start("");
    let said = world.daust("add box");
    assert_eq!(said.out, "box: target is a member now\n", "{said:#?}");
    world.home.wait_says("list", MEMBERS);
    assert_eq!(world.target.must("stat -c %a /var/lib/daust/key"), "600\n");
    let fingerprint = |machine: &Machine| {
        let list = machine.must("daust key list");
        list.split(',').next().map(String::from)
    };
    assert_eq!(fingerprint(&world.target), fingerprint(&world.home));
}

/// Stands for systemd: writes down what it is asked, and starts the unit's program as its user.
const PLAYED: &str = "userdel daust 2>/dev/null; groupdel daust 2>/dev/null
mkdir -p /run/systemd/system && cat >/usr/local/bin/systemctl <<'END'
#!/bin/sh
echo $* >>/run/asked
halt() { /usr/local/bin/daust stop; while pidof daustd; do sleep 0.1; done; }
case $1 in
restart)
    halt
    install -d -o daust -g daust /run/daust
    export DAUST_SOCKET=/run/daust/daust.sock DAUST_STATE_DIR=/var/lib/daust
    exec setpriv --reuid daust --regid daust --init-groups /usr/local/sbin/daustd -d ;;
stop | disable) halt ;;
esac >/dev/null 2>&1
exit 0
END
chmod 755 /usr/local/bin/systemctl";

#[test]
fn where_systemd_runs_it_gets_a_unit_and_its_user() {
    if !may() {
        return;
    }
    let world = World::new();
    world.target.must(PLAYED);
    world.home.must("daust key new");
    world.home.start("");
    let said = world.daust("add box");
    assert_eq!(said.out, "box: target is a member now\n", "{said:#?}");
    let unit = world.target.must("grep -e ^ExecStart -e ^User /etc/systemd/system/daustd.service");
    assert_eq!(unit, "ExecStart=/usr/local/sbin/daustd\nUser=daust\n");
    assert_eq!(world.target.must("stat -c '%U %a' /var/lib/daust/key"), "daust 600\n");
    let asked = world.target.must("grep -v list-units /run/asked");
    let expected = ["daemon-reload", "enable daustd.service", "restart daustd.service"];
    assert_eq!(asked.lines().collect::<Vec<_>>(), expected);
    let said = world.daust("add box");
    assert!(said.out.ends_with("nothing is changed\n"), "{said:#?}");

    world.target.must("rm /run/asked");
    let said = world.daust("remove box");
    assert_eq!(said.out, "box: target is removed and forgotten\n", "{said:#?}");
    let asked = world.target.must("grep -v list-units /run/asked");
    assert_eq!(asked, "disable --now daustd.service\ndaemon-reload\n");
    world.wait_nothing_there();
    assert_ne!(world.target.run("id daust").status, 0);
}

#[test]
fn without_root_it_goes_below_the_home_directory() {
    if !may() {
        return;
    }
    let world = World::new();
    world.home.start("");
    world.fails("add joe@10.0.0.2", "check: you are not root there");
    let said = world.daust("add --user joe@10.0.0.2");
    assert_eq!(said.out, "joe@10.0.0.2: target is a member now\n", "{said:#?}");
    let files = world.left_overs();
    let outside = |line: &&str| line.starts_with('/') && !line.starts_with("/run/joe/");
    assert_eq!(files.lines().find(outside), None);
    assert_eq!(world.target.must("ps -o user= -p $(pidof daustd)"), "joe\n");
    let said = world.daust("add --user joe@10.0.0.2");
    assert!(said.out.ends_with("nothing is changed\n"), "{said:#?}");
    let said = world.daust("remove --user joe@10.0.0.2");
    assert_eq!(said.out, "joe@10.0.0.2: target is removed and forgotten\n", "{said:#?}");
    world.wait_nothing_there();
}

#[test]
fn what_ssh_refuses_is_said_with_the_way_out() {
    if !may() {
        return;
    }
    let world = World::new();
    world.home.start("");
    world.target.must("rm /run/ssh/joe.keys");
    world.fails("add --user joe@10.0.0.2", "type `ssh-copy-id joe@10.0.0.2` once");
    world.fails("add 10.0.0.3:4", "look: ssh: connect to host 10.0.0.3 port 4");
    let known = "/run/person/.ssh/known_hosts";
    world.home.must(&format!("mv {known} {known}.old"));
    world.fails("add box", "its host key is not known yet: type `ssh box`");
    world
        .home
        .must(&format!("echo \"10.0.0.2 $(cut -d' ' -f1,2 /run/person/.ssh/id.pub)\" >{known}"));
    world.fails("add box", "its host key is another one than known_hosts says");
    world.fails("add -- -oProxyCommand=false", "a name that begins with - is refused");
}

#[test]
fn another_kind_of_machine_gets_its_own_programs() {
    if !may() {
        return;
    }
    let world = World::new();
    world.home.start("");
    world.target.must(
        "printf '#!/bin/sh\\n[ \"$*\" != -m ] || { echo vax; exit; }\\nexec /bin/uname \"$@\"\\n' \
         >/usr/local/bin/uname && chmod 755 /usr/local/bin/uname",
    );
    world.fails("add box", "programs: it is a machine of kind vax, and these programs are for ");
    world.fails("add --builds /run/builds box", "/run/builds/vax/daust: No such file");
    world
        .home
        .must("mkdir -p /run/builds/vax && cd /run/builds/vax && echo x >daust && echo x >daustd");
    world.fails("add --builds /run/builds box", "try: the programs do not run there");
    world.home.must("cd /run/builds/vax && cp $(command -v daust) $(command -v daustd) .");
    let said = world.daust("add --builds /run/builds box");
    assert_eq!(said.out, "box: target is a member now\n", "{said:#?}");
}

#[test]
fn without_space_nothing_is_left() {
    if !may() {
        return;
    }
    let world = World::new();
    world.home.start("");
    world.target.must("umount /usr/local && mount -t tmpfs -o size=1m tmpfs /usr/local");
    world.fails("add box", "copy: can not write daust");
    world.target.must("mount -o remount,size=1g /usr/local");
    let said = world.daust("add box");
    assert_eq!(said.out, "box: target is a member now\n", "{said:#?}");
}

#[test]
fn killed_in_the_middle_it_is_undone_there() {
    if !may() {
        return;
    }
    let world = World::new();
    world.home.start("");
    world.cut();
    world.home.must(
        "PATH=/run/bin:$PATH HOME=/run/person setsid daust add box >/run/said 2>&1 & \
         echo $! >/run/pid",
    );
    wait_until("it to wait for the member", || {
        let said = world.home.must("cat /run/said");
        said.contains("waiting until it is a member").then_some(()).ok_or(said)
    });
    assert!(world.left_overs().contains("/usr/local/sbin/daustd"));
    world.home.must("kill -KILL $(cat /run/pid)");
    world.wait_nothing_there();
    world.target.undisturb();
    let said = world.daust("add box");
    assert_eq!(said.out, "box: target is a member now\n", "{said:#?}");
}

#[test]
fn several_at_once_and_each_has_its_own_end() {
    if !may() {
        return;
    }
    let world = World::new();
    world.home.start("");
    let said = world.daust("add box 10.0.0.3:4 joe@10.0.0.2");
    assert_eq!(said.status, 1, "{said:#?}");
    assert_eq!(said.out, "box: target is a member now\n", "{said:#?}");
    for part in ["10.0.0.3:4: look: ", "joe@10.0.0.2: check: you are not root there"] {
        assert!(said.err.contains(part), "{said:#?}");
    }
    let said = world.daust("add box box");
    assert!(said.err.contains("box is named twice"), "{said:#?}");
}
