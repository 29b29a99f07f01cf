"""Herds of real daemons on the loopback addresses of this namespace: `Herd` runs daustd, `Serf`
runs `serf agent`, both with the same verbs. What each node says is read as it comes, with the time."""

import base64
import json
import os
import re
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import cbor

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILT = os.environ.get("BENCH_BUILT", os.path.join(REPOSITORY, "target", "release"))
SERF_KEY = base64.b64encode(bytes(range(32))).decode()
PATIENCE_S = 60
START_S = 20
MESSAGE_S = 10


def name(number):
    return f"n{number:03}"


def address(number):
    return f"127.0.1.{number}"


class Group:
    """Nodes of one program. `alive[n]` is whom node n holds to be alive, itself included;
    `events` is all that any of them said: time, observer, kind, subject."""

    def __init__(self, size):
        self.size = size
        self.directory = tempfile.mkdtemp(prefix=f"bench-{self.program}-")
        self.processes, self.alive, self.events = {}, {}, []
        self.moved = {}
        self.selector = selectors.DefaultSelector()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for number in list(self.processes):
            self.kill(number)
        shutil.rmtree(self.directory)

    def address(self, number):
        return self.moved.get(number, address(number))

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def start_all(self):
        """Node 1 answers, then all others at once. Seconds from the last start until all views
        are whole, and from the first; None where they do not get whole."""
        self.start([1])
        first = time.monotonic()
        self.start(range(2, self.size + 1))
        last = time.monotonic()
        whole = self.wait(self.is_whole, PATIENCE_S)
        return (whole - last, whole - first) if whole else (None, None)

    def start(self, numbers):
        for number in numbers:
            self.spawn(number)
        for number in numbers:
            self.attach(number)

    def spawn(self, number):
        self.alive[number] = set()
        with open(self.path(f"{number}.log"), "ab") as log:
            self.processes[number] = subprocess.Popen(
                self.command(number), stdin=subprocess.DEVNULL, stdout=self.output(log), stderr=log
            )

    def pids(self):
        return [process.pid for process in self.processes.values()]

    def signal(self, number, which):
        self.processes[number].send_signal(which)

    def kill(self, number):
        """The time of the kill; the node is no longer one of ours."""
        process = self.processes.pop(number)
        now = time.monotonic()
        process.kill()
        process.send_signal(signal.SIGCONT)
        process.wait()
        self.detach(number, process)
        del self.alive[number]
        return now

    def count_listed(self, number):
        """How many the member list has, whatever their state."""
        return len(subprocess.run(self.list_words(number), capture_output=True).stdout.splitlines())

    def is_whole(self):
        return all(len(seen) == len(self.processes) for seen in self.alive.values())

    def sees(self, kind, subject, observers):
        """Whether all observers hold the subject to be alive ("up") or not ("down")."""
        wanted = kind == "up"
        return lambda: all((subject in self.alive[one]) == wanted for one in observers)

    def note(self, at, observer, kind, subject):
        self.events.append((at, observer, kind, subject))
        if kind == "up":
            self.alive[observer].add(subject)
        elif kind in ("down", "left"):
            self.alive[observer].discard(subject)

    def since(self, start, kind, subject=None):
        """Events of a kind since a time: (time, observer, subject)."""
        found = []
        for at, observer, what, whom in reversed(self.events):
            if at < start:
                break
            if what == kind and subject in (None, whom):
                found.append((at, observer, whom))
        return found[::-1]

    def wait(self, condition, seconds):
        """Reads until the condition holds; the time of what made it so, or None."""
        end = time.monotonic() + seconds
        last = time.monotonic()
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return None
            last = self.read(left) or last
        return last

    def pump(self, seconds):
        self.wait(lambda: False, seconds)

    def read(self, seconds):
        """Takes in what is there now; the time when it was."""
        ready = self.selector.select(seconds)
        now = time.monotonic()
        for key, _ in ready:
            source = key.data
            chunk = os.read(key.fd, 1 << 16)
            if not chunk:
                self.selector.unregister(key.fileobj)
            source.buffer += chunk
            self.decode(now, source)
        return now if ready else None


