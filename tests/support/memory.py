"""How much memory a program takes at its peak."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_kb(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
    """Run a command to its successful end, its output thrown away; its peak memory in kB.

    It is started by a small process of its own: a child's peak begins with that of the process that starts it.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _MEASURE, *command],
        env=dict(os.environ if environment is None else environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
    )
    return int(done.stderr)
