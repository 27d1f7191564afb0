"""Storage RPC: what a client asks the storage servers, signs, and believes.

Requests become `{"method", "params"}`; nothing here sends them. Signed texts and answers follow the servers'
source and recordings; what a swarm member claims to have done counts only with its signature.
"""

from __future__ import annotations

import base64
import enum
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NewType, Protocol, Self

from ..errors import BadSignature, RpcError
from .account import AccountId, verify_signature

MessageHash = NewType("MessageHash", str)
"""43 characters of unpadded base64, made by the storage server from what is stored."""

MAX_MESSAGE_BYTES = 76_800
MIN_TTL_MS = 10_000
MAX_TTL_MS = 14 * 24 * 3600 * 1000
"""Longest life in a public inbox; other namespaces take 30 days."""
MAX_BATCH = 20
SIGNATURE_WINDOW_MS = 60_000
_PLAUSIBLE_TIME_MS = 1_609_419_600_000
"""Desktop ignores network times before this (December 2020)."""
_LATEST_TIME_MS = 253_402_300_799_999
"""The end of the year 9999."""


class Namespace(enum.IntEnum):
    """Where in an account's swarm something is kept."""

    MESSAGES = 0
    USER_PROFILE = 2
    CONTACTS = 3
    CONVO_INFO_VOLATILE = 4
    USER_GROUPS = 5
    GROUP_MESSAGES = 11
    GROUP_KEYS = 12
    GROUP_INFO = 13
    GROUP_MEMBERS = 14
    REVOKED_GROUP_MESSAGES = -11


OWN_NAMESPACES = (
    Namespace.MESSAGES,
    Namespace.USER_PROFILE,
    Namespace.CONTACTS,
    Namespace.USER_GROUPS,
    Namespace.CONVO_INFO_VOLATILE,
)
"""What a client asks its own swarm for, in the order of Session Desktop."""
GROUP_NAMESPACES = (
    Namespace.REVOKED_GROUP_MESSAGES,
    Namespace.GROUP_MESSAGES,
    Namespace.GROUP_INFO,
    Namespace.GROUP_MEMBERS,
    Namespace.GROUP_KEYS,
)
"""What it asks the swarm of a group for, likewise. The first may be read even by those who are let in no more."""
_FIRST_IN_SIZE = frozenset({Namespace.MESSAGES, Namespace.GROUP_MESSAGES})


def size_fractions(namespaces: Sequence[int]) -> dict[int, int]:
    """The `max_size` of each namespace when these are asked for in one request: -k is the k-th part of the maximum.

    Messages come before configuration: a class shares what the one before left, and leaves a part for the next.
    """
    fractions: dict[int, int] = {}
    split = 1
    first = [namespace for namespace in namespaces if namespace in _FIRST_IN_SIZE]
    rest = [namespace for namespace in namespaces if namespace not in _FIRST_IN_SIZE]
    for members, others in ((first, rest), (rest, [])):
        if members:
            split *= len(members) + bool(others)
            fractions |= dict.fromkeys(members, -split)
    return fractions


def namespace_text(namespace: int) -> str:
    """A namespace as it stands in signed texts and hashes: nothing for 0, else decimal."""
    return str(namespace) if namespace else ""


def message_hash(account_id: str, namespace: int, data: bytes) -> MessageHash:
    """The hash the storage server gives to `data`. Time plays no part: the same bytes have the same hash."""
    digest = hashlib.blake2b(bytes.fromhex(account_id) + namespace_text(namespace).encode() + data, digest_size=32)
    return MessageHash(base64.b64encode(digest.digest()).decode().rstrip("="))


class SwarmAccount(Protocol):
    """An account of the swarms, with what proves that we may ask for it.

    Our own (`account.Identity`), or that of a group, as an admin (`group.identity.GroupIdentity`) or as a member
    (`group.subaccount.GroupMember`).
    """

    @property
    def account_id(self) -> AccountId: ...

    def authentication(self, signed: bytes) -> dict[str, str]:
        """The parameters that prove a request: whose account, and a signature over `signed`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One storage RPC call."""

    method: str
    params: Mapping[str, Any] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "params": dict(self.params)}


