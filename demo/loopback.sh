# Machines for the demo where there is no root: daemons with loopback addresses of their own.
# Read by demo/run; their directories and processes end with it.
# shellcheck shell=sh disable=SC2034,SC2154

port=4077 # Not 4040: a daustd of the machine itself may be listening there.

# Nobody is hidden here.
tree=$(printf '|__ %s\n' hypervisor1 container1 container3 hypervisor2 vm1 vm2 vm3)

met="hypervisor1 meets hypervisor2 by its first command; the others were told of one of the two"
far="the same, seen by another; and a command to a third"

build() {
    say "no root, ip, nft or namespaces: seven daemons on loopback instead, without NAT"
    other=127.77.0.2:$port
}

# start NAME: the number at the end of its address is its place in $nodes.
start() {
    number=0
    for name in $nodes; do
        number=$((number + 1))
        [ "$name" != "$1" ] || break
    done
    mkdir -p "$scratch/$1"
    # Nobody has a gateway to phone here, so each is told of the first.
    home=
    [ "$number" -le 2 ] || home="-k 127.77.0.$((number % 2 + 1)):$port"
    # shellcheck disable=SC2086
    daustd -n "$1" -b "127.77.0.$number" -P $port $home -S "$scratch/$1/state" \
        -s "$scratch/$1/socket" 2>"$scratch/$1/log" &
    holders="$holders $!"
    eval "pid_$1=$!"
    for _ in $(seq 100); do
        on "$1" daust ping >/dev/null 2>&1 && return
        sleep 0.05
    done
    cat "$scratch/$1/log" >&2
    exit 1
}

# on NAME COMMAND...
on() {
    DAUST_SOCKET=$scratch/$1/socket
    export DAUST_SOCKET
    shift
    "$@"
}

crash() { eval "kill -KILL \$pid_$1"; }
