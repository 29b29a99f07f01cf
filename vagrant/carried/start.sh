# shellcheck shell=sh
# `. start.sh`: builds, starts the daemon on the private interface and ten containers that phone home.
. ~/stop.sh
. ~/build_bin.sh && . ~/build_container.sh && . ~/run_bin.sh && . ~/run_container.sh &&
    echo "Now: daust ping all; daust trace all"
