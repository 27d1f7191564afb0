"""Completion in shells: the scripts they load, and the answers these ask for.

A script runs `_SESSION_COMPLETE=SHELL session -- WORD...` with the words of the command line, the one being typed last.
The first line of the answer is `files` (the shell completes names of files) or `words`, which follow, one a line,
perhaps with a tab and a few words about it. Typer's own scripts don't do: they evaluate what they are given, and names
are chosen by strangers.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from typer._click.shell_completion import CompletionItem, _resolve_context, _resolve_incomplete
from typer.core import TyperGroup

if TYPE_CHECKING:
    from .context import App

_NAMES_FILES = re.compile(r"FILE|DIR|COMMAND|CMD|NETWORK")
_SPECIAL = re.compile(r"([^\w./@%+,:=-])")

SCRIPTS = {
    "bash": r"""# Completion of session for bash.

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
""",
    "zsh": r"""#compdef session
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
""",
    "fish": r"""# Completion of session for fish.

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
""",
}


def answer(shell: str, root: TyperGroup, arguments: Sequence[str], app: App) -> str:
    """What a script is told, to be printed as it is. `arguments` are `--` and the words as the shell has them.

    Nothing for a shell without a script; raises what the library raises on a line that makes no sense.
    """
    if shell not in SCRIPTS:
        return ""
    words = list(arguments[1:]) or [""]
    if shell == "bash":
        words = _joined(words)
    typed = words.pop()
    # Fish itself takes the quotes from the words that are complete.
    before = words if shell == "fish" else [_unquoted(word) for word in words]
    incomplete = _unquoted(typed)
    items, takes_files = _items(root, before, incomplete, app)
    if not items:
        return "files\n" if takes_files else "words\n"
    option = incomplete[: incomplete.find("=") + 1] if incomplete.startswith("--") else ""
    lines = []
    for item in items:
        if shell == "bash":
            lines.append(_quoted_for_bash(item.value, typed.removeprefix(option)))
        else:
            described = f"\t{' '.join(item.help.split())}" if item.help else ""
            lines.append(f"{option}{item.value}{described}")
    return "\n".join(["words", *lines]) + "\n"


def _items(root: TyperGroup, before: list[str], incomplete: str, app: App) -> tuple[list[CompletionItem], bool]:
    """What fits at this place of the command line, and whether a file's name would, too."""
    context = _resolve_context(root, {"obj": app}, "session", list(before))
    place, rest = _resolve_incomplete(context, list(before), incomplete)
    items = [item for item in place.shell_complete(context, rest) if item.type == "plain"]
    return items, bool(_NAMES_FILES.search(getattr(place, "metavar", None) or ""))


def _joined(words: list[str]) -> list[str]:
    """Bash takes `--option=value` apart into three words."""
    joined: list[str] = []
    pieces = iter(words)
    for word in pieces:
        if word == "=" and joined and joined[-1].startswith("--"):
            joined[-1] += word + next(pieces, "")
        else:
            joined.append(word)
    return joined


def _unquoted(word: str) -> str:
    """What a word means to the shell; a quote may still be open."""
    lexer = shlex.shlex(word, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.whitespace = True, "", ""
    try:
        return lexer.get_token() or ""
    except ValueError:
        return lexer.token


def _quoted_for_bash(value: str, typed: str) -> str:
    """A value as bash puts it in the place of what was typed, which may begin with a quote: that stays."""
    if typed.startswith("'"):
        return value.replace("'", "'\\''")
    if typed.startswith('"'):
        return re.sub(r'([\\"$`])', r"\\\1", value)
    return _SPECIAL.sub(r"\\\1", value)
