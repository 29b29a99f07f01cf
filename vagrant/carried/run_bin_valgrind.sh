# shellcheck shell=sh
# The daemon on the private interface, in the foreground, under valgrind.
command -v valgrind >/dev/null || { sudo apt-get update -q && sudo apt-get install -q -y valgrind; }
. ~/private.sh
# shellcheck disable=SC2086
sudo valgrind "$debugged" --no-sandbox -v $daustd_options