class Source:
    """What one node says: a connection or a pipe, and what of it is not decoded yet."""

    def __init__(self, number, file):
        self.number, self.file, self.buffer = number, file, b""


class Herd(Group):
    program = "daustd"
    UPDATES = {0: "up", 1: "suspect", 2: "down", 3: "left", 4: "route", 5: "stale"}
    WATCH, LIST = 7, 1
    # `ping_all` asks twice: on the control socket and by the command line.
    ASKS = 2

    def __init__(self, size, homes=True, keyed=False):
        super().__init__(size)
        self.homes, self.keyed, self.sources, self.parts = homes, keyed, {}, []
        for tool in ("daust", "daustd"):
            if not os.path.exists(self.tool(tool)):
                raise SystemExit(f"no {self.tool(tool)}: run 'make' first")
        if keyed:
            words = [self.tool("daust"), "key", "new", self.path("key")]
            subprocess.run(words, capture_output=True, check=True)

    @staticmethod
    def tool(tool):
        return os.path.join(BUILT, tool)

    @staticmethod
    def version():
        return subprocess.run([Herd.tool("daustd"), "-V"], capture_output=True, text=True).stdout.split("\n")[0]

    def command(self, number):
        words = [self.tool("daustd"), "-n", name(number), "-b", self.address(number)]
        words += ["-S", self.path(f"state{number}"), "-s", self.path(f"{number}.socket")]
        words += ["--key-file", self.path("key")] if self.keyed else []
        return words + (["-k", address(1)] if self.homes and number != 1 else [])

    def output(self, _):
        return subprocess.DEVNULL

    def attach(self, number):
        connection = self.connect(number)
        self.sources[number] = Source(number, connection)
        self.selector.register(connection, selectors.EVENT_READ, self.sources[number])
        # First the news, then the list: nothing can fall between.
        self.request(connection, 0, self.WATCH)
        self.request(connection, 1, self.LIST)
        if not self.homes and number != 1:
            self.run(number, "remote", address(1), "ping")

    def connect(self, number):
        end = time.monotonic() + START_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self.path(f"{number}.socket"))
                return connection
            except OSError:
                connection.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.001)

    @staticmethod
    def request(connection, number, command, scope=0, timeout_ms=0):
        body = cbor.write([number, [scope, []], [command, []], timeout_ms])
        connection.sendall(struct.pack(">I", len(body)) + body)

    def detach(self, number, _):
        connection = self.sources.pop(number).file
        if connection.fileno() in self.selector.get_map():
            self.selector.unregister(connection)
        connection.close()

    def decode(self, now, source):
        data, at = source.buffer, 0
        while len(data) - at >= 4:
            length = struct.unpack_from(">I", data, at)[0]
            if len(data) - at - 4 < length:
                break
            part, _ = cbor.read(data, at + 4)
            self.part(now, source.number, part)
            at += 4 + length
        source.buffer = data[at:]

    def part(self, now, observer, part):
        kind, fields = part[3]
        if part[0] == 0 and kind == 7:
            event = fields[0]
            self.note(now, observer, self.UPDATES[event[0]], event[1])
        elif part[0] == 1 and kind == 1:
            for node in fields[0]:
                self.note(now, observer, "up" if node[5] < 2 else "down", node[1])
        else:
            self.parts.append((now, part))

    def words(self, number, *words):
        return [self.tool("daust"), "-s", self.path(f"{number}.socket"), *words]

    def run(self, number, *words):
        return subprocess.run(self.words(number, *words), capture_output=True, text=True)

    def list_words(self, number):
        return self.words(number, "list")

    def oldest_age_s(self, number):
        """The oldest age at which a node shows any living one."""
        lines = self.run(number, "-j", "list").stdout.splitlines()
        nodes = [node for node in map(json.loads, lines) if node["type"] == "node"]
        return max(node["last_seen_ms"] for node in nodes if node["state"] == "alive") / 1000

    def ask_all(self, number):
        """`all ping` on the control socket: when each answer came."""
        self.parts = []
        self.request(self.sources[number].file, 2, 0, scope=2)
        self.wait(lambda: self.parts and self.parts[-1][1][5], PATIENCE_S)
        return [at for at, part in self.parts if part[3][0] == 0]

    def tell_all(self, number, _):
        """Seconds until all were reached, and how many were not. There is no verb for a message
        yet: a ping takes the same way, and its answers the way back as well."""
        start = time.monotonic()
        answers = self.ask_all(number)
        return max(answers, default=start) - start, self.size - len(answers)

    def ping_all(self, number):
        """`daust all ping`: seconds until the last answer came, until the command returned, and
        how many answered the command."""
        start = time.monotonic()
        last = max(self.ask_all(number), default=start) - start
        start = time.monotonic()
        answered = self.run(number, "all", "ping").stdout.count("pong")
        return last, time.monotonic() - start, answered


