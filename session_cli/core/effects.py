"""What is done here once others have been told of it.

It is put down with what tells them, and whoever brings that to their swarm does it in the same transaction: so what is
here and what others know is the same, whichever process dies in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..protocol.account import AccountId
from ..store.store import Store
from .marking import Marking

Effect = Mapping[str, Any]
"""As JSON has it: its `type`, what it is done to, and, where they were told it as something said, `sent_ms`."""


def reaction(message_id: int, emoji: str, *, removed: bool) -> Effect:
    """An emoji of ours is on a message, or on it no more."""
    return {"type": "react", "message_id": message_id, "emoji": emoji, "removed": removed}


def deletion(message_id: int) -> Effect:
    """A message is deleted."""
    return {"type": "unsend", "message_id": message_id}


def acceptance(account: AccountId) -> Effect:
    """Somebody is no stranger any more."""
    return {"type": "accept", "account": account}


class Effects:
    """Does to one account's store what others have been told. To be called inside a transaction."""

    def __init__(self, store: Store, own_id: AccountId) -> None:
        self._store = store
        self._own_id = own_id

    def apply(self, effect: Effect) -> None:
        """Do it. To do it again changes nothing, nor does it where the message is gone."""
        if effect["type"] == "accept":
            self.accept(AccountId(effect["account"]))
            return
        row = self._store.messages.get(effect["message_id"])
        if row is None or row.deleted:
            return
        if effect["type"] == "unsend":
            Marking(self._store, self._own_id).delete(row, effect["sent_ms"])
        else:
            emoji, removed = effect["emoji"], effect["removed"]
            self._store.marks.react(row.id, self._own_id, emoji, effect["sent_ms"], removed=removed)

    def accept(self, account: AccountId) -> None:
        """Take what somebody writes for no request any more."""
        self._store.people.approve(account, by_us=True)
        self._store.messages.settle_request(account)
        self._store.conversations.show(account)
