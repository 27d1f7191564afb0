"""Read state: what has been read here, and what follows from it.

Clocks that wait for the reader start, our swarm is told, so that other devices learn of it, and so is, if that is
wished, whoever wrote. All of it is put down in one transaction, and sent afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from ..network.clock import Deadline
from ..protocol.account import AccountId, is_community, is_group
from ..protocol.payload import ReadReceipt
from ..store.conversations import AHEAD_MS
from .addressing import parse_address
from .chores import IN_PASSING_S, SwarmChores
from .history import History
from .model import Message, Party
from .preferences import Preferences
from .profile import Profile

if TYPE_CHECKING:
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

    def note_shown(self, messages: Iterable[Message], reader: str) -> None:
        """Mark what has been shown to a reader as read; `tell`, or the next poll, tells others of it.

        A conversation counts as read up to the first message that he has left.
        """
        shown: dict[str, set[int]] = {}
        for message in messages:
            if message.direction == "incoming":
                shown.setdefault(message.conversation.id, set()).add(message.id)
        for place, ids in shown.items():
            address = parse_address(place)
            unread = self._store.conversations.unread(address, self._limit_ms(None))
            left = self._store.events.left([id for id in unread if id not in ids], reader)
            waiting = [id for id in self._store.timers.waiting_for_reader(address, _EVER) if id in ids]
            self._mark(address, _last_before(left, unread), waiting, ids)

    def note_answered(self, address: AccountId) -> int:
        """Mark what came from somebody as read, as far as any reader has had it; returns how many messages were not."""
        unread = self._store.conversations.unread(address, self._limit_ms(None))
        waiting = self._store.timers.waiting_for_reader(address, _EVER)
        left = self._store.events.left({*unread, *waiting})
        return self._mark(address, _last_before(left, unread), [id for id in waiting if id not in left])

    def mark(self, address: AccountId, until_ms: int | None = None) -> int:
        """Mark what came from somebody, perhaps up to a time only, as read; returns how many messages were not before.

        Asks nobody. What others are to be told of it is put down, for `tell` or a later run.
        """
        end_ms = self._store.conversations.last_arrival_ms(address, self._limit_ms(until_ms))
        # What is dated far ahead has come as well, and must not stay until then because of that.
        waiting = self._store.timers.waiting_for_reader(address, _EVER if until_ms is None else until_ms)
        return self._mark(address, end_ms, waiting)

    def _limit_ms(self, until_ms: int | None) -> int:
        """How far a conversation can be read."""
        return min(_EVER if until_ms is None else until_ms, self._store.now_ms() + AHEAD_MS)

    def _mark(
        self, address: AccountId, end_ms: int, waiting: Collection[int], shown: Collection[int] | None = None
    ) -> int:
        """Mark a conversation as read up to a time, and start the clocks of messages (their ids) that are `waiting`.

        Whoever wrote is told of what was not read up to then, or of those messages that were `shown`. Returns how many.
        """

        def unread_times() -> list[int]:
            return self._store.conversations.unread_times(address, end_ms if shown is None else _EVER, shown)

        known = self._store.configs.conversation(address)
        moves = end_ms > known.read_ms
        if not waiting and not moves and not known.unread and not unread_times():
            return 0
        now_ms = self._store.now_ms()
        with self._store.transaction():
            times = unread_times()
            if moves:
                self._store.conversations.mark_read(address, end_ms)
            elif known.unread and shown is None:
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
        if is_group(address) or is_community(address):
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
        marks = [ReadMark(place, self.mark(parse_address(place.id), until_ms)) for place, until_ms in places]
        self.tell()
        return marks


def _last_before(left: Collection[int], unread: Mapping[int, int]) -> int:
    """The time of the last message before the first of those that are left; `unread` maps ids to times, in order."""
    end_ms = 0
    for message_id, sent_ms in unread.items():
        if message_id in left:
            break
        end_ms = sent_ms
    return end_ms
