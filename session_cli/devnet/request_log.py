"""What every part of the network saw of each request: sizes and kinds, never ids or contents."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

Kind = Literal["storage", "onion", "seed", "file", "community"]
Role = Literal["guard", "middle", "exit", "destination"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as one part of the network saw it.

    `node` is the service node's index (None for the seed node and the servers). `method` is the RPC method, or
    the HTTP method and route. `parts` names the calls inside of a batch or sequence. An onion request leaves one
    record at every node it passes: its `role`, the size of the layer it was given, and its neighbours on the path:
    `previous` (None: the client itself) and `following` (None: nobody, or a server outside).
    """

    kind: Kind
    node: int | None
    method: str
    status: int
    role: Role | None = None
    layer_bytes: int = 0
    parts: tuple[str, ...] = ()
    previous: int | None = None
    following: int | None = None


class RequestLog:
    """The latest records, oldest first. Written by the network's thread, readable from any."""

    def __init__(self, size: int) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, record: RequestRecord) -> None:
        """Append a record; beyond the size the oldest goes."""
        with self._lock:
            self._records.append(record)

    def snapshot(self) -> list[RequestRecord]:
        """All records kept, oldest first."""
        with self._lock:
            return list(self._records)
