# shellcheck shell=sh
# Ten containers that phone home to this box, in place of those that run. Another number: COUNT=3.
(
    set -eu
    # What the containers see as their gateway.
    gateway=$(ip -o -4 address show docker0 | awk '{ sub("/.*", "", $4); print $4 }')
    old=$(docker ps -aq --filter label=daust)
    # shellcheck disable=SC2086
    [ -z "$old" ] || docker rm -f $old >/dev/null
    for i in $(seq "${COUNT:-10}"); do
        docker run -d --label daust --name "daust$i" --hostname "$(hostname)-container$i" \
            daust -k "$gateway" >/dev/null
    done
)
