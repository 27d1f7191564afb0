"""Who is asked of a swarm, and in what order; what its members say about the account's place and the time."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from ..errors import (
    ClockOutOfSync,
    NetworkUnreachable,
    NodeFailed,
    PathFailed,
    RateLimited,
    RequestTimeout,
    RpcError,
    ServiceRefused,
    SessionError,
)
from ..protocol import node_lists, storage_rpc
from ..protocol.storage_rpc import Request, ServiceNode
from .clock import Deadline
from .onion import OnionClient
from .parallel import run_parallel
from .pool_cache import State
from .replies import GuardBusy, WrongSwarm

LOG = logging.getLogger(__name__)
T = TypeVar("T")

MEMBERS_TRIED = 12
CLOCKS_ASKED = 5
_REFUSALS_BELIEVED = 2
_MEMBER_KEPT_POLLS = 6
_STORE_TOLERANCE_MS = 10_000
"""How far ahead of a node's clock a message may be dated."""


class Turns:
    """Each member once, and then, while there are tries left, those again whose path may have been at fault."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._again: list[ServiceNode] = []
        self._left = MEMBERS_TRIED

    def take(self, rather_not: Collection[bytes] = ()) -> ServiceNode | None:
        if not self._left:
            return None
        node = self._members.take(rather_not)
        if node is None:
            again, self._again = self._again, []
            self._members.put_back(again)
            node = self._members.take(rather_not)
        if node is not None:
            self._left -= 1
            self._again.append(node)
        return node

    def put_back(self, node: ServiceNode) -> None:
        self._left += 1
        self._again = [other for other in self._again if other != node]
        self._members.put_back([node])


class Members:
    """The members of one account's swarm, asked in turn, and what they say about the account's place and the time."""

    def __init__(self, onion: OnionClient, account_id: str, renew_list: Callable[[Deadline], None]) -> None:
        self._onion = onion
        self._pool = onion.pool
        self._account_id = account_id
        self._renew_list = renew_list
        listed = onion.pool.swarm(account_id)
        if not listed:
            raise NetworkUnreachable("The list of service nodes names no swarm for this account.")
        self._waiting = onion.pool.by_trust(listed)
        self._elsewhere: list[bytes] = []
        self._named: Counter[bytes] = Counter()
        self._busy: set[bytes] = set()
        self._redirected = False
        self._unanswering: set[bytes] = set()
        self._refusals = 0
        self._resynced = False
        self.dated_ms: int | None = None
        self.names = frozenset(node.ed25519.hex() for node in listed)
        """Who counts as a member (Ed25519 hex)."""

    def prefer(self, name: str | None, *, certainly: bool) -> None:
        """Ask this member first: for certain, or except for now and then, and never one that failed lately.

        A member that is always asked could keep something from us for ever.
        """
        if name is not None and (certainly or secrets.randbelow(_MEMBER_KEPT_POLLS)):
            self._waiting.sort(
                key=lambda node: node.ed25519.hex() != name or (not certainly and self._pool.strikes(node.ed25519) > 0)
            )

    def only(self, name: str) -> None:
        """Ask nobody but this member."""
        self._waiting = [node for node in self._waiting if node.ed25519.hex() == name]

    def pass_over(self, confirmed: Collection[str]) -> bool:
        """Ask others than those (Ed25519 hex) from now on, and none that failed lately. Whether there are any."""
        self._waiting = [
            node
            for node in self._waiting
            if node.ed25519.hex() not in confirmed and not self._pool.strikes(node.ed25519)
        ]
        return bool(self._waiting)

    def strike_the_silent(self, names: Collection[str]) -> None:
        """Hold it against members that they answered neither us nor the peer which says so (`names`)."""
        self._pool.strike([key for key in self._unanswering if key.hex() in names])

    def ask(
        self,
        what: str,
        request_for: Callable[[ServiceNode], Request],
        parse: Callable[[Any, ServiceNode], T],
        deadline: Deadline,
        *,
        lane: int = 0,
    ) -> T:
        """The first answer that `parse` accepts. Raises NetworkError, ServiceRefused."""

        def failed(node: ServiceNode, error: SessionError) -> None:
            self._failed(node, error, deadline)

        try:
            return self._onion.ask(
                Turns(self),
                request_for,
                parse,
                deadline,
                what=what,
                lane=lane,
                failed=failed,
            )
        except WrongSwarm:
            self._pool.change(_mark_stale)
            raise NodeFailed("The network has another idea of this account's swarm than we have.") from None

    def take(self, rather_not: Collection[bytes]) -> ServiceNode | None:
        """The next member that is waiting for its turn, if there is a choice one that is not in `rather_not`."""
        node = next((node for node in self._waiting if node.ed25519 not in rather_not), None)
        if node is not None:
            self._waiting.remove(node)
        return node or (self._waiting.pop(0) if self._waiting else None)

    def put_back(self, nodes: Sequence[ServiceNode]) -> None:
        """Let members that were taken be the next ones, unless the account turned out to be elsewhere."""
        self._waiting[:0] = [node for node in nodes if node.ed25519.hex() in self.names]

    def _failed(self, node: ServiceNode, error: SessionError, deadline: Deadline) -> None:
        if isinstance(error, WrongSwarm):
            self._elsewhere.append(node.ed25519)
            self._waiting = [other for other in self._waiting if other.ed25519 != node.ed25519]
            self._redirect(error.body, deadline)
        elif isinstance(error, ClockOutOfSync):
            self._resync(node, deadline)
        elif isinstance(error, RateLimited) and not isinstance(error, GuardBusy):
            self._busy.add(node.ed25519)
        elif isinstance(error, RequestTimeout):
            self._unanswering.add(node.ed25519)
        elif isinstance(error, ServiceRefused):
            # One member alone can't speak for the swarm.
            self._refusals += 1
            if self._refusals >= _REFUSALS_BELIEVED:
                raise error

    def _redirect(self, body: Any, deadline: Deadline) -> None:
        """Follow to the nodes that two members name as those who have the account now.

        One member alone could otherwise lead our messages to nodes of its own. Where they agree on nobody whom we know,
        or there is no second one to ask, our list is fetched anew instead.
        """
        with suppress(RpcError):
            self._named.update({node.ed25519 for node in self._pool.known(node_lists.parse_swarm(body))})
        if self._redirected or (len(self._elsewhere) < _REFUSALS_BELIEVED and self._waiting):
            return
        self._redirected = True
        agreed = [key for key, votes in self._named.items() if votes >= _REFUSALS_BELIEVED]
        members = [self._pool.nodes[key] for key in agreed if key in self._pool.nodes and key not in self._elsewhere]
        if members:
            self._pool.change(_mark_stale)
        else:
            self._renew_list(deadline)
            members = self._pool.swarm(self._account_id)
        LOG.info("the swarm has moved: %d known members", len(members))
        self.names = frozenset(node.ed25519.hex() for node in members)
        self._waiting = self._pool.by_trust(members)

    def _resync(self, node: ServiceNode, deadline: Deadline) -> None:
        """Ask several other nodes than the one that complained what time it is, and believe what nearly all say.

        No single node is believed: it could send our messages into the far future.
        """
        if self._resynced:
            return
        self._resynced = True
        clock = self._onion.clock
        before_ms = clock.offset_ms
        others = [other for other in self._pool.nodes.values() if other.ed25519 != node.ed25519]
        asked = self._pool.by_trust(others)[:CLOCKS_ASKED]
        answers = run_parallel([partial(self._ask_offset, other, deadline, lane) for lane, other in enumerate(asked)])
        offsets = {
            other.ed25519.hex(): answer for other, answer in zip(asked, answers, strict=True) if isinstance(answer, int)
        }
        if not clock.settle(offsets):
            LOG.info("the nodes do not agree what time it is; this machine's clock is left alone")
            return
        self._onion.remember_clock()
        if self.dated_ms is not None and self.dated_ms > clock.now_ms() + _STORE_TOLERANCE_MS:
            raise ClockOutOfSync("This machine's clock is ahead of the network's.")
        if clock.offset_ms != before_ms:
            self._waiting.insert(0, node)

    def _ask_offset(self, node: ServiceNode, deadline: Deadline, lane: int) -> int:
        """How many ms a node's clock is ahead of this machine's, read half a round trip ago."""
        clock = self._onion.clock
        before = clock.local_ms()
        network_ms = storage_rpc.network_time(self._onion.call(node, storage_rpc.info(), deadline, lane=lane))
        if network_ms is None:
            raise PathFailed("A node was asked for the time, and did not say it.")
        return network_ms - (before + clock.local_ms()) // 2


def _mark_stale(state: State) -> None:
    state.stale = True
