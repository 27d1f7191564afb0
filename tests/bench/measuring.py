"""Costs of child processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SESSION = str(Path(sys.executable).with_name("session"))

_LAUNCHER = """
import os, sys, time
started = time.perf_counter()
child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - started
print([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024])
"""
# Started from a small process of its own: a child's peak memory begins with that of the process that starts it.


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and wall time in seconds, peak memory in bytes, of one process."""

    cpu: float
    wall: float
    peak: int


def run(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its successful end, without input, its output thrown away."""
    launcher = [sys.executable, "-S", "-E", "-c", _LAUNCHER, *command]
    done = subprocess.run(launcher, stdout=subprocess.PIPE, env=dict(environment), check=True)
    code, cpu, wall, peak = json.loads(done.stdout)
    if code:
        raise RuntimeError(f"{command} ended with {code}")
    return Cost(cpu, wall, peak)


def best(command: Sequence[str], environment: Mapping[str, str], times: int = 9) -> Cost:
    """The least of each cost over several runs."""
    costs = [run(command, environment) for _ in range(times)]
    return Cost(min(c.cpu for c in costs), min(c.wall for c in costs), min(c.peak for c in costs))


@contextmanager
def network(*options: str) -> Iterator[Path]:
    """A local network in a process of its own, so that its work is nobody else's; gives its definition."""
    command = [SESSION, "devnet", "run", "--quiet", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the network's output is lost")
        try:
            yield Path(process.stdout.readline().strip())
        finally:
            process.terminate()


def ratio(name: str, value: float, base: float, limit: str) -> str:
    """A line of the report."""
    return f"{name:<44} {value / base:6.2f} x   (aim: {limit})"
