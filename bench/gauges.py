"""What processes and wires cost: read from /proc and from nft counters of this namespace."""

import json
import os
import re
import signal
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()

RULES = """
table inet bench {
  counter udp_home { }
  counter udp_other { }
  counter stream { }
  counter refused { }
  chain count {
    type filter hook output priority 0;
    tcp dport 7373 accept
    tcp sport 7373 accept
    meta l4proto udp ip saddr 127.0.1.1 counter name udp_home accept
    meta l4proto udp ip daddr 127.0.1.1 counter name udp_home accept
    meta l4proto udp counter name udp_other accept
    meta l4proto tcp counter name stream accept
    meta l4proto icmp counter name refused accept
  }
  chain faults {
    type filter hook input priority 0;
  }
}
"""


def nft(script):
    subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True)


def enter_namespace():
    """Runs this program again in namespaces of its own: what it starts ends with it. There: the
    loopback device up, the counters in place."""
    if os.getpid() != 1:
        words = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-B"]
        os.execvp(words[0], words + sys.argv)
    # The first process of a namespace is spared signals that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    nft(RULES)


def faults(*rules):
    """Drops on arrival: a drop on sending would be told to the sender."""
    nft("flush chain inet bench faults\n" + "".join(f"add rule inet bench faults {rule}\n" for rule in rules))


def wire():
    """Bytes and packets sent so far, by counter."""
    said = subprocess.run(["nft", "-j", "list", "counters", "table", "inet", "bench"], capture_output=True)
    found = [entry["counter"] for entry in json.loads(said.stdout)["nftables"] if "counter" in entry]
    return {one["name"]: (one["bytes"], one["packets"]) for one in found}


def _tasks(pid, file):
    texts = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/{file}") as text:
            texts.append(text.read())
    return texts


def cpu_s(pid):
    return sum(int(text.split()[0]) for text in _tasks(pid, "schedstat")) / 1e9


def wakeups(pid):
    """Voluntary context switches of all threads."""
    return sum(int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", text)[1]) for text in _tasks(pid, "status"))


def memory_kib(pid):
    """PSS and RSS."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        text = file.read()
    return tuple(int(re.search(rf"\n{what}:\s*(\d+) kB", text)[1]) for what in ("Pss", "Rss"))


def _machine_s():
    with open("/proc/stat") as file:
        fields = [int(word) for word in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def _ours_s():
    """This tool, those it ran to the end, and those still running."""
    used = sum(os.times()[:4])
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            used += cpu_s(pid) if int(pid) != os.getpid() else 0
        except OSError:
            pass
    return used


class Others:
    """The share of the machine that the work of others took, since it was made."""

    def __init__(self):
        self.start = (time.monotonic(), _machine_s(), _ours_s())

    def share(self):
        wall, machine, ours = self.start
        wall = max(time.monotonic() - wall, 0.01)
        used = _machine_s() - machine - (_ours_s() - ours)
        return max(0.0, min(1.0, used / wall / CORES))


def wait_quiet(seconds):
    """Until others leave most of the machine to us, at most so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        others = Others()
        time.sleep(2)
        if others.share() < 0.15:
            return


class Quota:
    """Processes that share a part of one core, by a cgroup: version 1 or 2, whichever may be written."""

    PERIOD_US = 100_000
    OLD, NEW = "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"

    @classmethod
    def possible(cls):
        return cls._old() or cls._new()

    @classmethod
    def _old(cls):
        return os.access(f"{cls.OLD}/cpu.cfs_quota_us", os.W_OK) or os.access(f"{cls.OLD}/cgroup.procs", os.W_OK)

    @classmethod
    def _new(cls):
        try:
            with open(f"{cls.NEW}/cgroup.subtree_control") as file:
                return "cpu" in file.read() and os.access(f"{cls.NEW}/cgroup.procs", os.W_OK)
        except OSError:
            return False

    def __init__(self, percent, pids):
        self.quota_us, self.pids = self.PERIOD_US * percent // 100, pids
        self.root = self.OLD if self._old() else self.NEW
        self.path = f"{self.root}/bench-{time.time_ns()}"

    def __enter__(self):
        os.mkdir(self.path)
        if self.root == self.OLD:
            self._write("cpu.cfs_period_us", self.PERIOD_US)
            self._write("cpu.cfs_quota_us", self.quota_us)
        else:
            self._write("cpu.max", f"{self.quota_us} {self.PERIOD_US}")
        self._move(self.path)
        return self

    def __exit__(self, *_):
        self._move(self.root)
        os.rmdir(self.path)

    def _write(self, file, value):
        with open(f"{self.path}/{file}", "w") as text:
            text.write(str(value))

    def _move(self, path):
        for pid in self.pids:
            try:
                with open(f"{path}/cgroup.procs", "w") as text:
                    text.write(str(pid))
            except OSError:
                pass  # It ended.
