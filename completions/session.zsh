#compdef session

_session_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _SESSION_COMPLETE=complete_zsh session)
}

compdef _session_completion session
