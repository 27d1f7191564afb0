"""Storage RPC for what a swarm holds already: how long it keeps messages, and whom else an account lets in.

As in `storage_rpc`, what a member claims to have done counts only with its signature.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BadSignature, RpcError
from .account import verify_signature
from .storage_rpc import MessageHash, Request, SwarmAccount, namespace_text, text, time_ms

MOST_HASHES = 500
"""What one call should name at the most."""
MOST_REVOKED = 50
"""How many revoked subaccounts a swarm remembers of an account: the latest ones."""


def expire(account: SwarmAccount, hashes: Sequence[MessageHash], expires_ms: int) -> Request:
    """Have a swarm keep messages until a time (ms) and no longer; those that it drops before stay as they are."""
    signed = f"expireshorten{expires_ms}" + "".join(hashes)
    params = {"messages": list(hashes), "expiry": expires_ms, "shorten": True}
    return Request("expire", params | account.authentication(signed.encode()))


def extend(account: SwarmAccount, hashes: Sequence[MessageHash], expires_ms: int) -> Request:
    """Have a swarm keep messages until a time (ms) at least."""
    signed = f"expireextend{expires_ms}" + "".join(hashes)
    params = {"messages": list(hashes), "expiry": expires_ms, "extend": True}
    return Request("expire", params | account.authentication(signed.encode()))


def get_expiries(account: SwarmAccount, hashes: Sequence[MessageHash], *, timestamp_ms: int) -> Request:
    """Ask a member of a swarm until when it keeps messages."""
    signed = f"get_expiries{timestamp_ms}" + "".join(hashes)
    return Request(
        "get_expiries", {"messages": list(hashes), "timestamp": timestamp_ms} | account.authentication(signed.encode())
    )


def delete_all(account: SwarmAccount, namespace: int, *, timestamp_ms: int) -> Request:
    """Take everything out of one namespace of a swarm. A group's members may not."""
    signed = f"delete_all{namespace_text(namespace)}{timestamp_ms}"
    params = {"namespace": namespace, "timestamp": timestamp_ms}
    return Request("delete_all", params | account.authentication(signed.encode()))


def revoke_subaccounts(account: SwarmAccount, tokens: Sequence[bytes], *, timestamp_ms: int) -> Request:
    """Let subaccounts (tokens of 36 bytes, 1 to 50) in no more. Only the account itself may: of a group, its admins."""
    return _change_access("revoke", account, tokens, timestamp_ms)


def unrevoke_subaccounts(account: SwarmAccount, tokens: Sequence[bytes], *, timestamp_ms: int) -> Request:
    """Let subaccounts in again, if they had been revoked. Only the account itself may."""
    return _change_access("unrevoke", account, tokens, timestamp_ms)


def _change_access(verb: str, account: SwarmAccount, tokens: Sequence[bytes], timestamp_ms: int) -> Request:
    if not 0 < len(tokens) <= MOST_REVOKED:
        raise ValueError(f"One request revokes 1 to {MOST_REVOKED} subaccounts, not {len(tokens)}.")
    method = f"{verb}_subaccount"
    params = {verb: [base64.b64encode(token).decode() for token in tokens], "timestamp": timestamp_ms}
    return Request(method, params | account.authentication(f"{method}{timestamp_ms}".encode() + b"".join(tokens)))


