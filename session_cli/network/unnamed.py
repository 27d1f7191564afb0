"""Errors about a server, without its name until they leave the network floor.

What goes wrong is written into the cache, which is not encrypted. Which communities somebody is in has no place there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import NetworkError, OnionError, PathFailed
from ..protocol.onion import ServerDestination

SOME_SERVER = "The server"
"""How messages begin, or go on, that speak of a server without its name."""


@contextmanager
def without_name(server: ServerDestination) -> Iterator[None]:
    """Take the server's address out of the errors that pass here; of a path, they get to say where it led.

    Turns OnionError into PathFailed.
    """
    try:
        yield
    except OnionError as error:
        raise PathFailed(f"{SOME_SERVER}, or the way to it: {error.message}") from None
    except PathFailed as error:
        if error.node is not None or SOME_SERVER in error.message:
            raise
        raise PathFailed(f"{SOME_SERVER}, or the way to it: {error.message}") from None
    except NetworkError as error:
        if _place(server) not in error.message:
            raise
        raise type(error)(error.message.replace(_place(server), SOME_SERVER)) from None


@contextmanager
def with_name(server: ServerDestination, kind: str) -> Iterator[None]:
    """Put the server's address into the errors that pass here; `kind` says what kind of server it is."""
    try:
        yield
    except NetworkError as error:
        if SOME_SERVER not in error.message:
            raise
        raise type(error)(error.message.replace(SOME_SERVER, f"The {kind} {_place(server)}", 1)) from None


def _place(server: ServerDestination) -> str:
    return server.host if server.port is None else f"{server.host}:{server.port}"
