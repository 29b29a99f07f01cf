"""RESULTS.md: what must be, what is aimed at, what was measured, and why it falls short."""

import os
import platform
import re
import statistics
import time
from collections import namedtuple

import gauges

HERE = os.path.dirname(os.path.abspath(__file__))

# The figures of the design, part 8: which of the values counts, and what it must and should not
# pass. Where there is no limit the row is only told.
Row = namedtuple("Row", "figure title must aim pick", defaults=(None, None, statistics.median))
ROWS = [
    Row("start_ms", "start until the command line answers, ms", 8, 5),
    Row("size_mib", "daemon on the disk, stripped, MiB", 4, 2),
    Row("pss_mib", "memory a node, PSS, MiB", 2, 0.7),
    Row("rss_mib", "memory a node, RSS, MiB", 6, 4),
    Row("join_s", "join: all list all after the last start, s (the worst counts)", 0.5, 0.2, max),
    Row("idle_bytes", "idle, bytes/s a node, all phone one home", 450, 300),
    Row("idle_bytes_home", "- of these UDP to and from the home (serf: the first node)"),
    Row("idle_bytes_other", "- UDP among the others"),
    Row("idle_bytes_stream", "- TCP"),
    Row("idle_bytes_typed", "idle, bytes/s a node, nobody has a home", 450, 300),
    Row("idle_datagrams", "idle, datagrams/s a node"),
    Row("idle_cpu_ms", "idle, CPU ms/s a node", 0.5, 0.15),
    Row("idle_wakeups", "idle, wake-ups/s a node", 12, 6),
    Row("ping_last_ms", "all ping: last answer, ms", 50, 10),
    Row("ping_return_ms", "all ping: the command returns, ms", 100, 15),
    Row("ping_missing", "all ping: answers missing, in all", 0, 0, sum),
    Row("message_ms", "message to all received by all, ms", 300, 15),
    Row("message_missing", "message to all: nodes that missed one, in all", 0, 0, sum),
    Row("killed_first_s", "process killed: the first knows, s", 3, 0.05),
    Row("killed_all_s", "process killed: all know, s", 3.5, 0.1),
    Row("rejoin_s", "killed and started again: all list all, s"),
    Row("silent_first_s", "host silent: the first knows, s"),
    Row("silent_all_s", "host silent: all know, s", 4, 2.5),
    Row("healed_s", "host heard again: all list all, s"),
    Row("false_downs", "living nodes called down meanwhile", 0, 0, sum),
    Row("false_downs_5", "false downs at 5 % loss", 0, 0, sum),
    Row("false_downs_20", "false downs at 20 % loss", 0, 0, sum),
    Row("answers_lost_20", "answers lost at 20 % datagram loss", 0, 0, sum),
    Row("message_lost_20", "message to all at 20 % loss: nodes that missed it", 0, 0, sum),
    Row("list_ms", "member list on the command line, ms", 5, 3),
    Row("last_seen_s", "last seen: oldest age shown of a living node, s (the worst counts)", 3, 2, max),
    Row("others_share", "work of others, share of the machine"),
]

SEALING = [
    ("join_s", "join: all list all after the last start, s"),
    ("idle_bytes", "idle, bytes/s a node"),
    ("idle_cpu_ms", "idle, CPU ms/s a node"),
    ("ping_last_ms", "all ping: last answer, ms"),
    ("command_bytes", "all ping: bytes, all nodes together"),
    ("command_cpu_ms", "all ping: CPU, all nodes together, ms"),
]
SEALING_NOTES = """\
Every datagram of herd is sealed, with a herd key and without one; the key is mixed into the keys of
each pair of nodes and seals hellos as well. Bytes and CPU of a command hold those of the time it
takes, which for serf are seconds.
"""

SPEED = "node_hours_a_s"
REAL_TIME_OF_THOUSAND = 1000 / 3600
# The figures of `make cost`; by number of nodes what they must be and should be.
SIMULATED = [
    ("join_ms", "join: all list all, ms", {}),
    ("idle_bytes", "idle, bytes/s a node, datagrams only, all phone one home", {}),
    ("idle_datagrams", "idle, datagrams/s a node", {}),
    ("idle_cpu_us", "idle, CPU microseconds/s a node, network and checks included, cheap seals", {}),
    ("memory_bytes", "memory a node, bytes of heap", {1000: (8 << 20, 8 << 20)}),
    ("silent_first_ms", "host silent: the first knows, ms", {}),
    ("silent_all_ms", "host silent: all know, ms", {1000: (5000, 5000)}),
    ("silent_told", "- how many show it down after two minutes", {}),
    ("newcomer_ms", "a newcomer: all list it, ms", {}),
    ("last_seen_ms", "last seen: oldest age shown, ms", {1000: (30_000, 10_000)}),
    (SPEED, "speed, node-hours a second", {8: (10, 40), 1000: (REAL_TIME_OF_THOUSAND, 10 * REAL_TIME_OF_THOUSAND)}),
]
SIMULATED_NOTES = """\
Whole nodes on virtual time, from one seed: times do not depend on the machine, CPU and speed do.
Taken by `make cost` when it ran last, which need not be the day above.
"""

