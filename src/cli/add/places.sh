# Where things are: $1 is system or user. The first part of the other scripts here.
set -u
umask 022
say() { printf '%s\n' "$*"; }
fail() { say "failed $*"; exit 1; }
case $1 in
user)
    prefix=$HOME/.local programs=$HOME/.local/bin state=$HOME/.daust
    configuration=$HOME/.config/daust/daustd.toml log=$HOME/.daust/log
    unit=$HOME/.config/systemd/user/daustd.service
    export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
    [ -d "$XDG_RUNTIME_DIR" ] || unset XDG_RUNTIME_DIR
    service() { systemctl --user "$@"; } ;;
*)
    prefix=/usr/local programs=/usr/local/sbin state=/var/lib/daust
    configuration=/etc/daust/daustd.toml log=/var/log/daustd.log
    unit=/etc/systemd/system/daustd.service
    service() { systemctl "$@"; } ;;
esac
daust=$prefix/bin/daust herd=$prefix/bin/herd daustd=$programs/daustd
# Says that `add` was here, and in its first line whether it made the user daust.
marker=$prefix/share/daust/added
unset DAUST_SOCKET DAUST_STATE_DIR
supervised() { [ -d /run/systemd/system ] && service list-units >/dev/null 2>&1; }
node() { "$daust" -j -t 2 ping 2>/dev/null | head -n 1; }
stop() {
    "$daust" stop >/dev/null 2>&1
    tries=0
    while "$daust" -t 1 ping >/dev/null 2>&1 && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1)); sleep 0.1
    done
}
