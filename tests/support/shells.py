"""Interactive shells on a terminal of their own, in which tests type, and press the tabulator."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support.devnet import SESSION
from tests.support.tools import find_tool, tool_environment

TOP = Path(__file__).resolve().parent.parent.parent
_PATIENCE_S = 60.0
_READY = "READY> "
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes standard input the controlling terminal, which some shells insist on."""
_ARGUMENTS = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)


class Shell:
    """A shell with this program's completions loaded; use it as a context manager.

    With `autoload` zsh finds them itself, where an installation puts them. `complete(line)` types a line, presses the
    tabulator, and has the shell itself say which words it then reads.
    """

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path, *, autoload: bool = False) -> None:
        program = find_tool(name)
        script = TOP / "completions" / f"session.{name}"
        self._environment = {
            **tool_environment(),
            **environment,
            "PATH": f"{Path(SESSION[0]).parent}{os.pathsep}{environment['PATH']}",
            "HOME": str(folder),
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }
        show = "printf '[[%s]]\\n' \"$*\""
        self._setup = [f"source {shlex.quote(str(script))}"]
        match name:
            case "bash":
                self._command = [program, "--norc", "--noprofile", "-i"]
                self._setup += [f"shown() {{ local IFS='|'; {show}; }}", f"PS1='{_READY}'"]
            case "zsh":
                self._command = [program, "-f", "-i"]
                load = [*_unpacked_zsh(program), "zmodload zsh/zle", "setopt zle", "bindkey -e"]
                if autoload:
                    shutil.copy(script, folder / "_session")
                    load.append(f"fpath+=({shlex.quote(str(folder))})")
                load += ["autoload -Uz compinit", "compinit -u -D", *([] if autoload else self._setup)]
                self._setup = [*load, f"shown() {{ local IFS='|'; {show}; }}", f"PS1='{_READY}'"]
            case _:
                self._command = [program, "--no-config", "-i"]
                self._setup += [
                    "function shown; printf '[[%s]]\\n' (string join '|' -- $argv); end",
                    f"function fish_prompt; printf '{_READY}'; end",
                ]

    def __enter__(self) -> Shell:
        self._terminal, other = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *self._command],
            stdin=other,
            stdout=other,
            stderr=other,
            env=self._environment,
            start_new_session=True,
            cwd=self._environment["HOME"],
        )
        os.close(other)
        self._output = ""
        for line in self._setup:
            self._type(line + "\n")
        self._type("shown loaded\n")
        self._wait_for("loaded")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._terminal)

    def complete(self, line: str) -> list[str]:
        """The words of a line after the tabulator was pressed at its end."""
        self._output = ""
        # To the start of the line, and a command in front of it that shows its arguments.
        self._type(f"{line}\t\x01shown \n")
        return self._wait_for("session")[1:]

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _wait_for(self, first: str) -> list[str]:
        """The words that the shell showed, of which the first is known."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            for found in _ARGUMENTS.finditer(self._output):
                words = found[1].replace("\r\n", "\n").split("|")
                if words[0] == first:
                    return words
            if select.select([self._terminal], [], [], 0.1)[0]:
                self._output += os.read(self._terminal, 4096).decode(errors="replace")
        raise AssertionError(f"the shell never came to that: {self._output!r}")


def _unpacked_zsh(program: str) -> list[str]:
    """What tells an unpacked zsh where its functions and modules are; an installed one knows."""
    root = Path(program).resolve().parent.parent
    if root in (Path("/"), Path("/usr")):
        return []
    functions = sorted({str(path.parent) for path in (root / "usr/share/zsh/functions").rglob("*") if path.is_file()})
    modules = sorted(str(path.parent.parent) for path in root.rglob("zsh/*/zsh/zle.so"))
    return [f"fpath=({shlex.join(functions)})", f"module_path=({shlex.join(modules)})"]
