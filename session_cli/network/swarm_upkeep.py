"""What the swarm of an account that we have a say in is told, and asked, about what it holds already.

The account is our own, or that of a group, as an admin or as a member; a swarm refuses members what only admins may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import RpcError, SessionError
from ..protocol import storage_rpc, storage_upkeep
from ..protocol.storage_rpc import MAX_BATCH, MessageHash, Proof, Request, ServiceNode, SwarmAccount
from ..protocol.storage_upkeep import ExpireResult
from .clock import Deadline
from .swarm import SwarmClient, read_part
from .swarm_steps import Delete, Extend, OwnStore, Shorten, Step, StepResult

Shortening = tuple[int, Sequence[MessageHash]]
"""Until when (ms) messages are to be kept, and which."""


class SwarmUpkeep:
    """Calls that change what a swarm holds."""

    def __init__(self, swarm: SwarmClient) -> None:
        self._swarm = swarm

    def perform(
        self,
        account: SwarmAccount,
        steps: Sequence[Step],
        deadline: Deadline,
        *,
        needed: int | None = None,
        lane: int = 0,
        dated_ms: int | None = None,
    ) -> list[StepResult | SessionError]:
        """Have up to 20 things done in one request, one after the other, until one fails; all may be done twice.

        Returns in their order what members prove of each. The first `needed` (None: all) have to be done; the others
        may have failed, and have the reason in their place. Members who may not have been told are told as well, see
        `SwarmClient.ask_until_safe`. Raises the error of the first needed one that nobody has done (ServiceRefused,
        NetworkError): those before it are done. `dated_ms` and ClockOutOfSync are those of `SwarmClient.store`.
        """
        account_id, asked_ms = account.account_id, list[int]()
        necessary = len(steps) if needed is None else needed

        def request_for(node: ServiceNode) -> Request:
            now_ms = self._swarm.now_ms()
            asked_ms.append(now_ms)
            return storage_rpc.sequence([step.request(account, now_ms) for step in steps])

        def parse(body: Any, members: frozenset[str]) -> list[StepResult | SessionError]:
            parts = storage_rpc.parse_sequence(body, len(steps))
            found: list[StepResult | SessionError] = [
                read_part(part, partial(step.read, account_id=account_id, asked_ms=tuple(asked_ms), members=members))
                for step, part in zip(steps, parts, strict=False)
            ]
            for one in found[:necessary]:
                if isinstance(one, SessionError):
                    raise one
            never = RpcError("This was not done, because what comes before it failed.")
            return found + [never] * (len(steps) - len(found))

        return self._swarm.ask_until_safe(
            account_id,
            "sequence",
            request_for,
            parse,
            deadline,
            weakest=lambda results: _weakest(results[:necessary]),
            merged=_merged,
            lane=lane,
            dated_ms=dated_ms,
        )

    def replace(
        self,
        account: SwarmAccount,
        stores: Sequence[OwnStore],
        obsolete: Sequence[MessageHash],
        deadline: Deadline,
    ) -> None:
        """Store what not everybody may write, and then delete what it takes the place of: in one go, in this order.

        Nothing is deleted unless all was stored, as a member proves of each. What can't be deleted is harmless. Raises
        NetworkError, ServiceRefused.
        """
        for start in range(0, len(stores), MAX_BATCH - 1):
            portion = stores[start : start + MAX_BATCH - 1]
            is_last = start + len(portion) == len(stores)
            steps: list[Step] = [*portion, Delete(obsolete)] if obsolete and is_last else [*portion]
            self.perform(account, steps, deadline, needed=len(portion))

    def extend(
        self, account: SwarmAccount, hashes: Sequence[MessageHash], expires_ms: int, deadline: Deadline
    ) -> ExpireResult:
        """Have messages kept until a time (ms) at least; returns what members prove of it.

        Raises NetworkError, ServiceRefused.
        """
        step = Extend(hashes, expires_ms)

        def parse(body: Any, members: frozenset[str]) -> ExpireResult:
            return step.read(body, account.account_id, (), members)

        return self._swarm.ask(account.account_id, "expire", lambda node: step.request(account, 0), parse, deadline)

    def expire(
        self, account: SwarmAccount, shortenings: Sequence[Shortening], deadline: Deadline
    ) -> list[ExpireResult | SessionError]:
        """Have messages kept until a time and no longer, up to 20 groups of them as one batch request.

        Returns in their order what members prove of each group, or why it was refused. Raises NetworkError,
        ServiceRefused where that is the same for all.
        """
        if len(shortenings) > MAX_BATCH:
            raise ValueError(f"up to {MAX_BATCH} groups, not {len(shortenings)}")

        steps = [Shorten(hashes, expires_ms) for expires_ms, hashes in shortenings]

        def request_for(node: ServiceNode) -> Request:
            return storage_rpc.batch([step.request(account, 0) for step in steps])

        def parse(body: Any, members: frozenset[str]) -> list[ExpireResult | SessionError]:
            parts = storage_rpc.parse_batch(body, len(steps))
            found: list[ExpireResult | SessionError] = [
                read_part(part, partial(step.read, account_id=account.account_id, asked_ms=(), members=members))
                for step, part in zip(steps, parts, strict=True)
            ]
            problems = [one for one in found if isinstance(one, SessionError)]
            if len(problems) == len(found):
                # The same for all: it is said of the request.
                raise problems[0]
            return found

        return self._swarm.ask(account.account_id, "expire", request_for, parse, deadline)

    def get_expiries(
        self, account: SwarmAccount, hashes: Sequence[MessageHash], deadline: Deadline
    ) -> Mapping[str, int]:
        """Until when (ms) one member says that it keeps messages; those that it does not have are left out.

        Nothing proves it. Raises NetworkError, ServiceRefused.
        """

        def request_for(node: ServiceNode) -> Request:
            return storage_upkeep.get_expiries(account, hashes, timestamp_ms=self._swarm.now_ms())

        def parse(body: Any, members: frozenset[str]) -> Mapping[str, int]:
            return storage_upkeep.parse_expiries(body, hashes)

        return self._swarm.ask(account.account_id, "get_expiries", request_for, parse, deadline)


def _weakest(results: Sequence[StepResult | SessionError]) -> Proof | None:
    """What the fewest members prove to have done, of all that can be told from the results."""
    proofs = [one for one in results if isinstance(one, Proof)]
    return min(proofs, key=lambda proof: len(proof.confirmed), default=None)


def _merged(
    first: Sequence[StepResult | SessionError], other: Sequence[StepResult | SessionError]
) -> list[StepResult | SessionError]:
    """What two answers to the same steps say together; where one says nothing, what the other says."""
    both: list[StepResult | SessionError] = []
    for one, another in zip(first, other, strict=True):
        if isinstance(one, Proof) and isinstance(another, Proof):
            both.append(one.merged(another))
        else:
            both.append(another if isinstance(one, SessionError) else one)
    return both
