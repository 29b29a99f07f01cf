# shellcheck shell=sh
# Installs daust and daustd: what the host built by `make static`, else what is built here.
(
    set -eu
    built=/vagrant/target/static
    if [ ! -x "$built/daustd" ]; then
        command -v cc >/dev/null && command -v make >/dev/null && command -v curl >/dev/null ||
            { sudo apt-get update -q && sudo apt-get install -q -y build-essential curl; }
        PATH=$PATH:$HOME/.cargo/bin
        command -v cargo >/dev/null ||
            curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal
        # A copy: the boxes and the host would build over each other.
        mkdir -p "$HOME/herd"
        tar -C /vagrant --exclude=./target --exclude=./config.mk -c . | tar -C "$HOME/herd" -x
        cd "$HOME/herd"
        ./configure --enable-debug
        make static
        built=$HOME/herd/target/static
    fi
    sudo install -m 755 "$built/daust" /usr/local/bin/daust
    sudo install -m 755 "$built/daustd" /usr/local/sbin/daustd
)
