# shellcheck shell=sh
# Options of this box's daemon: the interface of the private network, and node1 to phone.
private=$(ip -o -4 address | awk '$4 ~ /^192\.168\.[56]0\./ { print $2, $4; exit }')
daustd_options="-i ${private%% *}"
case $private in *" 192.168.50.2/"*) ;; *) daustd_options="$daustd_options -k 192.168.50.2" ;; esac
