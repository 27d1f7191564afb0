"""Where the list of service nodes comes from: seeds at first, then the nodes themselves.

A seed is pinned and believed, and sees who asks. The nodes are asked through onion requests, so that none of them sees
that; but each is a stranger, and what it says counts only where two of three say the same. One that lies could
otherwise make up a whole network for us.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import (
    InvalidInput,
    NetworkError,
    NetworkUnreachable,
    NodeFailed,
    ProxyUnreachable,
    RpcError,
    ServiceRefused,
    SessionError,
)
from ..protocol import node_lists, storage_rpc
from ..protocol.account import x25519_from_ed25519
from ..protocol.storage_rpc import ServiceNode
from . import pace
from .clock import Deadline, NetworkClock
from .definition import Seed
from .onion import OnionClient
from .parallel import Attempt, first_success, run_parallel
from .pool import NodePool, subnet_of
from .pool_cache import Trouble
from .transport import Cancellation, Transport

LOG = logging.getLogger(__name__)

MAX_AGE_S = 2 * 3600
"""When a list is fetched anew, as in the apps for Android and iOS."""
NODES_ASKED = 3
NODES_AGREEING = 2
PAUSE_AFTER_FAILURE_S = 300
LEAST_AGE_S = 600
"""A list that was found wrong is not fetched more often: a node that lies could keep us at it."""
_REFRESH_S = 15.0
"""Nobody waits longer for a fresh list who has an old one, nor for more than a third of the time that is left."""


class NodeListSource:
    """Keeps the list of a pool fresh. `onion` asks nodes, `transport` seeds."""

    def __init__(self, pool: NodePool, transport: Transport, onion: OnionClient) -> None:
        self._pool = pool
        self._transport = transport
        self._onion = onion
        self._random = random.SystemRandom()
        self._refreshing = False
        self._first_lock = threading.Lock()

    def ensure(self, deadline: Deadline) -> None:
        """Have a usable list: a fresh one if ours is older than two hours or was found wrong, else the one there is.

        Raises NetworkUnreachable if there is none at all.
        """
        pool = self._pool
        if not pool.is_usable:
            with self._first_lock:
                if not pool.is_usable:
                    self.refresh_from_seeds(deadline)
            return
        age_s, state = pool.age_s, pool.state
        fresh = age_s is not None and 0 <= age_s < (LEAST_AGE_S if state.stale else MAX_AGE_S)
        tried_lately = 0 <= time.time() - state.refresh_failed_s < PAUSE_AFTER_FAILURE_S
        if fresh or tried_lately or self._refreshing:
            return
        # Asking the nodes needs the list itself: what goes on meanwhile makes do with the old one.
        self._refreshing = True
        try:
            left = deadline.left()
            self.refresh(deadline.within(_REFRESH_S if left is None else min(_REFRESH_S, left / 3)))
        except NetworkError as error:
            LOG.info("the list of nodes stays as it is: %s", error.message)
            pool.change(_note_failure)
        finally:
            self._refreshing = False

    def refresh(self, deadline: Deadline) -> None:
        """Fetch the list from several nodes, or from a seed if they don't agree. Raises NetworkError."""
        try:
            self.refresh_from_nodes(deadline)
        except NetworkError as error:
            LOG.info("the nodes give no list: %s", error.message)
            self.refresh_from_seeds(deadline)

    # Nodes.

    def refresh_from_nodes(self, deadline: Deadline) -> None:
        """Ask three nodes in different /24 networks, and take over what two of them say alike.

        Raises NetworkError if that is no list of about the size that ours has.
        """
        asked = self._some_nodes()
        answers = run_parallel([partial(self._ask_node, node, deadline, lane) for lane, node in enumerate(asked)])
        lists = [answer for answer in answers if isinstance(answer, list)]
        agreed = agree(lists)
        least = max(self._pool.definition.hops + 1, len(self._pool.nodes) // 2)
        if len(agreed) < least:
            raise NodeFailed(f"{len(lists)} of {len(asked)} nodes gave a list, and agree on {len(agreed)} nodes only.")
        self._pool.replace(agreed)

    def _some_nodes(self) -> list[ServiceNode]:
        chosen: list[ServiceNode] = []
        guards = {guard.ed25519 for guard in self._onion.paths.guards()}
        diverse = self._pool.definition.subnet_diversity
        for _ in range(NODES_ASKED):
            taken = guards | {node.ed25519 for node in chosen}
            node = self._pool.draw(taken, {subnet_of(node) for node in chosen} if diverse else ())
            if node is not None:
                chosen.append(node)
        return chosen

    def _ask_node(self, node: ServiceNode, deadline: Deadline, lane: int) -> list[ServiceNode]:
        """The list as one node has it: in the compact form, or as its chain gives it if it does not know that form."""
        try:
            answer = self._onion.call(node, storage_rpc.batch([storage_rpc.active_nodes()]), deadline, lane=lane)
            (part,) = storage_rpc.parse_batch(answer, 1)
            if part.code == 200:
                return node_lists.parse_active_nodes(part.body)
        except (NodeFailed, ProxyUnreachable, RpcError, ServiceRefused) as error:
            LOG.info("a node does not give the compact list: %s", error.message)
        answer = self._onion.call(node, storage_rpc.service_nodes(), deadline, lane=lane)
        try:
            return node_lists.parse_service_nodes(answer.get("result") if isinstance(answer, dict) else None)
        except RpcError as error:
            raise NodeFailed(error.message) from None

    # Seeds.

    def refresh_from_seeds(self, deadline: Deadline) -> None:
        """Fetch the list from a seed, trying all of them in random order. Raises NetworkUnreachable."""
        definition = self._pool.definition
        seeds = list(definition.seeds)
        self._random.shuffle(seeds)
        problems: dict[str, None] = {}

        def attempts() -> Iterator[Attempt[list[ServiceNode]]]:
            limits = pace.PROXIED if self._transport.proxied else pace.DIRECT
            for seed in seeds:
                yield Attempt(partial(self._ask_seed, seed, limits.seed), limits.seed, limits.most_patience)

        def note(attempt: Attempt[list[ServiceNode]], error: SessionError) -> None:
            if isinstance(error, ProxyUnreachable):
                raise error
            LOG.info("a seed gave no list: %s", error.message)
            problems[error.message] = None
            trouble = Trouble(time.time(), "list of nodes", error.slug, None, error.message)
            self._pool.change(lambda state: state.note(trouble))

        try:
            nodes: list[ServiceNode] = first_success(attempts(), deadline, note)
        except ProxyUnreachable:
            raise
        except (NetworkError, RpcError) as error:
            if definition.fallback_nodes and self._refresh_from_fallback(deadline):
                return
            said = " ".join(problems) or error.message
            raise NetworkUnreachable(f"No seed of the network {definition.name!r} can be reached: {said}") from None
        LOG.info("a seed listed %d nodes", len(nodes))
        self._pool.replace(nodes)

    def _ask_seed(self, seed: Seed, timeout: float, cancellation: Cancellation) -> list[ServiceNode]:
        request = {"jsonrpc": "2.0", "method": "get_n_service_nodes", "params": storage_rpc.SERVICE_NODES_PARAMS}
        reply = self._transport.post(
            seed.url + "/json_rpc",
            json.dumps(request, separators=(",", ":")).encode(),
            timeout=timeout,
            headers={"Content-Type": "application/json"},
            pin=seed.certificate_sha256,
            verify=seed.certificate_sha256 is None,
            cancellation=cancellation,
        )
        if reply.status != 200:
            raise NetworkUnreachable(f"A seed answered with status {reply.status}.")
        try:
            answer: Any = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise RpcError("A seed's answer is not JSON.") from None
        nodes = node_lists.parse_service_nodes(answer.get("result") if isinstance(answer, dict) else None)
        if len(nodes) <= self._pool.definition.hops:
            raise RpcError(f"A seed listed {len(nodes)} usable nodes, too few for a path.")
        return nodes

    def _refresh_from_fallback(self, deadline: Deadline) -> bool:
        """Ask nodes whose keys the definition holds, over a path of such nodes. Whether that gave a list."""
        pool = NodePool(self._pool.definition, None)
        try:
            pool.replace(
                ServiceNode(node.ed25519, x25519_from_ed25519(node.ed25519), node.ip, node.port)
                for node in self._pool.definition.fallback_nodes
            )
        except InvalidInput:
            return False
        clock = NetworkClock(self._onion.clock.offset_ms)
        onion = OnionClient(pool, self._transport, clock, ready=_nothing, refresh=_fail)
        try:
            NodeListSource(pool, self._transport, onion).refresh_from_nodes(deadline)
        except SessionError as error:
            LOG.info("no fallback node gave a list: %s", error.message)
            return False
        self._pool.replace(pool.nodes.values())
        return True


def agree(lists: list[list[ServiceNode]]) -> list[ServiceNode]:
    """The nodes that two of the lists hold alike: same keys, address and swarm. Versions may differ."""
    votes: Counter[ServiceNode] = Counter()
    for nodes in lists:
        votes.update({replace(node, version=()) for node in nodes if _has_own_key(node)})
    versions = {node.ed25519: node.version for nodes in lists for node in nodes}
    agreed = {node.ed25519: node for node, count in votes.items() if count >= NODES_AGREEING}
    return [replace(node, version=versions[key]) for key, node in agreed.items()]


def _has_own_key(node: ServiceNode) -> bool:
    """Whether a node is listed with the encryption key that follows from its identity, and not with somebody else's."""
    try:
        return x25519_from_ed25519(node.ed25519) == node.x25519
    except InvalidInput:
        return False


def _note_failure(state: Any) -> None:
    state.refresh_failed_s = time.time()


def _nothing(deadline: Deadline) -> None:
    """What is always ready needs nothing."""


def _fail(deadline: Deadline) -> None:
    raise NetworkUnreachable("There is no other list.")
