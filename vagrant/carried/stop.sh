# shellcheck shell=sh
# Ends the daemon, if one runs; start.sh and its like begin with it.
(
    daust stop >/dev/null 2>&1
    while daust ping >/dev/null 2>&1; do sleep 0.1; done
    true
)