def store(account_id: str, data: bytes, *, timestamp_ms: int, ttl_ms: int, namespace: int = 0) -> Request:
    """Keep `data` (at most 76,800 bytes) in a public inbox of any account. Needs no signature."""
    return Request(
        "store",
        {
            "pubkey": account_id,
            "namespace": namespace,
            "timestamp": timestamp_ms,
            "ttl": ttl_ms,
            "data": base64.b64encode(data).decode(),
        },
    )


def store_own(account: SwarmAccount, namespace: int, data: bytes, *, timestamp_ms: int, ttl_ms: int) -> Request:
    """Keep `data` in a namespace of a swarm that not everybody may write to. The signature covers no data."""
    signed = f"store{namespace_text(namespace)}{timestamp_ms}"
    params = {
        "namespace": namespace,
        "timestamp": timestamp_ms,
        "sig_timestamp": timestamp_ms,
        "ttl": ttl_ms,
        "data": base64.b64encode(data).decode(),
    }
    return Request("store", params | account.authentication(signed.encode()))


def retrieve(
    account: SwarmAccount,
    *,
    timestamp_ms: int,
    namespace: int = 0,
    last_hash: str = "",
    max_size: int | None = None,
) -> Request:
    """Ask a swarm for what came after `last_hash`. Negative `max_size` -k is the k-th part of the maximum."""
    signed = f"retrieve{namespace_text(namespace)}{timestamp_ms}"
    params: dict[str, Any] = {
        "namespace": namespace,
        "last_hash": last_hash,
        "timestamp": timestamp_ms,
    }
    if max_size is not None:
        params["max_size"] = max_size
    return Request("retrieve", params | account.authentication(signed.encode()))


def delete(account: SwarmAccount, hashes: Sequence[MessageHash]) -> Request:
    """Take messages out of a swarm, whatever their namespace. A group's admins may, its members may not."""
    signed = "delete" + "".join(hashes)
    return Request("delete", {"messages": list(hashes)} | account.authentication(signed.encode()))


def info() -> Request:
    """Ask any node for its version and time."""
    return Request("info", {})


def active_nodes() -> Request:
    """Ask any node for all nodes, in the compact form. For batches: alone, its answer would not be JSON."""
    return Request("active_nodes_bin", {})


def service_nodes() -> Request:
    """Ask any node to ask its chain for all nodes."""
    return Request("oxend_request", {"endpoint": "get_service_nodes", "params": SERVICE_NODES_PARAMS})


def get_swarm(account_id: str) -> Request:
    """Ask any node for the swarm of an account."""
    return Request("get_swarm", {"pubkey": account_id})


def batch(requests: Sequence[Request]) -> Request:
    """Up to 20 calls answered in one go."""
    if not 0 < len(requests) <= MAX_BATCH:
        raise ValueError(f"A batch holds 1 to {MAX_BATCH} requests, not {len(requests)}.")
    return Request("batch", {"requests": [request.to_json() for request in requests]})


def sequence(requests: Sequence[Request]) -> Request:
    """Up to 20 calls, one after the other, until one fails: the answer ends with that one."""
    return Request("sequence", batch(requests).params)


SERVICE_NODES_PARAMS: Mapping[str, Any] = {
    "active_only": True,
    "fields": dict.fromkeys(
        ("public_ip", "storage_port", "pubkey_x25519", "pubkey_ed25519", "swarm_id", "storage_server_version"), True
    ),
}
"""What to tell of each node; the same at a seed and by way of a node."""


