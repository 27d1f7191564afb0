"""What the shell is told when somebody presses the tabulator key."""

from __future__ import annotations

import os
import subprocess

from tests.support.devnet import SESSION


def complete(words: str) -> list[str]:
    """The completions of a command line's last word."""
    done = subprocess.run(
        SESSION,
        env={
            "PATH": os.environ["PATH"],
            "_SESSION_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().split()
