# shellcheck shell=sh
# `. start_gdb.sh`: as start.sh, with the daemon under gdb.
. ~/stop.sh
. ~/build_bin.sh && . ~/build_container.sh && . ~/run_container.sh && . ~/run_bin_gdb.sh
