"""Runs of the program that cost no start of an interpreter: there are thousands of them in these tests.

A helper process (`fork_server`) loads the installed program once and forks for each run, which is from then on what
`session` would be: its streams, its environment, its end. What only a start of the interpreter shows, such as what is
loaded when, or locales, tests start `session` itself for; with SESSION_TEST_STARTS=all in the environment all do.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

SESSION = [str(Path(sys.executable).with_name("session"))]
"""The installed program."""
TIMEOUT_S = 120
_READ_AT_START = ("LANG", "LC_", "LD_", "MALLOC_", "PYTHON")
"""How the names of environment variables begin that the interpreter reads when it starts."""


@dataclass(slots=True)
class Fork:
    """A run of the program: its process number, and where its end is reported."""

    number: int
    _report: IO[bytes]

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.number, number)

    def wait(self) -> int:
        """Wait for its end, at most `TIMEOUT_S` (s). Returns its exit status (negative: the number of a signal)."""
        with self._report, selectors.DefaultSelector() as selector:
            selector.register(self._report, selectors.EVENT_READ)
            if not selector.select(TIMEOUT_S):
                self.signal(signal.SIGKILL)
                self._report.readline()
                raise AssertionError(f"still running after {TIMEOUT_S} seconds")
            return int(self._report.readline())


class ForkServer:
    """The helper process. Several threads may use it at once."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._helper = subprocess.Popen(
                [sys.executable, "-I", Path(__file__).with_name("fork_server.py"), str(theirs.fileno())],
                env={name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT")},
                pass_fds=[theirs.fileno()],
                # Pipes, so that Python takes the streams for what they will be most of the time.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        self._lock = threading.Lock()

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], streams: Sequence[int]) -> Fork:
        """Start a run in the current folder with these standard streams, of which the caller keeps copies."""
        request = {"arguments": [*SESSION, *arguments], "environ": dict(environ), "folder": str(Path.cwd())}
        data = json.dumps(request).encode()
        reading, writing = os.pipe()
        with self._lock:
            socket.send_fds(self._requests, [len(data).to_bytes(4, "big")], [*streams, writing])
            self._requests.sendall(data)
        os.close(writing)
        report = os.fdopen(reading, "rb", buffering=0)
        number = report.readline()
        assert number, self.close()
        return Fork(int(number), report)

    def close(self) -> str:
        """End the helper process. Returns what it complained of."""
        self._requests.close()
        return self._helper.communicate(timeout=TIMEOUT_S)[1].decode()


@cache
def fork_server() -> ForkServer:
    """The helper process of this test process."""
    server = ForkServer()
    atexit.register(server.close)
    return server


def run_session(
    arguments: Sequence[str], environ: Mapping[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end, through pipes; as a fork, where that makes no difference."""
    own = [name for name in environ if name.startswith(_READ_AT_START)]
    if own or os.environ.get("SESSION_TEST_STARTS") == "all":
        return subprocess.run(
            [*SESSION, *arguments], input=stdin, capture_output=True, env=environ, timeout=TIMEOUT_S, check=False
        )
    their_in, our_in = os.pipe()
    our_out, their_out = os.pipe()
    our_err, their_err = os.pipe()
    theirs = (their_in, their_out, their_err)
    fork = fork_server().start(arguments, environ, theirs)
    for descriptor in theirs:
        os.close(descriptor)
    out, err = _converse(fork, our_in, (our_out, our_err), stdin)
    return subprocess.CompletedProcess(list(arguments), fork.wait(), out, err)


def _converse(fork: Fork, our_in: int, ours: tuple[int, int], stdin: bytes) -> tuple[bytes, bytes]:
    """Write a run's standard input, and read its output and errors until nobody can write there any more."""
    until = time.monotonic() + TIMEOUT_S
    texts = {descriptor: bytearray() for descriptor in ours}
    rest = memoryview(stdin)
    os.set_blocking(our_in, False)
    with selectors.DefaultSelector() as selector:
        for descriptor in ours:
            selector.register(descriptor, selectors.EVENT_READ)
        selector.register(our_in, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select(max(0.0, until - time.monotonic())):
                if key.fd == our_in:
                    try:
                        rest = rest[os.write(our_in, rest) :] if rest else rest
                    except BrokenPipeError:
                        rest = rest[:0]
                    ended = not rest
                else:
                    some = os.read(key.fd, 65536)
                    texts[key.fd] += some
                    ended = not some
                if ended:
                    selector.unregister(key.fd)
                    os.close(key.fd)
            if time.monotonic() > until:
                fork.signal(signal.SIGKILL)
                raise AssertionError(f"still running after {TIMEOUT_S} seconds")
    out, err = (bytes(texts[descriptor]) for descriptor in ours)
    return out, err


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended: its exit status (negative: the signal's number), and how many seconds it took."""

    status: int
    seconds: float


def start_fork(environ: Mapping[str, str], *arguments: str, out: Path, stdin: Path = Path(os.devnull)) -> Fork:
    """Start a run whose standard output is appended to `out`; its standard error is in `out`.err.

    Each run is to be waited for.
    """
    with stdin.open("rb") as first, out.open("ab") as second, Path(f"{out}.err").open("ab") as third:
        return fork_server().start(arguments, environ, [first.fileno(), second.fileno(), third.fileno()])


def run_fork(environ: Mapping[str, str], *arguments: str, out: Path, stdin: Path = Path(os.devnull)) -> Run:
    """A run that nobody disturbs."""
    begun = time.monotonic()
    status = start_fork(environ, *arguments, out=out, stdin=stdin).wait()
    return Run(status, time.monotonic() - begun)


def kill_fork(
    environ: Mapping[str, str], delay: float, *arguments: str, number: int, out: Path, stdin: Path = Path(os.devnull)
) -> int:
    """A run that is sent a signal after so many seconds; returns its exit status."""
    fork = start_fork(environ, *arguments, out=out, stdin=stdin)
    time.sleep(delay)
    fork.signal(number)
    return fork.wait()


def moments(seconds: float, count: int) -> list[float]:
    """Moments spread evenly over a run that takes so long, and a little beyond, in an order by chance."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    spread = [1.1 * seconds * (number + 0.5) / count for number in range(count)]
    random.Random(seed).shuffle(spread)
    return spread
