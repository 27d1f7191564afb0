"""What waits to be sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import NetworkError, StoreLocked
from ..network.clock import Deadline
from ..store.records import MessageRow
from ..store.store import Store
from .model import Message
from .sending import Sender

IN_PASSING_S = 20.0
"""How long another command takes at the most for what waits in the outbox."""
REST_S = 10.0


@dataclass(frozen=True, slots=True)
class FlushResult:
    """The messages that wait no longer, and what keeps others waiting, if anything does."""

    gone: list[Message]
    problem: NetworkError | None


class Outbox:
    """The messages of one profile that the network has not taken yet. `timeout` is that of its client."""

    def __init__(
        self, store: Store, sender: Sender, message_of: Callable[[MessageRow], Message], timeout: float | None
    ) -> None:
        self._store = store
        self._sender = sender
        self._message_of = message_of
        self._timeout = timeout
        self._rests_until = 0.0

    def waiting(self) -> list[Message]:
        """The messages that wait, oldest first."""
        rows = (self._store.messages.get(message_id) for message_id in self._store.messages.queued())
        return [self._message_of(row) for row in rows if row is not None]

    def flush(self) -> FlushResult:
        """Send what waits, and return what is no longer there: `sent`, or `failed` if it was refused.

        Raises NetworkError at the first that can't be sent now, StoreLocked where another process is at it. A community
        server that takes nothing keeps only that waiting which is for it; the result says so.
        """
        flushed = self._sender.flush(Deadline(self._timeout), eager=True)
        return FlushResult(list(map(self._message_of, flushed.done)), next(iter(flushed.held.values()), None))

    def drop(self, message_id: int) -> Message:
        """Let a message that waits never be sent. Raises InvalidInput if it does not wait."""
        return self._message_of(self._sender.drop(message_id, Deadline(self._timeout)))

    def flush_in_passing(self, deadline: Deadline, *, patience_s: float = 0) -> Callable[[str], bool]:
        """Send what waits, if that can be done now. Returns what says of a conversation whether it still waits there.

        It takes half of the time there is at the most, for what else is to be done; and right after a failure it is
        not tried: a stream of messages must not wait for a dead network at each of them.
        """
        if time.monotonic() < self._rests_until:
            return _everywhere
        try:
            flushed = self._sender.flush(deadline.within(deadline.limit(2 * IN_PASSING_S) / 2), patience_s=patience_s)
        except NetworkError:
            self._rests_until = time.monotonic() + REST_S
            return _everywhere
        except StoreLocked:
            return _everywhere  # somebody else is sending it
        return flushed.held.__contains__


def _everywhere(_: str) -> bool:
    return True
