"""The service nodes we know, and what we hold against them."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from ..errors import StoreError, StoreLocked
from ..protocol.storage_rpc import ServiceNode
from ..protocol.swarm import swarm_for
from .definition import NetworkDefinition
from .pool_cache import MOST_STRIKES, Change, NodeList, PoolCache, State

LOG = logging.getLogger(__name__)

_RANDOM = random.SystemRandom()
_SAVED_AFTER = 50
_ONE_TROUBLE_S = 60.0
_MOST_PENDING = 500
MOST_SHOWN = 12
"""So many nodes may see our address in a day, guards included, however many of them fail."""
_SHOWN_LIFETIME_S = 24 * 3600


class NodePool:
    """The nodes of one network and our experience with them, kept across runs. Safe to use from several threads.

    `cache_folder` None keeps nothing; without `keep` what lies there is read, and left as it is.
    """

    def __init__(self, definition: NetworkDefinition, cache_folder: Path | None, *, keep: bool = True) -> None:
        self.definition = definition
        cache = PoolCache(cache_folder, definition.id) if cache_folder else None
        self._list = cache.load_list() if cache else NodeList()
        self._state = cache.load_state() if cache else State()
        self._cache = cache if keep else None
        self._pending: list[Change] = []
        self._struck: dict[bytes, float] = {}
        self._lock = threading.RLock()
        self._complained = False

    # The list.

    @property
    def nodes(self) -> dict[bytes, ServiceNode]:
        """All nodes by Ed25519 key. Replaced as a whole, never changed."""
        return self._list.nodes

    @property
    def age_s(self) -> float | None:
        """Seconds since the list was fetched; None if there is none."""
        return time.time() - self._list.fetched_s if self._list.fetched_s else None

    @property
    def is_usable(self) -> bool:
        """Whether there are enough nodes for a path and somebody at its end."""
        return len(self.nodes) > self.definition.hops

    def replace(self, nodes: Iterable[ServiceNode]) -> None:
        """Take over a list that was just fetched. Strikes stay: the network lists dead nodes for a while."""
        found = {node.ed25519: node for node in nodes}

        def change(state: State) -> None:
            state.stale, state.refresh_failed_s = False, 0.0
            state.strikes = {key: strikes for key, strikes in state.strikes.items() if key in found}

        with self._lock:
            self._list = NodeList(found, time.time())
            self.change(change)
            if self._cache is not None:
                try:
                    self._cache.save_list(self._list)
                except StoreError as error:
                    self._complain(error)
            self.save()

    def swarm(self, account_id: str) -> list[ServiceNode]:
        """The members of the swarm that holds an account; empty if the list knows no swarms."""
        nodes = list(self.nodes.values())
        swarm_id = swarm_for(account_id, {node.swarm_id for node in nodes if node.swarm_id is not None})
        return [node for node in nodes if node.swarm_id == swarm_id and swarm_id is not None]

    def known(self, nodes: Iterable[ServiceNode]) -> list[ServiceNode]:
        """Those of the nodes that are in our list, as our list has them."""
        return [self.nodes[node.ed25519] for node in nodes if node.ed25519 in self.nodes]

    # Experience.

    @property
    def state(self) -> State:
        """What is remembered; to be changed by `change` alone."""
        return self._state

    def change(self, change: Change) -> None:
        """Change what is remembered: at once for this process, on the disk with the next `save`."""
        with self._lock:
            change(self._state)
            self._pending.append(change)
            if len(self._pending) % _SAVED_AFTER == 0:
                self.save()
            # What can't be written is of use to this process all the same, as long as it is not too much.
            del self._pending[:-_MOST_PENDING]

    def save(self) -> None:
        """Write what has changed. A cache that can't be written is said once, and is no error."""
        with self._lock:
            if not self._pending or self._cache is None:
                return
            try:
                self._state = self._cache.update_state(self._pending)
            except StoreLocked as error:
                LOG.info("what was learnt is written later: %s", error.message)
            except StoreError as error:
                self._complain(error)
            else:
                self._pending = []

    @contextmanager
    def alone(self, seconds: float) -> Iterator[None]:
        """Let other processes finish what they have begun to find out, for so long at the most, and take it over."""
        with ExitStack() as stack:
            if self._cache is not None:
                try:
                    stack.enter_context(self._cache.lock(seconds, "to find guards"))
                except StoreError as error:
                    LOG.info("going on without the lock: %s", error.message)
                else:
                    with self._lock:
                        self._state = self._cache.load_state()
                        for change in self._pending:
                            change(self._state)
            yield

    def _complain(self, error: StoreError) -> None:
        if not self._complained:
            self._complained = True
            LOG.warning("%s Every run will have to find its way anew.", error.message)

    def strikes(self, node: bytes) -> int:
        """How often a node has failed us lately."""
        return self._state.strikes_of(node)

    def strike(self, nodes: Iterable[bytes]) -> None:
        """Hold a failure against nodes (Ed25519 keys): once for all of what happens within a minute of one run.

        Parallel requests would otherwise count the same trouble several times.
        """
        with self._lock:
            now = time.monotonic()
            fresh = [key for key in nodes if not self.struck_lately(key)]
            self._struck.update(dict.fromkeys(fresh, now))
            if fresh:
                self.change(partial(_strike, nodes=fresh))

    def struck_lately(self, node: bytes) -> bool:
        """Whether this process has just held something against a node."""
        return time.monotonic() - self._struck.get(node, -_ONE_TROUBLE_S) < _ONE_TROUBLE_S

    def by_trust(self, nodes: Iterable[ServiceNode]) -> list[ServiceNode]:
        """The nodes in random order, those with fewer strikes first."""
        mixed = list(nodes)
        _RANDOM.shuffle(mixed)
        return sorted(mixed, key=lambda node: self.strikes(node.ed25519))

    def draw(self, exclude: Collection[bytes], subnets: Collection[str] = ()) -> ServiceNode | None:
        """A random node, from those without strikes while there are any.

        Excluded ones are never drawn, nor are nodes in one of the /24 `subnets`, nor, while there is any other, those
        with three strikes. None if nobody is left.
        """
        for most in range(MOST_STRIKES + 1):
            candidates = [
                node
                for key, node in self.nodes.items()
                if key not in exclude and self.strikes(key) <= most and subnet_of(node) not in subnets
            ]
            if candidates:
                return _RANDOM.choice(candidates)
        return None

    def draw_guard(self, taken: Collection[bytes], subnets: Collection[str] = ()) -> ServiceNode | None:
        """A node that may see our address: one that has seen it already, while there are any left, else a new one.

        Only so many new ones are drawn in a day. Somebody who lets our connections fail could otherwise walk us through
        the whole network, and so could a network that is down. None if nobody is left.
        """
        with self._lock:
            now, nodes, shown = time.time(), self.nodes, self._state.shown
            known = [nodes[key] for key in shown if key in nodes and key not in taken]
            hopeful = [node for node in known if self.strikes(node.ed25519) < MOST_STRIKES]
            if hopeful:
                return min(
                    self.by_trust(hopeful), key=lambda node: (self.strikes(node.ed25519), not shown[node.ed25519][1])
                )
            # Those that have left the network since don't count: it may be another one by now.
            lately = sum(key in nodes and 0 <= now - shown[key][0] < _SHOWN_LIFETIME_S for key in shown)
            node = self.draw(taken, subnets) if lately < MOST_SHOWN else None
            if node is not None:
                key = node.ed25519
                self.change(lambda state: _show(state, key, now))
            return node

    def note_answer(self, node: ServiceNode) -> None:
        """Remember that a node which has seen our address is there."""
        key = node.ed25519
        first_s, answered = self._state.shown.get(key, (time.time(), False))
        if not answered:
            self.change(lambda state: state.shown.update({key: (first_s, True)}))


def _strike(state: State, nodes: Iterable[bytes]) -> None:
    for key in nodes:
        state.strike(key)


def _show(state: State, key: bytes, now: float) -> None:
    """Note a node that will see our address. What is older than a day is forgotten, but for the guards in use."""
    kept = {path.guard for path in state.paths}
    state.shown = {
        node: (first_s, answered)
        for node, (first_s, answered) in state.shown.items()
        if 0 <= now - first_s < _SHOWN_LIFETIME_S or node in kept
    }
    state.shown.setdefault(key, (now, False))


def subnet_of(node: ServiceNode) -> str:
    """The /24 network that a node is in."""
    return node.ip.rpartition(".")[0]
