# shellcheck shell=sh disable=SC2034
# Options of this box's daemon: the interface of the private network, and node1 to phone.
private=$(ip -o -4 address | awk '$4 ~ /^192\.168\.[56]0\./ { print $2, $4; exit }')
daustd_options="-i ${private%% *}"
case $private in *" 192.168.50.2/"*) ;; *) daustd_options="$daustd_options -k 192.168.50.2" ;; esac
# For debuggers: valgrind sees nothing in a static program, gdb few names in a stripped one. What
# `cargo build` made on the host is better, where it runs here.
debugged=/usr/local/sbin/daustd
for program in /vagrant/target/debug/daustd /vagrant/target/release/daustd; do
    ! "$program" --version >/dev/null 2>&1 || { debugged=$program; break; }
done
