"""The attempts at one request to service nodes: which node is asked next, over which path, and when.

The first go over paths that were drawn blindly. Where those fail, a path is built hop by hop, and all nodes that may
answer are asked over it; while one is being built, nothing is gained by a second one behind the same guard. Only what
may have come as far as a node counts as a try at it: the way there has limits of its own, its guards and the deadline.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ..errors import PathFailed, SessionError
from ..protocol.storage_rpc import ServiceNode
from .clock import Deadline
from .pace import Pace
from .parallel import Pause
from .path import Path, PathBook
from .path_builder import PathBuilder
from .replies import target_spoke
from .transport import Cancellation
from .trial import Asking, OnionAttempt, Trial

BUILDS_TRIED = 12
"""So many paths may be looked for in vain; from then on, that counts as a try at the node that was to be asked."""
_SILENT_AT_THE_END = 3
"""How many nodes may be silent, one after the other, before the path that leads to them is given up."""


class Candidates(Protocol):
    """Nodes that may answer a request, to be asked in turn."""

    def take(self, rather_not: Collection[bytes] = ()) -> ServiceNode | None:
        """The next one; None if there are no more. Of those waiting, the ones in `rather_not` are the last."""

    def put_back(self, node: ServiceNode) -> None:
        """One that was taken and could not be asked is the next one again."""


class InTurn:
    """Candidates that are known beforehand."""

    def __init__(self, nodes: Iterable[ServiceNode]) -> None:
        self._nodes = deque(nodes)

    def take(self, rather_not: Collection[bytes] = ()) -> ServiceNode | None:
        node = next((node for node in self._nodes if node.ed25519 not in rather_not), None)
        if node is not None:
            self._nodes.remove(node)
        return node or (self._nodes.popleft() if self._nodes else None)

    def put_back(self, node: ServiceNode) -> None:
        self._nodes.appendleft(node)


@dataclass(slots=True)
class _Behind:
    """The paths that were built behind one guard, with the number of nodes that have been silent at its end since."""

    building: bool = False
    paths: dict[Path, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def path_to(self, node: ServiceNode) -> Path | None:
        with self._lock:
            return next((path for path in self.paths if node.ed25519 not in path.keys), None)

    def succeeded(self, path: Path) -> None:
        with self._lock:
            self.paths[path] = 0

    def failed(self, path: Path, error: SessionError) -> None:
        """Note a failure. All hops have just proved to be there, so that it is more likely the node's."""
        hops = {hop.ed25519.hex() for hop in path.hops}
        with self._lock:
            self.paths[path] = self.paths.get(path, 0) + 1
            if self.paths[path] == _SILENT_AT_THE_END or (isinstance(error, PathFailed) and error.node in hops):
                del self.paths[path]


class NodeAttempts:
    """The attempts at one request, as `first_success` takes them.

    `call` asks a node over a path. `failed` is told of each failure that may be the node's own.
    """

    def __init__(
        self,
        trial: Trial,
        candidates: Candidates,
        pace: Pace,
        paths: PathBook,
        call: Callable[[ServiceNode, Path, Cancellation], Any],
        builder: PathBuilder,
        deadline: Deadline,
        failed: Callable[[ServiceNode, SessionError], None] | None,
    ) -> None:
        self._trial = trial
        self._candidates = candidates
        self._pace = pace
        self._paths = paths
        self._call = call
        self._builder = builder
        self._deadline = deadline
        self._failed = failed
        self._behind: dict[bytes, _Behind] = {}
        self._running: list[OnionAttempt] = []
        self._builds_in_vain = 0

    def __iter__(self) -> Iterator[OnionAttempt | Pause]:
        while (node := self._candidates.take(self._trial.only_guard)) is not None or self._running:
            attempt = self._attempt_at(node) if node is not None else None
            if attempt is not None:
                self._trial.begun(attempt)
                self._running.append(attempt)
                yield attempt
                continue
            if node is not None:
                self._candidates.put_back(node)
            yield Pause(self._pace.least_patience / 10)

    def note(self, attempt: OnionAttempt, error: SessionError) -> None:
        """Take note of an attempt that failed. Raises what makes an end."""
        self._running = [other for other in self._running if other is not attempt]
        may_be_the_nodes = self._trial.failed(attempt, error)
        self._builds_in_vain += not attempt.was_asked
        if target_spoke(error) and not attempt.built:
            # Whatever it said came over a path that works.
            self._paths.succeeded(attempt.path, None)
        if attempt.target is None:
            return
        if not may_be_the_nodes and self._builds_in_vain <= BUILDS_TRIED:
            self._candidates.put_back(attempt.target)
        elif self._failed is not None and attempt.was_asked:
            self._failed(attempt.target, error)

    def _attempt_at(self, node: ServiceNode) -> OnionAttempt | None:
        """The next one, if it is time for one: no node has only just been asked, and there is a way to this one."""
        if any(attempt.has_just_asked for attempt in self._running):
            return None
        busy = {guard for guard, behind in self._behind.items() if behind.building}
        path = self._trial.path({node.ed25519}, busy)
        if path is None:
            return None
        patience = self._pace.patience(path.latency_ms)
        if path.guard is None or not self._trial.needs_building:
            return OnionAttempt(partial(self._call, node, path), self._pace.request, patience, path=path, target=node)
        behind, asking = self._behind.setdefault(path.guard.ed25519, _Behind()), Asking()
        behind.building = True
        run = partial(self._call_surely, node, path.guard, behind, asking)
        limit = self._pace.build + self._pace.request
        # Its hops are found later; for now it is only known to go over that guard.
        path = Path(path.hops[:1])
        return OnionAttempt(run, limit, patience, path=path, target=node, built=True, asking=asking)

    def _call_surely(
        self, node: ServiceNode, guard: ServiceNode, behind: _Behind, asking: Asking, cancellation: Cancellation
    ) -> Any:
        """One attempt over a path that is built first, if it has not been for another one."""
        try:
            path = behind.path_to(node)
            if path is None:
                limit = self._deadline.within(self._pace.build)
                path = self._builder.build(guard, {node.ed25519}, limit, cancellation)
                behind.succeeded(path)
        finally:
            behind.building = False
        asking.begin()
        try:
            return self._call(node, path, cancellation)
        except SessionError as error:
            if target_spoke(error):
                behind.succeeded(path)
            elif not cancellation.cancelled:
                behind.failed(path, error)
                self._builder.avoid(node)
            raise
