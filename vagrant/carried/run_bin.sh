# shellcheck shell=sh
# Starts the daemon on the private interface, in the background. node1 is everybody's home.
. ~/private.sh
# shellcheck disable=SC2086
sudo daustd -d $daustd_options -l /var/log/daustd.log
