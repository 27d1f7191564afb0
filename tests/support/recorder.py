"""Runs the program, or a piece of code, and writes down every use of sockets; `tests.support.sockets` reads it.

    python recorder.py DESCRIPTOR session ARGUMENT...
    python recorder.py DESCRIPTOR code SOURCE

What would lead off this machine is written down and then refused, so that not even a leak gets out of a test.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import sys
from typing import Any

_ADDRESSED = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")
_FORWARD = ("socket.getaddrinfo", "socket.gethostbyname")
_REVERSE = ("socket.gethostbyaddr", "socket.getnameinfo")
_CHILDREN = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system")
_FIRST_FREE = 100


def install(descriptor: int) -> None:
    """Write down from now on, as JSON lines: events of sockets, and of processes, which nobody would watch."""
    # Out of the way: programs may count on getting the lowest numbers for their own files.
    target = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.close(descriptor)

    def record(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _ADDRESSED:
            address, allowed = arguments[1], _is_here(arguments[1])
        elif event in _FORWARD:
            address, allowed = arguments[0], _is_literal(arguments[0])
        elif event in _REVERSE:
            address, allowed = arguments[0], False
        elif event in _CHILDREN:
            address, allowed = None, True
        else:
            return
        line = json.dumps({"event": event, "address": address, "foreign": not allowed}, default=repr) + "\n"
        os.write(target, line.encode())
        if not allowed:
            raise PermissionError(f"{event} of {address!r} is not for tests")

    sys.addaudithook(record)


def _is_here(address: Any) -> bool:
    """Whether an address is this machine's: a path, or a loopback address; None is that of a connected socket."""
    if not isinstance(address, tuple):
        return True
    return _is_literal(address[0]) and ipaddress.ip_address(address[0]).is_loopback


def _is_literal(host: Any) -> bool:
    """Whether nobody need be asked for the address of a host."""
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return host is None
    return True


def _run() -> None:
    _, descriptor, what, *arguments = sys.argv
    # As if the installed program had been started: this file's folder is none of its business.
    del sys.path[0]
    install(int(descriptor))
    if what == "code":
        exec(compile(arguments[0], "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102 - that is the task
        return
    sys.argv = ["session", *arguments]
    from session_cli.__main__ import main

    main()


if __name__ == "__main__":
    _run()
