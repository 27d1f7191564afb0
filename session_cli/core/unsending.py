"""Deleting messages: ours for everyone, and any of them on all devices of ours.

Whoever is asked to delete a message does so on the word of its author alone, or on that of another device of his own.
So nobody can delete what somebody else wrote, but on his own devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import InvalidInput, StoreLocked
from ..network.clock import Deadline
from ..protocol.account import AccountId
from ..protocol.payload import Unsend
from ..store.records import EventDetail, EventRow, MessageRow
from .chores import SwarmChores
from .effects import deletion
from .marking import Marking
from .profile import Profile
from .sending import Sender


class Unsending:
    """Deletes messages of one account."""

    def __init__(self, profile: Profile, sender: Sender, chores: SwarmChores, timeout: float | None) -> None:
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self._sender = sender
        self._chores = chores
        self._timeout = timeout
        self._marking = Marking(profile.store, self._own_id)

    def unsend(self, rows: Sequence[MessageRow], *, own_devices: bool) -> Iterator[EventRow]:
        """Delete messages for everyone, or (`own_devices`) on all devices of ours only; yields what was done.

        What waits in the outbox is taken out of it, and nobody ever gets it. What could not be sent is deleted here at
        once; should others have got it all the same, they are asked now, or by a later run.

        All messages are checked before the first is deleted. Doing it again is no error: the request goes out once
        more. Raises InvalidInput for another's message, which can be deleted on own devices only, and for notices;
        StoreLocked for what is being sent right now; NetworkError or ServiceRefused where the request is not taken:
        then the message is as before.
        """
        for row in rows:
            self._check(row, own_devices=own_devices)
        for row in rows:
            yield self._unsend(row, own_devices=own_devices)

    def _check(self, row: MessageRow, *, own_devices: bool) -> None:
        if row.kind not in ("message", "unknown"):
            raise InvalidInput(f"{row.id} is a notice, and no message that could be deleted.")
        if row.direction == "incoming" and not own_devices:
            raise InvalidInput(
                f"Message {row.id} is not yours: only its author can delete it for everyone. To delete it on all your "
                f"own devices: session unsend --own-devices {row.id}"
            )
        if row.status == "pending":
            raise StoreLocked(f"Message {row.id} is being sent right now; try again when that is over.")

    def _unsend(self, row: MessageRow, *, own_devices: bool) -> EventRow:
        deadline = Deadline(self._timeout)
        others = [] if own_devices or row.conversation == self._own_id else [AccountId(row.conversation)]
        accounts, request = [*others, self._own_id], Unsend(row.sender, row.sent_ms)
        if row.status == "queued":
            self._sender.drop(row.id, deadline)
            with self._store.transaction():
                when_ms = self._store.now_ms()
                self._marking.delete(row, when_ms)
        elif row.status == "failed":
            # Nobody is known to have it: it must not stay here until those are reached who hardly do.
            with self._store.transaction():
                when_ms = self._store.now_ms()
                self._marking.delete(row, when_ms)
                for account in accounts:
                    self._sender.leave(request, account)
            self._sender.resend_left(deadline)
        else:
            when_ms = self._sender.transmit(request, accounts, deadline, effect=deletion(row.id))
        self._chores.run(deadline)
        detail = EventDetail(row.conversation, row.conversation_name, self._own_id, None, when_ms, {})
        return EventRow(0, "unsend", row, detail)
