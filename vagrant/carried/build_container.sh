# shellcheck shell=sh
# Builds the image of the containers, `daust`, of the programs that build_bin.sh installed.
(
    set -eu
    tar -c -C /vagrant/fleet Dockerfile -C /usr/local/bin daust -C /usr/local/sbin daustd |
        docker build -q -t daust - >/dev/null 2>"$HOME/build_container.log" ||
        { cat "$HOME/build_container.log"; exit 1; }
)
