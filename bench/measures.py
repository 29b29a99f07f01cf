"""The figures of one group of nodes, one after the other, on the same running group."""

import os
import statistics
import subprocess
import time

import gauges
from herds import PATIENCE_S, Herd, address, name

REST_S = 2
SETTLED_S = 25
# A stream that a command opened is closed by then: a death without one is the usual one.
STREAMS_IDLE_S = 65
LOSS_ASKS = 3


def start_ms(make):
    """From the start of a lone daemon until its command line answers."""
    with make(1) as group:
        start = time.monotonic()
        group.spawn(1)
        while subprocess.run(group.list_words(1), capture_output=True).returncode:
            pass
        took = time.monotonic() - start
        group.attach(1)
        return took * 1000


def measure(make, size, plan, found):
    """Starts a group and adds its figures to `found`: figure -> values."""
    others = gauges.Others()
    with make(size) as group:
        joined, _ = group.start_all()
        born = time.monotonic()
        add(found, "join_s", joined)
        if joined is None:
            add(found, "incomplete views", sorted(len(seen) for seen in group.alive.values())[0])
            return
        commands(group, plan, found)
        commanded = time.monotonic()
        group.pump(max(0, SETTLED_S - (time.monotonic() - born)))
        idle(group, plan["idle_s"], found)
        if isinstance(group, Herd):
            last_seen(group, found)
        if isinstance(group, Herd):
            group.pump(max(0, STREAMS_IDLE_S - (time.monotonic() - commanded)))
        for victim in victims(size, plan["kills"]):
            killed(group, victim, found)
        for victim in victims(size, plan["silent"]):
            silent(group, victim, found)
        for percent in plan["loss_percent"]:
            loss(group, percent, plan["loss_s"], found)
    add(found, "others_share", others.share())


def idle_only(make, size, seconds, found):
    with make(size) as group:
        joined, _ = group.start_all()
        group.pump(SETTLED_S)
        idle(group, seconds, found)
        add(found, "join_s", joined)


def sealing(make, size, seconds, commands, found):
    """What a group's seals may cost: idle, and for each command that asks all."""
    with make(size) as group:
        joined, _ = group.start_all()
        add(found, "join_s", joined)
        if joined is None:
            return
        group.pump(SETTLED_S / 2)
        idle(group, seconds, found)
        wire, cpu = gauges.wire(), sum(map(gauges.cpu_s, group.pids()))
        for _ in range(commands):
            add(found, "ping_last_ms", group.ping_all(2)[0] * 1000)
        asked = commands * group.ASKS
        sent = sum(after[0] - wire[key][0] for key, after in gauges.wire().items())
        add(found, "command_bytes", sent / asked)
        add(found, "command_cpu_ms", (sum(map(gauges.cpu_s, group.pids())) - cpu) * 1000 / asked)


def add(found, figure, *values):
    found.setdefault(figure, []).extend(values)


