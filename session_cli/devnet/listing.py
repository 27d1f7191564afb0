"""A node as the lists of nodes show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

UNUSED_PORT = 1
"""Where nobody listens."""


class Listed(Protocol):
    """What the lists tell of a node, whether it is there or not."""

    @property
    def index(self) -> int: ...
    @property
    def ed25519(self) -> bytes: ...
    @property
    def x25519(self) -> bytes: ...
    @property
    def legacy_public(self) -> bytes: ...
    @property
    def ip(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def omq_port(self) -> int: ...
    @property
    def swarm_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A node as it was listed at some moment, or as somebody made it up. Keys are 32 bytes."""

    index: int
    ed25519: bytes
    x25519: bytes
    legacy_public: bytes
    ip: str
    port: int
    omq_port: int
    swarm_id: int | None

    @classmethod
    def of(cls, node: Listed) -> ListedNode:
        """The node as it is now."""
        return cls(
            node.index,
            node.ed25519,
            node.x25519,
            node.legacy_public,
            node.ip,
            node.port,
            node.omq_port,
            node.swarm_id,
        )
