"""Who is in the network: the table that every service node and the seed node read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..protocol.account import Identity
from ..protocol.swarm import NO_SWARM, swarm_for
from .account_calls import AccountCalls, InternalFailure, Refused
from .account_requests import AccountRequest
from .faults import Dead
from .injections import Injection
from .swarm_storage import NodeStorage

_QUEUE_SECONDS = 30
_BASE32Z = "ybndrfg8ejkmcpqxot1uwisza345h769"


@dataclass(slots=True)
class Member:
    """A service node as the network knows it. `swarm_id` None: in no swarm, so that it serves nobody.

    `death` is the fault that keeps it from `running`, if one does.
    """

    index: int
    identity: Identity
    legacy_public: bytes
    ip: str
    port: int
    omq_port: int
    swarm_id: int | None
    storage: NodeStorage
    calls: AccountCalls
    running: bool = False
    death: Injection | None = None
    undelivered: list[tuple[float, AccountRequest]] = field(default_factory=list)

    @property
    def ed25519(self) -> bytes:
        return self.identity.ed25519_public

    @property
    def x25519(self) -> bytes:
        return self.identity.x25519_public

    def missed(self) -> bool:
        """Another node wants this one, which does not run. Whether the other notices at once, and does not wait."""
        if self.death is None:
            return False
        self.death.hits += 1
        return self.death.fault == Dead("unreachable")

    def contact(self) -> dict[str, Any]:
        """The member as `get_swarm` lists it."""
        return {
            "address": f"{base32z(self.legacy_public)}.snode",
            "ip": self.ip,
            "port": str(self.port),
            "port_https": self.port,
            "port_omq": self.omq_port,
            "port_quic": self.omq_port,
            "pubkey_ed25519": self.ed25519.hex(),
            "pubkey_legacy": self.legacy_public.hex(),
            "pubkey_x25519": self.x25519.hex(),
        }


def base32z(data: bytes) -> str:
    """The human-oriented base 32 in which node addresses are written."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return "".join(_BASE32Z[int(bits[start : start + 5], 2)] for start in range(0, len(bits), 5))


def swarm_body(swarm_id: int, members: Sequence[Member]) -> dict[str, Any]:
    """A swarm as `get_swarm` shows it."""
    return {"snodes": [member.contact() for member in members], "swarm": f"{swarm_id:x}"}


class Directory:
    """All members and their swarms, and the way from one member to another."""

    def __init__(self, members: Sequence[Member], clock: Callable[[], float], peer_timeout: float) -> None:
        self.members = tuple(members)
        self._clock = clock
        self._peer_timeout = peer_timeout
        self._by_ed25519 = {member.ed25519: member for member in self.members}

    def find(self, ed25519: bytes) -> Member | None:
        """The member with this identity that is in a swarm: others are not in the nodes' tables."""
        member = self._by_ed25519.get(ed25519)
        return member if member is not None and member.swarm_id is not None else None

    def swarm_of(self, account: str) -> tuple[int, list[Member]]:
        """The swarm of an account and its members, in the order of the table."""
        swarm_id = swarm_for(account, (m.swarm_id for m in self.members if m.swarm_id is not None))
        if swarm_id is None:
            return NO_SWARM, []
        return swarm_id, [member for member in self.members if member.swarm_id == swarm_id]

    def swarm_body(self, account: str) -> dict[str, Any]:
        """What answers `get_swarm`, and a request that came to the wrong swarm."""
        swarm_id, members = self.swarm_of(account)
        return swarm_body(swarm_id, members)

    async def forward(self, peer: Member, request: AccountRequest) -> dict[str, Any]:
        """What a swarm member answers when another passes a call on to it.

        A stopped one answers nothing; the call waits for it a while, as in the real nodes' outgoing queues.
        """
        if not peer.running:
            peer.undelivered.append((self._clock(), request))
            if not peer.missed():
                await asyncio.sleep(self._peer_timeout)
            return {"failed": True, "timeout": True}
        try:
            result = peer.calls.perform(request, forwarded=True)
        except Refused as refusal:
            return {"failed": True, "code": str(refusal.reply.status), "reason": refusal.reply.body}
        except InternalFailure:
            return {"failed": True, "query_failure": True}
        # Peers answer each other in bencoding, which has no booleans.
        return {key: int(value) if isinstance(value, bool) else value for key, value in result.items()}

    def deliver_queued(self, member: Member) -> None:
        """Hand a member that came back what its peers still hold for it."""
        queued, member.undelivered = member.undelivered, []
        for since, request in queued:
            if self._clock() - since <= _QUEUE_SECONDS:
                try:
                    member.calls.perform(request, forwarded=True)
                except (Refused, InternalFailure):
                    # Nobody waits for the answer any more.
                    continue

    def move(self, member: Member, swarm_id: int | None) -> None:
        """Put a member into a swarm or none; whoever holds what a newcomer should have pushes it to them."""
        before = {m.index: m.swarm_id for m in self.members}
        old_ids = set(before.values())
        member.swarm_id = swarm_id
        reshaped = {m.swarm_id for m in self.members} - {None} != old_ids - {None}
        for holder in self.members:
            if holder.running:
                for message in holder.storage.everything():
                    for target in self.swarm_of(message.account)[1]:
                        newcomer = reshaped or before[target.index] != target.swarm_id
                        if target is not holder and newcomer and target.running:
                            target.storage.store(message)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)
