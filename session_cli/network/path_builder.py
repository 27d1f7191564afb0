"""Finding nodes that answer: guards, and where chance has not helped, the hops behind them.

A path of three nodes drawn blindly works only if all three do. Where that has failed, it is built hop by hop: the guard
carries a question to a node that may become the second hop, the two carry one to a third. Nobody learns by that what
they would not learn from the path itself, and who is to blame for silence is certain.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from ..errors import (
    NetworkError,
    NetworkUnreachable,
    ProtocolError,
    ServiceRefused,
    SessionError,
)
from ..protocol.storage_rpc import ServiceNode
from .clock import Deadline
from .pace import Pace
from .parallel import Attempt, first_success, run_parallel
from .path import DIRECTLY, PATHS, Path, PathBook
from .pool import NodePool, subnet_of
from .pool_cache import State
from .transport import Cancellation
from .trial import NoPath, OnionAttempt

LOG = logging.getLogger(__name__)

GUARDS_TRIED = 4
HOPS_TRIED = 8
Probe = Callable[[ServiceNode, Path, Cancellation], Any]
"""Asks a node over a path for what no stranger could tell us by: its version, sealed to it alone."""


class PathBuilder:
    """Builds paths for a PathBook out of the nodes of its pool."""

    def __init__(
        self, pool: NodePool, paths: PathBook, pace: Pace, probe: Probe, refresh: Callable[[Deadline], None]
    ) -> None:
        self._pool = pool
        self._paths = paths
        self._pace = pace
        self._probe = probe
        self._refresh = refresh
        self._lock = threading.Lock()
        self._problem = ""

    def ensure_guards(self, deadline: Deadline) -> None:
        """Have guards. Does nothing where they are there. Raises NetworkUnreachable if none can be found."""
        self._paths.drop_hopeless()
        if len(self._paths.guards()) >= PATHS:
            return
        with self._lock, self._pool.alone(deadline.limit(self._pace.guard)):
            self._find_guards(deadline)
            if not self._paths.guards():
                # Our list may describe a network that is gone.
                self._refresh(deadline)
                self._find_guards(deadline)
            if not self._paths.guards():
                network = self._pool.definition.name
                raise NetworkUnreachable(f"No guard of the network {network!r} can be reached. {self._problem}")

    def _find_guards(self, deadline: Deadline) -> None:
        taken = {guard.ed25519 for guard in self._paths.guards()}
        missing = PATHS - len(taken)
        lock = threading.Lock()
        # With one guard at hand there is no need to wait long for the other.
        tries = GUARDS_TRIED if missing == PATHS else 1

        def find() -> None:
            guard = self.find_guard(taken, deadline, lock=lock, tries=tries)
            if guard is not None:
                self._paths.add_guard(guard)

        run_parallel([find] * missing)

    def find_guard(
        self, taken: set[bytes], deadline: Deadline, *, lock: threading.Lock | None = None, tries: int = GUARDS_TRIED
    ) -> ServiceNode | None:
        """A node that answers and proves to have its key; None if several don't. Those tried are added to `taken`.

        One after the other is asked, since each of them sees our address.
        """
        return self._find(DIRECTLY, taken, deadline, tries, self._pace.guard, lock or threading.Lock())

    def build(self, guard: ServiceNode, exclude: Collection[bytes], deadline: Deadline) -> Path:
        """A path behind a guard, every hop of which has answered, the guard too. Raises NoPath."""
        definition = self._pool.definition
        lock = threading.Lock()
        itself = Attempt(partial(self._probe, guard, DIRECTLY), self._pace.guard, self._pace.guard)
        try:
            first_success(iter([itself]), deadline)
        except (NetworkError, ServiceRefused, ProtocolError) as error:
            raise NoPath(error.message) from None
        hops = [guard]
        while len(hops) < definition.hops:
            taken = {hop.ed25519 for hop in hops} | set(exclude)
            via = Path(tuple(hops))
            node = self._find(via, taken, deadline, HOPS_TRIED, self._pace.least_patience, lock)
            if node is None:
                raise NoPath("No node behind the guard answers.")
            hops.append(node)
        return Path(tuple(hops), fresh=True)

    def _find(
        self,
        via: Path,
        taken: set[bytes],
        deadline: Deadline,
        tries: int,
        patience_s: float,
        lock: threading.Lock,
    ) -> ServiceNode | None:
        failed: list[bytes] = []
        diverse = self._pool.definition.subnet_diversity
        subnets = {subnet_of(hop) for hop in via.hops} if diverse else ()

        def attempts() -> Iterator[OnionAttempt]:
            for _ in range(tries):
                with lock:
                    node = self._pool.draw(taken, subnets)
                    if node is None:
                        return
                    taken.add(node.ed25519)
                run = partial(self._ask, node, via)
                yield OnionAttempt(run, self._pace.guard, patience_s, path=via, target=node)

        def note(attempt: OnionAttempt, error: SessionError) -> None:
            LOG.info("a node did not answer: %s", error.message)
            self._problem = error.message
            if attempt.target is not None:
                failed.append(attempt.target.ed25519)

        try:
            found: ServiceNode = first_success(attempts(), deadline, note)
        except (NetworkError, ServiceRefused, ProtocolError):
            return None

        def change(state: State) -> None:
            for key in failed:
                state.strike(key)

        if failed:
            self._pool.change(change)
        return found

    def _ask(self, node: ServiceNode, via: Path, cancellation: Cancellation) -> ServiceNode:
        self._probe(node, via, cancellation)
        return node