@dataclass(frozen=True, slots=True)
class ExpireResult:
    """What members (Ed25519 hex) of a swarm prove about an `expire`: until when (ms) each now keeps which message.

    A hash that a member does not name is one that it doesn't have, or has no more. `swarm_size` is how many there are.
    """

    kept: Mapping[str, Mapping[str, int]]
    swarm_size: int

    def dropped_ms(self, hash: str) -> int | None:
        """By when more than half of those that prove anything drop a message; 0 if they don't have it any more.

        None if they are fewer than half of the swarm: a few can't make a message disappear.
        """
        if 2 * len(self.kept) < self.swarm_size:
            return None
        return sorted(messages.get(hash, 0) for messages in self.kept.values())[len(self.kept) // 2]


def parse_expire(
    body: Any, account_id: str, hashes: Sequence[MessageHash], expires_ms: int, members: frozenset[str]
) -> ExpireResult:
    """An answer to `expire` of one time, each member's signature over what it says checked.

    A member keeps a message for no longer than 30 days, and may so answer with an earlier time than was asked for.
    Raises RpcError if not one of the swarm proves anything.
    """
    swarm = body.get("swarm") if isinstance(body, dict) else None
    if not isinstance(swarm, dict):
        raise RpcError("An expire was answered without the swarm's results.")
    kept = {}
    for member, result in swarm.items():
        try:
            if member in members:
                kept[member] = _kept(member, result, account_id, hashes, expires_ms)
        except (AttributeError, BadSignature, KeyError, TypeError, ValueError):
            continue
    if not kept:
        raise RpcError("No member of the swarm proved that it shortened the messages.")
    return ExpireResult(kept, max(len(swarm), len(members)))


def _kept(member: str, result: Any, account_id: str, hashes: Sequence[MessageHash], expires_ms: int) -> dict[str, int]:
    applied_ms = time_ms(result["expiry"])
    updated = [text(hash) for hash in result["updated"]]
    unchanged = {text(hash): time_ms(expiry) for hash, expiry in result.get("unchanged", {}).items()}
    told = "".join(f"{hash}{unchanged[hash]}" for hash in sorted(unchanged))
    signed = f"{account_id}{applied_ms}{''.join(hashes)}{''.join(updated)}{told}"
    verify_signature(bytes.fromhex(member), signed.encode(), base64.b64decode(text(result["signature"]) + "=="))
    if applied_ms > expires_ms:
        raise ValueError("a member answers another question")
    return unchanged | dict.fromkeys(updated, applied_ms)


def parse_expiries(body: Any, hashes: Sequence[MessageHash]) -> dict[str, int]:
    """What one member says, and does not prove: until when (ms) it keeps which of the messages. Raises RpcError.

    Messages that it doesn't have are left out.
    """
    expiries = body.get("expiries") if isinstance(body, dict) else None
    if not isinstance(expiries, dict):
        raise RpcError("A get_expiries was answered without times.")
    try:
        return {hash: time_ms(expiries[hash]) for hash in hashes if hash in expiries}
    except (TypeError, ValueError):
        raise RpcError("A get_expiries was answered with times that are none.") from None


def parse_delete_all(body: Any, account_id: str, timestamp_ms: int, members: frozenset[str]) -> frozenset[str]:
    """The members (Ed25519 hex) that prove that they emptied a namespace. Raises RpcError if not one does."""

    def signed(result: Any) -> bytes:
        deleted = sorted(text(hash) for hash in result["deleted"])
        return f"{account_id}{timestamp_ms}{''.join(deleted)}".encode()

    return _proved(body, members, signed, "emptied the namespace")


def parse_access(
    body: Any, account_id: str, tokens: Sequence[bytes], timestamp_ms: int, members: frozenset[str]
) -> frozenset[str]:
    """The members (Ed25519 hex) that prove that they revoked or unrevoked subaccounts.

    Raises RpcError if not one does.
    """
    expected = f"{account_id}{timestamp_ms}".encode() + b"".join(tokens)
    return _proved(body, members, lambda _: expected, "changed whom it lets in")


def _proved(body: Any, members: frozenset[str], signed: Callable[[Any], bytes], done: str) -> frozenset[str]:
    """Those of the members whose signature over what `signed` makes of their result verifies."""
    swarm = body.get("swarm") if isinstance(body, dict) else None
    if not isinstance(swarm, dict):
        raise RpcError("A request was answered without the swarm's results.")
    proved = set()
    for member in members.intersection(swarm):
        result = swarm[member]
        try:
            signature = base64.b64decode(text(result["signature"]) + "==")
            verify_signature(bytes.fromhex(member), signed(result), signature)
        except (BadSignature, KeyError, TypeError, ValueError):
            continue
        proved.add(member)
    if not proved:
        raise RpcError(f"No member of the swarm proved that it {done}.")
    return frozenset(proved)
