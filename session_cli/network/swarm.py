"""The swarm of an account: storing messages in it, and fetching what came.

All members of a swarm hold the same. Which one is asked is left to chance and to experience; what one of them says
about itself is believed only as far as it can prove it, and what it says about others hardly at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import NetworkError, RpcError, ServiceRefused, SessionError
from ..protocol import storage_rpc
from ..protocol.storage_rpc import (
    GROUP_NAMESPACES,
    OWN_NAMESPACES,
    BatchPart,
    MessageHash,
    Namespace,
    Proof,
    Request,
    RetrieveResult,
    ServiceNode,
    StoredMessage,
    StoreResult,
    SwarmAccount,
    size_fractions,
)
from .clock import Deadline
from .onion import OnionClient
from .parallel import as_completed
from .replies import raise_for_status
from .swarm_members import Members

if TYPE_CHECKING:
    from ..protocol.storage_upkeep import ExpireResult
    from .swarm_steps import Extend

LOG = logging.getLogger(__name__)
T = TypeVar("T")

SWARMS_AT_ONCE = 24
"""So many take the time of five or six rounds for a hundred; more at once would gain little."""
_SIZES = size_fractions(OWN_NAMESPACES) | size_fractions(GROUP_NAMESPACES)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a poll: who gave it (Ed25519 hex), and what it held by namespace.

    A namespace that the member refused has the refusal in place of its messages. `kept` is what members prove of the
    messages that were to be kept, or why they were not; None where there were none.
    """

    node: str
    parts: Mapping[int, RetrieveResult | SessionError] = field(repr=False)
    kept: ExpireResult | SessionError | None = None

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

    @property
    def size(self) -> int:
        """How many messages there are."""
        return sum(len(part.messages) for part in self.parts.values() if isinstance(part, RetrieveResult))

    @property
    def refused(self) -> dict[int, ServiceRefused]:
        """The namespaces that we may not read (any more), and what was said."""
        return {n: part for n, part in self.parts.items() if isinstance(part, ServiceRefused)}

    def _part(self, namespace: int) -> RetrieveResult:
        part = self.parts[namespace]
        if isinstance(part, SessionError):
            raise part
        return part


