# Puts what comes, starts it, and keeps it if it is told to at the end; whatever else happens, also
# that nobody is there any more, takes it all away again. $2 is yes where it is already there.
stage='' made='' placed='' started='' user_made='' was_running='' kept=''
undo() {
    trap '' HUP INT TERM PIPE
    [ -z "$kept" ] || return
    if [ -n "$started" ]; then
        if supervised; then service stop daustd.service; else stop; fi
        [ "$2" = yes ] || ! supervised || service disable daustd.service
    fi >/dev/null 2>&1
    for path in $placed; do
        old=$stage/old-${path##*/}
        if [ -e "$old" ]; then mv -f "$old" "$path"; else rm -f "$path"; fi
    done
    case " $made " in *" $state "*) rm -rf "$state" ;; esac
    [ "$2" = yes ] || rm -f "$marker" "$log"
    [ -z "$stage" ] || rm -rf "$stage"
    for directory in $made; do rmdir "$directory" 2>/dev/null; done
    [ -z "$user_made" ] || userdel daust >/dev/null 2>&1
    [ -z "$started" ] || ! supervised || service daemon-reload >/dev/null 2>&1
    [ -z "$was_running" ] || begin >/dev/null 2>&1
    :
}
trap 'undo "$@"' EXIT
trap 'exit 1' HUP INT TERM PIPE

# Paths have no spaces: HOME is the one part that is not ours.
case $HOME in *[!A-Za-z0-9/._@-]*) fail "the home directory $HOME has an unusual name" ;; esac
directory() {
    [ -d "$1" ] && return
    directory "$(dirname "$1")" || return
    mkdir "$1" && made="$1 $made"
}
place() { # FILE PATH MODE
    directory "$(dirname "$2")" || fail "can not make $(dirname "$2")"
    [ ! -e "$2" ] || cp -p "$2" "$stage/old-${2##*/}" || fail "can not keep the old $2"
    placed="$placed $2"
    { chmod "$3" "$stage/$1" && mv -f "$stage/$1" "$2"; } || fail "can not write $2"
}
begin() {
    if supervised; then
        service daemon-reload && service enable daustd.service && service restart daustd.service
    else
        "$daustd" -d -l "$log" -c "$configuration"
    fi
}

directory "$prefix" || fail "can not make $prefix"
stage=$(mktemp -d "$prefix/.daust-add-XXXXXX") || fail "can not write in $prefix"
while say want && read -r name size; do
    [ "$name" != go ] || break
    (umask 077; head -c "$size" >"$stage/$name") || fail "can not write $name"
    [ "$(wc -c <"$stage/$name")" -eq "$size" ] || fail "$name did not arrive whole"
done
[ "${name:-}" = go ] || exit 1

if [ -e "$stage/daustd" ]; then
    say at try
    chmod 755 "$stage/daust" "$stage/daustd"
    { "$stage/daustd" -V && "$stage/daust" -V; } >/dev/null || { say untried; exit 1; }
fi

say at place
[ ! -e "$marker" ] || [ -z "$(node)" ] || was_running=yes
if [ -n "$was_running" ] && ! supervised; then started=yes; stop; fi
{ directory "$state" && chmod 700 "$state"; } || fail "can not make $state"
[ ! -e "$stage/daust" ] || place daust "$daust" 755
[ ! -e "$stage/daustd" ] || place daustd "$daustd" 755
if [ ! -e "$herd" ]; then placed="$placed $herd"; ln -s daust "$herd" || fail "can not write $herd"; fi
if [ ! -e "$configuration" ]; then place configuration "$configuration" 644; fi
if [ ! -e "$state/key" ] && [ -e "$stage/key" ]; then place key "$state/key" 600; fi
if supervised; then
    [ -e "$unit" ] || place unit "$unit" 644
    if [ "$1" = system ] && ! id daust >/dev/null 2>&1; then
        useradd --system --no-create-home --home-dir "$state" --shell /usr/sbin/nologin daust ||
            fail "can not make the user daust"
        user_made=yes
    fi
    [ "$1" != system ] || chown -R daust:daust "$state" || fail "can not give $state to daust"
fi

say at start
started=yes
begin >/dev/null || fail "daustd does not start"
tries=0
while [ -z "$(node)" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || fail "daustd does not answer there"
    sleep 0.1
done
[ "$1" != user ] || ! supervised || loginctl enable-linger >/dev/null 2>&1
say "node $(node)"
read -r word || exit 1
[ "$word" = keep ] || exit 1
if [ ! -e "$marker" ]; then
    { directory "$(dirname "$marker")" && say "user ${user_made:-no}" >"$marker"; } ||
        fail "can not write $marker"
fi
kept=yes
rm -rf "$stage"
say kept
