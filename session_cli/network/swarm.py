"""The swarm of an account: storing messages in it, and fetching what came."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ..errors import ClockOutOfSync, NetworkError, NetworkUnreachable, RateLimited, RpcError, ServiceRefused
from ..protocol import storage_rpc
from ..protocol.account import Identity
from ..protocol.storage_rpc import (
    MessageHash,
    Request,
    RetrieveResult,
    ServiceNode,
    StoredMessage,
    StoreResult,
)
from .clock import Deadline
from .onion import NodeFailed, OnionClient, WrongSwarm, raise_for_status
from .parallel import run_parallel

T = TypeVar("T")

MEMBERS_TRIED = 4
CLOCKS_ASKED = 3
MESSAGES_SHARE = -2
"""max_size of the messages' namespace: half of the largest answer, as the official apps ask."""
_MEMBER_KEPT_POLLS = 6


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a poll: who gave it (Ed25519 hex), and what it held."""

    node: str
    messages: tuple[StoredMessage, ...] = field(repr=False)
    more: bool
    malformed: int


class SwarmClient:
    """Storage RPC by account: finds the swarm, a member that answers, and the truth in the answer."""

    def __init__(self, onion: OnionClient) -> None:
        self._onion = onion
        self._pool = onion.pool
        self._random = random.SystemRandom()

    def store(
        self, account_id: str, data: bytes, ttl_ms: int, deadline: Deadline, *, namespace: int = 0, lane: int = 0
    ) -> StoreResult:
        """Keep `data` in an account's inbox. Returns once a member has proved that it holds it.

        Storing the same bytes again is harmless: the swarm keeps one copy. Raises NetworkError, ServiceRefused.
        """
        expected = storage_rpc.message_hash(account_id, namespace, data)

        def make(now_ms: int) -> Request:
            return storage_rpc.store(account_id, data, timestamp_ms=now_ms, ttl_ms=ttl_ms, namespace=namespace)

        def parse(body: Any, node: ServiceNode) -> StoreResult:
            # Any node of the network counts, not only those our list puts into this swarm: swarms move.
            nodes = frozenset(key.hex() for key in self._pool.state.nodes)
            return storage_rpc.parse_store(body, expected, nodes)

        return self._ask_members(account_id, lambda node: make, parse, deadline, lane=lane)

    def delete(self, identity: Identity, hashes: list[MessageHash], deadline: Deadline) -> None:
        """Take messages back out of our own swarm. Raises NetworkError, ServiceRefused."""
        self._ask_members(
            identity.account_id,
            lambda node: lambda now_ms: storage_rpc.delete(identity, hashes),
            lambda body, node: None,
            deadline,
        )

    def retrieve(
        self,
        identity: Identity,
        positions: Mapping[str, str],
        deadline: Deadline,
        *,
        namespace: int = 0,
        prefer: str | None = None,
    ) -> Page:
        """One page of our own inbox, as one batch request.

        `positions`: member (Ed25519 hex) → hash of the last message taken from it. `prefer`: the member asked last
        time, which is usually asked again, because each member has its own order. Raises NetworkError, ServiceRefused.
        """

        def make_for(node: ServiceNode) -> Callable[[int], Request]:
            last_hash = positions.get(node.ed25519.hex(), "")
            return lambda now_ms: storage_rpc.batch(
                [
                    storage_rpc.retrieve(
                        identity,
                        timestamp_ms=now_ms,
                        namespace=namespace,
                        last_hash=last_hash,
                        max_size=MESSAGES_SHARE,
                    )
                ]
            )

        def parse(body: Any, node: ServiceNode) -> Page:
            (part,) = storage_rpc.parse_batch(body, 1)
            if part.code != 200:
                raise_for_status(part.code, part.body)
            result: RetrieveResult = storage_rpc.parse_retrieve(part.body, identity.account_id, namespace)
            return Page(node.ed25519.hex(), result.messages, result.more and bool(result.messages), result.malformed)

        return self._ask_members(identity.account_id, make_for, parse, deadline, prefer=prefer)

    def _ask_members(
        self,
        account_id: str,
        make_for: Callable[[ServiceNode], Callable[[int], Request]],
        parse: Callable[[Any, ServiceNode], T],
        deadline: Deadline,
        *,
        lane: int = 0,
        prefer: str | None = None,
    ) -> T:
        """Ask members of the account's swarm in turn until one gives an answer that `parse` accepts.

        `make_for` gives for a member the function that makes its request, signed for a time in ms.
        """
        self._pool.ensure(deadline)
        members = self._order(self._pool.swarm(account_id), prefer)
        if not members:
            raise NetworkUnreachable("The list of service nodes names no swarm for this account.")
        problem: NetworkError | ServiceRefused | None = None
        redirected = resynced = False
        tries = 0
        while members and tries < MEMBERS_TRIED:
            node = members.pop(0)
            tries += 1
            request_at = make_for(node)
            try:
                body = self._onion.call(node, request_at(self._onion.clock.now_ms()), deadline, lane=lane)
                return parse(body, node)
            except WrongSwarm as wrong:
                problem = NodeFailed("The network has another idea of this account's swarm than we have.")
                if not redirected:
                    redirected = True
                    members = self._redirect(wrong.body, account_id, deadline)
            except ClockOutOfSync:
                if resynced:
                    raise
                resynced = True
                self._resync(node, deadline)
                members.insert(0, node)
                tries -= 1
            except (NodeFailed, RateLimited, ServiceRefused) as error:
                problem = error  # a refusal too: one member alone can't speak for the swarm
            except RpcError as error:
                problem = NodeFailed(error.message)
        raise problem or NetworkUnreachable("No member of the swarm answered.")

    def _order(self, members: list[ServiceNode], prefer: str | None) -> list[ServiceNode]:
        """Members in random order, the preferred one first except for now and then.

        A member that is always asked could keep something from us for ever.
        """
        self._random.shuffle(members)
        if prefer is not None and secrets.randbelow(_MEMBER_KEPT_POLLS):
            members.sort(key=lambda node: node.ed25519.hex() != prefer)
        return members

    def _redirect(self, body: Any, account_id: str, deadline: Deadline) -> list[ServiceNode]:
        try:
            members = self._pool.known(storage_rpc.parse_swarm(body))
        except RpcError:
            members = []
        if not members:
            # The node names nobody we know: our list is older than the swarm, or the node lies.
            self._pool.refresh(deadline)
            members = self._pool.swarm(account_id)
        return self._order(members, None)

    def _resync(self, node: ServiceNode, deadline: Deadline) -> None:
        """Ask several other nodes than the one that complained what time it is, and believe the middle one.

        No single node is believed: it could send our messages into the far future.
        """
        others = [other for other in self._pool.state.nodes.values() if other.ed25519 != node.ed25519]
        asked = self._random.sample(others, min(CLOCKS_ASKED, len(others)))
        answers = run_parallel([partial(self._ask_offset, other, deadline, lane) for lane, other in enumerate(asked)])
        offsets = sorted(answer for answer in answers if isinstance(answer, int))
        if not offsets:
            raise ClockOutOfSync("The network refuses our signature's time, and no node says what time it is.")
        clock = self._onion.clock
        clock.learn(clock.now_ms() + offsets[len(offsets) // 2])
        self._pool.state.clock_offset_ms = clock.offset_ms
        self._pool.save()

    def _ask_offset(self, node: ServiceNode, deadline: Deadline, lane: int) -> int:
        """How many ms a node's clock is ahead of ours, read half a round trip ago."""
        clock = self._onion.clock
        before = clock.now_ms()
        network_ms = storage_rpc.network_time(self._onion.call(node, storage_rpc.info(), deadline, lane=lane))
        if network_ms is None:
            raise RpcError("A node was asked for the time, and did not say it.")
        return network_ms - (before + clock.now_ms()) // 2