@dataclass(frozen=True, slots=True)
class Poll:
    """What to fetch from the swarm of an account: our own, or that of a group, as an admin or a member.

    `positions`: namespace → member (Ed25519 hex) → hash of the last message taken from it; each member has its own
    order. `prefer`: the member asked last time, which is usually asked again. `stay`: ask that one first for certain,
    because this is the next page of its answer. `alone`: ask nobody else. `keep`: what is to be kept for longer, if
    anything, in the same request.
    """

    account: SwarmAccount
    positions: Mapping[int, Mapping[str, str]]
    prefer: str | None = None
    stay: bool = False
    alone: bool = False
    keep: Extend | None = None


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
        to: str | SwarmAccount,
        data: bytes,
        ttl_ms: int,
        deadline: Deadline,
        *,
        namespace: int = 0,
        lane: int = 0,
        dated_ms: int | None = None,
    ) -> StoreResult:
        """Keep `data` in the inbox of an account id, or in a namespace to which only an account that proves itself
        may write. Returns once a member has proved that it holds it.

        Storing the same bytes again is harmless: the swarm keeps one copy. That is done where too few have proved it,
        see `ask_until_safe`, and `StoreResult.is_safe` for what came of it. Raises NetworkError, ServiceRefused; and
        ClockOutOfSync, where our clock was put right and `dated_ms`, the time inside of `data`, turned out to be in
        the future: the data must be made anew.
        """
        account_id = to if isinstance(to, str) else to.account_id
        expected = storage_rpc.message_hash(account_id, namespace, data)

        def request_for(node: ServiceNode) -> Request:
            now_ms = self._onion.clock.now_ms()
            if isinstance(to, str):
                return storage_rpc.store(to, data, timestamp_ms=now_ms, ttl_ms=ttl_ms, namespace=namespace)
            return storage_rpc.store_own(to, namespace, data, timestamp_ms=now_ms, ttl_ms=ttl_ms)

        def parse(body: Any, members: frozenset[str]) -> StoreResult:
            return storage_rpc.parse_store(body, expected, members)

        return self.ask_until_safe(
            account_id,
            "store",
            request_for,
            parse,
            deadline,
            weakest=lambda result: result,
            merged=StoreResult.merged,
            lane=lane,
            dated_ms=dated_ms,
        )

    def ask_until_safe(
        self,
        account_id: str,
        what: str,
        request_for: Callable[[ServiceNode], Request],
        parse: Callable[[Any, frozenset[str]], T],
        deadline: Deadline,
        *,
        weakest: Callable[[T], Proof | None],
        merged: Callable[[T, T], T],
        lane: int = 0,
        dated_ms: int | None = None,
    ) -> T:
        """Have a swarm do something that may as well be done twice; returns once a member has proved it.

        Others are asked as well where fewer than half of the members have proved it, by the `weakest` proof in the
        answer, or where they don't seem to tell each other. Raises NetworkError, ServiceRefused, and ClockOutOfSync
        with `dated_ms`, see `store`.
        """
        members = self._members(account_id, deadline)
        members.dated_ms = dated_ms

        def ask(until: Deadline) -> T:
            return members.ask(what, request_for, lambda body, _: parse(body, members.names), until, lane=lane)

        result = ask(deadline)
        budget = deadline.within(self._onion.pace.request)
        unreplicated = False
        while (proof := weakest(result)) is not None:
            enough = proof.is_safe and not unreplicated and not proof.silent_about(members.names)
            if enough or not members.pass_over(proof.confirmed):
                break
            LOG.info("only %d of %d members confirm; asking another", len(proof.confirmed), proof.swarm_size)
            try:
                other = ask(budget)
            except (NetworkError, ServiceRefused) as error:
                LOG.info("no other member confirms: %s", error.message)
                # Neither we nor those that told hear of them.
                members.strike_the_silent(members.names - proof.confirmed)
                break
            # One who is there although a peer called it silent: they don't tell each other, and all must be told.
            also = weakest(other)
            unreplicated |= also is not None and bool(also.confirmed & set(proof.failed))
            result = merged(result, other)
        return result

    def delete(self, account: SwarmAccount, hashes: list[MessageHash], deadline: Deadline) -> None:
        """Take messages back out of a swarm, as a member proves. Raises NetworkError, ServiceRefused."""

        def parse(body: Any, members: frozenset[str]) -> frozenset[str]:
            return storage_rpc.parse_delete(body, account.account_id, hashes, members)

        self.ask(account.account_id, "delete", lambda node: storage_rpc.delete(account, hashes), parse, deadline)

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
        account: SwarmAccount,
        positions: Mapping[int, Mapping[str, str]],
        deadline: Deadline,
        *,
        prefer: str | None = None,
    ) -> Page:
        """One page of what a swarm holds in the namespaces of `positions`; see Poll.

        Raises NetworkError, ServiceRefused.
        """
        return self.poll_one(Poll(account, positions, prefer), deadline)

    def poll(self, polls: Sequence[Poll], deadline: Deadline) -> Iterator[tuple[Poll, Page | SessionError]]:
        """A page of each of several swarms, or why there is none, each as soon as it is there.

        Many are asked at the same time, and while the caller deals with a page, the next ones come. Raises NetworkError
        where there is no way to any of them.
        """
        if polls:
            self._onion.prepare(deadline)
        calls = [partial(self.poll_one, poll, deadline, lane=lane) for lane, poll in enumerate(polls)]
        for number, page in as_completed(calls, at_once=SWARMS_AT_ONCE):
            yield polls[number], page

    def poll_one(self, poll: Poll, deadline: Deadline, *, lane: int = 0) -> Page:
        """A page of one swarm, as one batch request.

        What one member refuses, a second one is asked for. Raises NetworkError, ServiceRefused where that is the same
        for all that was asked for.
        """
        account, account_id = poll.account, poll.account.account_id
        namespaces = list(poll.positions)
        keep = poll.keep if poll.keep is not None and poll.keep.hashes else None
        partly: list[Page] = []

        def request_for(node: ServiceNode) -> Request:
            now_ms = self._onion.clock.now_ms()
            calls = [
                storage_rpc.retrieve(
                    account,
                    timestamp_ms=now_ms,
                    namespace=namespace,
                    last_hash=poll.positions[namespace].get(node.ed25519.hex(), ""),
                    max_size=_SIZES.get(namespace, -len(namespaces)),
                )
                for namespace in namespaces
            ]
            return storage_rpc.batch([*calls, keep.request(account, now_ms)] if keep else calls)

        def parse(body: Any, node: ServiceNode) -> Page:
            parts = storage_rpc.parse_batch(body, len(namespaces) + bool(keep))
            read = {n: _read_messages(part, account_id, n) for n, part in zip(namespaces, parts, strict=False)}
            problems = [part for part in read.values() if isinstance(part, SessionError)]
            if len(problems) == len(read):
                # The same for all: it is said of the request.
                raise problems[0]
            kept = read_part(parts[-1], lambda body: keep.read(body, account_id, (), members.names)) if keep else None
            page = Page(node.ed25519.hex(), read, kept)
            if page.refused:
                # This member alone may not have heard that a group lets us in again.
                partly.append(page)
                raise next(iter(page.refused.values()))
            return page

        members = self._members(account_id, deadline)
        members.prefer(poll.prefer, certainly=poll.stay)
        if poll.alone and poll.prefer is not None:
            members.only(poll.prefer)
        try:
            return members.ask("retrieve", request_for, parse, deadline, lane=lane)
        except (NetworkError, ServiceRefused):
            if not partly:
                raise
            return max(partly, key=lambda page: page.size)

    def _members(self, account_id: str, deadline: Deadline) -> Members:
        self._onion.prepare(deadline)
        return Members(self._onion, account_id, self._renew_list)


def read_part(part: BatchPart, read: Callable[[Any], T]) -> T | SessionError:
    """What `read` makes of one of several answers, or why there is nothing to read."""
    try:
        if part.code != 200:
            raise_for_status(part.code, part.body)
        return read(part.body)
    except SessionError as error:
        return error


def _read_messages(part: BatchPart, account_id: str, namespace: int) -> RetrieveResult | SessionError:
    result = read_part(part, lambda body: storage_rpc.parse_retrieve(body, account_id, namespace))
    if isinstance(result, RetrieveResult) and result.malformed and not result.messages:
        # There is no getting past it at this member; others may have the genuine messages.
        return RpcError("All messages that a member gave are made up.")
    return result
