"""What a local network can be told before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .community_options import CommunityOptions

HARD_FORK = (19, 6)
STORAGE_VERSION = (2, 8, 0)
SERVER_NAME = "Oxen Storage Server/" + ".".join(map(str, STORAGE_VERSION))
DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A service node whose identity is given instead of drawn.

    `seed` is its 32-byte Ed25519 seed, from which the X25519 key follows. What is None is chosen: an own loopback
    address, a free port, a swarm by position. `legacy_public` (32 bytes) defaults to the Ed25519 key, as on most
    real nodes.
    """

    seed: bytes = field(repr=False)
    ip: str | None = None
    port: int | None = None
    swarm_id: int | None = None
    omq_port: int | None = None
    legacy_public: bytes | None = None


@dataclass(frozen=True, slots=True)
class FileServerOptions:
    """How the file server behaves.

    `content_ids` True is the present server: ids made from the content, a TTL of the uploader's choice, extension.
    False is that of November 2024: random decimal ids and one TTL for all. `x25519_secret` (32 bytes) pins the onion
    key alone; otherwise the key pair comes from an Ed25519 seed, given or drawn. `releases` and `token_info` hold the
    JSON objects of `/session_version` (by platform) and `/token_info`, which a network without them refuses.
    """

    content_ids: bool = True
    ttl: int = 14 * DAY
    max_ttl: int | None = 14 * DAY
    seed: bytes | None = field(default=None, repr=False)
    x25519_secret: bytes | None = field(default=None, repr=False)
    releases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    token_info: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DevnetOptions:
    """A local network, before it starts.

    `host` None gives every node its own loopback address where the system has them (Linux), else its own port on
    127.0.0.1; an IPv4 address makes all listen there, from `port_base` on (None or 0: free ports). With `data_dir`
    keys, addresses, messages and files survive a restart; what was drawn or given at the first start then stays.

    `max_file_size` counts encrypted bytes; the default takes a file of 100 MB, encrypted as attachments are.

    Times are in seconds. `clock` is what all parts take for the time of day, so that tests can move it. `peer_timeout`
    is how long a swarm member waits for another, `hop_timeout` a node for the next hop of an onion request,
    `server_timeout` the last hop for a server. Without `community` there is no community
    server. `ons` maps name hashes (hex) to the registered records.
    """

    nodes: int = 12
    swarms: int = 3
    data_dir: Path | None = None
    host: str | None = None
    port_base: int | None = None
    max_file_size: int = 100_000_064
    node_specs: Sequence[NodeSpec] | None = None
    peer_timeout: float = 5.0
    hop_timeout: float = 30.0
    server_timeout: float = 25.0
    clock: Callable[[], float] = time.time
    file_server: FileServerOptions = field(default_factory=FileServerOptions)
    community: CommunityOptions | None = None
    height: int = 1_900_000
    block_hash: str | None = None
    ons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    request_log_size: int = 100_000
