"""Runs of the program that cost no start of an interpreter: for tests that kill hundreds of them.

A helper process loads the program once and forks for each run, which is from then on what the installed `session`
would be. Kills fall into its work and not into Python's start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.devnet import TIMEOUT_S, Person

_ROOT = Path(__file__).parents[2]
_LOADED = (
    "session_cli.cli.app session_cli.cli.recv session_cli.cli.send session_cli.cli.outbox session_cli.cli.cursor "
    "session_cli.cli.event_output session_cli.cli.hook session_cli.cli.line_batches "
    "session_cli.core.client session_cli.core.inbox session_cli.core.sending session_cli.core.receiving "
    "session_cli.network.network session_cli.store.store session_cli.store.events session_cli.store.swarm_state"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended: its exit status (negative: the signal's number), and how many seconds it took."""

    status: int
    seconds: float


class Forks:
    """The helper process; a context manager. Several threads may use it at once."""

    def __init__(self) -> None:
        self._helper = subprocess.Popen(
            [sys.executable, "-m", __name__, *_LOADED.split()],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        self._helper.stdin.close()
        self._helper.stdout.close()
        self._helper.wait()

    def start(self, person: Person, *arguments: str, out: Path, stdin: Path = Path(os.devnull)) -> int:
        """Start a run whose standard output is appended to `out`; its standard error is in `out`.err. Returns its id.

        Each run is to be waited for with `end`.
        """
        return int(
            self._ask(
                start=arguments,
                environ=dict(person.environment),
                stdin=str(stdin),
                out=str(out),
                err=f"{out}.err",
            )
        )

    def end(self, run: int, *, number: int = 0) -> int:
        """Send a run a signal, if a number is given, and wait for its end. Returns its exit status, as `Run` has it."""
        return int(self._ask(end=run, signal=number))

    def run(self, person: Person, *arguments: str, out: Path, stdin: Path = Path(os.devnull)) -> Run:
        """A run that nobody disturbs."""
        begun = time.monotonic()
        status = self.end(self.start(person, *arguments, out=out, stdin=stdin))
        return Run(status, time.monotonic() - begun)

    def kill(
        self, person: Person, delay: float, *arguments: str, number: int, out: Path, stdin: Path = Path(os.devnull)
    ) -> int:
        """A run that is sent a signal after so many seconds; returns its exit status."""
        run = self.start(person, *arguments, out=out, stdin=stdin)
        time.sleep(delay)
        return self.end(run, number=number)

    def _ask(self, **request: Any) -> int:
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        until = time.monotonic() + TIMEOUT_S
        while True:
            with self._lock:
                self._helper.stdin.write(json.dumps(request) + "\n")
                self._helper.stdin.flush()
                answer = self._helper.stdout.readline()
            assert answer, "the helper process has ended"
            if answer.strip() != "running":
                return int(answer)
            request["signal"] = 0
            if time.monotonic() > until:
                request["signal"] = signal.SIGKILL
            time.sleep(0.005)


def _serve(modules: Sequence[str]) -> None:
    """The helper process: forks and waits, as its standard input says."""
    from importlib import import_module

    for module in modules:
        import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            child = os.fork()
            if not child:
                _become_session(request)
            print(child, flush=True)
            continue
        if request["signal"]:
            os.kill(request["end"], request["signal"])
        ended, status = os.waitpid(request["end"], os.WNOHANG)
        print(os.waitstatus_to_exitcode(status) if ended else "running", flush=True)


def _become_session(request: dict[str, Any]) -> None:
    from session_cli.__main__ import main

    os.environ.clear()
    os.environ.update(request["environ"])
    for number, path, flags in (
        (0, request["stdin"], os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, request["err"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # The helper's stream has read ahead, and is not this process's.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = ["session", *request["start"]]
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))
    finally:
        os._exit(99)


if __name__ == "__main__":
    _serve(sys.argv[1:])
