# Takes away what `add` put here. Run again where it was stopped in the middle: the marker goes last.
[ -e "$marker" ] || fail "there is nothing that daust add put there"
say "node $(node)"
say at stop
if supervised; then
    service disable --now daustd.service >/dev/null 2>&1
    rm -f "$unit"
    service daemon-reload
else
    stop
fi
say at clear
rm -f "$daust" "$herd" "$daustd" || fail "can not remove the programs"
if head -n 1 "$configuration" 2>/dev/null | grep -q "^# By daust add"; then rm -f "$configuration"; fi
rm -rf "$state" || fail "can not remove $state"
[ "$1" = user ] || rm -f "$log"
if grep -q "^user yes" "$marker"; then userdel daust >/dev/null 2>&1; fi
rm -f "$marker" || fail "can not remove $marker"
rmdir "$(dirname "$marker")" "$(dirname "$configuration")" 2>/dev/null
say done
