# Completion of session for bash.

_session() {
    local answer
    COMPREPLY=()
    mapfile -t answer < <(_SESSION_COMPLETE=bash "${1/#\~\//$HOME/}" -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${answer[0]} == files ]]; then
        compopt -o default
    else
        compopt -o nosort 2>/dev/null
        COMPREPLY=("${answer[@]:1}")
    fi
}

complete -F _session session
