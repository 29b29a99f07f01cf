# What is there. Changes nothing.
say "system $(uname -s)"
say "machine $(uname -m)"
say "uid $(id -u)"
say "connection ${SSH_CONNECTION:-}"
sum() { [ -f "$2" ] && say "$1 $(sha256sum <"$2" 2>/dev/null | cut -c 1-64)"; }
sum daust "$daust"
sum daustd "$daustd"
if [ -e "$marker" ]; then
    say added yes
else
    foreign=$(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v daustd) && say "foreign $foreign"
    daust=$(command -v daust) || daust=false
fi
say "node $(node)"
say done