def victims(size, count):
    """Other nodes than the first, spread over the group."""
    return [2 + index * max(1, (size - 2) // max(1, count)) % (size - 1) for index in range(count)]


def commands(group, plan, found):
    """What the command line takes: the list, asking all, telling all."""
    for _ in range(20):
        start = time.monotonic()
        subprocess.run(group.list_words(2), stdout=subprocess.DEVNULL, check=True)
        add(found, "list_ms", (time.monotonic() - start) * 1000)
    for _ in range(plan["asks"][group.program]):
        last_s, returned_s, answered = group.ping_all(2)
        add(found, "ping_last_ms", last_s * 1000)
        add(found, "ping_return_ms", returned_s * 1000)
        add(found, "ping_missing", group.size - answered)
    for number in range(5):
        took, missing = group.tell_all(2, f"message{number}")
        add(found, "message_ms", took and took * 1000)
        add(found, "message_missing", missing)


def idle(group, seconds, found):
    """Bytes, CPU and wake-ups of nodes left alone, memory at the end."""
    pids = group.pids()
    wire, cpu, wakeups = gauges.wire(), sum(map(gauges.cpu_s, pids)), sum(map(gauges.wakeups, pids))
    start = time.monotonic()
    group.pump(seconds)
    after, took = gauges.wire(), time.monotonic() - start
    a_node = len(pids) * took
    sent = {key: (after[key][0] - wire[key][0]) / a_node for key in wire}
    add(found, "idle_bytes", sum(sent.values()))
    add(found, "idle_bytes_home", sent["udp_home"])
    add(found, "idle_bytes_other", sent["udp_other"])
    add(found, "idle_bytes_stream", sent["stream"])
    add(found, "idle_datagrams", sum(after[key][1] - wire[key][1] for key in ("udp_home", "udp_other")) / a_node)
    add(found, "idle_cpu_ms", (sum(map(gauges.cpu_s, pids)) - cpu) * 1000 / a_node)
    add(found, "idle_wakeups", (sum(map(gauges.wakeups, pids)) - wakeups) / a_node)
    pss, rss = zip(*map(gauges.memory_kib, pids))
    add(found, "pss_mib", statistics.mean(pss) / 1024)
    add(found, "rss_mib", statistics.mean(rss) / 1024)


def last_seen(group, found):
    """The oldest age at which any asked node shows any living one."""
    for number in list(group.processes)[:: max(1, group.size // 10)]:
        add(found, "last_seen_s", group.oldest_age_s(number))


def killed(group, victim, found):
    gone = group.kill(victim)
    knows(group, victim, gone, "killed", found)
    back = time.monotonic()
    group.start([victim])
    whole = group.wait(group.is_whole, PATIENCE_S)
    add(found, "rejoin_s", whole and whole - back)
    group.pump(REST_S)


def silent(group, victim, found):
    gauges.faults(f"ip saddr {address(victim)} drop", f"ip daddr {address(victim)} drop")
    knows(group, victim, time.monotonic(), "silent", found)
    gauges.faults()
    back = time.monotonic()
    whole = group.wait(group.is_whole, PATIENCE_S)
    add(found, "healed_s", whole and whole - back)
    group.pump(REST_S)


def knows(group, victim, since, figure, found):
    """How long until the first and until all other nodes show the victim down."""
    observers = [number for number in group.alive if number != victim]
    last = group.wait(group.sees("down", name(victim), observers), PATIENCE_S)
    told = group.since(since, "down", name(victim))
    add(found, f"{figure}_first_s", told[0][0] - since if told else None)
    add(found, f"{figure}_all_s", last and last - since)
    add(found, "false_downs", len(innocent(group, since, {victim})))


def innocent(group, since, guilty=()):
    """Downs of living nodes, told by nodes that were not disturbed."""
    guilty_names = {name(number) for number in guilty}
    downs = group.since(since, "down")
    return [down for down in downs if down[2] not in guilty_names and down[1] not in guilty]


def loss(group, percent, seconds, found):
    """Datagrams lost at random, on arrival: who is called down, which answers are missing."""
    gauges.faults(f"meta l4proto udp numgen random mod 100 < {percent} drop")
    start = time.monotonic()
    missing = 0
    for _ in range(LOSS_ASKS):
        missing += group.size - group.ping_all(2)[2]
    took, unheard = group.tell_all(2, f"loss{percent}")
    group.pump(max(0, seconds - (time.monotonic() - start)))
    add(found, f"false_downs_{percent}", len(innocent(group, start)))
    add(found, f"answers_lost_{percent}", missing)
    add(found, f"message_lost_{percent}", unheard)
    gauges.faults()
    group.wait(group.is_whole, PATIENCE_S)


def sizes_mib(make):
    """What the program takes on the disk, stripped."""
    paths = [Herd.tool("daustd"), Herd.tool("daust")] if make is Herd else ["/usr/bin/serf"]
    return [os.path.getsize(path) / 2**20 for path in paths]
