"""Storage RPC for messages that our swarm holds already: how long it is to keep them, and how long it does.

As in `storage_rpc`, what a member claims to have done counts only with its signature.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BadSignature, RpcError
from .account import Identity, verify_signature
from .storage_rpc import MessageHash, Request, authentication, text, time_ms

MOST_HASHES = 500
"""What one call should name at the most."""


def expire(identity: Identity, hashes: Sequence[MessageHash], expires_ms: int) -> Request:
    """Have our own swarm keep messages until a time (ms) and no longer; those that it drops before stay as they are."""
    signed = f"expireshorten{expires_ms}" + "".join(hashes)
    params = {"messages": list(hashes), "expiry": expires_ms, "shorten": True}
    return Request("expire", params | authentication(identity, signed))


def extend(identity: Identity, hashes: Sequence[MessageHash], expires_ms: int) -> Request:
    """Have our own swarm keep messages until a time (ms) at least."""
    signed = f"expireextend{expires_ms}" + "".join(hashes)
    params = {"messages": list(hashes), "expiry": expires_ms, "extend": True}
    return Request("expire", params | authentication(identity, signed))


def get_expiries(identity: Identity, hashes: Sequence[MessageHash], *, timestamp_ms: int) -> Request:
    """Ask a member of our own swarm until when it keeps messages."""
    signed = f"get_expiries{timestamp_ms}" + "".join(hashes)
    return Request(
        "get_expiries", {"messages": list(hashes), "timestamp": timestamp_ms} | authentication(identity, signed)
    )


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
