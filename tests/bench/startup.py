"""CPU time of commands that ask nobody, against that of an interpreter that does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from .measuring import SESSION, best, ratio


def measure() -> Iterator[str]:
    """`session --help`, `--version`, `whoami` and a subcommand's help."""
    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ, SESSION_HOME=home)
        make_account = [SESSION, "init", "--quiet", "--key", "keyfile"]
        subprocess.run(make_account, env=environment, check=True, capture_output=True)
        base = best([sys.executable, "-c", "pass"], environment, 15)
        yield f"python -c pass: {base.cpu * 1000:.1f} ms of CPU"
        for arguments, limit in (("--help", "6"), ("--version", "4"), ("whoami", "10"), ("send --help", "none")):
            cost = best([SESSION, *arguments.split()], environment, 15)
            yield ratio(f"session {arguments}, CPU", cost.cpu, base.cpu, limit)
