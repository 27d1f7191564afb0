"""Long output on a terminal, a page at a time."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from .. import signals
from .context import App
from .settings import PAGER
from .text import harmless

_SECRET = ("SESSION_PASSPHRASE", "SESSION_NEW_PASSPHRASE", "SESSION_BACKUP_PASSPHRASE")
"""How the names of the variables begin that hold a passphrase or say where it is."""


def show(app: App, texts: Callable[[], Iterable[str]], *, pager: bool = True) -> None:
    """Print texts, each with a line end behind it: through the user's pager on a terminal, else as they come.

    `texts` makes them as they are needed, so that they need not be in memory together; it is called a second time if
    the pager fails, to show everything without one.
    """
    command = _command(app) if pager and not app.json and sys.stdout.isatty() else []
    if command:
        failure = _page(app, command, texts())
        if failure is None:
            return
        app.say(
            f"session: The pager {harmless(shlex.join(command))} failed ({failure}); here is everything without it."
        )
    for text in texts():
        app.emit(text)


def _command(app: App) -> list[str]:
    """What the setting says; nothing if that is cat, or the default and not there, or the terminal knows no pages."""
    wanted = app.setting(PAGER)
    if wanted == PAGER.default and shutil.which("less", path=app.environ.get("PATH")) is None:
        return []
    try:
        command = shlex.split(wanted)
    except ValueError:
        command = [wanted]
    return [] if command == ["cat"] or app.environ.get("TERM") == "dumb" else command


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that has no need to open the store."""
    return {name: value for name, value in environ.items() if not name.startswith(_SECRET)}


def _page(app: App, command: list[str], texts: Iterable[str]) -> str | None:
    """Feed a pager until it or the texts end. Returns what was wrong with it, None if nothing was."""
    # What less needs to pass colours on, and to leave short texts on the screen, for those who only say `less`.
    environment = {"LESS": "FRX", **_without_secrets(app.environ)}
    # From before it runs: who sees it may press Ctrl-C at once.
    with signals.interrupts_ignored():
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        except OSError as error:
            return error.strerror or "it can't be started"
        # Whoever has seen enough leaves the pager, and breaks the pipe.
        with suppress(BrokenPipeError), process:
            if process.stdin is None:
                raise RuntimeError("the pager has no standard input")
            for text in texts:
                process.stdin.write(text.encode("utf-8", "surrogateescape") + b"\n")
    return f"it ended with {process.returncode}" if process.returncode > 0 else None