# Answers.


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One element of a `retrieve` answer."""

    hash: MessageHash
    timestamp_ms: int
    expiration_ms: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RetrieveResult:
    """Messages in the order of the node, and whether more wait. `malformed` elements were left out."""

    messages: tuple[StoredMessage, ...]
    more: bool
    malformed: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What a swarm says about something that all of its members are to do.

    `confirmed`: members (Ed25519 hex) whose signature proves that they did. `failed`: members that did not, each with
    the reason it or its peer gave. `swarm_size`: how many there are, by the answer or by our list, whichever is more:
    one that keeps silent about its peers is no swarm of one.
    """

    confirmed: frozenset[str]
    failed: Mapping[str, str]
    swarm_size: int

    @property
    def is_safe(self) -> bool:
        """Whether half of the swarm did it, which is what the app for iOS asks for."""
        return 2 * len(self.confirmed) >= self.swarm_size

    def silent_about(self, members: frozenset[str]) -> bool:
        """Whether there are members of whom the answer does not say how they did."""
        return bool(members - self.confirmed - set(self.failed))

    def merged(self, other: Self) -> Self:
        """What two answers to the same request say together."""
        confirmed = self.confirmed | other.confirmed
        failed = {member: why for member, why in {**self.failed, **other.failed}.items() if member not in confirmed}
        size = max(self.swarm_size, other.swarm_size, len(confirmed) + len(failed))
        return replace(self, confirmed=confirmed, failed=failed, swarm_size=size)


@dataclass(frozen=True, slots=True)
class StoreResult(Proof):
    """What a swarm says about a `store`: what counts for confirmed is a signature over our hash."""

    hash: MessageHash
    expiration_ms: int | None

    def merged(self, other: Self) -> Self:
        """What two answers to the same bytes say together."""
        known = [expiry for expiry in (self.expiration_ms, other.expiration_ms) if expiry is not None]
        return replace(Proof.merged(self, other), expiration_ms=max(known, default=None))


@dataclass(frozen=True, slots=True)
class BatchPart:
    """One sub-result of a batch or sequence."""

    code: int
    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServiceNode:
    """A service node as the network lists it. Keys are 32 bytes, `port` is its HTTPS port."""

    ed25519: bytes
    x25519: bytes
    ip: str
    port: int
    swarm_id: int | None = None
    version: tuple[int, ...] = ()


def network_time(body: Any) -> int | None:
    """The `t` of an answer in ms, if it is there and believable. A batch has it only inside of its parts."""
    if isinstance(body, dict) and isinstance(body.get("results"), list):
        parts = [part["body"] for part in body["results"] if isinstance(part, dict) and "body" in part]
        return next((told for part in parts if (told := _told_time(part)) is not None), None)
    return _told_time(body)


def _told_time(body: Any) -> int | None:
    value = body.get("t") if isinstance(body, dict) else None
    return value if type(value) is int and _PLAUSIBLE_TIME_MS < value <= _LATEST_TIME_MS else None


def parse_batch(body: Any, expected: int) -> list[BatchPart]:
    """The parts of a batch answer, as many as were asked. Raises RpcError."""
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list) or len(results) != expected:
        raise RpcError("A batch was answered with another number of parts.")
    parts = []
    for part in results:
        if not isinstance(part, dict) or type(part.get("code")) is not int:
            raise RpcError("A batch was answered with something that has no code.")
        parts.append(BatchPart(part["code"], part.get("body")))
    return parts


def parse_sequence(body: Any, expected: int) -> list[BatchPart]:
    """The results of a `sequence`: all of `expected`, or those up to the first that failed. Raises RpcError."""
    results = body.get("results") if isinstance(body, dict) else None
    count = len(results) if isinstance(results, list) else 0
    if not 0 < count <= expected:
        raise RpcError("A sequence was answered with another number of results.")
    parts = parse_batch(body, count)
    if count < expected and 200 <= parts[-1].code < 300:
        raise RpcError("A sequence ended before its end, and nothing had failed.")
    return parts


