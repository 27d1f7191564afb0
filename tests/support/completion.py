"""What the shell is told when somebody presses the tabulator key."""

from __future__ import annotations

import os
import subprocess

from tests.support.devnet import SESSION


def complete(words: str) -> list[str]:
    """The completions of a command line's last word."""
    done = subprocess.run(
        [*SESSION, "--", *words.split(" ")[1:]],
        env={"PATH": os.environ["PATH"], "_SESSION_COMPLETE": "bash"},
        capture_output=True,
        check=True,
    )
    kind, *found = done.stdout.decode().splitlines()
    assert kind == "words"
    return found
