"""What our own swarm is told, and asked, about messages that it holds already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import RpcError, SessionError
from ..protocol import storage_rpc, storage_upkeep
from ..protocol.account import Identity
from ..protocol.storage_rpc import MAX_BATCH, BatchPart, MessageHash, Request, ServiceNode
from ..protocol.storage_upkeep import ExpireResult
from .clock import Deadline
from .replies import raise_for_status
from .swarm import SwarmClient


@dataclass(frozen=True, slots=True)
class OwnStore:
    """Something to be kept in a namespace of our own swarm, for `ttl_ms`."""

    namespace: int
    data: bytes = field(repr=False)
    ttl_ms: int


Shortening = tuple[int, Sequence[MessageHash]]
"""Until when (ms) messages are to be kept, and which."""


class SwarmUpkeep:
    """Calls on messages of our own account by their hashes."""

    def __init__(self, swarm: SwarmClient) -> None:
        self._swarm = swarm

    def expire(
        self, identity: Identity, shortenings: Sequence[Shortening], deadline: Deadline
    ) -> list[ExpireResult | SessionError]:
        """Have messages kept until a time and no longer, up to 20 groups of them as one batch request.

        Returns in their order what members prove of each group, or why it was refused. Raises NetworkError,
        ServiceRefused where that is the same for all.
        """
        if len(shortenings) > MAX_BATCH:
            raise ValueError(f"up to {MAX_BATCH} groups, not {len(shortenings)}")

        def request_for(node: ServiceNode) -> Request:
            calls = [storage_upkeep.expire(identity, hashes, expires_ms) for expires_ms, hashes in shortenings]
            return storage_rpc.batch(calls)

        def parse(body: Any, members: frozenset[str]) -> list[ExpireResult | SessionError]:
            parts = storage_rpc.parse_batch(body, len(shortenings))
            found = [
                _read(part, identity, shortening, members) for part, shortening in zip(parts, shortenings, strict=True)
            ]
            problems = [one for one in found if isinstance(one, SessionError)]
            if len(problems) == len(found):
                # The same for all: it is said of the request.
                raise problems[0]
            return found

        return self._swarm.ask(identity.account_id, "expire", request_for, parse, deadline)

    def extend(
        self, identity: Identity, hashes: Sequence[MessageHash], expires_ms: int, deadline: Deadline
    ) -> ExpireResult:
        """Have messages kept until a time (ms) at least; returns what members prove of it.

        Raises NetworkError, ServiceRefused.
        """

        def parse(body: Any, members: frozenset[str]) -> ExpireResult:
            return storage_upkeep.parse_expire(body, identity.account_id, hashes, expires_ms, members)

        return self._swarm.ask(
            identity.account_id,
            "expire",
            lambda node: storage_upkeep.extend(identity, hashes, expires_ms),
            parse,
            deadline,
        )

    def replace(
        self,
        identity: Identity,
        stores: Sequence[OwnStore],
        obsolete: Sequence[MessageHash],
        deadline: Deadline,
    ) -> None:
        """Store what only we may write, and then delete what it takes the place of: in one go, in this order.

        Nothing is deleted unless all was stored, as a member proves of each. What can't be deleted is harmless. Raises
        NetworkError, ServiceRefused.
        """
        portions = [stores[start : start + MAX_BATCH - 1] for start in range(0, len(stores), MAX_BATCH - 1)]
        for portion in portions:
            self._replace(identity, portion, obsolete if portion is portions[-1] else (), deadline)

    def _replace(
        self, identity: Identity, stores: Sequence[OwnStore], obsolete: Sequence[MessageHash], deadline: Deadline
    ) -> None:
        account_id = identity.account_id

        def request_for(node: ServiceNode) -> Request:
            now_ms = self._swarm.now_ms()
            calls = [
                storage_rpc.store_own(identity, one.namespace, one.data, timestamp_ms=now_ms, ttl_ms=one.ttl_ms)
                for one in stores
            ]
            return storage_rpc.sequence([*calls, storage_rpc.delete(identity, obsolete)] if obsolete else calls)

        def parse(body: Any, members: frozenset[str]) -> None:
            parts = storage_rpc.parse_sequence(body, len(stores) + bool(obsolete))
            for one, part in zip(stores, parts, strict=False):
                if part.code != 200:
                    raise_for_status(part.code, part.body)
                expected = storage_rpc.message_hash(account_id, one.namespace, one.data)
                storage_rpc.parse_store(part.body, expected, members)
            if len(parts) < len(stores):
                raise RpcError("Not all was stored, and it is not said why.")

        self._swarm.ask(account_id, "sequence", request_for, parse, deadline)

    def get_expiries(self, identity: Identity, hashes: Sequence[MessageHash], deadline: Deadline) -> Mapping[str, int]:
        """Until when (ms) one member says that it keeps messages; those that it does not have are left out.

        Nothing proves it. Raises NetworkError, ServiceRefused.
        """

        def request_for(node: ServiceNode) -> Request:
            return storage_upkeep.get_expiries(identity, hashes, timestamp_ms=self._swarm.now_ms())

        def parse(body: Any, members: frozenset[str]) -> Mapping[str, int]:
            return storage_upkeep.parse_expiries(body, hashes)

        return self._swarm.ask(identity.account_id, "get_expiries", request_for, parse, deadline)


def _read(
    part: BatchPart, identity: Identity, shortening: Shortening, members: frozenset[str]
) -> ExpireResult | SessionError:
    expires_ms, hashes = shortening
    try:
        if part.code != 200:
            raise_for_status(part.code, part.body)
        return storage_upkeep.parse_expire(part.body, identity.account_id, hashes, expires_ms, members)
    except SessionError as error:
        return error
