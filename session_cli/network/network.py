"""One object for all that the core needs of the network."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from .clock import Deadline, NetworkClock
from .definition import NetworkDefinition
from .node_list import NodeListSource
from .onion import OnionClient
from .pool import NodePool
from .swarm import SwarmClient
from .transport import Transport

if TYPE_CHECKING:
    from .community import CommunityClient
    from .file_server import FileServerClient
    from .swarm_upkeep import SwarmUpkeep


class Network:
    """A network as this machine reaches it. Nothing is sent before the first request; use it as a context manager.

    `direct` leaves out the onion paths: whoever is asked sees our address. Without `keep` nothing that is learnt is
    written to the cache folder.
    """

    def __init__(
        self,
        definition: NetworkDefinition,
        cache_folder: Path,
        *,
        proxy: str | None = None,
        direct: bool = False,
        keep: bool = True,
    ) -> None:
        self.definition = definition
        self._transport = Transport(proxy)
        self.pool = NodePool(definition, cache_folder, keep=keep)
        self.clock = NetworkClock(self.pool.state.clock_offset_ms, self.pool.state.clock_samples)
        self.onion = OnionClient(
            self.pool, self._transport, self.clock, ready=self._ready, refresh=self._refresh, direct=direct
        )
        self.list = NodeListSource(self.pool, self._transport, self.onion)
        self.swarm = SwarmClient(self.onion, self.list.refresh)

    @cached_property
    def files(self) -> FileServerClient:
        """The file server; loaded when it is used, since most commands move no files."""
        from .file_server import FileServerClient
        from .transfers import Transfers

        return FileServerClient(Transfers(self.onion, self._transport), self.definition.file_server)

    @cached_property
    def communities(self) -> CommunityClient:
        """Community servers; loaded when they are used, since most people are in none."""
        from .community import CommunityClient

        return CommunityClient(self.onion, self._transport)

    @cached_property
    def upkeep(self) -> SwarmUpkeep:
        """Calls on what our own swarm holds; loaded when it is used, since most runs leave that alone."""
        from .swarm_upkeep import SwarmUpkeep

        return SwarmUpkeep(self.swarm)

    def prepare(self, deadline: Deadline) -> None:
        """Have a list of nodes and guards, once and for all threads. Raises NetworkError."""
        self.onion.prepare(deadline)

    def _ready(self, deadline: Deadline) -> None:
        self.list.ensure(deadline)

    def _refresh(self, deadline: Deadline) -> None:
        self.list.refresh_from_seeds(deadline)

    def close(self) -> None:
        """Write down what was learnt, and close all connections."""
        self.pool.save()
        self._transport.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
