"""The swarm of an account: storing messages in it, and fetching what came.

All members of a swarm hold the same. Which one is asked is left to chance and to experience; what one of them says
about itself is believed only as far as it can prove it, and what it says about others hardly at all.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ..errors import (
    ClockOutOfSync,
    NetworkError,
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
from ..protocol.account import Identity
from ..protocol.storage_rpc import (
    MessageHash,
    Namespace,
    Request,
    RetrieveResult,
    ServiceNode,
    StoredMessage,
    StoreResult,
    size_fractions,
)
from .clock import Deadline
from .onion import OnionClient
from .parallel import run_parallel
from .pool_cache import State
from .replies import GuardBusy, WrongSwarm, raise_for_status

LOG = logging.getLogger(__name__)
T = TypeVar("T")

MEMBERS_TRIED = 12
CLOCKS_ASKED = 5
SWARMS_AT_ONCE = 16
_REFUSALS_BELIEVED = 2
_MEMBER_KEPT_POLLS = 6
_STORE_TOLERANCE_MS = 10_000
"""How far ahead of a node's clock a message may be dated."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a poll: who gave it (Ed25519 hex), and what it held by namespace.

    A namespace that the member refused has the refusal in place of its messages.
    """

    node: str
    parts: Mapping[int, RetrieveResult | SessionError] = field(repr=False)

    def messages(self, namespace: int = Namespace.MESSAGES) -> tuple[StoredMessage, ...]:
        """The messages of one namespace, in the member's order. Raises what the member said instead."""
        return self._part(namespace).messages

    def malformed(self, namespace: int = Namespace.MESSAGES) -> int:
        """How many more there were that can't be what they claim to be."""
        return self._part(namespace).malformed

    @property
    def more(self) -> list[int]:
        """The namespaces in which more is waiting."""
        parts = self.parts.items()
        return [n for n, part in parts if isinstance(part, RetrieveResult) and part.more and part.messages]

    def _part(self, namespace: int) -> RetrieveResult:
        part = self.parts[namespace]
        if isinstance(part, SessionError):
            raise part
        return part


@dataclass(frozen=True, slots=True)
class Poll:
    """What to fetch from the swarm of an account of ours.

    `positions`: namespace → member (Ed25519 hex) → hash of the last message taken from it; each member has its own
    order. `prefer`: the member asked last time, which is usually asked again. `stay`: ask that one first for certain,
    because this is the next page of its answer. `alone`: ask nobody else.
    """

    identity: Identity
    positions: Mapping[int, Mapping[str, str]]
    prefer: str | None = None
    stay: bool = False
    alone: bool = False


