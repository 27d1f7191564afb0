#compdef session
# Completion of session for zsh.

_session() {
  local line tab=$'\t'
  local -a answer values shown
  answer=("${(@f)$(_SESSION_COMPLETE=zsh ${~words[1]} -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $answer[1] == files ]]; then
    _files
    return
  fi
  for line in "${(@)answer[2,-1]}"; do
    values+=("${line%%$tab*}")
    shown+=("${line/$tab/  -- }")
  done
  (( $#values )) && compadd -l -V session -d shown -a values
}

if [[ $funcstack[1] == _session ]]; then
  _session "$@"
else
  compdef _session session
fi