NOTES = """\
How it is measured: node i of a group listens on 127.0.1.i of a network namespace of its own; serf
runs with `-encrypt`, as herd always encrypts; both with their own defaults for a LAN. Bytes are
those of IP, counted by nft on sending, serf's RPC left out. CPU is schedstat over all threads,
wake-ups are voluntary context switches. Times are taken when a node's own event reaches the tool:
`watch` of herd, the log of serf. A process is killed after a minute
without commands, when none has left a stream open. Losses and cuts drop on arrival, datagrams only for losses. A value
is a median with the least and the most in brackets; what happened more than once within its time
limit of 60 s and did not end counts as missing. All nodes share the cores of one machine, and the
tool takes its part.

herd has no verb for a message to all yet: `all ping` on the control socket takes the same way, so
the figure holds the way back as well; for serf it is a user event. For `all ping` serf has
`reachability`.
"""


def write(makers, singles, tables, seals, seals_size, minutes):
    """Writes RESULTS.md and gives the reasons that explain nothing any more."""
    reasons, short = read_reasons(), set()
    parts = [head(makers, minutes), NOTES]
    for size, found in tables.items():
        merged = {program: {**found[program], **singles[program]} for program in found}
        parts.append(table(size, merged, short))
    parts.append(sealing(seals, seals_size))
    parts.append(pipes())
    parts.append(simulation(short))
    parts.append(explain(reasons, short))
    with open(os.path.join(HERE, "RESULTS.md"), "w") as file:
        file.write("\n".join(part for part in parts if part))
    complete = {3, 10, 50, 100} <= set(tables)
    return sorted(set(reasons) - short) if complete else []


FAULT_NOTES = """\
Groups of {size} nodes on loopback addresses of a namespace of their own, each program with its own
defaults for a LAN, serf with `-encrypt` but for the forged joins. False downs are events at nodes
that nobody disturbed, about living nodes that nobody disturbed; the goal is 0. "Well again" is the
time from the end of the fault until all list all. A pause of 5 s should not be noticed at all. Drops are on arrival.
"""


