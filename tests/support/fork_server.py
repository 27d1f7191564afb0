"""Loads the program once, and forks for each run that is asked for: started by `tests.support.forks`, as a script.

Its only argument is the number of a socket, over which requests come, each with four descriptors: what is to be the
run's standard input, output and error, and where its process number and its exit status are to be written, a line each.
It ends when the socket's other end is closed.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

_LATER_NEEDED = """
    PIL.Image apsw jeepney.io.blocking keyring.core mnemonic nacl.public requests tinytag tomlkit zstandard
"""
"""Loaded by the program when it needs them."""
_FIRST_OTHER = 3
"""The number of the first descriptor that isn't a standard stream."""
_MOST_DESCRIPTORS = 1024


def _load() -> None:
    """All the code a run may need."""
    import session_cli

    for module in pkgutil.walk_packages(session_cli.__path__, "session_cli."):
        import_module(module.name)
    for name in _LATER_NEEDED.split():
        import_module(name)
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Answer requests until there are no more. In the process of a run, return that run's request."""
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    reports: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests.fileno(), waking], [], [])
        if waking in ready:
            os.read(waking, 4096)
            _report_ends(reports)
        if requests.fileno() not in ready:
            continue
        size, descriptors, _, _ = socket.recv_fds(requests, 4, 4)
        if not size:
            return None
        request: dict[str, Any] = json.loads(_read(requests, int.from_bytes(size, "big")))
        *streams, report = descriptors
        run = os.fork()
        if not run:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.detach()
            for number, descriptor in enumerate(streams):
                os.dup2(descriptor, number)
            os.closerange(_FIRST_OTHER, _MOST_DESCRIPTORS)
            return request
        for descriptor in streams:
            os.close(descriptor)
        reports[run] = report
        _tell(report, run)


def _report_ends(reports: dict[int, int]) -> None:
    for run in list(reports):
        ended, status = os.waitpid(run, os.WNOHANG)
        if ended:
            report = reports.pop(run)
            _tell(report, os.waitstatus_to_exitcode(status))
            os.close(report)


def _tell(report: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for this run any more
        os.write(report, b"%d\n" % number)


def _read(requests: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += requests.recv(size - len(data))
    return data


def main() -> None:
    """Serve; in each forked process, be `session`."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    _load()
    request = _serve(requests)
    if request is None:
        return
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv = request["arguments"]
    from session_cli.__main__ import main as session

    try:
        session()
    except SystemExit as end:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        if end.code is None or isinstance(end.code, int):
            # Taking apart all that was loaded would cost more than most runs do.
            os._exit(end.code or 0)
        raise


if __name__ == "__main__":
    main()
