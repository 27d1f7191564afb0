"""One object for all that the core needs of the network."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from .clock import NetworkClock
from .definition import NetworkDefinition
from .file_server import FileServerClient
from .onion import OnionClient
from .pool import NodePool
from .swarm import SwarmClient
from .transport import Transport


class Network:
    """A network as this machine reaches it. Nothing is sent before the first request; use it as a context manager."""

    def __init__(self, definition: NetworkDefinition, cache_folder: Path, *, proxy: str | None = None) -> None:
        self.definition = definition
        self._transport = Transport(proxy)
        self.pool = NodePool(definition, self._transport, cache_folder / f"{definition.id}.json")
        self.clock = NetworkClock(self.pool.state.clock_offset_ms)
        self.onion = OnionClient(self.pool, self._transport, self.clock)
        self.swarm = SwarmClient(self.onion)
        self.files = FileServerClient(self.onion, definition.file_server)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
