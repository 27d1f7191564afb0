"""The addresses of community servers, of their rooms and of the files in them.

    https://host[:port]/room?public_key=<the server's X25519 key>

Apps and people write it in several ways; all of them lead to one canonical form, under which rooms are compared and
travel to other devices. Whoever gives the address vouches for the key in it: nothing else does.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ...errors import InvalidUrl
from ..config.servers import canonical_base_url, canonical_room
from ..onion import ServerDestination
from ..payload import AttachmentPointer
from .values import MAX_NUMBER

_KEY_BYTES = 32
_KEY_NAME = "?public_key="
_BASE32Z = str.maketrans("ybndrfg8ejkmcpqxot1uwisza345h769", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_FILE = re.compile(r"/file/([0-9]{1,19})/?\Z", re.ASCII)
_LEGACY_HOSTS = ("http://116.203.70.33", "https://116.203.70.33", "http://open.getsession.org")


@dataclass(frozen=True, slots=True)
class CommunityServer:
    """A server: its base URL in the canonical form, and its X25519 key (32 bytes)."""

    base_url: str
    key: bytes

    def destination(self) -> ServerDestination:
        """The server as the end of an onion path."""
        parts = urlsplit(self.base_url)
        return ServerDestination(parts.hostname or "", self.key, parts.scheme, parts.port)


OFFICIAL = CommunityServer(
    "https://open.getsession.org",
    bytes.fromhex("a03c383cf63c3c4efe67acc52112a6dd734b3a946b9545f488aaa93da7991238"),
)
"""The server whose rooms the apps suggest."""


@dataclass(frozen=True, slots=True)
class CommunityUrl:
    """The address of a room. `room` is in lower case; the server knows how its people write it."""

    server: CommunityServer
    room: str

    def text(self) -> str:
        """The canonical form, which is what others are given."""
        return f"{self.server.base_url}/{self.room}{_KEY_NAME}{self.server.key.hex()}"


def parse_url(text: str) -> CommunityUrl:
    """The address of a room, in any form that an app or a server writes. Raises InvalidUrl."""
    address, key = _split_key(text)
    base_url, slash, room = address.rpartition("/r/")
    if not slash:
        base_url, _, room = address.rpartition("/")
    if base_url.endswith((":", ":/")) or not base_url:
        raise InvalidUrl("A community's address names a room: https://host/room?public_key=...")
    if key is None:
        raise InvalidUrl("A community's address ends in ?public_key= and the server's key; this one has none.")
    return CommunityUrl(_server(base_url, key), canonical_room(room))


def room_address(text: str) -> str:
    """What a room is known by, of an address of it without the key, in any form; without a scheme, without one.

    Raises InvalidUrl.
    """
    if "://" not in text:
        return room_address(f"http://{text}").partition("://")[2]
    base_url, slash, room = text.rpartition("/r/")
    if not slash:
        base_url, _, room = text.rpartition("/")
    return f"{_current(canonical_base_url(base_url))}/{canonical_room(room)}"


def parse_server_url(text: str) -> CommunityServer:
    """The server of an address, with or without a room. Only the official one needs no key. Raises InvalidUrl."""
    address, key = _split_key(text)
    scheme, _, rest = address.rpartition("://")
    base_url = canonical_base_url(f"{scheme}://{rest.partition('/')[0]}")
    if key is None:
        if _current(base_url) != OFFICIAL.base_url:
            raise InvalidUrl("A community server's address ends in ?public_key= and its key; this one has none.")
        return OFFICIAL
    return _server(base_url, key)


def canonical_server(server: CommunityServer) -> CommunityServer:
    """A server with its base URL in the canonical form, and not under a former address. Raises InvalidUrl."""
    return replace(server, base_url=_current(canonical_base_url(server.base_url)))


def file_url(server: CommunityServer, room: str, file_id: int) -> str:
    """Where a file of a room lies, as pointers to it say."""
    return f"{server.base_url}/room/{room}/file/{file_id}"


def file_id_of(pointer: AttachmentPointer) -> int:
    """The number of a room's file. Nothing else of its address is believed: it lies in the room that names it.

    Raises InvalidUrl if there is none.
    """
    match = _FILE.search(_path_of(pointer.url))
    number = int(match[1]) if match else pointer.server_id
    if not 0 < number <= MAX_NUMBER:
        raise InvalidUrl("The attachment's address names no file of a community.")
    return number


def _split_key(text: str) -> tuple[str, bytes | None]:
    """An address with its scheme but without its key, and the key."""
    address, mark, key = text.strip().rpartition(_KEY_NAME)
    if not mark:
        address, key = key, ""
    if "://" not in address:
        address = f"http://{address}"
    return address, _parse_key(key) if mark else None


def _parse_key(text: str) -> bytes:
    key = b""
    try:
        match len(text):
            case 64:
                key = binascii.unhexlify(text)
            case 43 | 44:
                key = base64.b64decode(text.ljust(44, "="), validate=True)
            case 52:
                key = base64.b32decode(text.lower().translate(_BASE32Z) + "====")
    except ValueError:
        pass
    if len(key) != _KEY_BYTES:
        raise InvalidUrl("The public_key in a community's address is 64 hex digits; this one can't be read.")
    return key


def _server(base_url: str, key: bytes) -> CommunityServer:
    server = canonical_server(CommunityServer(base_url, key))
    if server.base_url == OFFICIAL.base_url and server.key != OFFICIAL.key:
        raise InvalidUrl("This address gives Session's own server another key than it has: somebody may be cheating.")
    return server


def _current(base_url: str) -> str:
    return OFFICIAL.base_url if base_url in _LEGACY_HOSTS else base_url


def _path_of(url: str) -> str:
    """The path of an address; empty for one that can't be taken apart."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
