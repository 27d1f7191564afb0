"""Finding nodes that answer: guards, and where chance has not helped, the hops behind them.

A path of three nodes drawn blindly works only if all three do. Where that has failed, it is built hop by hop: the guard
carries a question to a node that may become the second hop, the two carry one to a third. Nobody learns by that what
they would not learn from the path itself, and who is to blame for silence is certain.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

from ..errors import NetworkUnreachable, ProxyUnreachable, RequestTimeout, SessionError
from ..protocol.storage_rpc import ServiceNode
from .clock import Deadline
from .pace import Pace
from .parallel import Attempt, first_success, run_parallel
from .path import DIRECTLY, PATHS, Path, PathBook
from .pool import MOST_SHOWN, NodePool, subnet_of
from .pool_cache import State, Trouble
from .transport import Cancellation
from .trial import NoPath, OnionAttempt, PathUnfinished

LOG = logging.getLogger(__name__)

HOPS_TRIED = 12
PAUSE_AFTER_SEARCH_S = 300
"""How long one guard has to do when no second one was found."""
Probe = Callable[[ServiceNode, Path, Cancellation], Any]
"""Asks a node over a path for what no stranger could tell us by: its version, sealed to it alone."""


class PathBuilder:
    """Builds paths for a PathBook out of the nodes of its pool. One serves all requests, also at the same time."""

    def __init__(
        self, pool: NodePool, paths: PathBook, pace: Pace, probe: Probe, refresh: Callable[[Deadline], None]
    ) -> None:
        self._pool = pool
        self._paths = paths
        self._pace = pace
        self._probe = probe
        self._refresh = refresh
        self._lock = threading.Lock()
        self._substitutes: list[ServiceNode] = []
        self._avoided: set[bytes] = set()
        """Nodes that were silent, or did not pass on what they were given, as far as this process has seen."""
        self._retested = False
        self._problem = ""

    # Guards.

    def ensure_guards(self, deadline: Deadline) -> None:
        """Have guards. Does nothing where they are there. Raises NetworkUnreachable if none can be found."""
        self._paths.drop_hopeless()
        guards = len(self._paths.guards())
        searched_s = time.time() - self._pool.state.search_failed_s
        if guards >= PATHS or (guards and 0 <= searched_s < PAUSE_AFTER_SEARCH_S):
            return
        with self._lock, self._pool.alone(deadline.limit(self._pace.guard)):
            self._find_guards(deadline)
            if not self._paths.guards():
                # Our list may describe a network that is gone.
                self._refresh(deadline)
                self._find_guards(deadline)
            if not self._paths.guards():
                network = self._pool.definition.name
                reason = (
                    self._problem or f"{MOST_SHOWN} nodes have been tried today, which are enough to see our address."
                )
                raise NetworkUnreachable(f"No guard of the network {network!r} can be reached. {reason}")

    def _find_guards(self, deadline: Deadline) -> None:
        guards = self._paths.guards()
        taken = {guard.ed25519 for guard in guards}
        missing = PATHS - len(guards)
        lock = threading.Lock()
        # With one guard at hand there is no need to wait long for the other.
        tries = MOST_SHOWN if missing == PATHS else 1

        def find() -> None:
            guard = self._find_guard(taken, deadline, lock, tries)
            if guard is not None:
                self._paths.add_guard(guard)

        run_parallel([find] * missing)
        if len(self._paths.guards()) == 1:
            self._pool.change(_note_failed_search)
            self._pool.save()

    def substitute(self, exclude: Collection[bytes], deadline: Deadline) -> ServiceNode | None:
        """A node that answers, to stand in for guards that don't; the same for all requests. None if several fail."""
        left = deadline.left()
        if not self._lock.acquire(timeout=-1 if left is None else left):
            raise RequestTimeout("There was no time to find another guard.")
        try:
            for node in self._substitutes:
                if node.ed25519 not in exclude:
                    return node
            taken = {*exclude, *(guard.ed25519 for guard in self._paths.guards())}
            found = self._find_guard(taken, deadline, threading.Lock(), MOST_SHOWN)
            if found is not None:
                self._substitutes.append(found)
            elif deadline.left() == 0.0:
                raise RequestTimeout("There was no time to find another guard.")
            return found
        finally:
            self._lock.release()

    def retest_guards(self, working: ServiceNode, deadline: Deadline) -> None:
        """Once in a run, ask guards with a strike whether they are there, now that another one works.

        Since the better guard is preferred, a dead one would never be tried again, and never be replaced.
        """
        if self._retested:
            return
        self._retested = True
        limit = 2 * self._pace.least_patience
        for guard in self._paths.guards():
            left = deadline.left()
            if left is not None and left < limit:
                return
            strikes = self._pool.strikes(guard.ed25519)
            if guard == working or not strikes or self._pool.struck_lately(guard.ed25519):
                continue
            try:
                first_success(iter([Attempt(partial(self._probe, guard, DIRECTLY), limit, limit)]), deadline)
            except ProxyUnreachable:
                return
            except SessionError:
                self._pool.strike([guard.ed25519])
            else:
                self._pool.change(partial(_forgive, key=guard.ed25519))

    def _find_guard(
        self, taken: set[bytes], deadline: Deadline, lock: threading.Lock, tries: int
    ) -> ServiceNode | None:
        """A node that answers and proves to have its key; None if several don't. Those tried are added to `taken`.

        One after the other is asked, since each of them sees our address; the next one when one has been silent for
        longer than a node that is there ever is. Half of a network may be dead, and a command has only so much time.
        """
        diverse = self._pool.definition.subnet_diversity

        def candidate() -> ServiceNode | None:
            used = [self._pool.nodes[key] for key in taken if key in self._pool.nodes] if diverse else []
            subnets = {subnet_of(node) for node in used}
            return self._pool.draw_guard(taken | self._avoided, subnets) or self._pool.draw_guard(taken, subnets)

        patience = self._pace.silence
        found = self._find(DIRECTLY, candidate, taken, deadline, tries, patience, lock)
        if found is not None:
            self._pool.note_answer(found)
        return found

    # Hops.

    def avoid(self, node: ServiceNode) -> None:
        """Use others than this one as long as there are any: it was silent at the end of a path that works."""
        self._avoided.add(node.ed25519)

    def build(
        self, guard: ServiceNode, exclude: Collection[bytes], deadline: Deadline, cancellation: Cancellation
    ) -> Path:
        """A path behind a guard, every hop of which has answered and passed on, the guard too.

        Tells `cancellation` when the guard has answered, and ends early when that is cancelled. Raises NoPath if
        nothing gets through behind the guard, PathUnfinished if there was no time.
        """
        self._ask_guard(guard, deadline)
        cancellation.reached = True
        definition = self._pool.definition
        taken = {guard.ed25519, *exclude, *self._avoided.copy()}
        hops, swallowers = [guard], list[bytes]()
        while len(hops) < definition.hops:
            subnets = {subnet_of(hop) for hop in hops} if definition.subnet_diversity else set[str]()
            candidate = partial(self._pool.draw, taken, subnets)
            patience, asked = self._pace.least_patience, len(taken)
            node = self._find(Path(tuple(hops)), candidate, taken, deadline, HOPS_TRIED, patience, threading.Lock())
            if cancellation.cancelled or deadline.left() == 0.0:
                raise PathUnfinished("There was no time to build a path.")
            if node is None and len(taken) == asked:
                self._avoided.clear()  # better one of them than nobody
                raise PathUnfinished("There are too few nodes to build a path.")
            if node is None and len(hops) == 1:
                raise NoPath("No node behind the guard answers.")
            if node is None:
                raise PathUnfinished("None of several nodes answers.")
            if self._passes_on([*hops, node], deadline):
                hops.append(node)
            else:
                # It answers for itself, and swallows what it should pass on.
                swallowers.append(node.ed25519)
                self._avoided.add(node.ed25519)
        self._pool.strike(swallowers)
        return Path(tuple(hops), fresh=True)

    def _passes_on(self, hops: Sequence[ServiceNode], deadline: Deadline) -> bool:
        """Whether the last hop passes on what it is given: a question to the hop before it, which is known to be there.

        That one learns nothing by it: it has the last hop for a neighbour anyway.
        """
        if len(hops) < 2:
            return True
        question = partial(self._probe, hops[-2], Path(tuple(hops)))
        limit = 2 * self._pace.least_patience
        try:
            # Twice: anything can get lost once.
            first_success((Attempt(question, limit, limit / 2) for _ in range(2)), deadline)
        except ProxyUnreachable:
            raise
        except SessionError:
            return False
        return True

    def _ask_guard(self, guard: ServiceNode, deadline: Deadline) -> None:
        itself = Attempt(partial(self._probe, guard, DIRECTLY), self._pace.guard, self._pace.guard)
        try:
            first_success(iter([itself]), deadline)
        except ProxyUnreachable:
            raise
        except SessionError as error:
            if deadline.left() == 0.0:
                raise PathUnfinished("There was no time to build a path.") from None
            raise NoPath(error.message) from None

    def _find(
        self,
        via: Path,
        candidate: Callable[[], ServiceNode | None],
        taken: set[bytes],
        deadline: Deadline,
        tries: int,
        patience_s: float,
        lock: threading.Lock,
    ) -> ServiceNode | None:
        """The first of several candidates that answers over a path; None if none does."""
        failed: list[bytes] = []

        def attempts() -> Iterator[OnionAttempt]:
            for _ in range(tries):
                with lock:
                    node = candidate()
                    if node is None:
                        return
                    taken.add(node.ed25519)
                yield OnionAttempt(partial(self._ask, node, via), self._pace.guard, patience_s, path=via, target=node)

        def note(attempt: OnionAttempt, error: SessionError) -> None:
            if isinstance(error, ProxyUnreachable):
                raise error
            LOG.info("a node did not answer: %s", error.message)
            self._problem = error.message
            if attempt.target is not None:
                failed.append(attempt.target.ed25519)
                self._avoided.add(attempt.target.ed25519)
            if not via.hops:
                ip = attempt.target.ip if attempt.target else None
                trouble = Trouble(time.time(), "guard", error.slug, ip, error.message)
                self._pool.change(lambda state: state.note(trouble))

        def outrun(attempt: OnionAttempt) -> None:
            if attempt.target is not None:
                self._avoided.add(attempt.target.ed25519)

        try:
            found: ServiceNode = first_success(attempts(), deadline, note, outrun)
        except ProxyUnreachable:
            raise
        except SessionError:
            return None
        if failed:
            self._pool.strike(failed)
        return found

    def _ask(self, node: ServiceNode, via: Path, cancellation: Cancellation) -> ServiceNode:
        self._probe(node, via, cancellation)
        return node


def _forgive(state: State, key: bytes) -> None:
    state.strikes.pop(key, None)


def _note_failed_search(state: State) -> None:
    state.search_failed_s = time.time()
