# shellcheck shell=sh
# `. start_valgrind.sh`: as start.sh, with the daemon under valgrind.
. ~/stop.sh
. ~/build_bin.sh && . ~/build_container.sh && . ~/run_container.sh && . ~/run_bin_valgrind.sh
