# Machines for the demo, made of namespaces: each with its own network, host name, processes,
# /run and /var/lib. Read by demo/run; nothing of it is seen outside, all of it ends with the demo.
# shellcheck shell=sh disable=SC2034,SC2154

# machine NAME: up, connected to nothing.
machine() {
    # The chain of deaths: the demo ends, unshare ends, the first process inside ends, and with it
    # all others of its namespace.
    setpriv --pdeathsig KILL unshare --net --uts --mount --pid --fork --kill-child=KILL \
        --mount-proc sh -c 'mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib &&
            hostname "$0" && ip link set lo up && exec sleep 600' "$1" &
    holders="$holders $!"
    pid=
    for _ in $(seq 100); do
        pid=$(tr -d ' ' <"/proc/$!/task/$!/children")
        [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm")" = sleep ] && break
        sleep 0.05
    done
    eval "pid_$1=$pid"
}

# on NAME COMMAND...: runs it there.
on() {
    eval "pid=\$pid_$1"
    shift
    nsenter -t "$pid" --net --uts --mount --pid "$@"
}

# cable NAME INTERFACE NAME INTERFACE
cable() {
    eval "from=\$pid_$1 to=\$pid_$3"
    ip link add "$2" netns "$from" type veth peer name "$4" netns "$to"
    on "$1" ip link set "$2" up
    on "$3" ip link set "$4" up
}

# network NAME ADDRESS: a bridge inside that machine, hidden behind the address of its eth0.
network() {
    on "$1" ip link add inside type bridge
    on "$1" ip address add "$2" dev inside
    on "$1" ip link set inside up
    on "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    on "$1" nft -f - <<END
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat
        iifname "inside" oifname "eth0" masquerade
    }
}
table ip filter {
    chain forward {
        type filter hook forward priority filter
        iifname "eth0" ct state new drop
    }
}
END
}

# guest NAME ADDRESS HOST GATEWAY: a machine inside another's network.
guest() {
    machine "$1"
    cable "$1" eth0 "$3" "to-$1"
    on "$3" ip link set "to-$1" master inside
    on "$1" ip address add "$2" dev eth0
    on "$1" ip route add default via "$4"
}

# What hypervisor1 sees in the end: itself and its own VMs on top, the rest under their parents.
tree='|__ hypervisor1
|__ hypervisor2
|   |__ vm3
|   |   |__ container3
|__ vm1
|   |__ container1
|__ vm2'

met="hypervisor1 meets hypervisor2 by its first command; VMs and containers found their host"
far="the same, seen by a container; and a command to a node two NATs away, from behind two NATs"

build() {
    say "two hypervisors, three VMs behind their NATs, two containers behind the NAT of a VM"
    machine hypervisor1
    machine hypervisor2
    cable hypervisor1 eth0 hypervisor2 eth0
    on hypervisor1 ip address add 10.0.0.1/24 dev eth0
    on hypervisor2 ip address add 10.0.0.2/24 dev eth0
    for host in hypervisor1 hypervisor2; do network "$host" 192.168.122.1/24; done
    guest vm1 192.168.122.2/24 hypervisor1 192.168.122.1
    guest vm2 192.168.122.3/24 hypervisor1 192.168.122.1
    guest vm3 192.168.122.2/24 hypervisor2 192.168.122.1
    for host in vm1 vm3; do network "$host" 172.17.0.1/16; done
    guest container1 172.17.0.2/16 vm1 172.17.0.1
    guest container3 172.17.0.2/16 vm3 172.17.0.1
    other=10.0.0.2
}

# start NAME
start() { on "$1" daustd -d -l /run/daustd.log; }

# crash NAME: its daustd, the only one that its processes see.
crash() { on "$1" sh -c 'kill -KILL "$(pidof daustd)"'; }
