"""Which network to talk to: its seeds, servers and peculiarities.

Two definitions are built in (`mainnet`, `testnet`); any other comes from a TOML file, such as the local network
writes. Nothing else in the client knows one network from another. Such a file has

    id, name, hops, ons, subnet_diversity           what the network is called, and its peculiarities
    [[seeds]]         url, certificate_sha256       at least one
    [file_server]     url, ed25519, x25519, max_file_size
    [community]       url, x25519, rooms            not every network has one
    fallback_nodes    a list of tables of ed25519, ip, port
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import InvalidNetworkDefinition

if TYPE_CHECKING:
    from ..protocol.onion import ServerDestination


@dataclass(frozen=True, slots=True)
class Seed:
    """A node of the chain that gives out the list of service nodes.

    `certificate_sha256` (64 hex digits) pins its TLS certificate; without a pin the system's authorities must vouch
    for it. Plain http is allowed where the network itself has nothing better (testnet).
    """

    url: str
    certificate_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class FallbackNode:
    """A service node that is asked for the list where no seed answers; its key (32 bytes) vouches for it."""

    ed25519: bytes
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class FileServer:
    """Where attachments go. Keys are 32 bytes; `max_file_size` counts the encrypted bytes it takes."""

    url: str
    ed25519: bytes
    x25519: bytes
    max_file_size: int

    def destination(self) -> ServerDestination:
        """The server as the end of an onion path."""
        return server_destination(self.url, self.x25519)


@dataclass(frozen=True, slots=True)
class DefaultCommunity:
    """The network's own community server: its base URL and key (32 bytes).

    `rooms` are tokens of rooms that can be joined by their token alone; others need their URL.
    """

    url: str
    x25519: bytes
    rooms: tuple[str, ...] = ()

    def room_url(self, token: str) -> str:
        """What a room is joined with."""
        return f"{self.url}/{token}?public_key={self.x25519.hex()}"


def server_destination(url: str, x25519: bytes) -> ServerDestination:
    """A server as the end of an onion path, from its URL and X25519 key (32 bytes)."""
    from ..protocol.onion import ServerDestination

    parts = urlsplit(url)
    host = parts.hostname or ""
    return ServerDestination(
        host=f"[{host}]" if ":" in host else host, x25519=x25519, protocol=parts.scheme, port=parts.port
    )


@dataclass(frozen=True, slots=True)
class NetworkDefinition:
    """All that the client knows of a network before it has asked anybody.

    `id` distinguishes networks in profiles and caches; `subnet_diversity` keeps the hops of a path in different /24
    networks, which a network on one machine can't offer.
    """

    id: str
    name: str
    seeds: tuple[Seed, ...]
    file_server: FileServer
    hops: int = 3
    subnet_diversity: bool = True
    ons: bool = True
    fallback_nodes: tuple[FallbackNode, ...] = ()
    community: DefaultCommunity | None = None


MAINNET = NetworkDefinition(
    id="mainnet",
    name="mainnet",
    seeds=(
        Seed(
            "https://seed1.getsession.org:4443",
            "36ea0b253537988551ee856e4fd20d55011e9c8b27eaa2f34b8f32a0bdf04f2d",
        ),
        Seed(
            "https://seed2.getsession.org:4443",
            "c5908dd4139acd96aedd1e45576597650809c8a5ea02af556d4853d45396e0e7",
        ),
        Seed(
            "https://seed3.getsession.org:4443",
            "8a0af2c712342f22ce00e53c1601410ef8d84156aee0a9809c32f6f7efbe556e",
        ),
    ),
    file_server=FileServer(
        "http://filev2.getsession.org",
        bytes.fromhex("b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371"),
        bytes.fromhex("09324794aa9c11948189762d198c618148e9136ac9582068180661208927ef34"),
        10_000_000,
    ),
    # Its rooms come and go; the server itself tells of them.
    community=DefaultCommunity(
        "https://open.getsession.org",
        bytes.fromhex("a03c383cf63c3c4efe67acc52112a6dd734b3a946b9545f488aaa93da7991238"),
    ),
    # The storage servers from which the official library starts.
    fallback_nodes=(
        FallbackNode(
            bytes.fromhex("1f000f09a7b07828dcb72af7cd16857050c10c02bd58afb0e38111fb6cda1fef"), "95.216.33.113", 22100
        ),
        FallbackNode(
            bytes.fromhex("1f101f0acee4db6f31aaa8b4df134e85ca8a4878efaef7f971e88ab144c1a7ce"), "37.27.236.229", 22101
        ),
        FallbackNode(
            bytes.fromhex("1f202f00f4d2d4acc01e20773999a291cf3e3136c325474d159814e06199919f"), "172.96.140.124", 22102
        ),
        FallbackNode(
            bytes.fromhex("1f303f1d7523c46fa5398826740d13282d26b5de90fbae5749442f66afb6d78b"), "208.73.207.54", 22103
        ),
        FallbackNode(
            bytes.fromhex("1f604f1c858a121a681d8f9b470ef72e6946ee1b9c5ad15a35e16b50c28db7b0"), "104.194.8.115", 22104
        ),
    ),
)

TESTNET = NetworkDefinition(
    id="testnet",
    name="testnet",
    seeds=(Seed("http://seed2.getsession.org:38157"), Seed("http://public.session.foundation:38157")),
    file_server=FileServer(
        "http://superduperfiles.oxen.io",
        bytes.fromhex("929e33ded05e653fec04b49645117f51851f102a947e04806791be416ed76602"),
        bytes.fromhex("16d6c60aebb0851de7e6f4dc0a4734671dbf80f73664c008596511454cb6576d"),
        10_000_000,
    ),
    ons=False,
)

BUILT_IN = {definition.name: definition for definition in (MAINNET, TESTNET)}


def load_definition(name_or_path: str) -> NetworkDefinition:
    """A built-in network by name, else the TOML file at that path. Raises InvalidNetworkDefinition."""
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path]
    import tomllib

    path = Path(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidNetworkDefinition(
            f"There is no network {name_or_path!r}: neither {' nor '.join(BUILT_IN)}, nor a file. "
            "If it was a local network, it may have been stopped."
        ) from None
    except OSError as error:
        raise InvalidNetworkDefinition(f"Can't read the network definition {path}: {error.strerror}.") from None
    except ValueError as error:
        raise InvalidNetworkDefinition(f"The network definition {path} is no valid TOML: {error}.") from None
    return parse_definition(table, str(path))


def parse_definition(table: dict[str, Any], origin: str) -> NetworkDefinition:
    """A definition from its TOML tables; `origin` names it in errors. Raises InvalidNetworkDefinition."""
    reader = _Reader(origin)
    server = reader.take(table, "file_server", dict)
    seeds = tuple(
        Seed(reader.url(seed, "url"), reader.hex(seed, "certificate_sha256", optional=True))
        for seed in reader.take(table, "seeds", list)
    )
    if not seeds:
        raise InvalidNetworkDefinition(f"The network definition {origin} names no seeds.")
    hops = reader.take(table, "hops", int, default=3)
    if not 1 <= hops <= 8:
        raise InvalidNetworkDefinition(f"The network definition {origin} wants {hops} hops; 1 to 8 are possible.")
    network_id = reader.take(table, "id", str)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", network_id):
        raise InvalidNetworkDefinition(
            f"The network definition {origin} needs an 'id' of letters, digits, dots, hyphens and underscores."
        )
    if network_id in BUILT_IN:
        raise InvalidNetworkDefinition(f"The network definition {origin} takes the id of a built-in network.")
    max_file_size = reader.take(server, "max_file_size", int, default=10_000_000)
    if max_file_size < 1:
        raise InvalidNetworkDefinition(f"The network definition {origin} needs a positive 'max_file_size'.")
    return NetworkDefinition(
        id=network_id,
        name=reader.take(table, "name", str),
        seeds=seeds,
        file_server=FileServer(
            reader.url(server, "url"),
            bytes.fromhex(reader.hex(server, "ed25519") or ""),
            bytes.fromhex(reader.hex(server, "x25519") or ""),
            max_file_size,
        ),
        hops=hops,
        subnet_diversity=reader.take(table, "subnet_diversity", bool, default=True),
        ons=reader.take(table, "ons", bool, default=False),
        fallback_nodes=tuple(map(reader.node, reader.take(table, "fallback_nodes", list, default=[]))),
        community=reader.community(table),
    )


class _Reader:
    """Takes typed values out of TOML tables, and says what is wrong in words of the file."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def take(self, table: Any, name: str, kind: type, default: Any = None) -> Any:
        value = table.get(name, default) if isinstance(table, dict) else None
        if type(value) is not kind:
            words = {str: "a text", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}
            raise InvalidNetworkDefinition(f"The network definition {self._origin} needs {name!r} to be {words[kind]}.")
        return value

    def hex(self, table: Any, name: str, *, optional: bool = False) -> str | None:
        if optional and isinstance(table, dict) and name not in table:
            return None
        value: str = self.take(table, name, str).lower()
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            raise InvalidNetworkDefinition(f"The network definition {self._origin} needs 64 hex digits in {name!r}.")
        return value

    def node(self, table: Any) -> FallbackNode:
        key = self.hex(table, "ed25519") or ""
        ip, port = self.take(table, "ip", str), self.take(table, "port", int)
        if not re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", ip) or not 0 < port < 65536:
            raise InvalidNetworkDefinition(
                f"The network definition {self._origin} needs an IPv4 address and a port for each fallback node."
            )
        return FallbackNode(bytes.fromhex(key), ip, port)

    def community(self, table: dict[str, Any]) -> DefaultCommunity | None:
        if "community" not in table:
            return None
        server = self.take(table, "community", dict)
        rooms = self.take(server, "rooms", list, default=[])
        if not all(isinstance(token, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", token) for token in rooms):
            raise InvalidNetworkDefinition(
                f"The network definition {self._origin} needs 'rooms' to be a list of room tokens: letters, digits, "
                "hyphens and underscores."
            )
        return DefaultCommunity(self.url(server, "url"), bytes.fromhex(self.hex(server, "x25519") or ""), tuple(rooms))

    def url(self, table: Any, name: str) -> str:
        value: str = self.take(table, name, str)
        try:
            parts = urlsplit(value)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            plain = host if parts.port is None else f"{host}:{parts.port}"
            # Written otherwise (user names, ports like 0443), a certificate's pin could be looked up in vain.
            valid = parts.scheme in ("http", "https") and bool(host) and parts.port != 0 and value.isascii()
            valid = valid and parts.netloc.lower() == plain
        except ValueError:
            valid = False
        if not valid:
            raise InvalidNetworkDefinition(f"The network definition {self._origin} needs an http(s) URL in {name!r}.")
        return value.rstrip("/")