def write_faults(makers, titles, rows, size, minutes):
    lines = ["| fault | program | false downs | nodes hit | noticed | well again | further | others' share |", "|---" * 8 + "|"]
    for title in titles:
        for make in makers:
            row = rows[make.program][title]
            false = f"**{row['false']}**" if row["false"] else "0"
            hit = str(row["hit"] or "")
            cells = [title, make.program, false, hit, row["noticed"], row["healed"], row["told"], f"{row['others']:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    over = [title for title in titles if rows[makers[0].program][title]["false"]]
    verdict = f"Falls short of the goal: {', '.join(over)}." if over else "No false down of herd."
    parts = [head(makers, minutes, "Faults", "make faults"), FAULT_NOTES.format(size=size), "\n".join(lines), "", verdict]
    with open(os.path.join(HERE, "FAULTS.md"), "w") as file:
        file.write("\n".join(parts) + "\n")


def head(makers, minutes, title="Results", command="make bench"):
    versions = ", ".join(make.version() for make in makers)
    return (
        f"# {title}\n\nWritten by `{command}`; not by hand.\n\n"
        f"{time.strftime('%Y-%m-%d %H:%M')}, {minutes:.0f} minutes. {machine()}. {versions}.\n"
    )


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    model = model[1] if model else platform.machine()
    return f"{gauges.CORES} cores, {model}, Linux {platform.release().split('-')[0]}"


def table(size, found, short):
    columns = ["daustd"] + (["serf"] if "serf" in found else [])
    lines = [f"## {size} nodes\n", f"| figure | must | aim | {' | '.join(columns)} | |", "|---" * (4 + len(columns)) + "|"]
    for row in ROWS:
        values = [found[program].get(row.figure) for program in columns]
        if any(values):
            cells = [row.title, number(row.must), number(row.aim)] + [cell(row, one) for one in values]
            lines.append(f"| {' | '.join(cells)} | {verdict(row, values[0], short)} |")
    return "\n".join(lines) + "\n"


def counted(row, values):
    """The value that counts; None where the figure was not taken, infinite where one never ended."""
    if not values:
        return None
    return row.pick([float("inf") if value is None else value for value in values])


def cell(row, values):
    value = counted(row, values)
    if value is None or row.pick is sum or len(values) == 1:
        return number(value)
    ended = [one for one in values if one is not None]
    spread = f" ({number(min(ended))}..{number(max(ended))})" if ended else ""
    missing = len(values) - len(ended)
    return number(value) + spread + (f", {missing} of {len(values)} never" if missing else "")


def verdict(row, values, short):
    value = counted(row, values)
    if value is None or row.must is None:
        return ""
    if value <= row.aim:
        return "met, aim too"
    short.add(row.figure)
    if value <= row.must:
        return f"met; aim short by {number(value - row.aim)}"
    return f"**short by {number(value - row.must)}**"


def number(value):
    if value is None:
        return ""
    if value == float("inf"):
        return "never"
    for least, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= least:
            break
    else:
        digits = 3
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def sealing(found, size):
    """What a herd key costs: a column a kind of group."""
    lines = [f"## Cost of sealing, {size} nodes\n", SEALING_NOTES, f"| figure | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for figure, title in SEALING:
        row = Row(figure, title)
        lines.append(f"| {title} | {' | '.join(cell(row, one.get(figure)) for one in found.values())} |")
    return "\n".join(lines) + "\n"


def measured(name):
    """The lines of figures that another tool left here; none where it did not run."""
    path = os.path.join(HERE, name)
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [dict(word.split("=") for word in line.split()) for line in file]


PIPE_NOTES = """\
To a TCP port of a node behind a hypervisor's NAT: by `daust nc`, by TCP through a port that the
hypervisor forwards, and by `ssh -J ... -W` with the hypervisors as jumps; from another host (one
parent) and from a VM behind a second hypervisor (two). Namespaces of one machine, so a round trip of
the network is next to nothing; medians of three turns. A pipe has at most 64 KiB
under way, and so no more than 3 MiB/s where a round trip takes 20 ms.
"""


def pipes():
    found = measured("pipes.txt")
    if not found:
        return ""
    lines = ["## Byte pipes\n", PIPE_NOTES, "| parents | by | MiB/s | there and back, ms |", "|---" * 4 + "|"]
    names = {"nc": "`daust nc`", "tcp": "TCP, forwarded port", "ssh": "`ssh -J`"}
    for one in found:
        lines.append(f"| {one['parents']} | {names[one['way']]} | {number(float(one['mib_s']))} | {number(float(one['back_us']) / 1000)} |")
    return "\n".join(lines) + "\n"


def write_pipes():
    """Puts what pipes.txt holds now in its place in RESULTS.md."""
    path = os.path.join(HERE, "RESULTS.md")
    with open(path) as file:
        text = file.read()
    old = re.search(r"## Byte pipes\n.*?(?=^## )", text, re.S | re.M)
    at, end = old.span() if old else (text.index("## Simulated"),) * 2
    with open(path, "w") as file:
        file.write(text[:at] + pipes() + "\n" + text[end:])


def simulation(short):
    """What `make cost` found, a column a size."""
    found = measured("simulated.txt")
    if not found:
        return ""
    sizes = [int(one["nodes"]) for one in found]
    heads = " | ".join(f"{size:,} nodes" for size in sizes)
    lines = ["## Simulated, on one core\n", SIMULATED_NOTES, f"| figure | {heads} |", "|---" * (1 + len(sizes)) + "|"]
    for figure, title, limits in SIMULATED:
        cells = [simulated_cell(figure, float(one[figure]), limits.get(size), short) for size, one in zip(sizes, found)]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def simulated_cell(figure, value, limits, short):
    """The value, and beside it what it must be where the design says so."""
    if not limits:
        return number(value)
    must, aim = limits
    sign = -1 if figure == SPEED else 1
    if sign * value <= sign * aim:
        return f"{number(value)} (must {number(must)}, aim {number(aim)}: met, aim too)"
    short.add(f"simulated {figure}")
    if sign * value <= sign * must:
        return f"{number(value)} (must {number(must)}: met; aim {number(aim)} short by {number(abs(value - aim))})"
    return f"{number(value)} (must {number(must)}: **short by {number(abs(value - must))}**)"


def read_reasons():
    """figure: why it falls short, one line a figure."""
    with open(os.path.join(HERE, "reasons.txt")) as file:
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    return dict(tuple(map(str.strip, line.split(":", 1))) for line in lines)


def explain(reasons, short):
    if not short:
        return ""
    lines = [f"- `{figure}`: {reasons.get(figure, 'no reason is known yet.')}" for figure in sorted(short)]
    return "## Why figures fall short\n\n" + "\n".join(lines) + "\n"
