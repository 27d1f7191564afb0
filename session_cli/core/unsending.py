"""Deleting messages: ours for everyone, and any of them on all devices of ours.

Whoever is asked to delete a message does so on the word of its author alone, or on that of another device of his own.
So nobody can delete what somebody else wrote, but on his own devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..errors import InvalidInput, NotAdmin, StoreLocked
from ..network.clock import Deadline
from ..protocol.account import AccountId, is_blinded, is_group
from ..protocol.payload import Payload, Unsend
from ..store.records import EventDetail, EventRow, MessageRow
from .chores import SwarmChores
from .effects import deletion
from .marking import Marking
from .profile import Profile
from .sending import Sender

if TYPE_CHECKING:
    from ..protocol.group.identity import GroupIdentity


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

        In a group an admin deletes what anybody wrote.

        All messages are checked before the first is deleted. Doing it again is no error: the request goes out once
        more. Raises InvalidInput for another's message, which can be deleted on own devices only, and for notices;
        NotAdmin for one in a group; StoreLocked for what is being sent right now; NetworkError or ServiceRefused where
        the request is not taken: then the message is as before.
        """
        for row in rows:
            self.check(row, own_devices=own_devices)
        for row in rows:
            yield self._unsend(row, own_devices=own_devices)

    def check(self, row: MessageRow, *, own_devices: bool) -> None:
        """Raise what `unsend` raises before it deletes anything."""
        if row.kind not in ("message", "unknown"):
            raise InvalidInput(f"{row.id} is a notice, and no message that could be deleted.")
        if is_group(row.conversation):
            self._check_in_group(row, own_devices=own_devices)
        elif is_blinded(row.conversation) and row.status not in ("failed", "queued") and not own_devices:
            raise InvalidInput(
                f"Message {row.id} went through a community server, and can't be deleted for the other any more. To "
                f"delete it on your own devices: session unsend --own-devices {row.id}"
            )
        elif row.direction == "incoming" and not own_devices:
            raise InvalidInput(
                f"Message {row.id} is not yours: only its author can delete it for everyone. To delete it on all your "
                f"own devices: session unsend --own-devices {row.id}"
            )
        if row.status == "pending":
            raise StoreLocked(f"Message {row.id} is being sent right now; try again when that is over.")

    def _check_in_group(self, row: MessageRow, *, own_devices: bool) -> None:
        if own_devices:
            raise InvalidInput(
                f"Message {row.id} is of a group, where messages are deleted for everyone or not at all."
            )
        if row.direction == "incoming" and self._admin(row) is None:
            raise NotAdmin(f"Message {row.id} is not yours: only its author and admins of the group can delete it.")
        if row.hash is None and row.status not in ("failed", "queued"):
            raise InvalidInput(f"Message {row.id} is too old: its group can't be told any more which one is meant.")

    def _admin(self, row: MessageRow) -> GroupIdentity | None:
        group = self._store.groups.get(row.conversation)
        if group is None or group.seed is None:
            return None
        from ..protocol.group.identity import GroupIdentity

        return GroupIdentity.from_seed(group.seed)

    def _request_in_group(self, row: MessageRow, sent_ms: int) -> Payload:
        from ..protocol.group import updates

        admin, hashes = self._admin(row), [row.hash] if row.hash else []
        return updates.delete_content(admin, sent_ms, hashes=hashes) if admin else updates.delete_own_content(hashes)

    def _unsend(self, row: MessageRow, *, own_devices: bool) -> EventRow:
        deadline = Deadline(self._timeout)
        if row.status == "queued":
            self._sender.drop(row.id, deadline)
            when_ms = self._delete_here(row)
        elif is_group(row.conversation):
            when_ms = self._unsend_in_group(row, deadline)
        else:
            when_ms = self._unsend_between_people(row, deadline, own_devices=own_devices)
        self._chores.run(deadline)
        detail = EventDetail(row.conversation, row.conversation_name, self._own_id, None, when_ms, {})
        return EventRow(0, "unsend", row, detail)

    def _unsend_in_group(self, row: MessageRow, deadline: Deadline) -> int:
        if row.status == "failed":
            return self._delete_here(row)
        ask = partial(self._request_in_group, row)
        when_ms = self._sender.transmit(ask, [AccountId(row.conversation)], deadline, effect=deletion(row.id))
        if self._admin(row) is not None:
            with self._store.transaction():
                self._store.groups.add_errand(row.conversation, "delete", row.hash or "")
        return when_ms

    def _unsend_between_people(self, row: MessageRow, deadline: Deadline, *, own_devices: bool) -> int:
        others = [] if own_devices or row.conversation == self._own_id else [AccountId(row.conversation)]
        accounts, request = [*others, self._own_id], Unsend(row.sender, row.sent_ms)
        if row.status != "failed":
            return self._sender.transmit(request, accounts, deadline, effect=deletion(row.id))
        # Nobody is known to have it: it must not stay here until those are reached who hardly do.
        when_ms = self._delete_here(row, *((request, account) for account in accounts))
        self._sender.resend_left(deadline)
        return when_ms

    def _delete_here(self, row: MessageRow, *requests: tuple[Unsend, AccountId]) -> int:
        """Delete a message here, and leave requests to do the same to a later run. Returns when (ms)."""
        with self._store.transaction():
            when_ms = self._store.now_ms()
            self._marking.delete(row, when_ms)
            for request, account in requests:
                self._sender.leave(request, account)
        return when_ms
