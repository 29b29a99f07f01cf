# Ten containers that phone home to this box, in place of those that run. Another number: COUNT=3.
(
    set -eu
    gateway=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge)
    old=$(docker ps -aq --filter label=daust)
    # shellcheck disable=SC2086
    [ -z "$old" ] || docker rm -f $old >/dev/null
    for i in $(seq "${COUNT:-10}"); do
        docker run -d --label daust --name "daust$i" --hostname "$(hostname)-container$i" \
            daust -k "$gateway" >/dev/null
    done
)
