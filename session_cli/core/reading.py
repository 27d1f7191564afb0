"""Read state: what has been read here, and what follows from it.

Clocks that wait for the reader start, our swarm is told, so that other devices learn of it, and so is, if that is
wished, whoever wrote. All of it is put down in one transaction, and sent afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..network.clock import Deadline
from ..protocol.account import AccountId, parse_account_id
from ..protocol.payload import ReadReceipt
from ..store.conversations import AHEAD_MS
from .chores import IN_PASSING_S, SwarmChores
from .history import History
from .model import Message, Party
from .preferences import Preferences
from .profile import Profile
from .sending import Sender

MOST_IN_RECEIPT = 1_000
"""Messages that one receipt names."""
_EVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ReadMark:
    """How many `messages` of a conversation are read that were not before."""

    conversation: Party
    messages: int


class ReadState:
    """What one account has read. People are named as in `Client.send`."""

    def __init__(
        self,
        profile: Profile,
        sender: Callable[[], Sender],
        chores: SwarmChores,
        history: History,
        preferences: Preferences,
        timeout: float | None,
    ) -> None:
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self._sender = sender
        self._chores = chores
        self._history = history
        self._preferences = preferences
        self._timeout = timeout

    def read(self, to: Sequence[str]) -> list[ReadMark]:
        """Mark all that came in conversations as read. Raises what `Client.resolve` raises."""
        places = [self._history.place(name) for name in to]
        return self._mark_and_tell([(place, None) for place in dict.fromkeys(places)])

    def read_all(self) -> list[ReadMark]:
        """Mark all that came as read, but for the requests of people we never answered."""
        talks = [talk.party for talk in self._history.conversations() if not talk.request]
        return self._mark_and_tell([(place, None) for place in talks])

    def read_until(self, message_id: int) -> ReadMark:
        """Mark a message, and what came before it in its conversation, as read.

        Raises InvalidInput if there is none.
        """
        row = self._store.messages.get(message_id)
        if row is None:
            raise InvalidInput(f"There is no message {message_id}.")
        (mark,) = self._mark_and_tell([(self._history.place(row.conversation), row.sent_ms)])
        return mark

    def note_shown(self, messages: Iterable[Message]) -> None:
        """Mark what has been shown as read, and what came before it. `tell`, or the next poll, tells others of it."""
        last: dict[str, int] = {}
        for message in messages:
            if message.direction == "incoming":
                place = message.conversation.id
                last[place] = max(last.get(place, 0), message.timestamp_ms)
        for place, until_ms in last.items():
            self.mark(parse_account_id(place), until_ms)

    def mark(self, address: AccountId, until_ms: int | None = None) -> int:
        """Mark what came from somebody, perhaps up to a time only, as read; returns how many messages were not before.

        Asks nobody. What others are to be told of it is put down, for `tell` or a later run.
        """
        now_ms = self._store.now_ms()
        limit_ms = _EVER if until_ms is None else until_ms
        end_ms = self._store.conversations.last_arrival_ms(address, min(limit_ms, now_ms + AHEAD_MS))
        waiting = self._store.timers.waiting_for_reader(address, limit_ms)
        marked = self._store.configs.conversation(address)
        if not waiting and end_ms <= marked.read_ms and not marked.unread:
            return 0
        with self._store.transaction():
            times = self._store.conversations.unread_times(address, end_ms)
            self._store.conversations.mark_read(address, end_ms)
            if marked.unread:
                self._store.conversations.clear_unread(address)
            for message_id in waiting:
                ends_ms = self._store.timers.start(message_id, now_ms)
                if ends_ms is not None:
                    self._store.chores.add_shortening(message_id, ends_ms)
            if times and self._tells(address):
                for start in range(0, len(times), MOST_IN_RECEIPT):
                    self._sender().leave(ReadReceipt(tuple(times[start : start + MOST_IN_RECEIPT])), address)
        return len(times)

    def _tells(self, address: AccountId) -> bool:
        """Whether somebody is told what we have read of his."""
        if not self._preferences.read_receipts or address == self._own_id:
            return False
        person = self._store.people.get(address)
        return person is not None and person.approved and person.approved_me and not person.blocked

    def tell(self, deadline: Deadline | None = None) -> None:
        """Tell others what was put down for them. What they can't be told now is for a later run."""
        deadline = deadline or Deadline(self._timeout)
        if self._store.has_deliveries():
            self._sender().resend_left(deadline.within(IN_PASSING_S))
        self._chores.run(deadline)

    def _mark_and_tell(self, places: Iterable[tuple[Party, int | None]]) -> list[ReadMark]:
        marks = [ReadMark(place, self.mark(parse_account_id(place.id), until_ms)) for place, until_ms in places]
        self.tell()
        return marks