class SwarmClient:
    """Storage RPC by account: finds the swarm, a member that answers, and the truth in the answer.

    `renew_list` fetches the list of nodes anew, when it turns out to be older than a swarm.
    """

    def __init__(self, onion: OnionClient, renew_list: Callable[[Deadline], None]) -> None:
        self._onion = onion
        self._pool = onion.pool
        self._renew_list = renew_list

    def members(self, account_id: str) -> list[str]:
        """The swarm of an account by our list, as Ed25519 keys in hex; nobody is asked."""
        return [node.ed25519.hex() for node in self._pool.swarm(account_id)]

    def store(
        self,
        account_id: str,
        data: bytes,
        ttl_ms: int,
        deadline: Deadline,
        *,
        namespace: int = 0,
        lane: int = 0,
        dated_ms: int | None = None,
    ) -> StoreResult:
        """Keep `data` in an account's inbox. Returns once a member has proved that it holds it.

        Storing the same bytes again is harmless: the swarm keeps one copy. That is done where fewer than half of the
        members have proved it, or where they don't seem to tell each other; see `StoreResult.is_safe` for what came of
        it. Raises NetworkError, ServiceRefused; and
        ClockOutOfSync, where our clock was put right and `dated_ms`, the time inside of `data`, turned out to be in
        the future: the data must be made anew.
        """
        expected = storage_rpc.message_hash(account_id, namespace, data)

        def request_for(node: ServiceNode) -> Request:
            now_ms = self._onion.clock.now_ms()
            return storage_rpc.store(account_id, data, timestamp_ms=now_ms, ttl_ms=ttl_ms, namespace=namespace)

        members = self._members(account_id, deadline)
        members.dated_ms = dated_ms

        def parse(body: Any, node: ServiceNode) -> StoreResult:
            return storage_rpc.parse_store(body, expected, members.names)

        def ask(until: Deadline) -> StoreResult:
            return members.ask("store", request_for, parse, until, lane=lane)

        result = ask(deadline)
        budget = deadline.within(self._onion.pace.request)
        unreplicated = False
        while (unreplicated or not result.is_safe or result.silent_about(members.names)) and members.pass_over(result):
            LOG.info("only %d of %d members confirm; asking another", len(result.confirmed), result.swarm_size)
            try:
                other = ask(budget)
            except (NetworkError, ServiceRefused) as error:
                LOG.info("no other member confirms: %s", error.message)
                # Neither we nor those that told hear of them.
                members.strike_the_silent(members.names - result.confirmed)
                break
            # One who is there although a peer called it silent: they don't tell each other, and all must be told.
            unreplicated |= bool(other.confirmed & set(result.failed))
            result = result.merged(other)
        return result

    def delete(self, identity: Identity, hashes: list[MessageHash], deadline: Deadline) -> None:
        """Take messages back out of our own swarm, as a member proves. Raises NetworkError, ServiceRefused."""

        def parse(body: Any, members: frozenset[str]) -> frozenset[str]:
            return storage_rpc.parse_delete(body, identity.account_id, hashes, members)

        self.ask(identity.account_id, "delete", lambda node: storage_rpc.delete(identity, hashes), parse, deadline)

    def ask(
        self,
        account_id: str,
        what: str,
        request_for: Callable[[ServiceNode], Request],
        parse: Callable[[Any, frozenset[str]], T],
        deadline: Deadline,
    ) -> T:
        """The first answer of a member that `parse` accepts, which is also told who the members are (Ed25519 hex).

        Raises NetworkError, ServiceRefused.
        """
        members = self._members(account_id, deadline)
        return members.ask(what, request_for, lambda body, node: parse(body, members.names), deadline)

    def now_ms(self) -> int:
        """Network time."""
        return self._onion.clock.now_ms()

    def retrieve(
        self,
        identity: Identity,
        positions: Mapping[int, Mapping[str, str]],
        deadline: Deadline,
        *,
        prefer: str | None = None,
    ) -> Page:
        """One page of what our own swarm holds in the namespaces of `positions`; see Poll.

        Raises NetworkError, ServiceRefused.
        """
        return self.poll_one(Poll(identity, positions, prefer), deadline)

    def poll(self, polls: Sequence[Poll], deadline: Deadline) -> list[Page | SessionError]:
        """A page of each of several swarms, asked at the same time; a failure stands where its page would."""
        if polls:
            self._onion.prepare(deadline)
        calls = [partial(self.poll_one, poll, deadline, lane=lane) for lane, poll in enumerate(polls)]
        return run_parallel(calls, at_once=SWARMS_AT_ONCE)

    def poll_one(self, poll: Poll, deadline: Deadline, *, lane: int = 0) -> Page:
        """A page of one swarm, as one batch request. Raises NetworkError, ServiceRefused."""
        identity = poll.identity
        namespaces = list(poll.positions)
        sizes = size_fractions(storage_rpc.OWN_NAMESPACES)

        def request_for(node: ServiceNode) -> Request:
            now_ms = self._onion.clock.now_ms()
            return storage_rpc.batch(
                [
                    storage_rpc.retrieve(
                        identity,
                        timestamp_ms=now_ms,
                        namespace=namespace,
                        last_hash=poll.positions[namespace].get(node.ed25519.hex(), ""),
                        max_size=sizes.get(namespace, -len(namespaces)),
                    )
                    for namespace in namespaces
                ]
            )

        def parse(body: Any, node: ServiceNode) -> Page:
            parts = dict(zip(namespaces, storage_rpc.parse_batch(body, len(namespaces)), strict=True))
            read = {n: _read_part(part, identity.account_id, n) for n, part in parts.items()}
            refusals = [part for part in read.values() if isinstance(part, SessionError)]
            if len(refusals) == len(read):
                # The same for all: it is said of the request.
                raise refusals[0]
            return Page(node.ed25519.hex(), read)

        members = self._members(identity.account_id, deadline)
        members.prefer(poll.prefer, certainly=poll.stay)
        if poll.alone and poll.prefer is not None:
            members.only(poll.prefer)
        return members.ask("retrieve", request_for, parse, deadline, lane=lane)

    def _members(self, account_id: str, deadline: Deadline) -> _Members:
        self._onion.prepare(deadline)
        return _Members(self._onion, account_id, self._renew_list)


def _read_part(part: storage_rpc.BatchPart, account_id: str, namespace: int) -> RetrieveResult | SessionError:
    try:
        if part.code != 200:
            raise_for_status(part.code, part.body)
        result = storage_rpc.parse_retrieve(part.body, account_id, namespace)
    except SessionError as error:
        return error
    if result.malformed and not result.messages:
        # There is no getting past it at this member; others may have the genuine messages.
        return RpcError("All messages that a member gave are made up.")
    return result


class _Turns:
    """Each member once, and then, while there are tries left, those again whose path may have been at fault."""

    def __init__(self, members: _Members) -> None:
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


class _Members:
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

    def pass_over(self, result: StoreResult) -> bool:
        """Ask others than those that confirm from now on, and none that failed lately. Whether there are any."""
        self._waiting = [
            node
            for node in self._waiting
            if node.ed25519.hex() not in result.confirmed and not self._pool.strikes(node.ed25519)
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
                _Turns(self),
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