class Serf(Group):
    program = "serf"
    ASKS = 1
    EVENTS = {"Join": "up", "Failed": "down", "Leave": "left", "Reap": "left"}
    LINE = re.compile(rb"EventMember(Join|Failed|Leave|Reap): (\S+)|Received event: user-event: (\S+)")

    def __init__(self, size, encrypt=True):
        super().__init__(size)
        self.encrypt = encrypt

    @staticmethod
    def version():
        text = subprocess.run(["serf", "version"], capture_output=True, text=True).stdout
        return "serf " + text.split("\n")[0].replace("Serf v", "")

    def rpc(self, number):
        return f"{self.address(number)}:7373"

    def command(self, number):
        words = ["serf", "agent", f"-node={name(number)}", f"-bind={self.address(number)}:7946"]
        words += [f"-rpc-addr={self.rpc(number)}"]
        words += [f"-encrypt={SERF_KEY}"] if self.encrypt else []
        return words + ([f"-retry-join={address(1)}"] if number != 1 else [])

    def output(self, _):
        return subprocess.PIPE

    def attach(self, number):
        pipe = self.processes[number].stdout
        os.set_blocking(pipe.fileno(), False)
        self.selector.register(pipe, selectors.EVENT_READ, Source(number, pipe))
        if number == 1:
            self.wait(lambda: name(1) in self.alive[1], START_S)
            self.answers(1)

    def answers(self, number):
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.run(number, "members").returncode:
            time.sleep(0.01)

    def detach(self, _, process):
        if process.stdout.fileno() in self.selector.get_map():
            self.selector.unregister(process.stdout)
        process.stdout.close()

    def decode(self, now, source):
        lines, newline, source.buffer = source.buffer.rpartition(b"\n")
        for kind, subject, event in self.LINE.findall(lines + newline):
            if event:
                self.note(now, source.number, "message", event.decode())
            else:
                self.note(now, source.number, self.EVENTS[kind.decode()], subject.decode())

    def run(self, number, *words):
        words = ["serf", words[0], f"-rpc-addr={self.rpc(number)}", *words[1:]]
        return subprocess.run(words, capture_output=True, text=True)

    def list_words(self, number):
        return ["serf", "members", f"-rpc-addr={self.rpc(number)}"]

    def tell_all(self, number, text):
        """An event: seconds until the last node received it, and how many did not."""
        start = time.monotonic()
        self.run(number, "event", "-coalesce=false", text)
        received = lambda: len(self.since(start, "message", text)) >= self.size
        last = self.wait(received, MESSAGE_S)
        return last and last - start, self.size - len(self.since(start, "message", text))

    def ping_all(self, number):
        """`serf reachability`: the same three figures."""
        start = last = time.monotonic()
        words = ["serf", "reachability", f"-rpc-addr={self.rpc(number)}", "-verbose"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        answered = 0
        for line in process.stdout:
            if line.lstrip().startswith(b"Ack from"):
                last, answered = time.monotonic(), answered + 1
        process.wait()
        return last - start, time.monotonic() - start, answered
