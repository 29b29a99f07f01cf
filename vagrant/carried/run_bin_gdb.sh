# shellcheck shell=sh
# The daemon on the private interface, in the foreground, under gdb.
command -v gdb >/dev/null || { sudo apt-get update -q && sudo apt-get install -q -y gdb; }
. ~/private.sh
# shellcheck disable=SC2086
sudo gdb -ex run --args "$debugged" --no-sandbox -v $daustd_options
