"""A service node of a running network, seen from outside of the network's thread."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from .directory import Directory
from .replies import Reply
from .service_node import ServiceNode

T = TypeVar("T")


class Network(Protocol):
    """What a handle needs of its network."""

    directory: Directory

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the network's thread, and wait for it."""


class NodeHandle:
    """A node: where it is, and ways to stop, start, empty and move it."""

    def __init__(self, network: Network, node: ServiceNode) -> None:
        self._network = network
        self._node = node

    @property
    def index(self) -> int:
        """Its place in the list, from 0."""
        return self._node.member.index

    @property
    def ed25519(self) -> bytes:
        """The identity, 32 bytes."""
        return self._node.member.ed25519

    @property
    def x25519(self) -> bytes:
        """The key to which layers are sealed, 32 bytes."""
        return self._node.member.x25519

    @property
    def ip(self) -> str:
        return self._node.member.ip

    @property
    def port(self) -> int:
        """The HTTPS port."""
        return self._node.member.port

    @property
    def swarm_id(self) -> int | None:
        """Its swarm; None while it is in none, and serves nobody."""
        return self._node.member.swarm_id

    @property
    def running(self) -> bool:
        return self._node.member.running

    def stop(self) -> None:
        """Make it unreachable, for clients and for the other nodes. Does nothing if it is."""
        if self.running:
            self._network.call(self._node.stop())

    def start(self) -> None:
        """Bring it back on its address, with what it had stored, and what its peers still hold for it."""
        self._network.call(self._start())

    async def _start(self) -> None:
        if not self.running:
            await self._node.start()
            self._network.directory.deliver_queued(self._node.member)

    def answer(self, body: bytes) -> Reply:
        """Its answer to a storage RPC (JSON of method and params), asked without HTTP in between."""

        async def answer() -> Reply:
            return (await self._node.rpc.answer(body)).reply

        return self._network.call(answer())

    def wipe(self) -> None:
        """Empty its database."""

        async def wipe() -> None:
            self._node.member.storage.wipe()

        self._network.call(wipe())

    def join_swarm(self, swarm_id: int | None) -> None:
        """Move it to another swarm, or out of all (None); the others push what it should then have."""

        async def move() -> None:
            self._network.directory.move(self._node.member, swarm_id)

        self._network.call(move())
