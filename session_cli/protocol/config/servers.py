"""The addresses of communities, and the branch of a config that lists rooms by the server they are on.

    base_url → { # server key, R → { room → entry } }

A base URL has scheme and host in lower case and no port if it is the scheme's own, and no path. A room is found by its
name in lower case. A server that is left without rooms goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...errors import InvalidInput, InvalidUrl
from .fields import KEY_BYTES, blob
from .tree import Tree

MAX_BASE_URL_BYTES = 267
MAX_ROOM_BYTES = 64
_SERVER_KEY = b"#"
_ROOMS = b"R"
_URL = re.compile(r"(https?)://([0-9a-z-]+(?:\.[0-9a-z-]+)+)(?::([0-9]{1,5}))?/?", re.ASCII)
_ROOM = re.compile(r"[-_0-9a-z]{1,64}", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}

Path = tuple[bytes, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Room:
    """An entry of such a branch. `name` is in lower case."""

    base_url: str
    name: str
    server_key: bytes
    entry: Tree = field(repr=False)


def canonical_base_url(url: str) -> str:
    """The one form of a community server's address. Raises InvalidUrl."""
    match = _URL.fullmatch(url.lower()) if url.isascii() else None
    if not match:
        raise InvalidUrl(
            "A community's address is http:// or https:// with a host, which has a dot in its name, and perhaps a port."
        )
    scheme, host, port = match.groups()
    number = int(port) if port else 0
    if number > 65_535:
        raise InvalidUrl("A community's address has a port that does not exist.")
    base_url = f"{scheme}://{host}"
    if number not in (0, _DEFAULT_PORTS[scheme]):
        base_url += f":{number}"
    if len(base_url) > MAX_BASE_URL_BYTES:
        raise InvalidUrl("A community's address is too long.")
    return base_url


def canonical_room(room: str) -> str:
    """A room's name in lower case. Raises InvalidUrl."""
    lower = room.lower()
    if not room.isascii() or not _ROOM.fullmatch(lower):
        raise InvalidUrl("A community's room has up to 64 letters, digits, hyphens and underscores.")
    return lower


def path(top: bytes, base_url: str, room: str) -> Path:
    """Where an entry stands. Raises InvalidUrl for an address or a room that can't be."""
    return top, canonical_base_url(base_url).encode(), _ROOMS, canonical_room(room).encode()


def rooms(data: Tree, top: bytes) -> Iterator[Room]:
    """All entries under a key of the data, in their order; without those that can't be what they should."""
    for raw_url, server in sorted(data.branch(top).items()):
        server_key = blob(server, _SERVER_KEY, KEY_BYTES) if isinstance(server, Tree) else None
        base_url = raw_url.decode(errors="replace")
        if server_key is None or not _is_canonical(base_url):
            continue
        for raw_room, entry in sorted(data.branch(top, raw_url, _ROOMS).items()):
            name = raw_room.decode(errors="replace")
            if isinstance(entry, Tree) and _ROOM.fullmatch(name):
                yield Room(base_url, name, server_key, entry)


def room(data: Tree, at: Path) -> Room | None:
    """The entry at a path, or None."""
    server_key, entry = blob(data.branch(*at[:2]), _SERVER_KEY, KEY_BYTES), data.branch(*at)
    return Room(at[1].decode(), at[3].decode(), server_key, entry) if server_key and entry else None


def with_room(data: Tree, at: Path, server_key: bytes, entry: Tree) -> Tree:
    """The data with an entry, and with its server's key (32 bytes), if the entry is not empty. Raises InvalidInput."""
    if len(server_key) != KEY_BYTES:
        raise InvalidInput("A community server's key has 32 bytes.")
    if not entry:
        return without_room(data, at)
    return data.with_value(at, entry).with_value((*at[:2], _SERVER_KEY), server_key)


def without_room(data: Tree, at: Path) -> Tree:
    """The data without an entry, and without its server if that was the last one."""
    if not data.branch(*at):
        return data
    data = data.with_value(at, None)
    return data if data.branch(*at[:3]) else data.with_value(at[:2], None)


def _is_canonical(base_url: str) -> bool:
    try:
        return canonical_base_url(base_url) == base_url
    except InvalidUrl:
        return False
