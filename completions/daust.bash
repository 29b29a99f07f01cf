# bash completion for daust and daustd: install under both names in
# share/bash-completion/completions/, or source it.

# The names the local daemon knows, quoted as they have to be typed.
_daust_nodes() {
    local name
    daust -t 1 list 2>/dev/null | sed -n 's/: internal ip .*//p' | while IFS= read -r name; do
        printf '%q\n' "$name"
    done
}

# Offers those lines of standard input that begin with what was typed.
_daust_offer() {
    local line
    while IFS= read -r line; do
        [[ -n $line && $line == "$1"* ]] && COMPREPLY+=("$line")
    done
}

_daust() {
    local typed=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local options='-j --json -t --timeout -s --socket -v --verbose -V --version -y --yes
        --boot --user --builds --ssh --ansible --prometheus --port --node --kind --at -h --help'
    local words='remote all ping list show trace watch doctor why history version key token forget
        stop startup top add remove inventory nc ssh'
    COMPREPLY=()
    case $before in
        --node) _daust_offer "$typed" < <(_daust_nodes) ;;
        --kind) COMPREPLY=($(compgen -W 'up suspect down left route stale' -- "$typed")) ;;
        --at | --port) ;;
        --builds) COMPREPLY=($(compgen -d -- "$typed")) ;;
        -s | --socket) COMPREPLY=($(compgen -f -- "$typed")) ;;
        -t | --timeout) ;;
        remote | forget | revoke | history | why | doctor | nc | ssh)
            _daust_offer "$typed" < <(_daust_nodes) ;;
        key) COMPREPLY=($(compgen -W 'add adopt list new revoke rotate show' -- "$typed")) ;;
        trace) _daust_offer "$typed" < <(printf '%s\n' all remote; _daust_nodes) ;;
        *)
            if [[ $typed == -* ]]; then
                COMPREPLY=($(compgen -W "$options" -- "$typed"))
            else
                COMPREPLY=($(compgen -W "$words" -- "$typed"))
            fi
            ;;
    esac
}

_daustd() {
    local typed=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local options='-d --daemon -n --name -i --iface -b --bind -P --port -k --keynode
        -p --publicface -e --deadend --class --open-public --key-file --join --no-sandbox --remembered -l --logfile
        -S --state-dir -s --socket -c --config -v --verbose -V --version -h --help'
    COMPREPLY=()
    case $before in
        -i | --iface) COMPREPLY=($(compgen -W "$(ls /sys/class/net 2>/dev/null)" -- "$typed")) ;;
        --key-file | --join | -l | --logfile | -s | --socket | -c | --config)
            COMPREPLY=($(compgen -f -- "$typed"))
            ;;
        -S | --state-dir) COMPREPLY=($(compgen -d -- "$typed")) ;;
        --class) COMPREPLY=($(compgen -W 'pet cattle ephemeral' -- "$typed")) ;;
        -n | --name | -b | --bind | -P | --port | -k | --keynode | -p | --publicface) ;;
        *) COMPREPLY=($(compgen -W "$options" -- "$typed")) ;;
    esac
}

complete -F _daust daust herd
complete -F _daustd daustd
