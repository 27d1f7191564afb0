"""What a swarm can be told to do in one request, one thing after the other, and how to read that it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import RpcError
from ..protocol import storage_rpc, storage_upkeep
from ..protocol.storage_rpc import MessageHash, Proof, Request, StoreResult, SwarmAccount
from ..protocol.storage_upkeep import ExpireResult

StepResult = Proof | ExpireResult
"""A StoreResult of what was stored, an ExpireResult where it was about times, and a plain Proof of all else."""


class Step(Protocol):
    """One of the things to be done."""

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        """What is sent at this time."""

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> StepResult:
        """What `members` (Ed25519 hex) prove about a request made at any of these times. Raises RpcError: nothing."""


@dataclass(frozen=True, slots=True)
class OwnStore:
    """Keep something in a namespace to which only those may write who prove themselves, for `ttl_ms`."""

    namespace: int
    data: bytes = field(repr=False)
    ttl_ms: int

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        return storage_rpc.store_own(account, self.namespace, self.data, timestamp_ms=now_ms, ttl_ms=self.ttl_ms)

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> StoreResult:
        expected = storage_rpc.message_hash(account_id, self.namespace, self.data)
        return storage_rpc.parse_store(body, expected, members)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete messages of any namespace. Those that are not there do no harm."""

    hashes: Sequence[MessageHash]

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        return storage_rpc.delete(account, self.hashes)

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> Proof:
        return _proof(body, storage_rpc.parse_delete(body, account_id, self.hashes, members), members)


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Delete everything in a namespace."""

    namespace: int

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        return storage_upkeep.delete_all(account, self.namespace, timestamp_ms=now_ms)

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> Proof:
        proved = _at_some_time(
            lambda time_ms: storage_upkeep.parse_delete_all(body, account_id, time_ms, members), asked_ms
        )
        return _proof(body, proved, members)


@dataclass(frozen=True, slots=True)
class Revoke:
    """Let subaccounts (tokens, 1 to 50 of them) in no more. A swarm forgets that with the account's last message."""

    tokens: Sequence[bytes]

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        return storage_upkeep.revoke_subaccounts(account, self.tokens, timestamp_ms=now_ms)

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> Proof:
        return _access(body, account_id, self.tokens, asked_ms, members)


@dataclass(frozen=True, slots=True)
class Unrevoke:
    """Let subaccounts (tokens, 1 to 50 of them) in again."""

    tokens: Sequence[bytes]

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        return storage_upkeep.unrevoke_subaccounts(account, self.tokens, timestamp_ms=now_ms)

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> Proof:
        return _access(body, account_id, self.tokens, asked_ms, members)


@dataclass(frozen=True, slots=True)
class Extend:
    """Keep messages until a time (ms) at least."""

    hashes: Sequence[MessageHash]
    expires_ms: int

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        return storage_upkeep.extend(account, self.hashes, self.expires_ms)

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> ExpireResult:
        return storage_upkeep.parse_expire(body, account_id, self.hashes, self.expires_ms, members)


@dataclass(frozen=True, slots=True)
class Shorten:
    """Keep messages until a time (ms) and no longer."""

    hashes: Sequence[MessageHash]
    expires_ms: int

    def request(self, account: SwarmAccount, now_ms: int) -> Request:
        return storage_upkeep.expire(account, self.hashes, self.expires_ms)

    def read(self, body: Any, account_id: str, asked_ms: Sequence[int], members: frozenset[str]) -> ExpireResult:
        return storage_upkeep.parse_expire(body, account_id, self.hashes, self.expires_ms, members)


def _access(
    body: Any, account_id: str, tokens: Sequence[bytes], asked_ms: Sequence[int], members: frozenset[str]
) -> Proof:
    proved = _at_some_time(
        lambda time_ms: storage_upkeep.parse_access(body, account_id, tokens, time_ms, members), asked_ms
    )
    return _proof(body, proved, members)


def _at_some_time(read: Callable[[int], frozenset[str]], asked_ms: Sequence[int]) -> frozenset[str]:
    """What is proved about one of several requests for the same thing, of which members sign the time."""
    problem = RpcError("Nothing was asked for.")
    for time_ms in reversed(asked_ms):
        try:
            return read(time_ms)
        except RpcError as error:
            problem = error
    raise problem


def _proof(body: Any, proved: frozenset[str], members: frozenset[str]) -> Proof:
    named = set(body["swarm"])
    return Proof(proved, dict.fromkeys(named - proved, "no proof"), max(len(named), len(members)))
