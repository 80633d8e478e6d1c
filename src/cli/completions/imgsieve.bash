
# Values of --run, --only and --skip are what the log has. Of words that a shell would expand, imgsieve prints none.
_imgsieve_with_log() {
    local cur="$2" option="$3" kind word place=
    local -a places=()
    if [[ $option == = ]]; then
        option="${COMP_WORDS[COMP_CWORD - 2]}"
    fi
    case "$option" in
        --run) kind=runs ;;
        --only | --skip) kind=archives ;;
        *) _imgsieve "$@"; return ;;
    esac
    if [[ $cur == = ]]; then
        cur=
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case "$word" in
            --) _imgsieve "$@"; return ;;
            --config | --log) place="$word" ;;
            =) ;;
            *)
                if [[ $place ]]; then
                    places+=("$place=$word")
                elif [[ ${COMP_WORDS[1]} == report && -f $word ]]; then
                    places+=("--log=$word")
                fi
                place=
                ;;
        esac
    done
    COMPREPLY=($(compgen -W "$("$1" completions --values "$kind" "${places[@]}" 2> /dev/null)" -- "$cur"))
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _imgsieve_with_log -o nosort -o bashdefault -o default imgsieve
else
    complete -F _imgsieve_with_log -o bashdefault -o default imgsieve
fi
