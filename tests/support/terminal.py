"""Running the program on a terminal."""

from __future__ import annotations

import os
import select
import sys

import pytest

from tests.support.devnet import SESSION, Person

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX's", allow_module_level=True)
import pty


def at_terminal(person: Person, *arguments: str, typed: bytes = b"", **variables: str) -> tuple[int, str]:
    """Run the program on a terminal; returns its exit code and all that the terminal showed.

    `typed` is typed once something is shown.
    """
    process, terminal = pty.fork()
    if not process:
        environment = {**person.environment, **variables}
        os.execve(SESSION[0], [*SESSION, *arguments], environment)  # noqa: S606 - no shell is wanted
    shown = b""
    while True:
        assert select.select([terminal], [], [], 60)[0], shown[-1000:]
        try:
            part = os.read(terminal, 65536)
        except OSError:
            part = b""
        if not part:
            break
        if typed and not shown:
            os.write(terminal, typed)
        shown += part
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode(errors="replace")