def parse_retrieve(body: Any, account_id: str, namespace: int) -> RetrieveResult:
    """A `retrieve` answer. Raises RpcError for a malformed whole.

    A malformed element is counted and left out, and so is one whose hash is not that of its data: a node that could
    give somebody else's hash to rubbish could make us pass over the genuine message.
    """
    listed = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise RpcError("A retrieve was answered without messages.")
    messages = []
    for element in listed:
        try:
            message = StoredMessage(
                MessageHash(text(element["hash"])),
                time_ms(element["timestamp"]),
                time_ms(element["expiration"] if "expiration" in element else element["expiry"]),
                base64.b64decode(text(element["data"]), validate=True),
            )
        except (KeyError, TypeError, ValueError):
            continue
        if message.hash == message_hash(account_id, namespace, message.data):
            messages.append(message)
    return RetrieveResult(tuple(messages), body.get("more") is True, len(listed) - len(messages))


def parse_store(body: Any, expected_hash: MessageHash, members: frozenset[str] | None = None) -> StoreResult:
    """A `store` answer, each member's signature over the hash checked.

    `members`: the swarm as we know it (Ed25519 hex); a name outside of it confirms nothing, whatever it signed.
    Raises RpcError if the answer is malformed or not one member of the swarm proved that it holds our bytes.
    """
    swarm = body.get("swarm") if isinstance(body, dict) else None
    if not isinstance(swarm, dict):
        raise RpcError("A store was answered without the swarm's results.")
    confirmed, failed, expirations = set(), {}, []
    for member, result in swarm.items():
        reason = _store_failure(member, result, expected_hash)
        if reason is None and members is not None and member not in members:
            reason = "not known to be in the swarm"
        if reason is not None:
            failed[member] = reason
            continue
        confirmed.add(member)
        with suppress(TypeError, ValueError):
            expirations.append(time_ms(result.get("expiry")))
    if not confirmed:
        raise RpcError("No member of the swarm proved that it stored the message.")
    size = max(len(swarm), len(members or ()))
    return StoreResult(frozenset(confirmed), failed, size, expected_hash, max(expirations, default=None))


def parse_delete(body: Any, account_id: str, hashes: Sequence[MessageHash], members: frozenset[str]) -> frozenset[str]:
    """The members (Ed25519 hex) that prove by their signature that they deleted what they had of our messages.

    Raises RpcError if not one of the swarm does.
    """
    swarm = body.get("swarm") if isinstance(body, dict) else None
    if not isinstance(swarm, dict):
        raise RpcError("A delete was answered without the swarm's results.")
    confirmed = set()
    for member, result in swarm.items():
        try:
            deleted = [text(hash) for hash in result["deleted"]]
            signed = account_id + "".join(hashes) + "".join(deleted)
            signature = base64.b64decode(text(result["signature"]) + "==")
            verify_signature(bytes.fromhex(member), signed.encode(), signature)
        except (BadSignature, KeyError, TypeError, ValueError):
            continue
        if member in members:
            confirmed.add(member)
    if not confirmed:
        raise RpcError("No member of the swarm proved that it deleted the messages.")
    return frozenset(confirmed)


def _store_failure(member: str, result: Any, expected_hash: MessageHash) -> str | None:
    if not isinstance(result, dict):
        return "malformed result"
    if result.get("failed"):
        if result.get("timeout"):
            return "timeout"
        return str(result.get("reason") or result.get("code") or "failed")
    if result.get("hash") != expected_hash:
        return "another hash than that of our message"
    try:
        signature = base64.b64decode(text(result["signature"]) + "==")
        verify_signature(bytes.fromhex(member), expected_hash.encode(), signature)
    except (BadSignature, KeyError, ValueError, TypeError):
        return "bad signature"
    return None


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def time_ms(value: Any) -> int:
    """A time in ms that a calendar has. Raises TypeError, ValueError."""
    if not 0 <= number(value) <= _LATEST_TIME_MS:
        raise ValueError
    return number(value)


def number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value
