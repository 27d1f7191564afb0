# Completion of session for fish.

function __session_complete
    set -l words (commandline -opc)
    set -l answer (_SESSION_COMPLETE=fish $words[1] -- $words[2..-1] (commandline -ct) 2>/dev/null)
    if test "$answer[1]" = files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $answer[2..-1]
    end
end

complete --command session --no-files --keep-order --arguments '(__session_complete)'
