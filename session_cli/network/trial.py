"""One request and all the attempts at it: which paths were tried, and who is to blame when some of them failed.

Nothing is held against anybody unless another attempt succeeded: who is offline must not lose trust in the whole
network, nor draw new guards.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from ..errors import (
    NetworkUnreachable,
    NodeFailed,
    PathFailed,
    ProxyUnreachable,
    RequestTimeout,
    RpcError,
    SessionError,
)
from ..protocol.storage_rpc import ServiceNode
from .parallel import Attempt
from .path import DIRECTLY, Path, PathBook
from .pool import NodePool
from .pool_cache import State, Trouble
from .replies import GuardBusy, target_spoke

LOG = logging.getLogger(__name__)

BLIND_ATTEMPTS = 2
_AT_ONCE_S = 0.01


class NoPath(PathFailed):
    """Nothing gets through behind a guard, although many nodes were tried there: it is the guard that blocks."""

    slug = "no_path"


class PathUnfinished(PathFailed):
    """There was no time to build a path, for which nobody is to blame."""

    slug = "path_unfinished"


@dataclass(slots=True)
class Asking:
    """When a node itself was asked (monotonic time), after a path to it had been looked for; None: not yet."""

    at: float | None = None

    def begin(self) -> None:
        self.at = time.monotonic()


@dataclass(frozen=True)
class OnionAttempt(Attempt[Any]):
    """An attempt over one path, at one node (None: a server). `built`: the hops behind the guard are found first,
    and `asking` is told when the node itself is asked."""

    path: Path = DIRECTLY
    target: ServiceNode | None = None
    built: bool = False
    asking: Asking = field(default_factory=Asking)

    @property
    def was_asked(self) -> bool:
        """Whether the node has been asked, and not only a path to it been looked for."""
        return not self.built or self.asking.at is not None

    @property
    def has_just_asked(self) -> bool:
        """Whether its path took its time, and the node has not been silent for longer than one has patience."""
        return self.asking.at is not None and time.monotonic() < self.asking.at + self.patience_s

    @property
    def guard(self) -> ServiceNode | None:
        """Who is connected to: the guard, or without onion requests the target itself."""
        return self.path.guard or self.target


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt that failed. `reached`: the guard was there. `built`: its path was to be built hop by hop."""

    path: Path
    target: ServiceNode | None
    error: SessionError
    reached: bool
    built: bool

    @property
    def is_the_guards(self) -> bool:
        if isinstance(self.error, GuardBusy):
            # From a server behind the path, it says nothing about the guard.
            return self.target is not None
        return isinstance(self.error, NetworkUnreachable | NoPath) or not (self.reached or self.built)

    @property
    def is_the_targets(self) -> bool:
        return isinstance(self.error, NodeFailed | RpcError)

    @property
    def culprit(self) -> bytes | None:
        """The node that the path's answer names; only one that was on the way behind the guard is believed.

        Otherwise a hostile guard could talk us out of all other nodes.
        """
        if not isinstance(self.error, PathFailed) or self.error.node is None:
            return None
        node = bytes.fromhex(self.error.node)
        behind = self.path.keys[1:] + ((self.target.ed25519,) if self.target else ())
        return node if node in behind else None

    @property
    def suspects(self) -> set[bytes]:
        """All who may be to blame."""
        target = {self.target.ed25519} if self.target else set()
        if self.is_the_guards:
            return set(self.path.keys[:1]) or target
        if self.is_the_targets:
            return target
        if target_spoke(self.error) or isinstance(self.error, GuardBusy | PathUnfinished):
            return set()
        if self.culprit is not None:
            return {self.culprit}
        return set(self.path.keys[1:]) | target


class _Search:
    """Looks for another guard, while attempts that were begun earlier may still succeed."""

    def __init__(self, find: Callable[[Collection[bytes]], ServiceNode | None], exclude: Collection[bytes]) -> None:
        self.found: ServiceNode | None = None
        self._error: BaseException | None = None
        self._find = find
        self._exclude = exclude
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        # Where one is known already, there is nothing to wait for.
        self._thread.join(_AT_ONCE_S)

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> ServiceNode | None:
        """Who was found, once it is over. Raises what ended it."""
        if self._error is not None:
            raise self._error
        return self.found

    def _run(self) -> None:
        try:
            self.found = self._find(self._exclude)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asks for the result
            self._error = error


