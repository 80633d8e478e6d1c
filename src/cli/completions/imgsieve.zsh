
# Values of --run, --only and --skip are what the log has.
_imgsieve_values() {
    local -a places values
    [[ -n ${opt_args[--config]-} ]] && places+=("--config=${(Q)opt_args[--config]}")
    [[ -n ${opt_args[--log]-} ]] && places+=("--log=${(Q)opt_args[--log]}")
    values=(${(f)"$(_call_program values imgsieve completions --values $1 ${(q)places} 2> /dev/null)"})
    compadd -V "$1" -a values
}
