"""How conversations are treated: which come first, which are hidden, which nobody is notified of, on all devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import InvalidInput
from ..store.configs import ConversationSettings
from ..store.store import Store
from .conversation_state import state_of
from .history import History
from .model import ConversationState, Party

PINNED = 1
"""What apps write for it."""
MAX_MUTED_S = 10 * 366 * 86_400
"""Whoever wants it for longer wants it for good."""


class ConversationSwitches:
    """Changes what is set for the conversations of one account, which are named as in `Client.send`. Offline.

    Everything raises what `Client.resolve` raises, and InvalidInput for people who are not known.
    """

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    def pin(self, to: str, *, pinned: bool = True) -> tuple[Party, ConversationState]:
        """Let a conversation come first, and be shown if it was hidden; or no more."""
        if pinned:
            return self._change(to, lambda known: replace(known, pinned=known.pinned or PINNED, hidden=False))
        return self._change(to, lambda known: replace(known, pinned=0))

    def mute(self, to: str, seconds: int | None = None) -> tuple[Party, ConversationState]:
        """Have nobody notified of what comes in a conversation, for a time or (None) for good."""
        if seconds is not None and not 0 < seconds <= MAX_MUTED_S:
            raise InvalidInput("A conversation can be muted for up to ten years; without a time it is for good.")
        until_s = None if seconds is None else self._store.now_ms() // 1000 + seconds
        return self._change(to, lambda known: known.muted(until_s), own=False)

    def unmute(self, to: str) -> tuple[Party, ConversationState]:
        """Have somebody notified of what comes in a conversation."""
        return self._change(to, lambda known: known.muted(0), own=False)

    def hide(self, to: str) -> tuple[Party, ConversationState]:
        """Show a conversation no more, until something new comes. Nothing in it is lost."""
        return self._change(to, lambda known: replace(known, hidden=True, pinned=0))

    def unhide(self, to: str) -> tuple[Party, ConversationState]:
        """Show a hidden conversation again."""
        return self._change(to, lambda known: replace(known, hidden=False))

    def mark_unread(self, to: str) -> tuple[Party, ConversationState]:
        """Let a conversation stand out until what is in it is marked as read."""
        return self._change(to, lambda known: replace(known, unread=True))

    def is_muted(self, conversation: str) -> bool:
        """Whether nobody is to be notified of what comes now in a conversation, named by its id."""
        return self._store.configs.conversation(conversation).is_muted(self._store.now_ms())

    def _change(
        self, to: str, change: Callable[[ConversationSettings], ConversationSettings], *, own: bool = True
    ) -> tuple[Party, ConversationState]:
        with self._store.transaction():
            place = self._history.place(to)
            if place.type == "self":
                if not own:
                    raise InvalidInput("Notes to self can't be muted: nobody is notified of them.")
            elif not ((person := self._store.people.get(place.id)) and person.is_contact):
                raise InvalidInput(f"{place.id[:10]}… is no contact of yours; first: session contact add {place.id}")
            before = self._store.configs.conversation(place.id)
            after = change(before)
            if after != before:
                self._store.configs.set_conversation(after)
        return place, state_of(after, self._store.now_ms())