class Trial:
    """The attempts at one request.

    `find_guard` finds a node that answers and is none of those it is given; `refresh` fetches a new list of nodes.
    A guard that has not been reached for `silence_s` seconds is hardly there.
    """

    def __init__(
        self,
        what: str,
        pool: NodePool,
        paths: PathBook,
        find_guard: Callable[[Collection[bytes]], ServiceNode | None],
        refresh: Callable[[], None],
        *,
        lane: int,
        direct: bool,
        silence_s: float,
    ) -> None:
        self._what = what
        self._pool = pool
        self._paths = paths
        self._find_guard = find_guard
        self._refresh: Callable[[], None] | None = refresh
        self._lane = lane
        self._direct = direct
        self._silence_s = silence_s
        self._used: list[tuple[bytes, ...]] = []
        self._begun: list[tuple[OnionAttempt, float]] = []
        self._failures: list[_Failure] = []
        self._dead_guards: set[bytes] = set()
        self._search: _Search | None = None

    def path(self, exclude: Collection[bytes], busy: Collection[bytes] = ()) -> Path | None:
        """The path for the next attempt. None: to be asked again soon.

        That is while another guard is looked for, and while all guards of any use are `busy`. Raises NetworkUnreachable
        if no guard can be reached.
        """
        if self._direct:
            return DIRECTLY
        silent = self._silent_guards()
        path = self._standing(exclude, {*silent, *busy})
        if path is not None or self._are_all_busy(exclude, silent, busy):
            return path
        substitute = self._find_substitute({*exclude, *self._dead_guards}, silent)
        if self._search is not None and not self._search.is_over:
            return None
        if substitute is not None:
            return None if substitute.ed25519 in busy else self._paths.over(substitute, exclude, self._used)
        # There is nobody else: perhaps one of them is only slow.
        path = self._standing(exclude, ())
        unreachable = any(isinstance(failure.error, NetworkUnreachable) for failure in self._failures)
        if path is None and unreachable and self._refresh is not None:
            # Our list may describe a network that is gone.
            refresh, self._refresh = self._refresh, None
            refresh()
            self._dead_guards.clear()
            self._search = None
            return self.path(exclude, busy)
        if path is None:
            raise NetworkUnreachable(self._why_not())
        return None if path.keys[0] in busy else path

    def begun(self, attempt: OnionAttempt) -> None:
        """Take note of an attempt that is made now."""
        self._used.append(attempt.path.keys)
        self._begun.append((attempt, time.monotonic()))

    @property
    def needs_building(self) -> bool:
        """Whether blindly drawn paths have been tried often enough."""
        return len(self._used) >= BLIND_ATTEMPTS

    @property
    def only_guard(self) -> Collection[bytes]:
        """The one guard that is left, if it is one: others are asked over it before it is asked over another one."""
        useful = self._useful((), self._silent_guards()) if self.needs_building else set[bytes]()
        return useful if len(useful) == 1 else ()

    def _are_all_busy(self, exclude: Collection[bytes], silent: Collection[bytes], busy: Collection[bytes]) -> bool:
        useful = self._useful(exclude, silent)
        return bool(useful) and useful <= set(busy)

    def _useful(self, exclude: Collection[bytes], silent: Collection[bytes]) -> set[bytes]:
        substitute = self._search.found if self._search else None
        guards = [*self._paths.guards(), *([substitute] if substitute else [])]
        return {guard.ed25519 for guard in guards}.difference(self._dead_guards, silent, exclude)

    def _silent_guards(self) -> set[bytes]:
        """Guards that have not even been reached, for longer than it takes with one that is there.

        Where a path is built first, nothing is known before that is done.
        """
        before = time.monotonic() - self._silence_s
        return {
            attempt.path.guard.ed25519
            for attempt, begun in self._begun
            if begun <= before
            and attempt.path.guard is not None
            and not attempt.built
            and not attempt.cancellation.reached
        }

    def _standing(self, exclude: Collection[bytes], avoid: Collection[bytes]) -> Path | None:
        avoided = {*self._dead_guards, *avoid}
        return self._paths.choose(exclude, lane=self._lane, avoid_guards=avoided, used=self._used)

    def _find_substitute(self, exclude: Collection[bytes], silent: Collection[bytes]) -> ServiceNode | None:
        """Another guard, if it is found by now. One that works already, be it for another request, is found at once."""
        search = self._search
        if search is None or (search.found is not None and search.found.ed25519 in exclude):
            search = self._search = _Search(self._find_guard, {*exclude, *silent})
        if not search.is_over:
            return None
        found = search.result()
        standing = {guard.ed25519 for guard in self._paths.guards()}
        if found is not None and found.ed25519 not in standing and standing <= self._dead_guards:
            # It answers while all of ours are silent: the network is there, and they are not.
            self._paths.replace_guards(self._dead_guards, found)
        return found

    def _why_not(self) -> str:
        network = self._pool.definition.name
        reasons = [failure.error.message for failure in self._failures if failure.is_the_guards]
        if not reasons:
            return f"The network {network!r} has too few nodes for a path."
        return f"No guard of the network {network!r} can be reached. {reasons[-1]}"

    def failed(self, attempt: OnionAttempt, error: SessionError) -> bool:
        """Take note of an attempt that failed. Returns whether it may have come as far as the node that was to answer.

        Raises ProxyUnreachable: no other attempt can do better.
        """
        if isinstance(error, ProxyUnreachable):
            raise error
        guard = attempt.guard
        LOG.info("%s over %s: %s", self._what, guard.ip if guard else "no guard", error.message)
        failure = self._failure(attempt, error)
        self._failures.append(failure)
        if failure.is_the_guards and attempt.path.guard is not None:
            self._dead_guards.add(attempt.path.guard.ed25519)
            return False
        return attempt.was_asked

    def outrun(self, attempt: OnionAttempt) -> None:
        """Take note of an attempt that was silent for so long that another one, begun later, was answered before."""
        if attempt.has_just_asked:
            return
        self._failures.append(self._failure(attempt, RequestTimeout("Another attempt was faster.")))

    @staticmethod
    def _failure(attempt: OnionAttempt, error: SessionError) -> _Failure:
        if isinstance(error, RequestTimeout) and not attempt.was_asked:
            error = PathUnfinished("There was no time to build a path.")
        return _Failure(attempt.path, attempt.target, error, attempt.cancellation.reached, attempt.built)

    def succeeded(self, path: Path, target: ServiceNode | None, elapsed_ms: int | None) -> None:
        """Take note that one attempt was answered, and hold the failures of the others against whom they come from."""
        self._replace_guards(path)
        self._paths.succeeded(path, elapsed_ms)
        innocent = {*path.keys, *((target.ed25519,) if target else ())}
        if target is not None and self._pool.strikes(target.ed25519):
            key = target.ed25519
            self._pool.change(lambda state: _forgive(state, key))
        if not self._failures:
            return
        struck = {key for failure in self._failures for key in failure.suspects - innocent}
        # Who fails as a destination is not excused by doing well as a hop.
        failed_targets = {f.target.ed25519 for f in self._failures if f.is_the_targets and f.target is not None}
        struck |= failed_targets - {target.ed25519 if target else b""}
        # Two silent attempts over one guard: perhaps it is the guard that swallows them.
        fates = [f for f in self._failures if f.path.keys and not isinstance(f.error, PathUnfinished)]
        silent = [f.path.keys[0] for f in fates if not target_spoke(f.error)]
        struck |= {key for key in silent if silent.count(key) > 1 and key not in innocent}
        self._record(struck)

    def _replace_guards(self, path: Path) -> None:
        """Let the guard that stood in stay, where not one of ours could be reached."""
        standing = {guard.ed25519 for guard in self._paths.guards()}
        gone = {failure.path.keys[0] for failure in self._failures if failure.path.keys and failure.is_the_guards}
        if path.guard is not None and path.guard.ed25519 not in standing and standing <= gone:
            self._paths.replace_guards(standing, path.guard)

    def gave_up(self) -> None:
        """Take note that no attempt succeeded: what went wrong, and nothing against anybody."""
        self._record(set())

    def _record(self, struck: set[bytes]) -> None:
        # Nobody's word alone costs a node more than one strike, nor has us fetch the list more often than it is worth.
        stale = bool(struck) and any(failure.culprit is not None for failure in self._failures)
        troubles = [
            Trouble(time.time(), self._what, failure.error.slug, guard.ip if guard else None, failure.error.message)
            for failure in self._failures
            for guard in (failure.path.guard or failure.target,)
        ]

        def change(state: State) -> None:
            for trouble in troubles:
                state.note(trouble)
            state.stale = state.stale or stale

        self._pool.strike(struck)
        if troubles:
            self._pool.change(change)


def _forgive(state: State, key: bytes) -> None:
    state.strikes.pop(key, None)
